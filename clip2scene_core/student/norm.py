"""Normalisation of voxel features: running statistics of training, or statistics of the scan at hand."""

from __future__ import annotations

import torch
from torch import nn

from clip2scene_core.errors import ConfigError
from clip2scene_core.sparse import SparseVoxels


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over all voxels of the batch, with running statistics for inference.

    At inference the statistics may be mixed with those of the scan at hand, `scan_share` of them (0..1):
    another sensor or place shifts them, and the scan itself tells by how much.
    """

    scan_share: float = 0.0

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        features = voxels.features
        if self.training or not self.scan_share:
            return voxels.with_features(super().forward(features))
        variance, mean = torch.var_mean(features, dim=0, correction=0)
        return voxels.with_features(
            functional.batch_norm(
                features,
                torch.lerp(self.running_mean, mean.to(self.running_mean.dtype), self.scan_share),
                torch.lerp(self.running_var, variance.to(self.running_var.dtype), self.scan_share),
                self.weight,
                self.bias,
                eps=self.eps,
            )
        )


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


def use_scan_statistics(module: nn.Module, share: float) -> None:
    """Sets `scan_share` of every batch norm inside `module`; raises ConfigError outside 0..1."""
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"scan_statistics must lie in 0..1, got {share}")
    for part in module.modules():
        if isinstance(part, BatchNorm):
            part.scan_share = share
