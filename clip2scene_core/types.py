"""The values that travel through the project: scans, images, frames, pairs, labels.

Shapes: N points, M pairs, K sweeps, H x W pixels. Rows are identity: nothing removes or reorders the rows
of a scan; filters return an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from clip2scene_core.cameras import Camera
from clip2scene_core.errors import DataError
from clip2scene_core.geometry import SE3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LidarScan:
    """One rotation of a LiDAR, in the frame of the sensor."""

    xyz: np.ndarray
    """(N, 3) float32, metres, frame `frame_id`; NaN where the sensor had no return."""
    intensity: np.ndarray | None = None
    """(N,) float32, in the sensor's own scale."""
    ring: np.ndarray | None = None
    """(N,) uint16, index of the beam."""
    time_offset_ns: np.ndarray | None = None
    """(N,) int64, time of the return relative to `stamp_ns`, at which the sensor was where `xyz` says; None
    where that is not known, or all points are given as seen at `stamp_ns` (see deskew)."""
    stamp_ns: int
    """Time of the scan, nanoseconds since the epoch (or since the start of a simulation)."""
    frame_id: str
    rgb: np.ndarray | None = None
    """(N, 3) uint8, of clouds that come with colours."""

    def __post_init__(self) -> None:
        if self.xyz.ndim != 2 or self.xyz.shape[1] != 3:
            raise DataError(f"LidarScan.xyz must have shape (N, 3), got {self.xyz.shape}")
        for name in ("intensity", "ring", "time_offset_ns"):
            column = getattr(self, name)
            if column is not None and column.shape != (len(self.xyz),):
                raise DataError(f"LidarScan.{name} must have shape ({len(self.xyz)},), got {column.shape}")
        if self.rgb is not None and self.rgb.shape != self.xyz.shape:
            raise DataError(f"LidarScan.rgb must have shape {self.xyz.shape}, got {self.rgb.shape}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraImage:
    """One image with the model of the camera that took it."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    camera: Camera
    stamp_ns: int
    frame_id: str
    """The optical frame: x right, y down, z forward."""
    encoded: bytes | None = field(default=None, repr=False)
    """The JPEG or PNG file that `rgb` was decoded from, where there is one; who changes `rgb` drops it."""
    depth_m: np.ndarray | None = field(default=None, repr=False)
    """(H, W) float32: depth (z in the optical frame) seen at each pixel of `rgb`, NaN where unknown."""

    def __post_init__(self) -> None:
        expected = (self.camera.height, self.camera.width, 3)
        if self.rgb.shape != expected or self.rgb.dtype != np.uint8:
            raise DataError(
                f"CameraImage.rgb must be uint8 {expected} as its camera says, "
                f"got {self.rgb.dtype} {self.rgb.shape}"
            )
        if self.depth_m is not None and self.depth_m.shape != expected[:2]:
            raise DataError(f"CameraImage.depth_m must have shape {expected[:2]}, got {self.depth_m.shape}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SemanticLabels:
    """A class for every row of a scan."""

    class_id: np.ndarray
    """(N,) uint16, ids of a LabelSet; its ignore id where nothing is known."""
    probability: np.ndarray | None = None
    """(N,) float32 in 0..1; None for ground truth."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """A scan with the sweeps before it and the images taken around it."""

    scan: LidarScan
    world_from_lidar: SE3
    """Pose of the scan's sensor frame in a fixed frame at the scan's stamp."""
    sweeps: tuple[LidarScan, ...] = ()
    """Earlier scans of the same sensor, newest first."""
    sweeps_world_from_lidar: tuple[SE3, ...] = ()
    """Pose of each of `sweeps`, in the same fixed frame."""
    images: Mapping[str, CameraImage] = field(default_factory=dict)
    """By camera name."""
    world_from_camera: Mapping[str, SE3] = field(default_factory=dict)
    """Pose of each image's optical frame at that image's stamp, in the same fixed frame."""
    labels: SemanticLabels | None = None
    """Ground truth in the label set of the source, where there is one."""

    def camera_from_lidar(self, camera: str) -> SE3:
        """The full chain lidar(t_lidar) -> world -> camera(t_camera), so ego motion is accounted for."""
        return self.world_from_camera[camera].inverse() @ self.world_from_lidar


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointPixelPairs:
    """The points of one scan that one camera sees, and where; see pairing."""

    row: np.ndarray
    """(M,) int64, ascending: rows of the scan."""
    pixel: np.ndarray
    """(M, 2) float32, (column, row) in the image, centres are whole numbers; all lie in the image."""
    depth_m: np.ndarray
    """(M,) float32, along the optical axis."""
    camera: str
    """Its name in Frame.images."""
