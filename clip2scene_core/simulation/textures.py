"""What surfaces look like from near: grain, bricks, planks, windows, leaves, one function per material.

Each takes the places that pixels show and their plain colours, and returns what the texture makes of them.
Shapes: N pixels. Lengths are metres, colours linear RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from clip2scene_core.simulation.meshes import Material
from clip2scene_core.simulation.patterns import cells, fade, lines, noise, octaves, random, step
from clip2scene_core.simulation.scene import Hits, Scene
from clip2scene_core.simulation.solids import CLASS_IDS
from clip2scene_core.simulation.weather import Weather

_BUILDING, _SIGN = CLASS_IDS["building"], CLASS_IDS["traffic sign"]
_WEATHERED_PAINT = np.array([0.09, 0.09, 0.09], np.float32)
_MORTAR = np.array([0.42, 0.40, 0.37], np.float32)
_INTERIOR = np.array([0.030, 0.032, 0.036], np.float32)
_CURTAINS = np.array(
    [[0.62, 0.58, 0.50], [0.50, 0.30, 0.24], [0.35, 0.42, 0.50], [0.70, 0.70, 0.68]], np.float32
)
_LAMPLIGHT = np.array([1.0, 0.72, 0.38], np.float32)
_DIRT = np.array([0.10, 0.085, 0.065], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spots:
    """Where pixels meet surfaces of one material."""

    u: np.ndarray
    """(N,) float32 metres along the surface: level on walls, x of the object on the ground."""
    v: np.ndarray
    """(N,) float32 metres across u: up on walls, y of the object on the ground."""
    footprint_u: np.ndarray
    """(N,) float32 metres that a pixel covers along u."""
    footprint_v: np.ndarray
    """(N,) float32 metres, the same along v."""
    height: np.ndarray
    """(N,) float32 metres above the lowest point of the object."""
    corners_u: np.ndarray
    """(N, 3) float32 metres: u of the corners of the face."""
    corners_v: np.ndarray
    """(N, 3) float32 metres: v of the corners of the face."""
    rim: np.ndarray
    """(N,) float32 barycentric weight of the first corner of the face: 0 at the rim of a fan, 1 inside."""
    key: np.ndarray
    """(N,) int64, another number for each object."""
    class_id: np.ndarray
    """(N,) uint8."""
    seed: int
    """Of the town."""
    dark: float
    """0 by day, 1 when lamps and windows are lit."""

    @property
    def footprint(self) -> np.ndarray:
        """(N,) of a pixel in the mean."""
        return (self.footprint_u + self.footprint_v) / 2

    def draw(self, salt: int) -> np.ndarray:
        """(N,) a random number in [0, 1) per object."""
        return random(self.key, self.seed, salt)

    def grain(self, *wavelengths_m: float) -> np.ndarray:
        """(N,) noise of these wavelengths, unlike on any other object."""
        shift = self.draw(0) * np.float32(97)
        return octaves(self.u + shift, self.v - shift, wavelengths_m, self.footprint)

    def at(self, rows: np.ndarray) -> Spots:
        """Some of them."""
        columns = {
            name: getattr(self, name)[rows]
            for name in Spots.__dataclass_fields__
            if name not in ("seed", "dark")
        }
        return replace(self, **columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finish:
    """How the surfaces at some spots answer light."""

    albedo: np.ndarray
    """(N, 3) float32, share of the light that they scatter."""
    mirror: np.ndarray | float = 0.0
    """(N,) float32 share that they mirror where they face the camera."""
    glow: np.ndarray | float = 0.0
    """(N, 3) float32 light that they send out themselves."""


Texture = Callable[[Spots, np.ndarray], Finish]


def spots_of(
    scene: Scene, hits: Hits, rows: np.ndarray, directions: np.ndarray, width_m: np.ndarray, weather: Weather
) -> Spots:
    """The spots of some hits; `directions` (N, 3) are those of their rays, `width_m` (N,) a pixel's there."""
    face = hits.face[rows]
    corners = scene.corners(face)
    second, third = hits.weights[rows].T
    first = 1 - second - third
    place = corners[:, 0] * first[:, None] + corners[:, 1] * second[:, None] + corners[:, 2] * third[:, None]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.sqrt(np.maximum(np.einsum("ni,ni->n", normal, normal), 1e-20))[:, None]
    along, across = _axes(normal)
    seen_along, seen_across = _axes(hits.normal[rows])
    cosine = np.maximum(-np.einsum("ni,ni->n", directions, hits.normal[rows]), np.float32(0.05))
    stretch_u = np.einsum("ni,ni->n", directions, seen_along) / cosine
    stretch_v = np.einsum("ni,ni->n", directions, seen_across) / cosine
    return Spots(
        u=np.einsum("ni,ni->n", place, along),
        v=np.einsum("ni,ni->n", place, across),
        footprint_u=width_m * np.sqrt(1 + stretch_u**2),
        footprint_v=width_m * np.sqrt(1 + stretch_v**2),
        height=place[:, 2] - scene.foot_m(face),
        corners_u=np.einsum("nci,ni->nc", corners, along),
        corners_v=np.einsum("nci,ni->nc", corners, across),
        rim=first,
        key=scene.object_id[face],
        class_id=scene.class_id[face],
        seed=weather.paint_seed or 0,
        dark=float(np.clip(1 - 2 * weather.day, 0, 1)),
    )


