"""Labels that nobody gave: the class of every pixel, and of every point that a camera sees.

Shapes: B images, C classes, h x w patches, H x W pixels, N points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from clip2scene_core.clip.dense import DensePatches, sample_features
from clip2scene_core.clip.refinement import ABSENT, denoise_prompts, smooth_by_keys
from clip2scene_core.clip.similarity import class_probabilities, classify_patches
from clip2scene_core.clip.text import TextEmbeddings
from clip2scene_core.errors import ConfigError
from clip2scene_core.labels import LabelSet
from clip2scene_core.pairing import point_pixel_pairs
from clip2scene_core.types import Frame, SemanticLabels

STRIPE = 1 << 22
"""Probabilities of pixels that are held at once, 16 MiB."""

Confidence = Literal["probability", "margin", "certainty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """How the cosines of patches with the text become classes; see refinement and MaskCLIP."""

    temperature: float = 0.01
    """Divides cosines before the softmax; what CLIP was trained with, see similarity.softmax_temperature."""
    denoising: float = 0.0
    """Classes whose probability reaches this at no patch are not in the image; 0 for all are."""
    smoothing: float = 0.0
    """Patches in which no class has this probability follow those with similar keys; 0 for none does."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PseudoLabels:
    """The class of pixels (B, H, W) or points (N,), and three ways to tell how much to believe it."""

    class_index: Tensor
    """(B, H, W) or (N,) int64, positions in the classes of the text; -1 where nothing is known."""
    probability: Tensor
    """(B, H, W) or (N,) float32 in 0..1, of that class. Where nothing is known, all three are 0."""
    margin: Tensor
    """(B, H, W) or (N,) float32 in 0..1, how much more probable it is than the second class."""
    certainty: Tensor
    """(B, H, W) or (N,) float32 in 0..1: 1 - H / log C of the entropy H over all classes."""

    def class_ids(
        self, label_set: LabelSet, *, confidence: Confidence = "probability", at_least: float = 0.0
    ) -> np.ndarray:
        """Ids, uint16 in the shape of `class_index`, of the set whose phrases the text was.

        The ignore id stands where nothing is known, or less than `at_least` of that confidence.
        """
        believed = getattr(self, confidence) >= at_least
        ids = np.append(label_set.ids, np.uint16(label_set.ignore_id))  # the last one is that of -1
        return ids[torch.where(believed, self.class_index, -1).cpu().numpy()]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointLabels(PseudoLabels):
    """Those of the rows of a scan."""

    views: Tensor
    """(N,) int64: how many cameras see the point."""

    def semantic(
        self, label_set: LabelSet, *, confidence: Confidence = "probability", at_least: float = 0.0
    ) -> SemanticLabels:
        """As labels of the scan, see `class_ids`."""
        return SemanticLabels(
            class_id=self.class_ids(label_set, confidence=confidence, at_least=at_least),
            probability=self.probability.cpu().numpy(),
        )


def label_pixels(
    patches: DensePatches,
    text: TextEmbeddings,
    size: tuple[int, int],
    *,
    refinement: Refinement = Refinement(),
) -> PseudoLabels:
    """Labels (B, H, W) of the pixels of images of `size` (H, W): bilinear between the scores of patches.

    Raises ConfigError where keys are wanted that the patches do not have.
    """
    scores = class_scores(patches, text, refinement)
    down, across = (
        _weights(scores.shape[2 + axis], size[axis], patches.image_size[axis], scores.device)
        for axis in (0, 1)
    )
    wide = scores @ across.T
    rows = max(1, STRIPE // (scores.shape[1] * size[1]))
    images = []
    for image in wide:
        stripes = [
            _decided(class_probabilities((weights @ image)[None], refinement.temperature))
            for weights in down.split(rows)
        ]
        images.append([torch.cat(parts, dim=1) for parts in zip(*stripes, strict=True)])
    class_index, probability, margin, certainty = (torch.cat(parts) for parts in zip(*images, strict=True))
    return PseudoLabels(class_index=class_index, probability=probability, margin=margin, certainty=certainty)


def label_points(
    frame: Frame,
    patches: Mapping[str, DensePatches],
    text: TextEmbeddings,
    *,
    refinement: Refinement = Refinement(),
    min_depth_m: float = 1.0,
    occlusion: bool = True,
) -> PointLabels:
    """Labels of the rows of the frame's scan from the patches (B = 1) of its images by camera.

    A point has the scores of its pixel, see pairing and `label_pixels`. Where several cameras see it, the
    mean of their probabilities counts, weighted by their certainties: a camera that sees little of the thing,
    at the border of its image, says less. Raises ConfigError where keys are wanted that there are not.
    """
    device = text.embeddings.device
    points = len(frame.scan.xyz)
    total = torch.zeros(points, text.num_classes, device=device)
    weight = torch.zeros(points, 1, device=device)
    views = torch.zeros(points, dtype=torch.int64, device=device)
    for camera, dense in patches.items():
        pairs = point_pixel_pairs(frame, camera, min_depth_m=min_depth_m, occlusion=occlusion)
        row, pixel = (torch.from_numpy(values).to(device) for values in (pairs.row, pairs.pixel))
        scores = sample_features(class_scores(dense, text, refinement)[0], pixel, dense.image_size)
        probability = class_probabilities(scores, refinement.temperature)
        certainty = _certainty(probability)[:, None].clamp_min(1e-6)
        total[row] += certainty * probability
        weight[row] += certainty
        views[row] += 1
    class_index, best, margin, certainty = _decided(total / weight.clamp_min(1e-6))
    seen = views > 0
    return PointLabels(
        class_index=torch.where(seen, class_index, -1),
        probability=best,
        margin=margin,
        certainty=certainty * seen,
        views=views,
    )


def class_scores(patches: DensePatches, text: TextEmbeddings, refinement: Refinement) -> Tensor:
    """(B, C, h, w) float32; ABSENT for classes that are not in an image or have no phrase."""
    device = text.embeddings.device
    features = patches.features.to(device)
    scores = classify_patches(features, text.embeddings, text.phrase_class, text.num_classes)
    scores = scores.clamp_min(ABSENT)  # -inf cannot be interpolated
    scores = denoise_prompts(scores, temperature=refinement.temperature, threshold=refinement.denoising)
    if not refinement.smoothing:
        return scores
    if patches.keys is None:
        raise ConfigError("smoothing expected patches with keys, got none; let the teacher give them")
    keys = patches.keys.to(device)
    return smooth_by_keys(scores, keys, temperature=refinement.temperature, threshold=refinement.smoothing)


def _weights(patches: int, pixels: int, covered: float, device: torch.device) -> Tensor:
    """(pixels, patches): how much each patch says about each pixel along an axis, as sample_features does."""
    along = torch.arange(pixels, device=device, dtype=torch.float32)
    place = torch.stack([along, torch.zeros_like(along)], dim=1)
    return sample_features(torch.eye(patches, device=device)[:, None], place, (1, covered))


def _decided(probability: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The most probable class, its probability, margin and certainty; classes are dimension 1."""
    best, index = probability.max(dim=1)
    second = probability.scatter(1, index[:, None], 0).amax(dim=1)
    return index, best, best - second, _certainty(probability)


def _certainty(probability: Tensor) -> Tensor:
    """1 - H / log C over dimension 1; 1 if there is one class only."""
    classes = probability.shape[1]
    entropy = torch.special.entr(probability).sum(dim=1)
    return (1 - entropy / math.log(max(classes, 2))).clamp(0, 1)
