"""Voxelised scans side by side in one batch of tensors.

Shapes: V voxels of all scans, F input features, N points, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clip2scene_core.sparse import SparseVoxels, VoxelGrid, VoxelPoints
from clip2scene_core.voxels import Voxels


def collate(scans: Sequence[Voxels]) -> SparseVoxels:
    """The input of a student: at least one scan, rows in the order of the scans."""
    features = torch.from_numpy(np.concatenate([voxels.features for voxels in scans]))
    grid = VoxelGrid(_with_scan([voxels.coordinates for voxels in scans]))
    return SparseVoxels(features, grid, VoxelPoints(_with_scan([voxels.points for voxels in scans]), grid))


def _with_scan(scans: Sequence[np.ndarray]) -> Tensor:
    """(R, 4) [scan, x, y, z] of the rows (R_b, 3) of each scan."""
    return torch.from_numpy(
        np.concatenate([np.insert(rows, 0, scan, axis=1) for scan, rows in enumerate(scans)])
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
