"""Buildings whose facades are reliefs of walls, windows, doors and ledges; also walls, garages and sheds.

A building's front lies in the plane y = 0 and faces -y, x runs over [-width/2, width/2], the body reaches to
y = depth. Its foundation goes 1.5 m below the ground, so that sloping ground leaves no gap.
"""

# ruff: noqa: RUF005 - a tuple after + is added to an array here

from __future__ import annotations

import numpy as np

from clip2scene_core.simulation.facades import (
    BRICK_WALL,
    CONCRETE_WALL,
    DOOR,
    FOUNDATION_M,
    FRAME,
    GLASS,
    LEDGE,
    PLASTER_WALL,
    STYLES,
    WALL,
    BuildingStyle,
    division,
    facade,
    surfaces_of,
)
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.roofs import ROOF_COLOURS, ridge_prism, roof_of
from clip2scene_core.simulation.solids import (
    Cells,
    Surface,
    boxes,
    loft,
    pick,
    placed,
    prism,
    relief,
    shaded,
    surface,
    tinted,
    tube,
    tubes,
)


def building(rng: np.random.Generator, width_m: float, depth_m: float, height_m: float) -> Mesh:
    """A building of one of six styles that suits its size; `height_m` is the height of the eaves.

    Class building, windows of Material.GLASS. What stands out of the front (bays, balconies, awnings, porches
    and steps) reaches at most 1.7 m beyond y = 0, the eaves 0.7 m beyond the other sides.
    """
    style = STYLES[_fitting_style(rng, width_m, depth_m, height_m)]
    looks = surfaces_of(rng, style)
    floors = max(round(height_m / rng.uniform(*style.floor_height)), 1)
    walls = [(width_m, (0.0, depth_m), np.pi)]
    walls += [(depth_m, (side * width_m / 2, depth_m / 2), side * np.pi / 2) for side in (1, -1)]
    parts = [
        facade(rng, style, looks, width_m, height_m, floors, front=True),
        *(
            placed(facade(rng, style, looks, length, height_m, floors), (*xy, 0), yaw=yaw)
            for length, xy, yaw in walls
        ),
        roof_of(rng, style, looks, width_m, depth_m, height_m),
        *_extras(rng, style, looks, width_m, height_m, floors),
    ]
    return Mesh.merge(parts)


def _fitting_style(rng: np.random.Generator, width: float, depth: float, height: float) -> str:
    shares = {
        "town house": 3.0 if height > 6 and width < 22 else 0.3,
        "suburban house": 4.0 if height < 7.5 and width < 18 else 0.0,
        "apartment block": 2.0 if height >= 7.5 and width > 10 else 0.0,
        "office": 1.2 if height >= 6 and width > 10 else 0.0,
        "industrial hall": 1.5 if height < 12 and min(width, depth) > 12 else 0.0,
        "brick row": 2.0 if height < 12 and width < 14 else 0.2,
    }
    return pick(rng, tuple(shares), tuple(shares.values()))


def _extras(
    rng: np.random.Generator,
    style: BuildingStyle,
    looks: list[Surface],
    width: float,
    height: float,
    floors: int,
) -> list[Mesh]:
    """Balconies, steps, a canopy or awning and drain pipes on the front."""
    parts = []
    pipe = surface("building", Material.METAL, tinted(rng, (130, 128, 124), 14))
    if rng.random() < 0.6:
        sides = pick(rng, ((-1,), (1,), (-1, 1)))
        paths = [
            [(s * (width / 2 - 0.15), -0.09, 0.0), (s * (width / 2 - 0.15), -0.09, height)] for s in sides
        ]
        parts.append(tubes(np.array(paths), 0.05, pipe, sides=5))
    if rng.random() < style.balcony and floors > 1:
        parts.append(_balconies(rng, looks, width, height, floors))
    if rng.random() < 0.45:
        x = rng.uniform(-0.35, 0.35) * width
        steps = int(rng.integers(1, 5))
        lows = [(x - 0.8, -0.3 * (k + 1), -0.1) for k in range(steps)]
        highs = [(x + 0.8, 0.0, 0.15 * (steps - k)) for k in range(steps)]
        parts.append(boxes(lows, highs, looks[LEDGE]))
    if rng.random() < max(style.shop, 0.2):
        parts.append(_awning(rng, looks, width))
    elif rng.random() < 0.3:
        parts.append(_porch(rng, looks, width))
    return parts


