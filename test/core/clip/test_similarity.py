"""Features against phrases: numbers worked out by hand, and one feature at a time in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from clip2scene_core.clip.similarity import (
    class_probabilities,
    classify,
    classify_patches,
    softmax_temperature,
)


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
    assert text.grad is not None and text.grad[0].any() and not text.grad[1].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_every_patch_of_a_map_is_classified_by_itself(dtype: torch.dtype, channels_last: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 6, 3, 5, generator=generator).to(dtype)
    features[0, :, 1, 1] = 0  # a patch that says nothing is no division by zero
    if channels_last:
        features = features.contiguous(memory_format=torch.channels_last)
    text, phrase_class = torch.randn(4, 6, generator=generator), torch.tensor([2, 0, 2, 2])
    scores = classify_patches(features, text, phrase_class, 3)
    assert scores.dtype == torch.float32
    assert scores[0, :, 1, 1].tolist() == [0.0, -math.inf, 0.0]
    for b, row, column in [(0, 0, 0), (0, 2, 4), (1, 1, 1), (1, 0, 3)]:
        patch = features[b, :, row, column].double().numpy()
        cosine = [float(patch @ t / np.linalg.norm(patch) / np.linalg.norm(t)) for t in text.double().numpy()]
        expected = [cosine[1], -math.inf, max(cosine[0], cosine[2], cosine[3])]
        np.testing.assert_allclose(scores[b, :, row, column], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 2), (1, 2, 1, 1)])
def test_probabilities_are_a_softmax_over_classes(shape: tuple[int, ...]) -> None:
    scores = torch.tensor([0.30, 0.28], dtype=torch.bfloat16).reshape(shape)
    difference = float(scores.flatten()[0] - scores.flatten()[1])
    first = 1 / (1 + math.exp(-difference / 0.01))
    expected = torch.tensor([first, 1 - first]).reshape(shape)
    torch.testing.assert_close(class_probabilities(scores, 0.01), expected)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_the_temperature_is_the_one_the_clip_was_trained_with(shape: tuple[int, ...]) -> None:
    model = nn.Module()
    model.logit_scale = nn.Parameter(torch.full(shape, math.log(100.0)))
    assert softmax_temperature(model) == pytest.approx(0.01)
