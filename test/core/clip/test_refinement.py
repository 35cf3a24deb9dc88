"""Prompt denoising and key smoothing against loops over images, patches and classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from clip2scene_core.clip import refinement
from clip2scene_core.clip.refinement import denoise_prompts, smooth_by_keys

T = 0.05


def softmax(scores: np.ndarray) -> np.ndarray:
    exp = np.exp((scores - scores.max()) / T)
    return exp / exp.sum()


def maps(seed: int) -> tuple[Tensor, Tensor]:
    """Scores (2, 4, 3, 5) of street-like contrast, and keys (2, 6, 3, 5), some of which are opposite."""
    generator = torch.Generator().manual_seed(seed)
    scores = 0.25 + 0.05 * torch.randn(2, 4, 3, 5, generator=generator)
    return scores, torch.randn(2, 6, 3, 5, generator=generator)


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9])
def test_denoising_drops_classes_that_are_sure_nowhere_in_the_image(threshold: float) -> None:
    scores, _ = maps(0)
    scores[:, 1] -= 0.2
    denoised = denoise_prompts(scores, temperature=T, threshold=threshold)
    for b in range(2):
        best = [
            max(softmax(scores[b, :, y, x].numpy())[c] for y in range(3) for x in range(5)) for c in range(4)
        ]
        dropped = [c for c in range(4) if best[c] < threshold and c != int(np.argmax(best))]
        assert 1 in dropped and len(dropped) < 4
        for c in range(4):
            expected = torch.full((3, 5), refinement.ABSENT) if c in dropped else scores[b, c]
            torch.testing.assert_close(denoised[b, c], expected, rtol=0, atol=0)


def test_an_image_without_a_sure_class_keeps_its_best_one() -> None:
    scores = torch.zeros(1, 3, 2, 2)
    scores[0, 2, 1, 0] = 0.01
    denoised = denoise_prompts(scores, temperature=T, threshold=0.9)
    assert (denoised[0, :2] == refinement.ABSENT).all()
    assert denoised.argmax(dim=1).unique().tolist() == [2]
    assert (F.interpolate(denoised, size=(7, 9), mode="bilinear").argmax(dim=1) == 2).all()


@pytest.mark.parametrize("pairs", [1, 40, 1 << 24])
@pytest.mark.parametrize("threshold", [0.6, 1.0])
def test_smoothing_is_a_mean_over_patches_that_look_alike(
    threshold: float, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever number of similarities is held at once."""
    monkeypatch.setattr(refinement, "PAIRS", pairs)
    scores, keys = maps(1)
    keys[0, :, 0, 0] = 0
    smoothed = smooth_by_keys(scores, keys, temperature=T, threshold=threshold)
    kept = 0
    patches = [(y, x) for y in range(3) for x in range(5)]
    for b in range(2):
        probability = {at: softmax(scores[b, :, at[0], at[1]].double().numpy()) for at in patches}
        key = {at: keys[b, :, at[0], at[1]].double().numpy() for at in patches}
        for at in patches:
            if probability[at].max() >= threshold:
                kept += 1
                assert torch.equal(smoothed[b, :, at[0], at[1]], scores[b, :, at[0], at[1]])
                continue
            total, weights = np.zeros(4), 0.0
            for other in patches:
                length = np.linalg.norm(key[at]) * np.linalg.norm(key[other])
                cosine = 1.0 if other == at else (key[at] @ key[other] / length if length else 0.0)
                total += max(0.0, cosine) * probability[other]
                weights += max(0.0, cosine)
            got = softmax(smoothed[b, :, at[0], at[1]].double().numpy())
            np.testing.assert_allclose(got, total / weights, atol=1e-6)
    assert kept == 0 if threshold == 1.0 else 0 < kept < 30


def test_a_doubtful_patch_takes_the_class_of_its_like() -> None:
    """Worked out by hand: patch 1 looks like patch 0 and not at all like patch 2."""
    scores = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.001, 0.0]]).reshape(1, 2, 1, 3)
    keys = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).reshape(1, 2, 1, 3)
    smoothed = smooth_by_keys(scores, keys, temperature=0.01, threshold=0.9)
    first = 1 / (1 + math.exp(0.1))  # of patch 1; patch 0 gives 0 and 1
    expected = torch.tensor([first / 2, 1 - first / 2])
    torch.testing.assert_close((smoothed[0, :, 0, 1] / 0.01).softmax(dim=0), expected)
    assert torch.equal(smoothed[..., [0, 2]], scores[..., [0, 2]])


def test_a_class_that_denoising_dropped_stays_dropped() -> None:
    scores, keys = maps(2)
    scores[:, 3] -= 0.3
    denoised = denoise_prompts(scores, temperature=T)
    smoothed = smooth_by_keys(denoised, keys, temperature=T)
    assert (smoothed[:, 3] == refinement.ABSENT).all() and smoothed.isfinite().all()


def test_both_are_off_at_threshold_zero_and_leave_their_input_alone() -> None:
    scores, keys = maps(3)
    before = scores.clone()
    assert denoise_prompts(scores, temperature=T, threshold=0) is scores
    assert smooth_by_keys(scores, keys, temperature=T, threshold=0) is scores
    denoise_prompts(scores, temperature=T, threshold=0.9)
    smooth_by_keys(scores, keys, temperature=T)
    assert torch.equal(scores, before)
