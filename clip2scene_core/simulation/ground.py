"""The ground of a town as one mesh: roads with crown and kerbs, sidewalks, yards and terrain.

A grid is cut along the level lines of fields (distance to the kerb, end of the sidewalk, border of a yard),
so that every border is a clean line, whatever the roads do. Shapes: V vertices, F faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.roads import RoadNetwork, Surroundings

ROAD, PARKING, SIDEWALK, TERRAIN = 1, 2, 3, 4
"""Ids of the label set `town`."""

BAY_EDGE_M = 0.12
"""Width of the edge over which a raised parking bay rises from the lanes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waves:
    """A smooth random height: a sum of cosines."""

    wave_numbers: np.ndarray
    """(M, 2) float64, rad/m."""
    phases: np.ndarray
    """(M,) float64, radians."""
    amplitudes_m: np.ndarray
    """(M,) float64."""

    @classmethod
    def random(
        cls, rng: np.random.Generator, lengths_m: tuple[float, float], slope: float, count: int = 7
    ) -> Waves:
        """With wavelengths in a range and about the given root-mean-square slope (rise over run)."""
        shortest, longest = np.log(lengths_m)
        length = np.exp(rng.uniform(shortest, longest, count))
        angle = rng.uniform(0, 2 * np.pi, count)
        k = 2 * np.pi / length
        return cls(
            wave_numbers=k[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1),
            phases=rng.uniform(0, 2 * np.pi, count),
            amplitudes_m=slope / k * np.sqrt(2 / count),
        )

    def __call__(self, xy: np.ndarray) -> np.ndarray:
        """(Q,) heights in metres at (Q, 2)."""
        return np.cos(xy @ self.wave_numbers.T + self.phases) @ self.amplitudes_m


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Yard:
    """A rectangle of another surface than its surroundings: a driveway, a parking lot, a paved square."""

    centre: np.ndarray
    """(2,) metres."""
    yaw: float
    length_m: float
    """Along its own x."""
    width_m: float
    class_id: int
    material: Material
    crosses_kerb: bool = False
    """Whether cars drive over the kerb here, which is lowered then."""

    def inside_m(self, xy: np.ndarray) -> np.ndarray:
        """(Q,) distance to the border of points (Q, 2), positive inside."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        x, y = np.array([[c, s], [-s, c]]) @ (xy - self.centre).T
        return np.minimum(self.length_m / 2 - np.abs(x), self.width_m / 2 - np.abs(y))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relief:
    """The shape of the land and of the carriageway."""

    hills: Waves
    """Under everything, roads included."""
    knolls: Waves
    """Off the sidewalks only: lawns, embankments, ditches."""
    tussocks: Waves
    """Short waves of unkept grass."""
    settling: Waves
    """Of all that is paved beside the carriageway: sunk slabs, lifted by roots."""
    crown: float
    """Fall of the carriageway from its middle to the kerb, rise over run."""
    sidewalk_rise: float
    """Of the first four metres behind the kerb away from it, rise over run."""

    def height(self, xy: np.ndarray, around: Surroundings) -> np.ndarray:
        """(Q,) metres, kerb not included."""
        outside = around.outside_m
        off = _smoothstep((outside - np.maximum(around.sidewalk_m, 0.5)) / 6.0)
        crown = self.crown * np.clip(-outside, 0.0, 5.0)
        rise = self.sidewalk_rise * np.clip(outside, 0.0, 4.0)
        grown = off * self.knolls(xy) + _smoothstep((outside - around.sidewalk_m) / 1.5) * self.tussocks(xy)
        settled = _smoothstep((outside - 0.2) / 0.5) * self.settling(xy)
        return self.hills(xy) + crown + rise + grown + settled


def build_ground(
    network: RoadNetwork,
    relief: Relief,
    yards: Sequence[Yard],
    lowered: Sequence[tuple[np.ndarray, float]],
    *,
    extent_m: float,
    beyond: tuple[int, Material],
    verge: tuple[int, Material],
    sidewalk: Material,
    tint: np.random.Generator,
) -> Mesh:
    """The ground in [-extent_m, extent_m]^2 around the origin.

    `lowered` are (position (2,), half length in metres) where the kerb is lowered; `beyond` and `verge` are
    class and material of what lies behind the sidewalk and between kerb and sidewalk.
    """
    xy, faces = _grid(extent_m)
    cutter = _Cutter(xy, faces, network.surroundings(xy))
    on_road = cutter.cut(-cutter.around.outside_m)
    kerb_edges = cutter.edges
    bay = cutter.cut(cutter.around.outside_m + cutter.around.parking_m)
    cutter.cut(cutter.around.outside_m + cutter.around.parking_m - BAY_EDGE_M)
    behind_verge = cutter.cut(cutter.around.outside_m - cutter.around.verge_m)
    behind_sidewalk = cutter.cut(cutter.around.outside_m - cutter.around.sidewalk_m)
    in_yard = [cutter.cut(yard.inside_m(cutter.xy)) for yard in yards]

    parents = cutter.parents
    surface = np.empty((len(parents[0]), 2), np.int64)
    raised = ~on_road[parents[0]]
    surface[:] = (SIDEWALK, sidewalk)
    surface[~behind_verge[parents[3]]] = verge
    surface[behind_sidewalk[parents[4]]] = beyond
    surface[~raised] = (ROAD, Material.ASPHALT)
    surface[~raised & bay[parents[1]]] = (PARKING, Material.ASPHALT)
    for index, yard in enumerate(yards):
        surface[raised & in_yard[index][parents[5 + index]]] = (yard.class_id, yard.material)
    return _mesh(cutter, relief, yards, lowered, surface, raised, kerb_edges, tint)


def _mesh(
    cutter: _Cutter,
    relief: Relief,
    yards: Sequence[Yard],
    lowered: Sequence[tuple[np.ndarray, float]],
    surface: np.ndarray,
    raised: np.ndarray,
    kerb_edges: np.ndarray,
    tint: np.random.Generator,
) -> Mesh:
    """Heights, the step at the kerb, and colours.

    `surface` (F, 2) class and material, `raised` (F,) bool above the kerb, `kerb_edges` (E, 2) vertices.
    """
    xy, faces, around = cutter.xy, cutter.faces, cutter.around
    low = relief.height(xy, around)
    kerb = around.kerb_m.copy()
    for centre, half_m in lowered:
        near = np.linalg.norm(xy - centre, axis=1) / half_m
        kerb = np.where(near < 2, 0.015 + (kerb - 0.015) * _smoothstep((near - 0.9) / 0.5), kerb)
    for yard in yards:
        if yard.crosses_kerb:
            kerb = np.where(
                yard.inside_m(xy) > -1.0,
                np.minimum(kerb, 0.015 + 0.1 * np.clip(-yard.inside_m(xy), 0, 1)),
                kerb,
            )
    count = len(xy)
    into_bay_m = np.where(around.parking_m > 1.0, around.outside_m + around.parking_m, 0.0)
    bay = around.bay_m * np.clip(into_bay_m / BAY_EDGE_M, 0.0, 1.0)
    road, walk = low + bay, low + np.maximum(kerb, bay)
    vertices = np.concatenate([np.column_stack([xy, road]), np.column_stack([xy, walk])])
    faces = np.where(raised[:, None], faces + count, faces)
    a, b = kerb_edges.T
    walls = np.concatenate([np.stack([a, b, b + count], 1), np.stack([a, b + count, a + count], 1)])
    class_id = np.concatenate([surface[:, 0], np.full(len(walls), SIDEWALK)])
    material = np.concatenate([surface[:, 1], np.full(len(walls), Material.CONCRETE)])
    return Mesh(
        vertices=vertices.astype(np.float32),
        faces=np.concatenate([faces, walls]).astype(np.int32),
        class_id=class_id.astype(np.uint8),
        material=material.astype(np.uint8),
        colour=_colours(material, tint),
    )


_COLOURS = {
    Material.ASPHALT: (88, 88, 92),
    Material.PAVING: (150, 146, 140),
    Material.CONCRETE: (165, 163, 158),
    Material.GRASS: (92, 128, 62),
    Material.SOIL: (128, 108, 82),
}


def _colours(material: np.ndarray, tint: np.random.Generator) -> np.ndarray:
    """(F, 3) uint8: one shade per material and town, with a little noise per face."""
    table = np.zeros((len(Material), 3))
    for kind, colour in _COLOURS.items():
        table[kind] = np.asarray(colour) * tint.uniform(0.75, 1.2)
    noise = tint.normal(0.0, 2.0, (len(material), 1))
    return np.clip(table[material] + noise, 0, 255).astype(np.uint8)


class _Cutter:
    """Triangles that are cut along level lines, one field after the other."""

    def __init__(self, xy: np.ndarray, faces: np.ndarray, around: Surroundings) -> None:
        self.xy, self.faces, self.around = xy, faces, around
        self.parents: list[np.ndarray] = []
        """For each cut, which row of its answer each present face comes from."""
        self.edges: np.ndarray = np.zeros((0, 2), np.int64)
        """(E, 2) vertices of the last cut's line."""

    def cut(self, value: np.ndarray) -> np.ndarray:
        """Cut where a field of this value (V,) at the present vertices is zero.

        Returns (F,) bool: which of the faces after this cut lie on the positive side.
        """
        value = np.where(np.abs(value) < 1e-6, 1e-6, value)
        corner = value[self.faces] > 0
        count = corner.sum(axis=1)
        crossed = np.flatnonzero((count == 1) | (count == 2))
        # Turn each crossed face so that its first corner is alone on its side.
        alone = np.argmax(corner[crossed] == (count[crossed] == 1)[:, None], axis=1)
        turned = self.faces[crossed[:, None], (alone[:, None] + np.arange(3)) % 3]
        ab, ac = self._split(turned[:, [0, 1]], turned[:, [0, 2]], value)
        tip = np.stack([turned[:, 0], ab, ac], 1)
        base = np.concatenate(
            [np.stack([ab, turned[:, 1], turned[:, 2]], 1), np.stack([ab, turned[:, 2], ac], 1)]
        )
        tip_positive = count[crossed] == 1
        self.edges = np.where(tip_positive[:, None], np.stack([ac, ab], 1), np.stack([ab, ac], 1))

        kept = np.flatnonzero((count == 0) | (count == 3))
        origin = np.concatenate([kept, crossed, crossed, crossed])
        self.faces = np.concatenate([self.faces[kept], tip, base])
        self.parents = [parent[origin] for parent in self.parents]
        self.parents.append(np.arange(len(self.faces)))
        return np.concatenate([count[kept] == 3, tip_positive, ~tip_positive, ~tip_positive])

    def _split(
        self, first: np.ndarray, second: np.ndarray, value: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """New vertices where field = 0 on the edges (E, 2); neighbouring faces share them."""
        edges = np.sort(np.concatenate([first, second]), axis=1)
        key, inverse = np.unique(edges[:, 0] * len(self.xy) + edges[:, 1], return_inverse=True)
        a, b = np.divmod(key, len(self.xy))
        fraction = value[a] / (value[a] - value[b])
        index = len(self.xy) + inverse.reshape(-1)

        def blend(column: np.ndarray) -> np.ndarray:
            f = fraction.reshape(-1, *[1] * (column.ndim - 1))
            return np.concatenate([column, column[a] + f * (column[b] - column[a])])

        self.xy = blend(self.xy)
        self.around = Surroundings(
            **{name: blend(getattr(self.around, name)) for name in Surroundings.__dataclass_fields__}
        )
        return index[: len(first)], index[len(first) :]


def _grid(extent_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 2) and faces (F, 3) of a grid, one metre wide in the middle, coarser outwards."""
    inner = np.arange(0.0, min(60.0, extent_m), 1.0)
    outer = np.arange(inner[-1] + 1.75, extent_m + 1.75, 1.75)
    half = np.concatenate([inner, outer])
    line = np.concatenate([-half[:0:-1], half])
    x, y = np.meshgrid(line, line, indexing="ij")
    index = np.arange(x.size).reshape(x.shape)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    return np.stack([x.ravel(), y.ravel()], axis=1), faces


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)
