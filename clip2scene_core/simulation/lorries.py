"""Delivery vans, lorries, semi-trailers and buses; forward is +x, the wheels stand on z = 0."""

# ruff: noqa: RUF005 - a tuple after + is added to an array here

from __future__ import annotations

from itertools import pairwise

import numpy as np

from clip2scene_core.simulation.bodies import GLASS_GREY, Body, skin, wheels
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import (
    Colour,
    Surface,
    box,
    boxes,
    ellipsoid,
    pick,
    placed,
    prism,
    revolve,
    sheet,
    surface,
    tinted,
)

LORRY_PAINTS: tuple[Colour, ...] = (
    *(
        (236, 236, 234),
        (200, 30, 34),
        (24, 70, 150),
        (240, 170, 20),
        (40, 110, 60),
        (90, 92, 96),
        (30, 30, 34),
    ),
)


def truck(rng: np.random.Generator) -> Mesh:
    """A delivery van, a rigid lorry or a semi-trailer; 5.5-16.5 m long, 2-2.55 m wide, 2.4-4 m high."""
    kind = pick(rng, ("delivery", "rigid", "semi"), (35, 40, 25))
    paint = surface("truck", Material.CAR_PAINT, tinted(rng, pick(rng, LORRY_PAINTS), 10))
    if kind == "delivery":
        return _delivery_truck(rng, paint)
    cab_length, width = rng.uniform(1.8, 2.4), rng.uniform(2.3, 2.55)
    radius = rng.uniform(0.42, 0.52)
    load_length = rng.uniform(4.5, 7.5) if kind == "rigid" else rng.uniform(10.5, 13.6)
    length = cab_length + load_length + rng.uniform(0.15, 0.5)
    deck = rng.uniform(0.95, 1.25)
    cab_height = rng.uniform(2.5, 3.1) if kind == "rigid" else rng.uniform(3.0, 3.7)
    dark = surface("truck", Material.METAL, (42, 42, 46))
    front_axle = length - rng.uniform(1.2, 1.4)
    axles = (
        [front_axle, load_length * 0.27]
        if kind == "rigid"
        else [front_axle, load_length + 0.6 - 1.6, 0.9, 2.2, 3.5]
    )
    parts = [
        placed(
            _cab(rng, cab_length, width, cab_height, radius, front_axle - length + cab_length, paint),
            (length - cab_length, 0, 0),
        ),
        boxes([0.2, -0.45, deck - 0.35], [length - 0.6, 0.45, deck], dark),
        wheels("truck", axles, width - 0.08, radius, 0.3),
        _load(rng, load_length, width, deck, min(4.0, max(cab_height + rng.uniform(-0.2, 0.7), deck + 1.4))),
        boxes([0.0, -width / 2 + 0.1, 0.45], [0.12, width / 2 - 0.1, 0.6], dark),
    ]
    if rng.random() < 0.7:
        first, last = (axles[1] + 0.7, front_axle - 1.0) if kind == "rigid" else (4.3, axles[1] - 0.8)
        guards = [(first, s * (width / 2 - 0.05) - 0.02, z) for s in (-1, 1) for z in (0.45, 0.75)]
        parts.append(boxes(guards, [(last, y + 0.04, z + 0.12) for _, y, z in guards], dark))
    return placed(Mesh.merge(parts), (-length / 2, 0, 0))


