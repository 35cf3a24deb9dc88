"""A camera in the town: the rays of its pixels, the light that they bring, and the picture it makes of it.

Shapes: H x W pixels, N rays. The optical frame is x right, y down, z forward. Light is linear RGB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.cameras import Camera, rays
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.light import light_along
from clip2scene_core.simulation.optics import Optics
from clip2scene_core.simulation.scene import Scene
from clip2scene_core.simulation.weather import Weather
from clip2scene_core.types import CameraImage

_SHADOWS_M = 12.0
"""How far outside the view things are kept whose shadows and mirror images may fall into it."""


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
    optics: Optics | None = None,
    rng: np.random.Generator | int = 0,
    frame_id: str = "camera",
) -> Rendering:
    """What a camera sees at one time; pixels that no ray reaches, outside a fisheye's circle, are black.

    `optics` None is an average camera. `rng` draws its noise; a whole number
    gives each stamp its own.
    """
    rays_camera = rays(camera, _pixels(camera)).astype(np.float32)
    reached = np.isfinite(rays_camera).all(axis=1)
    directions = rays_camera[reached] @ world_from_camera.rotation.T.astype(np.float32)
    scene = _around(scene, world_from_camera.translation, directions, stamp_ns).frozen(stamp_ns)
    origins = np.broadcast_to(world_from_camera.translation.astype(np.float32), directions.shape)
    hits = scene.trace(origins, directions, np.array([stamp_ns]), np.zeros(len(directions), np.int64))

    def picture(values: np.ndarray, elsewhere: float) -> np.ndarray:
        whole = np.full((len(reached), *values.shape[1:]), elsewhere, values.dtype)
        whole[reached] = values
        return whole.reshape(camera.height, camera.width, *values.shape[1:])

    width = _pixel_angles(camera, rays_camera)[reached]
    light = light_along(scene, hits, origins, directions, width, picture, weather)
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng([rng, stamp_ns])
    rgb = (optics or Optics()).develop(picture(light, 0.0), picture(rays_camera[reached, 2], 0.0), rng)
    class_id = np.where(hits.face >= 0, scene.class_id[hits.face], 0).astype(np.uint8)
    return Rendering(
        image=CameraImage(rgb=rgb, camera=camera, stamp_ns=stamp_ns, frame_id=frame_id),
        class_id=picture(class_id, 0),
        range_m=picture(hits.range_m, np.inf),
    )


def _pixels(camera: Camera) -> np.ndarray:
    """(H * W, 2) int64: column and row of the pixel centres, row by row."""
    return np.indices((camera.height, camera.width))[::-1].reshape(2, -1).T


def _pixel_angles(camera: Camera, rays_camera: np.ndarray) -> np.ndarray:
    """(H * W,) radians between the ray of each pixel and that of the next one."""
    grid = rays_camera.reshape(camera.height, camera.width, 3)
    angle = np.zeros(grid.shape[:2], np.float32)
    if camera.width > 1:
        across = np.linalg.norm(np.diff(grid, axis=1), axis=2)
        angle[:, :-1], angle[:, -1] = across, across[:, -1]
    # At the edge of a fisheye's circle the next pixel has no ray.
    return np.where(np.isfinite(angle), angle, np.float32(1.0 / camera.matrix[0, 0])).ravel()


def _around(scene: Scene, origin: np.ndarray, directions: np.ndarray, stamp_ns: int) -> Scene:
    """The scene with the actors that the view or its shadows may show."""
    if not scene.actors or not len(directions):
        return scene
    axis = directions.mean(axis=0, dtype=np.float64)
    axis /= max(float(np.linalg.norm(axis)), 1e-9)
    opening = float(np.arccos(np.clip((directions @ axis).min(), -1.0, 1.0)))
    return scene.in_cone(stamp_ns, origin, axis, opening, _SHADOWS_M)
