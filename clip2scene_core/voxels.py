"""Points to voxels and back, and what the student is told about each voxel.

Shapes: N points, M points in voxels, V voxels, F input features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.ground import find_ground

COORDINATE_LIMIT = 1 << 20
"""Voxel coordinates lie in +- this, so that three of them pack into one 64-bit key."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voxels:
    """The occupied voxels of one cloud, in ascending order of their coordinates."""

    coordinates: np.ndarray
    """(V, 3) int32, x y z in voxels; voxel i spans [i, i + 1) times the voxel size."""
    voxel_of_point: np.ndarray
    """(N,) int64: row in `coordinates` of each point, -1 for points that are in none."""
    features: np.ndarray
    """(V, F) float32, see FEATURES."""
    points: np.ndarray
    """(M, 3) float32, in voxels: where each of the points lies that are in a voxel, in their order."""

    @property
    def inside(self) -> np.ndarray:
        """(N,) bool: whether each point is in a voxel."""
        return self.voxel_of_point >= 0

    @property
    def row_of_point(self) -> np.ndarray:
        """(N,) int64: row in `points` of each point, -1 for points that are in no voxel."""
        return np.where(self.inside, np.cumsum(self.inside) - 1, -1)


FEATURES = ("height", "offset x", "offset y", "offset z", "low height", "relief")
"""Input features of a voxel, means over its points: height above the ground in metres / 2; position in
the voxel in voxels, -0.5..0.5; the height again in metres x 2 but cut at +-0.5 m, for kerbs and gutters;
relief of the ground in metres x 4, cut at +-0.5 m. With `intensity` the intensity follows, with `rgb` red,
green and blue, -1..1. The distance from the sensor is not told: it would stand for the layout of the places
that were learnt from."""


def occupied(xyz: np.ndarray, size_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Distinct voxels (V, 3) int32 in ascending order and the voxel (N,) of each of the points (N, 3)."""
    cell = np.floor(xyz / np.float32(size_m)).astype(np.int64)
    keys = ((cell[:, 0] + COORDINATE_LIMIT) << 42) | ((cell[:, 1] + COORDINATE_LIMIT) << 21)
    keys |= cell[:, 2] + COORDINATE_LIMIT
    distinct, voxel_of_point = np.unique(keys, return_inverse=True)
    mask = (1 << 21) - 1
    coordinates = np.stack([distinct >> 42, (distinct >> 21) & mask, distinct & mask], axis=1)
    return (coordinates - COORDINATE_LIMIT).astype(np.int32), voxel_of_point


def voxelise(
    xyz_lidar: np.ndarray,
    *,
    size_m: float,
    range_m: float,
    intensity: np.ndarray | None = None,
    rgb: np.ndarray | None = None,
) -> Voxels:
    """Voxels of points (N, 3) in the sensor frame; NaN points and those beyond `range_m` are in none.

    `range_m` is a horizontal distance; `intensity` (N,), where given, must be scaled to about 0..1; `rgb` is
    (N, 3) uint8.
    """
    with np.errstate(invalid="ignore"):
        distance_m = np.hypot(xyz_lidar[:, 0], xyz_lidar[:, 1])
        inside = (distance_m < range_m) & (np.abs(xyz_lidar[:, 2]) < range_m)
    xyz = np.ascontiguousarray(xyz_lidar[inside], np.float32)
    coordinates, voxel = occupied(xyz, size_m)
    points = xyz / np.float32(size_m)
    ground = find_ground(xyz)
    height_m = xyz[:, 2] - ground.height(xyz)
    columns = [
        height_m / 2.0,
        *(points - coordinates[voxel] - 0.5).T,
        np.clip(height_m, -0.5, 0.5) * 2.0,
        np.clip(ground.relief(xyz), -0.5, 0.5) * 4.0,
    ]
    if intensity is not None:
        columns.append(intensity[inside])
    if rgb is not None:
        columns.extend((rgb[inside] / 127.5 - 1).T)
    count = np.bincount(voxel, minlength=len(coordinates))
    sums = [np.bincount(voxel, weights=column, minlength=len(coordinates)) for column in columns]
    voxel_of_point = np.full(len(xyz_lidar), -1, np.int64)
    voxel_of_point[inside] = voxel
    return Voxels(
        coordinates=coordinates,
        voxel_of_point=voxel_of_point,
        features=(np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]).astype(np.float32),
        points=points,
    )
