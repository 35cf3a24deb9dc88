"""Excavators and wheel loaders; forward is +x, they stand on z = 0."""

# ruff: noqa: RUF005 - a tuple after + is added to an array here

from __future__ import annotations

import numpy as np

from clip2scene_core.simulation.bodies import GLASS_GREY, wheels
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import (
    Colour,
    Surface,
    boxes,
    cylinder,
    pick,
    placed,
    prism,
    surface,
    tinted,
    tube,
    tubes,
)

_MACHINE_PAINTS: tuple[Colour, ...] = ((236, 180, 20), (230, 110, 20), (60, 120, 60), (200, 200, 196))


def construction_vehicle(rng: np.random.Generator) -> Mesh:
    """A tracked excavator or a wheel loader; 4.5-10 m long, 1.9-2.8 m wide, 2.5-6 m high."""
    paint = surface(
        "construction vehicle", Material.CAR_PAINT, tinted(rng, pick(rng, _MACHINE_PAINTS, (6, 3, 1, 1)), 8)
    )
    return _excavator(rng, paint) if rng.random() < 0.55 else _wheel_loader(rng, paint)


def _excavator(rng: np.random.Generator, paint: Surface) -> Mesh:
    dark = surface("construction vehicle", Material.METAL, (52, 50, 48))
    glass = surface("construction vehicle", Material.GLASS, GLASS_GREY)
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
    glass = surface("construction vehicle", Material.GLASS, GLASS_GREY)
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
        wheels("construction vehicle", (-1.5 * s, 1.3 * s), 2.1 * s, 0.7 * s, 0.5 * s),
        tube([(-1.6 * s, 0.4 * s, 1.5 * s), (-1.6 * s, 0.4 * s, 2.2 * s)], 0.06 * s, dark),
    ]
    return Mesh.merge(parts)
