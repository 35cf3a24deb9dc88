"""Colours for classes that have none: as different as can be, to colour-blind eyes too."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

LEVELS = (16, 56, 96, 136, 176, 216, 255)
"""Values of red, green and blue among which colours are chosen."""
LIGHTNESS = (0.4, 0.92)
"""Bounds in Oklab, 0..1: what is darker or lighter looks like shadow or sky in an overlay."""
UNLABELLED = (96, 96, 96)
"""RGB of what has no class."""

VISION = np.array(
    [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ]
)
"""Linear RGB as seen by most people, without red cones, without green cones (Machado et al., 2009)."""
LMS_FROM_RGB = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
"""First step from linear RGB to Oklab (Ottosson, 2020)."""
OKLAB_FROM_LMS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""Second step, after a cube root; distances in Oklab are about as large as they look."""


def distinct_colours(count: int, taken: Collection[tuple[int, ...]] = ()) -> list[tuple[int, ...]]:
    """`count` RGB colours 0..255, each as far as can be from `taken`, grey, and those before it.

    More colours begin with the same ones; after some 300 they repeat.
    """
    levels = np.array(LEVELS)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = _as_seen(candidates)
    fit = (seen[0, :, 0] > LIGHTNESS[0]) & (seen[0, :, 0] < LIGHTNESS[1])
    candidates, seen = candidates[fit], seen[:, fit]
    nearest = np.full(len(candidates), np.inf)
    for other in np.swapaxes(_as_seen(np.array([UNLABELLED, *taken])), 0, 1):
        nearest = np.minimum(nearest, _distance(seen, other))
    chosen = []
    for _ in range(min(count, len(candidates))):
        best = int(nearest.argmax())
        chosen.append(tuple(candidates[best].tolist()))
        nearest = np.minimum(nearest, _distance(seen, seen[:, best]))
    return [chosen[index % len(chosen)] for index in range(count)]


def _as_seen(rgb: np.ndarray) -> np.ndarray:
    """(3, N, 3) Oklab of (N, 3) colours, by kind of vision."""
    share = rgb / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISION.transpose(0, 2, 1), 0, 1)
    return np.cbrt(seen @ LMS_FROM_RGB.T) @ OKLAB_FROM_LMS.T


def _distance(seen: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N,) distance of colours (3, N, 3) from one (3, 3), to the eyes that tell them apart least."""
    return np.linalg.norm(seen - other[:, None], axis=2).min(axis=0)
