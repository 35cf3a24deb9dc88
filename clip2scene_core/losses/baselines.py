"""What CLIP2Scene is compared with: PPKT, SLidR, and distillation of class probabilities.

Shapes: M point-pixel pairs, R pixels, S superpixels, C classes, D embedding. Features are normalised by the
caller; of PPKT and SLidR those of both sides come from learnt heads.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_core.losses.products import all_products, at_least_float32
from clip2scene_core.losses.supervised import cross_entropy


def ppkt(points: Tensor, pixels: Tensor, *, tau: float = 0.07) -> Tensor:
    """Point-pixel InfoNCE (Liu et al., 2021): each point (M, D) tells its pixel (M, D) from all others.

    The scores are a matrix of M x M, so the caller draws some thousand pairs; 0 if there are none.
    """
    own = torch.arange(len(points), device=points.device)
    return cross_entropy(all_products(points, pixels) / tau, own)


def slidr(
    points: Tensor,
    point_superpixel: Tensor,
    pixels: Tensor,
    pixel_superpixel: Tensor,
    superpixels: int,
    *,
    tau: float = 0.07,
) -> Tensor:
    """Superpixel InfoNCE (SLidR, Sautier et al., CVPR 2022): ppkt of the means over superpixels.

    points: (M, D) in point_superpixel (M,) int64, pixels: (R, D) in pixel_superpixel (R,) int64; both number
    the superpixels of the whole batch from 0, -1 for none. Superpixels that lack points or pixels take no
    part; 0 if all do.
    """
    point_mean, with_points = _superpixel_means(points, point_superpixel, superpixels)
    pixel_mean, with_pixels = _superpixel_means(pixels, pixel_superpixel, superpixels)
    both = with_points & with_pixels
    scores = all_products(point_mean, pixel_mean) / tau
    scores = scores.masked_fill(~both, torch.finfo(scores.dtype).min)
    own = torch.arange(superpixels, device=points.device)
    return cross_entropy(scores, torch.where(both, own, -1))


def kl_distillation(scores: Tensor, probability: Tensor, *, tau: float = 1.0) -> Tensor:
    """Mean Kullback-Leibler divergence of the student's classes from the teacher's; 0 if there are no points.

    scores: (M, C), finite, before the softmax of scores/tau; probability: (M, C), of the teacher's pixels.
    """
    student = functional.log_softmax(at_least_float32(scores) / tau, dim=1)
    divergence = functional.kl_div(student, probability.to(student.dtype), reduction="sum")
    return divergence / max(1, len(scores))


def _superpixel_means(features: Tensor, superpixel: Tensor, superpixels: int) -> tuple[Tensor, Tensor]:
    """(S, D) mean of the features of each superpixel, zeros without any, and (S,) bool whether it has any."""
    group, groups = torch.where(superpixel >= 0, superpixel, superpixels), superpixels + 1
    one = torch.ones_like(group, dtype=torch.float32)
    count = one.new_zeros(groups).index_add(0, group, one)
    rows = at_least_float32(features)
    total = rows.new_zeros(groups, rows.shape[1]).index_add(0, group, rows)
    return (total / count.clamp_min(1)[:, None])[:superpixels], count[:superpixels] > 0
