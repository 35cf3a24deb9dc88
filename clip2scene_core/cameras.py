"""Cameras: from points to pixels, and from pixels to rays.

Shapes: N points. The optical frame is x right, y down, z forward; pixels are (column, row), and their
centres are whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from clip2scene_core.distortion import EquidistantLens, Lens, PinholeLens, PolynomialLens
from clip2scene_core.errors import CalibrationError

LENSES: dict[str, tuple[Callable[[np.ndarray], Lens], tuple[int, ...]]] = {
    "pinhole": (lambda _: PinholeLens(), (0,)),
    "plumb_bob": (PolynomialLens, (4, 5, 8, 12, 14)),
    "rational_polynomial": (PolynomialLens, (4, 5, 8, 12, 14)),
    "equidistant": (EquidistantLens, (4,)),
}
"""By model: its lens and how many coefficients it takes. Of plumb_bob and rational_polynomial, as in
OpenCV and image_geometry, the number of coefficients tells which terms there are, not the name."""

MOST = 1e100
"""Products of larger coefficients overflow; those of a long lens reach 1e10."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Camera:
    """Intrinsics of one camera, as in sensor_msgs/CameraInfo and OpenCV."""

    width: int
    height: int
    matrix: np.ndarray
    """(3, 3) float64: focal lengths, skew and principal point in pixels."""
    model: str = "pinhole"
    """One of LENSES."""
    distortion: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """(D,) float64, in the order of sensor_msgs/CameraInfo.d and OpenCV; see LENSES."""
    lens: Lens = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.model not in LENSES:
            raise CalibrationError(f"camera model '{self.model}' is unknown; known are {', '.join(LENSES)}")
        expected = LENSES[self.model][1]
        if len(self.distortion) not in expected:
            raise CalibrationError(
                f"camera model {self.model} takes {' or '.join(map(str, expected))} distortion coefficients, "
                f"got {len(self.distortion)}"
            )
        if self.matrix.shape != (3, 3) or not self.matrix[0, 0] > 0 or not self.matrix[1, 1] > 0:
            raise CalibrationError("camera matrix must be 3x3 with positive focal lengths: not calibrated?")
        numbers = np.concatenate([self.matrix.ravel(), self.distortion])
        if not (np.abs(numbers) < MOST).all():
            raise CalibrationError("camera matrix and distortion coefficients must be finite numbers")
        object.__setattr__(self, "lens", _lens(self.model, tuple(self.distortion.tolist())))


@lru_cache(maxsize=64)
def _lens(model: str, distortion: tuple[float, ...]) -> Lens:
    """Drivers send their CameraInfo with every image; its fold is found once."""
    return LENSES[model][0](np.array(distortion))


def resized(camera: Camera, width: int, height: int) -> Camera:
    """The camera of the same pictures at another size, each side stretched by its own factor."""
    scale = np.array([width / camera.width, height / camera.height])
    matrix = camera.matrix.copy()
    matrix[:2] *= scale[:, None]
    matrix[:2, 2] += (scale - 1) / 2  # Whole numbers are centres of pixels, not their corners.
    return replace(camera, width=width, height=height, matrix=matrix)


def project(camera: Camera, xyz_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) and depths (N,) in metres of points (N, 3) in the optical frame, all float64.

    The depth is z. Points that are not in front of the image plane, or beyond the fold of the lens, have
    NaN pixels. Lenses that see more than 180 degrees see points behind their image plane too: these are
    given up, since their depth is negative.
    """
    x, y, depth_m = np.asarray(xyz_camera, np.float64).T
    rows = np.flatnonzero(depth_m > 0)
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = x[rows] / depth_m[rows], y[rows] / depth_m[rows]
        within = x * x + y * y < camera.lens.fold**2
        rows, x, y = rows[within], x[within], y[within]
        x, y = camera.lens.distort(x, y)
    k = camera.matrix
    pixels = np.full((len(depth_m), 2), np.nan)
    pixels[rows, 0] = k[0, 0] * x + k[0, 1] * y + k[0, 2]
    pixels[rows, 1] = k[1, 1] * y + k[1, 2]
    return pixels, depth_m


def rays(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """(N, 3) float64 unit vectors in the optical frame towards pixels (N, 2): the inverse of `project`.

    NaN where no ray within the fold of the lens and in front of the image plane arrives.
    """
    column, row = np.asarray(pixels, np.float64).T
    k = camera.matrix
    y = (row - k[1, 2]) / k[1, 1]
    x = (column - k[0, 2] - k[0, 1] * y) / k[0, 0]
    with np.errstate(all="ignore"):
        x, y = camera.lens.undistort(x, y)
    directions = np.stack([x, y, np.ones_like(x)], axis=1)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def in_image(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """(N,) bool: which pixels (N, 2) lie on the sensor; NaN does not."""
    column, row = pixels.T
    return (column > -0.5) & (column < camera.width - 0.5) & (row > -0.5) & (row < camera.height - 0.5)
