"""Semantic consistency: a point's feature is drawn to the text of its class and away from all others.

Shapes: M points, P phrases, C classes, D embedding. What follows holds for both losses here:

- `points` (M, D) are the student's semantic features, `text_embeddings` (P, D) those of all phrases. D(t, p)
  is the plain scalar product, as printed, so the caller normalises both; with features of free length the
  student could lower (1) without end by making them longer.
- `phrase` (M,) int64 is the label of each point: the phrase that fits its pixel best of all. -1 is a point
  without a label, which takes no part.
- `phrase_class` (P,) int64 in 0..C-1 is the class of each phrase; 0, 1, 2, ... where each has but one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clip2scene_core.clip.similarity import best_phrase
from clip2scene_core.losses.products import all_products
from clip2scene_core.losses.supervised import cross_entropy


def semantic_consistency(
    points: Tensor,
    text_embeddings: Tensor,
    phrase: Tensor,
    phrase_class: Tensor,
    num_classes: int,
    *,
    tau: float = 0.5,
) -> Tensor:
    """Equation (1), a scalar: the sum over classes c of -log [numerator / denominator] with

    numerator = sum over i in c of exp(D(t_i, p_i)/tau),
    denominator = sum over i in c and j not in c of exp(D(t_i, p_j)/tau).

    i and j run over the labelled points and t_i is the text of the phrase of point i, so the denominator has
    a summand for each pair of a point of the class and one of another. Where the class has one phrase, that
    is the sum over j times the number of its points, which has no gradient.

    A class without points adds nothing, nor does one without points of any other, whose denominator would
    be 0. Negative values are in order: the denominator does not contain the numerator.
    """
    scores = all_products(points, text_embeddings) / tau
    own = scores.gather(1, phrase.clamp_min(0)[:, None])
    own_class = _class_of(phrase, phrase_class)
    known = own_class[:, None] >= 0
    classes = torch.arange(num_classes, device=points.device)
    inside = own_class[:, None] == classes
    numerator = _log_sum_exp(own, inside)

    others = _log_sum_exp(scores, known & (own_class[:, None] != phrase_class))
    phrases = torch.arange(len(phrase_class), device=points.device)
    points_of_phrase = (phrase[:, None] == phrases).sum(dim=0)
    anchors = (phrase_class[:, None] == classes) & (points_of_phrase > 0)[:, None]
    each = others + points_of_phrase.clamp_min(1).to(scores.dtype).log()
    denominator = _log_sum_exp(each[:, None], anchors)

    counts = inside.any(dim=0) & (known & ~inside).any(dim=0)
    return torch.where(counts, denominator - numerator, 0.0).sum()


def semantic_cross_entropy(
    points: Tensor,
    text_embeddings: Tensor,
    phrase: Tensor,
    phrase_class: Tensor,
    num_classes: int,
    *,
    tau: float = 1.0,
    rare: float = 0.0,
) -> Tensor:
    """Mean cross-entropy of the classes' scores D(t, p)/tau, as the released code has it, with tau = 1.

    Of several phrases of a class, the one that fits the point best gives its score. A point weighs
    1/frequency^rare, the frequency of its class among the labelled points: 0 weighs points alike, as the
    released code does, 1 weighs classes alike, as equation (1) does.
    """
    by_phrase = all_products(points, text_embeddings) / tau
    scores = best_phrase(by_phrase, phrase_class.expand_as(by_phrase), num_classes)
    target = _class_of(phrase, phrase_class)
    counts = (target[:, None] == torch.arange(num_classes, device=target.device)).sum(dim=0)
    return cross_entropy(scores, target, counts.clamp_min(1).to(scores.dtype).pow(-rare))


def _class_of(phrase: Tensor, phrase_class: Tensor) -> Tensor:
    return torch.where(phrase >= 0, phrase_class[phrase.clamp_min(0)], -1)


def _log_sum_exp(scores: Tensor, mask: Tensor) -> Tensor:
    """(K,) of the scores (R, K) or (R, 1) down each column where the mask (R, K) holds.

    Where it holds nowhere the result means nothing, but has no NaN, nor has its gradient.
    """
    return torch.where(mask, scores, torch.finfo(scores.dtype).min).logsumexp(dim=0)
