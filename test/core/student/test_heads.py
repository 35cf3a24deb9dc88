"""Heads and classification against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from clip2scene_core.student import StudentHeads, classify


def test_classify_takes_the_best_phrase_of_each_class() -> None:
    text = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    features = torch.tensor([[3.0, 0.0], [0.0, -1.0]])
    scores = classify(features, text, torch.tensor([0, 1, 1]), 2)
    half = math.sqrt(0.5)
    torch.testing.assert_close(scores, torch.tensor([[1.0, half], [0.0, -half]]))


def test_classify_ignores_length() -> None:
    generator = torch.Generator().manual_seed(0)
    features, text = torch.randn(7, 5, generator=generator), torch.randn(4, 5, generator=generator)
    phrase_class = torch.tensor([1, 0, 2, 1])
    scores = classify(features, text, phrase_class, 3)
    torch.testing.assert_close(classify(9 * features, text * 0.1, phrase_class, 3), scores)
    assert scores.abs().max() <= 1 + 1e-6


def test_a_class_without_phrase_never_wins() -> None:
    scores = classify(torch.ones(2, 3), -torch.ones(1, 3), torch.tensor([1]), 3)
    torch.testing.assert_close(scores[:, 1], torch.tensor([-1.0, -1.0]))
    assert scores[:, [0, 2]].isneginf().all()


def test_classify_sends_gradient_to_the_best_phrase_only() -> None:
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    classify(torch.tensor([[3.0, 1.0]]), text, torch.tensor([0, 0]), 1).sum().backward()
    assert text.grad[0].any() and not text.grad[1].any()


def test_each_loss_has_its_own_head() -> None:
    torch.manual_seed(0)
    heads = StudentHeads(6, 4)
    heads(torch.randn(3, 6)).temporal.sum().backward()
    assert heads.semantic.weight.grad is None
    assert heads.temporal.weight.grad.any()


@pytest.mark.parametrize("rows", [0, 3])
def test_the_temporal_head_can_be_left_out(rows: int) -> None:
    output = StudentHeads(6, 4)(torch.randn(rows, 6), temporal=False)
    assert output.temporal is None
    assert output.semantic.shape == (rows, 4)
