"""Losses of scores against known classes.

Shapes: N points, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_core.losses.products import at_least_float32


def cross_entropy(scores: Tensor, target: Tensor, class_weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of scores (N, C) against classes (N,) int64, -1 ignored; 0 if all are."""
    scores = at_least_float32(scores)
    total = functional.cross_entropy(scores, target, class_weight, ignore_index=-1, reduction="sum")
    counted = (target >= 0).to(scores.dtype)
    if class_weight is not None:
        counted = counted * class_weight[target.clamp_min(0)]
    return total / counted.sum().clamp_min(torch.finfo(scores.dtype).tiny)


def lovasz_softmax(scores: Tensor, target: Tensor) -> Tensor:
    """Lovasz-softmax (Berman et al., CVPR 2018): a surrogate of 1 - mean IoU over the classes present.

    Scores (N, C) before the softmax, classes (N,) int64, -1 ignored; 0 if all are.
    """
    kept = target >= 0
    probability, target = scores[kept].float().softmax(dim=1), target[kept]
    losses = []
    for c in target.unique().tolist():
        foreground = (target == c).float()
        error, order = (foreground - probability[:, c]).abs().sort(descending=True)
        losses.append(error @ _jaccard_gradient(foreground[order]))
    return torch.stack(losses).mean() if losses else scores.sum() * 0.0


def _jaccard_gradient(foreground_sorted: Tensor) -> Tensor:
    """(N,): by how much each further error, largest first, lowers the Jaccard index."""
    total = foreground_sorted.sum()
    intersection = total - foreground_sorted.cumsum(0)
    union = total + (1 - foreground_sorted).cumsum(0)
    jaccard = 1 - intersection / union
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
