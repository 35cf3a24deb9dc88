"""A drive through the town: where the ego vehicle goes, how its sensors sit on it, and what they see."""

from __future__ import annotations

import numpy as np

from clip2scene_core.errors import ConfigError
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.camera import Rendering, render
from clip2scene_core.simulation.lidar import LidarModel, sweep
from clip2scene_core.simulation.optics import Optics
from clip2scene_core.simulation.rigs import make_rig
from clip2scene_core.simulation.roads import Curve
from clip2scene_core.simulation.scene import Actor
from clip2scene_core.simulation.town import Town
from clip2scene_core.simulation.traffic import trajectory_on
from clip2scene_core.simulation.weather import Weather
from clip2scene_core.trajectory import Trajectory
from clip2scene_core.types import LidarScan, SemanticLabels

_STEP_S = 0.1
_START_NS = 1_000_000_000
"""Stamp of the first scan: a stamp of zero means `the latest` to tf2."""


class SimulatedDrive:
    """Frames of one drive, simulated when they are asked for, the same for the same seed.

    The base frame of the vehicle is on the ground below the sensors, x forward.
    """

    def __init__(
        self,
        seed: int,
        *,
        frames: int,
        lidar: str | LidarModel | None = None,
        cameras: str | int = 1,
        image_size: tuple[int, int] | None = None,
        lens: str = "pinhole",
        style: str | None = None,
        compensated: bool = False,
    ) -> None:
        """`lidar`, `cameras`, `image_size` and `lens` are those of rigs.make_rig.

        `compensated` scans are corrected for the motion during the sweep. Raises ConfigError where a setting
        is impossible.
        """
        self.rig = make_rig(cameras, seed, lidar=lidar, size=image_size, lens=lens)
        if frames < 1:
            raise ConfigError(f"frames must be at least 1, got {frames}")
        self.frames = frames
        self._seed, self._compensated = seed, compensated
        duration_s = (frames + 2) / self.rig.lidar.rate_hz + 1.5
        extent_m = float(np.clip(70.0 + 4.0 * duration_s, 110.0, 250.0))
        self.town = Town.generate(seed, style, extent_m=extent_m, duration_s=duration_s)
        rng = np.random.default_rng([seed, 2])
        self.world_from_base = _ego_trajectory(self.town, duration_s, rng)
        """Of the vehicle over time."""
        self.actors = clear_of(self.town.actors, self.world_from_base, self.world_from_base.stamps_ns)
        self._scene = self.town.scene().keeping(self.actors)
        self.weather = Weather.random(rng)
        self.optics = Optics.random(rng)

    def stamp_ns(self, index: int) -> int:
        """Start of the turn of scan `index`."""
        return _START_NS + index * self.rig.lidar.period_ns

    def image_stamp_ns(self, index: int, camera: str) -> int:
        """When the LiDAR looks where the camera looks, in whole microseconds.

        It turns clockwise from where its x axis points backwards.
        """
        start = -self.rig.base_from_lidar.rotation[:2, 0]
        ahead = self.rig.cameras[camera].base_from_camera.rotation[:2, 2]
        turned = np.arctan2(start[1], start[0]) - np.arctan2(ahead[1], ahead[0])
        share = np.round(np.rad2deg(turned), 1) % 360.0 / 360.0
        return self.stamp_ns(index) + round(share * self.rig.lidar.period_ns / 1000) * 1000

    def world_from_lidar(self, index: int) -> SE3:
        """At the stamp of scan `index`."""
        return self.world_from_base.pose(self.stamp_ns(index)) @ self.rig.base_from_lidar

    def world_from_camera(self, index: int, camera: str) -> SE3:
        """At the stamp of its image."""
        world_from_base = self.world_from_base.pose(self.image_stamp_ns(index, camera))
        return world_from_base @ self.rig.cameras[camera].base_from_camera

    def scan(self, index: int) -> tuple[LidarScan, SemanticLabels]:
        """Scan `index` in frame `lidar` with its exact classes, ids of the label set `town`."""
        return sweep(
            self.rig.lidar,
            self._scene,
            self.world_from_base.mounted(self.rig.base_from_lidar),
            self.stamp_ns(index),
            np.random.default_rng([self._seed, 3, index]),
            compensated=self._compensated,
        )

    def rendering(self, index: int, camera: str) -> Rendering:
        """The image of one camera for scan `index`, with its classes and ranges."""
        return render(
            self._scene,
            self.rig.cameras[camera].camera,
            self.world_from_camera(index, camera),
            self.image_stamp_ns(index, camera),
            self.weather,
            optics=self.optics,
            rng=self._seed,
            frame_id=f"camera_{camera}",
        )


