"""Random sparse grids and their dense twins."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from clip2scene_core.sparse import SparseVoxels, VoxelGrid

HALF = 4
"""Cells lie in -HALF..HALF-1 along each axis."""


@pytest.fixture
def random_grid() -> Callable[..., VoxelGrid]:
    """Grids of shuffled cells around the origin, a third of them occupied."""

    def make(seed: int = 0, *, batch: int = 2, share: float = 0.3) -> VoxelGrid:
        generator = torch.Generator().manual_seed(seed)
        occupied = torch.rand(batch, *(2 * HALF,) * 3, generator=generator) < share
        cells = occupied.nonzero()
        cells[:, 1:] -= HALF
        return VoxelGrid(cells[torch.randperm(len(cells), generator=generator)].int())

    return make


@pytest.fixture
def random_voxels(random_grid: Callable[..., VoxelGrid]) -> Callable[..., SparseVoxels]:
    """Double-precision normal features on a random grid."""

    def make(channels: int, seed: int = 0, **kwargs: float) -> SparseVoxels:
        grid = random_grid(seed, **kwargs)
        generator = torch.Generator().manual_seed(seed)
        features = torch.randn(len(grid), channels, generator=generator, dtype=torch.float64)
        return SparseVoxels(features, grid)

    return make


@pytest.fixture
def dense() -> Callable[[SparseVoxels], Tensor]:
    """(B, C, X, Y, Z) with zeros in the empty cells; the lowest cell of the box lies at index 0."""

    def make(voxels: SparseVoxels) -> Tensor:
        half = HALF >> voxels.grid.level
        batch, x, y, z = voxels.coordinates.long().unbind(1)
        volume = voxels.features.new_zeros(2, voxels.features.shape[1], *(2 * half,) * 3)
        volume[batch, :, x + half, y + half, z + half] = voxels.features
        return volume

    return make


@pytest.fixture
def at_cells() -> Callable[[Tensor, VoxelGrid], Tensor]:
    """(V, C) rows of a dense volume at the cells of a grid; the inverse of `dense`."""

    def read(volume: Tensor, grid: VoxelGrid) -> Tensor:
        half = HALF >> grid.level
        batch, x, y, z = grid.coordinates.long().unbind(1)
        return volume[batch, :, x + half, y + half, z + half]

    return read
