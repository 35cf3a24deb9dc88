"""Lamps, traffic lights, signs, gantries, utility poles and bollards."""

# ruff: noqa: RUF005 - a tuple after + is added to an array here

from __future__ import annotations

import numpy as np

from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import (
    Surface,
    box,
    boxes,
    copies,
    cylinder,
    ellipsoid,
    painted,
    pick,
    placed,
    prism,
    revolve,
    surface,
    tinted,
    tube,
    tubes,
)

METALS = ((120, 124, 126), (160, 164, 166), (52, 58, 54), (40, 62, 50), (70, 72, 76))
_SIGN_COLOURS = ((200, 20, 30), (20, 70, 170), (235, 235, 235), (240, 200, 30), (30, 120, 70))


def metal_of(rng: np.random.Generator, class_name: str) -> Surface:
    """Bare or painted metal."""
    return surface(class_name, Material.METAL, tinted(rng, pick(rng, METALS), 8))


def _mast(rng: np.random.Generator, height: float, radius: float, look: Surface) -> Mesh:
    """A tapered pole with a thicker foot."""
    foot = rng.uniform(1.2, 1.9)
    profile = [
        (foot * radius, -0.2),
        (foot * radius, min(1.0, 0.2 * height)),
        (radius, min(1.05, 0.22 * height)),
    ]
    return revolve([*profile, (rng.uniform(0.55, 0.95) * radius, height)], look, sides=8)


def street_lamp(rng: np.random.Generator) -> Mesh:
    """A lamp post with one or two arms (along x) or a lantern on top, 3.5-10.7 m high; class pole."""
    height = rng.uniform(3.5, 10)
    look = metal_of(rng, "pole")
    mast = _mast(rng, height, 0.045 + 0.006 * height * rng.uniform(0.8, 1.3), look)
    lamp = surface("pole", Material.GLASS, (235, 230, 210))
    if height < 5.5 and rng.random() < 0.7:
        globe = rng.random() < 0.4
        shape = [(0.08, 0), (0.2, 0.12), (0.24, 0.4), (0.26, 0.45), (0.05, 0.6)]
        head = (
            ellipsoid((0, 0, height + 0.2), (0.22, 0.22, 0.22), lamp)
            if globe
            else revolve(shape, lamp, base=(0, 0, height), sides=8)
        )
        return Mesh.merge([mast, head])
    arms = (1, -1) if rng.random() < 0.2 else (1,)
    reach, rise = rng.uniform(0.5, 2.6), rng.uniform(0, 0.7)
    parts = [mast]
    for side in arms:
        bow = [
            (0, 0, height - 0.05),
            (side * 0.4 * reach, 0, height + 0.75 * rise),
            (side * reach, 0, height + rise),
        ]
        parts.append(tube(bow, 0.04, look, sides=6))
        parts.append(
            ellipsoid((side * (reach + 0.25), 0, height + rise), (0.4, 0.15, 0.07), look, rings=4, sides=8)
        )
    return Mesh.merge(parts)


def traffic_light(rng: np.random.Generator) -> Mesh:
    """Signal heads that face -y on a post, some also on an arm along +x; 2.8-6.8 m high, class pole."""
    arm = rng.random() < 0.35
    height = rng.uniform(5.3, 6.5) if arm else rng.uniform(2.8, 3.8)
    look = metal_of(rng, "pole")
    parts = [
        _mast(rng, height, 0.09 if arm else 0.06, look),
        _signal_head(rng, (0.0, -0.14, rng.uniform(2.2, 2.5))),
    ]
    if arm:
        reach = rng.uniform(3, 6)
        parts += [
            tube([(0, 0, height - 0.2), (reach, 0, height - 0.1)], [0.08, 0.05], look, sides=6),
            _signal_head(rng, (reach - 0.3, -0.12, height - 0.75)),
        ]
    if rng.random() < 0.5:
        parts.append(placed(_signal_head(rng, (0, -0.14, 2.1)), yaw=np.pi / 2))
    return Mesh.merge(parts)


