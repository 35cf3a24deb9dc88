"""Trees, bushes, hedges and tufts of grass: wood as tubes, foliage as thousands of loose leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import (
    Colour,
    Surface,
    blades,
    boxes,
    leaves,
    loft,
    pick,
    placed,
    shaded,
    surface,
    tinted,
    tubes,
)

_GREENS = ((74, 104, 40), (96, 122, 48), (58, 88, 44), (112, 130, 62), (88, 100, 36))
_TRIANGLE = 0.43
"""Area of a regular triangle of side 1."""
_BARKS = ((96, 78, 62), (122, 108, 94), (70, 58, 48), (160, 152, 140))


def tree(rng: np.random.Generator) -> Mesh:
    """A tree of one of five habits, 3-18 m high; trunk and branches are class trunk, leaves vegetation."""
    habit = pick(rng, (_broadleaf, _street_tree, _conifer, _poplar, _palm), (48, 22, 15, 9, 6))
    return habit(rng)


def _leaf_look(rng: np.random.Generator, colour: Colour | None = None) -> Surface:
    return surface("vegetation", Material.LEAF, tinted(rng, colour or pick(rng, _GREENS), 14))


def _bark(rng: np.random.Generator, class_name: str = "trunk") -> Surface:
    return surface(class_name, Material.BARK, tinted(rng, pick(rng, _BARKS), 10))


def _trunk_path(rng: np.random.Generator, height: float, points: int = 6) -> np.ndarray:
    """(points, 3) a slightly crooked line from just below the ground up."""
    z = np.linspace(-0.2, height, points)
    drift = np.cumsum(rng.normal(0, 0.012 * height, (points, 2)), 0) + rng.normal(0, 0.02, 2) * z[:, None]
    return np.column_stack([drift - drift[0], z])


def _broadleaf(rng: np.random.Generator) -> Mesh:
    """A deciduous tree: a forked trunk, arched branches, each end in its own cloud of leaves."""
    height = rng.uniform(5, 16)
    return _crowned(
        rng,
        height,
        bole=rng.uniform(0.08, 0.34),
        spread=rng.uniform(0.28, 0.5),
        branches=int(rng.integers(9, 16)),
    )


def _street_tree(rng: np.random.Generator) -> Mesh:
    """A young tree with a thin straight trunk and a small crown."""
    return _crowned(
        rng,
        rng.uniform(3.2, 7),
        bole=rng.uniform(0.38, 0.5),
        spread=rng.uniform(0.2, 0.32),
        branches=int(rng.integers(6, 10)),
    )


def _crowned(rng: np.random.Generator, height: float, *, bole: float, spread: float, branches: int) -> Mesh:
    """Trunk, branches, leaves; `bole`: free share of the trunk, `spread`: crown radius over the height."""
    radius = rng.uniform(0.009, 0.028) * height + 0.03
    trunk = _trunk_path(rng, 0.8 * height)
    reach = spread * height
    share = np.sort(rng.uniform(bole, 0.78, branches)) * height
    starts = np.stack([np.interp(share, trunk[:, 2], trunk[:, k]) for k in range(3)], -1)
    yaw = 2.4 * np.arange(branches) + rng.normal(0, 0.4, branches)
    relative = (share / height - bole) / (1 - bole)
    length = reach * (1 - 0.55 * relative) * rng.uniform(0.65, 1.05, branches)
    rise = length * rng.uniform(-0.1, 0.9) * rng.uniform(0.6, 1.3, branches) + 0.12 * height * relative
    outward = np.stack([np.cos(yaw), np.sin(yaw), np.zeros(branches)], -1)
    ends = starts + outward * length[:, None] + rise[:, None] * (0, 0, 1)
    bend = (
        (starts + ends) / 2
        + rng.normal(0, 0.05, (branches, 3)) * length[:, None]
        - 0.1 * rise[:, None] * (0, 0, 1)
    )
    wood = _bark(rng)
    parts = [
        tubes(
            trunk[None],
            np.geomspace(radius, 0.25 * radius, len(trunk)) * (1 + 0.35 * (np.arange(len(trunk)) == 0)),
            wood,
            sides=8,
        ),
        tubes(np.stack([starts, bend, ends], 1), radius * np.array([0.45, 0.3, 0.1]), wood, sides=4),
    ]
    tips = np.concatenate([ends, (bend + ends) / 2, trunk[-1:], (starts + bend)[relative > 0.3] / 2])
    parts.append(
        _foliage(
            rng, tips, rng.uniform(0.28, 0.42) * reach + 0.15, int(rng.integers(1000, 2200)), _leaf_look(rng)
        )
    )
    return Mesh.merge(parts)


def _foliage(
    rng: np.random.Generator,
    tips: np.ndarray,
    cloud: float,
    count: int,
    look: Surface,
    *,
    lowest: float = 0.3,
) -> Mesh:
    """Leaves in clouds of radius about `cloud` around the tips (N, 3), thicker near their surface.

    Low clouds, where most beams go, get more and smaller leaves.
    """
    size = cloud * rng.uniform(0.6, 1.25, len(tips))
    weight = size**2 / np.clip(tips[:, 2] - cloud, 2.0, 8.0)
    weight /= weight.sum()
    cover = 4 * np.pi * size**2 * rng.uniform(0.35, 0.7)
    leaf = np.clip(np.sqrt(cover / (count * weight) / _TRIANGLE), 0.06, 0.6)
    owner = rng.choice(len(tips), count, p=weight)
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = size[owner] * rng.uniform(0.15, 1.0, count) ** 0.5
    centres = tips[owner] + direction * radius[:, None] * (1, 1, 0.75)
    centres[:, 2] = np.maximum(centres[:, 2], lowest)
    return leaves(rng, centres, leaf[owner] * rng.uniform(0.6, 1.4, count), look)


def _conifer(rng: np.random.Generator) -> Mesh:
    """A spruce or pine shape: drooping whorls that shorten towards the top."""
    height = rng.uniform(4, 16)
    base = rng.uniform(0.04, 0.2) * height
    reach = rng.uniform(0.16, 0.28) * height
    count = int(rng.integers(1000, 2000))
    whorls = rng.integers(9, 16)
    z = base + (height - base) * (1 - np.sqrt(rng.uniform(0, 1, count)))
    z += rng.normal(0, 0.02, count) * height
    level = (z - base) / (height - base)
    tooth = 1 - 0.35 * np.mod(level * whorls, 1.0)
    radius = reach * np.clip(1 - level, 0.02, 1) * tooth * rng.uniform(0.25, 1, count) ** 0.5
    yaw = rng.uniform(0, 2 * np.pi, count)
    centres = np.stack([radius * np.cos(yaw), radius * np.sin(yaw), z - 0.25 * radius], -1)
    centres[:, 2] = np.clip(centres[:, 2], 0.25, height)
    leaf = np.clip(reach * np.sqrt(height / reach / count) * rng.uniform(2.0, 3.0), 0.08, 0.6)
    trunk = _trunk_path(rng, 0.95 * height) * (0.3, 0.3, 1)
    return Mesh.merge(
        [
            tubes(trunk[None], np.linspace(0.018 * height + 0.03, 0.02, len(trunk)), _bark(rng), sides=7),
            leaves(rng, centres, leaf * rng.uniform(0.6, 1.4, count), _leaf_look(rng, (48, 74, 44))),
        ]
    )


def _poplar(rng: np.random.Generator) -> Mesh:
    """A columnar tree, poplar or cypress."""
    height, reach = rng.uniform(5, 17), rng.uniform(0.06, 0.12)
    count = int(rng.integers(900, 1800))
    base = rng.uniform(0.03, 0.15)
    level = rng.uniform(0, 1, count)
    outline = np.sin(np.pi * np.clip(level, 0, 1) ** 0.7) ** 0.5 * reach * height
    yaw = rng.uniform(0, 2 * np.pi, count)
    radius = outline * rng.uniform(0.3, 1.1, count) ** 0.4
    z = np.maximum((base + (1 - base) * level) * height, 0.25)
    centres = np.stack([radius * np.cos(yaw), radius * np.sin(yaw), z], -1)
    leaf = np.clip(np.sqrt(2 * np.pi * reach * height**2 * 0.6 / count / _TRIANGLE), 0.06, 0.5)
    trunk = _trunk_path(rng, 0.9 * height) * (0.3, 0.3, 1)
    return Mesh.merge(
        [
            tubes(trunk[None], np.linspace(0.014 * height + 0.04, 0.02, len(trunk)), _bark(rng), sides=7),
            leaves(rng, centres, leaf * rng.uniform(0.6, 1.4, count), _leaf_look(rng)),
        ]
    )


def _palm(rng: np.random.Generator) -> Mesh:
    """A palm: a bare trunk and arched fronds of leaflets."""
    height = rng.uniform(4, 11)
    trunk = _trunk_path(rng, height, 7)
    fronds, steps = int(rng.integers(12, 22)), 14
    yaw = 2 * np.pi * np.arange(fronds) / fronds + rng.normal(0, 0.15, fronds)
    length = rng.uniform(1.6, 2.6) * rng.uniform(0.8, 1.1, fronds)
    lift = rng.uniform(-0.2, 1.1, fronds)
    t = np.linspace(0.1, 1, steps)
    along = length[:, None] * t
    z = along * np.sin(lift)[:, None] - 0.55 * length[:, None] * t**2
    out = along * np.cos(0.6 * lift)[:, None]
    spine = np.stack([out * np.cos(yaw)[:, None], out * np.sin(yaw)[:, None], z], -1) + trunk[-1]
    centres = np.repeat(spine.reshape(-1, 3), 4, axis=0) + rng.normal(0, 0.09, (fronds * steps * 4, 3))
    return Mesh.merge(
        [
            tubes(trunk[None], np.linspace(0.18, 0.11, 7) * rng.uniform(0.7, 1.25), _bark(rng), sides=9),
            tubes(spine, 0.015, surface("vegetation", Material.LEAF, (96, 110, 50)), sides=3, caps=False),
            leaves(rng, centres, rng.uniform(0.15, 0.3, len(centres)), _leaf_look(rng)),
        ]
    )


def bush(rng: np.random.Generator) -> Mesh:
    """A round or ragged shrub; 0.4-2.6 m high, 0.5-3.5 m wide."""
    height = rng.uniform(0.5, 2.2)
    spread = height * rng.uniform(0.4, 0.75)
    clumps = int(rng.integers(3, 8))
    cloud = rng.uniform(0.28, 0.42) * min(height, 2 * spread)
    tips = rng.normal(0, 0.5 * spread, (clumps, 3)) * (1, 1, 0)
    tips[:, 2] = rng.uniform(0.25, 0.75, clumps) * height
    tips = np.concatenate([tips, tips * (0.9, 0.9, 0.35)])
    stems = np.stack([tips * (0.3, 0.3, 0) - (0, 0, 0.05), tips], 1)
    look = _leaf_look(rng)
    mesh = _foliage(rng, tips, cloud, int(rng.integers(400, 1000)), look, lowest=0.06)
    low = blades(rng, _disc(rng, 30, spread), rng.uniform(0.08, 0.3, 30), 0.03, look)
    return Mesh.merge([tubes(stems, 0.015, _bark(rng, "vegetation"), sides=3), mesh, low])


def _disc(rng: np.random.Generator, count: int, radius: float) -> np.ndarray:
    """(count, 3) points on the ground within `radius`."""
    yaw, reach = rng.uniform(0, 2 * np.pi, count), radius * np.sqrt(rng.uniform(0, 1, count))
    return np.stack([reach * np.cos(yaw), reach * np.sin(yaw), np.zeros(count)], -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Habit:
    """How a hedge grows."""

    rough_m: tuple[float, float]
    """Least and most that its leaves stick out."""
    leaves_per_m2: int
    leaf: float
    """Size of a leaf over the distance between leaves."""
    porous: bool = False
    """Whether leaves fill it, rather than hide a dense inside."""


_CLIPPED = _Habit(rough_m=(0.0, 0.03), leaves_per_m2=220, leaf=0.9)
_OVERGROWN = _Habit(rough_m=(0.04, 0.2), leaves_per_m2=90, leaf=1.3)
_POROUS = _Habit(rough_m=(0.0, 0.1), leaves_per_m2=220, leaf=1.8, porous=True)


def hedge(rng: np.random.Generator, length_m: float) -> Mesh:
    """A hedge along x from 0 to `length_m`, 0.5-3.2 m high; class vegetation.

    Most are as high as a person's chest. One is clipped as smooth as a wall, one overgrown, one porous, so
    that beams end inside, too.
    """
    habit = pick(rng, (_CLIPPED, _OVERGROWN, _POROUS), (5, 3, 2))
    return _leafy_block(rng, length_m, rng.triangular(0.6, 1.1, 2.4), rng.uniform(0.3, 1.6), habit)


def ivy(rng: np.random.Generator, length_m: float) -> Mesh:
    """A wall or fence along x from 0 to `length_m` that climbers hide, 1.0-2.5 m high; class vegetation."""
    return _leafy_block(rng, length_m, rng.uniform(1.0, 2.3), rng.uniform(0.15, 0.35), _CLIPPED)


def ground_cover(rng: np.random.Generator, length_m: float, width_m: float) -> Mesh:
    """Low shrubs along x from 0 to `length_m`, about y = 0, 0.15-0.8 m high; class vegetation.

    They rise from their edge, over which they hang, to a bumpy top; beams end on leaves or a little below.
    """
    look = _leaf_look(rng)
    count = int(np.clip(200 * length_m * width_m, 200, 2200))
    spot = rng.uniform([0.0, -width_m / 2], [length_m, width_m / 2], (count, 2))
    bumps = np.clip(1 + 0.15 * (_waves(rng, spot[:, 0]) + _waves(rng, spot[:, 1])), 0.6, 1.4)
    edge_m = np.minimum(np.minimum(spot[:, 0], length_m - spot[:, 0]), width_m / 2 - np.abs(spot[:, 1]))
    rise = np.sqrt(np.clip((edge_m + 0.05) / rng.uniform(0.25, 0.9), 0.0, 1.0))
    top = rng.uniform(0.15, 0.6) * bumps * rise
    z = top - rng.exponential(0.12, count) * top + rng.normal(0.0, rng.uniform(0.01, 0.06), count)
    leaf = np.clip(np.sqrt(length_m * width_m / count) * 1.6, 0.08, 0.22) * rng.uniform(0.6, 1.4, count)
    return leaves(rng, np.column_stack([spot, np.maximum(z, 0.02)]), leaf, look)


def planted_bed(rng: np.random.Generator, length_m: float) -> Mesh:
    """A bed along x from 0 to `length_m`, 1-3 m wide, as between parking bays, and its plants.

    The kerb is class sidewalk, the soil terrain, the hedge, shrubs or tree vegetation and trunk.
    """
    half = rng.uniform(0.5, 1.5)
    kerb = surface("sidewalk", Material.CONCRETE, tinted(rng, (165, 163, 158), 10))
    soil = surface("terrain", Material.SOIL, tinted(rng, (118, 98, 74), 10))
    rim = rng.uniform(0.03, 0.16)
    parts = [
        boxes([0, -half, -0.1], [length_m, half, rim], kerb),
        boxes([0.1, 0.1 - half, 0.0], [length_m - 0.1, half - 0.1, rim + 0.02], soil),
    ]
    kind = pick(rng, ("hedge", "bushes", "tree", "cover"), (4, 2, 2, 6))
    if kind == "hedge":
        habit = pick(rng, (_CLIPPED, _OVERGROWN, _POROUS))
        block = _leafy_block(rng, length_m - 0.3, rng.uniform(0.4, 1.5), 2 * half - 0.3, habit)
        parts.append(placed(block, (0.15, 0, rim)))
    elif kind == "bushes":
        along = np.arange(0.5, length_m - 0.3, rng.uniform(1.0, 1.6))
        parts += [placed(bush(rng), (x, rng.normal(0, 0.1), rim)) for x in along.tolist()]
    elif kind == "cover":
        parts.append(placed(ground_cover(rng, length_m, 2 * half), (0, 0, rim)))
    if kind == "tree" or (kind == "cover" and rng.random() < 0.4):
        parts.append(placed(tree(rng), (rng.uniform(0.3, 0.7) * length_m, 0, rim)))
    return Mesh.merge(parts)


def _leafy_block(
    rng: np.random.Generator, length_m: float, height: float, thickness: float, habit: _Habit
) -> Mesh:
    """Leaves along x, on a dense inside, or throughout where the `habit` is porous."""
    out_m = rng.uniform(*habit.rough_m)
    look = _leaf_look(rng)
    x = np.linspace(0.05, length_m - 0.05, max(int(length_m / 0.25), 1) + 1)
    crest = height * (1 + np.clip(_waves(rng, x) * 1.2 * out_m, -0.3, 0.3))
    half = thickness / 2 * (1 + np.clip(_waves(rng, x) * 1.5 * out_m, -0.3, 0.3))
    area = length_m * (2 * height + thickness)
    count = int(np.clip(habit.leaves_per_m2 * area, 150, 2200))
    along, side = rng.uniform(0, length_m, count), rng.random(count) * (2 * height + thickness)
    crest_here, half_here = np.interp(along, x, crest), np.interp(along, x, half)
    out = rng.normal(0.0, 0.015 + out_m / 2, count)
    if habit.porous:
        deep = rng.random(count) < 0.3
        out = np.where(deep, -rng.uniform(0, 1, count) * np.minimum(half_here, crest_here), out)
    wall, sign = side < 2 * height, np.where(side < height, 1, -1)
    share = np.where(wall, np.mod(side / height, 1), np.mod(side, thickness) / thickness)
    y = np.where(wall, sign * (half_here * (1 - 0.15 * share**4) + out), (2 * share - 1) * 0.9 * half_here)
    z = np.where(wall, share * crest_here, crest_here + out)
    leaf = np.clip(np.sqrt(area / count) * habit.leaf, 0.05, 0.34)
    foliage = leaves(
        rng, np.stack([along, y, np.maximum(z, 0.06)], -1), leaf * rng.uniform(0.6, 1.4, count), look
    )
    if habit.porous:
        return foliage
    inside = 0.02 + out_m / 2
    return Mesh.merge([_hedge_core(rng, x, crest - inside, half - inside, look), foliage])


def _waves(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """(len(x),) a smooth random line of unit size whose bumps are 1-4 m long."""
    length, phase = rng.uniform(1, 4, (3, 1)), rng.uniform(0, 2 * np.pi, (3, 1))
    return np.sin(2 * np.pi * x / length + phase).sum(0) / np.sqrt(1.5)


def _hedge_core(
    rng: np.random.Generator, x: np.ndarray, crest: np.ndarray, half: np.ndarray, look: Surface
) -> Mesh:
    """The dense inside of a hedge: a rough skin with a ring at each x."""
    half, crest = np.maximum(half, 0.08)[:, None], crest[:, None]
    y = half * np.array([1, 1, 1, 1, 0.97, 0.85, 0.0, -0.85, -0.97, -1, -1, -1, -1])
    z = crest * np.array([0.0, 0.25, 0.5, 0.75, 0.9, 1, 1, 1, 0.9, 0.75, 0.5, 0.25, 0.0])
    y = y + rng.normal(0, rng.uniform(0.01, 0.04), y.shape)
    return shaded(rng, loft(np.stack([np.broadcast_to(x[:, None], y.shape), y, z], -1), look), 12)


def grass_tufts(rng: np.random.Generator, n: int) -> Mesh:
    """`n` tufts of grass and weeds within about 1.5 m; class terrain where low, vegetation from 0.4 m on."""
    tufts = []
    feet = _disc(rng, n, 1.5)
    for foot in feet:
        high = rng.random() < 0.2
        height = rng.uniform(0.4, 0.9) if high else rng.uniform(0.06, 0.3)
        count = int(rng.integers(12, 26))
        name, material = ("vegetation", Material.LEAF) if high else ("terrain", Material.GRASS)
        look = surface(name, material, tinted(rng, pick(rng, (*_GREENS, (150, 140, 80))), 14))
        spots = _disc(rng, count, 0.35 * height + 0.05) + foot
        tufts.append(blades(rng, spots, height * rng.uniform(0.5, 1, count), 0.02 + 0.04 * height, look))
    return Mesh.merge(tufts)
