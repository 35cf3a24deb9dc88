"""Solid primitives that the objects of the simulated town are put together from, in array operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation.meshes import Material, Mesh

CLASS_IDS = {c.name: c.id for c in LabelSet.named("town").classes}
"""Class name of the label set `town` -> id."""

Colour = tuple[int, int, int]
T = TypeVar("T")


class Surface(NamedTuple):
    """What a face shows to the sensors."""

    class_id: int
    material: Material
    colour: Colour


def surface(class_name: str, material: Material, colour: Sequence[float]) -> Surface:
    """A surface of a class of the label set `town`; the colour is clipped to 0..255 RGB."""
    red, green, blue = (int(min(max(c, 0), 255)) for c in colour)
    return Surface(CLASS_IDS[class_name], material, (red, green, blue))


def tinted(rng: np.random.Generator, colour: ArrayLike, spread: float = 18.0) -> Colour:
    """A colour near another one: brightness and hue vary by about `spread` of 255."""
    shade = rng.normal(0.0, spread) + rng.normal(0.0, spread / 3, 3)
    red, green, blue = np.clip(np.asarray(colour) + shade, 0, 255).astype(int).tolist()
    return red, green, blue


def pick(rng: np.random.Generator, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One of the options, drawn with these relative weights."""
    if weights is None:
        return options[int(rng.integers(len(options)))]
    edges = np.cumsum(weights)
    return options[int(np.searchsorted(edges, rng.uniform(0, edges[-1]), side="right"))]


def placed(
    mesh: Mesh, xyz: ArrayLike = (0, 0, 0), *, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0
) -> Mesh:
    """The mesh turned about x (roll), then y (pitch), then z (yaw), radians, then shifted by `xyz`."""
    vertices = mesh.vertices
    if yaw or pitch or roll:
        vertices = vertices @ Rotation.from_euler("xyz", (roll, pitch, yaw)).as_matrix().T
    return replace(mesh, vertices=(vertices + np.asarray(xyz)).astype(np.float32))


def painted(mesh: Mesh, chosen: np.ndarray | slice, look: Surface) -> Mesh:
    """The mesh with another surface on the chosen faces; `chosen` is a (F,) mask, an index or a slice."""
    class_id, material, colour = mesh.class_id.copy(), mesh.material.copy(), mesh.colour.copy()
    class_id[chosen], material[chosen], colour[chosen] = look
    return replace(mesh, class_id=class_id, material=material, colour=colour)


def relabelled(mesh: Mesh, class_name: str) -> Mesh:
    """The mesh with one class on all faces."""
    return replace(mesh, class_id=np.full(len(mesh.faces), CLASS_IDS[class_name], np.uint8))


def boxes(low: ArrayLike, high: ArrayLike, look: Surface) -> Mesh:
    """Axis-aligned boxes between corners (N, 3) and (N, 3), or one between (3,) and (3,)."""
    low, high = np.atleast_2d(np.asarray(low, float)), np.atleast_2d(np.asarray(high, float))
    vertices = low[:, None] + _UNIT_CORNERS * (high - low)[:, None]
    faces = _BOX_FACES + 8 * np.arange(len(low))[:, None, None]
    return Mesh.uniform(vertices.reshape(-1, 3), faces.reshape(-1, 3), *look)


def box(size: ArrayLike, base: ArrayLike, look: Surface) -> Mesh:
    """An axis-aligned box of this size standing on the point `base` below its centre."""
    size, base = np.asarray(size, float), np.asarray(base, float)
    low = base - size * (0.5, 0.5, 0.0)
    return boxes(low, low + size, look)


_UNIT_CORNERS = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], float)
_BOX_FACES = np.array(
    [
        *((0, 2, 3), (0, 3, 1), (4, 5, 7), (4, 7, 6), (0, 1, 5), (0, 5, 4)),
        *((2, 6, 7), (2, 7, 3), (0, 4, 6), (0, 6, 2), (1, 3, 7), (1, 7, 5)),
    ]
)


