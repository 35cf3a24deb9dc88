"""From features to the joint image-text space.

Shapes: R rows (voxels or points), D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudentOutput:
    """What the student says about every voxel or point; neither feature is normalised."""

    semantic: Tensor
    """(R, D) floating, of the head for the semantic loss, equation (1)."""
    temporal: Tensor | None
    """(R, D) floating, of the head for the spatial-temporal loss, equation (2); None if not asked for."""


class StudentHeads(nn.Module):
    """Two separate linear layers, one per loss: with a shared one the paper finds training does not work."""

    def __init__(self, channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.semantic = nn.Linear(channels, embedding_dim)
        self.temporal = nn.Linear(channels, embedding_dim)

    def forward(self, features: Tensor, *, temporal: bool = True) -> StudentOutput:
        """Both embeddings of (R, C) features; `temporal=False` leaves out the one only training needs."""
        return StudentOutput(
            semantic=self.semantic(features), temporal=self.temporal(features) if temporal else None
        )
