"""Variations of a scan that leave its classes as they are; each takes the generator it draws from.

Shapes: N points in the sensor frame, metres.
"""

from __future__ import annotations

import numpy as np


def rotated(xyz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turned about the vertical by any angle, mirrored with probability 1/2."""
    angle = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(angle), np.sin(angle)
    mirror = rng.choice([-1.0, 1.0])
    matrix = np.array([[c, -s * mirror, 0], [s, c * mirror, 0], [0, 0, 1]], xyz.dtype)
    return xyz @ matrix.T


def scaled(xyz: np.ndarray, rng: np.random.Generator, largest: float) -> np.ndarray:
    """Larger or smaller by at most the share `largest`."""
    return xyz * xyz.dtype.type(1 + rng.uniform(-largest, largest))


def reshaped_ground(
    xyz: np.ndarray, rng: np.random.Generator, *, tilt_deg: float, wave_m: float, crown_m: float
) -> np.ndarray:
    """Everything raised or lowered by a tilted plane, two long waves and a cambered street.

    Real streets slope, dip and fall off to their gutters; whatever stands on them goes along.
    """
    x, y = xyz[:, 0], xyz[:, 1]
    slope_x, slope_y = np.tan(np.radians(rng.uniform(-tilt_deg, tilt_deg, 2)))
    rise = slope_x * x + slope_y * y
    for _ in range(2):
        direction, phase = rng.uniform(0, 2 * np.pi, 2)
        length_m = rng.uniform(15, 80)
        along = x * np.cos(direction) + y * np.sin(direction)
        rise = rise + rng.uniform(0, wave_m) * np.sin(2 * np.pi * along / length_m + phase)
    direction, half_width_m = rng.uniform(0, 2 * np.pi), rng.uniform(3, 10)
    across = (x * np.cos(direction) + y * np.sin(direction) - rng.uniform(-4, 4)) / half_width_m
    rise = rise - rng.uniform(0, crown_m) * np.minimum(across**2, 1)
    return np.column_stack([x, y, xyz[:, 2] + rise]).astype(xyz.dtype)


def jittered(xyz: np.ndarray, rng: np.random.Generator, deviation_m: float) -> np.ndarray:
    """Noise of a standard deviation drawn from 0 to `deviation_m` on every coordinate."""
    noise = rng.standard_normal(xyz.shape, np.float32) * np.float32(rng.uniform(0, deviation_m))
    return xyz + noise


def kept(count: int, rng: np.random.Generator, largest_share: float) -> np.ndarray:
    """Rows (M,) int64 of those that stay when up to `largest_share` of `count` points are left out."""
    share = rng.uniform(0, largest_share) * rng.integers(0, 2)
    return np.flatnonzero(rng.random(count, np.float32) >= share)
