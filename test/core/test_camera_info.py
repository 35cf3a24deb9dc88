"""CameraInfo against its definition: examples worked out by hand, and OpenCV's rectification."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from clip2scene_core.camera_info import calibration_from_info, is_rectified
from clip2scene_core.cameras import project
from clip2scene_core.errors import CalibrationError

K = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]
P = [400.0, 0.0, 300.0, 0.0, 0.0, 410.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0]
XYZ = np.array([[1.0, -0.5, 4.0], [-0.2, 0.3, 1.0]])


def info(
    *, width=640, height=480, model="plumb_bob", d=(), k=K, r=(0.0,) * 9, p=P, binning=(0, 0), roi=(0,) * 4
):
    names = ("x_offset", "y_offset", "width", "height")
    return SimpleNamespace(
        width=width,
        height=height,
        distortion_model=model,
        d=list(d),
        k=list(k),
        r=list(r),
        p=list(p),
        binning_x=binning[0],
        binning_y=binning[1],
        roi=SimpleNamespace(**dict(zip(names, roi, strict=True)), do_rectify=False),
    )


def calibration(message, size=(640, 480), *, rectified=False):
    return calibration_from_info(message, *size, rectified=rectified)


@pytest.mark.parametrize(
    ("model", "d", "expected"),
    [
        ("plumb_bob", [0.1, 0.2, 0.0, 0.0, 0.3], "plumb_bob"),
        ("plumb_bob", [0.0] * 5, "pinhole"),
        ("", [], "pinhole"),
        ("none", [0.0], "pinhole"),
        ("", [0.1] * 8, "rational_polynomial"),
        ("rational_polynomial", [0.1] * 14, "rational_polynomial"),
        ("fisheye", [0.1] * 4, "equidistant"),
        ("equidistant", [0.0] * 4, "equidistant"),
    ],
)
def test_raw_images_have_matrix_and_distortion(model, d, expected):
    made = calibration(info(model=model, d=d))
    assert (made.camera.width, made.camera.height, made.camera.model) == (640, 480, expected)
    np.testing.assert_array_equal(made.camera.matrix.ravel(), K)
    np.testing.assert_array_equal(made.camera.distortion, d if expected != "pinhole" else [])
    np.testing.assert_array_equal(made.frame_from_camera.matrix, np.eye(4))
    assert made.note is None


def test_an_info_of_ros_1_has_capitals():
    message = info(d=[0.1, 0.2, 0.0, 0.0])
    for name in "dkrp":
        message.__dict__[name.upper()] = message.__dict__.pop(name)
    assert calibration(message).camera.distortion.tolist() == [0.1, 0.2, 0.0, 0.0]
    assert calibration(message, rectified=True).camera.matrix[0, 0] == 400.0


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize(
    ("binning", "roi", "size", "of_full"),
    [
        ((1, 1), (0, 0, 640, 480), (640, 480), lambda u, v: (u, v)),
        ((2, 2), (0, 0, 0, 0), (320, 240), lambda u, v: (u / 2, v / 2)),
        ((4, 0), (0, 0, 0, 0), (160, 480), lambda u, v: (u / 4, v)),
        ((0, 0), (100, 40, 300, 200), (300, 200), lambda u, v: (u - 100, v - 40)),
        ((2, 3), (101, 40, 301, 200), (150, 66), lambda u, v: ((u - 101) / 2, (v - 40) / 3)),
    ],
)
def test_binning_and_region_of_interest_move_pixels(rectified, binning, roi, size, of_full):
    full, _ = project(calibration(info(d=[-0.3, 0.1, 0, 0]), rectified=rectified).camera, XYZ)
    made = calibration(info(d=[-0.3, 0.1, 0, 0], binning=binning, roi=roi), size, rectified=rectified)
    assert (made.camera.width, made.camera.height, made.note) == (*size, None)
    np.testing.assert_allclose(project(made.camera, XYZ)[0], np.column_stack(of_full(*full.T)))


def test_rectified_images_have_the_pixels_that_opencv_rectifies_to():
    """The left of two cameras that squint by some degrees."""
    matrix, d = np.array(K).reshape(3, 3), np.array([-0.3, 0.1, 0.001, -0.002, 0.0])
    turn = Rotation.from_euler("xyz", [1, -3, 2], degrees=True).as_matrix()
    r, _, p, *_ = cv2.stereoRectify(matrix, d, matrix, d, (640, 480), turn, np.array([[-0.12], [0.01], [0]]))
    made = calibration(info(d=d, r=r.ravel(), p=p.ravel()), rectified=True)
    raw, _ = cv2.projectPoints(XYZ, np.zeros(3), np.zeros(3), matrix, d)
    exact = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-13)
    expected = cv2.undistortPoints(raw, matrix, d, R=r, P=p, criteria=exact)[:, 0]
    pixels, _ = project(made.camera, made.frame_from_camera.inverse().apply(XYZ))
    np.testing.assert_allclose(pixels, expected, atol=1e-6)
    np.testing.assert_array_equal(
        calibration(info(), rectified=True).frame_from_camera.matrix, np.eye(4), "R of zeros is left out"
    )


@pytest.mark.parametrize("size", [(320, 240), (1280, 960), (213, 160)])
def test_images_scaled_in_secret_scale_the_matrix_with_a_note(size):
    made = calibration(info(), size)
    full, _ = project(calibration(info()).camera, XYZ)
    np.testing.assert_allclose(project(made.camera, XYZ)[0], full * size / np.array([640, 480]))
    assert made.note == (
        f"the image has {size[0]} x {size[1]} pixels, camera_info says 640 x 480: "
        "the camera matrix is scaled to fit"
    )
    assert calibration(info(width=0, height=0), size).note is None


@pytest.mark.parametrize(
    ("message", "rectified", "text"),
    [
        (info(k=[0.0] * 9), False, "not calibrated"),
        (info(p=[0.0] * 12), True, "not calibrated"),
        (info(model="magic", d=[1.0]), False, "'magic' is unknown; known are pinhole, plumb_bob"),
        (info(model="equidistant"), False, "equidistant takes 4 distortion coefficients, got 0"),
        (info(width=800), False, "the image has 640 x 480 pixels, camera_info says 800 x 480"),
        (info(binning=(0, 999)), False, "camera_info says 640 x 0"),
        (info(roi=(9999, 9999, 0, 0)), False, "camera_info says -9359 x -9519"),
        (info(p=[*P[:3], -48.0, *P[4:]]), True, r"baseline of \(-0.12, 0\) m.* first camera of the pair"),
        (info(p=[*P[:3], np.nan, *P[4:]]), True, "baseline of"),
        (info(r=[1.0] * 9), True, "R of camera_info is no rotation"),
    ],
)
def test_unusable_calibration_is_an_error(message, rectified, text):
    with pytest.raises(CalibrationError, match=text):
        calibration(message, rectified=rectified)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("/left/image_rect", True),
        ("/left/image_rect_color", True),
        ("/left/image_rect_color/compressed", True),
        ("/CAM_FRONT/image_rect_compressed", True),
        ("/zed/left/rect/image", True),
        ("/left/image_rectified", True),
        ("image_rect", True),
        ("/left/image_raw", False),
        ("/left/image_color/compressed", False),
        ("/direction/image_direct", False),
        ("/rect_front/image", False),
        ("/image", False),
    ],
)
def test_rectified_topics_are_known_by_name(topic, expected):
    assert is_rectified(topic) is expected
