"""What textures are made of: noise of one wavelength, grid lines and random numbers per cell.

All of it is filtered to what a pixel can show: detail finer than a pixel's footprint fades to its mean,
so that nothing flickers. Shapes: N pixels; coordinates and footprints are float32 metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

_TILE = 256
_TEXELS = 6.0
"""Of the tile per wavelength."""


@cache
def _tile() -> np.ndarray:
    """(_TILE, _TILE) float32: periodic noise of one wavelength, mean 0, standard deviation 1."""
    white = np.fft.rfft2(np.random.default_rng(20).normal(size=(_TILE, _TILE)))
    frequency = np.hypot(np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)) * _TEXELS
    band = np.exp(-(((frequency - 1.0) / 0.45) ** 2)) * (frequency > 0)
    noise = np.fft.irfft2(white * band, s=(_TILE, _TILE))
    return (noise / noise.std()).astype(np.float32)


def noise(x: np.ndarray, y: np.ndarray, wavelength_m: float, footprint_m: np.ndarray | float) -> np.ndarray:
    """(N,) smooth noise of unit standard deviation, less where the footprint nears the wavelength."""
    column, fx = _split(x * np.float32(_TEXELS / wavelength_m))
    row, fy = _split(y * np.float32(_TEXELS / wavelength_m))
    tile, mask = _tile().ravel(), _TILE - 1
    left, right = column & mask, (column + 1) & mask
    low, high = (row & mask) * _TILE, ((row + 1) & mask) * _TILE
    bottom = tile[low + left] * (1 - fx) + tile[low + right] * fx
    top = tile[high + left] * (1 - fx) + tile[high + right] * fx
    return (bottom + (top - bottom) * fy) * fade(footprint_m, wavelength_m)


def octaves(
    x: np.ndarray, y: np.ndarray, wavelengths_m: Sequence[float], footprint_m: np.ndarray | float
) -> np.ndarray:
    """(N,) the mean of noises of several wavelengths, each turned and shifted against the others."""
    total = np.zeros(len(x), np.float32)
    for k, wavelength in enumerate(wavelengths_m):
        c, s = np.float32(np.cos(1.1 * k)), np.float32(np.sin(1.1 * k))
        total += noise(c * x - s * y + 17.3 * k, s * x + c * y - 9.1 * k, wavelength, footprint_m)
    return total / np.float32(len(wavelengths_m))


def fade(footprint_m: np.ndarray | float, size_m: float) -> np.ndarray:
    """1 where a pixel shows detail of this size, 0 where it is finer than two pixels, smooth between."""
    share = np.clip(1.5 - 2.0 * np.asarray(footprint_m, np.float32) / np.float32(size_m), 0, 1)
    return share * share * (3 - 2 * share)


def lines(x: np.ndarray, period_m: np.ndarray | float, width_m: float, footprint_m: np.ndarray) -> np.ndarray:
    """(N,) share of each pixel that stripes of `width_m` cover, one at the start of each period.

    Exact for a footprint of that length across the stripes.
    """
    half = np.maximum(footprint_m, np.float32(1e-3)) / 2
    return (_covered(x + half, period_m, width_m) - _covered(x - half, period_m, width_m)) / (2 * half)


def _covered(x: np.ndarray, period_m: np.ndarray | float, width_m: float) -> np.ndarray:
    """Length of the stripes between 0 and x."""
    periods = np.floor(x / period_m)
    return periods * np.float32(width_m) + np.minimum(x - periods * period_m, np.float32(width_m))


def step(x: np.ndarray, footprint_m: np.ndarray | float, width: float = 0.0) -> np.ndarray:
    """(N,) 0 for negative and 1 for positive x, smooth over the footprint and at least over `width`."""
    reach = np.maximum(np.asarray(footprint_m, np.float32), np.float32(max(width, 1e-4)))
    return np.clip(x / reach + np.float32(0.5), 0, 1)


def random(*keys: np.ndarray | int) -> np.ndarray:
    """(N,) float32 in [0, 1), the same for the same whole numbers and unlike for any others."""
    mixed: np.ndarray = np.full(1, 0x9E3779B9, np.uint32)
    with np.errstate(over="ignore"):
        for key in keys:
            mixed = (mixed ^ np.asarray(key).astype(np.int64).astype(np.uint32)) * np.uint32(0x85EBCA6B)
            mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(0xC2B2AE35)
            mixed = mixed ^ (mixed >> np.uint32(13))
    return (mixed >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def cells(x: np.ndarray, size_m: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers (N,) of the cells that x lies in, and the place in the cell, 0..1."""
    return _split(x / size_m)


def _split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    whole = np.floor(x)
    return whole.astype(np.int32), x - whole
