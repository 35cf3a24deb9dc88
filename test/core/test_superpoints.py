"""Superpoints of scenes that were made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_core.superpoints import GROUND_PIECE_M, PIECE_M, superpoints


def plane(size_m=20.0, step_m=0.2):
    along = np.arange(-size_m / 2, size_m / 2, step_m) + step_m / 2
    x, y = (values.ravel() for values in np.meshgrid(along, along))
    return np.column_stack([x, y, np.full(len(x), -1.7)])


def box(corner, size, step_m=0.1):
    """Points all through a box."""
    axes = [np.arange(low, low + length, step_m) for low, length in zip(corner, size, strict=True)]
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3)


def of_parts(*parts):
    """The superpoints of each part of a scene."""
    labels = superpoints(np.concatenate(parts).astype(np.float32))
    assert set(labels.tolist()) == set(range(labels.max() + 1))
    return np.split(labels, np.cumsum([len(part) for part in parts])[:-1])


def test_things_that_stand_apart_are_different_even_within_a_cube():
    post, other = box((4.1, 0.1, -1.7), (0.2, 0.2, 1.5)), box((5.3, 0.1, -1.7), (0.2, 0.2, 1.5))
    _, first, second = of_parts(plane(), post, other)
    high = post[:, 2] > -1.3
    assert len(set(first[high])) == len(set(second[high])) == 1
    assert not set(first) & set(second)


def test_the_foot_of_a_thing_is_ground():
    post = box((4.1, 0.1, -1.7), (0.2, 0.2, 1.5))
    ground, first = of_parts(plane(), post)
    low = post[:, 2] < -1.5
    assert set(first[low]) <= set(ground) and not set(first[post[:, 2] > -1.3]) & set(ground)


def test_ground_and_long_things_come_in_pieces():
    wall = box((-8.0, 5.0, -1.7), (16.0, 0.2, 4.0))
    ground, long = of_parts(plane(), wall)
    assert len(set(ground)) == pytest.approx((20 / GROUND_PIECE_M) ** 2, rel=0.1)
    pieces = [wall[long == piece] for piece in set(long) - set(ground)]
    assert len(pieces) >= 16 / PIECE_M
    assert max(np.ptp(piece, axis=0).max() for piece in pieces) <= PIECE_M


def test_no_points_have_no_superpoints():
    assert superpoints(np.empty((0, 3), np.float32)).shape == (0,)


def test_nothing_but_ground():
    assert len(set(superpoints(plane(4.0).astype(np.float32)))) == 16
