"""Cars, trucks, buses, construction vehicles and two-wheelers; forward is +x, all wheels stand on z = 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import (
    Colour,
    Surface,
    box,
    boxes,
    copies,
    cylinder,
    ellipsoid,
    grounded,
    loft,
    painted,
    pick,
    placed,
    prism,
    revolve,
    sheet,
    surface,
    tinted,
    torus,
    tube,
    tubes,
)

Outline = Sequence[tuple[float, float]]

_PAINTS: tuple[Colour, ...] = (
    *((232, 232, 230), (190, 193, 196), (120, 124, 128), (60, 62, 66), (22, 22, 24)),
    *(
        (30, 52, 110),
        (70, 110, 170),
        (150, 24, 28),
        (40, 78, 52),
        (176, 150, 110),
        (196, 120, 30),
        (110, 60, 40),
    ),
)
_PAINT_SHARES = (20, 18, 14, 9, 16, 7, 5, 7, 2, 3, 1, 2)
_LORRY_PAINTS: tuple[Colour, ...] = (
    *(
        (236, 236, 234),
        (200, 30, 34),
        (24, 70, 150),
        (240, 170, 20),
        (40, 110, 60),
        (90, 92, 96),
        (30, 30, 34),
    ),
)
_TYRE_GREY: Colour = (28, 28, 30)
_GLASS_GREY: Colour = (46, 56, 62)
_MACHINE_PAINTS: tuple[Colour, ...] = ((236, 180, 20), (230, 110, 20), (60, 120, 60), (200, 200, 196))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """A vehicle body as a skin over cross-sections along x, from x = 0 (rear) to x = length."""

    length: float
    width: float
    height: float
    clearance: float
    top: Outline
    """(share of the length, share of the height), rear to front: the line that a cut along the middle shows."""
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


def _stations(body: _Body) -> np.ndarray:
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


def _skin(body: _Body, paint: Surface, glass: Surface) -> Mesh:
    """The closed body: 12 points per cross-section, from the floor over the left side and the roof to the right side."""
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


def _glass_faces(body: _Body, share: np.ndarray) -> np.ndarray:
    """((S - 1) * 24,) bool: the skin's faces that are windows."""
    middle = (share[:-1] + share[1:]) / 2

    def inside(spans: Sequence[tuple[float, float]]) -> np.ndarray:
        return np.any([(low < middle) & (middle < high) for low, high in spans], axis=0)

    quads = np.zeros((len(middle), 12), bool)
    quads[:, [3, 7]] = (inside(body.windows) | inside(body.glass_slopes))[:, None]
    quads[:, 4:7] |= inside(body.glass_slopes)[:, None]
    return np.repeat(quads.ravel(), 2)


def _wheels(class_name: str, axles: Sequence[float], track: float, radius: float, width: float) -> Mesh:
    """A pair of wheels per axle; `track` is the distance between their outer sides."""
    tyre = surface(class_name, Material.RUBBER, _TYRE_GREY)
    rim = surface(class_name, Material.METAL, (150, 152, 156))
    profile = [(0.6 * radius, 0.03), (0.62 * radius, 0.0), (0.94 * radius, 0.0), (radius, 0.2 * width)]
    profile += [(r, width - h) for r, h in reversed(profile)]
    wheel = revolve(profile, tyre, sides=12)
    wheel = painted(wheel, slice(len(wheel.faces) - 24, None), rim)
    wheel = placed(wheel, roll=np.pi / 2)
    offsets = [(x, y, radius) for x in axles for y in (track / 2, width - track / 2)]
    return copies(wheel, np.array(offsets))


