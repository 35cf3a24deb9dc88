"""Colours of classes, judged by other models of the eye than the one they are chosen by."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest

from clip2scene_core.palette import distinct_colours

VIENOT = {
    "all cones": np.eye(3),
    "no red cones": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "no green cones": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}
"""Linear RGB as seen, by Viénot, Brettel and Mollon (1999)."""


def lab(rgb, vision):
    """(N, 3) CIELAB of colours 0..255 as that eye sees them."""
    seen = (np.array(rgb) / 255.0) ** 2.2 @ np.array(vision).T
    srgb = np.clip(seen, 0, 1) ** (1 / 2.2)
    return cv2.cvtColor(srgb.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]


@pytest.mark.parametrize("eye", VIENOT)
def test_a_dozen_colours_can_be_told_apart(eye):
    found = lab([*distinct_colours(12), (96, 96, 96)], VIENOT[eye])
    assert min(np.linalg.norm(a - b) for a, b in combinations(found, 2)) > 10


def test_more_colours_begin_with_the_same_and_avoid_those_that_are_taken():
    taken = [(0, 60, 220), (255, 30, 30)]
    forty = distinct_colours(40, taken)
    assert distinct_colours(7, taken) == forty[:7]
    assert len({*forty, *taken}) == 42
    eyes = [lab([*taken, *forty], vision) for vision in VIENOT.values()]
    first = [np.linalg.norm(seen[:2, None] - seen[None, 2:9], axis=2).min() for seen in eyes]
    assert min(first) > 10


def test_there_is_a_colour_for_every_class_however_many():
    assert len(distinct_colours(2000)) == 2000
    assert distinct_colours(0) == []
