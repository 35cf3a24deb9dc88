"""Superpixels of the images of a batch, found where the batch is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from clip2scene_core.superpixels import superpixels
from clip2scene_core.training.pretraining_batch import (
    PretrainingBatch,
    PretrainingSample,
    collate_pretraining,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageRegions:
    """Superpixels, numbered through all images of a batch."""

    region: Tensor
    """(I, H, W) int64: that of each pixel."""
    count: int

    def to(self, device: torch.device | str) -> ImageRegions:
        """The same on another device."""
        return replace(self, region=self.region.to(device))


def collate_with_regions(
    samples: Sequence[PretrainingSample], *, segments: int
) -> tuple[PretrainingBatch, ImageRegions]:
    """At least one sample, all with images, in about so many segments each."""
    batch = collate_pretraining(samples)
    assert batch.images is not None
    region, count = np.empty(batch.images.shape[:3], np.int64), 0
    for row, rgb in enumerate(batch.images.numpy()):
        region[row] = superpixels(rgb, segments=segments) + count
        count = int(region[row].max()) + 1
    return batch, ImageRegions(region=torch.from_numpy(region), count=count)


def collate_without_regions(samples: Sequence[PretrainingSample]) -> tuple[PretrainingBatch, None]:
    """At least one sample, either all with images or all without."""
    return collate_pretraining(samples), None
