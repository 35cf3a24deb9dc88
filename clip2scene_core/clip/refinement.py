"""What MaskCLIP (Zhou et al., ECCV 2022) does to the scores of patches before the best class is taken.

Scores are cosines; confidence is the softmax of scores / temperature. Both steps are off with threshold 0.
Shapes: B images, h x w patches, C classes, K key channels.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from clip2scene_core.clip.similarity import class_probabilities

ABSENT = -100.0
"""Score of a class that is not in an image: no cosine, but a number, so that maps can be interpolated."""

PAIRS = 1 << 24
"""Similarities of patches that are held at once, 64 MiB."""


def denoise_prompts(scores: Tensor, *, temperature: float, threshold: float = 0.5) -> Tensor:
    """Scores (B, C, h, w) in which classes that are nowhere in their image are ABSENT.

    Those are the classes whose confidence reaches `threshold` at no patch. An image in which none does
    keeps the class that comes nearest.
    """
    if threshold <= 0:
        return scores
    confidence = class_probabilities(scores, temperature).amax(dim=(2, 3), keepdim=True)
    absent = (confidence < threshold) & (confidence < confidence.amax(dim=1, keepdim=True))
    return scores.masked_fill(absent, ABSENT)


def smooth_by_keys(scores: Tensor, keys: Tensor, *, temperature: float, threshold: float = 1.0) -> Tensor:
    """Scores (B, C, h, w) in which patches of little confidence follow those that look like them.

    Where no class has a confidence of `threshold`, the probabilities of all patches of the image are
    averaged, weighted by the cosine of their keys (B, K, h, w) of the last attention block with that of the
    patch; keys that point away from it count nothing. The mean is given as scores (up to a constant per
    patch) whose softmax it is. Other patches keep their scores.
    """
    if threshold <= 0:
        return scores
    probability = class_probabilities(scores, temperature).flatten(2).transpose(1, 2)
    smoothed = scores.flatten(2).clone()
    for image in range(len(scores)):
        unit = F.normalize(keys[image].flatten(1).float(), dim=0)
        doubtful = (probability[image].amax(dim=1) < threshold).nonzero().squeeze(1)
        for rows in doubtful.split(max(1, PAIRS // unit.shape[1])):
            weight = (unit[:, rows].T @ unit).clamp_min_(0)
            weight.scatter_(1, rows[:, None], 1.0)  # a patch looks like itself, even without a key
            mean = F.normalize(weight @ probability[image], p=1, dim=1)
            smoothed[image, :, rows] = (temperature * mean.log()).clamp_min_(ABSENT).T.to(scores.dtype)
    return smoothed.view_as(scores)
