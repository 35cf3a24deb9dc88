"""The simulated camera against pinhole geometry worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from clip2scene_core.cameras import Camera
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.camera import Weather, pinhole, render
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.scene import Actor, Scene
from clip2scene_core.trajectory import Trajectory

BUILDING, CAR = 5, 13
WEATHER = Weather(sun=np.array([0.0, 0.0, -1.0]), sunlight=0.5, visibility_m=1e9)
"""A sun behind the camera, which looks along +z of the world."""


def plate(low: tuple, high: tuple, z: float, class_id: int) -> Mesh:
    (x0, y0), (x1, y1) = low, high
    vertices = np.array([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]])
    return Mesh.uniform(
        vertices, np.array([[0, 1, 2], [0, 2, 3]]), class_id, Material.PLASTER, (200, 100, 50)
    )


def test_a_plate_covers_the_pixels_that_the_pinhole_equation_says() -> None:
    camera = pinhole(200, 100, 90.0)
    assert camera.matrix[0, 0] == pytest.approx(100.0)
    scene = Scene(plate((-0.97, -0.47), (1.97, 0.22), 10.0, CAR))
    picture = render(scene, camera, SE3.identity(), 0, WEATHER)
    row, column = np.nonzero(picture.class_id == CAR)
    # pixel = 100 * x / z + 99.5 and 100 * y / z + 49.5
    assert (column.min(), column.max()) == (90, 119)
    assert (row.min(), row.max()) == (45, 51)
    assert len(row) == 30 * 7
    np.testing.assert_allclose(picture.range_m[49, 99], 10.0, atol=0.001)
    assert np.isinf(picture.range_m[0, 0]) and picture.class_id[0, 0] == 0


def test_light_colour_and_shadow() -> None:
    camera = pinhole(40, 40, 60.0)
    far = plate((-50, -50), (50, 50), 20.0, BUILDING)
    bright = render(Scene(far), camera, SE3.identity(), 0, WEATHER).image.rgb[20, 20].astype(float)
    assert bright[0] / bright[1] == pytest.approx(2.0, rel=0.03), "the plate's own colour"
    behind_the_camera = plate((-2, -2), (2, 2), -5.0, CAR)
    shaded = render(Scene(Mesh.merge([far, behind_the_camera])), camera, SE3.identity(), 0, WEATHER).image.rgb
    assert shaded[20, 20, 0] < 0.6 * bright[0]
    np.testing.assert_array_equal(shaded[0, 0], bright.astype(np.uint8))


def test_the_camera_sees_a_moving_object_at_its_own_stamp() -> None:
    poses = [SE3.from_yaw(0.0, np.array([x, 0.0, 0.0])) for x in (0.0, 4.0)]
    actor = Actor(
        mesh=plate((-1, -1), (1, 1), 10.0, CAR), trajectory=Trajectory.from_poses([0, 10**9], poses)
    )
    scene = Scene(plate((-90, -90), (90, 90), 50.0, BUILDING), (actor,))
    picture = render(scene, pinhole(200, 100, 90.0), SE3.identity(), 250_000_000, WEATHER)
    column = np.nonzero(picture.class_id == CAR)[1]
    assert (column.min(), column.max()) == (100, 119), "one metre to the right after a quarter of the way"


def test_a_turned_camera_looks_where_its_pose_says() -> None:
    # World x is the optical z of a camera with this pose.
    ahead = SE3.from_rotation_translation(
        np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0.0]]), np.array([0, 0, 1.5])
    )
    vertices = np.array([[8, -1, 0.5], [8, -2, 0.5], [8, -2, 1.0], [8, -1, 1.0]])
    mesh = Mesh.uniform(vertices, np.array([[0, 1, 2], [0, 2, 3]]), CAR, Material.PLASTER, (9, 9, 9))
    picture = render(Scene(mesh), pinhole(161, 81, 90.0), ahead, 0, WEATHER)
    row, column = np.nonzero(picture.class_id == CAR)
    assert column.min() > 80 and row.min() > 40, "right of and below the middle"


@pytest.mark.parametrize(
    ("model", "distortion"), [("plumb_bob", [-0.4, 0.2, 0.01, 0.0]), ("equidistant", [0.05, 0.0, 0.0, 0.0])]
)
def test_a_lens_bends_the_picture_as_opencv_says(model: str, distortion: list[float]) -> None:
    matrix = np.array([[60.0, 0, 79.5], [0, 60, 49.5], [0, 0, 1]])
    camera = Camera(width=160, height=100, matrix=matrix, model=model, distortion=np.array(distortion))
    low, high = (3.0, 1.0), (6.0, 4.0)
    picture = render(Scene(plate(low, high, 10.0, CAR)), camera, SE3.identity(), 0, WEATHER)
    module = cv2.fisheye if model == "equidistant" else cv2
    corners = np.array([[[*low, 10.0]], [[*high, 10.0]]])
    (first, last), _ = module.projectPoints(corners, np.zeros(3), np.zeros(3), matrix, camera.distortion)
    row, column = np.nonzero(picture.class_id == CAR)
    # The nearest corner is the plate's first pixel, the farthest its last, up to the edge's half pixel.
    np.testing.assert_allclose([column.min(), row.min()], first[0], atol=1.0)
    np.testing.assert_allclose([column.max(), row.max()], last[0], atol=1.0)


def test_outside_the_circle_of_a_fisheye_it_is_dark() -> None:
    matrix = np.array([[40.0, 0, 79.5], [0, 40, 79.5], [0, 0, 1]])
    camera = Camera(width=160, height=160, matrix=matrix, model="equidistant", distortion=np.zeros(4))
    picture = render(Scene(plate((-1, -1), (1, 1), 5.0, CAR)), camera, SE3.identity(), 0, WEATHER)
    column, row = np.meshgrid(np.arange(160), np.arange(160))
    inside = np.hypot(column - 79.5, row - 79.5) < 40 * np.pi / 2
    np.testing.assert_array_equal(picture.image.rgb.any(axis=2), inside)
    assert not picture.class_id[~inside].any() and np.isinf(picture.range_m[~inside]).all()