def _delivery_truck(rng: np.random.Generator, paint: Surface) -> Mesh:
    """A large panel van, or one with a box behind its cab."""
    length, width, height = rng.uniform(5.5, 7.0), rng.uniform(2.0, 2.2), rng.uniform(2.4, 2.9)
    radius = rng.uniform(0.34, 0.38)
    boxed = rng.random() < 0.4
    roof = 2.2 / height if boxed else 1.0
    top = (
        (0, 0.5 * roof),
        (0.005, 0.97 * roof),
        (0.03, roof),
        (0.7, roof),
        (0.76, 0.96 * roof),
        (0.88, 0.56 * roof),
        (0.97, 0.46 * roof),
        (0.99, 0.4 * roof),
        (1, 0.25 * roof),
    )
    body = Body(
        length=length, width=width, height=height, clearance=0.25, top=top, belt=0.53 * roof,
        axles=(length * 0.22, length * 0.84), wheel_radius=radius, tumblehome=0.12, windows=((0.68, 0.83),),
        glass_slopes=((0.77, 0.87),), nose=0.1,
    )  # fmt: skip
    glass = surface("truck", Material.GLASS, GLASS_GREY)
    dark = surface("truck", Material.PLASTIC, (30, 30, 32))
    mirrors = [(0.8 * length, s * (width / 2 + 0.12) - 0.12, 1.25) for s in (-1, 1)]
    parts = [
        skin(body, paint, glass),
        wheels("truck", body.axles, width - 0.06, radius, 0.25),
        boxes([0.25, 0.35 - width / 2, 0.25], [length - 0.3, width / 2 - 0.35, 0.6], dark),
        boxes(mirrors, np.array(mirrors) + (0.1, 0.24, 0.3), dark),
    ]
    if boxed:
        parts.append(_load(rng, 0.64 * length, width + 0.1, 0.85, height, "box"))
    return placed(Mesh.merge(parts), (-length / 2, 0, 0))


def _cab(
    rng: np.random.Generator,
    length: float,
    width: float,
    height: float,
    radius: float,
    axle: float,
    paint: Surface,
) -> Mesh:
    """A cab above its engine, from x = 0 (back wall) to its front at x = length."""
    screen = rng.uniform(0.84, 0.9)
    body = Body(
        length=length, width=width, height=height, clearance=0.35,
        top=((0, 0.93), (0.05, 0.97), (0.4, 1), (screen - 0.06, 0.98), (screen, 0.9), (0.96, 0.55),
             (0.99, 0.45), (1, 0.2)),
        belt=0.55, axles=(axle,), wheel_radius=radius, tumblehome=0.08, windows=((0.4, screen - 0.08),),
        glass_slopes=((screen, 0.96),), nose=0.08,
    )  # fmt: skip
    dark = surface("truck", Material.PLASTIC, (34, 34, 38))
    mirrors = [(0.9 * length, s * (width / 2 + 0.12) - 0.09, 0.6 * height) for s in (-1, 1)]
    parts = [
        skin(body, paint, surface("truck", Material.GLASS, GLASS_GREY)),
        boxes(mirrors, np.array(mirrors) + (0.12, 0.18, 0.55), dark),
        boxes([length - 0.05, -width * 0.42, 0.4], [length + 0.05, width * 0.42, 0.75], dark),
    ]
    return Mesh.merge(parts)


def _load(
    rng: np.random.Generator, length: float, width: float, deck: float, height: float, kind: str | None = None
) -> Mesh:
    """What stands on the chassis from x = 0 to `length`: a box, container, flat bed, tank or tipper."""
    kind = kind or pick(rng, ("box", "container", "flat", "tank", "tipper"), (45, 15, 15, 10, 15))
    colour = tinted(rng, pick(rng, (*LORRY_PAINTS, (225, 225, 222), (240, 240, 240))), 12)
    look = surface("truck", Material.CAR_PAINT, colour)
    half = width / 2
    if kind == "box":
        return boxes([0, -half, deck], [length, half, height], look)
    if kind == "container":
        x = np.arange(0.1, length - 0.2, 0.45)
        ribs = [
            np.stack([x, np.full_like(x, y), np.full_like(x, deck + 0.1)], 1) for y in (-half, half - 0.05)
        ]
        low = np.concatenate(ribs)
        core = boxes([0, 0.05 - half, deck], [length, half - 0.05, height], look)
        return Mesh.merge([core, boxes(low, low + (0.15, 0.05, height - deck - 0.15), look)])
    if kind == "tank":
        radius = min(half, (height - deck) / 2) * 0.97
        profile = [(0.6 * radius, 0), (radius, 0.25), (radius, length - 0.25), (0.6 * radius, length)]
        metal = surface("truck", Material.METAL, (190, 192, 196))
        tank = placed(
            revolve(profile, pick(rng, (metal, look)), sides=16), (0, 0, deck + radius), pitch=np.pi / 2
        )
        return Mesh.merge(
            [tank, boxes([0.3, -half * 0.6, deck], [length - 0.3, half * 0.6, deck + 0.3], look)]
        )
    if kind == "tipper":
        wall = [
            (0, deck),
            (0, deck + 1.25),
            (length, deck + 1.25),
            (length, deck),
            (length * 0.9, deck - 0.05),
        ]
        soil = surface("truck", Material.SOIL, (110, 84, 60))
        heap = ellipsoid(
            (length / 2, 0, deck + 1.1), (length * 0.45, half * 0.9, rng.uniform(0.3, 0.8)), soil
        )
        return Mesh.merge([prism(wall, -half, half, look), heap])
    return _flat_bed(rng, length, half, deck, look)


