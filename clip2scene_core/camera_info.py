"""What a sensor_msgs/CameraInfo says about the images beside it, as image_geometry understands it.

Reads any object that has the attributes of the message: rclpy's, rosbags', or a stand-in; D, K, R and P
are capitals in ROS 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip2scene_core.cameras import Camera
from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3

MOST_BASELINE_M = 1e-3
"""A rectified camera is taken to be at the origin of its frame."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraCalibration:
    """A camera as it took images of one size."""

    camera: Camera
    frame_from_camera: SE3
    """From the camera's optical frame to the frame in the messages' headers: the identity, but for
    rectified images that R turned."""
    note: str | None = None
    """What a user should know of it."""


def is_rectified(image_topic: str) -> bool:
    """Whether a topic is named as rectified images are: /left/image_rect_color, /left/rect/image."""
    *_, parent, last = f"/{image_topic.removesuffix('/compressed')}".split("/")
    return parent in ("rect", "rectified") or bool(re.search("(^|_)rect(ified)?(_|$)", last))


def calibration_from_info(info: Any, width: int, height: int, *, rectified: bool) -> CameraCalibration:
    """The calibration of images of `width` x `height` pixels: K and D of raw ones, P and R of rectified.

    Binning and region of interest are accounted for. Where images have another size but the same shape,
    a driver has scaled them without saying so, and the matrix is scaled with a note. An info that tells
    no size fits any image.

    Raises CalibrationError where there is no calibration (zeros), the model is unknown, the images have
    another shape, or rectified ones are those of the second camera of a stereo pair.
    """
    matrix = _numbers(info, "p" if rectified else "k").reshape(3, -1)
    model, distortion = ("pinhole", np.zeros(0)) if rectified else _distortion(info)
    roi, binning = info.roi, np.maximum([info.binning_x, info.binning_y], 1)
    size = np.array([width, height])
    told = np.array([roi.width or info.width - roi.x_offset, roi.height or info.height - roi.y_offset])
    told = told // binning if told.any() else size
    sizes = f"the image has {width} x {height} pixels, camera_info says {told[0]} x {told[1]}"
    if abs(width * told[1] - height * told[0]) >= max(told):
        raise CalibrationError(sizes)
    # As image_geometry and image_proc have it, pixel u of the sensor is pixel u / binning of the image.
    scale_x, scale_y = size / told / binning
    camera = Camera(
        width=width,
        height=height,
        matrix=np.diag([scale_x, scale_y, 1.0])
        @ np.array([[1, 0, -roi.x_offset], [0, 1, -roi.y_offset], [0, 0, 1.0]])
        @ matrix[:, :3],
        model=model,
        distortion=distortion,
    )
    return CameraCalibration(
        camera=camera,
        frame_from_camera=_frame_from_camera(info, matrix) if rectified else SE3.identity(),
        note=None if (size == told).all() else f"{sizes}: the camera matrix is scaled to fit",
    )


def _distortion(info: Any) -> tuple[str, np.ndarray]:
    """Model and coefficients. Zeros are a pinhole, but those of a fisheye are an ideal fisheye."""
    coefficients = _numbers(info, "d")
    model = {"fisheye": "equidistant"}.get(info.distortion_model, info.distortion_model)
    if model != "equidistant" and not coefficients.any():
        return "pinhole", np.zeros(0)
    return model or "rational_polynomial", coefficients


def _frame_from_camera(info: Any, projection: np.ndarray) -> SE3:
    """The inverse of R, which zeros leave out.

    P of the second camera of a stereo pair holds their distance: by the definition of the message its
    frame is that of the first camera, by that of the header it is its own, and drivers do either.
    """
    baseline_m = projection[:2, 3] / np.diag(projection)[:2]
    if not np.abs(baseline_m).max() < MOST_BASELINE_M:
        raise CalibrationError(
            f"P of camera_info has a baseline of ({baseline_m[0]:.3g}, {baseline_m[1]:.3g}) m, so that its "
            "frame is uncertain; use the first camera of the pair, or the raw images"
        )
    rotation = _numbers(info, "r").reshape(3, 3)
    if not rotation.any():
        return SE3.identity()
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
        raise CalibrationError(f"R of camera_info is no rotation: {rotation.tolist()}")
    return SE3.from_rotation_translation(rotation.T, np.zeros(3))


def _numbers(info: Any, name: str) -> np.ndarray:
    return np.asarray(getattr(info, name if hasattr(info, name) else name.upper()), np.float64)
