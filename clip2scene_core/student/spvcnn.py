"""The outdoor student: MinkUNet's voxels beside a branch of points (SPVCNN of Tang et al. 2020).

Shapes: N points, V voxels, C channels.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from clip2scene_core.errors import DataError
from clip2scene_core.sparse import SparseVoxels, VoxelPoints, point_to_voxel, voxel_to_point
from clip2scene_core.student.minkunet import MinkUNet
from clip2scene_core.student.norm import make_norm


class SPVCNN(MinkUNet):
    """Points keep what voxels blur: they read the voxels four times, add a layer of their own, and give back.

    They meet after the stem, after the last stage down, after the second and after the last stage up. What
    the points give back is the mean in each voxel; the first three times the next stage goes on from it,
    after dropout on the way up. The settings are those of MinkUNet.
    """

    per_point = True

    def __init__(
        self, in_channels: int, *, norm: str = "batch", dropout: float = 0.3, **settings: Any
    ) -> None:
        super().__init__(in_channels, norm=norm, **settings)
        widths = pairwise(self.channels[stage] for stage in (0, 4, 6, 8))
        self.point_layers = nn.ModuleList(PointLayer(before, after, norm) for before, after in widths)
        self.dropout = nn.Dropout(dropout)

    def backbone(self, voxels: SparseVoxels) -> Tensor:
        """The (N, C) features that both heads read, in the rows of `voxels.points`."""
        if voxels.points is None:
            raise DataError("SPVCNN needs the points that its voxels were made of, got voxels alone")
        fine = voxels.points
        quarter = fine.coarser.coarser
        coarsest = quarter.coarser.coarser

        stem = self.stem(voxels)
        features = voxel_to_point(stem.features, fine)
        _, *skips, coarse = self.encode(stem.with_features(point_to_voxel(features, fine)))
        skips = [stem, *skips]

        features = self.point_layers[0](features, coarse, coarsest)
        coarse = coarse.with_features(self.dropout(point_to_voxel(features, coarsest)))
        for stage in self.up[:2]:
            coarse = stage(coarse, skips.pop())
        features = self.point_layers[1](features, coarse, quarter)
        coarse = coarse.with_features(self.dropout(point_to_voxel(features, quarter)))
        for stage in self.up[2:]:
            coarse = stage(coarse, skips.pop())
        return self.point_layers[2](features, coarse, fine)


class PointLayer(nn.Module):
    """A linear layer on every point, with normalisation and ReLU, added to what it reads from the voxels."""

    def __init__(self, channels: int, out: int, norm: str) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, out, bias=False)
        self.norm = make_norm(norm, out)

    def forward(self, features: Tensor, voxels: SparseVoxels, points: VoxelPoints) -> Tensor:
        """(N, C) features of the points and (V, C_out) of the voxels -> (N, C_out)."""
        own = F.relu(self.norm(self.linear(features), points), inplace=True)
        return voxel_to_point(voxels.features, points).add_(own)
