"""Fences, guard rails and barriers, built along x so that they can follow sloping ground."""

# ruff: noqa: RUF005 - a tuple after + is added to an array here

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.poles import METALS
from clip2scene_core.simulation.solids import (
    Surface,
    boxes,
    cylinder,
    leaves,
    loft,
    pick,
    placed,
    surface,
    tinted,
    tubes,
)

WOODS = ((150, 116, 80), (120, 92, 66), (96, 84, 74), (180, 150, 110), (226, 222, 214), (88, 60, 44))


def jersey_barrier(rng: np.random.Generator, length_m: float) -> Mesh:
    """Concrete or plastic barrier elements along x from 0 to `length_m`, 0.8-1.05 m high; class barrier."""
    s = rng.uniform(0.95, 1.25)
    outline = (
        np.array(
            [
                (0.3, 0),
                (0.3, 0.08),
                (0.17, 0.3),
                (0.09, 0.8),
                (-0.09, 0.8),
                (-0.17, 0.3),
                (-0.3, 0.08),
                (-0.3, 0),
            ]
        )
        * s
    )
    concrete = surface("barrier", Material.CONCRETE, tinted(rng, (176, 174, 168), 12))
    plastics = [
        surface("barrier", Material.PLASTIC, tinted(rng, c, 8)) for c in ((214, 50, 30), (232, 232, 228))
    ]
    plastic = rng.random() < 0.35
    count = max(round(length_m / 2.0), 1)
    edges = np.linspace(0, length_m, count + 1)
    parts = []
    for k, (start, end) in enumerate(pairwise(edges)):
        sections = [np.column_stack([np.full(8, x), outline]) for x in (start + 0.015, end - 0.015)]
        parts.append(
            placed(
                loft(np.array(sections), plastics[k % 2] if plastic else concrete),
                (0, rng.normal(0, 0.02), 0),
            )
        )
    return Mesh.merge(parts)


def barricade(rng: np.random.Generator) -> Mesh:
    """Striped boards on trestles or a crowd-control fence, along y, 0.9-1.4 m high; class barrier."""
    width, height = rng.uniform(1.2, 2.4), rng.uniform(0.9, 1.2)
    if rng.random() < 0.35:
        return _crowd_barrier(rng, width, height)
    white = surface("barrier", Material.RETROREFLECTOR, (236, 236, 232))
    orange = surface("barrier", Material.RETROREFLECTOR, pick(rng, ((230, 80, 30), (210, 30, 30))))
    metal = surface("barrier", Material.METAL, (150, 152, 154))
    half = width / 2
    legs = [
        [(sx * 0.3, sy * 0.85 * half, 0), (0, sy * 0.85 * half, height)] for sx in (-1, 1) for sy in (-1, 1)
    ]
    parts = [tubes(np.array(legs), 0.025, metal, sides=4)]
    stripes = np.linspace(-half, half, 9)
    for z in (height - 0.22, *((0.45 * height,) if rng.random() < 0.7 else ())):
        for k in range(8):
            parts.append(
                boxes([-0.06, stripes[k], z], [-0.03, stripes[k + 1], z + 0.2], orange if k % 2 else white)
            )
    if rng.random() < 0.4:
        parts.append(
            cylinder(
                0.09,
                0.2,
                (0, 0.6 * half, height),
                surface("barrier", Material.PLASTIC, (240, 170, 30)),
                sides=8,
            )
        )
    return Mesh.merge(parts)


def _crowd_barrier(rng: np.random.Generator, width: float, height: float) -> Mesh:
    metal = surface("barrier", Material.METAL, tinted(rng, (160, 164, 166), 10))
    half = width / 2
    y = np.arange(-half + 0.12, half, 0.13)
    bars = np.stack([np.stack([0 * y, y, 0 * y + 0.2], -1), np.stack([0 * y, y, 0 * y + height], -1)], 1)
    rails = np.array([[(0, -half, z), (0, half, z)] for z in (0.2, height)])
    ends = np.array([[(0, s * half, 0.02), (0, s * half, height)] for s in (-1, 1)])
    feet = np.array([[(-0.28, s * half * 0.9, 0.02), (0.28, s * half * 0.9, 0.02)] for s in (-1, 1)])
    return Mesh.merge(
        [tubes(bars, 0.009, metal, sides=4), tubes(np.concatenate([rails, ends, feet]), 0.02, metal, sides=5)]
    )


