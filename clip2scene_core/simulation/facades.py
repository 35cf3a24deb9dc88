"""Facades of six kinds of building as reliefs of walls, windows, doors and ledges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import Cells, Colour, Surface, boxes, pick, relief, surface, tinted

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
BRICKS: tuple[Colour, ...] = ((150, 76, 58), (124, 66, 52), (170, 110, 80), (190, 160, 130))
WALL, GLASS, FRAME, DOOR, LEDGE, GROUND_FLOOR = range(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildingStyle:
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


BRICK_WALL = (Material.BRICK, BRICKS)
PLASTER_WALL = (Material.PLASTER, _PLASTERS)
CONCRETE_WALL = (Material.CONCRETE, ((186, 184, 178), (160, 160, 158), (206, 200, 190)))
_METAL_WALL = (Material.METAL, ((190, 194, 198), (150, 160, 170), (210, 206, 196), (120, 136, 120)))
_WOOD_WALL = (Material.WOOD, ((170, 130, 90), (226, 224, 216), (150, 60, 50), (120, 140, 150)))
STYLES = {
    "town house": BuildingStyle(
        floor_height=(3.0, 3.6),
        bay=(1.9, 2.8),
        window=((0.4, 0.55), (0.5, 0.62)),
        recess=(0.12, 0.28),
        walls=(PLASTER_WALL, BRICK_WALL),
        roofs=("gable", "mansard", "flat", "hip"),
        roof_shares=(4, 3, 2, 1),
        shop=0.4,
        balcony=0.25,
        cornice=0.7,
        bay_window=0.2,
    ),
    "suburban house": BuildingStyle(
        floor_height=(2.5, 2.9),
        bay=(2.4, 3.8),
        window=((0.35, 0.55), (0.4, 0.55)),
        recess=(0.08, 0.2),
        walls=(PLASTER_WALL, BRICK_WALL, _WOOD_WALL),
        roofs=("gable", "cross gable", "hip", "flat"),
        roof_shares=(5, 3, 3, 1),
        balcony=0.15,
        cornice=0.1,
        bay_window=0.25,
        irregular=0.3,
    ),
    "apartment block": BuildingStyle(
        floor_height=(2.7, 3.1),
        bay=(2.4, 3.6),
        window=((0.45, 0.7), (0.45, 0.6)),
        recess=(0.08, 0.25),
        walls=(PLASTER_WALL, CONCRETE_WALL, BRICK_WALL),
        roofs=("flat", "gable", "hip"),
        roof_shares=(6, 2, 2),
        shop=0.15,
        balcony=0.8,
        cornice=0.2,
    ),
    "office": BuildingStyle(
        floor_height=(3.3, 4.0),
        bay=(1.5, 3.0),
        window=((0.75, 0.94), (0.55, 0.88)),
        recess=(0.04, 0.3),
        walls=(CONCRETE_WALL, _METAL_WALL, BRICK_WALL),
        roofs=("flat",),
        roof_shares=(1,),
        shop=0.3,
        cornice=0.3,
        irregular=0.0,
    ),
    "industrial hall": BuildingStyle(
        floor_height=(4.5, 6.0),
        bay=(4.0, 6.5),
        window=((0.4, 0.8), (0.12, 0.3)),
        recess=(0.03, 0.12),
        walls=(_METAL_WALL, CONCRETE_WALL, BRICK_WALL),
        roofs=("flat", "gable", "saw"),
        roof_shares=(4, 3, 1),
        cornice=0.1,
        irregular=0.35,
    ),
    "brick row": BuildingStyle(
        floor_height=(2.6, 3.1),
        bay=(2.2, 3.0),
        window=((0.4, 0.55), (0.48, 0.6)),
        recess=(0.1, 0.22),
        walls=(BRICK_WALL, BRICK_WALL, PLASTER_WALL),
        roofs=("gable", "flat", "mansard"),
        roof_shares=(6, 1, 1),
        cornice=0.4,
        bay_window=0.5,
    ),
}


def surfaces_of(rng: np.random.Generator, style: BuildingStyle) -> list[Surface]:
    """The surfaces of a building in the order WALL .. GROUND_FLOOR."""
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


def facade(
    rng: np.random.Generator,
    style: BuildingStyle,
    looks: list[Surface],
    width: float,
    height: float,
    floors: int,
    *,
    front: bool = False,
) -> Mesh:
    """One wall in y = 0 that faces -y, x in [-width/2, width/2], with windows, ledges and front doors.

    Windows above the fifth storey are flush with the wall: hardly a beam gets there.
    """
    bays = max(round(width / rng.uniform(*style.bay)), 1)
    bays = min(bays, 20) if front else min(-(-bays // 2), 10)
    share_x, share_z = (rng.uniform(*span) for span in style.window)
    x_edges, is_window_x = division(width, bays, share_x)
    z_edges, is_window_z, storey = _storeys(rng, height, floors, share_z)
    column = np.minimum(np.arange(len(x_edges) - 1) // 2, bays - 1)
    dropped = rng.random((floors, bays)) < (style.irregular if front else style.irregular + 0.2)
    window = is_window_z[:, None] & is_window_x & ~dropped[np.maximum(storey, 0)[:, None], column]
    depth = np.where(window & (storey < 5)[:, None], rng.uniform(*style.recess), 0.0)
    kind = np.where(window, GLASS, np.where(storey <= 0, GROUND_FLOOR, WALL)[:, None])
    if rng.random() < style.cornice:
        depth[-1], kind[-1] = -rng.uniform(0.1, 0.45), LEDGE
    if rng.random() < 0.3:
        depth[storey < 0], kind[storey < 0] = -0.06, LEDGE
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


def division(width: float, bays: int, share: float) -> tuple[np.ndarray, np.ndarray]:
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
    """Edges in z from the foundation up, which rows are windows, the storey of each row (-1: foundation)."""
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
    style: BuildingStyle,
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
        kind[np.ix_(ground[1:], columns)] = GLASS
    doors = rng.choice(bays, min(bays, int(rng.integers(1, 3))), replace=False)
    for door in doors:
        depth[ground, columns[door]] = rng.uniform(0.1, 0.6)
        kind[ground, columns[door]] = pick(rng, (DOOR, DOOR, FRAME))


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
    row, column = np.nonzero((cells.kind == GLASS) & (cells.depth > 0))
    if not 0 < len(row) <= 40:
        return []
    left, right = cells.x_edges[column], cells.x_edges[column + 1]
    low, high = cells.z_edges[row], cells.z_edges[row + 1]
    zero = np.zeros(len(row))
    parts = []
    if rng.random() < 0.5:
        reach = -rng.uniform(0.06, 0.16)
        corners = np.stack([left - 0.08, zero + reach, low - 0.08], 1), np.stack([right + 0.08, zero, low], 1)
        parts.append(boxes(*corners, looks[LEDGE]))
    if rng.random() < 0.25:
        leaf = 0.45 * (right - left).min()
        for edge in (left - leaf, right):
            corners = np.stack([edge, zero - 0.06, low], 1), np.stack([edge + leaf, zero - 0.01, high], 1)
            parts.append(boxes(*corners, looks[DOOR]))
    return parts
