"""One batch of pre-training: clouds, images, and the point-pixel pairs between them.

Shapes: M pairs, I images, H x W pixels, R rows of the student's output (voxels or points), D embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from clip2scene_core.clip.dense import DensePatches, sample_features
from clip2scene_core.data.batch import collate
from clip2scene_core.sparse import SparseVoxels
from clip2scene_core.voxels import Voxels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchPairs:
    """Point-pixel pairs, those of an image next to each other, in the order of the images."""

    row: Tensor
    """(M,) int64: row of the student's output that holds the point."""
    pixel: Tensor
    """(M, 2) float32, (column, row) in the image, centres are whole numbers."""
    image: Tensor
    """(M,) int64: which image."""
    sweep: Tensor
    """(M,) int64: 0 for the frame's own scan, 1 for the newest of the earlier ones that were taken."""
    cell: Tensor
    """(M,) int64: which cell of the temporal grid, from 0 without gaps; frames share no cells."""
    frame: Tensor
    """(M,) int64: which frame of the batch."""
    superpoint: Tensor
    """(M,) int64: which superpoint, see superpoints.py; frames share none. All -1 where none are wanted."""

    def __len__(self) -> int:
        return len(self.row)

    def to(self, device: torch.device | str) -> BatchPairs:
        """The same pairs on another device."""
        return BatchPairs(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PretrainingSample:
    """What one frame gives to a batch; its pairs count rows, images and cells from 0."""

    clouds: tuple[Voxels, ...]
    """The clouds that the student sees: each sweep, or all of them as one."""
    rows: int
    """How many rows of the student's output they are."""
    pairs: BatchPairs
    image_keys: tuple[tuple[int, str], ...]
    """Index of the frame in its source, and camera, of each image that has pairs."""
    images: Tensor | None
    """(I, H, W, 3) uint8 crops; None where the teacher's output is read from a cache."""
    without_pairs: tuple[str, ...] = ()
    """Cameras whose images were left out since they have no pairs."""
    unreadable: str | None = None
    """Which frame could not be read, and why."""

    @property
    def cells(self) -> int:
        """How many cells of the temporal grid hold pairs."""
        return int(self.pairs.cell.max()) + 1 if len(self.pairs) else 0

    @property
    def superpoints(self) -> int:
        """How many superpoints there may be; 0 where none are wanted."""
        return int(self.pairs.superpoint.max()) + 1 if len(self.pairs) else 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PretrainingBatch:
    """The frames of one step. All may be empty: then there are no rows, no pairs and no images."""

    voxels: SparseVoxels
    """Input of the student: the clouds of all frames."""
    pairs: BatchPairs
    cells: int
    """How many cells of the temporal grid hold pairs."""
    superpoints: int
    """How many superpoints there may be; 0 where none are wanted."""
    image_keys: tuple[tuple[int, str], ...]
    """Index of the frame in its source, and camera, of each image."""
    image_pairs: tuple[int, ...]
    """How many pairs each image has."""
    images: Tensor | None
    """(I, H, W, 3) uint8 crops; None where the teacher's output is read from a cache."""
    frames_without_pairs: int
    """How many frames could be read but have no pair; their clouds are in the batch."""
    images_without_pairs: int
    """How many images were left out since no point of the frame is seen in them."""
    unreadable: tuple[str, ...]
    """For each frame that could not be read which one it is, and why."""

    def to(self, device: torch.device | str) -> PretrainingBatch:
        """The same batch on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        moved |= {"voxels": self.voxels.to(device), "pairs": self.pairs.to(device)}
        if self.images is not None:
            moved["images"] = self.images.to(device)
        return PretrainingBatch(**moved)


def collate_pretraining(samples: Sequence[PretrainingSample]) -> PretrainingBatch:
    """At least one sample, either all with images or all without."""
    pairs, starts = [], dict.fromkeys(("row", "image", "cell", "frame", "superpoint"), 0)
    for sample in samples:
        moved = {name: getattr(sample.pairs, name) + start for name, start in starts.items()}
        pairs.append(BatchPairs(pixel=sample.pairs.pixel, sweep=sample.pairs.sweep, **moved))
        sizes = {
            "row": sample.rows,
            "image": len(sample.image_keys),
            "cell": sample.cells,
            "frame": 1,
            "superpoint": sample.superpoints,
        }
        starts = {name: start + sizes[name] for name, start in starts.items()}
    joined = BatchPairs(
        **{f.name: torch.cat([getattr(p, f.name) for p in pairs]) for f in fields(BatchPairs)}
    )
    images = [sample.images for sample in samples if sample.images is not None]
    return PretrainingBatch(
        voxels=collate([cloud for sample in samples for cloud in sample.clouds]),
        pairs=joined,
        cells=starts["cell"],
        superpoints=starts["superpoint"],
        image_keys=tuple(key for sample in samples for key in sample.image_keys),
        image_pairs=tuple(torch.bincount(joined.image, minlength=starts["image"]).tolist()),
        images=torch.cat(images) if images else None,
        frames_without_pairs=sum(not len(s.pairs) and s.unreadable is None for s in samples),
        images_without_pairs=sum(len(sample.without_pairs) for sample in samples),
        unreadable=tuple(sample.unreadable for sample in samples if sample.unreadable is not None),
    )


def sample_teacher(patches: Iterable[DensePatches], batch: PretrainingBatch, *, embedding_dim: int) -> Tensor:
    """(M, D) teacher features x at the pixels of the pairs, not normalised.

    `patches` are those of the batch's images in their order, one or several at a time.
    """
    device = batch.pairs.pixel.device
    images = [(features.to(device), dense.image_size) for dense in patches for features in dense.features]
    if not images:
        return batch.pairs.pixel.new_zeros(0, embedding_dim)
    pixels = batch.pairs.pixel.split(batch.image_pairs)
    return torch.cat(
        [sample_features(features, own, size) for (features, size), own in zip(images, pixels, strict=True)]
    )
