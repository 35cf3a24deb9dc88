"""Cameras against OpenCV and rays worked out by hand."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clip2scene_core.cameras import Camera, in_image, project, rays, resized
from clip2scene_core.errors import CalibrationError

MATRIX = np.array([[520.0, 0.0, 322.5], [0.0, 515.0, 238.25], [0.0, 0.0, 1.0]])
FOCAL = MATRIX[[0, 1], [0, 1]]
RATIONAL = [-1.2, 2.1, 0.001, 0.0004, -0.3, -1.1, 1.9, -0.1]
PRISM = [0.002, -0.001, 0.003, 0.0005]
LENSES = [
    ("pinhole", []),
    ("plumb_bob", [-0.3, 0.1, 0.001, -0.002]),
    ("plumb_bob", [-0.35, 0.15, 0.0007, -0.0003, -0.03]),
    ("plumb_bob", [0.05, -0.01, 0.0, 0.0, 0.002]),
    ("plumb_bob", RATIONAL),
    ("rational_polynomial", [0.6, 0.1, 0.0005, -0.0002, 0.01, 0.9, 0.25, 0.03]),
    ("rational_polynomial", RATIONAL),
    ("rational_polynomial", [*RATIONAL, *PRISM]),
    ("rational_polynomial", [*RATIONAL, *PRISM, 0.05, -0.08]),
    ("equidistant", [-0.02, 0.005, -0.003, 0.0005]),
    ("equidistant", [0.1, 0.0, 0.0, 0.0]),
    ("equidistant", [0.0, 0.0, 0.0, 0.0]),
]


def camera(model="pinhole", distortion=()):
    return Camera(width=640, height=480, matrix=MATRIX, model=model, distortion=np.array(distortion, float))


def opencv_pixels(lens: Camera, xyz: np.ndarray) -> np.ndarray:
    module = cv2.fisheye if lens.model == "equidistant" else cv2
    pixels, _ = module.projectPoints(xyz[:, None], np.zeros(3), np.zeros(3), MATRIX, lens.distortion)
    return pixels[:, 0]


def opencv_rays(lens: Camera, pixels: np.ndarray) -> np.ndarray:
    """(N, 2): where they cut the plane z = 1."""
    module = cv2.fisheye if lens.model == "equidistant" else cv2
    until_exact = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-13)
    return module.undistortPoints(pixels[:, None], MATRIX, lens.distortion, criteria=until_exact)[:, 0]


def on_plane(tangents: np.ndarray) -> np.ndarray:
    return np.column_stack([tangents, np.ones(len(tangents))])


@pytest.mark.parametrize(("model", "distortion"), LENSES)
def test_projection_agrees_with_opencv(model, distortion):
    rng = np.random.default_rng(0)
    reach = 3.0 if model == "equidistant" else 0.6
    depth_m = rng.uniform(0.5, 80, 500)
    xyz = on_plane(rng.uniform(-reach, reach, (500, 2))) * depth_m[:, None]
    pixels, depth = project(camera(model, distortion), xyz)
    np.testing.assert_allclose(pixels, opencv_pixels(camera(model, distortion), xyz), atol=1e-6, rtol=0)
    np.testing.assert_array_equal(depth, depth_m)


@pytest.mark.parametrize(("model", "distortion"), LENSES)
def test_rays_agree_with_opencv(model, distortion):
    lens = camera(model, distortion)
    pixels = np.random.default_rng(0).uniform([-20, -20], [660, 500], (500, 2))
    directions = rays(lens, pixels)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    tangents = directions[:, :2] / directions[:, 2:]
    np.testing.assert_allclose(tangents * FOCAL, opencv_rays(lens, pixels) * FOCAL, atol=1e-6, rtol=0)


radial = st.tuples(*[st.floats(-0.5, 0.5)] * 6)
small = st.tuples(*[st.floats(-2e-3, 2e-3)] * 6)
tilt = st.tuples(*[st.floats(-0.1, 0.1)] * 2)


@settings(deadline=None)
@given(radial, small, tilt, st.floats(0, 0.9), st.floats(0, 2 * np.pi))
def test_the_ray_of_a_points_pixel_leads_to_the_point(radial, small, tilt, share, direction):
    k1, k2, k3, k4, k5, k6 = radial
    p1, p2, *prism = small
    lens = camera("rational_polynomial", [k1, k2, p1, p2, k3, k4, k5, k6, *prism, *tilt])
    radius = share * min(lens.lens.fold, 2.0)
    # Where the image hardly grows with the angle, the small terms alone may fold it.
    nearby = on_plane(np.array([[radius, 0.0], [radius + 1e-4, 0.0]]))
    radial_only = camera("rational_polynomial", [k1, k2, 0, 0, k3, k4, k5, k6])
    assume(np.diff(opencv_pixels(radial_only, nearby)[:, 0])[0] > 0.1 * 1e-4 * FOCAL[0])
    point = on_plane(radius * np.array([[np.cos(direction), np.sin(direction)]]))
    pixels, _ = project(lens, point)
    np.testing.assert_allclose(rays(lens, pixels), point / np.linalg.norm(point), atol=1e-9)


@settings(deadline=None)
@given(st.tuples(*[st.floats(-0.2, 0.2)] * 4), st.floats(0, 0.99), st.floats(0, 2 * np.pi))
def test_the_ray_of_a_points_pixel_in_a_fisheye_leads_to_the_point(distortion, share, direction):
    lens = camera("equidistant", distortion)
    angle = share * np.arctan(lens.lens.fold)
    point = np.array([[np.sin(angle) * np.cos(direction), np.sin(angle) * np.sin(direction), np.cos(angle)]])
    pixels, _ = project(lens, point)
    np.testing.assert_allclose(rays(lens, pixels), point, atol=1e-8)


FOLDING = [
    ("plumb_bob", [-0.3, 0.0, 0.0, 0.0]),
    ("plumb_bob", [-0.35, 0.15, 0.0, 0.0, -0.03]),
    ("plumb_bob", [-1e-3, 0.0, 0.0, 0.0, -1e-12]),
    ("rational_polynomial", [-1.2, 2.1, 0.0, 0.0, -0.3, -1.1, 1.9, -0.1]),
    ("equidistant", [-0.2, 0.0, 0.0, 0.0]),
    ("equidistant", [0.1, -0.1, 0.05, -0.02]),
]


@pytest.mark.parametrize(("model", "distortion"), FOLDING)
def test_the_fold_is_where_the_image_in_opencv_turns_back(model, distortion):
    lens = camera(model, distortion)
    radii = lens.lens.fold * np.concatenate([np.linspace(0.01, 0.9999, 500), [1.0, 1.0001]])
    column = opencv_pixels(lens, on_plane(np.column_stack([radii, np.zeros(502)])))[:, 0]
    assert (np.diff(column[:-1]) > 0).all() and column[-1] < column[-2]
    around = on_plane(lens.lens.fold * np.array([[1 - 1e-9, 0.0], [1 + 1e-9, 0.0]]))
    assert np.isfinite(project(lens, around)[0]).all(axis=1).tolist() == [True, False]


def test_a_pole_of_the_rational_model_ends_it():
    """1 / (1 - r^2 / 4) has a pole at r = 2."""
    lens = camera("rational_polynomial", [0, 0, 0, 0, 0, -0.25, 0, 0])
    assert lens.lens.fold == pytest.approx(2.0)
    inside, beyond = project(lens, np.array([[1.0, 0.0, 1.0], [3.0, 0.0, 1.0]]))[0]
    np.testing.assert_allclose(inside, [520 / 0.75 + 322.5, 238.25])
    assert np.isnan(beyond).all()


def test_barrel_distortion_does_not_fold_far_points_into_the_image():
    """With k1 = -0.3 the radius r (1 - 0.3 r^2) shrinks again beyond r = 1 / sqrt(0.9) = 1.054."""
    lens = camera("plumb_bob", [-0.3, 0.0, 0.0, 0.0])
    assert lens.lens.fold == pytest.approx(1 / np.sqrt(0.9), rel=1e-12)
    inside, beyond = project(lens, np.array([[1.0, 0.0, 1.0], [1.7, 0.0, 1.0]]))[0]
    np.testing.assert_allclose(inside, [520 * 0.7 + 322.5, 238.25])
    assert np.isnan(beyond).all()
    # No ray comes farther out than 1.054 * (1 - 0.3 / 0.9) = 0.703.
    columns = 322.5 + 520 * np.array([0.70, 0.71])
    assert np.isfinite(rays(lens, np.column_stack([columns, [238.25] * 2]))[:, 0]).tolist() == [True, False]


def test_a_fisheye_ends_at_its_image_plane():
    """The radius of an ideal fisheye is the focal length times the angle, here 89.9, 90 and 100 degrees."""
    angles = np.deg2rad([89.9, 90.0, 100.0])
    xyz = 5 * np.column_stack([np.sin(angles), np.zeros(3), np.cos(angles).round(12)])
    lens = camera("equidistant", [0.0] * 4)
    pixels, _ = project(lens, xyz)
    np.testing.assert_allclose(pixels[0], [520 * angles[0] + 322.5, 238.25])
    assert np.isnan(pixels[1:]).all()
    columns = 322.5 + 520 * angles[[0, 2]]
    directions = rays(lens, np.column_stack([columns, [238.25] * 2]))
    np.testing.assert_allclose(directions[0], xyz[0] / 5)
    assert np.isnan(directions[1]).all()


@pytest.mark.parametrize(("model", "distortion"), LENSES)
def test_points_that_are_not_in_front_of_the_image_plane_have_no_pixel(model, distortion):
    xyz = np.array(
        [[0.1, 0.1, -2.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [np.nan, 0.0, 1.0], [1.0, 1.0, 5e-324]]
    )
    lens = camera(model, distortion)
    pixels, _ = project(lens, xyz)
    middle = opencv_pixels(lens, xyz[2:3])[0]
    np.testing.assert_allclose(pixels[2], middle)
    assert np.isnan(pixels[[0, 1, 3, 4]]).all()
    assert in_image(lens, pixels).tolist() == [False, False, True, False, False]
    assert np.isnan(rays(lens, pixels)).any(axis=1).tolist() == [True, True, False, True, True]
    assert project(lens, np.empty((0, 3), np.float32))[0].shape == rays(lens, np.empty((0, 2)))[:, :2].shape


def test_a_matrix_may_have_skew():
    matrix = np.array([[100.0, 10.0, 50.0], [0.0, 80.0, 40.0], [0.0, 0.0, 1.0]])
    skewed = Camera(width=100, height=80, matrix=matrix)
    pixels, _ = project(skewed, np.array([[0.2, -0.3, 1.0]]))
    np.testing.assert_allclose(pixels, [[100 * 0.2 - 10 * 0.3 + 50, -80 * 0.3 + 40]])
    np.testing.assert_allclose(rays(skewed, pixels)[0], np.array([0.2, -0.3, 1.0]) / np.sqrt(1.13))


def test_pixel_centres_are_whole_numbers():
    corners = np.array([[-0.49, -0.49], [639.49, 479.49], [-0.51, 0.0], [639.51, 0.0], [0.0, 479.51]])
    assert in_image(camera(), corners).tolist() == [True, True, False, False, False]


def test_a_camera_goes_to_other_processes():
    lens = camera("plumb_bob", [-0.3, 0.1, 0.001, -0.002])
    again = pickle.loads(pickle.dumps(lens))
    xyz = np.array([[0.3, 0.2, 1.0]])
    np.testing.assert_array_equal(project(again, xyz)[0], project(lens, xyz)[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "omni"}, "'omni' is unknown"),
        ({"model": "plumb_bob", "distortion": np.zeros(3)}, "takes 4 or 5 or 8 or 12 or 14 .* got 3"),
        ({"model": "equidistant", "distortion": np.zeros(5)}, "takes 4 distortion coefficients, got 5"),
        ({"model": "plumb_bob", "distortion": np.full(4, np.nan)}, "must be finite"),
        ({"model": "plumb_bob", "distortion": np.full(4, 1e300)}, "must be finite"),
        ({"matrix": np.zeros((3, 3))}, "not calibrated"),
        ({"matrix": np.eye(4)}, "3x3"),
        ({"matrix": np.full((3, 3), np.nan)}, "not calibrated"),
        ({"matrix": np.array([[5.0, 0, np.inf], [0, 5, 2], [0, 0, 1]])}, "must be finite"),
    ],
)
def test_unusable_cameras_are_errors(change, words):
    with pytest.raises(CalibrationError, match=words):
        Camera(**({"width": 640, "height": 480, "matrix": MATRIX} | change))


def test_a_resized_picture_is_stretched_as_opencv_stretches_it():
    """In a picture of its own coordinates: what the ray of a pixel of the small one hits in the large one."""
    large = camera("plumb_bob", [-0.3, 0.1, 0.001, -0.002])
    small = resized(large, 320, 120)
    assert (small.width, small.height, small.model) == (320, 120, "plumb_bob")
    pixels = np.array([[100, 30], [160, 60], [250, 100]])
    old, _ = project(large, rays(small, pixels))
    coordinates = np.stack(np.meshgrid(np.arange(640.0), np.arange(480.0)), axis=2)
    shrunk = cv2.resize(coordinates, (320, 120), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(old, shrunk[pixels[:, 1], pixels[:, 0]], atol=1e-6)