def _flat_bed(rng: np.random.Generator, length: float, half: float, deck: float, look: Surface) -> Mesh:
    """A platform with drop sides, a headboard and some goods."""
    wood = surface("truck", Material.WOOD, (150, 120, 84))
    parts = [
        boxes([0, -half, deck], [length, half, deck + 0.12], look),
        boxes([length - 0.1, -half, deck], [length, half, deck + 1.2], look),
    ]
    if rng.random() < 0.6:
        sides = [(0, -half, deck), (0, half - 0.04, deck), (0, -half, deck)]
        parts.append(
            boxes(
                sides,
                [(length, 0.04 - half, deck + 0.5), (length, half, deck + 0.5), (0.04, half, deck + 0.5)],
                look,
            )
        )
    count = int(rng.integers(0, 7))
    if count:
        x = rng.uniform(0.3, length - 1.6, count)
        y = rng.uniform(-half + 0.1, half - 1.1, count)
        low = np.column_stack([x, y, np.full(count, deck + 0.12)])
        parts.append(boxes(low, low + rng.uniform(0.6, 1.2, (count, 3)), wood))
    return Mesh.merge(parts)


def bus(rng: np.random.Generator) -> Mesh:
    """A city bus or a coach; 8.5-13 m long, 2.4-2.55 m wide, 2.8-3.8 m high."""
    coach = rng.random() < 0.3
    length, width = rng.uniform(8.5, 13.0), rng.uniform(2.4, 2.55)
    height = rng.uniform(3.3, 3.8) if coach else rng.uniform(2.8, 3.2)
    radius = rng.uniform(0.45, 0.5)
    slope = rng.uniform(0.02, 0.04)
    top = (
        (0, 0.9),
        (0.005, 0.96),
        (0.02, 1),
        (0.9, 1),
        (1 - 1.4 * slope, 0.98),
        (1 - slope, 0.9),
        (0.993, 0.42),
        (1, 0.2),
    )
    posts = np.linspace(0.06, 0.93, int(length / 1.5))
    gap = 0.06 / length
    body = Body(
        length=length, width=width, height=height, clearance=0.3, top=top, belt=0.52 if coach else 0.42,
        axles=(length * 0.27, length * 0.78), wheel_radius=radius, tumblehome=0.1,
        windows=tuple((a + gap, b - gap) for a, b in pairwise(posts)),
        glass_slopes=((1 - slope, 0.992),), nose=0.06,
    )  # fmt: skip
    paint = surface(
        "bus", Material.CAR_PAINT, tinted(rng, pick(rng, (*LORRY_PAINTS, (220, 200, 60), (90, 150, 60))), 10)
    )
    dark = surface("bus", Material.PLASTIC, (36, 36, 40))
    mirrors = [(length, s * (width / 2 + 0.1) - 0.1, 0.68 * height) for s in (-1, 1)]
    roof = rng.uniform(0.25, 0.7) * length
    parts = [
        skin(body, paint, surface("bus", Material.GLASS, GLASS_GREY)),
        wheels("bus", body.axles, width - 0.06, radius, 0.3),
        boxes([0.3, 0.4 - width / 2, 0.3], [length - 0.3, width / 2 - 0.4, 0.9], dark),
        boxes(mirrors, np.array(mirrors) + (0.15, 0.2, 0.5), dark),
        box((rng.uniform(1.2, 3), 1.4, rng.uniform(0.13, 0.28)), (roof, 0, height - 0.03), paint),
        sheet([(-0.02, y, z) for y, z in ((0.26, 0.7), (-0.26, 0.7), (-0.26, 0.81), (0.26, 0.81))],
              surface("bus", Material.RETROREFLECTOR, (235, 235, 230))),
    ]  # fmt: skip
    return placed(Mesh.merge(parts), (-length / 2, 0, 0))