def _ego_trajectory(town: Town, duration_s: float, rng: np.random.Generator) -> Trajectory:
    """Along a lane of the main road, half of the time round a corner, at changing speed."""
    way, focus_m = _way(town, rng)
    time = np.arange(0.0, duration_s + _STEP_S, _STEP_S)
    knots = rng.uniform(0.5, 1.1, int(duration_s / 4) + 3)
    speed = town.style.speed_mps[0] + rng.random() * np.ptp(town.style.speed_mps)
    speed = speed * np.interp(time, 4.0 * np.arange(len(knots)), knots)
    if rng.random() < 0.5:
        speed *= np.clip(np.abs(time - rng.uniform(0.2, 0.8) * duration_s) / 2.0 - 0.5, 0.0, 1.0)
    covered = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * _STEP_S)])
    covered *= min(1.0, (way.length_m - 1.0) / max(covered[-1], 1e-6))
    start = np.clip(focus_m - covered[-1] / 2, 0.0, way.length_m - 1.0 - covered[-1])
    xy, heading = way.at(start + covered)
    return trajectory_on(town.surface, xy, heading, _STEP_S)


def _way(town: Town, rng: np.random.Generator) -> tuple[Curve, float]:
    """A line through the town that the vehicle may follow, and the station that it should pass halfway."""
    main = town.network.main
    lane = int(rng.integers(main.lanes))
    side = -1 if town.right_hand else 1
    stations = np.arange(0.0, main.curve.length_m, 1.0)
    line, _ = main.curve.at(stations, side * main.lane_centre_m(lane))
    line = line[np.abs(line).max(axis=1) < town.extent_m - 25.0]
    others = town.network.roads[1:]
    if others and rng.random() < 0.5:
        road = others[rng.integers(len(others))]
        out, _ = road.curve.at(np.arange(12.0, road.curve.length_m, 1.0), side * road.lane_centre_m(0))
        out = out[np.abs(out).max(axis=1) < town.extent_m - 25.0]
        corner = int(np.argmin(np.linalg.norm(line - road.curve.xy[0], axis=1)))
        if len(out) > 2 and corner > 30:
            return Curve(_every_metre(np.concatenate([_turn(line[: corner - 11], out), out]))), float(corner)
    return Curve(_every_metre(line)), len(line) / 2


def _turn(line: np.ndarray, out: np.ndarray) -> np.ndarray:
    """`line` with a smooth curve (cubic Bezier) to the start of `out`."""
    start, end = line[-1], out[0]
    reach = 0.45 * np.linalg.norm(end - start)
    first = start + reach * (line[-1] - line[-2]) / np.linalg.norm(line[-1] - line[-2])
    second = end - reach * (out[1] - out[0]) / np.linalg.norm(out[1] - out[0])
    t = np.linspace(0.0, 1.0, 30)[1:-1, None]
    curve = (1 - t) ** 3 * start + 3 * t * (1 - t) ** 2 * first + 3 * t**2 * (1 - t) * second + t**3 * end
    return np.concatenate([line, curve])


def _every_metre(xy: np.ndarray) -> np.ndarray:
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(xy, axis=0), axis=1))])
    stations = np.arange(0.0, along[-1], 1.0)
    return np.stack([np.interp(stations, along, axis) for axis in xy.T], axis=1)


def clear_of(actors: tuple[Actor, ...], ego: Trajectory, times_ns: np.ndarray) -> tuple[Actor, ...]:
    """The actors that do not touch the ego vehicle (taken as 5 m long) at any of the times."""
    ego_at = ego.positions(times_ns)
    kept = []
    for actor in actors:
        length, width = np.ptp(actor.mesh.vertices[:, :2], axis=0)
        distance = np.linalg.norm(actor.trajectory.positions(times_ns) - ego_at, axis=1)
        if distance.min() > max(length, width) / 2 + 1.5:
            kept.append(actor)
    return tuple(kept)
