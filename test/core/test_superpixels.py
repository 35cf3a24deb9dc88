"""Superpixels of a picture whose regions are known."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from clip2scene_core.errors import MissingExtraError
from clip2scene_core.superpixels import superpixels


def test_regions_keep_to_one_colour_and_are_numbered_from_zero():
    """A red, a green and a blue strip, whose edges at 60 and 120 are blurred by 3 pixels."""
    strip = np.repeat([0, 1, 2], 60)
    rgb = np.broadcast_to((np.eye(3) * 255).astype(np.uint8)[strip], (90, 180, 3))
    region = superpixels(rgb, segments=50)
    assert (region.shape, region.dtype) == ((90, 180), np.int64)
    numbers = np.unique(region)
    assert np.array_equal(numbers, np.arange(len(numbers)))
    assert 30 <= len(numbers) <= 60
    columns = np.broadcast_to(strip, region.shape)
    counts = np.array([np.bincount(columns[region == n], minlength=3) for n in numbers])
    strayed = np.unique(np.nonzero(counts.argmax(axis=1)[region] != columns)[1])
    assert np.abs(strayed[:, None] + 0.5 - [60, 120]).min(axis=1).max() <= 4


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(MissingExtraError, match=r"scikit-image is not installed.*clip2scene_ros\[train\]"):
        superpixels(np.zeros((4, 4, 3), np.uint8))
