"""Street furniture: lamps, lights, signs, fences, barriers and the small things that stand on pavements."""

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
    leaves,
    loft,
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

_METALS = ((120, 124, 126), (160, 164, 166), (52, 58, 54), (40, 62, 50), (70, 72, 76))
_WOODS = ((150, 116, 80), (120, 92, 66), (96, 84, 74), (180, 150, 110), (226, 222, 214), (88, 60, 44))
_SIGN_COLOURS = ((200, 20, 30), (20, 70, 170), (235, 235, 235), (240, 200, 30), (30, 120, 70))


def _metal(rng: np.random.Generator, class_name: str) -> Surface:
    return surface(class_name, Material.METAL, tinted(rng, pick(rng, _METALS), 8))


def _thing(
    rng: np.random.Generator, material: Material, colours, class_name: str = "other object"
) -> Surface:
    return surface(class_name, material, tinted(rng, pick(rng, colours), 12))


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
    """A lamp post with one or two arms or a lantern on top, 3.5-10 m high; class pole. Arms reach along +x."""
    height = rng.uniform(3.5, 10)
    look = _metal(rng, "pole")
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
    """Signal heads on a post, sometimes also on an arm over the road (+x); 2.8-6.5 m high, class pole. Heads face -y."""
    arm = rng.random() < 0.35
    height = rng.uniform(5.3, 6.5) if arm else rng.uniform(2.8, 3.8)
    look = _metal(rng, "pole")
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
    """One or two boards that face -y on a post, 2-3.5 m high; boards are class traffic sign, the post is pole."""
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
    web = np.stack([np.stack([0 * y[:-1], y[:-1], np.where(np.arange(len(y) - 1) % 2, height, height - 0.7)], -1),
                    np.stack([0 * y[1:], y[1:], np.where(np.arange(len(y) - 1) % 2, height - 0.7, height)], -1)], 1)  # fmt: skip
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
        rng, (_metal(rng, "pole"), surface("pole", Material.CONCRETE, tinted(rng, (170, 168, 160), 10)))
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


def traffic_cone(rng: np.random.Generator) -> Mesh:
    """A cone, drum or slim delineator, 0.3-1.2 m high; class traffic cone."""
    orange = surface("traffic cone", Material.PLASTIC, tinted(rng, (240, 96, 24), 12))
    white = surface("traffic cone", Material.RETROREFLECTOR, (236, 236, 232))
    kind = pick(rng, ("cone", "drum", "delineator"), (6, 2, 2))
    height = rng.uniform(0.3, 0.95) if kind == "cone" else rng.uniform(0.8, 1.15)
    foot, radii = {
        "cone": (0.55 * height, np.array([0.2, 0.14, 0.09, 0.05]) * height),
        "drum": (0.62, np.array([0.28, 0.26, 0.24, 0.22])),
        "delineator": (0.32, np.array([0.06, 0.055, 0.05, 0.045])),
    }[kind]
    profile = list(zip(radii, (0.04, 0.4 * height, 0.7 * height, height), strict=True))
    shaft = painted(revolve(profile, orange, sides=12), slice(24, 48), white)
    return Mesh.merge([box((foot, foot, 0.05), (0, 0, 0), orange), shaft])


def jersey_barrier(rng: np.random.Generator, length_m: float) -> Mesh:
    """Concrete or plastic barrier elements along x from 0 to `length_m`, 0.8-1.05 m high; class barrier."""
    s = rng.uniform(0.95, 1.25)
    outline = (
        np.array(
            [
                (0.3, 0),
                (0.3, 0.08),
                (0.17, 0.3),
                (0.09, 0.8),
                (-0.09, 0.8),
                (-0.17, 0.3),
                (-0.3, 0.08),
                (-0.3, 0),
            ]
        )
        * s
    )
    concrete = surface("barrier", Material.CONCRETE, tinted(rng, (176, 174, 168), 12))
    plastics = [
        surface("barrier", Material.PLASTIC, tinted(rng, c, 8)) for c in ((214, 50, 30), (232, 232, 228))
    ]
    plastic = rng.random() < 0.35
    count = max(round(length_m / 2.0), 1)
    edges = np.linspace(0, length_m, count + 1)
    parts = []
    for k, (start, end) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        sections = [np.column_stack([np.full(8, x), outline]) for x in (start + 0.015, end - 0.015)]
        parts.append(
            placed(
                loft(np.array(sections), plastics[k % 2] if plastic else concrete),
                (0, rng.normal(0, 0.02), 0),
            )
        )
    return Mesh.merge(parts)


