"""Buildings whose facades are reliefs of walls, windows, doors and ledges; also walls, garages and sheds.

A building's front lies in the plane y = 0 and faces -y, x runs over [-width/2, width/2], the body reaches to y = depth.
Its foundation goes 1.5 m below the ground, so that sloping ground leaves no gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import (
    Cells,
    Colour,
    Surface,
    box,
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

FOUNDATION_M = 1.5

_PLASTERS: tuple[Colour, ...] = (
    *(
        (226, 214, 190),
        (214, 190, 150),
        (238, 236, 230),
        (200, 170, 150),
        (190, 196, 190),
        (232, 210, 140),
        (170, 176, 190),
    ),
)
_BRICKS: tuple[Colour, ...] = ((150, 76, 58), (124, 66, 52), (170, 110, 80), (190, 160, 130))
_ROOFS: tuple[Colour, ...] = ((150, 70, 50), (110, 60, 50), (80, 76, 76), (60, 60, 66), (130, 110, 96))

_WALL, _GLASS, _FRAME, _DOOR, _LEDGE, _GROUND_FLOOR = range(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    """How the walls of one kind of building are divided."""

    floor_height: tuple[float, float]
    bay: tuple[float, float]
    """Distance between window axes, metres."""
    window: tuple[tuple[float, float], tuple[float, float]]
    """Share of the bay and of the floor that a window takes."""
    recess: tuple[float, float]
    walls: tuple[tuple[Material, tuple[Colour, ...]], ...]
    roofs: tuple[str, ...]
    roof_shares: tuple[float, ...]
    shop: float = 0.0
    """Probability of shops on the ground floor."""
    balcony: float = 0.0
    cornice: float = 0.3
    bay_window: float = 0.0
    irregular: float = 0.1
    """Probability that a window is missing."""


_BRICK_WALL = (Material.BRICK, _BRICKS)
_PLASTER_WALL = (Material.PLASTER, _PLASTERS)
_CONCRETE_WALL = (Material.CONCRETE, ((186, 184, 178), (160, 160, 158), (206, 200, 190)))
_METAL_WALL = (Material.METAL, ((190, 194, 198), (150, 160, 170), (210, 206, 196), (120, 136, 120)))
_WOOD_WALL = (Material.WOOD, ((170, 130, 90), (226, 224, 216), (150, 60, 50), (120, 140, 150)))

_STYLES = {
    "town house": _Style(
        floor_height=(3.0, 3.6), bay=(1.9, 2.8), window=((0.4, 0.55), (0.5, 0.62)), recess=(0.12, 0.28),
        walls=(_PLASTER_WALL, _BRICK_WALL), roofs=("gable", "mansard", "flat", "hip"), roof_shares=(4, 3, 2, 1),
        shop=0.4, balcony=0.25, cornice=0.7, bay_window=0.2,
    ),
    "suburban house": _Style(
        floor_height=(2.5, 2.9), bay=(2.4, 3.8), window=((0.35, 0.55), (0.4, 0.55)), recess=(0.08, 0.2),
        walls=(_PLASTER_WALL, _BRICK_WALL, _WOOD_WALL), roofs=("gable", "cross gable", "hip", "flat"),
        roof_shares=(5, 3, 3, 1), balcony=0.15, cornice=0.1, bay_window=0.25, irregular=0.3,
    ),
    "apartment block": _Style(
        floor_height=(2.7, 3.1), bay=(2.4, 3.6), window=((0.45, 0.7), (0.45, 0.6)), recess=(0.08, 0.25),
        walls=(_PLASTER_WALL, _CONCRETE_WALL, _BRICK_WALL), roofs=("flat", "gable", "hip"), roof_shares=(6, 2, 2),
        shop=0.15, balcony=0.8, cornice=0.2,
    ),
    "office": _Style(
        floor_height=(3.3, 4.0), bay=(1.5, 3.0), window=((0.75, 0.94), (0.55, 0.88)), recess=(0.04, 0.3),
        walls=(_CONCRETE_WALL, _METAL_WALL, _BRICK_WALL), roofs=("flat",), roof_shares=(1,), shop=0.3, cornice=0.3, irregular=0.0,
    ),
    "industrial hall": _Style(
        floor_height=(4.5, 6.0), bay=(4.0, 6.5), window=((0.4, 0.8), (0.12, 0.3)), recess=(0.03, 0.12),
        walls=(_METAL_WALL, _CONCRETE_WALL, _BRICK_WALL), roofs=("flat", "gable", "saw"), roof_shares=(4, 3, 1), cornice=0.1, irregular=0.35,
    ),
    "brick row": _Style(
        floor_height=(2.6, 3.1), bay=(2.2, 3.0), window=((0.4, 0.55), (0.48, 0.6)), recess=(0.1, 0.22),
        walls=(_BRICK_WALL, _BRICK_WALL, _PLASTER_WALL), roofs=("gable", "flat", "mansard"), roof_shares=(6, 1, 1),
        cornice=0.4, bay_window=0.5,
    ),
}  # fmt: skip


def building(rng: np.random.Generator, width_m: float, depth_m: float, height_m: float) -> Mesh:
    """A building of one of six styles that suits its size; `height_m` is the height of the eaves.

    Roofs rise above the eaves by at most 0.6 times the smaller of width and depth; bays, balconies, awnings and steps
    reach at most 1.6 m in front of y = 0. Class building, windows of Material.GLASS.
    """
    style = _STYLES[_fitting_style(rng, width_m, depth_m, height_m)]
    looks = _surfaces(rng, style)
    floors = max(int(round(height_m / rng.uniform(*style.floor_height))), 1)
    front = _facade(rng, style, looks, width_m, height_m, floors, front=True)
    coarse = max(width_m, depth_m) > 25
    parts = [
        front,
        placed(
            _facade(rng, style, looks, width_m, height_m, floors, coarse=coarse), (0, depth_m, 0), yaw=np.pi
        ),
        placed(
            _facade(rng, style, looks, depth_m, height_m, floors, coarse=coarse),
            (width_m / 2, depth_m / 2, 0),
            yaw=np.pi / 2,
        ),
        placed(
            _facade(rng, style, looks, depth_m, height_m, floors, coarse=coarse),
            (-width_m / 2, depth_m / 2, 0),
            yaw=-np.pi / 2,
        ),
        _roof(rng, style, looks, width_m, depth_m, height_m),
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


def _surfaces(rng: np.random.Generator, style: _Style) -> list[Surface]:
    """The surfaces of a building in the order _WALL .. _GROUND_FLOOR."""
    material, colours = pick(rng, style.walls)
    wall = tinted(rng, pick(rng, colours), 10)
    trim = tinted(rng, pick(rng, ((236, 234, 228), (120, 110, 100), (70, 64, 60), wall)), 8)
    return [
        surface("building", material, wall),
        surface("building", Material.GLASS, tinted(rng, (64, 78, 88), 12)),
        surface("building", Material.PLASTIC, trim),
        surface(
            "building",
            Material.WOOD,
            tinted(rng, pick(rng, ((110, 70, 44), (60, 80, 70), (70, 70, 76), (150, 50, 44))), 12),
        ),
        surface("building", Material.CONCRETE, tinted(rng, trim, 6)),
        surface("building", pick(rng, (material, Material.CONCRETE)), tinted(rng, np.array(wall) * 0.8, 10)),
    ]


def _facade(
    rng: np.random.Generator,
    style: _Style,
    looks: list[Surface],
    width: float,
    height: float,
    floors: int,
    *,
    front: bool = False,
    coarse: bool = False,
) -> Mesh:
    """One wall from x = -width/2 to width/2 that faces -y, centred, with windows, ledges and, in front, doors."""
    bays = max(int(round(width / rng.uniform(*style.bay))), 1)
    if coarse:
        bays = max(bays // 2, 1)
    bays, floors_cut = min(bays, 24), floors
    share_x, share_z = (rng.uniform(*span) for span in style.window)
    x_edges, is_window_x = _division(width, bays, share_x)
    z_edges, is_window_z, storey = _storeys(rng, height, floors_cut, share_z)
    window = is_window_z[:, None] & is_window_x
    dropped = rng.random((floors, bays)) < (style.irregular if front else style.irregular + 0.35)
    column = np.minimum(np.arange(len(x_edges) - 1) // 2, bays - 1)
    window &= ~dropped[np.clip(storey, 0, floors - 1)[:, None], column]
    depth = np.where(window, rng.uniform(*style.recess), 0.0)
    kind = np.where(window, _GLASS, _WALL)
    kind[storey <= 0] = np.where(window[storey <= 0], _GLASS, _GROUND_FLOOR)
    if rng.random() < style.cornice:
        depth[-1], kind[-1] = -rng.uniform(0.1, 0.45), _LEDGE
    if rng.random() < 0.3:
        depth[storey < 0], kind[storey < 0] = -0.06, _LEDGE
    x_edges = x_edges - width / 2
    if not front:
        return relief(Cells(x_edges, z_edges, depth, kind), looks)
    _add_entrances(rng, style, depth, kind, storey, is_window_x, bays)
    if rng.random() < 0.2:
        depth[1:-1, ~is_window_x] -= rng.uniform(0.05, 0.3)
    if rng.random() < style.bay_window:
        _add_projection(rng, depth, storey, column, bays)
    cells = Cells(x_edges, z_edges, depth, kind)
    return Mesh.merge([relief(cells, looks), *_window_trim(rng, cells, looks)])


def _division(width: float, bays: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Edges of wall, window, wall, ... over a width, and (2 * bays + 1,) which cells are windows."""
    pier = min(0.4, 0.08 * width)
    bay = (width - 2 * pier) / bays
    axis = pier + (np.arange(bays) + 0.5) * bay
    half = share * bay / 2
    edges = np.concatenate([[0.0], np.stack([axis - half, axis + half], 1).ravel(), [width]])
    return edges, np.arange(2 * bays + 1) % 2 == 1


