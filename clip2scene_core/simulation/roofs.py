"""Roofs of buildings over the plan x in [-width/2, width/2], y in [0, depth]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clip2scene_core.simulation.facades import BRICKS, GLASS, WALL, BuildingStyle
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import (
    Colour,
    Surface,
    box,
    boxes,
    loft,
    pick,
    placed,
    prism,
    surface,
    tinted,
)

ROOF_COLOURS: tuple[Colour, ...] = ((150, 70, 50), (110, 60, 50), (80, 76, 76), (60, 60, 66), (130, 110, 96))


def roof_of(
    rng: np.random.Generator,
    style: BuildingStyle,
    looks: list[Surface],
    width: float,
    depth: float,
    eaves: float,
) -> Mesh:
    """A roof in one of the forms of `style` on walls of `width` x `depth` that end at `eaves`, metres."""
    form = pick(rng, style.roofs, style.roof_shares)
    tile = surface("building", Material.ROOF_TILE, tinted(rng, pick(rng, ROOF_COLOURS), 10))
    if form == "flat" or min(width, depth) > 30:
        return _flat_roof(rng, looks, width, depth, eaves)
    rise = rng.uniform(0.28, 0.5) * min(width, depth) * (0.5 if form == "mansard" else 0.8)
    over = rng.uniform(0.15, 0.6)
    if form == "gable":
        return _gable(rng, looks, tile, width, depth, eaves, rise, over)
    if form == "cross gable":
        return _cross_gable(looks, tile, width, depth, eaves, rise, over)
    if form == "saw":
        return _saw_roof(tile, width, depth, eaves)
    rings: tuple[tuple[float, float], ...]
    if form == "mansard":
        rings = ((over, 0.0), (-0.25 * rise, 0.75 * rise), (-0.35 * min(width, depth), rise))
    else:
        rings = ((over, 0.0), (-0.49 * min(width, depth), rise))
    return Mesh.merge(
        [loft(_roof_rings(rings, width, depth, eaves), tile), *_chimneys(rng, width, depth, eaves, rise)]
    )


def _roof_rings(rings: Sequence[tuple[float, float]], width: float, depth: float, eaves: float) -> np.ndarray:
    """(R, 4, 3) rectangles around the plan, grown by an overhang, at a height above the eaves."""
    sections = []
    for grow, z in ((rings[0][0], -0.12), *rings):
        x, low, high = width / 2 + grow, -grow, depth + grow
        sections.append(
            [(-x, low, eaves + z), (x, low, eaves + z), (x, high, eaves + z), (-x, high, eaves + z)]
        )
    return np.array(sections)


def _flat_roof(
    rng: np.random.Generator, looks: list[Surface], width: float, depth: float, eaves: float
) -> Mesh:
    """A slab with a parapet and boxes for lifts and ventilation."""
    tar = surface("building", Material.CONCRETE, tinted(rng, (110, 108, 104), 12))
    top = eaves + rng.uniform(0.2, 0.9)
    half = width / 2
    parapet = boxes(
        [(-half, 0, eaves), (-half, depth - 0.25, eaves), (-half, 0, eaves), (half - 0.25, 0, eaves)],
        [(half, 0.25, top), (half, depth, top), (-half + 0.25, depth, top), (half, depth, top)],
        looks[WALL],
    )
    parts = [boxes([0.1 - half, 0.1, eaves - 0.1], [half - 0.1, depth - 0.1, eaves + 0.02], tar), parapet]
    for _ in range(int(rng.integers(0, 4))):
        size = rng.uniform((1.0, 1.0, 0.6), (min(4, 0.4 * width), min(4, 0.4 * depth), 2.6))
        x, y = rng.uniform(-0.3, 0.3) * width, rng.uniform(0.3, 0.7) * depth
        parts.append(box(size, (x, y, eaves), pick(rng, (tar, looks[WALL]))))
    return Mesh.merge(parts)


def _gable(
    rng: np.random.Generator,
    looks: list[Surface],
    tile: Surface,
    width: float,
    depth: float,
    eaves: float,
    rise: float,
    over: float,
) -> Mesh:
    """A saddle roof with its ridge along or across the street, with gable walls, dormers and chimneys."""
    across = rng.random() < (0.45 if width < depth * 1.2 else 0.1)
    run, length = (depth, width) if not across else (width, depth)
    slab = 0.18
    profile = [(-over, -over * 2 * rise / run), (run / 2, rise), (run + over, -over * 2 * rise / run)]
    outline = [*profile, *((x, z + slab) for x, z in reversed(profile))]
    roof = [
        ridge_prism([outline[0], outline[1], outline[4], outline[5]], length / 2 + over, tile),
        ridge_prism([outline[1], outline[2], outline[3], outline[4]], length / 2 + over, tile),
        ridge_prism([(0.0, -0.05), (run, -0.05), (run / 2, rise)], length / 2, looks[WALL]),
    ]
    if not across:
        roof += _dormers(rng, looks, tile, width, run, rise)
    whole = Mesh.merge(roof)
    whole = (
        placed(whole, (-width / 2, depth / 2, eaves), yaw=-np.pi / 2)
        if across
        else placed(whole, (0, 0, eaves))
    )
    return Mesh.merge([whole, *_chimneys(rng, width, depth, eaves, rise)])


def ridge_prism(outline: Sequence[tuple[float, float]], half_length: float, look: Surface) -> Mesh:
    """An outline in (y, z) drawn out along x from -half_length to half_length."""
    return placed(prism(outline, -half_length, half_length, look), yaw=np.pi / 2)


def _dormers(
    rng: np.random.Generator, looks: list[Surface], tile: Surface, width: float, run: float, rise: float
) -> list[Mesh]:
    """Windows that stand out of the front slope."""
    if rise < 2.0 or rng.random() < 0.5:
        return []
    parts = []
    for x in np.linspace(-0.35, 0.35, int(rng.integers(1, 4))) * width:
        y, wide, tall = 0.12 * run, rng.uniform(0.5, 0.8), min(1.3, 0.55 * rise)
        z = 2 * rise / run * y
        parts += [
            boxes([x - wide, y, z], [x + wide, run / 2, z + tall], looks[WALL]),
            boxes([x - 0.7 * wide, y - 0.02, z + 0.25], [x + 0.7 * wide, y, z + tall - 0.1], looks[GLASS]),
            prism(
                [(x - wide - 0.15, z + tall), (x + wide + 0.15, z + tall), (x, z + tall + 0.45)],
                y - 0.15,
                run / 2,
                tile,
            ),
        ]
    return parts


def _cross_gable(
    looks: list[Surface], tile: Surface, width: float, depth: float, eaves: float, rise: float, over: float
) -> Mesh:
    """A hipped roof with a gable over a part of the front."""
    hip = loft(_roof_rings(((over, 0.0), (-0.49 * min(width, depth), rise)), width, depth, eaves), tile)
    half, tall = 0.22 * width, min(0.75 * rise, 0.3 * width)
    left = -0.2 * width
    gable = [(left - half - over, eaves - 0.1), (left, eaves + tall), (left + half + over, eaves - 0.1)]
    wall = [(left - half, eaves - 0.05), (left, eaves + tall - 0.2), (left + half, eaves - 0.05)]
    return Mesh.merge([hip, prism(wall, -0.02, 0.3, looks[WALL]), prism(gable, 0.05 - over, depth / 2, tile)])


def _saw_roof(tile: Surface, width: float, depth: float, eaves: float) -> Mesh:
    """A row of sheds with glass on their steep side."""
    count = max(int(width / 6), 1)
    step = width / count
    parts = []
    for k in range(count):
        left = -width / 2 + k * step
        parts.append(
            prism([(left, eaves), (left + step, eaves), (left + step, eaves + 0.3 * step)], 0, depth, tile)
        )
    return Mesh.merge(parts)


def _chimneys(rng: np.random.Generator, width: float, depth: float, eaves: float, rise: float) -> list[Mesh]:
    brick = surface("building", Material.BRICK, tinted(rng, pick(rng, BRICKS), 10))
    places = rng.uniform((-0.35, 0.3), (0.35, 0.7), (int(rng.integers(0, 3)), 2)) * (width, depth)
    return [box((0.6, 0.9, rise + rng.uniform(1.0, 2.0)), (x, y, eaves), brick) for x, y in places]