def guard_rail(rng: np.random.Generator, length_m: float) -> Mesh:
    """A steel beam on posts along x from 0 to `length_m` that faces -y, 0.7-0.85 m high; class fence."""
    look = surface("fence", Material.METAL, tinted(rng, (158, 162, 164), 10))
    top = rng.uniform(0.7, 0.85)
    x = np.linspace(0, length_m, max(round(length_m / 2.0), 1) + 1)
    wave = np.array(
        [(0.0, 0.0), (-0.08, 0.06), (-0.08, 0.11), (-0.01, 0.155), (-0.08, 0.2), (-0.08, 0.25), (0.0, 0.31)]
    )
    skin = np.concatenate([wave, wave[::-1] + (0.012, 0)]) + (0, top - 0.31)
    sections = np.stack([np.column_stack([np.full(len(skin), s), skin]) for s in x])
    posts = np.column_stack([x[:-1] + 0.1, np.full(len(x) - 1, 0.02), np.full(len(x) - 1, -0.2)])
    return Mesh.merge([loft(sections[:, ::-1], look), boxes(posts, posts + (0.06, 0.12, top + 0.18), look)])


def fence(rng: np.random.Generator, length_m: float) -> Mesh:
    """A fence of one of seven kinds along x from 0 to `length_m`, about y = 0, 0.5-2 m high; class fence.

    Some are overgrown: leaves of class vegetation cling to a stretch of them.
    """
    kinds = (_pickets, _planks, _wire_mesh, _iron_railing, _panels, _wall_and_railing, _post_and_rail)
    mesh = pick(rng, kinds, (20, 18, 17, 17, 10, 10, 8))(rng, length_m)
    return Mesh.merge([mesh, _creeper(rng, mesh, length_m)]) if rng.random() < 0.35 else mesh


def _creeper(rng: np.random.Generator, fence: Mesh, length: float) -> Mesh:
    """Leaves on both sides of a stretch of a fence, thicker in the middle of the stretch."""
    height = fence.vertices[:, 2].max()
    middle, spread = rng.uniform(0.1, 0.9) * length, rng.uniform(0.1, 0.6) * length
    count = int(np.clip(150 * spread, 60, 600))
    x = np.clip(rng.normal(middle, spread, count), 0, length)
    y = rng.normal(0, rng.uniform(0.05, 0.14), count)
    z = height * rng.uniform(0.05, 1.08, count)
    green = surface(
        "vegetation", Material.LEAF, tinted(rng, pick(rng, ((74, 104, 40), (96, 122, 48), (58, 88, 44))), 14)
    )
    return leaves(rng, np.stack([x, y, z], -1), rng.uniform(0.08, 0.18, count), green)


def _posts_x(length: float, spacing: float = 2.0) -> np.ndarray:
    return np.linspace(0.05, length - 0.05, max(round(length / spacing), 1) + 1)


def _rails(
    x: np.ndarray, heights: Iterable[float], size: tuple[float, float], y: float, look: Surface
) -> Mesh:
    """Beams from post to post at these heights, thick in y and z by `size`."""
    low = np.array([(a, y, z) for z in heights for a in x[:-1]])
    high = np.array([(b, y + size[0], z + size[1]) for z in heights for b in x[1:]])
    return boxes(low, high, look)


def _uprights(
    x: np.ndarray, size: tuple[float, float], y: float, low: float, high: ArrayLike, look: Surface
) -> Mesh:
    """Posts or boards at these x, `size` in x and y, from `low` to `high` (a number or one per post)."""
    feet = np.column_stack([x - size[0] / 2, np.full(len(x), y), np.full(len(x), low)])
    tops = np.column_stack([x + size[0] / 2, np.full(len(x), y + size[1]), np.broadcast_to(high, len(x))])
    return boxes(feet, tops, look)


def _pickets(rng: np.random.Generator, length: float) -> Mesh:
    height, width = rng.uniform(0.5, 1.3), rng.uniform(0.06, 0.1)
    look = surface("fence", Material.WOOD, tinted(rng, pick(rng, WOODS), 10))
    x = _posts_x(length, rng.uniform(1.6, 2.2))
    boards = np.arange(width / 2, length, width * rng.uniform(1.5, 2.2))
    tops = height + rng.normal(0, 0.012, len(boards))
    return Mesh.merge(
        [
            _uprights(x, (0.09, 0.09), 0.04, -0.1, height, look),
            _rails(x, (0.15, height - 0.2), (0.04, 0.07), 0.0, look),
            _uprights(boards, (width, 0.022), -0.022, 0.06, tops, look),
        ]
    )


