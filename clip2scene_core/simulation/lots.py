"""What lies behind the sidewalk: buildings, driveways, garden borders, trees, parking lots and squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation import (
    buildings,
    cars,
    fences,
    furniture,
    lorries,
    people,
    two_wheelers,
    vegetation,
)
from clip2scene_core.simulation.ground import PARKING, SIDEWALK, TERRAIN, Yard
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.plan import Plan
from clip2scene_core.simulation.roads import Road
from clip2scene_core.simulation.styles import Style

SURFACES: dict[str, tuple[int, Material]] = {
    "grass": (TERRAIN, Material.GRASS),
    "soil": (TERRAIN, Material.SOIL),
    "paved": (SIDEWALK, Material.PAVING),
    "asphalt": (PARKING, Material.ASPHALT),
}
"""Class and material of the surfaces that a style names."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kerbside:
    """One side of a road, measured along its curve and outwards from its kerb."""

    road: Road
    side: int
    """+1 left, -1 right of the curve's direction."""
    traffic: int
    """+1 where the near lanes run in the curve's direction, -1 where against it."""

    def at(self, station_m: float, out_m: float) -> tuple[np.ndarray, float]:
        """Position (2,) `out_m` outside the kerb, and the heading of the curve there."""
        xy, heading = self.road.curve.at(
            np.array([station_m]), self.side * (self.road.edge_m(self.side) + out_m)
        )
        return xy[0], float(heading[0])

    def path(self, start_m: float, end_m: float, out_m: float, piece_m: float) -> np.ndarray:
        """(P, 2) points along the kerb, about `piece_m` apart."""
        count = max(round(abs(end_m - start_m) / piece_m), 1) + 1
        lateral = self.side * (self.road.edge_m(self.side) + out_m)
        return self.road.curve.at(np.linspace(start_m, end_m, count), lateral)[0]

    @property
    def verge_m(self) -> float:
        """Distance from the kerb to the near edge of the sidewalk."""
        return self.road.side(self.side).verge_m

    @property
    def walk_m(self) -> float:
        """Distance from the kerb to the far edge of the sidewalk."""
        return self.verge_m + self.road.side(self.side).sidewalk_m

    def facing(self, heading: float) -> float:
        """Yaw of an object whose -y looks at the road."""
        return heading if self.side > 0 else heading + np.pi

    def towards(self, heading: float) -> float:
        """Yaw of an object whose +x points at the road."""
        return heading - self.side * np.pi / 2

    def along(self, heading: float) -> float:
        """Yaw of an object that goes with the near lanes."""
        return heading if self.traffic > 0 else heading + np.pi


def fill_lots(plan: Plan, style: Style, kerbside: Kerbside, rng: np.random.Generator) -> None:
    """Build up one side of a road, lot after lot."""
    border = str(rng.choice(style.border))
    border_seed = int(rng.integers(2**31))
    start = rng.uniform(0, 10)
    while start < kerbside.road.curve.length_m - 5:
        front, gap = rng.uniform(*style.front_m), rng.uniform(*style.gap_m)
        if rng.random() < 0.25:
            border, border_seed = str(rng.choice(style.border)), int(rng.integers(2**31))
        lot = _Lot(plan, style, kerbside, start, front + gap, rng)
        if rng.random() < 0.1:
            lot.open_space()
        elif rng.random() < style.built:
            lot.house(front, gap)
        lot.border(border, border_seed)
        lot.garden()
        start += front + gap


def fill_background(plan: Plan, style: Style, rng: np.random.Generator) -> None:
    """Buildings, trees and bushes away from the roads: what one sees between the houses."""
    extent = plan.extent_m - 5
    grid = rng.uniform(0, np.pi / 2)
    for xy in rng.uniform(-extent, extent, (int(extent**2 / 150), 2)):
        away = plan.outside_m(xy[None])[0]
        kind = rng.random()
        if away > 22 and kind < 0.35 * style.built:
            _build(plan, style, xy, grid + rng.integers(4) * np.pi / 2, rng)
        elif away > 10 and kind > 1 - 0.5 * style.garden:
            build = vegetation.tree if rng.random() < 0.6 else vegetation.bush
            plan.stand(build(rng), xy, rng.uniform(0, 2 * np.pi), footprint_m=1.0, fit="upright")


def _build(
    plan: Plan,
    style: Style,
    xy: np.ndarray,
    yaw: float,
    rng: np.random.Generator,
    front_m: float | None = None,
) -> bool:
    """A building of the style with its facade at a place; smaller where there is no room."""
    front = front_m or rng.uniform(*style.front_m)
    depth, height = rng.uniform(*style.depth_m), rng.uniform(*style.height_m)
    for shrink in (1.0, 0.75, 0.5):
        front, depth = front * shrink, depth * shrink
        if front < 4.0 or depth < 4.0:
            return False
        # Balconies and steps may reach over the pavement.
        footprint = np.array([[-front / 2 + 0.1, 0.2], [front / 2 - 0.1, depth]])
        mesh = buildings.building(rng, front, depth, height)
        if plan.stand(mesh, xy, yaw, outside_m=1.0, footprint_m=footprint, fit="sunk"):
            return True
    return False


