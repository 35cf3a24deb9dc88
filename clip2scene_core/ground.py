"""The ground below a scan, found in the scan itself: nothing is assumed of how high the sensor is mounted.

Shapes: N points, R x C cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

CELL_M = 2.0
MAX_SLOPE = 0.2
"""Rise per metre that ground may have; steeper things (facades, cars, hedges) stand on it."""
REACH_M = 120.0
RELIEF_CELLS = 9
"""The neighbourhood of `Ground.relief`: 18 m, a street and what lies beside it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """A surface of cells of CELL_M, with heights between their centres by bilinear interpolation."""

    surface: np.ndarray
    """(R, C) float64, z in metres."""
    origin: np.ndarray
    """(2,) float64, metres: x and y of the corner of the first cell."""

    def height(self, xy: np.ndarray) -> np.ndarray:
        """(N,) float32: z in metres of the ground at (N, 2 or more), the nearest known one outside."""
        return self._at(self.surface, xy)

    def relief(self, xy: np.ndarray) -> np.ndarray:
        """(N,) float32: metres that the ground at (N, 2 or more) lies above the middle of its surroundings.

        On an even slope it is 0; a carriageway lies low, its sidewalks and embankments lie high.
        """
        middle = ndimage.median_filter(self.surface, size=RELIEF_CELLS, mode="nearest")
        return self._at(self.surface - middle, xy)

    def _at(self, values: np.ndarray, xy: np.ndarray) -> np.ndarray:
        cell = (np.clip(xy[:, :2], -REACH_M, REACH_M) - self.origin) / CELL_M - 0.5
        return ndimage.map_coordinates(values, cell.T, order=1, mode="nearest", output=np.float32)


def find_ground(xyz: np.ndarray) -> Ground:
    """The ground below points (N, 3), all finite; flat at z = 0 for none.

    The 5 % quantile of the heights in each 2 m cell, freed of cells that only hold echoes from below
    the street, with the nearest cell's height where nothing was seen, under the steepest surface that no
    ground exceeds: the lower envelope of cones of slope 0.2 on all cells. Cells without ground of their
    own (roofs, hedges) so get that of their surroundings.
    """
    if len(xyz) == 0:
        return Ground(surface=np.zeros((1, 1)), origin=np.zeros(2))
    near = np.clip(xyz[:, :2], -REACH_M, REACH_M)
    origin = near.min(axis=0)
    cell = ((near - origin) / CELL_M).astype(np.int32)
    rows, columns = cell.max(axis=0) + 1
    lowest = _lowest_by_cell(cell[:, 0] * columns + cell[:, 1], xyz[:, 2], rows * columns)
    surface = _slope_limited(_filled(_without_echoes(lowest.reshape(rows, columns))))
    return Ground(surface=surface, origin=origin)


def _lowest_by_cell(cell: np.ndarray, z: np.ndarray, count: int) -> np.ndarray:
    """(count,) float32: the 5 % quantile of z by cell; inf where there are no points."""
    millimetres = np.floor(np.clip(z * 1000, -(1 << 30), 1 << 30)).astype(np.int64) + (1 << 31)
    by_cell_and_height = np.sort((cell.astype(np.int64) << 32) | millimetres)
    points = np.bincount(cell, minlength=count)
    first = np.cumsum(points) - points
    occupied = points > 0
    chosen = by_cell_and_height[(first + points // 20)[occupied]]
    lowest = np.full(count, np.inf, np.float32)
    lowest[occupied] = ((chosen & 0xFFFFFFFF) - (1 << 31)) / 1000
    return lowest


def _without_echoes(lowest: np.ndarray) -> np.ndarray:
    """Drops cells far below the lower quartile of the 5 x 5 around them, or with hardly any neighbour.

    Mirrors (windows, wet roads, car bodies) show a LiDAR a world below the street.
    """
    padded = np.pad(lowest, 2, constant_values=np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, (5, 5)).reshape(*lowest.shape, 25)
    around = np.sort(around, axis=-1)
    present = np.isfinite(around).sum(axis=-1)
    quartile = np.take_along_axis(around, (present // 4)[..., None], axis=-1)[..., 0]
    echo = (lowest < quartile - 2 * CELL_M * MAX_SLOPE) | (present < 4)
    kept = np.where(echo, np.inf, lowest)
    return kept if np.isfinite(kept).any() else lowest


def _filled(lowest: np.ndarray) -> np.ndarray:
    """Gives every cell without a height that of the nearest cell with one."""
    unseen = np.isinf(lowest)
    nearest = ndimage.distance_transform_edt(unseen, return_distances=False, return_indices=True)
    return lowest[tuple(nearest)]


def _slope_limited(lowest: np.ndarray) -> np.ndarray:
    """The highest surface below `lowest` that nowhere rises by more than MAX_SLOPE per metre."""
    diagonal = MAX_SLOPE * CELL_M * np.sqrt(2)
    straight = MAX_SLOPE * CELL_M
    cone = np.array([[diagonal, straight, diagonal], [straight, 0, straight], [diagonal, straight, diagonal]])
    surface = lowest.astype(np.float64)
    while True:
        lower = ndimage.grey_erosion(surface, structure=-cone, mode="nearest")
        if np.array_equal(lower, surface):
            return surface
        surface = lower
