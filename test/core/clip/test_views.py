"""The images of a frame through a tiny dense CLIP, and through one that sees where its patches are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clip2scene_core.cameras import Camera
from clip2scene_core.clip.dense import DenseClip, DensePatches, sample_features
from clip2scene_core.clip.feature_cache import FeatureCache, fill_cache
from clip2scene_core.clip.views import see
from clip2scene_core.geometry import SE3
from clip2scene_core.pairing import point_pixel_pairs
from clip2scene_core.types import CameraImage


def camera_image(rgb):
    height, width = rgb.shape[:2]
    matrix = np.array([[90.0, 0, width / 2], [0, 90, height / 2], [0, 0, 1]])
    camera = Camera(width=width, height=height, matrix=matrix)
    return CameraImage(rgb=rgb, camera=camera, stamp_ns=0, frame_id="camera")


def noise(seed, height, width):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return camera_image(rgb)


def test_images_of_all_sizes_keep_their_names_and_order(tiny_clip):
    dense = DenseClip(tiny_clip())
    images = {"left": noise(0, 32, 40), "front": noise(1, 24, 32), "right": noise(2, 32, 40)}
    seen = see(dense, images, keys=True)
    assert list(seen) == list(images)
    for name, image in images.items():
        alone = dense(image.rgb[None], keys=True)
        assert seen[name].image_size == alone.image_size
        torch.testing.assert_close(seen[name].features, alone.features, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(seen[name].keys, alone.keys, rtol=1e-4, atol=1e-5)
    assert see(dense, images)["left"].keys is None
    assert see(dense, {}) == {}


class SeesColours:
    """Stands in for a dense CLIP: the features of a patch are the mean colour of its pixels."""

    def __init__(self, patch_px):
        self.patch_px = patch_px

    def __call__(self, rgb, *, keys=False):
        rgb = torch.as_tensor(rgb).float().permute(0, 3, 1, 2)
        height, width = (-(-side // self.patch_px) * self.patch_px for side in rgb.shape[2:])
        padded = torch.nn.functional.pad(
            rgb, (0, width - rgb.shape[3], 0, height - rgb.shape[2]), mode="replicate"
        )
        features = torch.nn.functional.avg_pool2d(padded, self.patch_px)
        return DensePatches(features=features, keys=None, patch_px=self.patch_px, image_size=(height, width))


@pytest.fixture
def drive(make_frame):
    """A frame whose images say where each pixel is, in red and green, and points all around."""
    column, row = np.meshgrid(np.arange(200), np.arange(120))
    images = {
        "front": camera_image(np.stack([column, row, 0 * row], axis=2).astype(np.uint8)),
        "back": camera_image(np.stack([column, row, 0 * row], axis=2)[:94, :157].astype(np.uint8)),
    }
    forward = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    backward = forward @ np.diag([-1, 1, -1])
    return make_frame(
        np.random.default_rng(0).uniform((-30, -30, -5), (30, 30, 5), (3000, 3)),
        images=images,
        world_from_camera={
            "front": SE3.from_rotation_translation(forward, [0.3, 0.1, -0.2]),
            "back": SE3.from_rotation_translation(backward, [-0.3, 0, 0]),
        },
    )


def test_every_point_reads_its_own_pixel(drive, tmp_path):
    """All the way: images, patches, cache, pairs, reading. Ramps are read exactly, but for the outermost."""
    fill_cache(tmp_path, [drive], lambda images: see(SeesColours(10), images), {})
    for name, image in drive.images.items():
        patches = FeatureCache(tmp_path).patches(0, name)
        pixel = torch.from_numpy(point_pixel_pairs(drive, name).pixel)
        read = sample_features(patches.features[0].float(), pixel, patches.image_size)
        end = torch.tensor(image.rgb.shape[1::-1]) - 20
        within = ((pixel > 20) & (pixel < end)).all(dim=1)
        assert within.sum() > 100
        torch.testing.assert_close(read[within, :2], pixel[within], rtol=0, atol=1e-3)
