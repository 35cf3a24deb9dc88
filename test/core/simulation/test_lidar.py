"""The simulated LiDAR against geometry that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.lidar import LIDARS, LidarModel, sweep
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.scene import Actor, Scene
from clip2scene_core.trajectory import Trajectory

ROAD, BUILDING, CAR = 1, 5, 13
SECOND_NS = 1_000_000_000


def exact(name: str) -> LidarModel:
    """A model without noise, loss or limits of range."""
    return replace(
        LIDARS[name],
        range_noise_m=0.0,
        random_loss=0.0,
        reach_m=1e9,
        min_range_m=0.0,
        max_range_m=1e6,
        glass_transmission=0.0,
        gloss_threshold=0.0,
    )


def quad(corners: list, class_id: int, material: Material = Material.CONCRETE, grey: int = 128) -> Mesh:
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh.uniform(np.array(corners, np.float32), faces, class_id, material, (grey, grey, grey))


def floor(material: Material = Material.CONCRETE, grey: int = 128) -> Mesh:
    return quad([[-500, -500, 0], [500, -500, 0], [500, 500, 0], [-500, 500, 0]], ROAD, material, grey)


def wall(
    x: float, class_id: int = BUILDING, half: float = 500.0, material: Material = Material.CONCRETE
) -> Mesh:
    return quad([[x, -half, -half], [x, half, -half], [x, half, half], [x, -half, half]], class_id, material)


def at_height(height_m: float) -> Trajectory:
    return Trajectory.standing(SE3.from_yaw(0.0, np.array([0.0, 0.0, height_m])))


def moving(velocity_mps: np.ndarray, yaw_rate: float = 0.0) -> Trajectory:
    """From the origin at time 0, for a second, in steps short enough to be exact."""
    times_s = np.linspace(0.0, 1.0, 21)
    return Trajectory.from_poses(
        (times_s * SECOND_NS).astype(np.int64),
        [SE3.from_yaw(yaw_rate * t, velocity_mps * t) for t in times_s],
    )


@pytest.mark.parametrize("name", list(LIDARS))
def test_range_on_a_plane_is_height_over_sine(name: str) -> None:
    model = exact(name)
    scan, labels = sweep(model, Scene(floor()), at_height(1.8), 0, np.random.default_rng(0))
    elevation = np.deg2rad(model.elevations_deg[scan.ring])
    expected = 1.8 / np.sin(-elevation)
    near = expected < 150
    np.testing.assert_allclose(np.linalg.norm(scan.xyz, axis=1)[near], expected[near], rtol=2e-4)
    below = np.rad2deg(np.arctan(1.8 / 500)) + 0.3
    assert set(np.unique(scan.ring)) >= set(np.flatnonzero(model.elevations_deg < -below))
    assert (labels.class_id == ROAD).all()


def test_a_beam_measures_its_bias_too_far() -> None:
    model = exact("VLP-16")
    biased = replace(model, beam_bias_m=np.where(np.arange(16) == 12, 0.04, 0.0))
    scene, sensor = Scene(floor()), at_height(1.8)
    true, scan = (sweep(m, scene, sensor, 0, np.random.default_rng(0))[0] for m in (model, biased))
    too_far = np.linalg.norm(scan.xyz, axis=1) - np.linalg.norm(true.xyz, axis=1)
    np.testing.assert_allclose(too_far[scan.ring == 12], 0.04, atol=1e-4)
    np.testing.assert_allclose(too_far[scan.ring != 12], 0.0, atol=1e-4)


def test_grass_answers_above_the_ground_and_asphalt_does_not() -> None:
    model, sensor = exact("HDL-64E"), at_height(1.8)
    grass, _ = sweep(model, Scene(floor(Material.GRASS), grass_m=0.1), sensor, 0, np.random.default_rng(0))
    near = np.linalg.norm(grass.xyz, axis=1) < 15
    height = grass.xyz[near, 2] + 1.8
    assert height.min() > -1e-3 and height.max() < 0.1 + 1e-3
    np.testing.assert_allclose([height.mean(), height.std()], [0.05, 0.1 / np.sqrt(12)], atol=0.002)
    road, _ = sweep(model, Scene(floor(Material.ASPHALT), grass_m=0.1), sensor, 0, np.random.default_rng(0))
    np.testing.assert_allclose(road.xyz[np.linalg.norm(road.xyz, axis=1) < 15, 2], -1.8, atol=1e-3)


def test_beam_tables_are_those_of_the_data_sheets() -> None:
    hdl32, hdl64 = LIDARS["HDL-32E"].elevations_deg, LIDARS["HDL-64E"].elevations_deg
    assert {name: len(m.elevations_deg) for name, m in LIDARS.items()} == {
        "HDL-32E": 32,
        "HDL-64E": 64,
        "VLP-16": 16,
        "VLS-128": 128,
    }
    np.testing.assert_allclose([hdl32[0], hdl32[-1]], [10.67, -30.67], atol=0.01)
    np.testing.assert_allclose(np.diff(hdl32), -4 / 3, atol=0.001)
    np.testing.assert_allclose([hdl64[0], hdl64[-1]], [2.0, -24.8], atol=0.3)
    steps = -np.diff(hdl64)
    np.testing.assert_allclose([steps[:31].mean(), steps[32:].mean()], [1 / 3, 1 / 2], atol=0.02)
    np.testing.assert_allclose(LIDARS["VLP-16"].elevations_deg, np.arange(15, -16, -2))
    dense = -np.diff(LIDARS["VLS-128"].elevations_deg)
    assert dense.min() < 0.12 and dense.max() > 0.8
    assert LIDARS["HDL-32E"].azimuth_steps * 32 == 34_688, "points of a nuScenes sweep"


def test_the_head_turns_clockwise_from_behind() -> None:
    model = exact("VLP-16")
    scan, _ = sweep(model, Scene(floor()), at_height(1.0), 5 * SECOND_NS, np.random.default_rng(0))
    azimuth = np.arctan2(scan.xyz[:, 1], scan.xyz[:, 0])
    expected = np.pi - 2 * np.pi * scan.time_offset_ns / model.period_ns
    np.testing.assert_allclose(np.cos(azimuth - expected), 1.0, atol=1e-5)
    assert scan.stamp_ns == 5 * SECOND_NS
    assert scan.time_offset_ns.min() >= 0 and scan.time_offset_ns.max() < model.period_ns


def test_motion_during_the_sweep_moves_raw_points_and_not_compensated_ones() -> None:
    model, speed, yaw_rate, distance = exact("VLP-16"), 12.0, 0.4, 40.0
    ego = moving(np.array([speed, 0.0, 0.0]), yaw_rate)
    scene = Scene(wall(distance))
    raw, _ = sweep(model, scene, ego, 0, np.random.default_rng(0))
    still, _ = sweep(model, scene, ego, 0, np.random.default_rng(0), compensated=True)
    # By hand: at time t the sensor is at x = v t, turned by w t; the wall is the plane x = distance.
    t = raw.time_offset_ns * 1e-9
    x_world = speed * t + np.cos(yaw_rate * t) * raw.xyz[:, 0] - np.sin(yaw_rate * t) * raw.xyz[:, 1]
    close = np.linalg.norm(raw.xyz, axis=1) < 200
    np.testing.assert_allclose(x_world[close], distance, atol=0.01)
    np.testing.assert_allclose(still.xyz[close, 0], distance, atol=0.01)
    ahead = close & (np.abs(raw.xyz[:, 1]) < 1.0)
    assert np.abs(raw.xyz[ahead, 0] - (distance - speed * model.period_ns * 1e-9 / 2)).max() < 0.2


def test_a_moving_object_is_hit_where_it_is_at_the_firing_time() -> None:
    model, speed = exact("HDL-32E"), 15.0
    actor = Actor(mesh=wall(20.0, CAR, half=3.0), trajectory=moving(np.array([speed, 0.0, 0.0])))
    scan, labels = sweep(
        model, Scene(wall(80.0), (actor,)), at_height(0.0), SECOND_NS // 2, np.random.default_rng(0)
    )
    car = labels.class_id == CAR
    expected = 20.0 + speed * (0.5 + scan.time_offset_ns[car] * 1e-9)
    assert car.sum() > 300
    np.testing.assert_allclose(scan.xyz[car, 0], expected, atol=0.002)
    np.testing.assert_allclose(scan.xyz[~car, 0], 80.0, atol=0.01)
    # The plate hides the wall exactly where it is.
    edge = np.abs(scan.xyz[car] / scan.xyz[car, :1])[:, 1:].max()
    assert edge <= 3.0 / expected.min() + 1e-3


def test_a_frozen_scene_has_its_actors_where_they_are_at_that_time() -> None:
    actor = Actor(mesh=wall(20.0, CAR, half=3.0), trajectory=moving(np.array([10.0, 0.0, 0.0])))
    scene = Scene(wall(80.0), (actor,)).frozen(SECOND_NS // 2)
    rays = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], np.float32)
    hits = scene.trace(np.zeros((2, 3)), rays, np.array([0]), np.zeros(2, int))
    assert hits.range_m[0] == pytest.approx(25.0, abs=1e-4) and scene.class_id[hits.face[0]] == CAR
    assert np.isinf(hits.range_m[1]) and hits.face[1] == -1


def test_culling_finds_every_actor_that_tracing_all_rays_finds() -> None:
    rng = np.random.default_rng(3)
    ball = wall(0.0, CAR, half=0.7)
    actors = tuple(
        Actor(
            mesh=ball,
            trajectory=Trajectory.standing(SE3.from_yaw(rng.uniform(0, 6), rng.uniform(-20, 20, 3))),
        )
        for _ in range(40)
    )
    scene = Scene(floor(), actors)
    rays = rng.normal(size=(20_000, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    origins = np.broadcast_to([0.0, 0.0, 25.0], rays.shape)
    arguments = (origins, rays, np.array([0]), np.zeros(len(rays), int))
    culled, frozen = scene.trace(*arguments), scene.frozen(0).trace(*arguments)
    assert (scene.class_id[frozen.face] == CAR).sum() > 20
    np.testing.assert_allclose(culled.range_m, frozen.range_m, rtol=1e-4)


def test_glass_is_seen_or_seen_through() -> None:
    scene = Scene(Mesh.merge([wall(10.0, CAR, material=Material.GLASS), wall(15.0)]))
    for transmission, class_id, distance in ((0.0, CAR, 10.0), (1.0, BUILDING, 15.0)):
        model = replace(exact("VLP-16"), glass_transmission=transmission)
        scan, labels = sweep(model, scene, at_height(0.0), 0, np.random.default_rng(0))
        assert (labels.class_id == class_id).all()
        np.testing.assert_allclose(scan.xyz[:, 0], distance, atol=0.01)


def test_glossy_paint_mirrors_slanting_pulses_away_and_plaster_does_not() -> None:
    def greatest_slant_deg(material: Material) -> float:
        model = replace(exact("VLS-128"), gloss_threshold=0.1)
        scan, _ = sweep(
            model, Scene(wall(5.0, CAR, material=material)), at_height(0.0), 0, np.random.default_rng(0)
        )
        return float(np.percentile(np.rad2deg(np.arccos(5.0 / np.linalg.norm(scan.xyz, axis=1))), 90))

    assert greatest_slant_deg(Material.CAR_PAINT) < 65
    assert greatest_slant_deg(Material.PLASTER) > 75


def test_noise_has_the_stated_deviation_and_weak_echoes_are_lost() -> None:
    model = replace(exact("VLS-128"), range_noise_m=0.02)
    scan, _ = sweep(model, Scene(wall(30.0)), at_height(0.0), 0, np.random.default_rng(0))
    truth = 30.0 / (scan.xyz[:, 0] / np.linalg.norm(scan.xyz, axis=1))
    near = truth < 60
    error = np.linalg.norm(scan.xyz, axis=1)[near] - truth[near]
    assert error.std() == pytest.approx(0.02, rel=0.05) and abs(error.mean()) < 0.001

    def returns(material: Material) -> int:
        limited = replace(model, reach_m=40.0)
        return len(
            sweep(limited, Scene(wall(60.0, material=material)), at_height(0.0), 0, np.random.default_rng(0))[
                0
            ].xyz
        )

    everything = len(sweep(model, Scene(wall(60.0)), at_height(0.0), 0, np.random.default_rng(0))[0].xyz)
    assert returns(Material.RUBBER) < 0.1 * everything
    assert returns(Material.RETROREFLECTOR) > 0.7 * everything


def test_the_same_generator_gives_the_same_sweep() -> None:
    scene = Scene(Mesh.merge([floor(), wall(25.0)]))
    first, second = (
        sweep(LIDARS["HDL-32E"], scene, at_height(1.8), 0, np.random.default_rng(7))[0] for _ in range(2)
    )
    assert len(first.xyz) == len(first.intensity) == len(first.ring) > 10_000
    np.testing.assert_array_equal(first.xyz, second.xyz)
    np.testing.assert_array_equal(first.intensity, second.intensity)
