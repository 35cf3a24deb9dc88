"""What captions of pictures of the town say: which words are true of a box, and of no more than a box.

Shapes: B images, h x w patches, K boxes an image, T classes of the town and the sky, P phrases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation.views import SKY

TOWN = "town"
COARSER = ("street", "nuscenes", "semantic_kitti")
"""Label sets that are maps of the town's: their words say less, of more classes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaptionWords:
    """The words that captions are made of."""

    phrases: tuple[str, ...]
    meaning: Tensor
    """(P, T) bool: of which classes a phrase is true; class 0 is the sky."""


@cache
def caption_words() -> CaptionWords:
    """The phrases of the town's label set, and those of sets that it has maps to, by what they stand for."""
    town = LabelSet.named(TOWN)
    stands_for = {SKY: {0}} | {phrase: {c.id} for c in town.classes for phrase in c.phrases}
    for name in COARSER:
        coarse = LabelSet.named(name)
        for c in coarse.classes:
            fine = {town.id_of(own) for own, other in coarse.maps[TOWN].items() if other == c.name}
            for phrase in c.phrases if fine else ():
                stands_for.setdefault(phrase, fine)
    meaning = torch.zeros(len(stands_for), int(town.ids.max()) + 1, dtype=torch.bool)
    for row, classes in enumerate(stands_for.values()):
        meaning[row, list(classes)] = True
    return CaptionWords(phrases=tuple(stands_for), meaning=meaning)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boxes:
    """Boxes of whole patches."""

    top: Tensor
    """(B, K) int64, first row."""
    left: Tensor
    """(B, K) int64, first column."""
    bottom: Tensor
    """(B, K) int64, row after the last."""
    right: Tensor
    """(B, K) int64, column after the last."""

    def means(self, patches: Tensor) -> Tensor:
        """(B, K, C) of what is in each box of (B, h, w, C), by an integral image."""
        integral = F.pad(patches.cumsum(1).cumsum(2), (0, 0, 1, 0, 1, 0))
        image = torch.arange(len(patches), device=patches.device)[:, None]
        top, left, bottom, right = (
            edge.to(patches.device) for edge in (self.top, self.left, self.bottom, self.right)
        )
        total = (
            integral[image, bottom, right]
            - integral[image, top, right]
            - integral[image, bottom, left]
            + integral[image, top, left]
        )
        return total / ((bottom - top) * (right - left))[..., None]


def random_boxes(
    rng: np.random.Generator, images: int, boxes: int, *, grid: tuple[int, int], least: int
) -> Boxes:
    """Boxes from `least` patches a side up, small ones as often as large; the first is the whole image."""
    sides, starts = [], []
    for patches in grid:
        side = np.exp(rng.uniform(np.log(least), np.log(patches + 1), (images, boxes))).astype(np.int64)
        side = np.clip(side, least, patches)
        side[:, 0] = patches
        sides.append(side)
        starts.append((rng.random((images, boxes)) * (patches - side + 1)).astype(np.int64))
    top, left, bottom, right = (
        torch.from_numpy(edge) for edge in (*starts, starts[0] + sides[0], starts[1] + sides[1])
    )
    return Boxes(top=top, left=left, bottom=bottom, right=right)


def class_shares(class_id: Tensor, patch_px: int, classes: int) -> Tensor:
    """(B, h, w, T) float32: how much of each patch of (B, H, W) uint8 ids is of each class."""
    batch, height, width = class_id.shape
    patch = torch.arange(height)[:, None] // patch_px * (width // patch_px) + torch.arange(width) // patch_px
    patches = (height // patch_px) * (width // patch_px)
    cell = (torch.arange(batch)[:, None, None] * patches + patch) * classes + class_id
    counts = torch.bincount(cell.flatten(), minlength=batch * patches * classes)
    return counts.reshape(batch, height // patch_px, width // patch_px, classes).float() / patch_px**2
