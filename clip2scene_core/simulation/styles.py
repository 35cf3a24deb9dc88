"""Kinds of neighbourhood and the road networks that they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.roads import Curve, Road, RoadNetwork, RoadSide

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What a neighbourhood looks like; ranges and lists are drawn from evenly, single numbers are chances."""

    name: str
    lanes: tuple[int, ...] = (1,)
    lane_m: Range = (2.7, 3.4)
    median: float = 0.0
    parking: tuple[str, ...] = ("none", "parallel")
    beds: float = 0.4
    """Share of the streets with bays whose bays are parted by planted beds."""
    verge: float = 0.3
    verge_m: Range = (0.8, 2.5)
    sidewalk_m: Range = (1.2, 4.0)
    kerb_m: Range = (0.03, 0.18)
    curvature: float = 0.006
    """Root-mean-square, 1/m."""
    slope: float = 0.025
    """Root-mean-square, rise over run."""
    knolls: float = 0.05
    setback_m: Range = (2.0, 7.0)
    gap_m: Range = (2.0, 8.0)
    front_m: Range = (8.0, 16.0)
    depth_m: Range = (8.0, 13.0)
    height_m: Range = (4.0, 11.0)
    built: float = 0.9
    """Share of the lots that have a building."""
    yard: tuple[str, ...] = ("grass",)
    """Surface behind the sidewalk: `grass`, `paved`, `asphalt`, `soil`."""
    border: tuple[str, ...] = ("none", *5 * ("hedge",), "fence", "wall", "ivy")
    garden: float = 0.5
    """Density of garden trees and bushes."""
    driveway: float = 0.5
    tree_spacing_m: Range = (8.0, 25.0)
    street_trees: float = 0.55
    guard_rail: float = 0.0
    junctions: tuple[int, ...] = (1, 2, 3)
    roundabout: float = 0.0
    people: float = 1.0
    """Multiplies the number of people and of street furniture."""
    traffic: float = 1.0
    heavy: float = 0.25
    """Share of trucks, buses and construction vehicles among the large-object slots."""
    speed_mps: Range = (4.0, 12.0)


STYLES: dict[str, Style] = {
    style.name: style
    for style in (
        Style(
            name="residential",
            lane_m=(2.3, 3.0),
            parking=("parallel", "parallel", "none"),
            setback_m=(0.5, 4.0),
        ),
        Style(
            name="suburb",
            verge=0.6,
            curvature=0.01,
            slope=0.04,
            knolls=0.08,
            setback_m=(4.0, 12.0),
            gap_m=(4.0, 14.0),
            height_m=(3.5, 7.5),
            garden=1.0,
            driveway=0.8,
        ),
        Style(
            name="avenue",
            lanes=(2, 3),
            median=0.6,
            parking=("none", "parallel", "diagonal"),
            verge=0.6,
            sidewalk_m=(2.5, 6.0),
            kerb_m=(0.1, 0.18),
            curvature=0.002,
            slope=0.015,
            setback_m=(0.0, 6.0),
            gap_m=(0.0, 6.0),
            front_m=(14.0, 35.0),
            depth_m=(12.0, 20.0),
            height_m=(10.0, 30.0),
            yard=("paved", "grass"),
            border=("none", "none", "fence", "wall", *3 * ("hedge",)),
            garden=0.3,
            driveway=0.1,
            street_trees=0.8,
            people=1.6,
            traffic=1.6,
        ),
        Style(
            name="downtown",
            lanes=(1, 2),
            parking=("none", "parallel"),
            verge=0.1,
            sidewalk_m=(2.0, 5.0),
            curvature=0.002,
            slope=0.015,
            knolls=0.0,
            setback_m=(0.0, 0.3),
            gap_m=(0.0, 0.5),
            front_m=(10.0, 30.0),
            depth_m=(12.0, 18.0),
            height_m=(9.0, 40.0),
            built=0.95,
            yard=("paved",),
            border=("none",),
            garden=0.1,
            driveway=0.05,
            street_trees=0.4,
            people=2.2,
            traffic=1.4,
        ),
        Style(
            name="country",
            lane_m=(2.8, 3.6),
            parking=("none",),
            verge=1.0,
            verge_m=(1.0, 3.0),
            sidewalk_m=(0.0, 0.0),
            kerb_m=(0.0, 0.0),
            curvature=0.006,
            slope=0.035,
            knolls=0.12,
            setback_m=(6.0, 25.0),
            gap_m=(15.0, 60.0),
            built=0.4,
            garden=1.2,
            driveway=0.3,
            street_trees=0.5,
            guard_rail=0.5,
            junctions=(0, 1),
            people=0.5,
            traffic=0.8,
            heavy=0.4,
            speed_mps=(10.0, 22.0),
        ),
        Style(
            name="industrial",
            lane_m=(3.2, 4.0),
            parking=("none", "parallel", "perpendicular"),
            sidewalk_m=(0.0, 2.2),
            curvature=0.003,
            slope=0.01,
            knolls=0.03,
            setback_m=(6.0, 25.0),
            gap_m=(6.0, 20.0),
            front_m=(18.0, 45.0),
            depth_m=(15.0, 30.0),
            height_m=(5.0, 12.0),
            yard=("asphalt", "grass", "soil", "paved"),
            border=("fence", "fence", "none", "wall"),
            garden=0.3,
            driveway=0.7,
            people=0.7,
            heavy=0.7,
        ),
        Style(
            name="boulevard",
            lanes=(2, 3, 4),
            lane_m=(3.1, 3.7),
            median=0.7,
            parking=("none", "none", "parallel"),
            verge=0.7,
            verge_m=(1.0, 4.0),
            sidewalk_m=(1.5, 4.0),
            kerb_m=(0.12, 0.2),
            curvature=0.002,
            slope=0.015,
            setback_m=(3.0, 20.0),
            gap_m=(4.0, 25.0),
            front_m=(20.0, 50.0),
            depth_m=(15.0, 30.0),
            height_m=(6.0, 50.0),
            built=0.75,
            yard=("grass", "paved", "asphalt"),
            border=("none", "fence", *3 * ("hedge",)),
            garden=0.5,
            driveway=0.3,
            street_trees=0.7,
            people=1.2,
            traffic=1.8,
            heavy=0.4,
            speed_mps=(6.0, 16.0),
        ),
        Style(
            name="village",
            lane_m=(2.3, 3.0),
            sidewalk_m=(0.0, 1.8),
            kerb_m=(0.0, 0.12),
            curvature=0.014,
            slope=0.05,
            knolls=0.08,
            setback_m=(0.0, 3.0),
            gap_m=(0.5, 8.0),
            front_m=(6.0, 14.0),
            height_m=(3.0, 8.0),
            yard=("paved", "grass", "soil"),
            border=("wall", "none", "fence", *4 * ("hedge",), "ivy"),
            roundabout=0.2,
            garden=0.7,
        ),
    )
}


