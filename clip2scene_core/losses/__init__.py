"""Losses as pure functions of tensors. None but Lovasz-softmax waits for the device.

Equation (1) is in `semantic`, (2) to (4) in `spatial_temporal`, their sum in `objective`.
"""

from clip2scene_core.losses.agreement import agreed_labels, pooled
from clip2scene_core.losses.baselines import kl_distillation, ppkt, slidr
from clip2scene_core.losses.captions import caption_contrast
from clip2scene_core.losses.objective import SemanticLoss, clip2scene_terms, weighted_sum
from clip2scene_core.losses.self_training import Switch, switched_labels
from clip2scene_core.losses.semantic import semantic_consistency, semantic_cross_entropy
from clip2scene_core.losses.spatial_temporal import (
    FusedCells,
    Fusion,
    fused_cell_features,
    spatial_temporal_consistency,
)
from clip2scene_core.losses.supervised import cross_entropy, lovasz_softmax

__all__ = [
    "FusedCells",
    "Fusion",
    "SemanticLoss",
    "Switch",
    "agreed_labels",
    "caption_contrast",
    "clip2scene_terms",
    "cross_entropy",
    "fused_cell_features",
    "kl_distillation",
    "lovasz_softmax",
    "pooled",
    "ppkt",
    "semantic_consistency",
    "semantic_cross_entropy",
    "slidr",
    "spatial_temporal_consistency",
    "switched_labels",
    "weighted_sum",
]
