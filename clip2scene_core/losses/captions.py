"""A CLIP learns from captions: pictures are drawn to every word that is true of them, and away from the rest.

Shapes: R pictures or boxes of them, P phrases, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def caption_contrast(seen: Tensor, text: Tensor, true: Tensor, unclear: Tensor, scale: Tensor) -> Tensor:
    """A scalar: of every true word, -log softmax against the words that are false of its picture, and against
    the pictures that it is false of; the mean of both, as in CLIP.

    seen: (R, D) and text: (P, D), of unit length; scale: what cosines are multiplied by.
    true: (R, P) bool, the words of each caption; unclear: (R, P) bool, words that are neither true nor false.

    True words do not compete with each other: `car` and `vehicle` are both right. A word counts by one over
    the square root of how often it is true, so that roads do not drown people. No word: 0.
    """
    scores = scale * (seen @ text.T)
    false = torch.where(true | unclear, torch.finfo(scores.dtype).min, scores)
    weight = true.to(scores.dtype) * true.sum(dim=0).clamp_min(1).to(scores.dtype).rsqrt()
    against_words, against_pictures = (false.logsumexp(dim=dim, keepdim=True) for dim in (1, 0))
    losses = F.softplus(against_words - scores) + F.softplus(against_pictures - scores)
    return (weight * losses).sum() / weight.sum().clamp_min(1e-6) / 2