def lofts(sections: np.ndarray, look: Surface, *, caps: bool = True) -> Mesh:
    """Closed skins over N rows of S rings of P points, sections (N, S, P, 3).

    Each ring turns counter-clockwise about the direction from the first to the last ring. The faces come skin
    by skin, ring by ring, two per point; the fans that close the ends follow.
    """
    count, rings, points, _ = sections.shape
    ring, point = np.meshgrid(np.arange(rings - 1), np.arange(points), indexing="ij")
    a, b = ring * points + point, ring * points + (point + 1) % points
    quads = np.stack([a, b, b + points, a, b + points, a + points], -1).reshape(-1, 3)
    stride = rings * points
    faces = (quads + stride * np.arange(count)[:, None, None]).reshape(-1, 3)
    vertices = sections.reshape(-1, 3)
    if caps:
        centres = sections[:, [0, -1]].mean(2)
        first = len(vertices) + 2 * np.arange(count)
        rim = np.arange(points)
        around = (rim + 1) % points
        base = stride * np.arange(count)[:, None]
        start = np.stack(np.broadcast_arrays(first[:, None], base + around, base + rim), -1)
        top = base + stride - points
        end = np.stack(np.broadcast_arrays(first[:, None] + 1, top + rim, top + around), -1)
        vertices = np.concatenate([vertices, centres.reshape(-1, 3)])
        faces = np.concatenate([faces, start.reshape(-1, 3), end.reshape(-1, 3)])
    return Mesh.uniform(vertices, faces, *look)


def loft(sections: ArrayLike, look: Surface, *, caps: bool = True) -> Mesh:
    """One closed skin over rings (S, P, 3); see `lofts`."""
    return lofts(np.asarray(sections, float)[None], look, caps=caps)


def tubes(paths: ArrayLike, radii: ArrayLike, look: Surface, *, sides: int = 6, caps: bool = True) -> Mesh:
    """Round tubes along N polylines, paths (N, P, 3), radii broadcast to (N, P)."""
    paths = np.asarray(paths, float)
    radii = np.broadcast_to(np.asarray(radii, float), paths.shape[:2])
    tangent = _normalised(np.gradient(paths, axis=1))
    overall = _normalised(paths[:, -1] - paths[:, 0])
    reference = np.where(np.abs(overall[:, 2:]) < 0.8, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))[:, None]
    side = _normalised(np.cross(reference, tangent))
    up = np.cross(tangent, side)
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    ring = np.cos(angle)[:, None] * side[:, :, None] + np.sin(angle)[:, None] * up[:, :, None]
    return lofts(paths[:, :, None] + radii[:, :, None, None] * ring, look, caps=caps)


def tube(path: ArrayLike, radius: ArrayLike, look: Surface, *, sides: int = 6) -> Mesh:
    """One round tube along a polyline (P, 3)."""
    return tubes(np.asarray(path, float)[None], np.asarray(radius, float), look, sides=sides)


def cylinder(radius: float, height: float, base: ArrayLike, look: Surface, *, sides: int = 10) -> Mesh:
    """An upright cylinder standing on the point `base`."""
    return revolve([(radius, 0.0), (radius, height)], look, base=base, sides=sides)


def revolve(
    profile: ArrayLike,
    look: Surface,
    *,
    base: ArrayLike = (0, 0, 0),
    sides: int = 12,
) -> Mesh:
    """A solid of revolution about the upright through `base`; profile (P, 2) of (radius, height), rising."""
    radius, height = np.asarray(profile, float).T
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides)], -1)
    sections = radius[:, None, None] * ring
    sections[..., 2] = height[:, None]
    return loft(sections + np.asarray(base, float), look)