def barricade(rng: np.random.Generator) -> Mesh:
    """A portable barrier with striped boards or a crowd-control fence across x, 0.9-1.2 m high; class barrier."""
    width, height = rng.uniform(1.2, 2.4), rng.uniform(0.9, 1.2)
    if rng.random() < 0.35:
        return _crowd_barrier(rng, width, height)
    white = surface("barrier", Material.RETROREFLECTOR, (236, 236, 232))
    orange = surface("barrier", Material.RETROREFLECTOR, pick(rng, ((230, 80, 30), (210, 30, 30))))
    metal = surface("barrier", Material.METAL, (150, 152, 154))
    half = width / 2
    legs = [
        [(sx * 0.3, sy * 0.85 * half, 0), (0, sy * 0.85 * half, height)] for sx in (-1, 1) for sy in (-1, 1)
    ]
    parts = [tubes(np.array(legs), 0.025, metal, sides=4)]
    stripes = np.linspace(-half, half, 9)
    for z in (height - 0.22, *((0.45 * height,) if rng.random() < 0.7 else ())):
        for k in range(8):
            parts.append(
                boxes([-0.06, stripes[k], z], [-0.03, stripes[k + 1], z + 0.2], orange if k % 2 else white)
            )
    if rng.random() < 0.4:
        parts.append(
            cylinder(
                0.09,
                0.2,
                (0, 0.6 * half, height),
                surface("barrier", Material.PLASTIC, (240, 170, 30)),
                sides=8,
            )
        )
    return Mesh.merge(parts)


def _crowd_barrier(rng: np.random.Generator, width: float, height: float) -> Mesh:
    metal = surface("barrier", Material.METAL, tinted(rng, (160, 164, 166), 10))
    half = width / 2
    y = np.arange(-half + 0.12, half, 0.13)
    bars = np.stack([np.stack([0 * y, y, 0 * y + 0.2], -1), np.stack([0 * y, y, 0 * y + height], -1)], 1)
    rails = np.array([[(0, -half, z), (0, half, z)] for z in (0.2, height)])
    ends = np.array([[(0, s * half, 0.02), (0, s * half, height)] for s in (-1, 1)])
    feet = np.array([[(-0.28, s * half * 0.9, 0.02), (0.28, s * half * 0.9, 0.02)] for s in (-1, 1)])
    return Mesh.merge(
        [tubes(bars, 0.009, metal, sides=4), tubes(np.concatenate([rails, ends, feet]), 0.02, metal, sides=5)]
    )


def guard_rail(rng: np.random.Generator, length_m: float) -> Mesh:
    """A steel beam on posts along x from 0 to `length_m`, its face towards -y, 0.7-0.85 m high; class fence."""
    look = surface("fence", Material.METAL, tinted(rng, (158, 162, 164), 10))
    top = rng.uniform(0.7, 0.85)
    x = np.linspace(0, length_m, max(round(length_m / 2.0), 1) + 1)
    wave = np.array(
        [(0.0, 0.0), (-0.08, 0.06), (-0.08, 0.11), (-0.01, 0.155), (-0.08, 0.2), (-0.08, 0.25), (0.0, 0.31)]
    )
    skin = np.concatenate([wave, wave[::-1] + (0.012, 0)]) + (0, top - 0.31)
    sections = np.stack([np.column_stack([np.full(len(skin), s), skin]) for s in x])
    posts = np.column_stack([x[:-1] + 0.1, np.full(len(x) - 1, 0.02), np.full(len(x) - 1, -0.2)])
    return Mesh.merge([loft(sections[:, ::-1], look), boxes(posts, posts + (0.06, 0.12, top + 0.18), look)])


def fence(rng: np.random.Generator, length_m: float) -> Mesh:
    """A fence of one of seven kinds along x from 0 to `length_m`, about y = 0, 0.5-2 m high; class fence.

    Some are overgrown: leaves of class vegetation cling to a stretch of them.
    """
    kinds = (_pickets, _planks, _wire_mesh, _iron_railing, _panels, _wall_and_railing, _post_and_rail)
    mesh = pick(rng, kinds, (20, 18, 17, 17, 10, 10, 8))(rng, length_m)
    return Mesh.merge([mesh, _creeper(rng, mesh, length_m)]) if rng.random() < 0.25 else mesh


