"""Rigid transforms and the occlusion tests.

Shapes: N points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clip2scene_core.errors import CalibrationError


@dataclass(frozen=True, slots=True, eq=False)
class SE3:
    """A rigid transform; instances are named `target_from_source` and chain with `@`."""

    matrix: np.ndarray
    """(4, 4) float64, homogeneous; translation in metres."""

    @classmethod
    def identity(cls) -> SE3:
        """Both frames are the same."""
        return cls(np.eye(4))

    @classmethod
    def from_rotation_translation(cls, rotation: ArrayLike, translation_m: ArrayLike) -> SE3:
        """From a (3, 3) rotation matrix and a (3,) translation in metres."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = translation_m
        return cls(matrix)

    @classmethod
    def from_quaternion(cls, quaternion_xyzw: ArrayLike, translation_m: ArrayLike) -> SE3:
        """From a quaternion in ROS order (x, y, z, w), any non-zero norm, and a (3,) translation.

        Raises CalibrationError where the quaternion is zero or not finite.
        """
        quaternion = np.asarray(quaternion_xyzw, np.float64)
        with np.errstate(over="ignore"):
            norm = np.linalg.norm(quaternion)
        if not np.isfinite(norm) or norm < 1e-9:
            raise CalibrationError(f"quaternion (x, y, z, w) = {quaternion.tolist()} is no rotation")
        x, y, z, w = quaternion / norm
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return cls.from_rotation_translation(rotation, translation_m)

    @classmethod
    def from_yaw(cls, yaw_rad: float, translation_m: ArrayLike) -> SE3:
        """A rotation about z (counter-clockwise seen from above), then a translation."""
        c, s = np.cos(yaw_rad), np.sin(yaw_rad)
        rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        return cls.from_rotation_translation(rotation, translation_m)

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) float64."""
        return self.matrix[:3, :3]

    @property
    def translation(self) -> np.ndarray:
        """(3,) float64, metres."""
        return self.matrix[:3, 3]

    def quaternion_xyzw(self) -> np.ndarray:
        """(4,) float64 unit quaternion in ROS order, w >= 0 (Shepperd's method)."""
        r = self.rotation
        diagonal = np.array([r[0, 0], r[1, 1], r[2, 2], np.trace(r)])
        largest = int(np.argmax(diagonal))
        if largest == 3:
            q = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], 1 + diagonal[3]])
        else:
            i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
            q = np.empty(4)
            q[i] = 1 + r[i, i] - r[j, j] - r[k, k]
            q[j] = r[j, i] + r[i, j]
            q[k] = r[k, i] + r[i, k]
            q[3] = r[k, j] - r[j, k]
        q /= np.linalg.norm(q)
        return -q if q[3] < 0 else q

    def inverse(self) -> SE3:
        """`source_from_target`."""
        rotation = self.rotation.T
        return SE3.from_rotation_translation(rotation, -rotation @ self.translation)

    def __matmul__(self, other: SE3) -> SE3:
        return SE3(self.matrix @ other.matrix)

    def apply(self, xyz: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the source frame in the target frame; keeps the floating dtype."""
        dtype = xyz.dtype if np.issubdtype(xyz.dtype, np.floating) else np.float64
        return xyz @ self.rotation.T.astype(dtype) + self.translation.astype(dtype)

    def interpolate(self, other: SE3, fraction: float) -> SE3:
        """The pose `fraction` of the way to `other`: slerp for rotation, linear for translation."""
        a, b = self.quaternion_xyzw(), other.quaternion_xyzw()
        cosine = float(a @ b)
        if cosine < 0:
            b, cosine = -b, -cosine
        angle = np.arccos(min(cosine, 1.0))
        if angle < 1e-6:
            q = a + fraction * (b - a)
        else:
            q = (np.sin((1 - fraction) * angle) * a + np.sin(fraction * angle) * b) / np.sin(angle)
        translation = self.translation + fraction * (other.translation - self.translation)
        return SE3.from_quaternion(q, translation)


def visible(
    pixels: np.ndarray,
    depth_m: np.ndarray,
    *,
    cell_px: float | None = None,
    margin_m: float = 0.5,
    margin_ratio: float = 0.05,
) -> np.ndarray:
    """Occlusion test: (N,) bool, False where nearer points surround the point in the image.

    The LiDAR sits above the cameras and sees over things that hide what lies behind them. A point is
    hidden when the cells of `cell_px` above, below, left and right of its own (three on each side)
    all hold a point nearer by more than `margin_m` + `margin_ratio` x depth. On one surface, however
    slanted, one side is always farther, so a surface never hides itself. By default a cell is 1.5 times
    as wide as the points are apart on average. Takes pixels inside the image (see cameras.in_image); NaN
    pixels are not visible.
    """
    shown = np.isfinite(pixels).all(axis=1) & (depth_m > 0)
    if not shown.any():
        return shown
    if cell_px is None:
        area_px = np.prod(np.ptp(pixels[shown], axis=0) + 1.0)
        cell_px = 1.5 * np.sqrt(area_px / shown.sum())
    cells = np.floor(pixels[shown] / cell_px).astype(np.int64)
    column, row = (cells - cells.min(axis=0) + 1).T
    depth = depth_m[shown]
    nearest = np.full((row.max() + 2, column.max() + 2), np.inf)
    np.minimum.at(nearest, (row, column), depth)
    across, down = _smallest_of_three(nearest), _smallest_of_three(nearest.T).T
    sides = across[row - 1, column], across[row + 1, column], down[row, column - 1], down[row, column + 1]
    shown[shown] = depth <= np.maximum.reduce(sides) + margin_m + margin_ratio * depth
    return shown


def depth_agrees(
    pixels: np.ndarray, depth_m: np.ndarray, image_depth_m: np.ndarray, *, margin_m: float = 0.05
) -> np.ndarray:
    """Occlusion test for images with depth: (N,) bool, True where the image measured the point's own depth.

    `pixels` (N, 2) and `depth_m` (N,) are those of cameras.project, `image_depth_m` (H, W) the image's. A
    point off the image, or where nothing was measured, is not known to be seen: False.
    """
    height, width = image_depth_m.shape
    column, row = np.rint(pixels).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    measured_m = image_depth_m[row[inside].astype(np.intp), column[inside].astype(np.intp)]
    agrees = np.zeros(len(pixels), bool)
    agrees[inside] = np.abs(measured_m - depth_m[inside]) <= margin_m
    return agrees


def _smallest_of_three(grid: np.ndarray) -> np.ndarray:
    """Each cell's minimum over itself and its neighbours in the same row."""
    padded = np.pad(grid, ((0, 0), (1, 1)), constant_values=np.inf)
    return np.minimum.reduce([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]])