def ellipsoid(
    centre: ArrayLike,
    radii: ArrayLike,
    look: Surface,
    *,
    rings: int = 6,
    sides: int = 9,
    roughness: np.ndarray | float = 0.0,
) -> Mesh:
    """An ellipsoid; `roughness`, broadcast to (rings, sides), is added to the relative radius."""
    latitude = np.linspace(-0.47, 0.47, rings) * np.pi
    longitude = 2 * np.pi * np.arange(sides) / sides
    shape = (rings, sides)
    unit = np.stack(
        [
            np.cos(latitude)[:, None] * np.cos(longitude),
            np.cos(latitude)[:, None] * np.sin(longitude),
            np.broadcast_to(np.sin(latitude)[:, None], shape),
        ],
        -1,
    )
    unit = unit * (1 + np.broadcast_to(roughness, shape))[..., None]
    return loft(unit * np.asarray(radii, float) + np.asarray(centre, float), look)


def prism(outline: ArrayLike, y_low: float, y_high: float, look: Surface) -> Mesh:
    """An outline (P, 2) of (x, z), convex or nearly so, drawn out along y."""
    x, z = np.asarray(outline, float).T
    if np.sum(x * np.roll(z, -1) - np.roll(x, -1) * z) > 0:
        x, z = x[::-1], z[::-1]
    return loft([np.stack([x, np.full(len(x), y), z], -1) for y in (y_low, y_high)], look)


def leaves(rng: np.random.Generator, centres: np.ndarray, size: np.ndarray | float, look: Surface) -> Mesh:
    """Triangular leaves or leaf clusters of edge length about `size` at centres (N, 3), turned at random.

    The colour varies from leaf to leaf.
    """
    count = len(centres)
    first, second = rng.normal(size=(2, count, 3))
    first = _normalised(first)
    second = _normalised(np.cross(first, second))
    reach = np.broadcast_to(size, count)[:, None] / np.sqrt(3)
    corners = [np.cos(a) * first + np.sin(a) * second for a in (0.0, 2.1, 4.2)]
    vertices = np.asarray(centres)[:, None] + reach[:, None] * np.stack(corners, 1)
    mesh = Mesh.uniform(vertices.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3), *look)
    return shaded(rng, mesh)


def blades(
    rng: np.random.Generator, feet: np.ndarray, height: np.ndarray, width: np.ndarray | float, look: Surface
) -> Mesh:
    """Upright pointed blades of grass, one triangle each, that lean at random; feet (N, 3), height (N,)."""
    count = len(feet)
    yaw = rng.uniform(0, 2 * np.pi, count)
    across = (
        np.stack([np.cos(yaw), np.sin(yaw), np.zeros(count)], -1) * np.broadcast_to(width, count)[:, None] / 2
    )
    lean = rng.normal(0, 0.35, (count, 2))
    tip = feet + np.column_stack([lean, np.ones(count)]) * np.asarray(height)[:, None]
    vertices = np.stack([feet - across, feet + across, tip], 1)
    mesh = Mesh.uniform(vertices.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3), *look)
    return shaded(rng, mesh)


def shaded(rng: np.random.Generator, mesh: Mesh, spread: float = 22.0) -> Mesh:
    """The mesh with a brightness of its own per face."""
    colour = mesh.colour + rng.normal(0, spread, (len(mesh.faces), 1))
    return replace(mesh, colour=np.clip(colour, 0, 255).astype(np.uint8))


class Cells(NamedTuple):
    """The rectangles of a facade: where the grid lines run, and what each cell between them is."""

    x_edges: np.ndarray
    """(X + 1,) metres, rising."""
    z_edges: np.ndarray
    """(Z + 1,) metres, rising."""
    depth: np.ndarray
    """(Z, X) metres behind the plane y = 0; negative in front of it."""
    kind: np.ndarray
    """(Z, X) int64 index into the surfaces."""