def _balconies(
    rng: np.random.Generator, looks: list[Surface], width: float, height: float, floors: int
) -> Mesh:
    """A slab and a railing, open or solid, on some storeys above each other."""
    reach, half = rng.uniform(0.8, 1.5), rng.uniform(0.9, 2.0)
    columns = (
        np.linspace(-0.32, 0.32, max(int(width / rng.uniform(5, 9)), 1)) * width if width > 6 else np.zeros(1)
    )
    half = min(half, 0.45 * width, 0.3 * width / max(len(columns) - 1, 1) if len(columns) > 1 else half)
    rows = height / floors * np.arange(1, floors)
    spots = np.array([(x, z) for x in columns for z in rows][:24])
    x, z = spots.T
    zero = np.zeros_like(x)
    parts = [
        boxes(np.stack([x - half, zero - reach, z - 0.18], 1), np.stack([x + half, zero, z], 1), looks[LEDGE])
    ]
    metal = surface("building", Material.METAL, tinted(rng, (80, 82, 86), 30))
    if rng.random() < 0.5:
        look = pick(rng, (looks[WALL], looks[LEDGE], looks[GLASS]))
        parts.append(
            boxes(
                np.stack([x - half, zero - reach, z], 1),
                np.stack([x + half, zero - reach + 0.06, z + 1.0], 1),
                look,
            )
        )
        for s in (-1, 1):
            edge = x + s * (half - 0.03)
            parts.append(
                boxes(
                    np.stack([edge - 0.03, zero - reach, z], 1),
                    np.stack([edge + 0.03, zero, z + 1.0], 1),
                    look,
                )
            )
    else:
        bars = np.linspace(-half, half, 9)
        bx = (x[:, None] + bars).ravel()
        bz = np.repeat(z, len(bars))
        low = np.stack([bx - 0.01, np.full_like(bx, -reach), bz], 1)
        parts.append(boxes(low, low + (0.02, 0.02, 1.0), metal))
        parts.append(
            boxes(
                np.stack([x - half, zero - reach, z + 0.97], 1),
                np.stack([x + half, zero - reach + 0.05, z + 1.02], 1),
                metal,
            )
        )
    return Mesh.merge(parts)


def _awning(rng: np.random.Generator, looks: list[Surface], width: float) -> Mesh:
    """A sloping awning or a flat canopy above the ground floor."""
    half = min(rng.uniform(0.8, 3.0), 0.48 * width)
    x = rng.uniform(-1, 1) * (width / 2 - half)
    z, reach = rng.uniform(2.5, 3.0), rng.uniform(0.6, 1.4)
    cloth = surface(
        "building",
        Material.CLOTH,
        tinted(rng, pick(rng, ((170, 40, 44), (40, 90, 70), (226, 216, 196), (60, 70, 110))), 14),
    )
    drop = rng.uniform(0, 0.5)
    outline = [(0.0, z), (-reach, z - drop), (-reach, z - drop + 0.06), (0.0, z + 0.08)]
    return placed(ridge_prism(outline, half, pick(rng, (cloth, looks[LEDGE]))), (x, 0, 0))


def _porch(rng: np.random.Generator, looks: list[Surface], width: float) -> Mesh:
    """A roof on two posts in front of an entrance, on a low platform."""
    half = min(rng.uniform(0.8, 2.2), 0.48 * width)
    x = rng.uniform(-1, 1) * (width / 2 - half)
    reach, top = rng.uniform(0.9, 1.5), rng.uniform(2.3, 2.9)
    floor, thick = rng.uniform(0.05, 0.45), rng.uniform(0.1, 0.25)
    posts = np.array([(x + s * (half - 0.12) - thick / 2, 0.05 - reach, floor) for s in (-1, 1)])
    roof = [(-reach - 0.1, top), (0.0, top), (0.0, top + rng.uniform(0.15, 0.7)), (-reach - 0.1, top + 0.12)]
    return Mesh.merge(
        [
            boxes([x - half, -reach, -FOUNDATION_M], [x + half, 0, floor], looks[LEDGE]),
            boxes(posts, posts + (thick, thick, top - floor), looks[FRAME]),
            placed(ridge_prism(roof, half + 0.1, looks[LEDGE]), (x, 0, 0)),
        ]
    )


def wall(rng: np.random.Generator, length_m: float) -> Mesh:
    """A free-standing garden wall along x from 0 to `length_m`, about y = 0, 0.3-2.1 m high; class fence.

    Walls that stand free and are lower than 2.2 m count as fences, as in the outdoor data sets.
    """
    height, half = pick(rng, (rng.uniform(0.3, 1.0), rng.uniform(0.8, 2.1))), rng.uniform(0.1, 0.2)
    material, colours = pick(rng, (BRICK_WALL, PLASTER_WALL, CONCRETE_WALL))
    look = surface("fence", material, tinted(rng, pick(rng, colours), 12))
    cap = surface("fence", Material.CONCRETE, tinted(rng, (170, 166, 158), 12))
    x = np.linspace(0, length_m, max(int(np.ceil(length_m / 1.5)), 1) + 1)
    parts = [_course(x, half, -0.3, height, look)]
    if rng.random() < 0.6:
        parts.append(_course(x, half + 0.04, height, height + 0.07, cap))
    if rng.random() < 0.35:
        posts = x[:: 2 if len(x) > 3 else 1]
        low = np.column_stack([posts - 0.2, np.full(len(posts), -0.2), np.full(len(posts), -0.3)])
        parts.append(boxes(low, low + (0.4, 0.4, height + 0.45), look))
    return shaded(rng, Mesh.merge(parts), 5)


