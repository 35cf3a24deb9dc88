"""Windows: where they lie, how they are blended, and that nobody sees their borders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from clip2scene_core.clip import windows
from clip2scene_core.clip.dense import DenseClip
from clip2scene_core.clip.windows import blending_weights, through_windows, window_starts

AXES = [(100, 14, 7), (57, 14, 14), (57, 14, 5), (15, 14, 7), (14, 14, 7), (3, 14, 7), (1, 1, 1)]
"""Patches of an axis, of a window, and from one window to the next."""


def mean_colour(images: torch.Tensor) -> torch.Tensor:
    """An encoder whose patches know nothing of each other, for which windows change nothing."""
    return F.avg_pool2d(images, 8)


@pytest.mark.parametrize(("patches", "window", "stride"), AXES)
def test_windows_reach_every_patch_and_end_with_the_axis(patches, window, stride):
    starts = window_starts(patches, window, stride)
    seen = {patch for start in starts for patch in range(start, start + min(window, patches))}
    assert seen == set(range(patches))
    assert starts == sorted(set(starts))
    assert all(start % stride == 0 for start in starts[:-1])


@pytest.mark.parametrize(("patches", "window", "stride"), AXES)
def test_at_every_patch_the_weights_sum_to_one(patches, window, stride):
    starts = window_starts(patches, window, stride)
    total = torch.zeros(patches)
    for start, weights in zip(starts, blending_weights(patches, window, starts), strict=True):
        assert (weights > 0).all()
        total[start : start + len(weights)] += weights
    torch.testing.assert_close(total, torch.ones(patches))


def test_weights_of_two_windows_that_overlap_by_half():
    """sin^2 and cos^2 share the overlap: 1/8 pi and 3/8 pi from the border."""
    found = blending_weights(6, 4, [0, 2])
    small = 0.5 - 0.5 * 2**-0.5
    expected = torch.tensor([[1, 1, 1 - small, small], [small, 1 - small, 1, 1]])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("at_once", [1, 100, windows.PATCHES_AT_ONCE])
@pytest.mark.parametrize("size", [(40, 88), (8, 16), (32, 32)])
def test_what_does_not_depend_on_its_surroundings_comes_through_unchanged(size, at_once, monkeypatch):
    monkeypatch.setattr(windows, "PATCHES_AT_ONCE", at_once)
    images = torch.randn(2, 3, *size)
    found = through_windows(mean_colour, images, channels=3, patch_px=8, window=4, stride=3)
    torch.testing.assert_close(found, mean_colour(images))


def test_a_window_that_covers_the_image_is_the_whole_image(tiny_clip, images):
    whole, window = DenseClip(tiny_clip()), DenseClip(tiny_clip(), window_px=32)
    expected, found = whole(images[:, :20], keys=True), window(images[:, :20], keys=True)
    assert torch.equal(found.features, expected.features)
    assert torch.equal(found.keys, expected.keys)
    assert found.image_size == expected.image_size == (24, 32)


def test_one_window_beside_the_other_sees_what_it_would_see_alone(tiny_clip):
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3), np.uint8)
    found = DenseClip(tiny_clip(), window_px=32, stride_px=32)(image).features
    alone = DenseClip(tiny_clip())(np.concatenate(np.split(image, 2, axis=2))).features
    torch.testing.assert_close(found, torch.cat(list(alone), dim=2)[None])


def test_an_image_that_moved_by_a_stride_moves_its_features(tiny_clip):
    dense = DenseClip(tiny_clip(), mode="plain", window_px=32, stride_px=16)
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 128, 3), np.uint8)
    before, after = dense(image).features, dense(image[:, :, 16:]).features
    inside = slice(2, None)  # what only windows see that are in both images
    torch.testing.assert_close(before[..., 2:][..., inside], after[..., inside])