def _creeper(rng: np.random.Generator, fence: Mesh, length: float) -> Mesh:
    """Leaves on both sides of a stretch of a fence, thicker in the middle of the stretch."""
    height = fence.vertices[:, 2].max()
    middle, spread = rng.uniform(0.1, 0.9) * length, rng.uniform(0.1, 0.3) * length
    count = int(np.clip(150 * spread, 60, 600))
    x = np.clip(rng.normal(middle, spread, count), 0, length)
    y = rng.normal(0, rng.uniform(0.05, 0.14), count)
    z = height * rng.uniform(0.05, 1.08, count)
    green = surface(
        "vegetation", Material.LEAF, tinted(rng, pick(rng, ((74, 104, 40), (96, 122, 48), (58, 88, 44))), 14)
    )
    return leaves(rng, np.stack([x, y, z], -1), rng.uniform(0.08, 0.18, count), green)


def _posts_x(length: float, spacing: float = 2.0) -> np.ndarray:
    return np.linspace(0.05, length - 0.05, max(round(length / spacing), 1) + 1)


def _rails(x: np.ndarray, heights, size: tuple[float, float], y: float, look: Surface) -> Mesh:
    """Beams from post to post at these heights, thick in y and z by `size`."""
    low = np.array([(a, y, z) for z in heights for a in x[:-1]])
    high = np.array([(b, y + size[0], z + size[1]) for z in heights for b in x[1:]])
    return boxes(low, high, look)


def _uprights(x: np.ndarray, size: tuple[float, float], y: float, low: float, high, look: Surface) -> Mesh:
    """Posts or boards at these x, `size` in x and y, from `low` to `high` (a number or one per post)."""
    feet = np.column_stack([x - size[0] / 2, np.full(len(x), y), np.full(len(x), low)])
    tops = np.column_stack([x + size[0] / 2, np.full(len(x), y + size[1]), np.broadcast_to(high, len(x))])
    return boxes(feet, tops, look)


def _pickets(rng: np.random.Generator, length: float) -> Mesh:
    height, width = rng.uniform(0.5, 1.3), rng.uniform(0.06, 0.1)
    look = surface("fence", Material.WOOD, tinted(rng, pick(rng, _WOODS), 10))
    x = _posts_x(length, rng.uniform(1.6, 2.2))
    boards = np.arange(width / 2, length, width * rng.uniform(1.5, 2.2))
    tops = height + rng.normal(0, 0.012, len(boards))
    return Mesh.merge(
        [
            _uprights(x, (0.09, 0.09), 0.04, -0.1, height, look),
            _rails(x, (0.15, height - 0.2), (0.04, 0.07), 0.0, look),
            _uprights(boards, (width, 0.022), -0.022, 0.06, tops, look),
        ]
    )


def _planks(rng: np.random.Generator, length: float) -> Mesh:
    """Close vertical boards, a privacy fence; a few are warped or missing."""
    height, width = rng.uniform(1.4, 2.0), rng.uniform(0.1, 0.18)
    look = surface("fence", Material.WOOD, tinted(rng, pick(rng, _WOODS), 10))
    x = _posts_x(length)
    boards = np.arange(width / 2, length, width * 1.04)
    boards = boards[rng.random(len(boards)) > rng.choice([0.0, 0.03])]
    return Mesh.merge(
        [
            _uprights(x, (0.1, 0.1), 0.04, -0.1, height, look),
            _rails(x, (0.3, height - 0.3), (0.04, 0.08), 0.0, look),
            _uprights(boards, (width, 0.025), -0.025, 0.05, height + rng.normal(0, 0.01, len(boards)), look),
        ]
    )


def _wire_mesh(rng: np.random.Generator, length: float) -> Mesh:
    """Thin wires between posts: most rays pass."""
    height = rng.uniform(0.9, 1.9)
    look = surface("fence", Material.METAL, tinted(rng, pick(rng, ((60, 90, 66), (150, 154, 156))), 10))
    x = _posts_x(length, 2.2)
    step = rng.uniform(0.12, 0.22)
    uprights = np.arange(step, length, step)
    return Mesh.merge(
        [
            _uprights(x, (0.05, 0.05), -0.025, -0.1, height + 0.03, look),
            _uprights(uprights, (0.007, 0.007), -0.003, 0.03, height, look),
            _rails(x, np.linspace(0.04, height, max(int(height / step), 2)), (0.008, 0.008), -0.004, look),
        ]
    )


