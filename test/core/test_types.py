"""What the values refuse, and the chain from a scan to an image."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_core.cameras import Camera
from clip2scene_core.errors import DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.types import CameraImage, Frame, LidarScan

CAMERA = Camera(width=4, height=3, matrix=np.array([[2.0, 0, 1.5], [0, 2.0, 1], [0, 0, 1]]))


def scan(**columns):
    return LidarScan(**({"xyz": np.zeros((5, 3), np.float32), "stamp_ns": 0, "frame_id": "lidar"} | columns))


@pytest.mark.parametrize("shape", [(5,), (5, 4), (3, 5, 3)])
def test_points_must_be_rows_of_three(shape):
    with pytest.raises(DataError, match=r"xyz must have shape \(N, 3\)"):
        scan(xyz=np.zeros(shape, np.float32))


@pytest.mark.parametrize("name", ["intensity", "ring", "time_offset_ns"])
def test_columns_must_have_a_value_for_every_row(name):
    assert getattr(scan(**{name: np.zeros(5)}), name).shape == (5,)
    with pytest.raises(DataError, match=rf"{name} must have shape \(5,\), got \(4,\)"):
        scan(**{name: np.zeros(4)})


def test_colours_are_three_values_for_every_row():
    assert scan(rgb=np.zeros((5, 3), np.uint8)).rgb.shape == (5, 3)
    with pytest.raises(DataError, match=r"rgb must have shape \(5, 3\), got \(5,\)"):
        scan(rgb=np.zeros(5, np.uint8))


def image(rgb, **more):
    return CameraImage(rgb=rgb, camera=CAMERA, stamp_ns=0, frame_id="camera", **more)


def test_images_must_fit_their_camera():
    assert image(np.zeros((3, 4, 3), np.uint8)).frame_id == "camera"
    with pytest.raises(DataError, match="as its camera says"):
        image(np.zeros((4, 3, 3), np.uint8))
    with pytest.raises(DataError, match="float64"):
        image(np.zeros((3, 4, 3)))
    with pytest.raises(DataError, match=r"depth_m must have shape \(3, 4\), got \(4, 3\)"):
        image(np.zeros((3, 4, 3), np.uint8), depth_m=np.zeros((4, 3), np.float32))


def test_camera_from_lidar_accounts_for_the_motion_between_their_stamps():
    """A lidar 2 m above the road; the car drives 1 m along x before its forward camera, 1.5 m up, fires.

    A point 10 m ahead of the lidar, on the road, is then 9 m ahead of the camera and 1.5 m below it.
    """
    optical = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    frame = Frame(
        scan=scan(),
        world_from_lidar=SE3.from_rotation_translation(np.eye(3), np.array([100.0, 50.0, 2.0])),
        world_from_camera={"front": SE3.from_rotation_translation(optical, np.array([101.0, 50.0, 1.5]))},
    )
    point = frame.camera_from_lidar("front").apply(np.array([10.0, 0.0, -2.0]))
    np.testing.assert_allclose(point, [0.0, 1.5, 9.0], atol=1e-12)
