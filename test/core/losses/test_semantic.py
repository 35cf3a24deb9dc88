"""Equation (1) against its sums written out, and its cross-entropy against probabilities by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from clip2scene_core.losses import semantic_consistency, semantic_cross_entropy

PHRASE_CLASS = torch.tensor([0, 1, 1, 2, 0])
CLASSES = 4
"""The last one has no phrase."""


def literal(points, text, phrase, tau):
    """Every summand of the paper's formula, one by one."""
    points, text = points.detach().double().numpy(), text.detach().double().numpy()
    labelled = [(i, q, int(PHRASE_CLASS[q])) for i, q in enumerate(phrase.tolist()) if q >= 0]
    loss = 0.0
    for c in range(CLASSES):
        numerator = denominator = 0.0
        for i, q, own in labelled:
            if own == c:
                numerator += math.exp(np.dot(text[q], points[i]) / tau)
                for j, _, other in labelled:
                    if other != c:
                        denominator += math.exp(np.dot(text[q], points[j]) / tau)
        if denominator:
            loss -= math.log(numerator / denominator)
    return loss


def draw(seed, count, *, dim=6, dtype=torch.float64):
    """Points and texts of length one, and a phrase or -1 for each point."""
    generator = torch.Generator().manual_seed(seed)
    points = normalize(torch.randn(count, dim, generator=generator, dtype=dtype), dim=1)
    text = normalize(torch.randn(len(PHRASE_CLASS), dim, generator=generator, dtype=dtype), dim=1)
    phrase = torch.randint(-1, len(PHRASE_CLASS), (count,), generator=generator)
    return points.requires_grad_(), text, phrase


def infonce(points, text, phrase, **options):
    return semantic_consistency(points, text, phrase, PHRASE_CLASS, CLASSES, **options)


def cross_entropy(points, text, phrase, **options):
    return semantic_cross_entropy(points, text, phrase, PHRASE_CLASS, CLASSES, **options)


both = pytest.mark.parametrize("loss", [infonce, cross_entropy])


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 25), tau=st.sampled_from([0.07, 0.5, 2.0]))
def test_infonce_is_the_formula_of_the_paper(seed, count, tau):
    points, text, phrase = draw(seed, count)
    assert float(infonce(points.detach(), text, phrase, tau=tau)) == pytest.approx(
        literal(points, text, phrase, tau), rel=1e-9, abs=1e-9
    )


def test_infonce_by_hand():
    """Products 1 and 0 with the own and the other text, tau = 1/2: class 0 gives -log(2 e^2 / 2), class 1
    -log(e^2 / 2)."""
    text = torch.eye(2)
    value = semantic_consistency(text[[0, 0, 1]], text, torch.tensor([0, 0, 1]), torch.arange(2), 2)
    assert float(value) == pytest.approx(-2 - (2 - math.log(2)))


def test_cross_entropy_by_hand():
    """The best of two phrases gives class 1 the score log 3 against 0: probabilities 3/4 and 1/4."""
    text = torch.tensor([[0.0, 1.0], [-1.0, 0.0], [1.0, 0.0]])
    points = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0], [9.0, 9.0]])
    value = semantic_cross_entropy(points, text, torch.tensor([1, 0, -1]), torch.tensor([0, 1, 1]), 2)
    assert float(value) == pytest.approx(-(math.log(3 / 4) + math.log(1 / 4)) / 2)


def test_rare_classes_weigh_more_by_hand():
    """Probabilities 1/2, 1/4 and 3/4 of the own class, two points of class 0 and one of class 1."""
    text, points = torch.eye(2), torch.tensor([[0.0, 0.0], [0.0, math.log(3)], [0.0, math.log(3)]])
    phrase, losses = torch.tensor([0, 0, 1]), [math.log(2), math.log(4), math.log(4 / 3)]
    for rare, weights in ((1.0, (0.5, 0.5, 1.0)), (0.5, (0.5**0.5, 0.5**0.5, 1.0)), (0.0, (1.0, 1.0, 1.0))):
        value = semantic_cross_entropy(points, text, phrase, torch.arange(2), 2, rare=rare)
        assert float(value) == pytest.approx(np.average(losses, weights=weights))


@both
def test_gradients_are_differences(loss):
    points, text, phrase = draw(1, 12)
    assert torch.autograd.gradcheck(lambda p: loss(p, text, phrase), points)
    (gradient,) = torch.autograd.grad(loss(points, text, phrase), points)
    assert gradient[phrase >= 0].any(dim=1).all()
    assert not gradient[phrase < 0].any()


@pytest.mark.parametrize("row", range(6))
def test_a_point_that_moves_towards_its_text_lowers_the_loss(row):
    """Texts at right angles, so that it comes no nearer to any other."""
    points, text = draw(2, 6)[0].detach(), torch.eye(6, dtype=torch.float64)[:5]
    phrase = torch.tensor([0, 1, 2, 3, 4, 3])
    moved = points.clone()
    moved[row] += 0.1 * text[phrase[row]]
    assert infonce(moved, text, phrase) < infonce(points, text, phrase)


@both
def test_a_point_without_a_label_does_not_count(loss):
    points, text, phrase = draw(3, 20)
    known = phrase >= 0
    assert 0 < known.sum() < 20
    torch.testing.assert_close(
        loss(points, text, phrase), loss(points[known], text, phrase[known]), rtol=1e-12, atol=0
    )


@both
@pytest.mark.parametrize("count", [0, 3])
def test_without_labels_the_loss_is_zero_and_can_be_differentiated(loss, count):
    points, text, _ = draw(4, count)
    value = loss(points, text, torch.full((count,), -1))
    value.backward()
    assert (float(value.detach()), points.grad.count_nonzero()) == (0, 0)


def test_infonce_of_a_single_class_is_zero():
    """There is no point of another class to tell it from."""
    points, text, _ = draw(5, 3)
    value = infonce(points, text, torch.tensor([1, 2, 2]))
    value.backward()
    assert (float(value.detach()), points.grad.count_nonzero()) == (0, 0)


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_features_with_products_beyond_float16_lose_nothing(loss, dtype):
    """Products of up to 500 x 500 = 250000, among numbers that each type has exactly; also under autocast."""
    points, text, phrase = draw(6, 40, dtype=torch.float32)
    points, text = ((500 * x.detach()).to(dtype) for x in (points, text))
    expected = loss(points.double(), text.double(), phrase)
    points.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(points, text, phrase)
    value.backward()
    assert value.dtype == torch.float32
    assert float(value.detach()) == pytest.approx(float(expected), rel=1e-6)
    assert points.grad.isfinite().all()
    assert points.grad.any()
