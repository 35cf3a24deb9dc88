"""The objective of the paper, L = L_S + L_SSR, as terms by name and their weighted sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from clip2scene_core.errors import ConfigError
from clip2scene_core.losses.semantic import semantic_consistency, semantic_cross_entropy
from clip2scene_core.losses.spatial_temporal import (
    Fusion,
    fused_cell_features,
    spatial_temporal_consistency,
)

SemanticLoss = Literal["infonce", "cross_entropy"]
"""Equation (1), or what the released code has in its place, which is tau = 1 there."""


def clip2scene_terms(
    *,
    semantic: Tensor,
    label: Tensor,
    temporal: Tensor,
    pixels: Tensor,
    pixel_label: Tensor,
    cell: Tensor,
    cells: int,
    text_embeddings: Tensor,
    phrase_class: Tensor,
    num_classes: int,
    semantic_loss: SemanticLoss | None = "infonce",
    tau: float = 0.5,
    rare: float = 0.0,
    fusion: Fusion = "points_and_pixels",
    lambda_: float = 1.0,
) -> dict[str, Tensor]:
    """The terms `semantic`, unless its loss is None, and `spatial_temporal` of a batch.

    semantic: (L, D) of the points whose pseudo label, after any switching, is `label` (L,) int64, a row of
    text_embeddings (P, D). temporal, pixels: (M, D) of the point-pixel pairs whose pixels' own labels are
    `pixel_label` (M,) int64 and whose cells are `cell` (M,) int64. All features are normalised; labels and
    cells may be -1, unknown. `rare` is for cross_entropy.
    """
    cell = torch.where(pixel_label >= 0, cell, -1)
    fused = fused_cell_features(
        pixels, temporal, text_embeddings, pixel_label, cell, cells, lambda_=lambda_, fusion=fusion
    )
    terms = {"spatial_temporal": spatial_temporal_consistency(fused, cell)}
    words = text_embeddings, label, phrase_class, num_classes
    if semantic_loss == "infonce":
        terms["semantic"] = semantic_consistency(semantic, *words, tau=tau)
    elif semantic_loss == "cross_entropy":
        terms["semantic"] = semantic_cross_entropy(semantic, *words, tau=tau, rare=rare)
    return terms


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sum of weight x term. Raises ConfigError unless both name the same."""
    if terms.keys() != weights.keys():
        expected, got = ", ".join(sorted(terms)), ", ".join(sorted(weights)) or "none"
        raise ConfigError(f"the weights of the losses must name {expected}, got {got}")
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()
