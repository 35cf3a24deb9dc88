"""The images of a frame through the dense CLIP.

Shapes: B images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from clip2scene_core.clip.dense import DensePatches
from clip2scene_core.clip.teacher import DenseTeacher
from clip2scene_core.types import CameraImage


def see(
    dense: DenseTeacher, images: Mapping[str, CameraImage], *, keys: bool = False
) -> dict[str, DensePatches]:
    """Patches (B = 1) of each image by camera; images of one size go through the encoder together."""
    by_size: dict[tuple[int, ...], list[str]] = {}
    for name, image in images.items():
        by_size.setdefault(image.rgb.shape[:2], []).append(name)
    seen = {}
    for names in by_size.values():
        patches = dense(np.stack([images[name].rgb for name in names]), keys=keys)
        for row, name in enumerate(names):
            seen[name] = replace(
                patches,
                features=patches.features[row : row + 1],
                keys=None if patches.keys is None else patches.keys[row : row + 1],
            )
    return {name: seen[name] for name in images}