@dataclass(frozen=True, slots=True, kw_only=True)
class _CarStyle:
    """The proportions of one kind of car; ranges are metres."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    top: Outline
    windows: tuple[tuple[float, float], ...]
    slopes: tuple[tuple[float, float], ...]
    belt: float = 0.64
    overhangs: tuple[float, float] = (0.19, 0.18)
    """Shares of the length behind the rear and ahead of the front axle."""
    clearance: float = 0.18
    tumblehome: float = 0.2
    wheel: tuple[float, float] = (0.30, 0.34)


_CAR_STYLES = {
    "sedan": _CarStyle(
        length=(4.35, 4.95),
        width=(1.72, 1.90),
        height=(1.40, 1.50),
        top=(
            (0, 0.5),
            (0.012, 0.63),
            (0.05, 0.69),
            (0.17, 0.71),
            (0.31, 0.96),
            (0.4, 1),
            (0.5, 0.995),
            (0.57, 0.96),
            (0.74, 0.69),
            (0.9, 0.61),
            (0.97, 0.54),
            (1, 0.42),
        ),
        windows=((0.24, 0.38), (0.4, 0.53), (0.545, 0.66)),
        slopes=((0.185, 0.3), (0.585, 0.73)),
    ),
    "hatchback": _CarStyle(
        length=(3.6, 4.3),
        width=(1.65, 1.82),
        height=(1.43, 1.56),
        top=(
            (0, 0.5),
            (0.015, 0.62),
            (0.04, 0.68),
            (0.12, 0.92),
            (0.19, 0.98),
            (0.35, 1),
            (0.47, 0.99),
            (0.55, 0.95),
            (0.74, 0.67),
            (0.91, 0.58),
            (0.975, 0.51),
            (1, 0.4),
        ),
        windows=((0.13, 0.21), (0.23, 0.4), (0.42, 0.66)),
        slopes=((0.045, 0.115), (0.565, 0.73)),
        overhangs=(0.16, 0.19),
    ),
    "estate": _CarStyle(
        length=(4.4, 4.95),
        width=(1.74, 1.88),
        height=(1.43, 1.53),
        top=(
            (0, 0.5),
            (0.012, 0.63),
            (0.03, 0.69),
            (0.09, 0.93),
            (0.14, 0.97),
            (0.35, 1),
            (0.5, 0.99),
            (0.57, 0.95),
            (0.74, 0.68),
            (0.91, 0.6),
            (0.975, 0.52),
            (1, 0.42),
        ),
        windows=((0.08, 0.22), (0.24, 0.4), (0.42, 0.55), (0.56, 0.66)),
        slopes=((0.034, 0.085), (0.585, 0.73)),
    ),
    "suv": _CarStyle(
        length=(4.2, 4.95),
        width=(1.80, 1.95),
        height=(1.60, 1.88),
        top=(
            (0, 0.45),
            (0.012, 0.6),
            (0.03, 0.66),
            (0.09, 0.93),
            (0.14, 0.975),
            (0.35, 1),
            (0.5, 0.99),
            (0.57, 0.95),
            (0.72, 0.67),
            (0.92, 0.61),
            (0.98, 0.55),
            (1, 0.42),
        ),
        windows=((0.09, 0.21), (0.23, 0.39), (0.41, 0.66)),
        slopes=((0.034, 0.085), (0.58, 0.71)),
        clearance=0.23,
        wheel=(0.34, 0.39),
    ),
    "van": _CarStyle(
        length=(4.3, 5.0),
        width=(1.78, 1.95),
        height=(1.78, 2.0),
        top=(
            (0, 0.4),
            (0.01, 0.55),
            (0.02, 0.8),
            (0.04, 0.97),
            (0.3, 1),
            (0.62, 0.99),
            (0.68, 0.95),
            (0.84, 0.62),
            (0.95, 0.53),
            (0.985, 0.46),
            (1, 0.35),
        ),
        windows=((0.05, 0.28), (0.3, 0.5), (0.52, 0.78)),
        slopes=((0.022, 0.036), (0.69, 0.83)),
        belt=0.58,
        tumblehome=0.12,
        wheel=(0.31, 0.35),
    ),
    "panel van": _CarStyle(
        length=(4.3, 5.0),
        width=(1.78, 1.95),
        height=(1.80, 2.0),
        top=(
            (0, 0.4),
            (0.01, 0.55),
            (0.02, 0.8),
            (0.03, 0.98),
            (0.3, 1),
            (0.62, 0.99),
            (0.68, 0.95),
            (0.82, 0.62),
            (0.95, 0.52),
            (0.985, 0.45),
            (1, 0.35),
        ),
        windows=((0.56, 0.77),),
        slopes=((0.69, 0.81),),
        belt=0.58,
        tumblehome=0.09,
        wheel=(0.31, 0.35),
    ),
    "pickup": _CarStyle(
        length=(4.8, 5.0),
        width=(1.80, 1.95),
        height=(1.70, 1.88),
        top=(
            (0, 0.42),
            (0.01, 0.44),
            (0.36, 0.44),
            (0.365, 0.66),
            (0.4, 0.93),
            (0.44, 0.98),
            (0.52, 1),
            (0.6, 0.96),
            (0.74, 0.68),
            (0.93, 0.62),
            (0.98, 0.55),
            (1, 0.42),
        ),
        windows=((0.4, 0.5), (0.52, 0.68)),
        slopes=((0.37, 0.4), (0.61, 0.73)),
        clearance=0.25,
        overhangs=(0.23, 0.17),
        wheel=(0.36, 0.4),
    ),
}
_CAR_SHARES = {"sedan": 20, "hatchback": 28, "estate": 17, "suv": 18, "van": 8, "panel van": 6, "pickup": 3}


def car(rng: np.random.Generator) -> Mesh:
    """A passenger car, pickup or small van; 3.6-5 m long, 1.65-1.95 m wide without mirrors, 1.4-2 m high."""
    kind = pick(rng, tuple(_CAR_SHARES), tuple(_CAR_SHARES.values()))
    style = _CAR_STYLES[kind]
    length, width, height = (rng.uniform(*span) for span in (style.length, style.width, style.height))
    radius = rng.uniform(*style.wheel)
    jitter = rng.normal(0, 0.008, 2)
    body = _Body(
        length=length,
        width=width,
        height=height,
        clearance=style.clearance * rng.uniform(0.9, 1.1),
        top=_varied(rng, style.top),
        belt=style.belt + rng.normal(0, 0.012),
        axles=(length * (style.overhangs[0] + jitter[0]), length * (1 - style.overhangs[1] + jitter[1])),
        wheel_radius=radius,
        tumblehome=style.tumblehome * rng.uniform(0.8, 1.2),
        windows=style.windows,
        glass_slopes=style.slopes,
        nose=rng.uniform(0.08, 0.16),
    )
    colour = tinted(rng, pick(rng, _PAINTS, _PAINT_SHARES), 8)
    paint = surface("car", Material.CAR_PAINT, colour)
    parts = [
        _skin(body, paint, surface("car", Material.GLASS, _GLASS_GREY)),
        _wheels("car", body.axles, width - 0.05, radius, rng.uniform(0.18, 0.24)),
        *_car_fittings(rng, body, paint),
    ]
    if kind == "pickup":
        parts.append(_pickup_bed(body, paint))
    return placed(Mesh.merge(parts), (-length / 2, 0, 0))


def _varied(rng: np.random.Generator, outline: Outline) -> Outline:
    """The outline with knees moved by a few centimetres, ends and roof kept."""
    return tuple((x, z if z in (1, outline[0][1]) else min(z * rng.normal(1, 0.01), 1.0)) for x, z in outline)


def _car_fittings(rng: np.random.Generator, body: _Body, paint: Surface) -> list[Mesh]:
    """Floor pan, mirrors, lamps, licence plates and sometimes a roof rack or box."""
    length, half, height = body.length, body.width / 2, body.height
    dark = surface("car", Material.PLASTIC, (30, 30, 32))
    lamp = surface("car", Material.PLASTIC, (215, 220, 225))
    tail = surface("car", Material.RETROREFLECTOR, (170, 20, 20))
    plate = surface("car", Material.RETROREFLECTOR, pick(rng, ((235, 235, 230), (240, 200, 40))))
    cowl = max(x for _, x in body.glass_slopes) * length
    belt = body.belt * height
    front, rear = body.clearance + 0.28, body.clearance + 0.38
    mirror = (cowl - 0.32, half - 0.02, belt + 0.02)
    parts = [
        boxes([0.25, 0.28 - half, body.clearance], [length - 0.25, half - 0.28, body.clearance + 0.3], dark),
        boxes(
            [mirror, (mirror[0], -half - 0.18, mirror[2])],
            [(mirror[0] + 0.1, half + 0.18, belt + 0.15), (mirror[0] + 0.1, -half + 0.02, belt + 0.15)],
            pick(rng, (paint, dark)),
        ),
        boxes(
            [(length - 0.12, s * (half * 0.62) - 0.16, 0.36 * height) for s in (-1, 1)],
            [(length - 0.02, s * (half * 0.62) + 0.16, 0.36 * height + 0.12) for s in (-1, 1)],
            lamp,
        ),
        boxes(
            [(-0.01, s * (half * 0.74) - 0.1, 0.4 * height) for s in (-1, 1)],
            [(0.1, s * (half * 0.74) + 0.1, 0.4 * height + 0.16) for s in (-1, 1)],
            tail,
        ),
        sheet(
            [
                (length + 0.02, y, z)
                for y, z in ((-0.26, front), (0.26, front), (0.26, front + 0.11), (-0.26, front + 0.11))
            ],
            plate,
        ),
        sheet(
            [
                (-0.02, y, z)
                for y, z in ((0.26, rear), (-0.26, rear), (-0.26, rear + 0.11), (0.26, rear + 0.11))
            ],
            plate,
        ),
    ]
    if rng.random() < 0.12:
        middle = 0.4 * length
        rails = [(middle - 0.5, s * half * 0.6 - 0.02, height - 0.02) for s in (-1, 1)]
        parts.append(boxes(rails, np.array(rails) + (1.1, 0.04, 0.08), dark))
    return parts


def _pickup_bed(body: _Body, paint: Surface) -> Mesh:
    """The three walls around the bed of a pickup."""
    end, half = 0.365 * body.length, body.width / 2 * 0.97
    low, high = 0.4 * body.height, 0.63 * body.height
    return boxes(
        [(0.0, -half * 0.95, low), (0.02, half - 0.08, low), (0.02, -half, low)],
        [(0.06, half * 0.95, high), (end, half, high), (end, -half + 0.08, high)],
        paint,
    )


def truck(rng: np.random.Generator) -> Mesh:
    """A delivery van with a box, a rigid lorry or a semi-trailer; 5.5-16.5 m long, 2-2.55 m wide, 2.4-4 m high."""
    kind = pick(rng, ("delivery", "rigid", "semi"), (35, 40, 25))
    paint = surface("truck", Material.CAR_PAINT, tinted(rng, pick(rng, _LORRY_PAINTS), 10))
    if kind == "delivery":
        return _delivery_truck(rng, paint)
    cab_length, width = rng.uniform(1.8, 2.4), rng.uniform(2.3, 2.55)
    radius = rng.uniform(0.42, 0.52)
    load_length = rng.uniform(4.5, 7.5) if kind == "rigid" else rng.uniform(10.5, 13.6)
    length = cab_length + load_length + rng.uniform(0.15, 0.5)
    deck = rng.uniform(0.95, 1.25)
    cab_height = rng.uniform(2.5, 3.1) if kind == "rigid" else rng.uniform(3.0, 3.7)
    dark = surface("truck", Material.METAL, (42, 42, 46))
    front_axle = length - rng.uniform(1.2, 1.4)
    axles = (
        [front_axle, load_length * 0.27]
        if kind == "rigid"
        else [front_axle, load_length + 0.6 - 1.6, 0.9, 2.2, 3.5]
    )
    parts = [
        placed(
            _cab(rng, cab_length, width, cab_height, radius, front_axle - length + cab_length, paint),
            (length - cab_length, 0, 0),
        ),
        boxes([0.2, -0.45, deck - 0.35], [length - 0.6, 0.45, deck], dark),
        _wheels("truck", axles, width - 0.08, radius, 0.3),
        _load(rng, load_length, width, deck, min(4.0, max(cab_height + rng.uniform(-0.2, 0.7), deck + 1.4))),
        boxes([0.0, -width / 2 + 0.1, 0.45], [0.12, width / 2 - 0.1, 0.6], dark),
    ]
    if rng.random() < 0.7:
        first, last = (axles[1] + 0.7, front_axle - 1.0) if kind == "rigid" else (4.3, axles[1] - 0.8)
        guards = [(first, s * (width / 2 - 0.05) - 0.02, z) for s in (-1, 1) for z in (0.45, 0.75)]
        parts.append(boxes(guards, [(last, y + 0.04, z + 0.12) for _, y, z in guards], dark))
    return placed(Mesh.merge(parts), (-length / 2, 0, 0))


def _delivery_truck(rng: np.random.Generator, paint: Surface) -> Mesh:
    """A large panel van, or one with a box behind its cab."""
    length, width, height = rng.uniform(5.5, 7.0), rng.uniform(2.0, 2.2), rng.uniform(2.4, 2.9)
    radius = rng.uniform(0.34, 0.38)
    boxed = rng.random() < 0.4
    roof = 2.2 / height if boxed else 1.0
    top = (
        (0, 0.5 * roof),
        (0.005, 0.97 * roof),
        (0.03, roof),
        (0.7, roof),
        (0.76, 0.96 * roof),
        (0.88, 0.56 * roof),
        (0.97, 0.46 * roof),
        (0.99, 0.4 * roof),
        (1, 0.25 * roof),
    )
    body = _Body(
        length=length, width=width, height=height, clearance=0.25, top=top, belt=0.53 * roof,
        axles=(length * 0.22, length * 0.84), wheel_radius=radius, tumblehome=0.12, windows=((0.68, 0.83),),
        glass_slopes=((0.77, 0.87),), nose=0.1,
    )  # fmt: skip
    glass = surface("truck", Material.GLASS, _GLASS_GREY)
    dark = surface("truck", Material.PLASTIC, (30, 30, 32))
    mirrors = [(0.8 * length, s * (width / 2 + 0.12) - 0.12, 1.25) for s in (-1, 1)]
    parts = [
        _skin(body, paint, glass),
        _wheels("truck", body.axles, width - 0.06, radius, 0.25),
        boxes([0.25, 0.35 - width / 2, 0.25], [length - 0.3, width / 2 - 0.35, 0.6], dark),
        boxes(mirrors, np.array(mirrors) + (0.1, 0.24, 0.3), dark),
    ]
    if boxed:
        parts.append(_load(rng, 0.64 * length, width + 0.1, 0.85, height, "box"))
    return placed(Mesh.merge(parts), (-length / 2, 0, 0))


def _cab(
    rng: np.random.Generator,
    length: float,
    width: float,
    height: float,
    radius: float,
    axle: float,
    paint: Surface,
) -> Mesh:
    """A cab above its engine, from x = 0 (back wall) to its front at x = length."""
    screen = rng.uniform(0.84, 0.9)
    body = _Body(
        length=length, width=width, height=height, clearance=0.35,
        top=((0, 0.93), (0.05, 0.97), (0.4, 1), (screen - 0.06, 0.98), (screen, 0.9), (0.96, 0.55), (0.99, 0.45), (1, 0.2)),
        belt=0.55, axles=(axle,), wheel_radius=radius, tumblehome=0.08, windows=((0.4, screen - 0.08),),
        glass_slopes=((screen, 0.96),), nose=0.08,
    )  # fmt: skip
    dark = surface("truck", Material.PLASTIC, (34, 34, 38))
    mirrors = [(0.9 * length, s * (width / 2 + 0.12) - 0.09, 0.6 * height) for s in (-1, 1)]
    parts = [
        _skin(body, paint, surface("truck", Material.GLASS, _GLASS_GREY)),
        boxes(mirrors, np.array(mirrors) + (0.12, 0.18, 0.55), dark),
        boxes([length - 0.05, -width * 0.42, 0.4], [length + 0.05, width * 0.42, 0.75], dark),
    ]
    return Mesh.merge(parts)


def _load(
    rng: np.random.Generator, length: float, width: float, deck: float, height: float, kind: str | None = None
) -> Mesh:
    """What stands on the chassis from x = 0 to `length`: a box, container, flat bed, tank or tipper."""
    kind = kind or pick(rng, ("box", "container", "flat", "tank", "tipper"), (45, 15, 15, 10, 15))
    colour = tinted(rng, pick(rng, (*_LORRY_PAINTS, (225, 225, 222), (240, 240, 240))), 12)
    look = surface("truck", Material.CAR_PAINT, colour)
    half = width / 2
    if kind == "box":
        return boxes([0, -half, deck], [length, half, height], look)
    if kind == "container":
        x = np.arange(0.1, length - 0.2, 0.45)
        ribs = [
            np.stack([x, np.full_like(x, y), np.full_like(x, deck + 0.1)], 1) for y in (-half, half - 0.05)
        ]
        low = np.concatenate(ribs)
        core = boxes([0, 0.05 - half, deck], [length, half - 0.05, height], look)
        return Mesh.merge([core, boxes(low, low + (0.15, 0.05, height - deck - 0.15), look)])
    if kind == "tank":
        radius = min(half, (height - deck) / 2) * 0.97
        profile = [(0.6 * radius, 0), (radius, 0.25), (radius, length - 0.25), (0.6 * radius, length)]
        metal = surface("truck", Material.METAL, (190, 192, 196))
        tank = placed(
            revolve(profile, pick(rng, (metal, look)), sides=16), (0, 0, deck + radius), pitch=np.pi / 2
        )
        return Mesh.merge(
            [tank, boxes([0.3, -half * 0.6, deck], [length - 0.3, half * 0.6, deck + 0.3], look)]
        )
    if kind == "tipper":
        wall = [
            (0, deck),
            (0, deck + 1.25),
            (length, deck + 1.25),
            (length, deck),
            (length * 0.9, deck - 0.05),
        ]
        soil = surface("truck", Material.SOIL, (110, 84, 60))
        heap = ellipsoid(
            (length / 2, 0, deck + 1.1), (length * 0.45, half * 0.9, rng.uniform(0.3, 0.8)), soil
        )
        return Mesh.merge([prism(wall, -half, half, look), heap])
    return _flat_bed(rng, length, half, deck, look)


def _flat_bed(rng: np.random.Generator, length: float, half: float, deck: float, look: Surface) -> Mesh:
    """A platform with drop sides, a headboard and some goods."""
    wood = surface("truck", Material.WOOD, (150, 120, 84))
    parts = [
        boxes([0, -half, deck], [length, half, deck + 0.12], look),
        boxes([length - 0.1, -half, deck], [length, half, deck + 1.2], look),
    ]
    if rng.random() < 0.6:
        sides = [(0, -half, deck), (0, half - 0.04, deck), (0, -half, deck)]
        parts.append(
            boxes(
                sides,
                [(length, 0.04 - half, deck + 0.5), (length, half, deck + 0.5), (0.04, half, deck + 0.5)],
                look,
            )
        )
    count = int(rng.integers(0, 7))
    if count:
        x = rng.uniform(0.3, length - 1.6, count)
        y = rng.uniform(-half + 0.1, half - 1.1, count)
        low = np.column_stack([x, y, np.full(count, deck + 0.12)])
        parts.append(boxes(low, low + rng.uniform(0.6, 1.2, (count, 3)), wood))
    return Mesh.merge(parts)


def bus(rng: np.random.Generator) -> Mesh:
    """A city bus or a coach; 8.5-13 m long, 2.4-2.55 m wide, 2.8-3.8 m high."""
    coach = rng.random() < 0.3
    length, width = rng.uniform(8.5, 13.0), rng.uniform(2.4, 2.55)
    height = rng.uniform(3.3, 3.8) if coach else rng.uniform(2.8, 3.2)
    radius = rng.uniform(0.45, 0.5)
    slope = rng.uniform(0.02, 0.04)
    top = (
        (0, 0.9),
        (0.005, 0.96),
        (0.02, 1),
        (0.9, 1),
        (1 - 1.4 * slope, 0.98),
        (1 - slope, 0.9),
        (0.993, 0.42),
        (1, 0.2),
    )
    posts = np.linspace(0.06, 0.93, int(length / 1.5))
    gap = 0.06 / length
    body = _Body(
        length=length, width=width, height=height, clearance=0.3, top=top, belt=0.52 if coach else 0.42,
        axles=(length * 0.27, length * 0.78), wheel_radius=radius, tumblehome=0.1,
        windows=tuple((a + gap, b - gap) for a, b in zip(posts[:-1], posts[1:], strict=True)),
        glass_slopes=((1 - slope, 0.992),), nose=0.06,
    )  # fmt: skip
    paint = surface(
        "bus", Material.CAR_PAINT, tinted(rng, pick(rng, (*_LORRY_PAINTS, (220, 200, 60), (90, 150, 60))), 10)
    )
    dark = surface("bus", Material.PLASTIC, (36, 36, 40))
    mirrors = [(length, s * (width / 2 + 0.1) - 0.1, 0.68 * height) for s in (-1, 1)]
    roof = rng.uniform(0.15, 0.6) * length
    parts = [
        _skin(body, paint, surface("bus", Material.GLASS, _GLASS_GREY)),
        _wheels("bus", body.axles, width - 0.06, radius, 0.3),
        boxes([0.3, 0.4 - width / 2, 0.3], [length - 0.3, width / 2 - 0.4, 0.9], dark),
        boxes(mirrors, np.array(mirrors) + (0.15, 0.2, 0.5), dark),
        boxes([roof, -0.7, height - 0.03], [roof + rng.uniform(1.2, 3), 0.7, height + rng.uniform(0.1, 0.25)], paint),
        sheet([(-0.02, y, z) for y, z in ((0.26, 0.7), (-0.26, 0.7), (-0.26, 0.81), (0.26, 0.81))],
              surface("bus", Material.RETROREFLECTOR, (235, 235, 230))),
    ]  # fmt: skip
    return placed(Mesh.merge(parts), (-length / 2, 0, 0))


def construction_vehicle(rng: np.random.Generator) -> Mesh:
    """A tracked excavator or a wheel loader; 4.5-10 m long, 1.9-2.8 m wide, 2.5-6 m high."""
    paint = surface(
        "construction vehicle", Material.CAR_PAINT, tinted(rng, pick(rng, _MACHINE_PAINTS, (6, 3, 1, 1)), 8)
    )
    return _excavator(rng, paint) if rng.random() < 0.55 else _wheel_loader(rng, paint)


def _excavator(rng: np.random.Generator, paint: Surface) -> Mesh:
    dark = surface("construction vehicle", Material.METAL, (52, 50, 48))
    glass = surface("construction vehicle", Material.GLASS, _GLASS_GREY)
    s = rng.uniform(0.75, 1.15)
    track = (
        np.array(
            [
                (-1.6, 0.25),
                (-1.35, 0),
                (1.35, 0),
                (1.6, 0.25),
                (1.6, 0.55),
                (1.35, 0.8),
                (-1.35, 0.8),
                (-1.6, 0.55),
            ]
        )
        * s
    )
    house = [(-1.9 * s, 1.0 * s), (1.2 * s, 1.0 * s), (1.2 * s, 1.5 * s), (0, 1.95 * s), (-1.9 * s, 1.95 * s)]
    lift, reach = rng.uniform(0.5, 1.0), rng.uniform(-1.9, -1.1)
    foot = np.array([1.0, 0, 1.4]) * s
    elbow = foot + 3.0 * s * np.array([np.cos(lift), 0, np.sin(lift)])
    knee = (foot + elbow) / 2 + np.array([-0.3, 0, 0.35]) * s
    wrist = elbow + 1.9 * s * np.array([np.cos(reach + 0.3), 0, np.sin(reach + 0.3)])
    wrist[2] = max(wrist[2], 0.55 * s)
    bucket = np.array([(0, 0.15), (0.35, -0.1), (0.2, -0.5), (-0.35, -0.5), (-0.5, -0.2)]) * s + wrist[[0, 2]]
    upper = Mesh.merge(
        [
            prism(house, -1.05 * s, 1.05 * s, paint),
            boxes([-0.1 * s, 0.15 * s, 1.5 * s], [1.25 * s, 1.05 * s, 2.7 * s], glass),
            boxes([-0.12 * s, 0.13 * s, 2.65 * s], [1.27 * s, 1.07 * s, 2.75 * s], paint),
            tube([foot, knee, elbow], [0.22 * s, 0.28 * s, 0.16 * s], paint, sides=4),
            tube([elbow, wrist], [0.2 * s, 0.12 * s], paint, sides=4),
            tube([foot + (0.3, 0, -0.1), knee], 0.07 * s, dark, sides=5),
            prism(bucket, -0.4 * s, 0.4 * s, dark),
        ]
    )
    upper = placed(upper, yaw=rng.normal(0, 0.5))
    lower = [prism(track, y * s, (y + 0.5) * s, dark) for y in (-1.2, 0.7)]
    frame = boxes([-0.8 * s, -0.8 * s, 0.3 * s], [0.8 * s, 0.8 * s, 0.8 * s], dark)
    return Mesh.merge([*lower, frame, cylinder(0.6 * s, 0.25 * s, (0, 0, 0.78 * s), dark), upper])


def _wheel_loader(rng: np.random.Generator, paint: Surface) -> Mesh:
    dark = surface("construction vehicle", Material.METAL, (60, 58, 54))
    glass = surface("construction vehicle", Material.GLASS, _GLASS_GREY)
    s = rng.uniform(0.75, 1.15)
    lift = rng.uniform(0.3, 1.4) * s
    rear = [
        (-2.6 * s, 0.7 * s),
        (0.1 * s, 0.7 * s),
        (0.1 * s, 1.7 * s),
        (-2.3 * s, 1.6 * s),
        (-2.6 * s, 1.4 * s),
    ]
    tip = np.array([3.0 * s, lift])
    bucket = np.array([(-0.2, 0.5), (-0.35, 0), (0, -0.25), (0.75, -0.25), (0.5, 0.55)]) * s + tip
    bucket[:, 1] -= min(bucket[:, 1].min() - 0.02, 0)
    arms = [
        [
            (0.7 * s, y * s, 1.5 * s),
            (1.9 * s, y * s, (0.75 * s + lift) / 2 + 0.4 * s),
            (2.75 * s, y * s, lift),
        ]
        for y in (-0.4, 0.4)
    ]
    parts = [
        prism(rear, -0.75 * s, 0.75 * s, paint),
        boxes([0.1 * s, -0.45 * s, 0.7 * s], [1.9 * s, 0.45 * s, 1.4 * s], paint),
        boxes([-0.75 * s, -0.6 * s, 1.6 * s], [0.5 * s, 0.6 * s, 2.85 * s], glass),
        boxes([-0.8 * s, -0.65 * s, 2.8 * s], [0.55 * s, 0.65 * s, 2.95 * s], paint),
        tubes(np.array(arms), 0.14 * s, paint, sides=4),
        prism(bucket, -1.2 * s, 1.2 * s, dark),
        _wheels("construction vehicle", (-1.5 * s, 1.3 * s), 2.1 * s, 0.7 * s, 0.5 * s),
        tube([(-1.6 * s, 0.4 * s, 1.5 * s), (-1.6 * s, 0.4 * s, 2.2 * s)], 0.06 * s, dark),
    ]
    return Mesh.merge(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoWheeler:
    """A bicycle or motorcycle upright on its wheels, and where its rider touches it (x, y > 0 side, z; metres)."""

    mesh: Mesh
    saddle: tuple[float, float, float]
    grip: tuple[float, float, float]
    pedals: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Left and right foot."""


