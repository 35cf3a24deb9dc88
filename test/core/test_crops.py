"""Crops of images whose colours tell where each pixel comes from."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clip2scene_core.crops import ImageCrop, random_crop, whole_image

ROWS, COLUMNS = np.mgrid[:24, :30]
PLACES = np.stack([8 * COLUMNS, 8 * ROWS, 0 * ROWS], axis=2).astype(np.uint8)
"""Red is 8 x column, green 8 x row."""


@st.composite
def crops(draw):
    height, width = draw(st.integers(8, 24)), draw(st.integers(8, 30))
    return ImageCrop(
        top=draw(st.integers(0, 24 - height)),
        left=draw(st.integers(0, 30 - width)),
        size=(height, width),
        shown_size=(draw(st.integers(6, 60)), draw(st.integers(6, 60))),
        mirrored=draw(st.booleans()),
    )


@given(crops(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_pixel_of_the_crop_shows_what_the_pixel_of_the_image_shows(crop, seed):
    """Read between pixels by OpenCV, away from the edges of the crop, where smoothing has but one side."""
    margin = np.maximum(2, 2 * np.divide(crop.size, crop.shown_size))[::-1]
    low = np.array([crop.left, crop.top]) + margin
    high = np.array([crop.left, crop.top]) + crop.size[::-1] - 1 - margin
    assume((high > low).all())
    pixels = np.random.default_rng(seed).uniform(low, high, (20, 2)).astype(np.float32)
    shown = crop.image(PLACES)
    assert shown.shape == (*crop.shown_size, 3)
    assert crop.holds(pixels).all()
    place = cv2.remap(shown.astype(np.float32), crop.pixels(pixels)[:, None], None, cv2.INTER_LINEAR)
    np.testing.assert_allclose(place[:, 0, :2] / 8, pixels, atol=0.15)


@given(crops())
@settings(max_examples=60, deadline=None)
def test_a_crop_holds_the_pixels_of_its_rectangle(crop):
    pixels = np.stack([COLUMNS, ROWS], axis=2).reshape(-1, 2)
    held = crop.holds(pixels).reshape(ROWS.shape)
    expected = np.zeros(ROWS.shape, bool)
    expected[crop.top : crop.top + crop.size[0], crop.left : crop.left + crop.size[1]] = True
    np.testing.assert_array_equal(held, expected)


def test_a_mirrored_crop_is_the_crop_mirrored():
    crop = ImageCrop(top=3, left=4, size=(10, 16), shown_size=(20, 32))
    np.testing.assert_array_equal(replace(crop, mirrored=True).image(PLACES), crop.image(PLACES)[:, ::-1])


@pytest.mark.parametrize("size", [(900, 1600), (375, 1242), (1280, 720), (3, 5), (1, 1)])
def test_random_crops_lie_in_the_image_and_have_the_shape_that_was_asked_for(size):
    rng = np.random.default_rng(0)
    height, width = size
    drawn = [random_crop(rng, size, (224, 416), least_area=0.3, ratio=(14 / 9, 17 / 9)) for _ in range(200)]
    rows, columns = np.array([crop.size for crop in drawn]).T
    tops, lefts = np.array([crop.top for crop in drawn]), np.array([crop.left for crop in drawn])
    assert (tops >= 0).all() and (tops + rows <= height).all()
    assert (lefts >= 0).all() and (lefts + columns <= width).all()
    if min(size) < 100:
        return
    assert ((columns / rows > 1.54) & (columns / rows < 1.91)).all()
    share = rows * columns / (height * width)
    most = {(900, 1600): 1.0, (375, 1242): 0.571, (1280, 720): 0.362}[size]
    assert 0.295 < share.min() < 0.32
    assert most - 0.05 < share.max() <= most + 0.003
    assert len({*tops}) > 5 and (len({*lefts}) > 5 or size == (1280, 720))


def test_a_wide_crop_of_a_narrow_image_is_all_it_can_be():
    crop = random_crop(np.random.default_rng(0), (1000, 100), (10, 20), least_area=0.3, ratio=(2.0, 2.0))
    assert crop.size == (50, 100)


def test_the_whole_image_keeps_every_pixel():
    crop = whole_image((24, 30), (24, 30))
    np.testing.assert_array_equal(crop.image(PLACES), PLACES)
    corners = np.array([[-0.49, -0.49], [29.49, 23.49], [12.3, 4.5]], np.float32)
    assert crop.holds(corners).all()
    np.testing.assert_allclose(crop.pixels(corners), corners, atol=1e-5)