def _signal_head(rng: np.random.Generator, base: tuple[float, float, float]) -> Mesh:
    dark = surface("pole", Material.PLASTIC, (28, 30, 28))
    lamps = [surface("pole", Material.GLASS, c) for c in ((200, 40, 30), (220, 170, 40), (40, 180, 90))]
    housing = box((0.28, 0.2, 0.88), base, dark)
    discs = [
        placed(
            cylinder(0.1, 0.12, (0, 0, 0), c, sides=8),
            np.array(base) + (0, -0.1, 0.74 - 0.28 * k),
            roll=np.pi / 2,
        )
        for k, c in enumerate(lamps)
    ]
    plate = [box((0.5, 0.02, 1.1), np.array(base) + (0, 0.1, -0.1), dark)] if rng.random() < 0.3 else []
    return Mesh.merge([housing, *discs, *plate])


def traffic_sign(rng: np.random.Generator) -> Mesh:
    """One or two boards (class traffic sign) that face -y on a post (class pole), 2-3.5 m high."""
    height = rng.uniform(2.0, 3.5)
    post = surface("pole", Material.METAL, tinted(rng, (150, 152, 154), 12))
    if rng.random() < 0.12:
        return _direction_board(rng, height, post)
    boards, top = [], height - 0.03
    for _ in range(int(rng.integers(1, 3))):
        size = rng.uniform(0.4, 0.75)
        boards.append(_board(rng, size, top - size / 2))
        top -= size + rng.uniform(0.02, 0.15)
        if top < 1.2:
            break
    mast = cylinder(rng.uniform(0.028, 0.045), height + 0.2, (0, 0, -0.2), post, sides=7)
    return placed(Mesh.merge([mast, *boards]), yaw=rng.normal(0, 0.1))


def _board(rng: np.random.Generator, size: float, centre_z: float) -> Mesh:
    """A round, triangular, square, octagonal or oblong board, 2-4 cm thick, in front of its post."""
    shape = pick(rng, ("round", "triangle", "square", "octagon", "oblong"), (30, 20, 25, 8, 17))
    corners = {"round": 12, "triangle": 3, "octagon": 8}.get(shape, 4)
    turn = {"round": 0.0, "triangle": pick(rng, (1, -1)) * np.pi / 2, "octagon": np.pi / 8}.get(
        shape, np.pi / 4
    )
    angle = turn + 2 * np.pi * np.arange(corners) / corners
    reach = size / 2 * {"triangle": 1.25, "square": 1.38, "oblong": 1.3, "octagon": 1.05}.get(shape, 1.0)
    outline = np.stack([reach * np.cos(angle), reach * np.sin(angle)], -1) * (
        1,
        0.55 if shape == "oblong" else 1,
    )
    back = surface("traffic sign", Material.METAL, (150, 152, 154))
    board = prism(outline + (0, centre_z), -0.075, -0.05, back)
    face = surface("traffic sign", Material.RETROREFLECTOR, pick(rng, _SIGN_COLOURS))
    front = board.vertices[board.faces][:, :, 1].max(1) < -0.07
    return painted(board, front, face)


def _direction_board(rng: np.random.Generator, height: float, post: Surface) -> Mesh:
    """A large board on two posts."""
    width, tall = rng.uniform(1.2, 2.6), rng.uniform(0.6, 1.3)
    low = height - tall
    posts = [cylinder(0.045, height + 0.2, (s * width * 0.35, 0, -0.2), post, sides=7) for s in (-1, 1)]
    board = boxes(
        [-width / 2, -0.09, low],
        [width / 2, -0.05, height],
        surface("traffic sign", Material.METAL, (150, 152, 154)),
    )
    face = surface("traffic sign", Material.RETROREFLECTOR, pick(rng, _SIGN_COLOURS))
    return Mesh.merge([*posts, painted(board, slice(4, 6), face)])


