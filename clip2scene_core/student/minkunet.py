"""The student: a sparse residual U-Net (MinkUNet of Choy et al. 2019) with two linear heads."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clip2scene_core.errors import ConfigError
from clip2scene_core.sparse import (
    InverseConv3d,
    SparseConvolution,
    SparseEngine,
    SparseVoxels,
    StridedConv3d,
    SubmanifoldConv3d,
    VoxelGrid,
    make_engine,
)
from clip2scene_core.student.heads import StudentHeads, StudentOutput
from clip2scene_core.student.norm import make_norm

BLOCKS = {14: (1,) * 8, 18: (2,) * 8, 34: (2, 3, 4, 6, 2, 2, 2, 2)}
"""Residual blocks in each of the eight stages, by depth."""
ENCODER = (32, 32, 64, 128, 256)
"""Channels of the stem and of the four stages down, in every variant."""
DECODERS = {
    "14": (256, 128, 96, 96),
    "14A": (128, 128, 96, 96),
    "14B": (128, 128, 128, 128),
    "14C": (192, 192, 128, 128),
    "14D": (384, 384, 384, 384),
    "18": (256, 128, 96, 96),
    "18A": (128, 128, 96, 96),
    "18B": (128, 128, 128, 128),
    "18D": (384, 384, 384, 384),
    "34": (256, 128, 96, 96),
    "34A": (256, 128, 64, 64),
    "34B": (256, 128, 64, 32),
    "34C": (256, 128, 96, 96),
}
"""Channels of the four stages up, by variant: a depth and the letter of Choy et al.; a depth alone has the
channels of the outdoor student, MinkowskiNet14 indoors is 14A."""


class MinkUNet(nn.Module):
    """Four times down, four times up, each level joined to the encoder's features of the same resolution.

    in_channels: features per voxel. variant: a key of DECODERS, without a letter also as a number. width:
    multiplies all channels, rounded to multiples of 8. embedding_dim: D of both heads. engine: see
    `make_engine`. norm: `batch` or `scan`.
    """

    per_point: ClassVar[bool] = False
    """Whether the rows of the output are the points that the voxels were made of, or else the voxels."""

    def __init__(
        self,
        in_channels: int,
        *,
        variant: int | str = 18,
        width: float = 1.0,
        embedding_dim: int = 512,
        engine: str | SparseEngine = "torch",
        norm: str = "batch",
    ) -> None:
        super().__init__()
        variant = str(variant)
        if variant not in DECODERS:
            raise ConfigError(f"unknown MinkUNet variant {variant!r}; expected one of {', '.join(DECODERS)}")
        blocks, engine = BLOCKS[int(variant[:2])], make_engine(engine)
        self.channels = tuple(scaled_channels(plane, width) for plane in ENCODER + DECODERS[variant])
        stem, *stages = self.channels
        self.stem = nn.Sequential(
            ConvNorm(SubmanifoldConv3d(in_channels, stem, engine=engine), norm),
            ConvNorm(SubmanifoldConv3d(stem, stem, engine=engine), norm),
        )
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        before, skips = stem, [stem]
        for channels, count in zip(stages[:4], blocks[:4], strict=True):
            self.down.append(DownStage(before, channels, count, engine, norm))
            skips.append(channels)
            before = channels
        skips.pop()
        for channels, count in zip(stages[4:], blocks[4:], strict=True):
            self.up.append(UpStage(before, skips.pop(), channels, count, engine, norm))
            before = channels
        self.heads = StudentHeads(before, embedding_dim)

    def forward(self, voxels: SparseVoxels, *, temporal: bool = True) -> StudentOutput:
        """Two (R, D) embeddings, in the rows of the voxels or, if `per_point`, of the points in them.

        Only the semantic one if `temporal` is False.
        """
        return self.heads(self.backbone(voxels), temporal=temporal)

    def backbone(self, voxels: SparseVoxels) -> Tensor:
        """The (V, C) features that both heads read."""
        *skips, voxels = self.encode(self.stem(voxels))
        for stage in self.up:
            voxels = stage(voxels, skips.pop())
        return voxels.features

    def encode(self, voxels: SparseVoxels) -> list[SparseVoxels]:
        """The given voxels and what each stage down makes of them, finest first."""
        levels = [voxels]
        for stage in self.down:
            levels.append(stage(levels[-1]))
        return levels


class DownStage(nn.Module):
    """Half the resolution, then residual blocks."""

    def __init__(self, channels: int, out: int, blocks: int, engine: SparseEngine, norm: str) -> None:
        super().__init__()
        self.conv = ConvNorm(StridedConv3d(channels, channels, engine=engine), norm)
        self.blocks = _residual_blocks(channels, out, blocks, engine, norm)

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        return self.blocks(self.conv(voxels))


class UpStage(nn.Module):
    """Twice the resolution, joined with the encoder's features there, then residual blocks."""

    def __init__(
        self, channels: int, skip: int, out: int, blocks: int, engine: SparseEngine, norm: str
    ) -> None:
        super().__init__()
        self.conv = ConvNorm(InverseConv3d(channels, out, engine=engine), norm)
        self.blocks = _residual_blocks(out + skip, out, blocks, engine, norm)

    def forward(self, voxels: SparseVoxels, skip: SparseVoxels) -> SparseVoxels:
        finer = self.conv(voxels, skip.grid)
        return self.blocks(finer.with_features(torch.cat([finer.features, skip.features], dim=1)))


