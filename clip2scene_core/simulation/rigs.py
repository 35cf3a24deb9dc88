"""Sensor rigs: which LiDAR and cameras a vehicle carries, where, and with which lenses.

The base frame is on the ground below the LiDAR, x forward, y left, z up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from clip2scene_core.cameras import Camera
from clip2scene_core.errors import ConfigError
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.camera import pinhole
from clip2scene_core.simulation.lidar import LIDARS, LidarModel

_MAX_RAYS = 160_000
_SIZES_PX = range(8, 4097)
OPTICAL_AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Rotation body_from_optical of a camera that looks ahead."""

RANDOM_LIDAR = "random"
LENSES = ("pinhole", "plumb_bob", "equidistant")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MountedCamera:
    """A camera on a vehicle."""

    base_from_camera: SE3
    """Pose of the optical frame."""
    camera: Camera


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rig:
    """The sensors of one vehicle, exactly calibrated."""

    lidar: LidarModel
    base_from_lidar: SE3
    cameras: Mapping[str, MountedCamera]
    """By name, such as front_left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Where a camera sits and looks."""

    yaw_deg: float
    place_m: tuple[float, float, float]
    width_deg: float
    """Horizontal field of view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Design:
    """What rigs of one kind have in common."""

    lidar: str
    """Name of the LiDAR that it comes with."""
    lidar_height_m: tuple[float, float]
    lidar_yaw_deg: float = 0.0
    views: Mapping[str, _View]
    size: tuple[int, int]
    """Width and height of the images in pixels."""
    slack: float = 1.0
    """How much rigs differ from each other; 0 for not at all."""


def _ring(count: int) -> _Design:
    """`count` cameras 0.4 m around the LiDAR, lower than it, the first one ahead."""
    yaws_deg = {"front": 0.0, "front_left": 55.0, "front_right": -55.0}
    yaws_deg |= {"back": 180.0, "back_left": 110.0, "back_right": -110.0}
    views = {}
    for name, yaw_deg in list(yaws_deg.items())[:count]:
        yaw = np.deg2rad(yaw_deg)
        place_m = (0.4 * np.cos(yaw), 0.4 * np.sin(yaw), 1.5)
        views[name] = _View(yaw_deg=yaw_deg, place_m=place_m, width_deg=75.0)
    return _Design(lidar="HDL-64E", lidar_height_m=(1.6, 2.1), views=views, size=(640, 360), slack=0.0)


_DESIGNS = {
    "nuscenes": _Design(
        lidar="HDL-32E",
        lidar_height_m=(1.74, 1.94),
        lidar_yaw_deg=-90.0,
        views={
            "front": _View(yaw_deg=0.0, place_m=(0.8, 0.0, 1.5), width_deg=65.0),
            "front_left": _View(yaw_deg=55.0, place_m=(0.6, 0.5, 1.5), width_deg=65.0),
            "front_right": _View(yaw_deg=-55.0, place_m=(0.6, -0.5, 1.5), width_deg=65.0),
            "back": _View(yaw_deg=180.0, place_m=(-0.9, 0.0, 1.55), width_deg=90.0),
            "back_left": _View(yaw_deg=110.0, place_m=(0.1, 0.5, 1.55), width_deg=65.0),
            "back_right": _View(yaw_deg=-110.0, place_m=(0.1, -0.5, 1.55), width_deg=65.0),
        },
        size=(800, 450),
    ),
    "kitti": _Design(
        lidar="HDL-64E",
        lidar_height_m=(1.65, 1.8),
        views={"front": _View(yaw_deg=0.0, place_m=(0.27, 0.06, 1.65), width_deg=81.5)},
        size=(1242, 375),
    ),
    "none": _ring(0),
    **{str(count): _ring(count) for count in range(7)},
}
"""By name: six cameras around the vehicle and a LiDAR that looks to the right, as in nuScenes; one wide
camera ahead, as in KITTI; none; or that many with wide gaps."""

RIGS = ("nuscenes", "kitti", "none")
"""Names of rigs; a number of cameras, 0 to 6, names one too."""


def make_rig(
    cameras: str | int,
    seed: int,
    *,
    lidar: str | LidarModel | None = None,
    size: tuple[int, int] | None = None,
    lens: str = "pinhole",
) -> Rig:
    """The rig of the vehicle of a seed: `cameras` is one of RIGS or a number of cameras.

    `lidar` is a name of LIDARS or a model; None for the one that the rig comes with; `random` for one of the
    vehicle's own at any height, turned in any way. `size` is (width, height) of the images in pixels; the
    horizontal field of view stays. `lens` is one of LENSES. As on real vehicles, sensors sit centimetres and
    a degree or two off, and focal lengths differ by a few per cent. Raises ConfigError for what is not known
    or possible.
    """
    rng = np.random.default_rng([seed, 4])
    if (name := str(cameras)) not in _DESIGNS:
        raise ConfigError(f"cameras must be {', '.join(RIGS)} or a number 0..6, got '{name}'")
    design = _DESIGNS[name]
    if lens not in LENSES:
        raise ConfigError(f"lens '{lens}' is unknown; known are {', '.join(LENSES)}")
    size = size or design.size
    if not all(side in _SIZES_PX for side in size):
        raise ConfigError(f"images must have 8 to 4096 pixels a side, got {size[0]}x{size[1]}")
    if lidar == RANDOM_LIDAR:
        model, base_from_lidar = random_lidar(rng), random_mount(rng, (1.5, 2.4))
    else:
        model, base_from_lidar = _lidar(lidar or design.lidar), _lidar_mount(design, rng)
    lift_m = design.slack * rng.uniform(-0.1, 0.15)
    mounted = {
        camera: MountedCamera(
            base_from_camera=_camera_mount(view, lift_m, design.slack, rng),
            camera=_camera(size, view.width_deg, lens, design.slack, rng),
        )
        for camera, view in design.views.items()
    }
    return Rig(lidar=model, base_from_lidar=base_from_lidar, cameras=mounted)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height in pixels of a text such as 400x225. Raises ConfigError for any other text."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"size must read WIDTHxHEIGHT, such as 400x225, got '{text}'")
    return int(width), int(height)


def random_lidar(rng: np.random.Generator) -> LidarModel:
    """A LiDAR like one of LIDARS, with another beam table, resolution, reach, noise and intensity."""
    base = LIDARS[str(rng.choice(["HDL-64E", "HDL-32E", "VLS-128", "VLP-16"], p=[0.45, 0.3, 0.15, 0.1]))]
    elevations = base.elevations_deg
    if rng.random() < 0.7:
        middle = elevations.mean()
        elevations = middle + (elevations - middle) * rng.uniform(0.85, 1.15) + rng.uniform(-1.5, 1.5)
        elevations = elevations + rng.normal(0, 0.06, len(elevations))
    finest_deg = max(0.08, 360.0 * len(elevations) / _MAX_RAYS)
    step_deg = (
        360.0 / base.azimuth_steps if rng.random() < 0.4 else rng.uniform(finest_deg, max(0.4, finest_deg))
    )
    step_deg = max(step_deg, finest_deg)
    return replace(
        base,
        elevations_deg=elevations,
        azimuth_steps=int(360.0 / step_deg),
        rate_hz=float(rng.choice([10.0, 20.0])),
        reach_m=base.reach_m * rng.uniform(0.7, 1.4),
        range_noise_m=rng.uniform(0.003, 0.03),
        beam_bias_m=rng.normal(0.0, rng.uniform(0.0, 0.025), len(elevations)),
        random_loss=rng.choice([0.0, 0.01, 0.1]) * rng.random(),
        glass_transmission=rng.uniform(0.05, 0.6),
        gloss_threshold=rng.uniform(0.0, 0.12),
        intensity_gain=rng.uniform(0.4, 1.8),
    )


def random_mount(rng: np.random.Generator, height_m: tuple[float, float]) -> SE3:
    """body_from_lidar: a height over the ground, any direction, and a tilt of about a degree."""
    tilt = rng.normal(0.0, np.deg2rad(1.2), 2)
    rotation = Rotation.from_euler("zyx", [rng.uniform(-np.pi, np.pi), *tilt]).as_matrix()
    return SE3.from_rotation_translation(rotation, np.array([0.0, 0.0, rng.uniform(*height_m)]))


def _lidar(lidar: str | LidarModel) -> LidarModel:
    if isinstance(lidar, LidarModel):
        return lidar
    if lidar not in LIDARS:
        raise ConfigError(f"lidar '{lidar}' is unknown; known are {', '.join([*LIDARS, RANDOM_LIDAR])}")
    return LIDARS[lidar]


def _lidar_mount(design: _Design, rng: np.random.Generator) -> SE3:
    """base_from_lidar: tilted by about half a degree."""
    tilt = Rotation.from_euler("yx", rng.normal(0, np.deg2rad(0.5), 2))
    turn = Rotation.from_euler("z", design.lidar_yaw_deg, degrees=True)
    place_m = np.array([0.0, 0.0, rng.uniform(*design.lidar_height_m)])
    return SE3.from_rotation_translation((tilt * turn).as_matrix(), place_m)


def _camera_mount(view: _View, lift_m: float, slack: float, rng: np.random.Generator) -> SE3:
    """base_from_camera."""
    off_deg = slack * rng.uniform(-1.0, 1.0, 3) * np.array([1.0, 1.5, 0.7])
    off_m = slack * rng.uniform(-0.03, 0.03, 3) + np.array([0.0, 0.0, lift_m])
    turn = Rotation.from_euler("ZYX", np.array([view.yaw_deg, 0.0, 0.0]) + off_deg, degrees=True)
    return SE3.from_rotation_translation(turn.as_matrix() @ OPTICAL_AXES, np.array(view.place_m) + off_m)


def _camera(
    size: tuple[int, int], width_deg: float, lens: str, slack: float, rng: np.random.Generator
) -> Camera:
    """Sees `width_deg` from its left edge to its right one, whatever the lens; cameras differ a little."""
    plain = pinhole(*size, width_deg)
    if lens == "plumb_bob":
        # k2 is large enough for the lens to have no fold however far out.
        k1 = rng.uniform(-0.35, -0.15)
        distortion = np.array([k1, rng.uniform(0.5, 0.9) * k1**2, *rng.normal(0.0, 4e-4, 2), 0.0])
    else:
        distortion = rng.normal(0.0, [0.02, 0.005, 0.0, 0.0]) if lens == "equidistant" else np.zeros(0)
    bent = replace(plain, model=lens, distortion=distortion)
    edge = np.tan(np.deg2rad(width_deg) / 2)
    x, _ = bent.lens.distort(np.array([edge]), np.zeros(1))
    matrix = plain.matrix.copy()
    matrix[[0, 1], [0, 1]] *= edge / x[0] * (1.0 + slack * rng.uniform(-0.02, 0.02))
    matrix[:2, 2] += slack * rng.uniform(-0.02, 0.02, 2) * size
    return replace(bent, matrix=matrix)
