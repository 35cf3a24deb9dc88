"""What changes from step to step."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from clip2scene_core.config import TrainingConfig
from clip2scene_core.training.schedule import learning_rate, moving_average


def averaged(values, decay):
    """The average after the first value was copied and the others came one by one, as AveragedModel does."""
    update, average = moving_average(decay), values[0]
    for count, value in enumerate(values[1:], start=1):
        average = update(average, value, torch.tensor(count))
    return average


def test_the_average_forgets_the_start_and_then_moves_slowly():
    bad, good = torch.tensor([100.0]), torch.tensor([1.0])
    assert float(averaged([bad] + [good] * 10, 0.99)) == pytest.approx(1.0, abs=0.01), "0.99 alone keeps 90"
    assert float(averaged([good] * 2000 + [bad], 0.99)) == pytest.approx(1.0 + 0.01 * 99)
    assert float(averaged([good] * 2000 + [bad] * 100, 0.99)) == pytest.approx(100 - 99 * 0.99**100, rel=1e-4)


def test_counters_are_not_averaged():
    assert averaged([torch.tensor(n) for n in range(1, 8)], 0.99) == 7


def test_the_learning_rate_rises_then_falls_along_a_cosine():
    settings = TrainingConfig(steps=110, warmup=10 / 110, learning_rate=0.5)
    rates = [learning_rate(settings, step) for step in range(110)]
    assert rates[:10] == pytest.approx([0.05 * n for n in range(1, 11)])
    assert rates[10] == pytest.approx(0.5)
    assert rates[60] == pytest.approx(0.25), "half way down"
    assert rates[35] == pytest.approx(0.25 * (1 + math.sqrt(0.5)))
    assert 0 < rates[109] < 0.001
    assert all(a > b for a, b in pairwise(rates[10:]))


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_learning_rates_of_runs_without_or_with_nothing_but_warm_up(warmup):
    settings = TrainingConfig(steps=5, warmup=warmup, learning_rate=1.0)
    rates = [learning_rate(settings, step) for step in range(5)]
    assert max(rates) == 1.0
    assert min(rates) > 0
