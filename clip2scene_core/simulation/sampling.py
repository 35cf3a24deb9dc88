"""Sweeps to learn from: random LiDARs in random places of random towns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from clip2scene_core.simulation.drive import clear_of
from clip2scene_core.simulation.lidar import sweep
from clip2scene_core.simulation.rigs import random_lidar, random_mount
from clip2scene_core.simulation.town import Town
from clip2scene_core.simulation.traffic import trajectory_on
from clip2scene_core.trajectory import Trajectory
from clip2scene_core.types import LidarScan, SemanticLabels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSweep:
    """A sweep of some LiDAR somewhere in a town, to learn from."""

    scan: LidarScan
    labels: SemanticLabels
    """Of the label set `town`."""
    sensor_height_m: float
    """Of the sensor above the ground below it."""
    lidar: str
    """Name of the model that the random one was made from."""


def random_sweeps(seed: int, count: int, *, style: str | None = None) -> Iterator[TrainingSweep]:
    """Sweeps from `count` places of one town, each with another LiDAR, height, tilt, time and speed."""
    town = Town.generate(seed, style)
    scene = town.scene()
    for index in range(count):
        rng = np.random.default_rng([seed, 1, index])
        robot = rng.random() < 0.15
        xy, heading = _anywhere(town, rng) if robot else _on_lane(town, rng)
        speed = 0.0 if rng.random() < 0.2 else rng.uniform(0, 1.5) if robot else rng.uniform(0, 15)
        start_s = rng.uniform(1.0, town.duration_s - 2.0)
        ego = short_way(town, xy, heading, speed, rng.normal(0, 0.1), start_s)
        mount = random_mount(rng, (0.9, 1.9) if robot else (1.5, 2.4))
        model = random_lidar(rng)
        stamp_ns = int(start_s * 1e9)
        actors = clear_of(town.actors, ego, stamp_ns + np.array([0, model.period_ns]))
        scan, labels = sweep(
            model, scene.keeping(actors), ego.mounted(mount), stamp_ns, rng, compensated=rng.random() < 0.7
        )
        yield TrainingSweep(
            scan=scan, labels=labels, sensor_height_m=float(mount.translation[2]), lidar=model.name
        )


def random_place(town: Town, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """xy (2,) of the world and a heading: mostly in a lane, else where a robot or somebody on foot may be."""
    return _anywhere(town, rng) if rng.random() < 0.3 else _on_lane(town, rng)


def _on_lane(town: Town, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A place in some lane, well within the town, and the direction of its traffic."""
    for _ in range(100):
        roads = town.network.roads
        road = roads[0] if rng.random() < 0.65 else roads[rng.integers(len(roads))]
        side = int(rng.choice([-1, 1]))
        lateral = side * (road.lane_centre_m(int(rng.integers(road.lanes))) + rng.normal(0, 0.3))
        xy, heading = road.curve.at(np.array([rng.uniform(0, road.curve.length_m)]), lateral)
        backwards = (side > 0) == town.right_hand
        if np.abs(xy).max() < 0.62 * town.extent_m and _room(town, xy[0]):
            return xy[0], float(heading[0]) + np.pi * backwards + rng.normal(0, 0.05)
    return np.zeros(2), 0.0


def _anywhere(town: Town, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A free place on a sidewalk, parking lot or yard near a road."""
    for _ in range(200):
        xy = rng.uniform(-0.6, 0.6, 2) * town.extent_m
        if -2.0 < town.plan.outside_m(xy[None])[0] < 12.0 and _room(town, xy):
            return xy, rng.uniform(0, 2 * np.pi)
    return _on_lane(town, rng)


def _room(town: Town, xy: np.ndarray) -> bool:
    """Whether nothing stands within about a metre."""
    ring = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    around = np.stack([np.cos(ring), np.sin(ring)], axis=1)
    return bool(town.plan.free(np.concatenate([xy[None], xy + 0.6 * around, xy + 1.1 * around])).all())


def short_way(
    town: Town, xy: np.ndarray, heading: float, speed_mps: float, yaw_rate: float, start_s: float
) -> Trajectory:
    """A quarter of a second through a place, on the ground."""
    step_s = 0.25
    headings = heading + yaw_rate * step_s * np.arange(2)
    ways = xy + speed_mps * step_s * np.arange(2)[:, None] * np.array([np.cos(heading), np.sin(heading)])
    way = trajectory_on(town.surface, ways, headings, step_s)
    return replace(way, stamps_ns=way.stamps_ns + int(start_s * 1e9))
