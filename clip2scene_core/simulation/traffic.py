"""What moves: vehicles and riders on the lanes, people on the sidewalks and across the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation import cars, lorries, machines, people
from clip2scene_core.simulation.lots import Kerbside
from clip2scene_core.simulation.meshes import Mesh
from clip2scene_core.simulation.plan import Plan, Surface
from clip2scene_core.simulation.scene import Actor
from clip2scene_core.simulation.styles import Style
from clip2scene_core.trajectory import Trajectory

_STEP_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mover:
    """An object with its way over the plane; the ground is not known yet."""

    mesh: Mesh
    xy: np.ndarray
    """(T, 2) metres in the town, `_STEP_S` apart."""
    heading: np.ndarray
    """(T,) radians."""

    def actor(self, surface: Surface) -> Actor:
        """The same on the ground, pitched as the ground is."""
        return Actor(mesh=self.mesh, trajectory=trajectory_on(surface, self.xy, self.heading, _STEP_S))


def trajectory_on(surface: Surface, xy: np.ndarray, heading: np.ndarray, step_s: float) -> Trajectory:
    """Poses over the ground of something about 3 m long, from positions (T, 2) and headings (T,)."""
    ahead = 1.3 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    left = 0.7 * np.stack([-np.sin(heading), np.cos(heading)], axis=1)
    probes = np.concatenate([xy + ahead, xy - ahead, xy + left, xy - left])
    front, back, port, starboard = surface.below(probes)[0].reshape(4, -1)
    forward = np.column_stack([2 * ahead, front - back])
    side = np.column_stack([2 * left, np.clip(port - starboard, -0.15, 0.15)])
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    up = np.cross(forward, side)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    rotations = np.stack([forward, np.cross(up, forward), up], axis=2)
    stamps_ns = np.round(np.arange(len(xy)) * step_s * 1e9).astype(np.int64)
    height = (front + back + port + starboard) / 4
    return Trajectory(stamps_ns=stamps_ns, rotations=rotations, translations=np.column_stack([xy, height]))


def progress_m(speed_mps: float, duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """(T,) distance covered since the start: steady, standing, braking to a stop or pulling away."""
    time = np.arange(0.0, duration_s + _STEP_S, _STEP_S)
    kind = rng.choice(["steady", "standing", "braking", "starting"], p=[0.55, 0.2, 0.12, 0.13])
    if kind == "standing":
        return np.zeros(len(time))
    turn_s = rng.uniform(0.2, 0.8) * duration_s
    ramp = np.clip((time - turn_s) / max(speed_mps / 2.0, 0.5), 0.0, 1.0)
    share = {"steady": np.ones(len(time)), "braking": 1 - ramp, "starting": ramp}[kind]
    return np.concatenate([[0.0], np.cumsum(speed_mps * _STEP_S * (share[1:] + share[:-1]) / 2)])


def drive_lanes(
    plan: Plan, style: Style, kerbside: Kerbside, duration_s: float, rng: np.random.Generator
) -> list[Mover]:
    """A stream of vehicles on each lane of one side, all of a lane in step so that none meets the next."""
    road = kerbside.road
    movers = []
    for lane in range(road.lanes):
        speed = rng.uniform(*style.speed_mps)
        covered = progress_m(speed, duration_s, rng)
        queue = covered[-1] == 0
        gap = rng.uniform(2, 9) if queue else rng.uniform(1.5, 7.0) * speed / style.traffic
        # Streams of side roads end before the junction with the main road, which is at their first station.
        room = road.curve.length_m - (0 if road is plan.network.main else 14)
        station = rng.uniform(0, 15) - (0 if queue else covered[-1] / 2)
        while station < room - covered[-1] * (road is not plan.network.main):
            mesh = _vehicle(style, rng)
            half = np.ptp(mesh.vertices[:, 0]) / 2
            lateral = kerbside.side * road.lane_centre_m(lane) + rng.normal(0, 0.15)
            along = station + half + covered
            if kerbside.traffic < 0:
                along = road.curve.length_m - along
            xy, heading = road.curve.at(along, lateral)
            movers.append(Mover(mesh=mesh, xy=xy, heading=heading + (0 if kerbside.traffic > 0 else np.pi)))
            station += 2 * half + gap * rng.uniform(0.6, 1.8) + 2.0
    return [m for m in movers if not _taken(plan, m)]


def _vehicle(style: Style, rng: np.random.Generator) -> Mesh:
    kinds = (
        (cars.car, 1.0),
        (lorries.truck, 0.4 * style.heavy),
        (lorries.bus, 0.25 * style.heavy),
        (machines.construction_vehicle, 0.15 * style.heavy),
        (people.motorcyclist, 0.25),
        (people.bicyclist, 0.25),
    )
    share = np.array([k[1] for k in kinds])
    return kinds[rng.choice(len(kinds), p=share / share.sum())][0](rng)


def _taken(plan: Plan, mover: Mover) -> bool:
    """Whether something stands in the way."""
    inside = np.abs(mover.xy).max(axis=1) < plan.extent_m - 2
    return bool(inside.any()) and not plan.free(mover.xy[inside]).all()


def ride_edges(style: Style, kerbside: Kerbside, duration_s: float, rng: np.random.Generator) -> list[Mover]:
    """Bicyclists and motorcyclists at the edge of the lanes or on the sidewalk."""
    movers = []
    for _ in range(rng.poisson(1.5 * style.people)):
        build = people.bicyclist if rng.random() < 0.7 else people.motorcyclist
        speed = rng.uniform(2.0, 7.0)
        out = -kerbside.road.side(kerbside.side).parking_m - rng.uniform(0.4, 0.8)
        if rng.random() < 0.2 and kerbside.walk_m > 1.5:
            out = kerbside.walk_m / 2
        movers.append(_along(kerbside, build(rng), out, kerbside.traffic * speed, duration_s, rng))
    return movers


def walk(
    plan: Plan, style: Style, kerbside: Kerbside, duration_s: float, rng: np.random.Generator
) -> list[Mover]:
    """People along the sidewalk, alone or in groups, and across the road."""
    movers = []
    for _ in range(rng.poisson(style.people * kerbside.road.curve.length_m / 16)):
        out = rng.uniform(kerbside.verge_m + 0.4, max(kerbside.walk_m - 0.3, kerbside.verge_m + 0.8))
        speed = rng.choice([-1, 1]) * rng.uniform(0.6, 1.8)
        leader = _along(kerbside, people.pedestrian(rng), out, speed, duration_s, rng)
        movers.append(leader)
        for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.3 else 0):
            shift = rng.normal(0, 0.4, 2) + rng.choice([-1, 1], 2) * 0.4
            movers.append(Mover(mesh=people.pedestrian(rng), xy=leader.xy + shift, heading=leader.heading))
    for _ in range(rng.poisson(0.8 * style.people)):
        movers.append(_across(kerbside, people.pedestrian(rng), duration_s, rng))
    return [m for m in movers if not _taken(plan, m)]


def _along(
    kerbside: Kerbside,
    mesh: Mesh,
    out_m: float,
    speed_mps: float,
    duration_s: float,
    rng: np.random.Generator,
) -> Mover:
    """At a constant speed along the kerb; negative against the curve."""
    time = np.arange(0.0, duration_s + _STEP_S, _STEP_S)
    station = rng.uniform(0, kerbside.road.curve.length_m) + speed_mps * (time - duration_s / 2)
    lateral = kerbside.side * (kerbside.road.edge_m(kerbside.side) + out_m)
    xy, heading = kerbside.road.curve.at(station, lateral)
    return Mover(mesh=mesh, xy=xy, heading=heading + (0 if speed_mps > 0 else np.pi))


def _across(kerbside: Kerbside, mesh: Mesh, duration_s: float, rng: np.random.Generator) -> Mover:
    """From one kerb towards the other and on."""
    time = np.arange(0.0, duration_s + _STEP_S, _STEP_S)
    road = kerbside.road
    width = road.edge_m(1) + road.edge_m(-1)
    start = rng.uniform(-width / 2, width / 2)
    lateral = np.clip(start + rng.uniform(0.8, 1.6) * (time - duration_s / 2), -width / 2 - 1, width / 2 + 1)
    station = np.full(len(time), rng.uniform(0.2, 0.8) * road.curve.length_m)
    sign = rng.choice([-1, 1])
    xy, heading = road.curve.at(station, sign * lateral)
    return Mover(mesh=mesh, xy=xy, heading=heading + sign * np.pi / 2)
