"""A CLIP learns from captions: pictures are drawn to every word that is true of them, and away from the rest.

Shapes: R pictures or boxes of them, P phrases, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def caption_contrast(seen: Tensor, text: Tensor, true: Tensor, unclear: Tensor, scale: Tensor) -> Tensor:
    """A scalar: the mean, over true words, of -log softmax of the word against those that are not true.

    seen: (R, D) and text: (P, D), of unit length; scale: what cosines are multiplied by.
    true: (R, P) bool, the words of each caption; unclear: (R, P) bool, words that are neither true nor false.

    True words do not compete with each other: `car` and `vehicle` are both right. A word counts by one over
    the square root of how often it is true, so that roads do not drown people. No word: 0.
    """
    scores = scale * (seen @ text.T)
    false = ~(true | unclear)
    against = torch.where(false, scores, torch.finfo(scores.dtype).min).logsumexp(dim=1, keepdim=True)
    weight = true.to(scores.dtype) * true.sum(dim=0).clamp_min(1).to(scores.dtype).rsqrt()
    return (weight * F.softplus(against - scores)).sum() / weight.sum().clamp_min(1e-6)
