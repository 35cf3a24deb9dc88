"""Voxelised scans side by side in one batch of tensors.

Shapes: V voxels of all scans, F input features, N points, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from clip2scene_core.sparse import SparseVoxels
from clip2scene_core.voxels import Voxels


def collate(scans: Sequence[Voxels]) -> SparseVoxels:
    """The input of a student: at least one scan, rows in the order of the scans."""
    coordinates = [np.insert(voxels.coordinates, 0, scan, axis=1) for scan, voxels in enumerate(scans)]
    features = np.concatenate([voxels.features for voxels in scans])
    return SparseVoxels.from_coordinates(
        torch.from_numpy(features), torch.from_numpy(np.concatenate(coordinates))
    )


def voxel_classes(voxels: Voxels, class_index: np.ndarray, classes: int) -> np.ndarray:
    """(V,) int64: the class most points of a voxel are of; -1 where none has a class.

    `class_index` (N,) counts from 0, -1 where unknown.
    """
    known = (class_index >= 0) & (voxels.voxel_of_point >= 0)
    votes = np.bincount(
        voxels.voxel_of_point[known] * classes + class_index[known],
        minlength=len(voxels.coordinates) * classes,
    ).reshape(-1, classes)
    return np.where(votes.any(axis=1), votes.argmax(axis=1), -1)
