"""A camera in the town: the rays of its pixels, the light that they bring, and the picture it makes of it.

Shapes: H x W pixels, N rays. The optical frame is x right, y down, z forward. Light is linear RGB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.cameras import Camera, rays, resized
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.light import View, light_along
from clip2scene_core.simulation.optics import Optics
from clip2scene_core.simulation.scene import Scene
from clip2scene_core.simulation.weather import Weather as Weather
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
    oversampling: int = 1,
    rng: np.random.Generator | int = 0,
    frame_id: str = "camera",
) -> Rendering:
    """What a camera sees at one time; pixels that no ray reaches, outside a fisheye's circle, are black.

    `optics` None is an average camera. The light of a pixel is the mean of `oversampling`^2 rays; its class
    and range are those of the ray in its middle. `rng` draws the noise; a whole number gives each stamp its
    own.
    """
    view, cosine = _view(camera, world_from_camera)
    scene = _around(scene, view, stamp_ns).frozen(stamp_ns)
    hits = scene.trace(
        view.origins, view.directions, np.array([stamp_ns]), np.zeros(len(view.angle), np.int64)
    )
    if oversampling == 1:
        light = view.picture(light_along(scene, view, hits, weather), 0.0)
    else:
        light = _oversampled(scene, camera, world_from_camera, weather, oversampling)
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng([rng, stamp_ns])
    rgb = (optics or Optics()).develop(light, cosine, rng)
    class_id = np.where(hits.face >= 0, scene.class_id[hits.face], 0).astype(np.uint8)
    return Rendering(
        image=CameraImage(rgb=rgb, camera=camera, stamp_ns=stamp_ns, frame_id=frame_id),
        class_id=view.picture(class_id, 0),
        range_m=view.picture(hits.range_m, np.inf),
    )


def _oversampled(
    scene: Scene, camera: Camera, world_from_camera: SE3, weather: Weather, times: int
) -> np.ndarray:
    """(H, W, 3) light of a frozen scene, the mean of `times` x `times` rays a pixel."""
    view, _ = _view(resized(camera, times * camera.width, times * camera.height), world_from_camera)
    hits = scene.trace(
        view.origins, view.directions, np.zeros(1, np.int64), np.zeros(len(view.angle), np.int64)
    )
    light = view.picture(light_along(scene, view, hits, weather), 0.0)
    return light.reshape(camera.height, times, camera.width, times, 3).mean(axis=(1, 3))


def _view(camera: Camera, world_from_camera: SE3) -> tuple[View, np.ndarray]:
    """The rays of a camera, and (H, W) float32: their cosines to the optical axis, 0 where there is none."""
    pixels = np.indices((camera.height, camera.width))[::-1].reshape(2, -1).T
    grid = rays(camera, pixels).astype(np.float32).reshape(camera.height, camera.width, 3)
    reached = np.asarray(np.isfinite(grid).all(axis=2))
    step = np.linalg.norm(np.diff(grid, axis=1, append=grid[:, -1:]), axis=2)
    # The last pixel of a row, and that at the edge of a fisheye's circle, have no next one.
    angle = np.where(np.isfinite(step) & (step > 0), step, np.float32(1.0 / camera.matrix[0, 0]))
    view = View(
        origin=world_from_camera.translation.astype(np.float32),
        directions=grid[reached] @ world_from_camera.rotation.T.astype(np.float32),
        angle=angle[reached],
        reached=reached,
    )
    return view, np.where(reached, grid[..., 2], np.float32(0))


def _around(scene: Scene, view: View, stamp_ns: int) -> Scene:
    """The scene with the actors that the view or its shadows may show."""
    if not scene.actors or not len(view.directions):
        return scene
    axis = view.directions.mean(axis=0, dtype=np.float64)
    axis /= max(float(np.linalg.norm(axis)), 1e-9)
    opening = float(np.arccos(np.clip((view.directions @ axis).min(), -1.0, 1.0)))
    return scene.in_cone(stamp_ns, view.origin, axis, opening, _SHADOWS_M)
