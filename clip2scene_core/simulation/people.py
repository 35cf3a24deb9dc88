"""People on foot and on two wheels, posed by where their hips, hands and feet are; they look along +x."""

# ruff: noqa: RUF005 - a tuple after + is added to an array here

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.solids import (
    Surface,
    boxes,
    ellipsoid,
    grounded,
    loft,
    pick,
    placed,
    relabelled,
    revolve,
    surface,
    tinted,
    tube,
    tubes,
)
from clip2scene_core.simulation.two_wheelers import TwoWheeler, upright_bicycle, upright_motorcycle

_SKINS = ((236, 200, 176), (214, 168, 136), (166, 116, 84), (104, 70, 50))
_HAIR = ((30, 24, 20), (80, 56, 36), (150, 112, 62), (140, 138, 136), (206, 190, 150))
_CLOTHES = (
    (30, 32, 40),
    (50, 60, 90),
    (110, 112, 118),
    (150, 40, 44),
    (60, 92, 70),
    (196, 176, 140),
    (226, 226, 224),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pose:
    """Where the ends of a body are, metres; index 0 is the left side (y > 0), 1 the right."""

    height: float
    """Standing height."""
    girth: float
    """Width relative to the usual one."""
    hips: np.ndarray
    """(3,) float64, middle of the pelvis."""
    lean: float
    """Forward lean of the trunk, radians."""
    feet: np.ndarray
    """(2, 3) float64, ankles."""
    hands: np.ndarray
    """(2, 3) float64, wrists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clothes:
    """The surfaces of a person and how far down the coat or skirt reaches."""

    skin: Surface
    hair: Surface
    top: Surface
    legs: Surface
    shoes: Surface
    hem: float
    """Share of the leg that the coat or skirt covers, 0 for none."""
    headgear: str
    """`none`, `hair`, `cap` or `helmet`."""


def _joint(start: np.ndarray, end: np.ndarray, length: float, forward: np.ndarray) -> np.ndarray:
    """(2, 3) knees or elbows of limbs with two bones of `length`, bent towards `forward`."""
    reach = end - start
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    along = reach / np.maximum(distance, 1e-6)
    across = forward - (forward * along).sum(-1, keepdims=True) * along
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
    return (start + end) / 2 + across * np.sqrt(np.maximum(length**2 - (distance / 2) ** 2, 0))


def _within(start: np.ndarray, end: np.ndarray, reach: float) -> np.ndarray:
    """The end of a limb, pulled in to what the limb can reach."""
    offset = end - start
    distance = np.linalg.norm(offset, axis=-1, keepdims=True)
    return start + offset * np.minimum(1, reach / np.maximum(distance, 1e-6))


def _figure(pose: _Pose, clothes: _Clothes) -> Mesh:
    """The body: trunk, head, arms with hands, legs with shoes, coat or skirt."""
    h, g = pose.height, pose.girth
    upright = np.array([np.sin(pose.lean), 0.0, np.cos(pose.lean)])
    side = np.array([0.0, 1.0, 0.0])
    left_right = np.array([[1.0], [-1.0]])
    neck = pose.hips + 0.30 * h * upright
    hips = pose.hips + left_right * 0.05 * h * g * side
    shoulders = neck - 0.015 * h * upright + left_right * 0.108 * h * g * side
    feet = _within(hips, pose.feet, 0.4795 * h)
    hands = _within(shoulders, pose.hands, 0.31 * h)
    knees = _joint(hips, feet, 0.24 * h, np.array([1.0, 0.0, 0.1]))
    elbows = _joint(shoulders, hands, 0.16 * h, np.array([-0.8, 0.0, -0.4]) + left_right * 0.35 * side)
    thick = h * g**0.7
    parts = [
        _trunk(pose, neck, upright, clothes.top),
        tubes(
            np.stack([hips, (hips + knees) / 2, knees, feet], 1),
            thick * np.array([0.05, 0.046, 0.034, 0.026]),
            clothes.legs,
        ),
        tubes(np.stack([shoulders, elbows, hands], 1), thick * np.array([0.036, 0.028, 0.021]), clothes.top),
        tubes(np.stack([hands, hands + 0.2 * (hands - elbows)], 1), 0.02 * h, clothes.skin, sides=5),
        tubes(
            np.stack([feet - (0.03 * h, 0, 0.02 * h), feet + (0.105 * h, 0, -0.024 * h)], 1),
            [0.027 * h, 0.02 * h],
            clothes.shoes,
            sides=5,
        ),
        *_head(h, neck + 0.095 * h * (upright * 0.6 + (0.05, 0, 0.4)), neck, clothes),
    ]
    if clothes.hem:
        parts.append(_skirt(pose, clothes.hem, knees, clothes.top))
    return Mesh.merge(parts)


def _trunk(pose: _Pose, neck: np.ndarray, upright: np.ndarray, look: Surface) -> Mesh:
    """Elliptical sections from the pelvis to the neck."""
    h, g = pose.height, pose.girth
    share = np.array([-0.06, 0.1, 0.4, 0.75, 0.95, 1.04])
    half_width = h * g * np.array([0.085, 0.1, 0.088, 0.108, 0.085, 0.03])
    half_depth = h * g * np.array([0.055, 0.066, 0.06, 0.068, 0.05, 0.028])
    angle = 2 * np.pi * np.arange(10) / 10
    ahead = np.array([upright[2], 0, -upright[0]])
    centre = pose.hips + share[:, None] * (neck - pose.hips)
    ring = half_depth[:, None, None] * np.cos(angle)[:, None] * ahead
    ring = ring + half_width[:, None, None] * np.sin(angle)[:, None] * np.array([0, 1.0, 0])
    return loft(centre[:, None] + ring, look)


def _skirt(pose: _Pose, hem: float, knees: np.ndarray, look: Surface) -> Mesh:
    """A coat or skirt that hangs from the hips around both legs."""
    h, g = pose.height, pose.girth
    angle = 2 * np.pi * np.arange(10) / 10
    stride = np.ptp(knees[:, 0])
    bottom = pose.hips - (0, 0, hem * 0.46 * h) + ((knees[:, 0].mean() - pose.hips[0]) * hem, 0, 0)
    sections = []
    for centre, depth, width in (
        (bottom, 0.075 * h * g + 0.45 * hem * stride, 0.105 * h * g),
        (pose.hips + (0, 0, 0.08 * h), 0.068 * h * g, 0.098 * h * g),
    ):
        sections.append(centre + np.stack([depth * np.cos(angle), width * np.sin(angle), 0 * angle], -1))
    return loft(np.array(sections), look)


def _head(h: float, centre: np.ndarray, neck: np.ndarray, clothes: _Clothes) -> list[Mesh]:
    parts = [
        ellipsoid(centre, (0.056 * h, 0.045 * h, 0.066 * h), clothes.skin, rings=6, sides=8),
        tube([neck - (0, 0, 0.02 * h), centre], 0.03 * h, clothes.skin, sides=6),
    ]
    if clothes.headgear != "none":
        grow = {"hair": 1.08, "cap": 1.1, "helmet": 1.35}[clothes.headgear]
        shift = (-0.012 * h, 0, 0.018 * h) if clothes.headgear != "helmet" else (-0.004 * h, 0, 0.012 * h)
        parts.append(
            ellipsoid(
                centre + shift,
                (0.056 * h * grow, 0.047 * h * grow, 0.06 * h * grow),
                clothes.hair,
                rings=5,
                sides=8,
            )
        )
    if clothes.headgear == "cap":
        parts.append(
            ellipsoid(
                centre + (0.06 * h, 0, 0.035 * h),
                (0.04 * h, 0.035 * h, 0.006 * h),
                clothes.hair,
                rings=3,
                sides=6,
            )
        )
    return parts


def _dressed(rng: np.random.Generator, class_name: str, headgear: str, hem: float = 0.0) -> _Clothes:
    def cloth() -> Surface:
        return surface(class_name, Material.CLOTH, tinted(rng, pick(rng, _CLOTHES), 16))

    top, legs = cloth(), cloth()
    helmet = surface(class_name, Material.PLASTIC, tinted(rng, pick(rng, _CLOTHES), 30))
    return _Clothes(
        skin=surface(class_name, Material.SKIN, tinted(rng, pick(rng, _SKINS), 8)),
        hair=helmet
        if headgear in ("helmet", "cap")
        else surface(class_name, Material.HAIR, pick(rng, _HAIR)),
        top=top,
        legs=legs,
        shoes=surface(class_name, Material.RUBBER, tinted(rng, (60, 56, 54), 30)),
        hem=hem,
        headgear=headgear,
    )


def pedestrian(rng: np.random.Generator) -> Mesh:
    """A standing or walking adult or child, some with coat, bag, rucksack or umbrella; 1.05-2.6 m high."""
    child = rng.random() < 0.15
    h = rng.uniform(1.1, 1.5) if child else np.clip(rng.normal(1.72, 0.09), 1.5, 1.95)
    girth = np.clip(rng.normal(1.0, 0.1), 0.82, 1.3)
    stride = rng.uniform(0.06, 0.22) * h if rng.random() < 0.72 else rng.uniform(0, 0.03) * h
    phase = rng.uniform(0, 2 * np.pi)
    swing = stride * np.array([np.cos(phase), np.cos(phase + np.pi)])
    lifted = np.maximum(0, np.sin([phase, phase + np.pi])) * stride * 0.4
    apart = rng.uniform(0.035, 0.06) * h
    side = np.array([1.0, -1.0])
    feet = np.stack([swing, side * apart, 0.045 * h + lifted], 1)
    hips = np.array([0, 0, np.min(feet[:, 2] + np.sqrt((0.4785 * h) ** 2 - swing**2))])
    arm = -swing * rng.uniform(0.5, 1.1)
    hands = np.stack([arm + 0.03 * h, side * 0.15 * h * girth, hips[2] - 0.028 * h + np.abs(arm) * 0.4], 1)
    if rng.random() < 0.25:
        hands[rng.integers(2)] = (0.2 * h, rng.uniform(-0.05, 0.05), rng.uniform(0.62, 0.72) * h)
    umbrella = rng.random() < 0.05
    if umbrella:
        hands[1] = (0.14 * h, -0.09 * h, 0.7 * h)
    headgear = pick(rng, ("none", "hair", "cap"), (1, 6, 2))
    hem = rng.uniform(0.25, 0.75) if rng.random() < 0.3 else 0.0
    clothes = _dressed(rng, "person", headgear, hem)
    pose = _Pose(
        height=h, girth=girth, hips=hips, lean=rng.normal(0.04, 0.04), hands=hands,
        feet=feet,
    )  # fmt: skip
    parts = [_figure(pose, clothes), *_belongings(rng, pose)]
    if umbrella:
        parts.append(_umbrella(rng, hands[1], h))
    return grounded(Mesh.merge(parts))


def _belongings(rng: np.random.Generator, pose: _Pose) -> list[Mesh]:
    """A bag in the hand or a rucksack, each on some people."""
    h = pose.height
    bag = surface("person", Material.CLOTH, tinted(rng, pick(rng, _CLOTHES), 25))
    parts = []
    if rng.random() < 0.2:
        hand = pose.hands[rng.integers(2)]
        size = rng.uniform((0.2, 0.08, 0.2), (0.4, 0.18, 0.38))
        parts.append(
            boxes(
                hand - (size[0] / 2, size[1] / 2, size[2] + 0.05),
                hand + (size[0] / 2, size[1] / 2, -0.05),
                bag,
            )
        )
    if rng.random() < 0.2:
        back = pose.hips + (-0.1 * h * pose.girth, 0, 0.19 * h)
        parts.append(ellipsoid(back, (0.07 * h, 0.085 * h, 0.13 * h), bag, rings=5, sides=8))
    return parts


def _umbrella(rng: np.random.Generator, hand: np.ndarray, h: float) -> Mesh:
    cloth = surface("person", Material.CLOTH, tinted(rng, pick(rng, _CLOTHES), 25))
    top = 0.62 * h
    canopy = revolve([(0.52, top - 0.2), (0.36, top - 0.06), (0.02, top)], cloth, base=hand, sides=8)
    return Mesh.merge([canopy, tube([hand, hand + (0, 0, top)], 0.012, cloth, sides=4)])


def _rider(
    rng: np.random.Generator, ride: TwoWheeler, class_name: str, headgear: str, lean: tuple[float, float]
) -> Mesh:
    """The two-wheeler with somebody on it, all of one class."""
    h = np.clip(rng.normal(1.73, 0.08), 1.5, 1.93)
    clothes = _dressed(rng, class_name, headgear)
    side = np.array([[1.0], [-1.0]])
    pose = _Pose(
        height=h,
        girth=np.clip(rng.normal(1.0, 0.08), 0.85, 1.25),
        hips=np.array(ride.saddle) + (0, 0, 0.06 * h),
        lean=rng.uniform(*lean),
        feet=np.array(ride.pedals) + (-0.05, 0, 0.05),
        hands=np.array(ride.grip) * np.concatenate([[[1.0], [1.0]], side, [[1.0], [1.0]]], 1) + (0, 0, 0.03),
    )
    whole = relabelled(Mesh.merge([ride.mesh, _figure(pose, clothes)]), class_name)
    return grounded(placed(whole, roll=rng.normal(0, 0.04)))


def bicyclist(rng: np.random.Generator) -> Mesh:
    """A bicycle with its rider, 1.5-2 m high."""
    headgear = pick(rng, ("hair", "helmet", "cap"), (5, 4, 1))
    return _rider(rng, upright_bicycle(rng, "bicyclist"), "bicyclist", headgear, (0.15, 0.6))


def motorcyclist(rng: np.random.Generator) -> Mesh:
    """A motorcycle or scooter with its rider, 1.4-1.9 m high."""
    return _rider(rng, upright_motorcycle(rng, "motorcyclist"), "motorcyclist", "helmet", (0.05, 0.35))
