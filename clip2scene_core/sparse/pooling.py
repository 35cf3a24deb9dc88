"""Pooling over the occupied cells: to the coarser grid, or to one row for each scan.

Empty cells count for nothing: the mean of a coarse cell is that of its occupied cells, not of all eight.
"""

from __future__ import annotations

from torch import Tensor

from clip2scene_core.sparse.reduction import group_max, group_mean
from clip2scene_core.sparse.voxels import SparseVoxels


def max_pool(voxels: SparseVoxels) -> SparseVoxels:
    """(V, C) on a grid -> (V', C) on `grid.coarser`: kernel 2, stride 2."""
    grid = voxels.grid
    return SparseVoxels(group_max(voxels.features, grid.parent, len(grid.coarser)), grid.coarser)


def average_pool(voxels: SparseVoxels) -> SparseVoxels:
    """(V, C) on a grid -> (V', C) on `grid.coarser`: kernel 2, stride 2."""
    grid = voxels.grid
    return SparseVoxels(group_mean(voxels.features, grid.parent, len(grid.coarser)), grid.coarser)


def global_max_pool(voxels: SparseVoxels, scans: int) -> Tensor:
    """(V, C) -> (scans, C): the largest of each scan of the batch, zeros for a scan without voxels."""
    return group_max(voxels.features, voxels.grid.batch.long(), scans)


def global_average_pool(voxels: SparseVoxels, scans: int) -> Tensor:
    """(V, C) -> (scans, C): the mean of each scan of the batch, zeros for a scan without voxels."""
    return group_mean(voxels.features, voxels.grid.batch.long(), scans)
