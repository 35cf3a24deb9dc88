"""Points among voxels: features of voxels read at points, and those of points gathered in voxels.

Shapes: N points, V voxels, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from clip2scene_core.errors import DataError
from clip2scene_core.sparse.grid import ScanRows, VoxelGrid, check_range
from clip2scene_core.sparse.reduction import group_mean


@dataclass(frozen=True, slots=True, eq=False)
class Interpolation:
    """Which voxels each point reads, and how much of each."""

    rows: Tensor
    """(N, K) int64 rows of the grid; 0 where there is no voxel."""
    weights: Tensor
    """(N, K) floating, that add up to 1, and 0 where there is no voxel; all 0 for a point that reads none."""


class VoxelPoints(ScanRows):
    """Points of a batch of scans among the voxels of one grid, with the tables that layers share.

    `coordinates` are (N, 4) floats [batch, x, y, z] in units of the grid's own cell: cell i spans
    [i, i + 1), its features stand for its centre. Raises DataError where a shape or a range does not hold.
    """

    def __init__(self, coordinates: Tensor, grid: VoxelGrid) -> None:
        if coordinates.ndim != 2 or coordinates.shape[1] != 4 or not coordinates.is_floating_point():
            raise DataError(
                "points among voxels must be floats of shape (N, 4) [batch, x, y, z], "
                f"got {coordinates.dtype} {tuple(coordinates.shape)}"
            )
        check_range(coordinates)
        self.coordinates = coordinates
        self.batch = coordinates[:, 0].long()
        self.grid = grid

    def __len__(self) -> int:
        return len(self.coordinates)

    @cached_property
    def coarser(self) -> VoxelPoints:
        """The same points among the voxels of `grid.coarser`."""
        return VoxelPoints(
            self.coordinates * self.coordinates.new_tensor([1, 0.5, 0.5, 0.5]), self.grid.coarser
        )

    @cached_property
    def row(self) -> Tensor:
        """(N,) row of the voxel that each point lies in; -1 where that cell is not occupied."""
        return self.grid.rows_at(self.coordinates.floor().long())

    @cached_property
    def nearest(self) -> Interpolation:
        """The voxel that each point lies in."""
        return _interpolation(self.row[:, None], torch.ones_like(self.coordinates[:, :1]))

    @cached_property
    def trilinear(self) -> Interpolation:
        """The 8 voxels whose centres surround each point, in the order of `kernel_offsets(2)`."""
        position = self.coordinates[:, 1:] - 0.5
        lowest = position.floor()
        upper = position - lowest
        x, y, z = torch.stack([1 - upper, upper], dim=2).unbind(1)
        weights = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]
        cells = torch.cat([self.batch[:, None], lowest.long()], dim=1)
        return _interpolation(self.grid.rows_of_cubes(cells), weights.flatten(1))


def voxel_to_point(features: Tensor, points: VoxelPoints, *, nearest: bool = False) -> Tensor:
    """(V, C) -> (N, C): features of voxels at the points, between voxel centres or of the own voxel.

    The weights of neighbours that are not occupied go to those that are. A point without any gets zeros;
    those that the voxels were made of always have their own.
    """
    if not len(points.grid):
        return features.new_zeros(len(points), features.shape[1])
    table = points.nearest if nearest else points.trilinear
    weights = table.weights.to(features.dtype)
    return F.embedding_bag(table.rows, features, per_sample_weights=weights, mode="sum")


def point_to_voxel(features: Tensor, points: VoxelPoints) -> Tensor:
    """(N, C) -> (V, C): the mean of the points in each voxel; zeros where there are none."""
    voxels = len(points.grid)
    nowhere = torch.where(points.row < 0, voxels, points.row)
    return group_mean(features, nowhere, voxels + 1)[:voxels]


def _interpolation(rows: Tensor, weights: Tensor) -> Interpolation:
    weights = torch.where(rows < 0, 0, weights)
    total = weights.sum(dim=1, keepdim=True)
    return Interpolation(rows.clamp_min(0), weights / total.clamp_min(torch.finfo(weights.dtype).tiny))