class _Lot:
    """A stretch of land along a road."""

    def __init__(
        self,
        plan: Plan,
        style: Style,
        kerbside: Kerbside,
        start_m: float,
        width_m: float,
        rng: np.random.Generator,
    ) -> None:
        self.plan, self.style, self.kerbside, self.rng = plan, style, kerbside, rng
        self.start_m, self.width_m = start_m, width_m
        self.middle_m = start_m + width_m / 2
        self.setback_m = rng.uniform(*style.setback_m)
        self.front_m = kerbside.walk_m + self.setback_m

    def house(self, front_m: float, gap_m: float) -> None:
        """A building with what belongs to it."""
        style, rng = self.style, self.rng
        drives_in = rng.random() < style.driveway and gap_m > 3.0 and self.setback_m > 2.5
        middle = self.start_m + front_m / 2 + rng.uniform(0, max(gap_m - 3.5 * drives_in, 0.01))
        xy, heading = self.kerbside.at(middle, self.front_m)
        _build(self.plan, style, xy, self.kerbside.facing(heading), rng, front_m)
        if drives_in:
            self._driveway(middle + front_m / 2 + 1.8)
        if rng.random() < 0.5:
            self._yard_surface(middle, front_m)
        if rng.random() < 0.3:
            self._stand_in_yard(buildings.garden_shed(rng), "sunk")

    def _driveway(self, station_m: float) -> None:
        """A strip over the sidewalk to a garage or a parked car."""
        rng, kerbside = self.rng, self.kerbside
        length = self.front_m + rng.uniform(2.0, 6.0)
        xy, heading = kerbside.at(station_m, length / 2 - 0.2)
        surface = SURFACES[rng.choice(["paved", "paved", "asphalt"])]
        class_id = SIDEWALK if surface[0] == PARKING else surface[0]
        self.plan.yards.append(
            Yard(
                centre=xy,
                yaw=heading + np.pi / 2,
                length_m=length,
                width_m=rng.uniform(2.4, 3.6),
                class_id=class_id,
                material=surface[1],
                crosses_kerb=True,
            )
        )
        end, heading = kerbside.at(station_m, length)
        if rng.random() < 0.5:
            self.plan.stand(buildings.garage(rng), end, kerbside.facing(heading), outside_m=1.0, fit="sunk")
        if rng.random() < 0.6:
            spot, _ = kerbside.at(station_m, max(length - rng.uniform(2.7, 3.5), kerbside.walk_m + 2.6))
            turn = rng.choice([0.0, np.pi]) + rng.normal(0, 0.05)
            self.plan.stand(cars.car(rng), spot, kerbside.towards(heading) + turn, outside_m=0.3)

    def _yard_surface(self, middle_m: float, front_m: float) -> None:
        """A front yard of another surface than the neighbours'."""
        if self.setback_m < 2.5:
            return
        xy, heading = self.kerbside.at(middle_m, self.kerbside.walk_m + self.setback_m / 2)
        class_id, material = SURFACES[self.rng.choice(["grass", "paved", "soil", *self.style.yard])]
        yard = Yard(
            centre=xy,
            yaw=heading,
            length_m=front_m,
            width_m=self.setback_m,
            class_id=class_id,
            material=material,
        )
        self.plan.yards.append(yard)

    def open_space(self) -> None:
        """A parking lot, a paved square or a lawn instead of a building."""
        rng = self.rng
        depth = rng.uniform(10.0, 30.0)
        kind = str(rng.choice(["asphalt", "asphalt", "paved", "grass", "wood"]))
        if kind == "wood":
            self._wood(depth)
            return
        class_id, material = SURFACES[kind]
        xy, heading = self.kerbside.at(self.middle_m, self.kerbside.walk_m + 0.5 + depth / 2)
        width = max(self.width_m - 1.0, 4.0)
        yard = Yard(
            centre=xy, yaw=heading, length_m=width, width_m=depth, class_id=class_id, material=material
        )
        self.plan.yards.append(yard)
        if kind == "asphalt":
            self._parked_rows(depth)
        else:
            self._square(depth)

    def _parked_rows(self, depth_m: float) -> None:
        rng = self.rng
        entrance, heading = self.kerbside.at(self.start_m + 3.0, 1.5)
        self.plan.lowered.append((entrance, 3.5))
        share = rng.uniform(0.3, 0.95)
        pitch = rng.uniform(2.5, 3.0)
        stations = np.arange(self.start_m + 6.0, self.start_m + self.width_m - 1.5, pitch).tolist()
        for out in np.arange(3.5, depth_m - 2, rng.uniform(8.0, 11.0)).tolist():
            for station in stations:
                if rng.random() < share:
                    xy, heading = self.kerbside.at(station, self.kerbside.walk_m + out)
                    yaw = self.kerbside.towards(heading) + rng.choice([0.0, np.pi]) + rng.normal(0, 0.03)
                    mesh = (
                        lorries.truck(rng)
                        if rng.random() < 0.05 + 0.2 * (self.style.heavy > 0.5)
                        else cars.car(rng)
                    )
                    self.plan.stand(mesh, xy, yaw, outside_m=0.5)

    def _wood(self, depth_m: float) -> None:
        """Trees and undergrowth."""
        for _ in range(int(0.06 * depth_m * self.width_m) + 3):
            build = (vegetation.tree, vegetation.bush, vegetation.bush)[self.rng.integers(3)]
            out = self.kerbside.walk_m + self.rng.uniform(0.8, depth_m)
            xy, _ = self.kerbside.at(self.start_m + self.rng.uniform(0, self.width_m), out)
            self.plan.stand(
                build(self.rng), xy, self.rng.uniform(0, 2 * np.pi), footprint_m=0.6, fit="upright"
            )

    def _square(self, depth_m: float) -> None:
        """Benches, planters, trees, bicycles and people."""
        kinds: tuple[Callable[[np.random.Generator], Mesh], ...] = (
            furniture.bench,
            furniture.planter,
            furniture.cafe_table,
            furniture.advertising_column,
            furniture.bin,
            vegetation.tree,
            vegetation.bush,
            people.pedestrian,
            people.pedestrian,
            two_wheelers.bicycle,
        )
        for _ in range(int(self.rng.integers(3, 14))):
            build = kinds[self.rng.integers(len(kinds))]
            out = self.kerbside.walk_m + self.rng.uniform(1.0, depth_m)
            xy, _ = self.kerbside.at(self.start_m + self.rng.uniform(1, self.width_m - 1), out)
            footprint = 0.8 if build is vegetation.tree else None
            self.plan.stand(
                build(self.rng), xy, self.rng.uniform(0, 2 * np.pi), footprint_m=footprint, fit="upright"
            )

    def border(self, kind: str, seed: int) -> None:
        """What separates the lot from the sidewalk and from its neighbour."""
        if kind == "none" or self.setback_m < 0.6:
            return
        build = {
            "hedge": vegetation.hedge,
            "ivy": vegetation.ivy,
            "fence": fences.fence,
            "wall": buildings.wall,
        }[kind]
        width = 0.9 if kind == "hedge" else 0.3
        out = self.kerbside.walk_m + 0.25 + width / 2
        piece = self.rng.uniform(2.2, 4.0)
        if self.rng.random() < 0.85:
            path = self.kerbside.path(self.start_m, self.start_m + self.width_m, out, piece)
            self._open_driveways(build, seed, path, width)
        if self.rng.random() < 0.4:
            depth = self.front_m + self.rng.uniform(2.0, 12.0)
            outs = np.arange(out + 0.5, depth, piece).tolist()
            side = np.array([self.kerbside.at(self.start_m, o)[0] for o in outs])
            if len(side) > 1:
                self.plan.line(build, seed, side, width_m=width)

    def _open_driveways(self, build: Callable, seed: int, path: np.ndarray, width_m: float) -> None:
        """The line in runs that leave the driveways free."""
        middles = (path[:-1] + path[1:]) / 2
        blocked = np.zeros(len(middles), bool)
        for yard in self.plan.yards:
            if yard.crosses_kerb:
                blocked |= yard.inside_m(middles) > -1.2
        for index in np.flatnonzero(~blocked):
            self.plan.line(build, seed, path[index : index + 2], width_m=width_m)

    def _stand_in_yard(self, mesh: Mesh, fit: str, footprint_m: float | None = None) -> None:
        reach = self.setback_m if self.setback_m > 1.5 and self.rng.random() < 0.5 else self.setback_m + 16.0
        out = self.kerbside.walk_m + self.rng.uniform(0.8, max(reach, 1.0))
        xy, heading = self.kerbside.at(self.start_m + self.rng.uniform(0, self.width_m), out)
        yaw = self.kerbside.facing(heading) + self.rng.choice([0, 0.5, 1, 1.5]) * np.pi
        self.plan.stand(mesh, xy, yaw, outside_m=0.6, fit=fit, footprint_m=footprint_m)

    def garden(self) -> None:
        """Trees, bushes, tufts and things that lie about."""
        rng = self.rng
        for _ in range(rng.poisson(self.style.garden * self.width_m / 5)):
            self._stand_in_yard(vegetation.tree(rng), "upright", 1.0)
        for _ in range(rng.poisson(self.style.garden * self.width_m / 3)):
            self._stand_in_yard(vegetation.bush(rng), "upright", 0.7)
        for _ in range(rng.poisson(self.style.garden * self.width_m / 6)):
            size = rng.uniform((1.0, 0.7), (5.0, 2.2))
            self._stand_in_yard(vegetation.ground_cover(rng, *size), "draped")
        for _ in range(rng.poisson(self.style.garden * self.width_m / 8)):
            self._stand_in_yard(vegetation.grass_tufts(rng, int(rng.integers(4, 14))), "draped", 0.1)
        for _ in range(rng.poisson(0.25)):
            build = (furniture.container, furniture.bench, furniture.planter, people.pedestrian)[
                rng.integers(4)
            ]
            self._stand_in_yard(build(rng), "upright")
