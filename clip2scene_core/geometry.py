"""Rigid transforms, camera models, projection and the occlusion test.

Shapes: N points. Frames: ROS conventions; a camera's optical frame is x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from clip2scene_core.errors import CalibrationError

CameraModel = Literal["pinhole", "plumb_bob", "rational_polynomial", "equidistant"]

DISTORTION_COEFFICIENTS: dict[str, tuple[int, ...]] = {
    "pinhole": (0,),
    "plumb_bob": (4, 5),
    "rational_polynomial": (8,),
    "equidistant": (4,),
}
"""How many coefficients each model takes, in the order of sensor_msgs/CameraInfo.d and OpenCV."""


@dataclass(frozen=True, slots=True, eq=False)
class SE3:
    """A rigid transform; instances are named `target_from_source` and chain with `@`."""

    matrix: np.ndarray
    """(4, 4) float64, homogeneous; translation in metres."""

    @classmethod
    def identity(cls) -> SE3:
        return cls(np.eye(4))

    @classmethod
    def from_rotation_translation(cls, rotation: np.ndarray, translation_m: np.ndarray) -> SE3:
        """From a (3, 3) rotation matrix and a (3,) translation in metres."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = translation_m
        return cls(matrix)

    @classmethod
    def from_quaternion(cls, quaternion_xyzw: np.ndarray, translation_m: np.ndarray) -> SE3:
        """From a quaternion in ROS order (x, y, z, w), any non-zero norm, and a (3,) translation.

        Raises CalibrationError where the quaternion is zero or not finite.
        """
        quaternion = np.asarray(quaternion_xyzw, np.float64)
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
    def from_yaw(cls, yaw_rad: float, translation_m: np.ndarray) -> SE3:
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Camera:
    """Intrinsics of one camera, as in sensor_msgs/CameraInfo and OpenCV."""

    width: int
    height: int
    matrix: np.ndarray
    """(3, 3) float64: focal lengths and principal point in pixels."""
    model: CameraModel = "pinhole"
    distortion: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """(D,) float64, in the order of sensor_msgs/CameraInfo.d; see DISTORTION_COEFFICIENTS."""

    def __post_init__(self) -> None:
        if self.model not in DISTORTION_COEFFICIENTS:
            known = ", ".join(DISTORTION_COEFFICIENTS)
            raise CalibrationError(f"camera model '{self.model}' is unknown; known are {known}")
        expected = DISTORTION_COEFFICIENTS[self.model]
        if len(self.distortion) not in expected:
            raise CalibrationError(
                f"camera model {self.model} takes {expected} distortion coefficients, "
                f"got {len(self.distortion)}"
            )
        if self.matrix.shape != (3, 3) or not self.matrix[0, 0] > 0 or not self.matrix[1, 1] > 0:
            raise CalibrationError("camera matrix must be 3x3 with positive focal lengths: not calibrated?")


def project(camera: Camera, xyz_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) as (column, row) and depths (N,) in metres of points (N, 3) in the optical frame.

    Pixel centres are whole numbers. Points at or behind the image plane have NaN pixels.
    """
    xyz = np.asarray(xyz_camera, np.float64)
    depth_m = xyz[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        normalised = np.where(depth_m[:, None] > 0, xyz[:, :2] / depth_m[:, None], np.nan)
    x, y = _distort(camera, normalised).T
    k = camera.matrix
    pixels = np.stack([k[0, 0] * x + k[0, 1] * y + k[0, 2], k[1, 1] * y + k[1, 2]], axis=1)
    return pixels, depth_m


def _distort(camera: Camera, xy: np.ndarray) -> np.ndarray:
    """Distorted normalised coordinates (N, 2); OpenCV's documented models."""
    if camera.model == "pinhole":
        return xy
    x, y = xy.T
    r2 = x * x + y * y
    if camera.model == "equidistant":
        r = np.sqrt(r2)
        theta = np.arctan(r)
        k1, k2, k3, k4 = camera.distortion
        t2 = theta * theta
        distorted = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
        scale = np.where(r > 1e-9, distorted / np.maximum(r, 1e-9), 1.0)
        return xy * scale[:, None]
    k1, k2, p1, p2, k3, k4, k5, k6 = np.pad(camera.distortion, (0, 8 - len(camera.distortion)))

    def radial_factor(r2: np.ndarray) -> np.ndarray:
        return (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))

    # Beyond its turning point the polynomial folds far points back into the image; nobody sees them.
    radii = np.linspace(0.0, 5.0, 1001)
    turning = np.flatnonzero(np.diff(radii * radial_factor(radii**2)) <= 0)
    seen = r2 < radii[turning[0]] ** 2 if len(turning) else np.isfinite(r2)
    radial = np.where(seen, radial_factor(r2), np.nan)
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=1,
    )


def in_image(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """(N,) bool: which pixels (N, 2) lie on the sensor; NaN does not."""
    column, row = pixels.T
    return (column > -0.5) & (column < camera.width - 0.5) & (row > -0.5) & (row < camera.height - 0.5)


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
    as wide as the points are apart on average. Takes pixels inside the image (see in_image); NaN pixels
    are not visible.
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


def _smallest_of_three(grid: np.ndarray) -> np.ndarray:
    """Each cell's minimum over itself and its neighbours in the same row."""
    padded = np.pad(grid, ((0, 0), (1, 1)), constant_values=np.inf)
    return np.minimum.reduce([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]])
