"""A procedural town: ground, buildings, plants, furniture, traffic and people, one per seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.errors import ConfigError
from clip2scene_core.simulation.ground import Relief, Waves, build_ground
from clip2scene_core.simulation.lots import SURFACES, Kerbside, fill_background, fill_lots
from clip2scene_core.simulation.markings import paint
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.plan import Plan, Surface
from clip2scene_core.simulation.roads import RoadNetwork
from clip2scene_core.simulation.scene import Actor, Scene
from clip2scene_core.simulation.street import (
    equip_junctions,
    furnish,
    line_street,
    park_vehicles,
    plant_median,
    set_up_works,
)
from clip2scene_core.simulation.styles import STYLES, Style, plan_roads
from clip2scene_core.simulation.traffic import drive_lanes, ride_edges, walk


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Town:
    """A square piece of town around the origin of its world frame."""

    style: Style
    network: RoadNetwork
    plan: Plan
    surface: Surface
    static: Mesh
    """All that stands, ground included."""
    object_id: np.ndarray
    """(F,) int64: which object a face of `static` belongs to; the ground is 0."""
    actors: tuple[Actor, ...]
    """All that moves, over `duration_s` from time 0."""
    right_hand: bool
    """Whether traffic keeps to the right."""
    grass_m: float
    """Height of its grass, freshly mown or not."""
    extent_m: float
    duration_s: float

    @classmethod
    def generate(
        cls, seed: int, style: str | None = None, *, extent_m: float = 110.0, duration_s: float = 12.0
    ) -> Town:
        """The town of a seed; raises ConfigError for a style that is not in STYLES, None draws one."""
        rng = np.random.default_rng([seed, 0])
        if style is not None and style not in STYLES:
            raise ConfigError(f"town style '{style}' is unknown; known are {', '.join(STYLES)}")
        chosen = STYLES[style or str(rng.choice(list(STYLES)))]
        network = plan_roads(chosen, rng, extent_m)
        plan = Plan(network, extent_m)
        right_hand = bool(rng.random() < 0.75)
        kerbsides = [
            Kerbside(road=road, side=side, traffic=-side if right_hand else side)
            for road in network.roads
            for side in (1, -1)
        ]
        _furnish(plan, chosen, kerbsides, rng)
        movers = _move(plan, chosen, kerbsides, duration_s, rng)
        ground = _ground(plan, chosen, rng)
        surface = Surface(ground)
        meshes = [ground, *paint(network, surface, rng), *plan.build(surface)]
        return cls(
            style=chosen,
            network=network,
            plan=plan,
            surface=surface,
            static=Mesh.merge(meshes),
            object_id=np.repeat(np.arange(len(meshes)), [len(mesh.faces) for mesh in meshes]),
            actors=tuple(m.actor(surface) for m in movers),
            right_hand=right_hand,
            grass_m=rng.uniform(0.02, 0.15),
            extent_m=extent_m,
            duration_s=duration_s,
        )

    def scene(self) -> Scene:
        """The town as rays see it."""
        return Scene(self.static, self.actors, grass_m=self.grass_m, object_id=self.object_id)


def _furnish(plan: Plan, style: Style, kerbsides: list[Kerbside], rng: np.random.Generator) -> None:
    """Everything that stands; what comes first gets the place."""
    equip_junctions(plan, kerbsides, rng)
    for kerbside in kerbsides:
        if rng.random() < 0.45:
            set_up_works(plan, kerbside, rng)
        line_street(plan, style, kerbside, rng)
    plant_median(plan, rng)
    for kerbside in kerbsides:
        fill_lots(plan, style, kerbside, rng)
    fill_background(plan, style, rng)
    for kerbside in kerbsides:
        park_vehicles(plan, style, kerbside, rng)
        furnish(plan, style, kerbside, rng)


def _move(
    plan: Plan, style: Style, kerbsides: list[Kerbside], duration_s: float, rng: np.random.Generator
) -> list:
    movers = []
    for kerbside in kerbsides:
        movers += drive_lanes(plan, style, kerbside, duration_s, rng)
        movers += ride_edges(style, kerbside, duration_s, rng)
        movers += walk(plan, style, kerbside, duration_s, rng)
    reach = plan.extent_m
    return [m for m in movers if np.abs(m.xy).max(axis=1).min() < reach]


def _ground(plan: Plan, style: Style, rng: np.random.Generator) -> Mesh:
    relief = Relief(
        hills=Waves.random(rng, (80.0, 400.0), style.slope * rng.uniform(0.2, 1.5)),
        knolls=Waves.random(rng, (12.0, 60.0), style.knolls * rng.uniform(0.3, 1.5)),
        tussocks=Waves.random(rng, (1.5, 6.0), rng.uniform(0.0, 0.06)),
        settling=Waves.random(rng, (1.5, 8.0), rng.uniform(0.0, 0.05)),
        crown=rng.uniform(0.0, 0.04),
        sidewalk_rise=rng.uniform(0.0, 0.07),
    )
    beyond = SURFACES[str(rng.choice(style.yard))]
    return build_ground(
        plan.network,
        relief,
        plan.yards,
        plan.lowered,
        extent_m=plan.extent_m,
        beyond=beyond,
        verge=SURFACES["grass" if rng.random() < 0.8 else "soil"],
        sidewalk=Material.PAVING if rng.random() < 0.6 else Material.ASPHALT,
        tint=rng,
    )
