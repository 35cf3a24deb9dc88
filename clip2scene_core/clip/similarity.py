"""Features of the joint image-text space against the phrases of classes.

Shapes: R rows (voxels, points or pixels), B images, h x w patches, D embedding, P phrases, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def classify(features: Tensor, text_embeddings: Tensor, phrase_class: Tensor, num_classes: int) -> Tensor:
    """(R, C) cosine similarity of each row with the best phrase of each class, in -1..1.

    features: (R, D) and text_embeddings: (P, D), of any length; phrase_class: (P,) int64 class row of each
    phrase. A class without a phrase scores -inf.
    """
    cosine = F.normalize(features, dim=1) @ F.normalize(text_embeddings.to(features.dtype), dim=1).T
    return best_phrase(cosine, phrase_class.expand_as(cosine), num_classes)


def classify_patches(
    features: Tensor, text_embeddings: Tensor, phrase_class: Tensor, num_classes: int
) -> Tensor:
    """(B, C, h, w) float32: `classify` of every patch of features (B, D, h, w).

    Nothing of the size of the features is made, except that half precision is compared in float32: the
    classes of a patch differ by less than it resolves.
    """
    patches = features.float().flatten(2)
    text = F.normalize(text_embeddings.float(), dim=1)
    cosine = (text @ patches).div_(patches.norm(dim=1, keepdim=True).clamp_min(1e-12))
    return best_phrase(cosine, phrase_class[:, None].expand_as(cosine), num_classes).unflatten(
        2, features.shape[2:]
    )


def best_phrase(scores: Tensor, phrase_class: Tensor, num_classes: int) -> Tensor:
    """(R, C, ...) largest score of each class of scores (R, P, ...); `phrase_class` is of their shape.

    A class without a phrase has -inf.
    """
    shape = [scores.shape[0], num_classes, *scores.shape[2:]]
    return scores.new_full(shape, -torch.inf).scatter_reduce(1, phrase_class, scores, "amax")


def class_probabilities(scores: Tensor, temperature: float) -> Tensor:
    """Float32 softmax of cosines / temperature over classes, dimension 1 of (R, C) or (B, C, h, w)."""
    return (scores.float() / temperature).softmax(dim=1)


def softmax_temperature(model: nn.Module) -> float:
    """What a CLIP of open_clip was trained to divide cosines by before the softmax, about 0.01.

    SigLIP's bias is left out: it is the same for all classes.
    """
    return float(torch.as_tensor(model.logit_scale).detach().float().exp().reciprocal())