def upright_bicycle(rng: np.random.Generator, class_name: str = "bicycle") -> TwoWheeler:
    """A city, sports or step-through bicycle, 1.5-1.9 m long."""
    s = rng.uniform(0.88, 1.06)
    radius, base = 0.345 * s, rng.uniform(1.0, 1.12) * s
    saddle_z, bar_z = rng.uniform(0.85, 1.02) * s, rng.uniform(0.95, 1.15) * s
    frame = surface(class_name, Material.METAL, tinted(rng, pick(rng, _PAINTS), 15))
    dark = surface(class_name, Material.RUBBER, (30, 30, 32))
    rear, front = np.array([-base / 2, 0, radius]), np.array([base / 2, 0, radius])
    crank = np.array([-base * 0.08, 0, 0.29 * s])
    seat = np.array([crank[0] - 0.2 * s, 0, saddle_z - 0.06])
    head = np.array([front[0] - 0.22 * s, 0, 0.82 * s])
    low_head = head + (0.04, 0, -0.12)
    collar = crank + 0.8 * (seat - crank) if rng.random() < 0.6 else crank + 0.35 * (seat - crank)
    stem = np.array([head[0] - 0.04, 0, bar_z])
    grip = (stem[0] - rng.uniform(-0.05, 0.14), rng.uniform(0.24, 0.32), bar_z)
    pairs = [
        (crank, seat),
        (crank, low_head),
        (collar, head),
        (crank, rear),
        (collar, rear),
        (front, head),
        (head, stem),
    ]
    turn = rng.uniform(0, 2 * np.pi)
    swing = 0.17 * s * np.array([np.cos(turn), 0, np.sin(turn)])
    pedals = tuple(tuple(crank + sign * swing + (0, sign * 0.13, 0)) for sign in (1, -1))
    parts = [
        tubes(np.array(pairs), 0.019, frame, sides=5),
        copies(torus(radius - 0.022, 0.022, dark), np.array([rear, front])),
        _spokes(radius, np.array([rear, front]), surface(class_name, Material.METAL, (170, 172, 175))),
        tube([(grip[0], grip[1], bar_z), stem, (grip[0], -grip[1], bar_z)], 0.016, dark, sides=4),
        ellipsoid(seat + (-0.02, 0, 0.05), (0.14, 0.075, 0.04), dark, rings=4, sides=6),
        boxes(
            [np.array(p) - (0.05, 0.05, 0.015) for p in pedals],
            [np.array(p) + (0.05, 0.05, 0.015) for p in pedals],
            dark,
        ),
        placed(cylinder(0.09, 0.02, (0, 0, 0), dark, sides=8), crank + (0, 0.05, 0), roll=np.pi / 2),
    ]
    parts += _bicycle_extras(rng, class_name, rear, front, radius, head)
    return TwoWheeler(
        mesh=grounded(Mesh.merge(parts)), saddle=tuple(seat + (0, 0, 0.09)), grip=grip, pedals=pedals
    )


