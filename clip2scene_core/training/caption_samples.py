"""Pictures of the town to crops with captions: what a CLIP of the town is trained on.

Shapes: B crops, H x W pixels, P phrases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from clip2scene_core.errors import DataError
from clip2scene_core.simulation.views import StreetView, read_views

ZOOM = (0.7, 1.6)
"""Pixels of the picture to one of the crop, least and most."""
FRAMED = 0.6
"""Share of the crops that somebody framed: a thing of some class is on them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """Part of a picture."""

    rgb: Tensor
    """(3, H, W) float32 in 0..255."""
    class_id: Tensor
    """(H, W) uint8."""


class CropSamples(Dataset):
    """Square crops of pictures; the item (step, picture) is always the same."""

    def __init__(self, views: Sequence[StreetView], side_px: int, seed: int) -> None:
        """Raises DataError where there is no picture, or one smaller than a crop."""
        if not views:
            raise DataError("expected pictures to learn from, got none")
        least = min(min(view.class_id.shape) for view in views)
        if least < side_px:
            raise DataError(f"expected pictures of at least {side_px} pixels a side, got {least}")
        self._views, self._side, self._seed = views, side_px, seed

    def __len__(self) -> int:
        return len(self._views)

    def __getitem__(self, key: tuple[int, int]) -> Crop:
        step, index = key
        rng = np.random.default_rng((self._seed, step, index))
        view = self._views[index]
        rows, columns = _framed(rng, view.class_id, self._side)
        rgb = torch.from_numpy(view.rgb[rows, columns]).permute(2, 0, 1)[None].float()
        class_id = torch.from_numpy(view.class_id[rows, columns])[None, None].float()
        size = (self._side, self._side)
        rgb = F.interpolate(rgb, size, mode="bilinear", antialias=True)[0]
        class_id = F.interpolate(class_id, size, mode="nearest-exact")[0, 0].to(torch.uint8)
        if rng.random() < 0.5:
            rgb, class_id = rgb.flip(2), class_id.flip(1)
        return Crop(rgb=_developed(rng, rgb), class_id=class_id)


def read_all_views(folder: Path) -> list[StreetView]:
    """The pictures of all files of a folder of `write_views`; raises DataError where there is none."""
    files = sorted(folder.glob("*_views.npz"))
    if not files:
        raise DataError(f"{folder} has no *_views.npz; write some: clip2scene simulate {folder} --as views")
    return [view for file in files for view in read_views(file)]


def _framed(rng: np.random.Generator, class_id: np.ndarray, side_px: int) -> tuple[slice, slice]:
    """Rows and columns of a crop: anywhere, or about a pixel of a class, each class alike."""
    height, width = class_id.shape
    side = min(round(side_px * np.exp(rng.uniform(*np.log(ZOOM)))), height, width)
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    if rng.random() < FRAMED:
        rows, columns = np.nonzero(class_id == rng.choice(np.unique(class_id)))
        pixel = rng.integers(len(rows))
        top, left = rows[pixel] - rng.integers(side), columns[pixel] - rng.integers(side)
        top, left = np.clip(top, 0, height - side), np.clip(left, 0, width - side)
    return slice(top, top + side), slice(left, left + side)


def _developed(rng: np.random.Generator, rgb: Tensor) -> Tensor:
    """Another brightness, contrast, saturation (none at times) and white balance."""
    mean = rgb.mean()
    rgb = (rgb - mean) * rng.uniform(0.6, 1.4) + mean * rng.uniform(0.6, 1.4)
    grey = rgb.mean(dim=0, keepdim=True)
    saturation = 0.0 if rng.random() < 0.1 else rng.uniform(0.3, 1.5)
    balance = torch.from_numpy(rng.uniform(0.88, 1.12, (3, 1, 1))).float()
    return ((grey + (rgb - grey) * saturation) * balance).clamp(0, 255)
