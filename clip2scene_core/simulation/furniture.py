"""Street furniture: the small things that stand on pavements and at their edge."""

# ruff: noqa: RUF005 - a tuple after + is added to an array here

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clip2scene_core.simulation.fences import WOODS
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.poles import metal_of
from clip2scene_core.simulation.solids import (
    Colour,
    Surface,
    box,
    boxes,
    copies,
    cylinder,
    leaves,
    painted,
    pick,
    placed,
    prism,
    revolve,
    surface,
    tinted,
    tube,
    tubes,
)


def _thing(
    rng: np.random.Generator, material: Material, colours: Sequence[Colour], class_name: str = "other object"
) -> Surface:
    return surface(class_name, material, tinted(rng, pick(rng, colours), 12))


def traffic_cone(rng: np.random.Generator) -> Mesh:
    """A cone, drum or slim delineator, 0.3-1.2 m high; class traffic cone."""
    orange = surface("traffic cone", Material.PLASTIC, tinted(rng, (240, 96, 24), 12))
    white = surface("traffic cone", Material.RETROREFLECTOR, (236, 236, 232))
    kind = pick(rng, ("cone", "drum", "delineator"), (6, 2, 2))
    height = rng.uniform(0.3, 0.95) if kind == "cone" else rng.uniform(0.8, 1.15)
    foot, radii = {
        "cone": (0.55 * height, np.array([0.2, 0.14, 0.09, 0.05]) * height),
        "drum": (0.62, np.array([0.28, 0.26, 0.24, 0.22])),
        "delineator": (0.32, np.array([0.06, 0.055, 0.05, 0.045])),
    }[kind]
    profile = list(zip(radii, (0.04, 0.4 * height, 0.7 * height, height), strict=True))
    shaft = painted(revolve(profile, orange, sides=12), slice(24, 48), white)
    return Mesh.merge([box((foot, foot, 0.05), (0, 0, 0), orange), shaft])


def bench(rng: np.random.Generator) -> Mesh:
    """A park bench, 1.2-2.2 m long along y, 0.42-0.9 m high; one sits facing +x. Class other object."""
    half, back = rng.uniform(0.6, 1.1), rng.random() < 0.7
    wood = _thing(rng, Material.WOOD, WOODS)
    metal = metal_of(rng, "other object")
    seat = [(x, -half, 0.42) for x in (-0.2, -0.06, 0.08)]
    parts = [boxes(seat, np.array(seat) + (0.11, 2 * half, 0.04), wood)]
    sides = [(-0.2, s * half * 0.8 - 0.03, 0) for s in (-1, 1)]
    parts.append(boxes(sides, np.array(sides) + (0.4, 0.06, 0.42), metal))
    if back:
        slats = [(-0.27 - 0.03 * k, -half, 0.55 + 0.14 * k) for k in range(3)]
        parts.append(boxes(slats, np.array(slats) + (0.03, 2 * half, 0.1), wood))
        stays = [[(-0.2, s * half * 0.8, 0.42), (-0.34, s * half * 0.8, 0.9)] for s in (-1, 1)]
        parts.append(tubes(np.array(stays), 0.02, metal, sides=4))
    return Mesh.merge(parts)


def bin(rng: np.random.Generator) -> Mesh:
    """A litter bin on a post or a wheeled refuse bin, 0.7-1.15 m high; class other object."""
    plastic = _thing(
        rng, Material.PLASTIC, ((50, 54, 56), (40, 80, 50), (40, 60, 110), (120, 90, 50), (220, 190, 40))
    )
    if rng.random() < 0.6:
        return _wheeled_bin(rng.uniform(0.45, 0.62), rng.uniform(0.5, 0.7), rng.uniform(0.9, 1.1), plastic)
    radius, height = rng.uniform(0.18, 0.3), rng.uniform(0.7, 1.0)
    return revolve(
        [(0.85 * radius, 0), (radius, 0.9 * height), (1.05 * radius, 0.92 * height), (0.7 * radius, height)],
        plastic,
        sides=12,
    )