def _iron_railing(rng: np.random.Generator, length: float) -> Mesh:
    height = rng.uniform(0.6, 1.7)
    look = surface(
        "fence", Material.METAL, tinted(rng, pick(rng, ((30, 30, 32), (40, 60, 48), (90, 92, 96))), 8)
    )
    x = _posts_x(length)
    bars = np.arange(0.1, length, rng.uniform(0.1, 0.15))
    return Mesh.merge(
        [
            _uprights(x, (0.07, 0.07), -0.035, -0.1, height + 0.08, look),
            _uprights(bars, (0.02, 0.02), -0.01, 0.08, height + rng.uniform(0, 0.1), look),
            _rails(x, (0.12, height - 0.05), (0.03, 0.03), -0.015, look),
        ]
    )


def _panels(rng: np.random.Generator, length: float) -> Mesh:
    """Solid panels of wood, plastic or metal between posts."""
    height = rng.uniform(1.3, 2.0)
    material, colours = pick(
        rng,
        (
            (Material.WOOD, _WOODS),
            (Material.PLASTIC, ((220, 220, 216), (90, 94, 98))),
            (Material.METAL, _METALS),
        ),
    )
    look = surface("fence", material, tinted(rng, pick(rng, colours), 10))
    x = _posts_x(length)
    slats = np.arange(0.06, height - 0.05, rng.uniform(0.15, 0.4))
    return Mesh.merge(
        [
            _uprights(x, (0.1, 0.1), -0.05, -0.1, height + 0.05, look),
            *(
                _rails(x, (z,), (0.03, top - z - rng.uniform(0, 0.012)), -0.015, look)
                for z, top in zip(slats, [*slats[1:], height], strict=True)
            ),
        ]
    )


def _wall_and_railing(rng: np.random.Generator, length: float) -> Mesh:
    """A low wall with pillars and a railing or boards above."""
    low, height = rng.uniform(0.25, 0.6), rng.uniform(0.8, 1.7)
    stone = pick(
        rng,
        (
            surface("fence", Material.BRICK, tinted(rng, (150, 84, 64), 14)),
            surface("fence", Material.CONCRETE, tinted(rng, (180, 176, 166), 12)),
        ),
    )
    metal = surface("fence", Material.METAL, tinted(rng, pick(rng, _METALS), 8))
    x = _posts_x(length, 1.9)
    bars = np.arange(0.1, length, rng.uniform(0.11, 0.16))
    return Mesh.merge(
        [
            _rails(x, (-0.1,), (0.24, low + 0.1), -0.12, stone),
            _uprights(x, (0.34, 0.34), -0.17, -0.1, height + 0.06, stone),
            _uprights(bars, (0.02, 0.02), -0.01, low, height, metal),
            _rails(x, (height - 0.05,), (0.03, 0.03), -0.015, metal),
        ]
    )


def _post_and_rail(rng: np.random.Generator, length: float) -> Mesh:
    """A paddock fence: posts and two to four rails."""
    height = rng.uniform(0.8, 1.4)
    look = surface("fence", Material.WOOD, tinted(rng, pick(rng, _WOODS), 10))
    x = _posts_x(length)
    heights = np.linspace(height - 0.15, 0.35, int(rng.integers(2, 5)))
    return Mesh.merge(
        [_uprights(x, (0.11, 0.11), 0.0, -0.1, height, look), _rails(x, heights, (0.035, 0.12), -0.035, look)]
    )


def bench(rng: np.random.Generator) -> Mesh:
    """A park bench, 1.2-2.2 m long along y, 0.42-0.9 m high; one sits facing +x. Class other object."""
    half, back = rng.uniform(0.6, 1.1), rng.random() < 0.7
    wood = _thing(rng, Material.WOOD, _WOODS)
    metal = _metal(rng, "other object")
    seat = [(x, -half, 0.42) for x in (-0.2, -0.06, 0.08)]
    parts = [boxes(seat, np.array(seat) + (0.11, 2 * half, 0.04), wood)]
    sides = [(-0.2, s * half * 0.8 - 0.03, 0) for s in (-1, 1)]
    parts.append(boxes(sides, np.array(sides) + (0.4, 0.06, 0.42), metal))
    if back:
        slats = [(-0.27 - 0.03 * k, -half, 0.55 + 0.14 * k) for k in range(3)]
        parts.append(boxes(slats, np.array(slats) + (0.03, 2 * half, 0.1), wood))
        stays = [[(-0.2, s * half * 0.8, 0.42), (-0.34, s * half * 0.8, 0.9)] for s in (-1, 1)]
        parts.append(tubes(np.array(stays), 0.02, metal, sides=4))
    return Mesh.merge(parts)


