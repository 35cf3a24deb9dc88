"""What stands along the kerb: parked vehicles, trees, lamps, signs, furniture and road works."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clip2scene_core.simulation import (
    cars,
    fences,
    furniture,
    lorries,
    machines,
    people,
    poles,
    two_wheelers,
    vegetation,
)
from clip2scene_core.simulation.lots import Kerbside
from clip2scene_core.simulation.meshes import Mesh
from clip2scene_core.simulation.plan import Plan
from clip2scene_core.simulation.solids import pick
from clip2scene_core.simulation.styles import Style

Builder = Callable[[np.random.Generator], Mesh]


def park_vehicles(plan: Plan, style: Style, kerbside: Kerbside, rng: np.random.Generator) -> None:
    """Cars and some larger vehicles and motorcycles in the bays along the kerb."""
    side = kerbside.road.side(kerbside.side)
    if side.parking == "none":
        if style.sidewalk_m[1] > 0 and rng.random() < 0.25:
            _parked_on_sidewalk(plan, kerbside, rng)
        return
    turn = {
        "parallel": 0.0,
        "diagonal": rng.choice([-1, 1]) * rng.uniform(0.6, 1.1),
        "perpendicular": np.pi / 2,
    }
    pitch = {"parallel": (5.2, 7.0), "diagonal": (3.0, 3.8), "perpendicular": (2.4, 2.9)}[side.parking]
    full = rng.uniform(0.3, 0.95)
    bed = rng.uniform(0.1, 0.3) if rng.random() < style.beds else 0.0
    station = rng.uniform(2, 8)
    while station < kerbside.road.curve.length_m - 4:
        if rng.random() < bed:
            _bed(plan, kerbside, station, rng)
        elif rng.random() < full:
            mesh = _parked(style, side.parking, rng)
            xy, heading = kerbside.at(station, -side.parking_m / 2 + rng.normal(0, 0.08))
            yaw = kerbside.along(heading) + turn[side.parking] + rng.choice([0, np.pi], p=[0.85, 0.15])
            if _clear_of_junctions(plan, kerbside, xy):
                plan.stand(mesh, xy, yaw + rng.normal(0, 0.03), outside_m=None)
        station += rng.uniform(*pitch)


def _bed(plan: Plan, kerbside: Kerbside, station_m: float, rng: np.random.Generator) -> None:
    """A planted bed across the bays, from the kerb to the lanes."""
    depth = kerbside.road.side(kerbside.side).parking_m
    xy, heading = kerbside.at(station_m, 0.0)
    if _clear_of_junctions(plan, kerbside, xy):
        mesh = vegetation.planted_bed(rng, depth)
        ground = np.array([[0.0, -0.5], [depth, 0.5]])
        plan.stand(mesh, xy, kerbside.towards(heading), outside_m=None, footprint_m=ground, fit="upright")


def _parked(style: Style, parking: str, rng: np.random.Generator) -> Mesh:
    if rng.random() < 0.05:
        return two_wheelers.motorcycle(rng)
    if parking == "parallel" and rng.random() < 0.25 * style.heavy:
        return pick(rng, (lorries.truck, lorries.truck, lorries.bus, machines.construction_vehicle))(rng)
    return cars.car(rng)


def _parked_on_sidewalk(plan: Plan, kerbside: Kerbside, rng: np.random.Generator) -> None:
    """Two wheels on the kerb, as in narrow streets."""
    for station in np.arange(5.0, kerbside.road.curve.length_m, 8.0).tolist():
        if rng.random() < 0.3:
            xy, heading = kerbside.at(station, rng.uniform(-0.9, 0.3))
            if _clear_of_junctions(plan, kerbside, xy):
                plan.stand(cars.car(rng), xy, kerbside.along(heading) + rng.normal(0, 0.04), outside_m=None)


def _clear_of_junctions(plan: Plan, kerbside: Kerbside, xy: np.ndarray) -> bool:
    return bool(plan.network.distance_to_others(xy[None], kerbside.road)[0] > 6.0)


def line_street(plan: Plan, style: Style, kerbside: Kerbside, rng: np.random.Generator) -> None:
    """Trees, lamps, poles, rails and signs in rows."""
    near = max(min(0.5 * kerbside.verge_m, 1.5), 0.45)
    far = max(kerbside.walk_m - 0.3, near)
    if rng.random() < style.street_trees:
        seed = int(rng.integers(2**31))
        alike = rng.random() < 0.6
        for station in _row(kerbside, rng.uniform(*style.tree_spacing_m), rng):
            mesh = vegetation.tree(np.random.default_rng(seed + int(rng.integers(4))) if alike else rng)
            _put(
                plan, kerbside, mesh, station, near + 0.2, rng.uniform(0, 2 * np.pi), footprint_m=0.8, rng=rng
            )
    lamp_out = rng.choice([near, far])
    lamp_seed = int(rng.integers(2**31))
    for station in _row(kerbside, rng.uniform(18.0, 45.0), rng):
        _put(
            plan,
            kerbside,
            poles.street_lamp(np.random.default_rng(lamp_seed)),
            station,
            lamp_out,
            "towards",
            footprint_m=0.5,
            rng=rng,
        )
    if rng.random() < 0.35:
        for station in _row(kerbside, rng.uniform(25.0, 45.0), rng):
            _put(plan, kerbside, poles.utility_pole(rng), station, far, "along", footprint_m=0.5, rng=rng)
    if rng.random() < 0.3:
        seed = int(rng.integers(2**31))
        start = rng.uniform(0, kerbside.road.curve.length_m)
        for station in np.arange(start, start + rng.uniform(10, 40), rng.uniform(1.2, 2.5)).tolist():
            _put(plan, kerbside, poles.bollard(np.random.default_rng(seed)), station, 0.35, "along", rng=rng)
    for station in _row(kerbside, rng.uniform(12.0, 30.0), rng):
        _put(
            plan,
            kerbside,
            poles.traffic_sign(rng),
            station,
            rng.choice([near, near, far]),
            "against",
            footprint_m=0.3,
            rng=rng,
        )
    if rng.random() < style.guard_rail:
        _rail(plan, kerbside, fences.guard_rail, rng, out_m=rng.uniform(0.5, 1.5))
    elif rng.random() < 0.2:
        _rail(
            plan,
            kerbside,
            pick(rng, (fences.fence, fences.guard_rail, vegetation.hedge)),
            rng,
            out_m=0.45,
        )


def plant_median(plan: Plan, rng: np.random.Generator) -> None:
    """What stands on the median of the main road: trees, bushes, lamps, a hedge, a rail or a barrier."""
    road = plan.network.main
    if road.median_m == 0:
        return
    if rng.random() < 0.7:
        builds = ((vegetation.tree,), (vegetation.tree, vegetation.bush), (poles.street_lamp,))[
            rng.integers(3)
        ]
        for station in np.arange(rng.uniform(0, 10), road.curve.length_m, rng.uniform(6, 20)):
            xy, heading = road.curve.at(np.array([station]))
            yaw = float(heading[0]) + np.pi / 2
            plan.stand(pick(rng, builds)(rng), xy[0], yaw, outside_m=0.3, footprint_m=0.6, fit="upright")
    if rng.random() < 0.6:
        kinds = (vegetation.hedge, fences.fence, fences.guard_rail, fences.jersey_barrier)
        lateral = rng.uniform(-0.25, 0.25) * road.median_m
        path, _ = road.curve.at(np.arange(0.0, road.curve.length_m, 3.0), lateral)
        plan.line(pick(rng, kinds), int(rng.integers(2**31)), path, outside_m=0.2, width_m=0.5)


def _row(kerbside: Kerbside, spacing_m: float, rng: np.random.Generator) -> np.ndarray:
    stations = np.arange(rng.uniform(0, spacing_m), kerbside.road.curve.length_m, spacing_m)
    kept = stations[rng.random(len(stations)) < 0.85]
    return kept + rng.normal(0, 0.3, len(kept))


def _rail(plan: Plan, kerbside: Kerbside, build: Callable, rng: np.random.Generator, *, out_m: float) -> None:
    length = rng.uniform(15, 80)
    start = rng.uniform(0, max(kerbside.road.curve.length_m - length, 1.0))
    path = kerbside.path(start, start + length, out_m, rng.uniform(2.5, 4.0))
    plan.line(build, int(rng.integers(2**31)), path, width_m=0.5)


def furnish(plan: Plan, style: Style, kerbside: Kerbside, rng: np.random.Generator) -> None:
    """Street furniture, two-wheelers and people that stand on the sidewalk."""
    kinds: tuple[tuple[Builder, str, float], ...] = (
        (furniture.bench, "towards", 1.0),
        (furniture.bin, "towards", 1.5),
        (furniture.container, "towards", 1.0),
        (furniture.planter, "along", 1.0),
        (furniture.mailbox, "towards", 0.6),
        (furniture.hydrant, "along", 0.8),
        (furniture.electric_cabinet, "towards", 1.0),
        (furniture.advertising_column, "along", 0.3),
        (furniture.cafe_table, "along", 1.0),
        (poles.bollard, "along", 1.0),
        (two_wheelers.bicycle, "leaning", 4.0),
        (two_wheelers.motorcycle, "leaning", 3.0),
        (people.pedestrian, "any", 6.0),
        (vegetation.bush, "any", 1.0),
        (furniture.bus_shelter, "facing", 0.6),
    )
    share = np.array([k[2] for k in kinds])
    for _ in range(rng.poisson(style.people * kerbside.road.curve.length_m / 9)):
        build, yaw, _ = kinds[rng.choice(len(kinds), p=share / share.sum())]
        station = rng.uniform(0, kerbside.road.curve.length_m)
        out = rng.uniform(0.4, max(kerbside.walk_m, 1.5))
        in_groups = build in (people.pedestrian, two_wheelers.bicycle, two_wheelers.motorcycle)
        for _ in range(int(rng.integers(1, 6)) if in_groups else 1):
            _put(
                plan,
                kerbside,
                build(rng),
                station,
                out,
                yaw if yaw != "any" else rng.uniform(0, 2 * np.pi),
                rng=rng,
            )
            station += rng.uniform(0.6, 1.0)
            out += rng.normal(0, 0.2)


def _put(
    plan: Plan,
    kerbside: Kerbside,
    mesh: Mesh,
    station_m: float,
    out_m: float,
    yaw: str | float,
    *,
    footprint_m: float | None = None,
    rng: np.random.Generator,
) -> None:
    """Stand something upright; `yaw` in radians or `towards`, `facing`, `along`, `against`, `leaning`."""
    xy, heading = kerbside.at(station_m, out_m)
    if yaw == "leaning":
        angle = heading + rng.choice([0.0, 0.5, 1.0, 1.2]) * np.pi + rng.normal(0, 0.1)
    elif isinstance(yaw, str):
        angle = {
            "towards": kerbside.towards(heading),
            "facing": kerbside.facing(heading),
            "along": kerbside.along(heading),
            "against": kerbside.along(heading) + np.pi,
        }[yaw]
    else:
        angle = yaw
    plan.stand(mesh, xy, angle, footprint_m=footprint_m, outside_m=0.1, fit="upright")


def equip_junctions(plan: Plan, kerbsides: list[Kerbside], rng: np.random.Generator) -> None:
    """Traffic lights and signs at corners, and now and then a gantry across the road."""
    for kerbside in kerbsides:
        stations = np.arange(0.0, kerbside.road.curve.length_m, 1.0)
        xy = np.stack([kerbside.at(s, 0.6)[0] for s in stations.tolist()])
        near = plan.network.distance_to_others(xy, kerbside.road)
        corners = np.flatnonzero(
            (near[1:] > 1.0) & (near[:-1] <= 1.0) | (near[1:] <= 1.0) & (near[:-1] > 1.0)
        )
        for corner in corners:
            build = poles.traffic_light if rng.random() < 0.6 else poles.traffic_sign
            _put(
                plan,
                kerbside,
                build(rng),
                stations[corner],
                rng.uniform(0.4, 1.0),
                "against",
                footprint_m=0.4,
                rng=rng,
            )
    if rng.random() < 0.2:
        kerbside = kerbsides[0]
        road = kerbside.road
        span = road.edge_m(1) + road.edge_m(-1) + 2.0
        station = rng.uniform(0.3, 0.7) * road.curve.length_m
        xy, heading = road.curve.at(np.array([station]), -road.edge_m(-1) - 1.0)
        mesh = poles.sign_gantry(rng, span)
        plan.stand(mesh, xy[0], float(heading[0]) + np.pi / 2, footprint_m=0.4, outside_m=None, fit="upright")


def set_up_works(plan: Plan, kerbside: Kerbside, rng: np.random.Generator) -> None:
    """A closed stretch of the lane at the kerb: cones, barriers, barricades and a machine."""
    length = rng.uniform(8, 30)
    start = rng.uniform(0.25, 0.75) * kerbside.road.curve.length_m
    inner = -rng.uniform(1.2, 2.6)
    kind = rng.choice(3, p=[0.35, 0.2, 0.45])
    if kind == 0:
        path = kerbside.path(start, start + length, inner, rng.uniform(2.0, 4.0))
        plan.line(fences.jersey_barrier, int(rng.integers(2**31)), path, outside_m=None, width_m=0.5)
    else:
        build = fences.barricade if kind == 1 else furniture.traffic_cone
        for station in np.arange(start, start + length, rng.uniform(1.5, 3.5)).tolist():
            xy, heading = kerbside.at(station, inner + rng.normal(0, 0.1))
            plan.stand(build(rng), xy, kerbside.along(heading) + rng.normal(0, 0.2), outside_m=None)
    for build in (
        machines.construction_vehicle,
        people.pedestrian,
        furniture.traffic_cone,
        fences.barricade,
    ):
        if rng.random() < 0.7:
            xy, heading = kerbside.at(start + rng.uniform(0, length), rng.uniform(-0.8, 1.5))
            plan.stand(build(rng), xy, kerbside.along(heading) + rng.normal(0, 0.4), outside_m=None)