def sign_gantry(rng: np.random.Generator, span_m: float) -> Mesh:
    """A gantry across the road along y, centred, legs at +-span/2, with boards that face -x; 5.5-7 m high."""
    height = rng.uniform(5.5, 6.5)
    look = surface("pole", Material.METAL, tinted(rng, (150, 154, 156), 8))
    half = span_m / 2
    legs = [tube([(0, s * half, -0.2), (0, s * half, height)], 0.16, look, sides=8) for s in (-1, 1)]
    y = np.linspace(-half, half, max(int(span_m / 1.5), 2) + 1)
    chords = [[(x, -half, z), (x, half, z)] for x in (-0.25, 0.25) for z in (height - 0.7, height)]
    zigzag = np.stack([0 * y, y, height - 0.7 * (np.arange(len(y)) % 2)], -1)
    web = np.stack([zigzag[:-1], zigzag[1:]], 1)
    parts = [*legs, tubes(np.array(chords), 0.06, look, sides=5), tubes(web, 0.035, look, sides=4)]
    face = surface("traffic sign", Material.RETROREFLECTOR, pick(rng, ((20, 70, 170), (30, 120, 70))))
    back = surface("traffic sign", Material.METAL, (150, 152, 154))
    for middle in np.linspace(-0.6 * half, 0.6 * half, int(rng.integers(1, 4))) + rng.normal(0, 0.2):
        wide, tall = min(rng.uniform(2, 3.6), 0.5 * span_m), rng.uniform(1.2, 2.0)
        board = boxes(
            [-0.4, middle - wide / 2, height - 0.9], [-0.34, middle + wide / 2, height - 0.9 + tall], back
        )
        parts.append(painted(board, slice(8, 10), face))
    return Mesh.merge(parts)


def utility_pole(rng: np.random.Generator) -> Mesh:
    """A wooden or concrete pole with cross-arms and insulators, 7-11 m high; class pole."""
    height = rng.uniform(7, 11)
    wood = pick(
        rng,
        (
            surface("pole", Material.WOOD, tinted(rng, (104, 82, 62), 12)),
            surface("pole", Material.CONCRETE, tinted(rng, (160, 158, 152), 8)),
        ),
        (3, 1),
    )
    parts = [tube([(0, 0, -0.2), (0, 0, height)], [rng.uniform(0.12, 0.17), 0.09], wood, sides=8)]
    for k in range(int(rng.integers(0, 3))):
        z, half = height - 0.4 - 0.8 * k, rng.uniform(0.6, 1.2)
        parts.append(boxes([-0.06, -half, z], [0.06, half, z + 0.12], wood))
        knobs = np.array([(0, y, z + 0.12) for y in np.linspace(-0.9 * half, 0.9 * half, 4)])
        parts.append(
            copies(
                cylinder(0.04, 0.12, (0, 0, 0), surface("pole", Material.PLASTIC, (90, 70, 60)), sides=5),
                knobs,
            )
        )
    if rng.random() < 0.3:
        parts.append(
            cylinder(
                0.22, 0.8, (0.32, 0, height - 2.6), surface("pole", Material.METAL, (130, 134, 136)), sides=9
            )
        )
    return Mesh.merge(parts)


def bollard(rng: np.random.Generator) -> Mesh:
    """A post that keeps cars off the pavement, 0.6-1.15 m high; class pole."""
    height, radius = rng.uniform(0.6, 1.1), rng.uniform(0.04, 0.14)
    look = pick(
        rng, (metal_of(rng, "pole"), surface("pole", Material.CONCRETE, tinted(rng, (170, 168, 160), 10)))
    )
    if rng.random() < 0.3:
        return box((2 * radius, 2 * radius, height), (0, 0, 0), look)
    profile = [
        (radius, 0),
        (radius, 0.85 * height),
        (radius * rng.uniform(0.9, 1.3), 0.9 * height),
        (0.5 * radius, height),
    ]
    return revolve(profile, look, sides=10)