def bin(rng: np.random.Generator) -> Mesh:
    """A litter bin on a post or a wheeled refuse bin, 0.7-1.15 m high; class other object."""
    plastic = _thing(
        rng, Material.PLASTIC, ((50, 54, 56), (40, 80, 50), (40, 60, 110), (120, 90, 50), (220, 190, 40))
    )
    if rng.random() < 0.6:
        return _wheeled_bin(
            rng, rng.uniform(0.45, 0.62), rng.uniform(0.5, 0.7), rng.uniform(0.9, 1.1), plastic
        )
    radius, height = rng.uniform(0.18, 0.3), rng.uniform(0.7, 1.0)
    return revolve(
        [(0.85 * radius, 0), (radius, 0.9 * height), (1.05 * radius, 0.92 * height), (0.7 * radius, height)],
        plastic,
        sides=12,
    )


def _wheeled_bin(rng: np.random.Generator, width: float, depth: float, height: float, look: Surface) -> Mesh:
    """A tapered box with a sloping lid and two wheels; the lid opens towards +x."""
    floor, rim = 0.8, 1.0
    side = [(depth / 2 * floor, 0.06), (depth / 2 * rim, 0.87 * height), (depth / 2 * 1.08, 0.9 * height), (-depth / 2, height),
            (-depth / 2 * 1.1, 0.9 * height), (-depth / 2 * floor, 0.06)]  # fmt: skip
    dark = surface("other object", Material.RUBBER, (30, 30, 32))
    wheel = placed(
        cylinder(0.1, 0.05, (0, 0, 0), dark, sides=8), (-depth / 2 * floor, 0, 0.1), roll=np.pi / 2
    )
    foot = box((0.08, width * 0.7, 0.06), (depth / 2 * floor - 0.05, 0, 0), look)
    return Mesh.merge(
        [
            prism(side, -width / 2, width / 2, look),
            copies(wheel, [(0, width / 2, 0), (0, 0.05 - width / 2, 0)]),
            foot,
        ]
    )


def container(rng: np.random.Generator) -> Mesh:
    """A large refuse container, bottle bank or skip, 1-6 m long along y, 1-2.6 m high; class other object."""
    look = _thing(
        rng,
        Material.METAL,
        ((60, 70, 64), (40, 90, 56), (50, 80, 130), (190, 160, 50), (150, 60, 40), (160, 162, 160)),
    )
    kind = pick(rng, ("bin", "bank", "skip", "shipping"), (4, 2, 2, 1))
    if kind == "bin":
        return _wheeled_bin(rng, rng.uniform(1.1, 1.7), rng.uniform(0.8, 1.1), rng.uniform(1.1, 1.4), look)
    if kind == "bank":
        radius = rng.uniform(0.55, 0.8)
        return revolve(
            [(0.9 * radius, 0), (radius, 0.3), (radius, 1.1), (0.7 * radius, 1.5), (0.15, 1.75)],
            look,
            sides=14,
        )
    if kind == "shipping":
        return _shipping_container(rng, look)
    half, height = rng.uniform(1.4, 2.0), rng.uniform(1.1, 1.6)
    outline = [
        (half * 0.62, 0.0),
        (half, 0.7 * height),
        (half, height),
        (-half, height),
        (-half, 0.7 * height),
        (-half * 0.62, 0.0),
    ]
    return placed(prism(outline, -0.85, 0.85, look), yaw=np.pi / 2)


def _shipping_container(rng: np.random.Generator, look: Surface) -> Mesh:
    half = pick(rng, (1.5, 3.0))
    y = np.arange(-half + 0.1, half - 0.2, 0.3)
    ribs = np.concatenate(
        [np.column_stack([np.full_like(y, x), y, np.full_like(y, 0.15)]) for x in (-1.22, 1.17)]
    )
    return Mesh.merge(
        [boxes([-1.18, -half, 0], [1.18, half, 2.59], look), boxes(ribs, ribs + (0.05, 0.15, 2.3), look)]
    )