def _spokes(radius: float, hubs: np.ndarray, look: Surface) -> Mesh:
    angle = np.pi * np.arange(5) / 5
    reach = 0.95 * radius * np.stack([np.cos(angle), np.zeros(5), np.sin(angle)], -1)
    ends = np.stack([hubs[:, None] - reach, hubs[:, None] + reach], 2).reshape(-1, 2, 3)
    return tubes(ends, 0.003, look, sides=3, caps=False)


def _bicycle_extras(
    rng: np.random.Generator,
    class_name: str,
    rear: np.ndarray,
    front: np.ndarray,
    radius: float,
    head: np.ndarray,
) -> list[Mesh]:
    """Mudguards, carrier, bags and basket, each only on some bicycles."""
    dark = surface(class_name, Material.METAL, (50, 50, 54))
    bag = surface(class_name, Material.CLOTH, tinted(rng, (60, 60, 70), 40))
    parts = []
    if rng.random() < 0.6:
        angle = np.linspace(0.1, 0.85, 6) * np.pi
        arc = (radius + 0.02) * np.stack([np.cos(angle), 0 * angle, np.sin(angle)], -1)
        parts.append(tubes(np.array([rear + arc, front + arc]), 0.022, dark, sides=4))
    if rng.random() < 0.55:
        parts.append(box((0.38, 0.13, 0.03), rear + (-0.06, 0, radius + 0.07), dark))
        if rng.random() < 0.4:
            sides = [rear + (-0.06, s * 0.13, 0.05) for s in (-1, 1)]
            parts += [box((0.3, 0.12, 0.3), s, bag) for s in sides]
    if rng.random() < 0.2:
        parts.append(
            box((0.28, 0.36, 0.24), head + (0.2, 0, 0.05), surface(class_name, Material.WOOD, (130, 96, 60)))
        )
    return parts


