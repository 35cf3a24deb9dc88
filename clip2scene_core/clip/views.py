"""The images of a frame through the dense CLIP.

Shapes: B images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from clip2scene_core.clip.dense import DenseClip, DensePatches
from clip2scene_core.types import CameraImage


def see(
    dense: DenseClip,
    images: Mapping[str, CameraImage],
    *,
    shown: tuple[int, int] | None = None,
    keys: bool = False,
) -> dict[str, DensePatches]:
    """Patches (B = 1) of each image by camera; images of one size go through the encoder together.

    shown: height and width that images are shown to it at, which it takes less time for the smaller they are;
        None for their own. Pixels of the patches are those of the image all the same.
    """
    by_size: dict[tuple[int, ...], list[str]] = {}
    for name, image in images.items():
        by_size.setdefault(image.rgb.shape[:2], []).append(name)
    seen = {}
    for (height, width), names in by_size.items():
        rgb = torch.from_numpy(np.stack([images[name].rgb for name in names]))
        if shown is not None and shown != (height, width):
            smaller = F.interpolate(rgb.permute(0, 3, 1, 2), shown, mode="bilinear", antialias=True)
            rgb = smaller.permute(0, 2, 3, 1)
        patches = dense(rgb, keys=keys)
        covered = (
            patches.image_size[0] * height / rgb.shape[1],
            patches.image_size[1] * width / rgb.shape[2],
        )
        for row, name in enumerate(names):
            seen[name] = replace(
                patches,
                features=patches.features[row : row + 1],
                keys=None if patches.keys is None else patches.keys[row : row + 1],
                image_size=covered,
            )
    return {name: seen[name] for name in images}