def bus_shelter(rng: np.random.Generator) -> Mesh:
    """A shelter with glass walls, roof and bench, open towards +x, 2.5-5 m along y, 2.3-2.7 m high; class other object."""
    half, deep, height = rng.uniform(1.25, 2.5), rng.uniform(1.2, 1.7), rng.uniform(2.3, 2.7)
    metal = _metal(rng, "other object")
    glass = surface("other object", Material.GLASS, (170, 190, 196))
    poster = surface("other object", Material.PLASTIC, tinted(rng, (190, 140, 110), 40))
    corners = np.array([(x, y, 0) for x in (-deep / 2, deep / 2) for y in (-half, half)])
    panes = np.linspace(-half, half, 4)
    back = [(-deep / 2 + 0.01, a + 0.05, 0.25) for a in panes[:-1]]
    seat = box((0.35, 1.2 * half, 0.06), (-deep / 2 + 0.3, 0, 0.45), metal)
    legs = [box((0.06, 0.06, 0.45), (-deep / 2 + 0.3, s * 0.5 * half, 0), metal) for s in (-1, 1)]
    side = pick(rng, (glass, poster))
    return Mesh.merge(
        [
            boxes(corners - (0.04, 0.04, 0.1), corners + (0.04, 0.04, height), metal),
            boxes([-deep / 2 - 0.1, -half - 0.1, height], [deep / 2 + 0.25, half + 0.1, height + 0.1], metal),
            boxes(back, [(-deep / 2 + 0.03, b - 0.05, height - 0.15) for b in panes[1:]], glass),
            boxes([-deep / 2, half - 0.03, 0.25], [deep / 2 - 0.1, half, height - 0.2], side),
            seat,
            *legs,
        ]
    )


def planter(rng: np.random.Generator) -> Mesh:
    """A tub of class other object with plants of class vegetation, 0.6-2.4 m high."""
    stone = _thing(rng, Material.CONCRETE, ((170, 166, 158), (150, 100, 70), (90, 90, 92), (150, 116, 80)))
    height = rng.uniform(0.35, 0.8)
    if rng.random() < 0.5:
        radius = rng.uniform(0.25, 0.6)
        spread = np.array([radius, radius])
        tub = revolve(
            [
                (0.75 * radius, 0),
                (radius, 0.9 * height),
                (1.06 * radius, 0.92 * height),
                (1.06 * radius, height),
            ],
            stone,
        )
    else:
        spread = rng.uniform((0.25, 0.3), (0.5, 1.2))
        tub = box((2 * spread[0], 2 * spread[1], height), (0, 0, 0), stone)
    count = int(rng.integers(150, 400))
    tall = rng.uniform(0.2, 1.3)
    centres = rng.normal(0, 0.5, (count, 3)) * (*spread, 0)
    centres[:, 2] = height + tall * rng.uniform(0, 1, count) ** 0.8
    leaf = surface(
        "vegetation",
        Material.LEAF,
        tinted(rng, pick(rng, ((80, 110, 50), (110, 130, 60), (150, 80, 90))), 14),
    )
    return Mesh.merge([tub, leaves(rng, centres, rng.uniform(0.06, 0.16, count), leaf)])


def mailbox(rng: np.random.Generator) -> Mesh:
    """A letter box on a post or a pillar box, 1.05-1.65 m high; class other object."""
    look = _thing(rng, Material.METAL, ((220, 180, 30), (190, 30, 34), (40, 70, 140), (110, 112, 114)))
    if rng.random() < 0.5:
        r, h = rng.uniform(0.2, 0.28), rng.uniform(1.3, 1.6)
        return revolve(
            [(1.1 * r, 0), (1.1 * r, 0.15), (r, 0.2), (r, h - 0.12), (1.12 * r, h - 0.1), (0.5 * r, h)], look
        )
    low = rng.uniform(0.7, 0.95)
    return Mesh.merge(
        [
            box((0.08, 0.08, low), (0, 0, 0), _metal(rng, "other object")),
            box((0.3, 0.42, rng.uniform(0.35, 0.65)), (0, 0, low), look),
        ]
    )


