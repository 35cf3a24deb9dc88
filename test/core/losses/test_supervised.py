"""Losses against their definitions, evaluated slowly, and against finite differences."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from clip2scene_core.losses import cross_entropy, lovasz_softmax


def jaccard_loss(missed: set[int], positives: set[int]) -> float:
    """1 - IoU of a class whose true points are `positives` when the points `missed` are called wrongly.

    Berman et al., CVPR 2018, equation (6): the points missed over the union of those and the true points.
    """
    return len(missed) / len(positives | missed) if positives | missed else 0.0


def lovasz_extension(errors: list[float], positives: set[int]) -> float:
    """The extension as an integral: the loss of the points with errors above t, over t from 0 to 1."""
    levels = sorted({0.0, 1.0, *errors})
    return sum(
        (high - low) * jaccard_loss({i for i, e in enumerate(errors) if e >= high}, positives)
        for low, high in pairwise(levels)
    )


def slow_lovasz_softmax(scores: torch.Tensor, target: torch.Tensor) -> float:
    known = [i for i, c in enumerate(target.tolist()) if c >= 0]
    probability = scores.double().softmax(dim=1)[known].tolist()
    classes = [target.tolist()[i] for i in known]
    losses = []
    for c in sorted(set(classes)):
        errors = [1 - p[c] if own == c else p[c] for p, own in zip(probability, classes, strict=True)]
        losses.append(lovasz_extension(errors, {i for i, own in enumerate(classes) if own == c}))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(8))
def test_lovasz_is_the_extension_of_the_jaccard_loss(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = 3 * torch.randn(12, 4, generator=generator)
    target = torch.randint(-1, 3 + seed % 2, (12,), generator=generator)
    assert float(lovasz_softmax(scores, target)) == pytest.approx(
        slow_lovasz_softmax(scores, target), abs=1e-5
    )


def test_lovasz_of_decided_scores_is_one_minus_mean_iou():
    """Where the surrogate meets what it stands for: classes 0, 1, 2 have IoU 2/3, 1/4 and 1/2."""
    truth = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
    called = torch.tensor([0, 0, 1, 1, 2, 2, 2, 2])
    scores = 100.0 * torch.nn.functional.one_hot(called, 4)
    expected = 1 - (2 / 3 + 1 / 4 + 1 / 2) / 3
    assert float(lovasz_softmax(scores, truth)) == pytest.approx(expected, abs=1e-6)
    assert float(lovasz_softmax(100.0 * torch.nn.functional.one_hot(truth, 4), truth)) == pytest.approx(
        0, abs=1e-6
    )


def test_lovasz_of_one_point():
    """A single point of its class: the loss is the probability that it is not given."""
    scores = torch.tensor([[math.log(3.0), 0.0]])
    assert float(lovasz_softmax(scores, torch.tensor([0]))) == pytest.approx(0.25)


def test_cross_entropy_by_hand():
    """Probabilities 3/4 and 1/2 of the true class; the third point has none."""
    scores = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0], [50.0, -50.0]])
    target = torch.tensor([0, 1, -1])
    expected = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    assert float(cross_entropy(scores, target)) == pytest.approx(expected)


def test_class_weights_weigh_the_mean():
    scores = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    weight = torch.tensor([1.0, 3.0])
    expected = -(1 * math.log(3 / 4) + 3 * math.log(1 / 2)) / 4
    assert float(cross_entropy(scores, torch.tensor([0, 1]), weight)) == pytest.approx(expected)


def test_cross_entropy_of_many_points_in_half_precision():
    """The sum, 70000 log 3, is beyond float16."""
    value = cross_entropy(torch.zeros(70000, 3, dtype=torch.float16), torch.zeros(70000, dtype=torch.int64))
    assert float(value) == pytest.approx(math.log(3), rel=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, lovasz_softmax])
def test_gradients_against_finite_differences(loss):
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(7, 3, generator=generator)
    target = torch.tensor([0, 1, 2, 2, -1, 0, 1])
    variable = scores.clone().requires_grad_()
    loss(variable, target).backward()
    step = 1e-2
    for index in range(scores.numel()):
        change = torch.zeros(scores.numel())
        change[index] = step
        change = change.view_as(scores)
        slope = (loss(scores + change, target) - loss(scores - change, target)) / (2 * step)
        assert float(variable.grad.view(-1)[index]) == pytest.approx(float(slope), abs=2e-3)


@pytest.mark.parametrize("loss", [cross_entropy, lovasz_softmax])
def test_points_without_a_class_do_not_count(loss):
    generator = torch.Generator().manual_seed(2)
    scores, target = torch.randn(9, 3, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2, -1, -1, -1])
    variable = scores.clone().requires_grad_()
    value = loss(variable, target)
    value.backward()
    assert float(value.detach()) == pytest.approx(float(loss(scores[:6], target[:6])))
    assert not variable.grad[6:].any()
    assert variable.grad[:6].any()


@pytest.mark.parametrize("loss", [cross_entropy, lovasz_softmax])
@pytest.mark.parametrize("points", [0, 3])
def test_without_any_class_the_loss_is_zero_and_can_be_differentiated(loss, points):
    scores = torch.randn(points, 4, requires_grad=True)
    value = loss(scores, torch.full((points,), -1))
    value.backward()
    assert float(value.detach()) == 0.0
    assert not scores.grad.any()