def _wheeled_bin(width: float, depth: float, height: float, look: Surface) -> Mesh:
    """A tapered box with a sloping lid and two wheels; the lid opens towards +x."""
    half, foot = depth / 2, 0.4 * depth
    rim = [(half, 0.87 * height), (1.08 * half, 0.9 * height), (-half, height), (-1.1 * half, 0.9 * height)]
    side = [(foot, 0.06), *rim, (-foot, 0.06)]
    dark = surface("other object", Material.RUBBER, (30, 30, 32))
    wheel = placed(cylinder(0.1, 0.05, (0, 0, 0), dark, sides=8), (-foot, 0, 0.1), roll=np.pi / 2)
    rest = box((0.08, width * 0.7, 0.06), (foot - 0.05, 0, 0), look)
    return Mesh.merge(
        [
            prism(side, -width / 2, width / 2, look),
            copies(wheel, [(0, width / 2, 0), (0, 0.05 - width / 2, 0)]),
            rest,
        ]
    )


def container(rng: np.random.Generator) -> Mesh:
    """A large refuse container, bottle bank or skip, 1-6 m long along y, 1-2.6 m high; class other object."""
    look = _thing(
        rng,
        Material.METAL,
        ((60, 70, 64), (40, 90, 56), (50, 80, 130), (190, 160, 50), (150, 60, 40), (160, 162, 160)),
    )
    kind = pick(rng, ("bin", "bank", "skip", "shipping"), (4, 2, 2, 1))
    if kind == "bin":
        return _wheeled_bin(rng.uniform(1.1, 1.7), rng.uniform(0.8, 1.1), rng.uniform(1.1, 1.4), look)
    if kind == "bank":
        radius = rng.uniform(0.55, 0.8)
        return revolve(
            [(0.9 * radius, 0), (radius, 0.3), (radius, 1.1), (0.7 * radius, 1.5), (0.15, 1.75)],
            look,
            sides=14,
        )
    if kind == "shipping":
        return _shipping_container(rng, look)
    half, height = rng.uniform(1.4, 2.0), rng.uniform(1.1, 1.6)
    outline = [
        (half * 0.62, 0.0),
        (half, 0.7 * height),
        (half, height),
        (-half, height),
        (-half, 0.7 * height),
        (-half * 0.62, 0.0),
    ]
    return placed(prism(outline, -0.85, 0.85, look), yaw=np.pi / 2)


def _shipping_container(rng: np.random.Generator, look: Surface) -> Mesh:
    half = pick(rng, (1.5, 3.0))
    y = np.arange(-half + 0.1, half - 0.2, 0.3)
    ribs = np.concatenate(
        [np.column_stack([np.full_like(y, x), y, np.full_like(y, 0.15)]) for x in (-1.22, 1.17)]
    )
    return Mesh.merge(
        [boxes([-1.18, -half, 0], [1.18, half, 2.59], look), boxes(ribs, ribs + (0.05, 0.15, 2.3), look)]
    )


def bus_shelter(rng: np.random.Generator) -> Mesh:
    """A glass shelter with a bench, open towards +x, 2.5-5 m along y, 2.4-2.8 m high; class other object."""
    half, deep, height = rng.uniform(1.25, 2.5), rng.uniform(1.2, 1.7), rng.uniform(2.3, 2.7)
    metal = metal_of(rng, "other object")
    glass = surface("other object", Material.GLASS, (170, 190, 196))
    poster = surface("other object", Material.PLASTIC, tinted(rng, (190, 140, 110), 40))
    corners = np.array([(x, y, 0) for x in (-deep / 2, deep / 2) for y in (-half, half)])
    panes = np.linspace(-half, half, 4)
    back = [(-deep / 2 + 0.01, a + 0.05, 0.25) for a in panes[:-1]]
    seat = box((0.35, 1.2 * half, 0.06), (-deep / 2 + 0.3, 0, 0.45), metal)
    legs = [box((0.06, 0.06, 0.45), (-deep / 2 + 0.3, s * 0.5 * half, 0), metal) for s in (-1, 1)]
    side = pick(rng, (glass, poster))
    return Mesh.merge(
        [
            boxes(corners - (0.04, 0.04, 0.1), corners + (0.04, 0.04, height), metal),
            boxes([-deep / 2 - 0.1, -half - 0.1, height], [deep / 2 + 0.25, half + 0.1, height + 0.1], metal),
            boxes(back, [(-deep / 2 + 0.03, b - 0.05, height - 0.15) for b in panes[1:]], glass),
            boxes([-deep / 2, half - 0.03, 0.25], [deep / 2 - 0.1, half, height - 0.2], side),
            seat,
            *legs,
        ]
    )