def cafe_table(rng: np.random.Generator) -> Mesh:
    """A table with two to four chairs and sometimes a parasol, 0.8-2.7 m high; class other object."""
    metal = _metal(rng, "other object")
    wood = _thing(rng, Material.WOOD, _WOODS)
    top = rng.uniform(0.3, 0.45)
    parts = [
        cylinder(top, 0.03, (0, 0, 0.72), wood, sides=10),
        cylinder(0.03, 0.72, (0, 0, 0), metal, sides=6),
        cylinder(0.22, 0.03, (0, 0, 0), metal, sides=8),
    ]
    chair = _chair(metal, wood)
    for yaw in 2 * np.pi * np.arange(n := int(rng.integers(2, 5))) / n + rng.normal(0, 0.2):
        reach = top + rng.uniform(0.2, 0.45)
        parts.append(
            placed(chair, (reach * np.cos(yaw), reach * np.sin(yaw), 0), yaw=yaw + rng.normal(0, 0.3))
        )
    if rng.random() < 0.35:
        cloth = _thing(rng, Material.CLOTH, ((220, 210, 190), (170, 40, 40), (60, 90, 70)))
        parts.append(tube([(0, 0, 0.7), (0, 0, 2.5)], 0.025, metal))
        parts.append(revolve([(1.3, 2.05), (1.3, 2.1), (0.05, 2.6)], cloth, sides=8))
    return Mesh.merge(parts)


def _chair(metal: Surface, wood: Surface) -> Mesh:
    """A chair whose back is towards +x."""
    legs = [[(x, y, 0), (x, y, 0.45)] for x in (-0.18, 0.18) for y in (-0.18, 0.18)]
    back = [[(0.2, y, 0.45), (0.27, y, 0.85)] for y in (-0.18, 0.18)]
    return Mesh.merge(
        [
            tubes(np.array(legs + back), 0.013, metal, sides=4),
            box((0.42, 0.42, 0.03), (0, 0, 0.44), wood),
            boxes([0.22, -0.2, 0.62], [0.26, 0.2, 0.85], wood),
        ]
    )


def advertising_column(rng: np.random.Generator) -> Mesh:
    """A round advertising column or a lit poster stand, 2-3.7 m high; class other object."""
    look = _thing(rng, Material.PLASTIC, ((200, 190, 170), (160, 90, 90), (90, 120, 150)))
    metal = _metal(rng, "other object")
    if rng.random() < 0.6:
        r, h = rng.uniform(0.5, 0.75), rng.uniform(2.7, 3.6)
        profile = [
            (1.08 * r, 0),
            (1.08 * r, 0.3),
            (r, 0.32),
            (r, h - 0.4),
            (1.12 * r, h - 0.35),
            (1.12 * r, h - 0.2),
            (0.2, h),
        ]
        return painted(revolve(profile, metal, sides=16), slice(2 * 32, 3 * 32), look)
    wide, low, high = rng.uniform(1.0, 1.4), rng.uniform(0.3, 0.6), rng.uniform(2.0, 2.6)
    return Mesh.merge(
        [box((0.25, wide, high - low), (0, 0, low), look), box((0.15, 0.4, low), (0, 0, 0), metal)]
    )


def hydrant(rng: np.random.Generator) -> Mesh:
    """A fire hydrant, 0.6-0.95 m high; class other object."""
    look = _thing(rng, Material.METAL, ((180, 30, 34), (220, 180, 40), (60, 90, 150)))
    h, r = rng.uniform(0.6, 0.95), rng.uniform(0.09, 0.13)
    body = revolve(
        [
            (1.6 * r, 0),
            (1.6 * r, 0.05),
            (r, 0.06),
            (r, 0.75 * h),
            (1.3 * r, 0.77 * h),
            (1.1 * r, 0.9 * h),
            (0.3 * r, h),
        ],
        look,
        sides=10,
    )
    arms = tube([(0, -1.9 * r, 0.6 * h), (0, 1.9 * r, 0.6 * h)], 0.5 * r, look, sides=7)
    return Mesh.merge([body, arms])


def electric_cabinet(rng: np.random.Generator) -> Mesh:
    """A switch cabinet on a plinth, 0.8-1.7 m high, its doors towards +x; class other object."""
    look = _thing(rng, Material.PLASTIC, ((170, 172, 166), (140, 146, 136), (96, 110, 96)))
    concrete = surface("other object", Material.CONCRETE, (150, 148, 142))
    deep, wide, high = rng.uniform((0.3, 0.5, 0.75), (0.55, 1.8, 1.6))
    parts = [
        box((deep * 0.94, wide * 0.96, 0.12), (0, 0, 0), concrete),
        box((deep, wide, high - 0.16), (0, 0, 0.1), look),
        box((deep + 0.06, wide + 0.06, 0.05), (0, 0, high - 0.06), look),
    ]
    return Mesh.merge(parts)
