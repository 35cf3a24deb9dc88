"""The simulated camera against pinhole geometry worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_core.cameras import Camera
from clip2scene_core.errors import CalibrationError
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


def test_distortion_is_refused() -> None:
    camera = Camera(
        width=10, height=10, matrix=np.diag([5.0, 5, 1]), model="plumb_bob", distortion=np.zeros(5)
    )
    with pytest.raises(CalibrationError, match="must be of model pinhole, got plumb_bob"):
        render(Scene(plate((0, 0), (1, 1), 5.0, CAR)), camera, SE3.identity(), 0, WEATHER)
