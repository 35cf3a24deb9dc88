"""Bicycles, motorcycles and scooters; forward is +x, the wheels stand on z = 0."""

# ruff: noqa: RUF005 - a tuple after + is added to an array here

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.bodies import TYRE_GREY
from clip2scene_core.simulation.cars import CAR_PAINTS
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import (
    Surface,
    box,
    boxes,
    copies,
    cylinder,
    ellipsoid,
    grounded,
    pick,
    placed,
    prism,
    sheet,
    surface,
    tinted,
    torus,
    tube,
    tubes,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoWheeler:
    """A bicycle or motorcycle upright on its wheels, and where its rider touches it; (x, y, z) in metres."""

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
    frame = surface(class_name, Material.METAL, tinted(rng, pick(rng, CAR_PAINTS), 15))
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
    left, right = (crank + sign * swing + (0, sign * 0.13, 0) for sign in (1, -1))
    parts = [
        tubes(np.array(pairs), 0.019, frame, sides=5),
        copies(torus(radius - 0.022, 0.022, dark), np.array([rear, front])),
        _spokes(radius, np.array([rear, front]), surface(class_name, Material.METAL, (170, 172, 175))),
        tube([(grip[0], grip[1], bar_z), tuple(stem), (grip[0], -grip[1], bar_z)], 0.016, dark, sides=4),
        ellipsoid(seat + (-0.02, 0, 0.05), (0.14, 0.075, 0.04), dark, rings=4, sides=6),
        boxes(
            [left - (0.05, 0.05, 0.015), right - (0.05, 0.05, 0.015)],
            [left + (0.05, 0.05, 0.015), right + (0.05, 0.05, 0.015)],
            dark,
        ),
        placed(cylinder(0.09, 0.02, (0, 0, 0), dark, sides=8), crank + (0, 0.05, 0), roll=np.pi / 2),
    ]
    parts += _bicycle_extras(rng, class_name, rear, front, radius, head)
    return TwoWheeler(
        mesh=grounded(Mesh.merge(parts)),
        saddle=tuple(seat + (0, 0, 0.09)),
        grip=grip,
        pedals=(tuple(left), tuple(right)),
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


_PLATE = ((0.1, 0.5), (-0.1, 0.5), (-0.1, 0.68), (0.1, 0.68))


def upright_motorcycle(rng: np.random.Generator, class_name: str = "motorcycle") -> TwoWheeler:
    """A motorcycle or scooter, 1.7-2.3 m long."""
    scooter = rng.random() < 0.4
    s = rng.uniform(0.92, 1.06)
    radius, base = (0.24, 1.28 * s) if scooter else (0.31, 1.43 * s)
    tyre = 0.055 if scooter else 0.07
    paint = surface(class_name, Material.CAR_PAINT, tinted(rng, pick(rng, CAR_PAINTS), 12))
    dark = surface(class_name, Material.METAL, (48, 48, 52))
    rubber = surface(class_name, Material.RUBBER, TYRE_GREY)
    rear, front = np.array([-base / 2, 0, radius]), np.array([base / 2, 0, radius])
    head = np.array([front[0] - 0.3 * s, 0, 0.9 * s])
    grip = (head[0] - 0.12, 0.36, 1.02 * s)
    seat_z = 0.78 * s
    mirrors = np.array([(grip[0], y, grip[2] + 0.1) for y in (-0.36, 0.24)])
    disc = cylinder(radius * 0.6, 0.05, (0, 0, 0), dark, sides=10)
    lamp = surface(class_name, Material.GLASS, (200, 205, 210))
    plate = surface(class_name, Material.RETROREFLECTOR, (235, 235, 230))
    clamp = tuple(head + (0, 0, 0.08))
    parts = [
        copies(torus(radius - tyre, tyre, rubber, tube_sides=6), np.array([rear, front])),
        copies(placed(disc, (0, 0.025, 0), roll=np.pi / 2), np.array([rear, front])),
        tubes(np.array([[front + (0, y, 0), head + (0, y, 0)] for y in (-0.09, 0.09)]), 0.028, dark, sides=5),
        tube([(grip[0], 0.36, grip[2]), clamp, (grip[0], -0.36, grip[2])], 0.02, dark, sides=5),
        ellipsoid((-0.3 * s, 0, seat_z - 0.02), (0.38 * s, 0.15, 0.09), rubber),
        boxes(mirrors, mirrors + (0.03, 0.12, 0.1), dark),
        ellipsoid(head + (0.1, 0, -0.02), (0.1, 0.1, 0.1), lamp, rings=4, sides=7),
        sheet([(rear[0] - radius - 0.04, y, z) for y, z in _PLATE], plate),
    ]
    parts += _scooter_body(s, head, rear, paint) if scooter else _motorcycle_body(s, rear, paint, dark)
    if rng.random() < (0.45 if scooter else 0.2):
        parts.append(
            box(
                (0.38, 0.42, 0.32),
                (rear[0] - 0.1, 0, seat_z + 0.05),
                surface(class_name, Material.PLASTIC, (30, 30, 32)),
            )
        )
    pedal_x, pedal_z = (0.12 * s, 0.32) if scooter else (-0.08 * s, 0.36)
    return TwoWheeler(
        mesh=grounded(Mesh.merge(parts)),
        saddle=(-0.18 * s, 0.0, seat_z + 0.07),
        grip=grip,
        pedals=((pedal_x, 0.2, pedal_z), (pedal_x, -0.2, pedal_z)),
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
