"""Geometry against SciPy and scenes worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from clip2scene_core.cameras import Camera, project
from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3, depth_agrees, visible

CAMERA = Camera(
    width=640, height=480, matrix=np.array([[520.0, 0.0, 322.5], [0.0, 515.0, 238.25], [0.0, 0.0, 1.0]])
)

quaternions = st.tuples(*[st.floats(-1, 1)] * 4).map(np.array).filter(lambda q: np.linalg.norm(q) > 1e-3)
vectors = st.tuples(*[st.floats(-1e3, 1e3)] * 3).map(np.array)
poses = st.builds(SE3.from_quaternion, quaternions, vectors)


def test_a_hidden_wall_is_not_visible_and_a_free_one_is():
    """A 1 m wide pole at 5 m before a wall at 20 m, both 4 m high, seen from their middle."""
    y, z = np.meshgrid(np.linspace(-8, 8, 161), np.linspace(-2, 2, 41))
    wall = np.column_stack([y.ravel(), z.ravel(), np.full(y.size, 20.0)])
    y, z = np.meshgrid(np.linspace(-0.5, 0.5, 41), np.linspace(-2, 2, 161))
    pole = np.column_stack([y.ravel(), z.ravel(), np.full(y.size, 5.0)])
    pixels, depth_m = project(CAMERA, np.concatenate([wall, pole]))
    seen = visible(pixels, depth_m)
    seen_wall, seen_pole = seen[: len(wall)], seen[len(wall) :]
    assert seen_pole.all()
    # The pole covers the wall where |x| / 20 < 0.5 / 5, so |x| < 2 m: a cell of 8 px is 0.3 m of the wall.
    middle = np.abs(wall[:, 1]) < 1.4
    assert not seen_wall[middle & (np.abs(wall[:, 0]) < 1.4)].any()
    assert seen_wall[np.abs(wall[:, 0]) > 2.05].all()


def test_slanted_surfaces_do_not_hide_themselves():
    """The road 1.5 m below the camera and a wall 2 m beside it, to 60 m: seen at grazing angles, but seen."""
    across, depth = np.meshgrid(np.linspace(-4, 4, 81), np.geomspace(3, 60, 400))
    road = np.column_stack([across.ravel(), np.full(across.size, 1.5), depth.ravel()])
    wall = np.column_stack([np.full(across.size, 2.0), across.ravel(), depth.ravel()])
    for surface in (road, wall):
        assert visible(*project(CAMERA, surface)).all()


def test_visibility_of_points_without_pixel_is_false():
    assert visible(np.full((3, 2), np.nan), np.array([1.0, -1.0, 0.0])).tolist() == [False] * 3
    assert visible(np.empty((0, 2)), np.empty(0)).shape == (0,)
    pixels = np.array([[10.0, 10.0], [np.nan, 10.0], [30.0, 10.0]])
    assert visible(pixels, np.array([9.0, 1.0, 2.0])).tolist() == [True, False, True]


def test_a_point_is_seen_where_the_image_measured_its_own_depth():
    """A wall at 3 m whose left column was not measured; a door at 2 m stands before its right column."""
    image_depth_m = np.array([[np.nan, 3, 2], [np.nan, 3, 2]], np.float32)
    points = [
        ((1, 0), 3.0, True),
        ((1.4, 0.6), 3.04, True),
        ((1, 1), 2.96, True),
        ((1, 1), 3.06, False),
        ((1.6, 1), 3.0, False),  # on the wall behind the door
        ((2.4, -0.4), 2.0, True),
        ((0, 0), 3.0, False),
        ((2.6, 0), 2.0, False),
        ((-0.6, 0), 3.0, False),
        ((1, 1.6), 3.0, False),
        ((np.nan, np.nan), 3.0, False),
    ]
    pixels, depth_m, expected = zip(*points, strict=True)
    seen = depth_agrees(np.array(pixels), np.array(depth_m), image_depth_m)
    assert seen.tolist() == list(expected)
    wide = depth_agrees(np.array(pixels), np.array(depth_m), image_depth_m, margin_m=0.5)
    assert wide.tolist() == [True] * 4 + [False, True] + [False] * 5


@given(quaternions, vectors)
def test_quaternions_agree_with_scipy(quaternion, translation):
    pose = SE3.from_quaternion(quaternion, translation)
    expected = Rotation.from_quat(quaternion)
    np.testing.assert_allclose(pose.rotation, expected.as_matrix(), atol=1e-9)
    np.testing.assert_array_equal(pose.translation, translation)
    got = pose.quaternion_xyzw()
    assert got[3] >= 0
    assert (Rotation.from_quat(got) * expected.inv()).magnitude() < 1e-7


def test_half_turns_have_quaternions():
    for axis in np.eye(3):
        quaternion = SE3.from_quaternion([*axis, 0.0], np.zeros(3)).quaternion_xyzw()
        np.testing.assert_allclose(np.abs(quaternion), [*axis, 0.0], atol=1e-12)


@pytest.mark.parametrize("quaternion", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [np.inf, 0, 0, 1]])
def test_a_quaternion_that_is_no_rotation_is_an_error(quaternion):
    with pytest.raises(CalibrationError, match="is no rotation"):
        SE3.from_quaternion(quaternion, np.zeros(3))


@given(st.floats(-10, 10), vectors)
def test_yaw_turns_counter_clockwise(yaw, translation):
    pose = SE3.from_yaw(yaw, translation)
    expected = np.array([math.cos(yaw), math.sin(yaw), 0]) + translation
    np.testing.assert_allclose(pose.apply(np.array([1.0, 0.0, 0.0])), expected, atol=1e-9)


@given(poses, poses, vectors)
def test_chains_inverse_and_apply_agree_with_scipy(a, b, point):
    ra, rb = Rotation.from_matrix(a.rotation), Rotation.from_matrix(b.rotation)
    expected = ra.apply(rb.apply(point) + b.translation) + a.translation
    np.testing.assert_allclose((a @ b).apply(point), expected, atol=1e-6)
    np.testing.assert_allclose(a.inverse().apply(a.apply(point)), point, atol=1e-6)
    np.testing.assert_allclose((a.inverse() @ a).matrix, np.eye(4), atol=1e-6)


def test_apply_keeps_shape_and_floating_type():
    pose = SE3.from_yaw(0.5, np.array([1.0, 2.0, 3.0]))
    assert pose.apply(np.zeros((2, 5, 3), np.float32)).dtype == np.float32
    assert pose.apply(np.zeros((2, 5, 3), np.float32)).shape == (2, 5, 3)
    assert pose.apply(np.zeros((4, 3), np.int32)).dtype == np.float64


@settings(deadline=None)
@given(poses, poses, st.floats(0, 1))
def test_interpolation_agrees_with_scipy_slerp(a, b, fraction):
    rotations = Rotation.from_matrix([a.rotation, b.rotation])
    # Opposite orientations have two shortest ways.
    assume((rotations[0].inv() * rotations[1]).magnitude() < math.pi - 1e-3)
    between = a.interpolate(b, fraction)
    expected = Slerp([0, 1], rotations)(fraction)
    assert (Rotation.from_matrix(between.rotation).inv() * expected).magnitude() < 1e-5
    np.testing.assert_allclose(
        between.translation, (1 - fraction) * a.translation + fraction * b.translation, atol=1e-9
    )
