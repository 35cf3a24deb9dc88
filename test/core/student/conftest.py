"""Small clouds of voxels for the student."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from clip2scene_core.sparse import SparseVoxels


@pytest.fixture
def surface() -> Callable[..., SparseVoxels]:
    """A batch of wavy surfaces around the origin, as a LiDAR leaves them, with 4 features per voxel."""

    def make(seed: int = 0, *, batch: int = 2, edge: int = 24) -> SparseVoxels:
        generator = torch.Generator().manual_seed(seed)
        x, y = torch.meshgrid(*[torch.arange(edge) - edge // 2] * 2, indexing="ij")
        scans = []
        for scan in range(batch):
            z = (3 * torch.sin(x / (3 + scan)) + 2 * torch.cos(y / 4.0)).floor().int()
            cells = torch.stack([torch.full_like(x, scan), x, y, z], dim=-1).reshape(-1, 4)
            scans.append(cells[torch.rand(len(cells), generator=generator) < 0.8])
        cells = torch.cat(scans).int()
        return SparseVoxels.from_coordinates(torch.randn(len(cells), 4, generator=generator), cells)

    return make
