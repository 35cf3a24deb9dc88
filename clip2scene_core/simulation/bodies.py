"""Bodies of cars, lorries and buses as skins over cross-sections, and the wheels below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import Colour, Surface, copies, loft, painted, placed, revolve, surface

Outline = Sequence[tuple[float, float]]
TYRE_GREY: Colour = (28, 28, 30)
GLASS_GREY: Colour = (46, 56, 62)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A vehicle body as a skin over cross-sections along x, from x = 0 (rear) to x = length."""

    length: float
    width: float
    height: float
    clearance: float
    top: Outline
    """(share of the length, share of the height), rear to front, of a cut along the middle."""
    belt: float
    """Share of the height where the windows begin."""
    axles: tuple[float, ...]
    """x of each axle, metres."""
    wheel_radius: float
    tumblehome: float
    """How much narrower the roof is than the belt line on each side, metres."""
    windows: tuple[tuple[float, float], ...]
    """Shares of the length that have side windows."""
    glass_slopes: tuple[tuple[float, float], ...]
    """Shares of the length where the upper skin is windscreen or rear window."""
    nose: float = 0.12
    """How much of the half width the corners lose at the ends."""


def _stations(body: Body) -> np.ndarray:
    """(S,) x of the cross-sections: the knees of the outline, the window posts and the wheel arches."""
    knees = [x for x, _ in body.top] + [x for span in (*body.windows, *body.glass_slopes) for x in span]
    marks = np.concatenate(
        [np.array(knees) * body.length, [0.03, 0.1, body.length - 0.1, body.length - 0.03]]
    )
    reach = 1.14 * body.wheel_radius
    arches = [
        x + reach * np.array([-1.02, -0.99, -0.75, -0.4, 0.0, 0.4, 0.75, 0.99, 1.02]) for x in body.axles
    ]
    stations = np.unique(np.clip(np.concatenate([marks, *arches]), 0.0, body.length))
    return stations[np.concatenate([[True], np.diff(stations) > 0.012])]


def skin(body: Body, paint: Surface, glass: Surface) -> Mesh:
    """The closed body: 12 points per cross-section, from the floor over the left side and roof."""
    x = _stations(body)
    share = x / body.length
    top = body.height * np.interp(share, *np.array(body.top).T)
    reach = 1.14 * body.wheel_radius
    rise = [np.sqrt(np.maximum(reach**2 - (x - a) ** 2, 0)) for a in body.axles]
    arch = np.where(np.max(rise, 0) > 0, body.wheel_radius + np.max(rise, 0), 0.0)
    ends = np.abs(2 * share - 1) ** 8
    bottom = np.maximum(body.clearance * (1 + 0.5 * ends), arch)
    belt = np.clip(
        np.full_like(x, body.belt * body.height), bottom + 0.06, np.maximum(top - 0.03, bottom + 0.06)
    )
    waist = np.maximum(0.5 * (body.clearance + body.belt * body.height), bottom + 0.03)
    waist = np.minimum(waist, belt - 0.01)
    top = np.maximum(top, belt + 0.02)
    half = body.width / 2 * (1 - body.nose * ends)
    cabin = (top - belt) / ((1 - body.belt) * body.height)
    edge = half - body.tumblehome * cabin
    crown = np.minimum(0.035 + 0.03 * cabin, 0.4 * (top - belt))
    y = np.stack([half * 0.9, half * 0.985, half, half * 0.985, edge, edge * 0.8], 1)
    z = np.stack([bottom, bottom + 0.02, waist, belt, top - crown, top], 1)
    y, z = np.concatenate([y, -y[:, ::-1]], 1), np.concatenate([z, z[:, ::-1]], 1)
    mesh = loft(np.stack([np.broadcast_to(x[:, None], y.shape), y, z], -1), paint)
    return painted(mesh, np.flatnonzero(_glass_faces(body, share)), glass)


def _glass_faces(body: Body, share: np.ndarray) -> np.ndarray:
    """((S - 1) * 24,) bool: the skin's faces that are windows."""
    middle = (share[:-1] + share[1:]) / 2

    def inside(spans: Sequence[tuple[float, float]]) -> np.ndarray:
        return np.any([(low < middle) & (middle < high) for low, high in spans], axis=0)

    quads = np.zeros((len(middle), 12), bool)
    quads[:, [3, 7]] = (inside(body.windows) | inside(body.glass_slopes))[:, None]
    quads[:, 4:7] |= inside(body.glass_slopes)[:, None]
    return np.repeat(quads.ravel(), 2)


def wheels(class_name: str, axles: Sequence[float], track: float, radius: float, width: float) -> Mesh:
    """A pair of wheels per axle; `track` is the distance between their outer sides."""
    tyre = surface(class_name, Material.RUBBER, TYRE_GREY)
    rim = surface(class_name, Material.METAL, (150, 152, 156))
    profile = [(0.6 * radius, 0.03), (0.62 * radius, 0.0), (0.94 * radius, 0.0), (radius, 0.2 * width)]
    profile += [(r, width - h) for r, h in reversed(profile)]
    wheel = revolve(profile, tyre, sides=12)
    wheel = painted(wheel, slice(len(wheel.faces) - 24, None), rim)
    wheel = placed(wheel, roll=np.pi / 2)
    offsets = [(x, y, radius) for x in axles for y in (track / 2, width - track / 2)]
    return copies(wheel, np.array(offsets))
