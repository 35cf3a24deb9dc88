"""Geometry against OpenCV, SciPy and scenes worked out by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3, Camera, in_image, project, visible

MATRIX = np.array([[520.0, 0.0, 322.5], [0.0, 515.0, 238.25], [0.0, 0.0, 1.0]])
DISTORTIONS = {
    "plumb_bob": [
        [-0.3, 0.1, 0.001, -0.002],
        [-0.35, 0.15, 0.0007, -0.0003, -0.03],
        [0.05, -0.01, 0.0, 0.0, 0.002],
    ],
    "rational_polynomial": [
        [0.6, 0.1, 0.0005, -0.0002, 0.01, 0.9, 0.25, 0.03],
        [-1.2, 2.1, 0.001, 0.0004, -0.3, -1.1, 1.9, -0.1],
    ],
    "equidistant": [[-0.02, 0.005, -0.003, 0.0005], [0.1, 0.0, 0.0, 0.0]],
}


def camera(model="pinhole", distortion=()):
    return Camera(width=640, height=480, matrix=MATRIX, model=model, distortion=np.array(distortion, float))


def points_in_view(count=500, tangent=0.6):
    """Random points of the optical frame within 2 * atan(tangent)."""
    rng = np.random.default_rng(0)
    depth_m = rng.uniform(0.5, 80, count)
    xy = rng.uniform(-tangent, tangent, (count, 2)) * depth_m[:, None]
    return np.column_stack([xy, depth_m])


quaternions = st.tuples(*[st.floats(-1, 1)] * 4).map(np.array).filter(lambda q: np.linalg.norm(q) > 1e-3)
vectors = st.tuples(*[st.floats(-1e3, 1e3)] * 3).map(np.array)
poses = st.builds(SE3.from_quaternion, quaternions, vectors)


@pytest.mark.parametrize(
    ("model", "distortion"), [(m, d) for m, ds in DISTORTIONS.items() if m != "equidistant" for d in ds]
)
def test_projection_agrees_with_opencv(model, distortion):
    xyz = points_in_view()
    pixels, depth_m = project(camera(model, distortion), xyz)
    expected, _ = cv2.projectPoints(xyz, np.zeros(3), np.zeros(3), MATRIX, np.array(distortion))
    np.testing.assert_allclose(pixels, expected[:, 0], atol=1e-6)
    np.testing.assert_array_equal(depth_m, xyz[:, 2])


def test_pinhole_projection_agrees_with_opencv():
    xyz = points_in_view(tangent=5)
    expected, _ = cv2.projectPoints(xyz, np.zeros(3), np.zeros(3), MATRIX, None)
    np.testing.assert_allclose(project(camera(), xyz)[0], expected[:, 0], atol=1e-6)


@pytest.mark.parametrize("distortion", DISTORTIONS["equidistant"])
def test_fisheye_projection_agrees_with_opencv(distortion):
    xyz = points_in_view(tangent=3)
    pixels, _ = project(camera("equidistant", distortion), xyz)
    expected, _ = cv2.fisheye.projectPoints(
        xyz[:, None], np.zeros(3), np.zeros(3), MATRIX, np.array(distortion, float)
    )
    np.testing.assert_allclose(pixels, expected[:, 0], atol=1e-6)


def test_points_behind_the_image_plane_have_no_pixel():
    xyz = np.array([[1.0, 1.0, -2.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [np.nan, 0.0, 1.0]])
    for model, distortion in [("pinhole", []), ("plumb_bob", [-0.3, 0.1, 0, 0]), ("equidistant", [0] * 4)]:
        pixels, _ = project(camera(model, distortion), xyz)
        assert np.isnan(pixels[[0, 1, 3]]).any(axis=1).all()
        np.testing.assert_allclose(pixels[2], [322.5, 238.25])
        assert in_image(camera(model, distortion), pixels).tolist() == [False, False, True, False]


def test_barrel_distortion_does_not_fold_far_points_into_the_image():
    """With k1 = -0.3 the radius r (1 - 0.3 r^2) shrinks again beyond r = 1 / sqrt(0.9) = 1.054."""
    lens = camera("plumb_bob", [-0.3, 0.0, 0.0, 0.0])
    inside, beyond = project(lens, np.array([[1.0, 0.0, 1.0], [1.7, 0.0, 1.0]]))[0]
    np.testing.assert_allclose(inside, [520 * 0.7 + 322.5, 238.25])
    assert np.isnan(beyond).all()


def test_pixel_centres_are_whole_numbers():
    corners = np.array([[-0.49, -0.49], [639.49, 479.49], [-0.51, 0.0], [639.51, 0.0], [0.0, 479.51]])
    assert in_image(camera(), corners).tolist() == [True, True, False, False, False]


def test_a_hidden_wall_is_not_visible_and_a_free_one_is():
    """A 1 m wide pole at 5 m before a wall at 20 m, both 4 m high, seen from their middle."""
    y, z = np.meshgrid(np.linspace(-8, 8, 161), np.linspace(-2, 2, 41))
    wall = np.column_stack([y.ravel(), z.ravel(), np.full(y.size, 20.0)])
    y, z = np.meshgrid(np.linspace(-0.5, 0.5, 41), np.linspace(-2, 2, 161))
    pole = np.column_stack([y.ravel(), z.ravel(), np.full(y.size, 5.0)])
    pixels, depth_m = project(camera(), np.concatenate([wall, pole]))
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
        assert visible(*project(camera(), surface)).all()


def test_visibility_of_points_without_pixel_is_false():
    assert visible(np.full((3, 2), np.nan), np.array([1.0, -1.0, 0.0])).tolist() == [False] * 3
    assert visible(np.empty((0, 2)), np.empty(0)).shape == (0,)
    pixels = np.array([[10.0, 10.0], [np.nan, 10.0], [30.0, 10.0]])
    assert visible(pixels, np.array([9.0, 1.0, 2.0])).tolist() == [True, False, True]


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "omni"}, "'omni' is unknown"),
        ({"model": "plumb_bob", "distortion": np.zeros(3)}, "takes .4, 5. distortion coefficients, got 3"),
        ({"matrix": np.zeros((3, 3))}, "not calibrated"),
        ({"matrix": np.eye(4)}, "3x3"),
        ({"matrix": np.full((3, 3), np.nan)}, "not calibrated"),
    ],
)
def test_unusable_cameras_are_errors(change, words):
    with pytest.raises(CalibrationError, match=words):
        Camera(**({"width": 640, "height": 480, "matrix": MATRIX} | change))
