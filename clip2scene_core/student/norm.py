"""Normalisation of voxel features: running statistics of training, or statistics of the scan at hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clip2scene_core.errors import ConfigError
from clip2scene_core.sparse import SparseVoxels


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over all voxels of the batch, with running statistics for inference."""

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        return voxels.with_features(super().forward(voxels.features))


class ScanNorm(nn.Module):
    """Each channel normalised over the voxels of each scan; no running statistics, training is inference.

    Small batches teach batch norm running statistics that fit no single scan; this norm cannot have that.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        features = voxels.features
        with torch.autocast(features.device.type, enabled=False):
            wide = features.to(torch.promote_types(features.dtype, torch.float32))
            member = voxels.grid.scan_membership.to(wide.dtype)  # (V, B)
            mean_of = member / member.sum(0).clamp(min=1)
            centred = wide - member @ (mean_of.T @ wide)
            variance = mean_of.T @ centred.square()
            scale = self.weight * torch.rsqrt(variance + self.eps)  # (B, C)
            return voxels.with_features((centred * (member @ scale) + self.bias).to(features.dtype))


NORMS: dict[str, type[nn.Module]] = {"batch": BatchNorm, "scan": ScanNorm}
"""Normalisation layers by name; each maps SparseVoxels to SparseVoxels."""


def make_norm(name: str, channels: int) -> nn.Module:
    """The normalisation layer of that name. Raises ConfigError if unknown."""
    if name not in NORMS:
        raise ConfigError(f"unknown norm {name!r}; expected one of {', '.join(sorted(NORMS))}")
    return NORMS[name](channels)
