"""The images of a frame through the dense CLIP.

Shapes: B images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from clip2scene_core.clip.dense import DensePatches
from clip2scene_core.clip.feature_cache import FillReport, Frames, fill_cache
from clip2scene_core.clip.teacher import DenseTeacher
from clip2scene_core.progress import Progress, silent
from clip2scene_core.types import CameraImage


class FramesWithCameras(Frames, Protocol):
    """A FrameSource."""

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Those that the images of a frame may be of."""
        ...


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


def cache_views(
    folder: Path,
    frames: FramesWithCameras,
    dense: DenseTeacher,
    *,
    recording: str,
    keys: bool = False,
    progress: Progress = silent,
) -> FillReport:
    """Fills a cache with the patches of all images, or completes it; see fill_cache, which raises.

    `recording` is what determines the images; `keys` asks for those of patches, which smoothing wants.
    """
    key = {
        **dense.identity,
        "keys": str(keys),
        "recording": recording,
        "cameras": ", ".join(frames.camera_names),
    }
    return fill_cache(folder, frames, lambda images: see(dense, images, keys=keys), key, progress=progress)
