"""Pairs of points and pixels in scenes worked out by hand."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from clip2scene_core.cameras import Camera
from clip2scene_core.geometry import SE3
from clip2scene_core.pairing import pair, point_pixel_pairs
from clip2scene_core.types import CameraImage

CAMERA = Camera(width=200, height=100, matrix=np.array([[100.0, 0, 100], [0, 100.0, 50], [0, 0, 1]]))
OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""Looks along x of the LiDAR."""


@pytest.fixture
def drive(make_frame):
    """Makes a frame of a car that drives along the world's x axis; its camera fires where x = 101 m.

    Scans are of a LiDAR 0.5 m above the camera: this one where x = 100 m, the sweep before where x = 98 m.
    """

    def make(xyz, earlier=()):
        image = CameraImage(
            rgb=np.zeros((100, 200, 3), np.uint8), camera=CAMERA, stamp_ns=0, frame_id="front"
        )
        lidar = lambda x: SE3.from_rotation_translation(np.eye(3), [x, 50, 2])  # noqa: E731
        return make_frame(
            xyz,
            world_from_lidar=lidar(100),
            sweeps=(make_frame(np.asarray(earlier)).scan,),
            sweeps_world_from_lidar=(lidar(98),),
            images={"front": image},
            world_from_camera={"front": SE3.from_rotation_translation(OPTICAL, [101, 50, 1.5])},
        )

    return make


def test_a_pair_is_a_row_its_pixel_and_its_depth(drive):
    """10 m and 20 m ahead of the camera; the second point is 2 m to its left and 1 m above it."""
    frame = drive([[-5, 0, 0], [11, 0, -0.5], [np.nan] * 3, [21, 2, 0.5], [11, 30, 0]])
    pairs = point_pixel_pairs(frame, "front")
    assert pairs.camera == "front"
    assert pairs.row.tolist() == [1, 3]
    np.testing.assert_allclose(pairs.pixel, [[100, 50], [90, 45]], atol=1e-5)
    np.testing.assert_allclose(pairs.depth_m, [10, 20], atol=1e-5)
    assert (pairs.row.dtype, pairs.pixel.dtype, pairs.depth_m.dtype) == (np.int64, np.float32, np.float32)


def test_the_points_of_a_sweep_go_by_the_pose_of_the_sweep(drive):
    """2 m farther back, the same place on the road has an x that is 2 m larger."""
    frame = drive([[21, 2, 0.5]], earlier=[[0, 0, 0], [23, 2, 0.5]])
    pairs = point_pixel_pairs(frame, "front", sweep=0)
    assert pairs.row.tolist() == [1]
    np.testing.assert_allclose(pairs.pixel, point_pixel_pairs(frame, "front").pixel, atol=1e-5)


def test_points_too_near_have_no_pixel(drive):
    frame = drive([[1.9, 0, -0.5], [2.1, 0, -0.5], [3.1, 0, -0.5]])
    assert point_pixel_pairs(frame, "front", occlusion=False).row.tolist() == [1, 2]
    assert point_pixel_pairs(frame, "front", occlusion=False, min_depth_m=2).row.tolist() == [2]


def test_what_a_board_hides_has_no_pixel(drive):
    """A board 2 m wide and 1 m high, 10 m before the camera, hides what is in its middle at 30 m."""
    y, z = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 0, 21)))
    board = np.column_stack([np.full(y.size, 11.0), y, z])
    hidden, beside, above = [31, 0, -0.5], [31, 6, -0.5], [31, 0, 4]
    frame = drive([hidden, beside, above, *board])
    without = point_pixel_pairs(frame, "front", occlusion=False)
    assert without.row.tolist() == list(range(3 + len(board)))
    assert point_pixel_pairs(frame, "front").row.tolist() == without.row[1:].tolist()


def test_where_the_image_has_depths_they_have_to_agree(drive):
    """The camera measured 10 m all over, but nothing in its left half."""
    frame = drive([[11, 0, -0.5], [11.1, -1, -0.5], [31, 1, 0], [11, 2, -0.5]])
    depth_m = np.full((100, 200), 10, np.float32)
    depth_m[:, :100] = np.nan
    image = replace(frame.images["front"], depth_m=depth_m)
    measured = replace(frame, images={"front": image})
    assert point_pixel_pairs(measured, "front").row.tolist() == [0]
    assert point_pixel_pairs(measured, "front", occlusion=False).row.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "xyz", [np.zeros((0, 3)), np.full((4, 3), np.nan), [[np.inf, 0, 0], [5, -np.inf, 0], [1e30, 1e38, 0]]]
)
def test_scans_without_usable_points_have_no_pairs_and_no_warnings(drive, xyz):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = point_pixel_pairs(drive(xyz), "front")
    assert (pairs.row.shape, pairs.pixel.shape, pairs.depth_m.shape) == ((0,), (0, 2), (0,))


def test_a_camera_without_an_image_has_no_pairs(drive):
    pairs = point_pixel_pairs(drive([[11, 0, 0]]), "back")
    assert (pairs.row.shape, pairs.pixel.shape, pairs.depth_m.shape) == ((0,), (0, 2), (0,))


def test_every_pixel_of_a_pair_is_one_of_the_image():
    """Up to the right edge at 199.5, where float64 is finer than the pixels given away."""
    column = 199.5 + np.concatenate([np.geomspace(1e-9, 1e-3, 50), -np.geomspace(1e-9, 1e-3, 50)])
    xyz = np.column_stack([column - 100, np.zeros(100), np.full(100, 100.0)])
    pairs = pair(xyz, CAMERA, "any", camera_from_lidar=SE3.identity(), occlusion=False)
    assert len(pairs.row) > 10
    assert set(np.rint(pairs.pixel[:, 0])) == {199}