def _planks(rng: np.random.Generator, length: float) -> Mesh:
    """Close vertical boards, a privacy fence; a few are warped or missing."""
    height, width = rng.uniform(1.4, 2.0), rng.uniform(0.1, 0.18)
    look = surface("fence", Material.WOOD, tinted(rng, pick(rng, WOODS), 10))
    x = _posts_x(length)
    boards = np.arange(width / 2, length, width * 1.04)
    boards = boards[rng.random(len(boards)) > rng.choice([0.0, 0.03])]
    return Mesh.merge(
        [
            _uprights(x, (0.1, 0.1), 0.04, -0.1, height, look),
            _rails(x, (0.3, height - 0.3), (0.04, 0.08), 0.0, look),
            _uprights(boards, (width, 0.025), -0.025, 0.05, height + rng.normal(0, 0.01, len(boards)), look),
        ]
    )


def _wire_mesh(rng: np.random.Generator, length: float) -> Mesh:
    """Thin wires between posts: most rays pass."""
    height = rng.uniform(0.9, 1.9)
    look = surface("fence", Material.METAL, tinted(rng, pick(rng, ((60, 90, 66), (150, 154, 156))), 10))
    x = _posts_x(length, 2.2)
    step = rng.uniform(0.12, 0.22)
    uprights = np.arange(step, length, step)
    return Mesh.merge(
        [
            _uprights(x, (0.05, 0.05), -0.025, -0.1, height + 0.03, look),
            _uprights(uprights, (0.007, 0.007), -0.003, 0.03, height, look),
            _rails(x, np.linspace(0.04, height, max(int(height / step), 2)), (0.008, 0.008), -0.004, look),
        ]
    )


def _iron_railing(rng: np.random.Generator, length: float) -> Mesh:
    height = rng.uniform(0.6, 1.7)
    look = surface(
        "fence", Material.METAL, tinted(rng, pick(rng, ((30, 30, 32), (40, 60, 48), (90, 92, 96))), 8)
    )
    x = _posts_x(length)
    bars = np.arange(0.1, length, rng.uniform(0.1, 0.15))
    return Mesh.merge(
        [
            _uprights(x, (0.07, 0.07), -0.035, -0.1, height + 0.08, look),
            _uprights(bars, (0.02, 0.02), -0.01, 0.08, height + rng.uniform(0, 0.1), look),
            _rails(x, (0.12, height - 0.05), (0.03, 0.03), -0.015, look),
        ]
    )


def _panels(rng: np.random.Generator, length: float) -> Mesh:
    """Solid panels of wood, plastic or metal between posts."""
    height = rng.uniform(1.3, 2.0)
    material, colours = pick(
        rng,
        (
            (Material.WOOD, WOODS),
            (Material.PLASTIC, ((220, 220, 216), (90, 94, 98))),
            (Material.METAL, METALS),
        ),
    )
    look = surface("fence", material, tinted(rng, pick(rng, colours), 10))
    x = _posts_x(length)
    slats = np.arange(0.06, height - 0.05, rng.uniform(0.15, 0.4)).tolist()
    return Mesh.merge(
        [
            _uprights(x, (0.1, 0.1), -0.05, -0.1, height + 0.05, look),
            *(
                _rails(x, (z,), (0.03, top - z - rng.uniform(0, 0.012)), -0.015, look)
                for z, top in zip(slats, [*slats[1:], height], strict=True)
            ),
        ]
    )


def _wall_and_railing(rng: np.random.Generator, length: float) -> Mesh:
    """A low wall with pillars and a railing or boards above."""
    low, height = rng.uniform(0.25, 0.6), rng.uniform(0.8, 1.7)
    stone = pick(
        rng,
        (
            surface("fence", Material.BRICK, tinted(rng, (150, 84, 64), 14)),
            surface("fence", Material.CONCRETE, tinted(rng, (180, 176, 166), 12)),
        ),
    )
    metal = surface("fence", Material.METAL, tinted(rng, pick(rng, METALS), 8))
    x = _posts_x(length, 1.9)
    bars = np.arange(0.1, length, rng.uniform(0.11, 0.16))
    return Mesh.merge(
        [
            _rails(x, (-0.1,), (0.24, low + 0.1), -0.12, stone),
            _uprights(x, (0.34, 0.34), -0.17, -0.1, height + 0.06, stone),
            _uprights(bars, (0.02, 0.02), -0.01, low, height, metal),
            _rails(x, (height - 0.05,), (0.03, 0.03), -0.015, metal),
        ]
    )


def _post_and_rail(rng: np.random.Generator, length: float) -> Mesh:
    """A paddock fence: posts and two to four rails."""
    height = rng.uniform(0.8, 1.4)
    look = surface("fence", Material.WOOD, tinted(rng, pick(rng, WOODS), 10))
    x = _posts_x(length)
    heights = np.linspace(height - 0.15, 0.35, int(rng.integers(2, 5)))
    return Mesh.merge(
        [_uprights(x, (0.11, 0.11), 0.0, -0.1, height, look), _rails(x, heights, (0.035, 0.12), -0.035, look)]
    )