def relief(cells: Cells, looks: Sequence[Surface]) -> Mesh:
    """A facade that faces -y: rectangles at their own depth, and the reveals where the depth changes.

    Beyond its edges lies the plane y = 0, so that what stands out of it is closed at the edges too.
    """
    x, z, depth, kind = cells
    left, low = np.meshgrid(x[:-1], z[:-1])
    right, high = np.meshgrid(x[1:], z[1:])
    front = _quads([(left, depth, low), (right, depth, low), (right, depth, high), (left, depth, high)])
    wide = _reveals(np.pad(depth, ((0, 0), (1, 1))), np.pad(kind, ((0, 0), (1, 1)), mode="edge"), x, z)
    tall = _reveals(np.pad(depth, ((1, 1), (0, 0))).T, np.pad(kind, ((1, 1), (0, 0)), mode="edge").T, z, x)
    level = tall[0][:, ::-1][..., [2, 1, 0]]
    return _mosaic(
        np.concatenate([front, wide[0], level]), np.concatenate([kind.ravel(), wide[1], tall[1]]), looks
    )


def _reveals(
    depth: np.ndarray, kind: np.ndarray, edges: np.ndarray, spans: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Quads (Q, 4, 3) of (edge, depth, span), kinds (Q,) where depth (S, E + 1) changes at the edges."""
    before, behind = depth[:, :-1], depth[:, 1:]
    edge, low = np.meshgrid(edges, spans[:-1])
    high = np.meshgrid(edges, spans[1:])[1]
    quads = _quads([(edge, before, low), (edge, behind, low), (edge, behind, high), (edge, before, high)])
    steps = (before != behind).ravel()
    return quads[steps], np.where(before < behind, kind[:, :-1], kind[:, 1:]).ravel()[steps]


def _quads(corners: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    return np.stack([np.stack([c.ravel() for c in corner], -1) for corner in corners], 1)


def _mosaic(corners: np.ndarray, kind: np.ndarray, looks: Sequence[Surface]) -> Mesh:
    """Quads (Q, 4, 3) with the surface `looks[kind]` each."""
    faces = (4 * np.arange(len(corners))[:, None, None] + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    kind = np.repeat(kind, 2)
    return Mesh(
        vertices=corners.reshape(-1, 3).astype(np.float32),
        faces=faces.astype(np.int32),
        class_id=np.array([s.class_id for s in looks], np.uint8)[kind],
        material=np.array([s.material for s in looks], np.uint8)[kind],
        colour=np.array([s.colour for s in looks], np.uint8)[kind],
    )


def sheet(corners: ArrayLike, look: Surface) -> Mesh:
    """One flat quad (4, 3), counter-clockwise seen from outside."""
    return _mosaic(np.asarray(corners, float)[None], np.zeros(1, int), [look])


def _normalised(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def torus(radius: float, thickness: float, look: Surface, *, sides: int = 18, tube_sides: int = 5) -> Mesh:
    """A ring about the y axis through the origin, like a tyre; `thickness` is the radius of its tube."""
    around = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
    across = 2 * np.pi * np.arange(tube_sides) / tube_sides
    reach = radius + thickness * np.cos(across)
    y = np.broadcast_to(-thickness * np.sin(across), (sides + 1, tube_sides))
    return loft(np.stack([reach * np.sin(around), y, reach * np.cos(around)], -1), look, caps=False)


def copies(mesh: Mesh, offsets: ArrayLike) -> Mesh:
    """The mesh once per offset (N, 3)."""
    offsets = np.asarray(offsets, np.float32)
    count = len(offsets)
    return Mesh(
        vertices=(mesh.vertices + offsets[:, None]).reshape(-1, 3),
        faces=(mesh.faces + len(mesh.vertices) * np.arange(count, dtype=np.int32)[:, None, None]).reshape(
            -1, 3
        ),
        class_id=np.tile(mesh.class_id, count),
        material=np.tile(mesh.material, count),
        colour=np.tile(mesh.colour, (count, 1)),
    )


def grounded(mesh: Mesh) -> Mesh:
    """The mesh shifted along z so that it stands on z = 0."""
    return placed(mesh, (0, 0, -mesh.vertices[:, 2].min()))
