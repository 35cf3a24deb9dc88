"""Which points a camera sees, and at which pixels.

Shapes: N points, M pairs.
"""

from __future__ import annotations

import numpy as np

from clip2scene_core.cameras import Camera, in_image, project
from clip2scene_core.geometry import SE3, depth_agrees, visible
from clip2scene_core.types import Frame, PointPixelPairs


def point_pixel_pairs(
    frame: Frame,
    camera: str,
    *,
    sweep: int | None = None,
    min_depth_m: float = 1.0,
    occlusion: bool = True,
) -> PointPixelPairs:
    """The points of the frame's scan, or of `frame.sweeps[sweep]`, in the image of a camera.

    The chain is lidar(t_lidar) -> world -> camera(t_camera) with the stamps of that scan and of the image, so
    ego motion is accounted for. A camera without an image in this frame has no pairs. See `pair`.
    """
    scan, world_from_lidar = frame.scan, frame.world_from_lidar
    if sweep is not None:
        scan, world_from_lidar = frame.sweeps[sweep], frame.sweeps_world_from_lidar[sweep]
    if camera not in frame.images:
        return PointPixelPairs(
            row=np.empty(0, np.int64),
            pixel=np.empty((0, 2), np.float32),
            depth_m=np.empty(0, np.float32),
            camera=camera,
        )
    image = frame.images[camera]
    return pair(
        scan.xyz,
        image.camera,
        camera,
        camera_from_lidar=frame.world_from_camera[camera].inverse() @ world_from_lidar,
        image_depth_m=image.depth_m,
        min_depth_m=min_depth_m,
        occlusion=occlusion,
    )


def pair(
    xyz_lidar: np.ndarray,
    camera: Camera,
    name: str,
    *,
    camera_from_lidar: SE3,
    image_depth_m: np.ndarray | None = None,
    min_depth_m: float = 1.0,
    occlusion: bool = True,
) -> PointPixelPairs:
    """The pairs of points (N, 3), NaN where there was no return, with the pixels of `camera`, called `name`.

    A pair's point is more than `min_depth_m` ahead of the camera and, with `occlusion`, not hidden: where the
    image (H, W) has depths they have to agree, elsewhere no nearer points may be around it, which LiDARs
    above the cameras see over (see geometry.depth_agrees and visible).
    """
    with np.errstate(invalid="ignore", over="ignore"):  # rows without a return may hold infinities
        pixel, depth_m = project(camera, camera_from_lidar.apply(np.asarray(xyz_lidar, np.float64)))
        pixel = pixel.astype(np.float32)  # before it is compared: what is given away has to be in the image
    row = np.flatnonzero(in_image(camera, pixel) & (depth_m > min_depth_m))
    if occlusion and image_depth_m is not None:
        row = row[depth_agrees(pixel[row], depth_m[row], image_depth_m)]
    elif occlusion:
        row = row[visible(pixel[row], depth_m[row])]
    return PointPixelPairs(row=row, pixel=pixel[row], depth_m=depth_m[row].astype(np.float32), camera=name)