def _axes(normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level and rising unit vectors (N, 3) on surfaces of these normals; x and y where they are flat."""
    flat = np.abs(normal[:, 2]) > 0.8
    level = np.hypot(normal[:, 0], normal[:, 1])
    level = np.where(flat, 1, np.maximum(level, 1e-6))
    along = np.zeros_like(normal)
    along[:, 0] = np.where(flat, 1, -normal[:, 1] / level)
    along[:, 1] = np.where(flat, 0, normal[:, 0] / level)
    across = np.cross(normal, along)
    across *= np.where(flat, np.sign(across[:, 1]), np.sign(across[:, 2]))[:, None]
    across[flat] = (0, 1, 0)
    return along, across


def _scaled(albedo: np.ndarray, share: np.ndarray) -> np.ndarray:
    return albedo * np.clip(share, 0.05, 3.0)[:, None]


def _mixed(albedo: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    return albedo + (other - albedo) * np.clip(share, 0, 1)[:, None]


def _turned(spots: Spots, salt: int) -> tuple[np.ndarray, np.ndarray]:
    """u and v turned by an angle of the town."""
    angle = float(random(spots.seed, salt)[0]) * np.pi
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * spots.u - s * spots.v, s * spots.u + c * spots.v


def asphalt(spots: Spots, albedo: np.ndarray) -> Finish:
    """Grain, stains, repaired patches and cracks."""
    footprint = spots.footprint
    stains = octaves(spots.u, spots.v, (9.0, 3.0, 1.1), footprint)
    grain = octaves(spots.u, spots.v, (0.35, 0.12, 0.04, 0.015), footprint)
    albedo = _scaled(albedo, 1 + 0.2 * stains + 0.38 * grain)
    x, y = _turned(spots, 1)
    column, fx = cells(x, 6.5)
    row, fy = cells(y + 3.1 * (column % 2), 9.0)
    size = 0.15 + 0.3 * random(column, row, spots.seed, 2)
    inside = np.minimum(size - np.abs(fx - 0.5), 1.2 * size - np.abs(fy - 0.5)) * 6.5
    patch = (random(column, row, spots.seed, 3) < 0.22) * step(inside, footprint) * fade(footprint, 9.0)
    tone = 0.55 + 0.9 * random(column, row, spots.seed, 4)
    albedo = _scaled(albedo, 1 + patch * (tone - 1))
    seam = patch * (1 - step(inside - 0.08, footprint))
    ridge = np.abs(noise(spots.u, spots.v, 2.6, 0.0) + 0.35 * noise(spots.v, spots.u, 0.5, footprint))
    crack = np.clip(1 - ridge / 0.05, 0, 1) * fade(footprint, 0.25) * (stains > 0.1)
    return Finish(albedo=_scaled(albedo, 1 - 0.45 * np.maximum(seam, crack)), mirror=0.02)


def lane_marking(spots: Spots, albedo: np.ndarray) -> Finish:
    """Paint that wears off."""
    worn = spots.grain(1.5, 0.4, 0.12, 0.05) * 1.6 - 1.1 + 1.4 * float(random(spots.seed, 5)[0])
    return Finish(albedo=_mixed(albedo, _WEATHERED_PAINT, np.clip(worn, 0, 0.9)), mirror=0.03)


def paving(spots: Spots, albedo: np.ndarray) -> Finish:
    """Slabs, setts or bricks in rows, each of its own shade."""
    kind = int(random(spots.seed, 6)[0] * 4)
    length, width = ((0.5, 0.5), (0.3, 0.3), (0.2, 0.1), (0.75, 0.4))[kind]
    x, y = _turned(spots, 7)
    row, _ = cells(y, width)
    shift = x + (0.5 * length * (row % 2) if kind else 0.0)
    column, _ = cells(shift, length)
    shade = (random(column, row, spots.seed) - np.float32(0.5)) * fade(spots.footprint, 1.5 * length)
    joint = np.maximum(lines(shift, length, 0.02, spots.footprint), lines(y, width, 0.02, spots.footprint))
    stains = octaves(spots.u, spots.v, (5.0, 1.2, 0.3, 0.06), spots.footprint)
    return Finish(albedo=_scaled(albedo, (1 + 0.55 * shade + 0.3 * stains) * (1 - 0.6 * joint)), mirror=0.02)


def concrete(spots: Spots, albedo: np.ndarray) -> Finish:
    """Pores, stains and the joints of panels or kerb stones."""
    period = 1.0 + 1.5 * spots.draw(8)
    joint = lines(spots.u, period, 0.025, spots.footprint_u)
    joint = np.maximum(joint, lines(spots.v, 1.2 * period, 0.025, spots.footprint_v))
    share = 1 + 0.2 * spots.grain(3.0, 0.9, 0.25, 0.07) + 0.08 * _streaks(spots)
    return Finish(albedo=_scaled(albedo, share * (1 - 0.45 * joint)))


def grass(spots: Spots, albedo: np.ndarray) -> Finish:
    """Blades, tufts, dry and bare places, flowers and fallen leaves."""
    footprint = spots.footprint
    blades = octaves(spots.u, spots.v, (0.5, 0.17, 0.07, 0.03), footprint)
    albedo = _scaled(albedo, 1 + 1.0 * blades)
    dry = octaves(spots.u, spots.v, (7.0, 2.5, 0.8), footprint)
    straw = albedo.mean(axis=1, keepdims=True) * np.array([1.35, 1.05, 0.6], np.float32)
    albedo = _mixed(albedo, straw, 0.9 * dry)
    column, fx = cells(spots.u, 0.16)
    row, fy = cells(spots.v, 0.16)
    near = np.hypot(fx - 0.5, fy - 0.5) < 0.3
    often = 0.07 * float(random(spots.seed, 9)[0]) ** 2
    dot = near * (random(column, row, spots.seed, 10) < often) * fade(footprint, 0.3)
    colour = np.array(
        [[0.75, 0.72, 0.65], [0.75, 0.55, 0.08], [0.45, 0.22, 0.06], [0.30, 0.12, 0.05]], np.float32
    )
    return Finish(albedo=_mixed(albedo, colour[int(random(spots.seed, 11)[0] * 4)], dot))


def soil(spots: Spots, albedo: np.ndarray) -> Finish:
    """Clods and stones."""
    column, fx = cells(spots.u + 0.02 * spots.grain(0.3), 0.09)
    row, fy = cells(spots.v, 0.09)
    size = 0.5 * random(column, row, spots.seed, 12)
    stone = step(size - np.hypot(fx - 0.5, fy - 0.5), 0.2) * fade(spots.footprint, 0.12)
    tone = 1 + (random(column, row, 13) - np.float32(0.3)) * stone
    return Finish(albedo=_scaled(albedo, tone * (1 + 0.5 * spots.grain(4.0, 1.0, 0.3, 0.1))))


def brick(spots: Spots, albedo: np.ndarray) -> Finish:
    """Courses of bricks with mortar between them."""
    high, long = 0.075 + 0.05 * spots.draw(14), 0.25
    row, _ = cells(spots.v, high)
    shift = spots.u + 0.125 * (row % 2)
    column, _ = cells(shift, long)
    shade = (random(column, row, spots.key) - np.float32(0.5)) * fade(spots.footprint, 0.3)
    # The lines are drawn wider than they are, or a picture of this size would lose them within a few metres.
    mortar = np.maximum(
        lines(spots.v, high, 0.014, spots.footprint_v), lines(shift, long, 0.014, spots.footprint_u)
    )
    albedo = _scaled(albedo, 1 + 0.6 * shade + 0.15 * spots.grain(3.0, 0.8) + 0.1 * _streaks(spots))
    return Finish(albedo=_mixed(albedo, _MORTAR, 0.75 * mortar))


def plaster(spots: Spots, albedo: np.ndarray) -> Finish:
    """Smooth with stains, or with boards, panels or tiles, from house to house."""
    kind = spots.draw(15)
    share = 1 + 0.1 * spots.grain(4.0, 1.0, 0.2, 0.04) + (0.03 + 0.12 * spots.draw(43)) * _streaks(spots)
    period = 0.3 + 1.2 * spots.draw(16)
    joint = np.where(kind > 0.5, lines(spots.v, period, 0.03, spots.footprint_v), 0)
    joint = np.maximum(joint, np.where(kind > 0.75, lines(spots.u, 2 * period, 0.03, spots.footprint_u), 0))
    albedo = _scaled(albedo, share * (1 - 0.45 * joint))
    damp = np.clip(1.2 - (spots.height - 1.5) + 0.5 * spots.grain(1.5, 0.4), 0, 1)
    return Finish(albedo=_mixed(albedo, _DIRT, 0.35 * damp * spots.draw(17)))


def _streaks(spots: Spots) -> np.ndarray:
    """(N,) what rain has left on walls: noise drawn out along v."""
    fine = noise(spots.u, spots.v / 9, 0.35, spots.footprint_u)
    return (fine + noise(spots.u, spots.v / 6, 1.3, spots.footprint_u)) / 2


def roof_tile(spots: Spots, albedo: np.ndarray) -> Finish:
    """Rows of tiles with moss."""
    row, fy = cells(spots.v, 0.34)
    column, _ = cells(spots.u + 0.12 * (row % 2), 0.24)
    shade = (random(column, row, spots.key) - np.float32(0.5)) * fade(spots.footprint, 0.4)
    lap = (fy - np.float32(0.5)) * fade(spots.footprint_v, 0.5)
    albedo = _scaled(albedo, 1 + 0.5 * shade + 0.7 * lap + 0.3 * spots.grain(2.5, 0.8))
    return Finish(albedo=albedo, mirror=0.03)


def wood(spots: Spots, albedo: np.ndarray) -> Finish:
    """Planks with grain: lying on houses, standing elsewhere."""
    lying = spots.class_id == _BUILDING
    across, along = np.where(lying, spots.v, spots.u), np.where(lying, spots.u, spots.v)
    footprint = np.where(lying, spots.footprint_v, spots.footprint_u)
    width = 0.09 + 0.1 * spots.draw(18)
    plank, _ = cells(across, width)
    shade = (random(plank, spots.key) - np.float32(0.5)) * fade(footprint, 0.3)
    gap = lines(across, width, 0.014, footprint)
    fibre = noise(across, along / 14 + 3.7 * plank, 0.025, footprint) + noise(
        across, along / 8, 0.1, footprint
    )
    share = (1 + 0.6 * shade + 0.16 * fibre + 0.2 * spots.grain(1.5, 0.5)) * (1 - 0.65 * gap)
    return Finish(albedo=_scaled(albedo, share), mirror=0.02)


def metal(spots: Spots, albedo: np.ndarray) -> Finish:
    """Corrugated sheets on houses, painted and rusty elsewhere."""
    sheet = spots.class_id == _BUILDING
    period = 0.2 + 0.4 * spots.draw(19)
    groove = np.where(sheet, lines(spots.u, period, 0.07, spots.footprint_u), 0)
    seam = np.where(sheet, lines(spots.v, 3.0, 0.05, spots.footprint_v), 0)
    share = (1 + 0.12 * spots.grain(1.0, 0.3, 0.08)) * (1 - 0.4 * np.maximum(groove, seam))
    rust = np.clip(spots.grain(0.6, 0.2, 0.07) * 1.6 - 1.6 + 1.6 * spots.draw(20), 0, 0.8)
    albedo = _mixed(
        _scaled(albedo, share), np.array([0.22, 0.09, 0.04], np.float32), np.where(sheet, 0.3, 1) * rust
    )
    return Finish(albedo=albedo, mirror=0.10)


def bark(spots: Spots, albedo: np.ndarray) -> Finish:
    """Fissures along the stem, moss."""
    fissure = noise(spots.u, spots.v / 5, 0.07, spots.footprint_u) + noise(
        spots.u, spots.v / 3, 0.2, spots.footprint_u
    )
    moss = np.clip(0.8 * spots.grain(0.9, 0.3) - 0.2, 0, 1)
    albedo = _scaled(albedo, 1 + 0.3 * fissure + 0.2 * spots.grain(0.6, 0.1))
    return Finish(albedo=_mixed(albedo, np.array([0.07, 0.09, 0.04], np.float32), moss))


def leaf(spots: Spots, albedo: np.ndarray) -> Finish:
    """A spray of leaves where the mesh has one triangle: dark gaps, bright tips."""
    share = 1 + 1.1 * octaves(spots.u, spots.v, (0.22, 0.11, 0.05), 0.8 * spots.footprint)
    tint = 0.22 * noise(spots.v, spots.u, 0.3, spots.footprint)
    hue = np.stack([1 + tint, np.ones_like(tint), 1 - 0.5 * tint], axis=1)
    return Finish(albedo=_scaled(albedo * hue, share), mirror=0.02)


def car_paint(spots: Spots, albedo: np.ndarray) -> Finish:
    """Lacquer, with dust below, and stripes, lettering and pictures on lorries and buses."""
    large = np.isin(spots.class_id, [CLASS_IDS["truck"], CLASS_IDS["bus"]])
    low, tall = 0.6 + 1.2 * spots.draw(21), 0.2 + 0.9 * spots.draw(22)
    band = large & (spots.draw(23) < 0.6) & (np.abs(spots.height - low) < tall / 2)
    letters = large & (spots.draw(24) < 0.6) & (np.abs(spots.height - low - 1.3) < 0.35)
    letters = letters & (random(cells(spots.u, 0.22)[0], cells(spots.v, 0.16)[0], spots.key) < 0.55)
    second = np.stack([spots.draw(25 + k) for k in range(3)], axis=1) ** 2 * np.float32(0.8)
    albedo = np.where(band[:, None], second, albedo)
    albedo = np.where(letters[:, None], 0.85 - 0.8 * (albedo.mean(axis=1, keepdims=True) > 0.3), albedo)
    dust = np.clip(0.9 - 1.3 * spots.height + 0.25 * spots.grain(0.5, 0.15), 0, 1) * spots.draw(28)
    dull = 0.5 * dust
    return Finish(albedo=_mixed(albedo.astype(np.float32), _DIRT, dull), mirror=0.06 * (1 - dust))


def cloth(spots: Spots, albedo: np.ndarray) -> Finish:
    """Plain, striped or chequered, with folds."""
    kind = random(spots.key, (albedo[:, 0] * 1e4).astype(np.int64), spots.seed)
    size = 0.04 + 0.08 * spots.draw(29)
    stripe = _bars(spots.v, size, spots.footprint_v) * (kind > 0.7)
    check = _bars(spots.u, size, spots.footprint_u) * (kind > 0.88)
    other = np.stack([spots.draw(30 + k) for k in range(3)], axis=1) ** 2 * np.float32(0.8)
    albedo = _mixed(albedo, other, np.maximum(stripe, check))
    return Finish(albedo=_scaled(albedo, 1 + 0.45 * spots.grain(0.25, 0.09)))


def _bars(x: np.ndarray, width_m: np.ndarray, footprint_m: np.ndarray) -> np.ndarray:
    """(N,) share of stripes that are as wide as the gaps between them."""
    return lines(x / width_m, 2.0, 1.0, footprint_m / width_m)


def glass(spots: Spots, albedo: np.ndarray) -> Finish:
    """Panes: of houses with a frame, bars, curtains and a dark room behind, others dark and clear."""
    house = spots.class_id == _BUILDING
    lamp = albedo.mean(axis=1) > 0.3
    plain = np.where(lamp[:, None], albedo, 0.4 * albedo + 0.5 * _INTERIOR)
    rows = np.flatnonzero(house & ~lamp)
    result = plain.astype(np.float32)
    frame, glow = np.zeros(len(result), np.float32), np.float32(0.8 * spots.dark) * lamp
    if len(rows):
        result[rows], frame[rows], glow[rows] = _window(spots.at(rows))
    mirror = np.where(lamp, 0.05, 0.13 * (1 - frame))
    return Finish(albedo=result, mirror=mirror, glow=glow[:, None] * _LAMPLIGHT)


def _window(spots: Spots) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour (N, 3) of windows, (N,) how much of each spot is frame, (N,) how bright the room is lit."""
    left, right = spots.u - spots.corners_u.min(axis=1), spots.corners_u.max(axis=1) - spots.u
    low, high = spots.v - spots.corners_v.min(axis=1), spots.corners_v.max(axis=1) - spots.v
    pane = random(spots.key, np.round(spots.u - left, 1) * 10, np.round(spots.v - low, 1) * 10, spots.seed)
    pane_id = (pane * 2**24).astype(np.int64)
    width, height = left + right, low + high
    border = 0.05 + 0.06 * spots.draw(33)
    edge = np.minimum(np.minimum(left, right), np.minimum(low, high))
    bars = np.maximum(np.round(width / (0.6 + 0.8 * spots.draw(34))), 1)
    upright = np.abs(np.mod(left + width / bars / 2, width / bars) - width / bars / 2)
    cross = np.abs(high - 0.33 * height) + 9 * (spots.draw(35) < 0.5)
    inner = np.minimum(np.where(bars > 1, upright, 9), cross) + 0.5 * border
    frame = 1 - step(np.minimum(edge, inner) - border, spots.footprint, 0.01)
    depth = np.clip(high / np.maximum(height, 0.1), 0, 1)
    room = _INTERIOR * (0.6 + 1.6 * depth)[:, None]
    drawn = 0.45 * random(pane_id, 36) * (random(pane_id, 37) < 0.5)
    curtain = np.minimum(left, right) / np.maximum(width, 0.1) < 0.5 * drawn
    blind = (depth < 1.5 * drawn) & (random(pane_id, 38) < 0.4)
    colour = _CURTAINS[(random(pane_id, 39) * len(_CURTAINS)).astype(int)]
    folds = 0.75 + 0.15 * noise(spots.u, spots.v / 20, 0.12, spots.footprint_u)
    room = np.where((curtain | blind)[:, None], colour * (0.45 * folds)[:, None], room)
    wood_white = spots.draw(40)[:, None]
    painted = np.where(wood_white < 0.6, 0.62, np.where(wood_white < 0.85, 0.06, 0.2)) * np.float32(1)
    lit = np.float32(0.25 * spots.dark) * (random(pane_id, 42) < 0.4) * (1 - frame) * (0.4 + depth)
    return _mixed(room, np.broadcast_to(painted, room.shape), frame), frame, lit


def retroreflector(spots: Spots, albedo: np.ndarray) -> Finish:
    """Signs with a rim and a glyph; plates and tapes as they are."""
    sign = spots.class_id == _SIGN
    bright = albedo @ np.array([0.2, 0.7, 0.1], np.float32) > 0.25
    ink = np.where(bright, np.float32(0.02), np.float32(0.75))[:, None]
    rim = (spots.rim < 0.14) & sign
    columns = cells(spots.u, 0.07)[0], cells(spots.v, 0.07)[0]
    glyph = sign & (spots.rim > 0.4) & (random(*columns, spots.key) < 0.5)
    red = np.array([0.55, 0.02, 0.03], np.float32)
    edge = np.where(bright[:, None] & (spots.draw(41) < 0.6)[:, None], red, ink)
    albedo = np.where(rim[:, None], edge, np.where(glyph[:, None], ink, albedo))
    return Finish(albedo=albedo.astype(np.float32), mirror=0.04)


def plain(spots: Spots, albedo: np.ndarray) -> Finish:
    """Rubber, plastic, skin, hair: a little uneven."""
    return Finish(albedo=_scaled(albedo, 1 + 0.12 * spots.grain(0.4, 0.1)), mirror=0.03)


def wetted(spots: Spots, finish: Finish, wetness: float) -> Finish:
    """The same after rain: darker, with puddles in the hollows."""
    hollow = octaves(spots.u, spots.v, (5.0, 2.2, 0.9), spots.footprint)
    puddle = step(hollow - np.float32(1.3 - 1.3 * wetness), 0.3)
    albedo = finish.albedo * (1 - 0.5 * wetness) * (1 - 0.4 * puddle[:, None])
    return replace(finish, albedo=albedo, mirror=np.float32(0.03 * wetness) + np.float32(0.06) * puddle)


TEXTURES: dict[Material, Texture] = {
    Material.ASPHALT: asphalt,
    Material.LANE_MARKING: lane_marking,
    Material.PAVING: paving,
    Material.CONCRETE: concrete,
    Material.GRASS: grass,
    Material.SOIL: soil,
    Material.BRICK: brick,
    Material.PLASTER: plaster,
    Material.GLASS: glass,
    Material.ROOF_TILE: roof_tile,
    Material.WOOD: wood,
    Material.BARK: bark,
    Material.LEAF: leaf,
    Material.CAR_PAINT: car_paint,
    Material.RUBBER: plain,
    Material.METAL: metal,
    Material.RETROREFLECTOR: retroreflector,
    Material.CLOTH: cloth,
    Material.SKIN: plain,
    Material.PLASTIC: plain,
    Material.HAIR: plain,
}
"""By material."""
