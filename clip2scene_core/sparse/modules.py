"""Sparse convolutions as modules: one weight layout, whatever engine computes them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clip2scene_core.errors import DataError
from clip2scene_core.sparse.engine import SparseEngine, make_engine
from clip2scene_core.sparse.grid import VoxelGrid
from clip2scene_core.sparse.voxels import SparseVoxels


class SparseConvolution(nn.Module):
    """What the three convolutions share: `weight` (K, C_in, C_out), `bias` (C_out,) or None, an engine.

    The rows of `weight` are in the order of `kernel_offsets`.
    """

    kernel_size: int

    def __init__(
        self, in_channels: int, out_channels: int, *, bias: bool = False, engine: str | SparseEngine = "torch"
    ) -> None:
        super().__init__()
        self.engine = make_engine(engine)
        self.weight = nn.Parameter(torch.empty(self.kernel_size**3, in_channels, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        fan_out = self.kernel_size**3 * out_channels
        nn.init.normal_(self.weight, std=(2.0 / fan_out) ** 0.5)  # He et al. 2015, fan out

    def _with_bias(self, features: Tensor) -> Tensor:
        return features if self.bias is None else features + self.bias.to(features.dtype)

    def extra_repr(self) -> str:
        _, in_channels, out_channels = self.weight.shape
        return f"{in_channels}, {out_channels}, bias={self.bias is not None}, engine={self.engine.name}"


class SubmanifoldConv3d(SparseConvolution):
    """Kernel 3 on the occupied cells: out[v] = sum_o x[v + o] @ weight[o]."""

    kernel_size = 3

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        features = self.engine.submanifold(voxels.features, voxels.grid, self.weight)
        return voxels.with_features(self._with_bias(features))


class StridedConv3d(SparseConvolution):
    """Kernel 2, stride 2, onto the coarser grid: out[v] = sum_o x[2 v + o] @ weight[o]."""

    kernel_size = 2

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        features = self.engine.strided(voxels.features, voxels.grid, self.weight)
        return SparseVoxels(self._with_bias(features), voxels.grid.coarser)


class InverseConv3d(SparseConvolution):
    """Kernel 2, stride 2, back to the finer grid: out[2 v + o] = x[v] @ weight[o] on its occupied cells."""

    kernel_size = 2

    def forward(self, voxels: SparseVoxels, finer: VoxelGrid) -> SparseVoxels:
        if finer.coarser is not voxels.grid:
            raise DataError("InverseConv3d needs the grid that its voxels were downsampled from, got another")
        features = self.engine.inverse(voxels.features, finer, self.weight)
        return SparseVoxels(self._with_bias(features), finer)
