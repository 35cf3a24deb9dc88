"""Labelled streets of a few hundred points."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_core.labels import LabelSet

KITTI = LabelSet.named("semantic_kitti")


def street(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) of a road, a wall and a car, their SemanticKITTI ids, some unknown, the first NaN."""
    rng = np.random.default_rng(seed)
    road = rng.uniform((-10, -4, -1.8), (10, 4, -1.7), (200, 3))
    wall = rng.uniform((-10, 4, -1.8), (10, 4.3, 3), (100, 3))
    car = rng.uniform((2, -3, -1.5), (6, -1.2, -0.2), (60, 3))
    xyz = np.concatenate([np.full((5, 3), np.nan), road, wall, car]).astype(np.float32)
    names = ["building"] * 5 + ["road"] * 200 + ["building"] * 100 + ["car"] * 60
    ids = np.array([KITTI.id_of(name) for name in names])
    ids[::10] = KITTI.ignore_id
    return xyz, ids


@pytest.fixture
def streets(frame_list, make_frame):
    """Makes a FrameSource of so many labelled streets."""
    return lambda count: frame_list([make_frame(*street(seed)) for seed in range(count)], KITTI)
