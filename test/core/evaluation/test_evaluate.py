"""Evaluation of predictions that are known, on recordings that are made up."""

from __future__ import annotations

import json

import numpy as np
import pytest

from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.evaluation.evaluate import evaluate, median_stages
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import SemanticLabels

STREET, KITTI, NUSCENES = (LabelSet.named(name) for name in ("street", "semantic_kitti", "nuscenes"))


class Oracle:
    """A segmenter that says what it was told to say, frame by frame."""

    def __init__(self, label_set, answers):
        self.label_set = label_set
        self._answers = iter(answers)

    def segment(self, frame, stages):
        with stages("oracle"):
            ids = [self.label_set.id_of(name) for name in next(self._answers)]
        return SemanticLabels(class_id=np.array(ids, np.uint16))


@pytest.fixture
def recording(frame_list, make_frame):
    """Makes a FrameSource of frames whose points have these classes; None for a frame without truth."""

    def make(label_set, *truths):
        frames = []
        for names in truths:
            ids = None if names is None else [label_set.id_of(name) for name in names]
            frames.append(make_frame(np.zeros((len(names or []), 3)), ids))
        return frame_list(frames, label_set)

    return make


def test_truth_and_predictions_meet_in_the_vocabulary_that_is_asked_for(recording):
    """SemanticKITTI's words against nuScenes', both in those of `street`; counted by hand."""
    source = recording(
        KITTI,
        ["parking", "road", "car", "trunk", "ignore", "person"],
        ["bicyclist", "traffic sign", "truck", "road"],
    )
    oracle = Oracle(
        NUSCENES,
        [
            ["driveable surface", "sidewalk", "car", "vegetation", "car", "ignore"],
            ["bicycle", "manmade", "bus", "other flat"],
        ],
    )
    done = []
    result = evaluate(source, oracle, STREET, done.append)
    figures = result.to_dict(more_than=0)
    expected = {
        "road": 2 / 3,  # parking and other flat are road; one road was called sidewalk
        "sidewalk": 0.0,
        "terrain": None,
        "vegetation": 1.0,
        "building": 0.0,
        "fence": None,
        "pole": 0.0,  # a sign, called manmade
        "car": 1.0,  # that of the point without truth does not count
        "large vehicle": 1.0,
        "two-wheeler": 1.0,
        "person": 0.0,  # left without a class
    }
    for name, iou in expected.items():
        assert figures["iou"][name] == (None if iou is None else pytest.approx(iou, abs=1e-4)), name
    assert figures["points"] == 9
    assert figures["points_of_class"]["road"] == 3
    assert figures["accuracy"] == pytest.approx(6 / 9, abs=1e-4)
    occur = ["road", "vegetation", "pole", "car", "large vehicle", "two-wheeler", "person"]
    assert figures["miou"] == pytest.approx(sum(expected[name] for name in occur) / 7, abs=1e-4)
    assert (figures["frames"], done) == (2, [1, 2])
    assert figures["label_set"] == "street"


def test_the_mean_can_leave_out_classes_of_few_points(recording):
    source = recording(STREET, ["road"] * 5 + ["car"] * 2)
    result = evaluate(source, Oracle(STREET, [["road"] * 4 + ["car"] * 3]), STREET)
    assert result.to_dict(more_than=2)["miou"] == pytest.approx(4 / 5)
    assert result.to_dict(more_than=0)["miou"] == pytest.approx((4 / 5 + 2 / 3) / 2, abs=1e-4)
    assert result.to_dict(more_than=5)["miou"] is None
    assert result.to_dict(more_than=5)["miou_of_all_classes_that_occur"] == pytest.approx(0.7333, abs=1e-4)


def test_the_figures_are_json(recording):
    source = recording(STREET, ["road", "car"])
    result = evaluate(source, Oracle(STREET, [["road", "road"]]), STREET)
    figures = json.loads(json.dumps(result.to_dict(more_than=0), allow_nan=False))
    assert np.array(figures["confusion"]).shape == (11, 12)
    assert list(figures["stage_ms"]) == ["oracle"]


def test_frames_without_truth_are_left_out(recording):
    source = recording(STREET, None, ["road"], None)
    result = evaluate(source, Oracle(STREET, [["road"]]), STREET)
    assert (result.frames, result.confusion.mean_iou()) == (1, 1.0)


def test_recordings_without_truth(recording):
    with pytest.raises(DataError, match="none of the frames has ground truth"):
        evaluate(recording(STREET, None, None), Oracle(STREET, []), STREET)
    source = recording(STREET, ["road"])
    source.label_set = None
    with pytest.raises(DataError, match="the recording has no ground truth"):
        evaluate(source, Oracle(STREET, []), STREET)


def test_vocabularies_without_a_map_between_them(recording):
    with pytest.raises(ConfigError, match="label set semantic_kitti has no map from street"):
        evaluate(recording(STREET, ["road"]), Oracle(STREET, [["road"]]), KITTI)


def test_medians_by_stage():
    """A stage that some frames skip has the median of those that have it."""
    stages = [{"a": 1.0, "b": 10.0}, {"a": 5.0}, {"a": 2.0, "b": 30.0, "c": 7.0}]
    assert median_stages(stages) == {"a": 2.0, "b": 20.0, "c": 7.0}
