"""Features on the occupied cells of a grid: what goes through sparse layers.

Shapes: V voxels, N points, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clip2scene_core.errors import DataError
from clip2scene_core.sparse.grid import VoxelGrid
from clip2scene_core.sparse.points import VoxelPoints


@dataclass(frozen=True, slots=True, eq=False)
class SparseVoxels:
    """Features on the occupied cells of a grid."""

    features: Tensor
    """(V, C), any floating dtype."""
    grid: VoxelGrid
    """The V cells, on the device of the features."""
    points: VoxelPoints | None = None
    """The N points that the voxels were made of, where somebody may ask for them."""

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or len(self.features) != len(self.grid):
            raise DataError(
                f"SparseVoxels.features must have shape ({len(self.grid)}, C) as its grid has "
                f"{len(self.grid)} voxels, got {tuple(self.features.shape)}"
            )
        if self.points is not None and self.points.grid is not self.grid:
            raise DataError("SparseVoxels.points must lie among the voxels of its grid, got those of another")

    @classmethod
    def from_coordinates(cls, features: Tensor, coordinates: Tensor) -> SparseVoxels:
        """Features (V, C) on input cells `coordinates` (V, 4) [batch, x, y, z]."""
        return cls(features, VoxelGrid(coordinates))

    @property
    def coordinates(self) -> Tensor:
        """(V, 4) [batch, x, y, z] in units of the grid's own cell."""
        return self.grid.coordinates

    def with_features(self, features: Tensor) -> SparseVoxels:
        """Other features on the same grid."""
        return SparseVoxels(features, self.grid, self.points)

    def to(self, device: torch.device | str) -> SparseVoxels:
        """The same voxels on another device, without the tables; itself where it already lies there."""
        if self.features.device == torch.device(device):
            return self
        grid = VoxelGrid(self.coordinates.to(device))
        points = self.points and VoxelPoints(self.points.coordinates.to(device), grid)
        return SparseVoxels(self.features.to(device), grid, points)
