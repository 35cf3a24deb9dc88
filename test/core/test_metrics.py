"""Intersection over union by hand and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_core.labels import LabelSet, SemanticClass
from clip2scene_core.metrics import Confusion

THREE = LabelSet(
    name="three",
    ignore_id=0,
    classes=tuple(
        SemanticClass(id=i, name=name, colour=(0, 0, 0), phrases=(name,))
        for i, name in ((10, "road"), (20, "car"), (5, "person"))
    ),
)
"""Neither in the order of ids nor contiguous."""


def confusion(truth, predicted):
    return Confusion.of(THREE, np.array(truth, np.uint16), np.array(predicted, np.uint16))


def test_counts_by_hand():
    counts = confusion([10, 10, 10, 20, 20, 0, 99, 10], [10, 20, 0, 20, 5, 10, 10, 77]).counts
    assert counts.tolist() == [
        [1, 1, 0, 2],  # road: once road, once car, twice nothing known
        [0, 1, 1, 0],  # car: once car, once person
        [0, 0, 0, 0],  # there is no person; ids 0 and 99 have no true class and do not count
    ]


def test_iou_by_hand():
    iou = confusion([10, 10, 10, 10, 20, 20], [10, 10, 20, 0, 20, 5]).iou()
    # road: 2 hits of 4, none called road wrongly; car: 1 hit of 2 and 1 wrong; person: only called wrongly
    assert iou.tolist() == pytest.approx([2 / 4, 1 / 3, 0.0])


def test_an_absent_class_has_no_iou_and_is_not_in_the_mean():
    result = confusion([10, 10, 20], [10, 10, 20])
    assert result.iou()[:2].tolist() == [1.0, 1.0]
    assert np.isnan(result.iou()[2])
    assert result.mean_iou() == 1.0
    worse = confusion([10, 10, 20], [10, 20, 20])
    assert worse.mean_iou() == pytest.approx((1 / 2 + 1 / 2) / 2), "not lifted by counting `person` as 1"


def test_the_mean_is_over_classes_with_more_points_than_asked_for():
    result = confusion([10] * 5 + [20] * 4 + [5], [10] * 5 + [20] * 2 + [10] * 2 + [20])
    assert result.points.tolist() == [5, 4, 1]
    road, car, person = 5 / 7, 2 / 5, 0.0
    assert result.iou().tolist() == pytest.approx([road, car, person])
    assert result.mean_iou() == pytest.approx((road + car + person) / 3)
    assert result.mean_iou(more_than=1) == pytest.approx((road + car) / 2)
    assert result.mean_iou(more_than=4) == pytest.approx(road)
    assert np.isnan(result.mean_iou(more_than=5))


def test_accuracy_counts_unlabelled_predictions_as_wrong():
    assert confusion([10, 10, 20, 0], [10, 0, 20, 20]).accuracy() == pytest.approx(2 / 3)


@pytest.mark.parametrize("result", [Confusion.empty(THREE), confusion([], []), confusion([0, 0], [10, 20])])
def test_nothing_known_gives_no_numbers(result):
    assert np.isnan(result.mean_iou())
    assert np.isnan(result.accuracy())
    assert np.isnan(result.iou()).all()


def test_scans_add_up():
    rng = np.random.default_rng(0)
    truth, predicted = rng.choice([0, 5, 10, 20], (2, 300))
    parts = [confusion(truth[a : a + 100], predicted[a : a + 100]) for a in (0, 100, 200)]
    total = sum(parts[1:], parts[0])
    np.testing.assert_array_equal(total.counts, confusion(truth, predicted).counts)


@pytest.mark.parametrize("seed", range(3))
def test_iou_against_torchmetrics(seed):
    metrics = pytest.importorskip("torchmetrics.classification", reason="torchmetrics is not installed")
    import torch

    rng = np.random.default_rng(seed)
    truth = rng.choice([-1, 0, 1, 2], 500)
    called = np.where(rng.random(500) < 0.6, np.maximum(truth, 0), rng.integers(0, 3, 500))
    reference = metrics.MulticlassJaccardIndex(num_classes=3, average=None, ignore_index=-1)
    expected = reference(torch.from_numpy(called), torch.from_numpy(truth)).numpy()
    ids = np.append(THREE.ids, THREE.ignore_id)
    np.testing.assert_allclose(confusion(ids[truth], ids[called]).iou(), expected, atol=1e-6)