def _storeys(
    rng: np.random.Generator, height: float, floors: int, share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges in z from the foundation up, which rows are windows, and the storey of each row (-1 the foundation)."""
    plinth = rng.uniform(0.2, 0.6)
    rows = (height - plinth - 0.35) / floors
    sill = rng.uniform(0.25, 0.35) * rows
    tall = min(share * rows, rows - sill - 0.15)
    low = plinth + rows * np.arange(floors) + sill
    edges = np.concatenate(
        [[-FOUNDATION_M, plinth], np.stack([low, low + tall], 1).ravel(), [height - 0.3, height]]
    )
    row = np.arange(len(edges) - 1)
    return (
        edges,
        (row % 2 == 0) & (row >= 2) & (row < 2 * floors + 2),
        np.minimum((row + 1) // 2 - 1, floors - 1),
    )


def _add_entrances(
    rng: np.random.Generator,
    style: _Style,
    depth: np.ndarray,
    kind: np.ndarray,
    storey: np.ndarray,
    is_window_x: np.ndarray,
    bays: int,
) -> None:
    """Cut a door, a gate or shop windows into the ground floor, in place."""
    ground = np.flatnonzero(storey <= 0)[:3]
    columns = np.flatnonzero(is_window_x)
    if rng.random() < style.shop:
        depth[np.ix_(ground[1:], columns)] = rng.uniform(0.1, 0.5)
        kind[np.ix_(ground[1:], columns)] = _GLASS
    doors = rng.choice(bays, min(bays, int(rng.integers(1, 3))), replace=False)
    for door in doors:
        depth[ground, columns[door]] = rng.uniform(0.1, 0.6)
        kind[ground, columns[door]] = pick(rng, (_DOOR, _DOOR, _FRAME))


def _add_projection(
    rng: np.random.Generator, depth: np.ndarray, storey: np.ndarray, column: np.ndarray, bays: int
) -> None:
    """Push one to three bays forward, from the ground or an upper storey up, in place."""
    first, count = int(rng.integers(bays)), int(rng.integers(1, 4))
    lowest = pick(rng, (-1, 0, 1))
    chosen = np.ix_(storey >= lowest, (column >= first) & (column < first + count))
    depth[chosen] -= rng.uniform(0.2, 1.0)


def _window_trim(rng: np.random.Generator, cells: Cells, looks: list[Surface]) -> list[Mesh]:
    """Sills below the windows and shutters beside them, each on some buildings with few enough windows."""
    row, column = np.nonzero((cells.kind == _GLASS) & (cells.depth > 0))
    if not 0 < len(row) <= 40:
        return []
    left, right = cells.x_edges[column], cells.x_edges[column + 1]
    low, high = cells.z_edges[row], cells.z_edges[row + 1]
    zero = np.zeros(len(row))
    parts = []
    if rng.random() < 0.5:
        reach = -rng.uniform(0.06, 0.16)
        corners = np.stack([left - 0.08, zero + reach, low - 0.08], 1), np.stack([right + 0.08, zero, low], 1)
        parts.append(boxes(*corners, looks[_LEDGE]))
    if rng.random() < 0.25:
        leaf = 0.45 * (right - left).min()
        for edge in (left - leaf, right):
            corners = np.stack([edge, zero - 0.06, low], 1), np.stack([edge + leaf, zero - 0.01, high], 1)
            parts.append(boxes(*corners, looks[_DOOR]))
    return parts


def _roof(
    rng: np.random.Generator, style: _Style, looks: list[Surface], width: float, depth: float, eaves: float
) -> Mesh:
    form = pick(rng, style.roofs, style.roof_shares)
    tile = surface("building", Material.ROOF_TILE, tinted(rng, pick(rng, _ROOFS), 10))
    if form == "flat" or min(width, depth) > 30:
        return _flat_roof(rng, looks, width, depth, eaves)
    rise = rng.uniform(0.28, 0.5) * min(width, depth) * (0.5 if form == "mansard" else 0.8)
    over = rng.uniform(0.15, 0.6)
    if form == "gable":
        return _gable(rng, looks, tile, width, depth, eaves, rise, over)
    if form == "cross gable":
        return _cross_gable(looks, tile, width, depth, eaves, rise, over)
    if form == "saw":
        return _saw_roof(looks, tile, width, depth, eaves)
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
        looks[_WALL],
    )
    parts = [boxes([0.1 - half, 0.1, eaves - 0.1], [half - 0.1, depth - 0.1, eaves + 0.02], tar), parapet]
    for _ in range(int(rng.integers(0, 4))):
        size = rng.uniform((1.0, 1.0, 0.6), (min(4, 0.4 * width), min(4, 0.4 * depth), 2.6))
        x, y = rng.uniform(-0.3, 0.3) * width, rng.uniform(0.3, 0.7) * depth
        parts.append(box(size, (x, y, eaves), pick(rng, (tar, looks[_WALL]))))
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
    """A saddle roof with its ridge along the street, sometimes across; gable walls below, dormers and chimneys on it."""
    across = rng.random() < (0.45 if width < depth * 1.2 else 0.1)
    run, length = (depth, width) if not across else (width, depth)
    slab = 0.18
    profile = [(-over, -over * 2 * rise / run), (run / 2, rise), (run + over, -over * 2 * rise / run)]
    outline = [*profile, *((x, z + slab) for x, z in reversed(profile))]
    roof = [
        _ridge_prism([outline[0], outline[1], outline[4], outline[5]], length / 2 + over, tile),
        _ridge_prism([outline[1], outline[2], outline[3], outline[4]], length / 2 + over, tile),
        _ridge_prism([(0.0, -0.05), (run, -0.05), (run / 2, rise)], length / 2, looks[_WALL]),
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


def _ridge_prism(outline: Sequence[tuple[float, float]], half_length: float, look: Surface) -> Mesh:
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
            boxes([x - wide, y, z], [x + wide, run / 2, z + tall], looks[_WALL]),
            boxes([x - 0.7 * wide, y - 0.02, z + 0.25], [x + 0.7 * wide, y, z + tall - 0.1], looks[_GLASS]),
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
    return Mesh.merge(
        [hip, prism(wall, -0.02, 0.3, looks[_WALL]), prism(gable, 0.05 - over, depth / 2, tile)]
    )


def _saw_roof(looks: list[Surface], tile: Surface, width: float, depth: float, eaves: float) -> Mesh:
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
    brick = surface("building", Material.BRICK, tinted(rng, pick(rng, _BRICKS), 10))
    places = rng.uniform((-0.35, 0.3), (0.35, 0.7), (int(rng.integers(0, 3)), 2)) * (width, depth)
    return [box((0.6, 0.9, rise + rng.uniform(1.0, 2.0)), (x, y, eaves), brick) for x, y in places]


def _extras(
    rng: np.random.Generator, style: _Style, looks: list[Surface], width: float, height: float, floors: int
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
        parts.append(boxes(lows, highs, looks[_LEDGE]))
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
        boxes(
            np.stack([x - half, zero - reach, z - 0.18], 1), np.stack([x + half, zero, z], 1), looks[_LEDGE]
        )
    ]
    metal = surface("building", Material.METAL, tinted(rng, (80, 82, 86), 30))
    if rng.random() < 0.5:
        look = pick(rng, (looks[_WALL], looks[_LEDGE], looks[_GLASS]))
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
    return placed(_ridge_prism(outline, half, pick(rng, (cloth, looks[_LEDGE]))), (x, 0, 0))


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
            boxes([x - half, -reach, -FOUNDATION_M], [x + half, 0, floor], looks[_LEDGE]),
            boxes(posts, posts + (thick, thick, top - floor), looks[_FRAME]),
            placed(_ridge_prism(roof, half + 0.1, looks[_LEDGE]), (x, 0, 0)),
        ]
    )


def wall(rng: np.random.Generator, length_m: float) -> Mesh:
    """A free-standing garden wall along x from 0 to `length_m`, about y = 0, 0.3-2.1 m high; class fence.

    Walls that stand free and are lower than 2.2 m count as fences, as in the outdoor data sets.
    """
    height, half = pick(rng, (rng.uniform(0.3, 1.0), rng.uniform(0.8, 2.1))), rng.uniform(0.1, 0.2)
    material, colours = pick(rng, (_BRICK_WALL, _PLASTER_WALL, _CONCRETE_WALL))
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
    """A single or double garage or carport-sized annex, front in y = 0 facing -y, 2.3-3.6 m high; class building."""
    double = rng.random() < 0.35
    width, depth, height = (
        (rng.uniform(5.2, 6.2) if double else rng.uniform(2.8, 3.6)),
        rng.uniform(5, 6.5),
        rng.uniform(2.3, 2.8),
    )
    looks = _surfaces(rng, _STYLES["suburban house"])
    doors = 2 if double else 1
    x_edges, is_door = _division(width, doors, 0.8)
    z_edges = np.array([-FOUNDATION_M, 0.0, 2.1, height])
    depth_of = np.zeros((3, len(x_edges) - 1))
    depth_of[1, is_door] = rng.uniform(0.06, 0.3)
    kind = np.zeros(depth_of.shape, int)
    kind[1, is_door] = pick(rng, (_FRAME, _DOOR))
    front = relief(Cells(x_edges - width / 2, z_edges, depth_of, kind), looks)
    half = width / 2
    body = boxes([(-half, 0, -FOUNDATION_M), (half - 0.2, 0, -FOUNDATION_M), (-half, depth - 0.2, -FOUNDATION_M)],
                 [(0.2 - half, depth, height), (half, depth, height), (half, depth, height)], looks[_WALL])  # fmt: skip
    tile = surface("building", Material.ROOF_TILE, tinted(rng, pick(rng, _ROOFS), 10))
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
            [-half - 0.1, -0.1, height - 0.02], [half + 0.1, depth + 0.1, height + 0.15], looks[_LEDGE]
        )
    return Mesh.merge([front, body, roof])


def garden_shed(rng: np.random.Generator) -> Mesh:
    """A wooden shed, 1.8-3.5 m wide, 1.9-2.9 m high, its door facing -y; origin below its centre; class building."""
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
    roof = [(-half - 0.15, height - 0.03), (ridge, height + rise), (half + 0.15, height - 0.03), (half + 0.15, height + 0.05),
            (ridge, height + rise + 0.09), (-half - 0.15, height + 0.05)]  # fmt: skip
    parts = [
        prism(outline, -depth / 2, depth / 2, wood),
        prism([roof[0], roof[1], roof[4], roof[5]], -depth / 2 - 0.15, depth / 2 + 0.15, tar),
        prism([roof[1], roof[2], roof[3], roof[4]], -depth / 2 - 0.15, depth / 2 + 0.15, tar),
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
