"""Passenger cars, small vans and pickups; forward is +x, the wheels stand on z = 0."""

# ruff: noqa: RUF005 - a tuple after + is added to an array here

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.bodies import GLASS_GREY, Body, Outline, skin, wheels
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import Colour, Surface, boxes, pick, placed, sheet, surface, tinted

CAR_PAINTS: tuple[Colour, ...] = (
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
    body = Body(
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
    colour = tinted(rng, pick(rng, CAR_PAINTS, _PAINT_SHARES), 8)
    paint = surface("car", Material.CAR_PAINT, colour)
    parts = [
        skin(body, paint, surface("car", Material.GLASS, GLASS_GREY)),
        wheels("car", body.axles, width - 0.05, radius, rng.uniform(0.18, 0.24)),
        *_car_fittings(rng, body, paint),
    ]
    if kind == "pickup":
        parts.append(_pickup_bed(body, paint))
    return placed(Mesh.merge(parts), (-length / 2, 0, 0))


def _varied(rng: np.random.Generator, outline: Outline) -> Outline:
    """The outline with knees moved by a few centimetres, ends and roof kept."""
    return tuple((x, z if z in (1, outline[0][1]) else min(z * rng.normal(1, 0.01), 1.0)) for x, z in outline)


def _car_fittings(rng: np.random.Generator, body: Body, paint: Surface) -> list[Mesh]:
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


def _pickup_bed(body: Body, paint: Surface) -> Mesh:
    """The three walls around the bed of a pickup."""
    end, half = 0.365 * body.length, body.width / 2 * 0.97
    low, high = 0.4 * body.height, 0.63 * body.height
    return boxes(
        [(0.0, -half * 0.95, low), (0.02, half - 0.08, low), (0.02, -half, low)],
        [(0.06, half * 0.95, high), (end, half, high), (end, -half + 0.08, high)],
        paint,
    )