def planter(rng: np.random.Generator) -> Mesh:
    """A tub of class other object with plants of class vegetation, 0.6-2.4 m high."""
    stone = _thing(rng, Material.CONCRETE, ((170, 166, 158), (150, 100, 70), (90, 90, 92), (150, 116, 80)))
    height = rng.uniform(0.35, 0.8)
    if rng.random() < 0.5:
        radius = rng.uniform(0.25, 0.6)
        spread = np.array([radius, radius])
        tub = revolve(
            [
                (0.75 * radius, 0),
                (radius, 0.9 * height),
                (1.06 * radius, 0.92 * height),
                (1.06 * radius, height),
            ],
            stone,
        )
    else:
        spread = rng.uniform((0.25, 0.3), (0.5, 1.2))
        tub = box((2 * spread[0], 2 * spread[1], height), (0, 0, 0), stone)
    count = int(rng.integers(150, 400))
    tall = rng.uniform(0.2, 1.3)
    centres = rng.normal(0, 0.5, (count, 3)) * (*spread, 0)
    centres[:, 2] = height + tall * rng.uniform(0, 1, count) ** 0.8
    leaf = surface(
        "vegetation",
        Material.LEAF,
        tinted(rng, pick(rng, ((80, 110, 50), (110, 130, 60), (150, 80, 90))), 14),
    )
    return Mesh.merge([tub, leaves(rng, centres, rng.uniform(0.06, 0.16, count), leaf)])


def mailbox(rng: np.random.Generator) -> Mesh:
    """A letter box on a post or a pillar box, 1.05-1.65 m high; class other object."""
    look = _thing(rng, Material.METAL, ((220, 180, 30), (190, 30, 34), (40, 70, 140), (110, 112, 114)))
    if rng.random() < 0.5:
        r, h = rng.uniform(0.2, 0.28), rng.uniform(1.3, 1.6)
        return revolve(
            [(1.1 * r, 0), (1.1 * r, 0.15), (r, 0.2), (r, h - 0.12), (1.12 * r, h - 0.1), (0.5 * r, h)], look
        )
    low = rng.uniform(0.7, 0.95)
    return Mesh.merge(
        [
            box((0.08, 0.08, low), (0, 0, 0), metal_of(rng, "other object")),
            box((0.3, 0.42, rng.uniform(0.35, 0.65)), (0, 0, low), look),
        ]
    )


def cafe_table(rng: np.random.Generator) -> Mesh:
    """A table with two to four chairs and sometimes a parasol, 0.8-2.7 m high; class other object."""
    metal = metal_of(rng, "other object")
    wood = _thing(rng, Material.WOOD, WOODS)
    top = rng.uniform(0.3, 0.45)
    parts = [
        cylinder(top, 0.03, (0, 0, 0.72), wood, sides=10),
        cylinder(0.03, 0.72, (0, 0, 0), metal, sides=6),
        cylinder(0.22, 0.03, (0, 0, 0), metal, sides=8),
    ]
    chair = _chair(metal, wood)
    for yaw in 2 * np.pi * np.arange(n := int(rng.integers(2, 5))) / n + rng.normal(0, 0.2):
        reach = top + rng.uniform(0.2, 0.45)
        parts.append(
            placed(chair, (reach * np.cos(yaw), reach * np.sin(yaw), 0), yaw=yaw + rng.normal(0, 0.3))
        )
    if rng.random() < 0.35:
        cloth = _thing(rng, Material.CLOTH, ((220, 210, 190), (170, 40, 40), (60, 90, 70)))
        parts.append(tube([(0, 0, 0.7), (0, 0, 2.5)], 0.025, metal))
        parts.append(revolve([(1.3, 2.05), (1.3, 2.1), (0.05, 2.6)], cloth, sides=8))
    return Mesh.merge(parts)