def _course(x: np.ndarray, half: float, low: float, high: float, look: Surface) -> Mesh:
    """A beam along x with a ring at each x, so that it can follow the ground."""
    ring = np.array([(half, low), (half, high), (-half, high), (-half, low)])
    return loft(np.stack([np.column_stack([np.full(4, s), ring]) for s in x]), look)


def garage(rng: np.random.Generator) -> Mesh:
    """A single or double garage, front in y = 0 facing -y, 2.3-4.3 m high; class building."""
    double = rng.random() < 0.35
    width, depth, height = (
        (rng.uniform(5.2, 6.2) if double else rng.uniform(2.8, 3.6)),
        rng.uniform(5, 6.5),
        rng.uniform(2.3, 2.8),
    )
    looks = surfaces_of(rng, STYLES["suburban house"])
    doors = 2 if double else 1
    x_edges, is_door = division(width, doors, 0.8)
    z_edges = np.array([-FOUNDATION_M, 0.0, 2.1, height])
    depth_of = np.zeros((3, len(x_edges) - 1))
    depth_of[1, is_door] = rng.uniform(0.06, 0.3)
    kind = np.zeros(depth_of.shape, int)
    kind[1, is_door] = pick(rng, (FRAME, DOOR))
    front = relief(Cells(x_edges - width / 2, z_edges, depth_of, kind), looks)
    half = width / 2
    body = boxes(
        [(x, y, -FOUNDATION_M) for x, y in ((-half, 0), (half - 0.2, 0), (-half, depth - 0.2))],
        [(x, depth, height) for x in (0.2 - half, half, half)],
        looks[WALL],
    )
    tile = surface("building", Material.ROOF_TILE, tinted(rng, pick(rng, ROOF_COLOURS), 10))
    if rng.random() < 0.4:
        rise = rng.uniform(0.8, 1.4) * width / 5
        roof = prism(
            [(-half - 0.2, height - 0.03), (half + 0.2, height - 0.03), (0, height + rise)],
            -0.15,
            depth + 0.15,
            tile,
        )
    else:
        roof = boxes(
            [-half - 0.1, -0.1, height - 0.02], [half + 0.1, depth + 0.1, height + 0.15], looks[LEDGE]
        )
    return Mesh.merge([front, body, roof])


def garden_shed(rng: np.random.Generator) -> Mesh:
    """A wooden shed about its origin, 1.8-3.5 m wide, 1.9-3 m high, its door facing -y; class building."""
    width, depth, height = rng.uniform(1.8, 3.5), rng.uniform(1.5, 3.0), rng.uniform(1.8, 2.1)
    wood = surface(
        "building",
        Material.WOOD,
        tinted(rng, pick(rng, ((150, 110, 76), (110, 84, 64), (120, 130, 110))), 12),
    )
    tar = surface("building", Material.ROOF_TILE, tinted(rng, (80, 78, 76), 12))
    half, rise = width / 2, rng.uniform(0.2, 0.8)
    ridge = pick(rng, (0.0, half * 0.9))
    outline = [(-half, 0), (half, 0), (half, height), (ridge, height + rise), (-half, height)]
    low = [(-half - 0.15, height - 0.03), (ridge, height + rise), (half + 0.15, height - 0.03)]
    top = [(x, z + 0.09) for x, z in low]
    parts = [
        prism(outline, -depth / 2, depth / 2, wood),
        prism([low[0], low[1], top[1], top[0]], -depth / 2 - 0.15, depth / 2 + 0.15, tar),
        prism([low[1], low[2], top[2], top[1]], -depth / 2 - 0.15, depth / 2 + 0.15, tar),
        boxes(
            [-0.4, -depth / 2 - 0.03, 0.05],
            [0.4, -depth / 2, 1.75],
            surface("building", Material.WOOD, tinted(rng, (96, 72, 54), 14)),
        ),
        tube(
            [(half - 0.05, -depth / 2 - 0.05, 0), (half - 0.05, -depth / 2 - 0.05, height)],
            0.03,
            tar,
            sides=5,
        ),
    ]
    return Mesh.merge(parts)
