"""Streets of a few hundred points: labelled, or seen by a camera that a stand-in for CLIP looks through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from clip2scene_core.cameras import Camera
from clip2scene_core.clip.dense import DensePatches
from clip2scene_core.clip.pseudo_labels import Refinement
from clip2scene_core.clip.teacher import FrozenTeacher
from clip2scene_core.clip.text import TextEmbeddings
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import CameraImage, Frame, LidarScan

KITTI = LabelSet.named("semantic_kitti")


def street(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) of a road, a wall and a car, their SemanticKITTI ids, some unknown, the first NaN."""
    rng = np.random.default_rng(seed)
    road = rng.uniform((-10, -4, -1.8), (10, 4, -1.7), (200, 3))
    wall = rng.uniform((-10, 4, -1.8), (10, 4.3, 3), (100, 3))
    car = rng.uniform((2, -3, -1.5), (6, -1.2, -0.2), (60, 3))
    xyz = np.concatenate([np.full((5, 3), np.nan), road, wall, car]).astype(np.float32)
    names = ["building"] * 5 + ["road"] * 200 + ["building"] * 100 + ["car"] * 60
    ids = np.array([KITTI.id_of(name) for name in names])
    ids[::10] = KITTI.ignore_id
    return xyz, ids


@pytest.fixture
def streets(frame_list, make_frame):
    """Makes a FrameSource of so many labelled streets."""
    return lambda count: frame_list([make_frame(*street(seed)) for seed in range(count)], KITTI)


HEIGHT, WIDTH = 64, 112
CAMERA = Camera(width=WIDTH, height=HEIGHT, matrix=np.array([[60.0, 0, 56], [0, 60, 32], [0, 0, 1]]))
LOOKING_AHEAD = SE3.from_rotation_translation(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.zeros(3))
"""Camera axes in those of a LiDAR whose x looks ahead."""
HORIZON = np.repeat(np.array([[0, 255, 0], [255, 0, 0]], np.uint8), HEIGHT // 2, axis=0)
"""Green above the horizon and red below it, as the rows of an image."""


def drive_scan(seed: int) -> LidarScan:
    """A road 1.7 m below the sensor and, 12 m ahead and behind, two walls that begin above it."""
    rng = np.random.default_rng(seed)
    road = rng.uniform((-12, -6, -1.75), (12, 6, -1.65), (300, 3))
    walls = rng.uniform((12, -6, 0.2), (12.3, 6, 3), (200, 3)) * rng.choice([[-1, 1, 1], [1, 1, 1]], 200)
    xyz = np.concatenate([road, walls]).astype(np.float32)
    return LidarScan(xyz=xyz, stamp_ns=seed * 10**8, frame_id="lidar")


def drive_frame(seed: int) -> Frame:
    """Standing still: a scan, one before it, and an image of the road in red and all above it in green."""
    rgb = np.ascontiguousarray(np.broadcast_to(HORIZON[:, None], (HEIGHT, WIDTH, 3)))
    return Frame(
        scan=drive_scan(seed),
        world_from_lidar=SE3.identity(),
        sweeps=(drive_scan(seed + 100),),
        sweeps_world_from_lidar=(SE3.identity(),),
        images={"front": CameraImage(rgb=rgb, camera=CAMERA, stamp_ns=0, frame_id="camera")},
        world_from_camera={"front": LOOKING_AHEAD},
    )


@pytest.fixture
def drive(frame_list):
    """Makes a FrameSource of so many frames with a camera, some replaced by others or by exceptions."""

    class Drive(frame_list):
        camera_names = ("front",)

        def __getitem__(self, index):
            if isinstance(self.frames[index], Exception):
                raise self.frames[index]
            return self.frames[index]

    def make(count, **other):
        frames = [drive_frame(seed) for seed in range(count)]
        for name, frame in other.items():
            frames[int(name.removeprefix("frame_"))] = frame
        return Drive(frames, None)

    return make


@pytest.fixture
def blind_frame():
    """A frame whose camera looks up into the sky."""
    return replace(drive_frame(7), world_from_camera={"front": SE3.identity()})


class ColourTeacher:
    """In place of a CLIP: a feature of a patch is its mean colour, turned into 16 dimensions."""

    embedding_dim = 16
    identity = {"clip": "colours", "weights": "none"}  # noqa: RUF012 - of a protocol
    basis = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)))[0]

    def __call__(self, rgb, *, keys=False):
        patches = avg_pool2d(rgb.permute(0, 3, 1, 2).float() / 255, 8)
        features = torch.einsum("bchw,cd->bdhw", patches, self.basis[:3])
        size = (rgb.shape[1], rgb.shape[2])
        return DensePatches(features=features, keys=None, patch_px=8, image_size=size)


@pytest.fixture
def colours():
    """The teacher whose words road (two phrases), wall and car are red, green and blue."""
    red, green, blue = ColourTeacher.basis[:3]
    pink = torch.nn.functional.normalize(red + 0.5 * blue, dim=0)
    text = TextEmbeddings(
        embeddings=torch.stack([red, pink, green, blue]),
        phrase_class=torch.tensor([0, 0, 1, 2]),
        num_classes=3,
    )
    return FrozenTeacher(dense=ColourTeacher(), text=text, refinement=Refinement())