def plan_roads(style: Style, rng: np.random.Generator, half_length_m: float) -> RoadNetwork:
    """A main road through the origin and the roads that leave it; roads reach `half_length_m` and beyond."""
    main = _main_road(style, rng, half_length_m)
    roads = [main]
    middle = main.curve.length_m / 2
    stations: list[float] = []
    islands = []
    for _ in range(int(rng.choice(style.junctions))):
        station = middle + rng.uniform(-0.6, 0.6) * half_length_m
        if any(abs(station - other) < 30 for other in stations):
            continue
        stations.append(station)
        kind = rng.choice(["T", "X", "Y"], p=[0.5, 0.35, 0.15])
        angle = np.deg2rad(rng.uniform(35, 55) if kind == "Y" else rng.normal(90, 12))
        side = rng.choice([-1, 1])
        for leaving in (side, -side) if kind == "X" else (side,):
            roads.append(_side_road(style, rng, main, station, leaving, angle, half_length_m))
        if rng.random() < style.roundabout:
            islands.append((main.curve.at(np.array([station]))[0][0], float(rng.uniform(3.0, 7.0))))
    return RoadNetwork(roads, corner_m=float(rng.uniform(3.0, 9.0)), islands=islands)


def _main_road(style: Style, rng: np.random.Generator, half_length_m: float) -> Road:
    heading = rng.uniform(0, 2 * np.pi)
    steps = int(half_length_m * 1.3)
    bend = _curvature(style, rng, 2 * steps)
    forwards = Curve.bending(np.zeros(2), heading, bend[steps:])
    backwards = Curve.bending(np.zeros(2), heading + np.pi, -bend[:steps][::-1])
    return _road(
        style,
        rng,
        Curve.joined(backwards, forwards),
        int(rng.choice(style.lanes)),
        rng.random() < style.median,
    )


def _side_road(
    style: Style,
    rng: np.random.Generator,
    main: Road,
    station: float,
    side: int,
    angle: float,
    length_m: float,
) -> Road:
    """A road that leaves the main one on a side, at an angle to its direction."""
    start, heading = main.curve.at(np.array([station]), side * (main.edge_m(side) - 1.0))
    length = int(rng.uniform(0.4, 1.2) * length_m) if rng.random() < 0.25 else int(1.2 * length_m)
    curve = Curve.bending(start[0], heading[0] + side * angle, _curvature(style, rng, length))
    return _road(style, rng, curve, int(min(style.lanes)), False)


def _curvature(style: Style, rng: np.random.Generator, count: int) -> np.ndarray:
    """(count,) smooth curvature per metre; one road in five is straight."""
    if rng.random() < 0.2:
        return np.zeros(count)
    knots = rng.normal(0.0, style.curvature, count // 35 + 2)
    return np.interp(np.arange(count), np.arange(len(knots)) * 35.0, knots)


def _road(style: Style, rng: np.random.Generator, curve: Curve, lanes: int, median: bool) -> Road:
    kerb = rng.uniform(*style.kerb_m) if rng.random() < 0.8 else rng.uniform(0.0, 0.03)
    return Road(
        curve=curve,
        lanes=lanes,
        lane_m=rng.uniform(*style.lane_m),
        median_m=rng.uniform(2.2, 6.0) if median else 0.0,
        kerb_m=kerb,
        left=_road_side(style, rng),
        right=_road_side(style, rng),
    )


def _road_side(style: Style, rng: np.random.Generator) -> RoadSide:
    parking = str(rng.choice(style.parking))
    width = {"none": (0.0, 0.0), "parallel": (1.9, 2.5), "diagonal": (4.4, 5.2), "perpendicular": (4.8, 5.5)}[
        parking
    ]
    return RoadSide(
        parking=parking,
        parking_m=rng.uniform(*width),
        bay_m=rng.uniform(0.02, 0.07) if rng.random() < 0.5 else 0.0,
        verge_m=rng.uniform(*style.verge_m) if rng.random() < style.verge else 0.0,
        sidewalk_m=rng.uniform(*style.sidewalk_m),
    )