class ResidualBlock(nn.Module):
    """Two submanifold convolutions around an identity, or a 1x1 convolution where the width changes."""

    def __init__(self, channels: int, out: int, engine: SparseEngine, norm: str) -> None:
        super().__init__()
        self.first = ConvNorm(SubmanifoldConv3d(channels, out, engine=engine), norm)
        self.second = ConvNorm(SubmanifoldConv3d(out, out, engine=engine), norm, relu=False)
        self.shortcut = (
            nn.Identity() if channels == out else ConvNorm(PointwiseConv(channels, out), norm, relu=False)
        )

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        residual = self.second(self.first(voxels)).features
        return voxels.with_features(F.relu(residual + self.shortcut(voxels).features, inplace=True))


class PointwiseConv(nn.Linear):
    """A 1x1 convolution, which is a linear layer on the features."""

    def __init__(self, channels: int, out: int, *, bias: bool = False) -> None:
        super().__init__(channels, out, bias=bias)

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:  # type: ignore[override]  # as other convolutions
        return voxels.with_features(super().forward(voxels.features))


class ConvNorm(nn.Module):
    """A convolution, its normalisation and, where wanted, a ReLU."""

    def __init__(self, conv: SparseConvolution | PointwiseConv, norm: str, *, relu: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.norm = make_norm(norm, _out_channels(conv))
        self.relu = relu

    def forward(self, voxels: SparseVoxels, *finer: VoxelGrid) -> SparseVoxels:
        voxels = self.conv(voxels, *finer)
        features = self.norm(voxels.features, voxels.grid)
        return voxels.with_features(F.relu(features, inplace=True) if self.relu else features)


def scaled_channels(plane: int, width: float) -> int:
    """`plane` times `width`, to the nearest multiple of 8, at least 8."""
    return max(8, int(plane * width / 8 + 0.5) * 8)


def _residual_blocks(channels: int, out: int, count: int, engine: SparseEngine, norm: str) -> nn.Sequential:
    widths = [channels] + [out] * count
    return nn.Sequential(*(ResidualBlock(before, after, engine, norm) for before, after in pairwise(widths)))


def _out_channels(conv: SparseConvolution | PointwiseConv) -> int:
    return conv.out_features if isinstance(conv, PointwiseConv) else conv.weight.shape[2]
