"""Who gives a point its pseudo label."""

from __future__ import annotations

import pytest
import torch

from clip2scene_core.losses import switched_labels

COUNT = 4000
PIXEL, STUDENT = torch.zeros(COUNT, dtype=torch.int64), torch.ones(COUNT, dtype=torch.int64)


def share_of_student(seed, **options):
    labels = switched_labels(PIXEL, STUDENT, generator=torch.Generator().manual_seed(seed), **options)
    assert labels.dtype == torch.int64
    return float(labels.double().mean())


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_each_point_draws_for_itself(probability):
    """Within five standard deviations."""
    share = share_of_student(0, probability=probability)
    assert share == pytest.approx(probability, abs=5 * (probability * (1 - probability) / COUNT) ** 0.5)


def test_a_batch_draws_once():
    shares = [share_of_student(seed, probability=0.3, per="batch") for seed in range(200)]
    assert set(shares) == {0.0, 1.0}
    assert sum(shares) / 200 == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / 200) ** 0.5)


def test_the_same_generator_draws_the_same():
    draws = [
        switched_labels(PIXEL, STUDENT, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("per", ["point", "batch"])
def test_no_points_have_no_labels(per):
    assert switched_labels(PIXEL[:0], STUDENT[:0], per=per).shape == (0,)