def _chair(metal: Surface, wood: Surface) -> Mesh:
    """A chair whose back is towards +x."""
    legs = [[(x, y, 0), (x, y, 0.45)] for x in (-0.18, 0.18) for y in (-0.18, 0.18)]
    back = [[(0.2, y, 0.45), (0.27, y, 0.85)] for y in (-0.18, 0.18)]
    return Mesh.merge(
        [
            tubes(np.array(legs + back), 0.013, metal, sides=4),
            box((0.42, 0.42, 0.03), (0, 0, 0.44), wood),
            boxes([0.22, -0.2, 0.62], [0.26, 0.2, 0.85], wood),
        ]
    )


def advertising_column(rng: np.random.Generator) -> Mesh:
    """A round advertising column or a lit poster stand, 2-3.7 m high; class other object."""
    look = _thing(rng, Material.PLASTIC, ((200, 190, 170), (160, 90, 90), (90, 120, 150)))
    metal = metal_of(rng, "other object")
    if rng.random() < 0.6:
        r, h = rng.uniform(0.5, 0.75), rng.uniform(2.7, 3.6)
        profile = [
            (1.08 * r, 0),
            (1.08 * r, 0.3),
            (r, 0.32),
            (r, h - 0.4),
            (1.12 * r, h - 0.35),
            (1.12 * r, h - 0.2),
            (0.2, h),
        ]
        return painted(revolve(profile, metal, sides=16), slice(2 * 32, 3 * 32), look)
    wide, low, high = rng.uniform(1.0, 1.4), rng.uniform(0.3, 0.6), rng.uniform(2.0, 2.6)
    return Mesh.merge(
        [box((0.25, wide, high - low), (0, 0, low), look), box((0.15, 0.4, low), (0, 0, 0), metal)]
    )


def hydrant(rng: np.random.Generator) -> Mesh:
    """A fire hydrant, 0.6-0.95 m high; class other object."""
    look = _thing(rng, Material.METAL, ((180, 30, 34), (220, 180, 40), (60, 90, 150)))
    h, r = rng.uniform(0.6, 0.95), rng.uniform(0.09, 0.13)
    body = revolve(
        [
            (1.6 * r, 0),
            (1.6 * r, 0.05),
            (r, 0.06),
            (r, 0.75 * h),
            (1.3 * r, 0.77 * h),
            (1.1 * r, 0.9 * h),
            (0.3 * r, h),
        ],
        look,
        sides=10,
    )
    arms = tube([(0, -1.9 * r, 0.6 * h), (0, 1.9 * r, 0.6 * h)], 0.5 * r, look, sides=7)
    return Mesh.merge([body, arms])


def electric_cabinet(rng: np.random.Generator) -> Mesh:
    """A switch cabinet on a plinth, 0.8-1.7 m high, its doors towards +x; class other object."""
    look = _thing(rng, Material.PLASTIC, ((170, 172, 166), (140, 146, 136), (96, 110, 96)))
    concrete = surface("other object", Material.CONCRETE, (150, 148, 142))
    deep, wide, high = rng.uniform((0.3, 0.5, 0.75), (0.55, 1.8, 1.6))
    parts = [
        box((deep * 0.94, wide * 0.96, 0.12), (0, 0, 0), concrete),
        box((deep, wide, high - 0.16), (0, 0, 0.1), look),
        box((deep + 0.06, wide + 0.06, 0.05), (0, 0, high - 0.06), look),
    ]
    return Mesh.merge(parts)
