"""The simulated camera against pinhole geometry worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from clip2scene_core.cameras import Camera
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.camera import Weather, pinhole, render
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.optics import Optics
from clip2scene_core.simulation.scene import Actor, Scene
from clip2scene_core.trajectory import Trajectory

BUILDING, CAR = 5, 13
WEATHER = Weather(sun=np.array([0.0, 0.0, 1.0]), sunlight=0.5, visibility_m=1e9)
DOWNWARDS = np.diag([1.0, -1.0, -1.0])
"""Rotation world_from_camera of a camera that looks straight down, its x along that of the world."""
EVEN = Optics(vignetting=0.0, blur_px=0.0, noise=0.0)


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


def test_light_and_shadow_fall_where_the_geometry_says() -> None:
    """A camera 20 m above a floor, and 5 m below it a plate of 2 x 2 m that the sun, at 45 degrees, shines past."""
    sun = np.array([1.0, 0.0, 1.0]) / np.sqrt(2)
    floor, roof = plate((-90, -90), (90, 90), 0.0, BUILDING), plate((-1, -1), (1, 1), 15.0, CAR)
    above = SE3.from_rotation_translation(DOWNWARDS, np.array([0.0, 0.0, 20.0]))
    weather = Weather(sun=sun, sunlight=0.8, visibility_m=1e9)
    camera = pinhole(201, 201, 90.0)
    both = render(Scene(Mesh.merge([floor, roof])), camera, above, 0, weather, optics=EVEN)
    # The sun comes from +x, so the roof's shadow lies 15 m further along -x: x -16..-14, y -1..1, 5 px a metre.
    grey = both.image.rgb.mean(axis=2)
    shadow = grey < 0.7 * np.median(grey)
    row, column = np.nonzero(shadow & (both.class_id == BUILDING))
    assert (column.min(), column.max()) == (pytest.approx(20, abs=1), pytest.approx(30, abs=1))
    assert (row.min(), row.max()) == (pytest.approx(95, abs=1), pytest.approx(105, abs=1))


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