def upright_motorcycle(rng: np.random.Generator, class_name: str = "motorcycle") -> TwoWheeler:
    """A motorcycle or scooter, 1.7-2.3 m long."""
    scooter = rng.random() < 0.4
    s = rng.uniform(0.92, 1.06)
    radius, base = (0.24, 1.28 * s) if scooter else (0.31, 1.43 * s)
    tyre = 0.055 if scooter else 0.07
    paint = surface(class_name, Material.CAR_PAINT, tinted(rng, pick(rng, _PAINTS), 12))
    dark = surface(class_name, Material.METAL, (48, 48, 52))
    rubber = surface(class_name, Material.RUBBER, _TYRE_GREY)
    rear, front = np.array([-base / 2, 0, radius]), np.array([base / 2, 0, radius])
    head = np.array([front[0] - 0.3 * s, 0, 0.9 * s])
    grip = (head[0] - 0.12, 0.36, 1.02 * s)
    seat_z = 0.78 * s
    parts = [
        copies(torus(radius - tyre, tyre, rubber, tube_sides=6), np.array([rear, front])),
        copies(placed(cylinder(radius * 0.6, 0.05, (0, 0, 0), dark, sides=10), (0, 0.025, 0), roll=np.pi / 2), np.array([rear, front])),
        tubes(np.array([[front + (0, y, 0), head + (0, y, 0)] for y in (-0.09, 0.09)]), 0.028, dark, sides=5),
        tube([(grip[0], 0.36, grip[2]), head + (0, 0, 0.08), (grip[0], -0.36, grip[2])], 0.02, dark, sides=5),
        ellipsoid((-0.3 * s, 0, seat_z - 0.02), (0.38 * s, 0.15, 0.09), surface(class_name, Material.RUBBER, (26, 26, 28))),
        boxes([(grip[0], s_ * 0.3 - 0.06, grip[2] + 0.1) for s_ in (-1, 1)], [(grip[0] + 0.03, s_ * 0.3 + 0.06, grip[2] + 0.2) for s_ in (-1, 1)], dark),
        ellipsoid(head + (0.1, 0, -0.02), (0.1, 0.1, 0.1), surface(class_name, Material.GLASS, (200, 205, 210)), rings=4, sides=7),
        sheet([(rear[0] - radius - 0.04, y, z) for y, z in ((0.1, 0.5), (-0.1, 0.5), (-0.1, 0.68), (0.1, 0.68))],
              surface(class_name, Material.RETROREFLECTOR, (235, 235, 230))),
    ]  # fmt: skip
    parts += _scooter_body(s, head, rear, paint) if scooter else _motorcycle_body(s, rear, paint, dark)
    if rng.random() < (0.45 if scooter else 0.2):
        parts.append(
            box(
                (0.38, 0.42, 0.32),
                (rear[0] - 0.1, 0, seat_z + 0.05),
                surface(class_name, Material.PLASTIC, (30, 30, 32)),
            )
        )
    pedal_z = 0.32 if scooter else 0.36
    return TwoWheeler(
        mesh=grounded(Mesh.merge(parts)),
        saddle=(-0.18 * s, 0.0, seat_z + 0.07),
        grip=grip,
        pedals=tuple((0.12 * s if scooter else -0.08 * s, y, pedal_z) for y in (0.2, -0.2)),
    )


