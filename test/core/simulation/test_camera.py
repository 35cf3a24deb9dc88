"""The simulated camera against pinhole geometry worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from clip2scene_core.cameras import Camera
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.camera import Weather, pinhole, render
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.optics import Optics
from clip2scene_core.simulation.scene import Actor, Scene
from clip2scene_core.simulation.solids import Surface, box
from clip2scene_core.trajectory import Trajectory

ROAD, BUILDING, CAR = 1, 5, 13
WEATHER = Weather(sun=np.array([0.0, 0.0, 1.0]), sunlight=0.5, visibility_m=1e9)
DOWNWARDS = np.diag([1.0, -1.0, -1.0])
"""Rotation world_from_camera of a camera that looks straight down, its x along that of the world."""
EVEN = Optics(vignetting=0.0, blur_px=0.0, noise=0.0)


def plate(low: tuple, high: tuple, z: float, class_id: int, material: Material = Material.PLASTER) -> Mesh:
    (x0, y0), (x1, y1) = low, high
    vertices = np.array([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]])
    return Mesh.uniform(vertices, np.array([[0, 1, 2], [0, 2, 3]]), class_id, material, (200, 100, 50))


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
    """A camera 20 m above a floor, and 5 m below it a plate of 2 x 2 m; the sun is 45 degrees high."""
    sun = np.array([1.0, 0.0, 1.0]) / np.sqrt(2)
    floor, roof = plate((-90, -90), (90, 90), 0.0, BUILDING), plate((-1, -1), (1, 1), 15.0, CAR)
    above = SE3.from_rotation_translation(DOWNWARDS, np.array([0.0, 0.0, 20.0]))
    weather = Weather(sun=sun, sunlight=0.8, visibility_m=1e9)
    camera = pinhole(201, 201, 90.0)
    both = render(Scene(Mesh.merge([floor, roof])), camera, above, 0, weather, optics=EVEN)
    # The sun comes from +x, so the shadow lies 15 m further along -x: x -16..-14, y -1..1, 5 px a metre.
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
    ("model", "distortion"),
    [
        ("plumb_bob", [-0.3, 0.1, 0.01, -0.005]),
        ("rational_polynomial", [0.2, -0.05, 0.002, 0.001, 0.01, 0.5, 0.05, 0.02]),
        ("equidistant", [0.05, -0.01, 0.002, 0.0]),
    ],
)
def test_a_known_point_lands_where_opencv_says(model: str, distortion: list[float]) -> None:
    matrix = np.array([[130.0, 0, 81.3], [0, 125.0, 48.2], [0, 0, 1]])
    camera = Camera(width=160, height=100, matrix=matrix, model=model, distortion=np.array(distortion))
    x, y = np.meshgrid(np.linspace(-5.0, 5.0, 6), np.linspace(-3.0, 3.0, 5))
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 10.0)], axis=1)
    # The mean of the pixels that a plate of one to two pixels covers is at most half a pixel off its middle.
    half = 0.75 / 130.0 * 10.0
    dots = [plate((px - half, py - half), (px + half, py + half), 10.0, CAR) for px, py, _ in points]
    picture = render(Scene(Mesh.merge(dots)), camera, SE3.identity(), 0, WEATHER)
    module = cv2.fisheye if model == "equidistant" else cv2
    expected, _ = module.projectPoints(points[:, None], np.zeros(3), np.zeros(3), matrix, camera.distortion)
    expected = expected.reshape(-1, 2)
    row, column = np.nonzero(picture.class_id == CAR)
    pixels = np.stack([column, row], axis=1)
    nearest = np.linalg.norm(pixels[:, None] - expected, axis=2).argmin(axis=1)
    inside = (expected > 2).all(axis=1) & (expected < [157, 97]).all(axis=1)
    assert inside.sum() >= 20
    for index in np.flatnonzero(inside):
        np.testing.assert_allclose(pixels[nearest == index].mean(axis=0), expected[index], atol=0.5)


def test_outside_the_circle_of_a_fisheye_it_is_dark() -> None:
    matrix = np.array([[40.0, 0, 79.5], [0, 40, 79.5], [0, 0, 1]])
    camera = Camera(width=160, height=160, matrix=matrix, model="equidistant", distortion=np.zeros(4))
    picture = render(Scene(plate((-1, -1), (1, 1), 5.0, CAR)), camera, SE3.identity(), 0, WEATHER)
    column, row = np.meshgrid(np.arange(160), np.arange(160))
    inside = np.hypot(column - 79.5, row - 79.5) < 40 * np.pi / 2
    np.testing.assert_array_equal(picture.image.rgb.any(axis=2), inside)
    assert not picture.class_id[~inside].any() and np.isinf(picture.range_m[~inside]).all()


def town_like() -> Scene:
    """A floor, a wall and three movers: one in view, one beside the view and one behind the camera."""
    floor = plate((-60, -60), (60, 60), 0.0, ROAD, Material.ASPHALT)
    wall = box((1, 40, 12), (30, 0, 0), Surface(BUILDING, Material.BRICK, (150, 80, 60)))
    car = box((4, 2, 1.5), (0, 0, 0), Surface(CAR, Material.CAR_PAINT, (40, 60, 160)))
    ways = [((10, -3, 0), (10, 3, 0)), ((6, 9, 0), (14, 9, 0)), ((-9, 0, 0), (-5, 0, 0))]
    actors = [
        Actor(
            mesh=car,
            trajectory=Trajectory.from_poses(
                [0, 10**9], [SE3.from_yaw(0.3, np.array(p, float)) for p in way]
            ),
        )
        for way in ways
    ]
    return Scene(Mesh.merge([floor, wall]), tuple(actors))


AHEAD = SE3.from_rotation_translation(
    np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0.0]]), np.array([0.0, 0.0, 1.6])
)
LOW_SUN = Weather(sun=np.array([-0.6, 0.64, 0.48]), clouds=0.4, wetness=0.6, paint_seed=5)


def test_the_classes_and_ranges_are_those_that_rays_find_one_by_one() -> None:
    scene, camera = town_like(), pinhole(120, 60, 80.0)
    picture = render(scene, camera, AHEAD, 400_000_000, LOW_SUN)
    column, row = np.meshgrid(np.arange(120), np.arange(60))
    ahead = np.stack([(column - 59.5), (row - 29.5), np.full(row.shape, camera.matrix[0, 0])], -1).reshape(
        -1, 3
    )
    directions = (ahead / np.linalg.norm(ahead, axis=1, keepdims=True)) @ AHEAD.rotation.T
    origins = np.tile(AHEAD.translation, (len(ahead), 1))
    hits = scene.trace(origins, directions, np.array([400_000_000]), np.zeros(len(ahead), np.int64))
    class_id = np.where(hits.face >= 0, scene.class_id[hits.face], 0).reshape(60, 120)
    assert set(np.unique(class_id)) == {0, ROAD, BUILDING, CAR}
    assert (picture.class_id != class_id).mean() < 0.002, "rounding at edges at most"
    same = picture.class_id == class_id
    np.testing.assert_allclose(
        picture.range_m[same], hits.range_m.reshape(60, 120)[same], rtol=1e-3, atol=0.01
    )
    np.testing.assert_array_equal(np.isinf(picture.range_m), picture.class_id == 0, "the sky has no class")


def test_a_picture_is_the_same_for_the_same_seed_only() -> None:
    scene, camera = town_like(), pinhole(60, 30, 80.0)

    def rgb(**settings: Any) -> np.ndarray:
        return render(scene, camera, AHEAD, 5, LOW_SUN, **settings).image.rgb

    np.testing.assert_array_equal(rgb(rng=3), rgb(rng=3))
    np.testing.assert_array_equal(rgb(rng=np.random.default_rng(3)), rgb(rng=np.random.default_rng(3)))
    assert (rgb(rng=3) != rgb(rng=4)).any()
    first, second = (Weather.random(np.random.default_rng(8)) for _ in range(2))
    assert all(np.array_equal(getattr(first, n), getattr(second, n)) for n in Weather.__dataclass_fields__)


def test_another_paint_changes_the_colours_but_nothing_else() -> None:
    scene, camera = town_like(), pinhole(60, 30, 80.0)
    first, second = (
        render(scene, camera, AHEAD, 5, replace(LOW_SUN, paint_seed=seed), optics=EVEN) for seed in (1, 2)
    )
    np.testing.assert_array_equal(first.class_id, second.class_id)
    np.testing.assert_array_equal(first.range_m, second.range_m)
    wall = first.class_id == BUILDING
    assert np.abs(first.image.rgb[wall].mean(axis=0) - second.image.rgb[wall].mean(axis=0)).max() > 10


def test_a_surface_gets_light_by_the_cosine_of_its_angle_to_the_sun() -> None:
    level = plate((-9, -9), (0, 9), 0.0, BUILDING, Material.SKIN)
    upright = np.array([[0.5, -9, 0], [9, -9, 14.722], [9, 9, 14.722], [0.5, 9, 0]])  # 60 degrees steep
    steep = Mesh.uniform(upright, np.array([[0, 1, 2], [0, 2, 3]]), CAR, Material.SKIN, (200, 100, 50))
    above = SE3.from_rotation_translation(DOWNWARDS, np.array([0.0, 0.0, 60.0]))
    weather = Weather(sun=np.array([0.0, 0.0, 1.0]), sunlight=1.0, visibility_m=1e9)
    optics = replace(EVEN, compensation_ev=-2.0)
    picture = render(
        Scene(Mesh.merge([level, steep])), pinhole(81, 81, 14.0), above, 0, weather, optics=optics
    )
    light = ((picture.image.rgb.astype(float) / 255 + 0.055) / 1.055) ** 2.4
    full, half = (light[picture.class_id == c].mean() for c in (BUILDING, CAR))
    assert half / full == pytest.approx(0.5, rel=0.15)


def test_oversampling_smooths_edges_but_leaves_the_truth() -> None:
    scene, camera = Scene(plate((-1, -1), (1.04, 1), 10.0, CAR)), pinhole(100, 40, 90.0)
    weather = replace(WEATHER, sunlight=0.0)
    plain, fine = (
        render(scene, camera, SE3.identity(), 0, weather, optics=EVEN, oversampling=times) for times in (1, 4)
    )
    np.testing.assert_array_equal(plain.class_id, fine.class_id)
    np.testing.assert_array_equal(plain.range_m, fine.range_m)
    dark, bright = sorted(int(plain.image.rgb[20, column, 2]) for column in (50, 90))
    # The edge of the plate, x / z = 0.104 and 49.5 px + 5.2 px, lies in the column 55: 54.5 to 55.5.
    assert dark + 5 < fine.image.rgb[20, 55, 2] < bright - 5
    assert plain.image.rgb[20, 55, 2] in range(bright - 3, bright + 4)


def test_more_exposure_gives_a_brighter_picture() -> None:
    scene, camera = town_like(), pinhole(60, 30, 80.0)
    means = [
        render(scene, camera, AHEAD, 5, LOW_SUN, optics=replace(EVEN, compensation_ev=ev)).image.rgb.mean()
        for ev in (-2.0, -1.0, 0.0, 1.0, 2.0)
    ]
    assert (np.diff(means) > 5).all()


@pytest.mark.parametrize("brightness", [0.02, 5.0])
def test_the_exposure_follows_the_light(brightness: float) -> None:
    light = np.full((20, 30, 3), brightness, np.float32)
    rgb = EVEN.develop(light, np.ones((20, 30), np.float32), np.random.default_rng(0))
    assert 90 < rgb.mean() < 130, "middle grey"


@pytest.mark.parametrize("material", sorted(set(Material) - {Material.RETROREFLECTOR, Material.CAR_PAINT}))
def test_a_texture_shows_from_near_and_is_even_from_far(material: Material) -> None:
    weather = Weather(sun=np.array([0.0, 0.0, 1.0]), sunlight=0.0, visibility_m=1e9)

    def unevenness(distance_m: float) -> float:
        reach = distance_m
        scene = Scene(plate((-reach, -reach), (reach, reach), 0.0, BUILDING, material))
        above = SE3.from_rotation_translation(DOWNWARDS, np.array([0.3, 0.7, distance_m]))
        grey = render(scene, pinhole(64, 64, 60.0), above, 0, weather, optics=EVEN).image.rgb.mean(axis=2)
        return float(np.abs(np.diff(grey, axis=1)).mean() / grey.mean())

    near, far = unevenness(2.0), unevenness(2000.0)
    assert far < 0.01
    assert near > 2 * far
