"""A simple camera in the town: one ray per pixel, a sun, a sky and haze.

Shapes: H x W pixels. The optical frame is x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.cameras import Camera, rays
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.meshes import Material
from clip2scene_core.simulation.scene import Scene
from clip2scene_core.types import CameraImage

_ZENITH = np.array([96.0, 146.0, 205.0], np.float32)
_HORIZON = np.array([206.0, 218.0, 228.0], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weather:
    """The light."""

    sun: np.ndarray
    """(3,) float64 unit vector of the world, towards the sun."""
    sunlight: float = 0.75
    """Share of the light that comes from the sun; the rest comes from the sky."""
    visibility_m: float = 350.0
    """Distance at which haze takes away 63 % of the contrast."""

    @classmethod
    def random(cls, rng: np.random.Generator) -> Weather:
        """Any azimuth of the sun, 20 to 69 degrees high; haze to clear air."""
        azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.2)
        level = np.cos(elevation)
        return cls(
            sun=np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)]),
            sunlight=rng.uniform(0.3, 0.8),
            visibility_m=rng.uniform(150.0, 500.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rendering:
    """An image with its exact classes and ranges."""

    image: CameraImage
    class_id: np.ndarray
    """(H, W) uint8, ids of the label set `town`; 0 for the sky and for pixels that no ray reaches."""
    range_m: np.ndarray
    """(H, W) float32 along the ray of the pixel; inf where the class is 0."""


def pinhole(width: int, height: int, horizontal_view_deg: float) -> Camera:
    """A camera without distortion whose optical axis goes through the middle of the image."""
    focal = width / 2 / np.tan(np.deg2rad(horizontal_view_deg) / 2)
    matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    return Camera(width=width, height=height, matrix=matrix)


def render(
    scene: Scene,
    camera: Camera,
    world_from_camera: SE3,
    stamp_ns: int,
    weather: Weather,
    *,
    frame_id: str = "camera",
) -> Rendering:
    """What a camera sees at one time; pixels that no ray reaches, outside a fisheye's circle, are black."""
    scene = scene.frozen(stamp_ns)
    rays_camera = rays(camera, _pixels(camera))
    reached = np.isfinite(rays_camera).all(axis=1)
    directions = (rays_camera[reached] @ world_from_camera.rotation.T).astype(np.float32)
    origins = np.broadcast_to(world_from_camera.translation.astype(np.float32), directions.shape)
    hits = scene.trace(origins, directions, np.array([stamp_ns]), np.zeros(len(directions), np.int64))
    hit = hits.face >= 0

    sky = _sky(directions)
    light = (1 - weather.sunlight) * (0.75 + 0.25 * hits.normal[:, 2])
    light += (
        weather.sunlight
        * np.clip(hits.normal @ weather.sun.astype(np.float32), 0, None)
        * _lit(scene, origins, directions, hits.range_m, hits.normal, weather, stamp_ns)
    )
    colour = scene.colour[hits.face] * light[:, None] * 1.4
    mirror = np.where(scene.material[hits.face] == Material.GLASS, 0.35, 0.0)[:, None]
    colour = colour * (1 - mirror) + mirror * _HORIZON
    haze = np.exp(-hits.range_m / weather.visibility_m)[:, None]
    rgb = np.where(hit[:, None], colour * haze + _HORIZON * (1 - haze), sky)

    def picture(values: np.ndarray, elsewhere: float) -> np.ndarray:
        whole = np.full((len(reached), *values.shape[1:]), elsewhere, values.dtype)
        whole[reached] = values
        return whole.reshape(camera.height, camera.width, *values.shape[1:])

    image = CameraImage(
        rgb=picture(np.clip(rgb, 0, 255).astype(np.uint8), 0),
        camera=camera,
        stamp_ns=stamp_ns,
        frame_id=frame_id,
    )
    class_id = np.where(hit, scene.class_id[hits.face], 0).astype(np.uint8)
    return Rendering(image=image, class_id=picture(class_id, 0), range_m=picture(hits.range_m, np.inf))


def _pixels(camera: Camera) -> np.ndarray:
    """(H * W, 2) int64: column and row of the pixel centres, row by row."""
    return np.indices((camera.height, camera.width))[::-1].reshape(2, -1).T


def _sky(directions: np.ndarray) -> np.ndarray:
    up = np.clip(directions[:, 2:], 0, 1) ** 0.5
    return _HORIZON * (1 - up) + _ZENITH * up


def _lit(
    scene: Scene,
    origins: np.ndarray,
    directions: np.ndarray,
    range_m: np.ndarray,
    normal: np.ndarray,
    weather: Weather,
    stamp_ns: int,
) -> np.ndarray:
    """(N,) 1 where the sun reaches the surface, 0 in its shadow."""
    lit = np.zeros(len(range_m), np.float32)
    rows = np.flatnonzero(np.isfinite(range_m) & (normal @ weather.sun.astype(np.float32) > 0))
    at = origins[rows] + directions[rows] * range_m[rows, None] + 0.02 * normal[rows]
    sunward = np.broadcast_to(weather.sun.astype(np.float32), at.shape)
    shade = scene.trace(at, sunward, np.array([stamp_ns]), np.zeros(len(rows), np.int64))
    lit[rows] = shade.face < 0
    return lit