def _scooter_body(s: float, head: np.ndarray, rear: np.ndarray, paint: Surface) -> list[Mesh]:
    shield = np.array(
        [(head[0] + 0.06, 0.92), (head[0] - 0.02, 0.92), (head[0] - 0.1, 0.3), (head[0] - 0.02, 0.28)]
    ) * (1, s)
    return [
        prism(shield, -0.2, 0.2, paint),
        boxes([-0.2 * s, -0.17, 0.2], [head[0], 0.17, 0.3], paint),
        prism(
            [(-0.12 * s, 0.25), (-0.1 * s, 0.72 * s), (rear[0] - 0.2, 0.78 * s), (rear[0] - 0.1, 0.48)],
            -0.16,
            0.16,
            paint,
        ),
    ]


def _motorcycle_body(s: float, rear: np.ndarray, paint: Surface, dark: Surface) -> list[Mesh]:
    exhaust = [(0.05, -0.17, 0.32), (-0.3, -0.19, 0.32), (rear[0] - 0.1, -0.2, 0.45)]
    return [
        ellipsoid((0.17 * s, 0, 0.83 * s), (0.3 * s, 0.16, 0.16), paint, rings=6, sides=8),
        boxes([-0.25 * s, -0.17, 0.28], [0.3 * s, 0.17, 0.68 * s], dark),
        tubes(
            np.array([[(-0.15 * s, y, 0.45), tuple(rear + (0, y, 0))] for y in (-0.1, 0.1)]),
            0.03,
            dark,
            sides=4,
        ),
        tube(exhaust, [0.03, 0.05, 0.06], dark, sides=6),
        prism(
            [(rear[0] - 0.28, 0.72), (rear[0] + 0.3, 0.66), (rear[0] + 0.3, 0.74), (rear[0] - 0.25, 0.82)],
            -0.1,
            0.1,
            paint,
        ),
    ]


def bicycle(rng: np.random.Generator) -> Mesh:
    """A parked bicycle that leans a little; 1.5-1.9 m long."""
    return grounded(placed(upright_bicycle(rng).mesh, roll=pick(rng, (-1, 1)) * rng.uniform(0.05, 0.25)))


def motorcycle(rng: np.random.Generator) -> Mesh:
    """A parked motorcycle or scooter on its side stand; 1.7-2.3 m long."""
    return grounded(placed(upright_motorcycle(rng).mesh, roll=-rng.uniform(0.0, 0.2)))
