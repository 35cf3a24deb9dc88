"""From features to the joint image-text space, and from there to classes.

Shapes: R rows (voxels or points), D embedding, P phrases, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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


def classify(features: Tensor, text_embeddings: Tensor, phrase_class: Tensor, num_classes: int) -> Tensor:
    """(R, C) cosine similarity of each row with the best phrase of each class, in -1..1.

    features: (R, D) and text_embeddings: (P, D), of any length; phrase_class: (P,) int64 class row of each
    phrase. A class without a phrase scores -inf.
    """
    cosine = F.normalize(features, dim=1) @ F.normalize(text_embeddings.to(features.dtype), dim=1).T
    scores = cosine.new_full((len(features), num_classes), -torch.inf)
    return scores.scatter_reduce(1, phrase_class.expand(len(features), -1), cosine, "amax")
