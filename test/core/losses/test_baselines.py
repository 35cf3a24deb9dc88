"""The objectives of others against their definitions, written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from clip2scene_core.losses import kl_distillation, ppkt, slidr

SUPERPIXELS = 6
POINT_SUPERPIXEL = torch.tensor([0, 0, 2, 4, 4, 4, -1, 5])
PIXEL_SUPERPIXEL = torch.tensor([4, 0, 1, 2, 2, -1, 0, 4, 4, 4])
"""1 has no points, 5 no pixels, 3 neither."""


def unit(rows, seed, dim=5):
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, dim, generator=generator, dtype=torch.float64), dim=1)


def literal_infonce(queries, keys, tau):
    """-log of the share that the own key has among all keys, averaged over the queries."""
    losses = []
    for m, query in enumerate(queries):
        share = [math.exp(np.dot(query, key) / tau) for key in keys]
        losses.append(-math.log(share[m] / sum(share)))
    return sum(losses) / len(losses)


def literal_means(features, superpixel):
    return [features[superpixel == s].mean(dim=0).numpy() for s in (0, 2, 4)]


def test_ppkt_tells_each_pixel_from_all_others():
    points, pixels = unit(7, 0), unit(7, 1)
    assert float(ppkt(points, pixels)) == pytest.approx(literal_infonce(points.numpy(), pixels.numpy(), 0.07))
    assert float(ppkt(pixels, pixels)) < 0.01 < float(ppkt(pixels.flip(0), pixels))


def test_slidr_tells_superpixels_that_have_points_and_pixels_from_each_other():
    points, pixels = unit(len(POINT_SUPERPIXEL), 2), unit(len(PIXEL_SUPERPIXEL), 3)
    value = slidr(points, POINT_SUPERPIXEL, pixels, PIXEL_SUPERPIXEL, SUPERPIXELS)
    means = literal_means(points, POINT_SUPERPIXEL), literal_means(pixels, PIXEL_SUPERPIXEL)
    assert float(value) == pytest.approx(literal_infonce(*means, 0.07))


def test_kl_is_the_mean_divergence():
    probability = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64)
    student = torch.tensor([[0.25, 0.25, 0.5], [0.2, 0.3, 0.5]], dtype=torch.float64)
    assert float(kl_distillation(student.log() + 3, probability)) == pytest.approx(math.log(2) / 2)
    assert float(kl_distillation(0.1 * student.log(), probability, tau=0.1)) == pytest.approx(math.log(2) / 2)


def call_ppkt(points):
    return ppkt(points, unit(len(points), 4).to(points.dtype))


def call_slidr(points):
    return slidr(points, POINT_SUPERPIXEL[: len(points)], unit(10, 5), PIXEL_SUPERPIXEL, SUPERPIXELS)


def call_kl(points):
    return kl_distillation(points, unit(len(points), 6).softmax(dim=1))


CALLS = pytest.mark.parametrize("call", [call_ppkt, call_slidr, call_kl])


@CALLS
def test_gradients_are_differences(call):
    points = unit(8, 7).requires_grad_()
    assert torch.autograd.gradcheck(call, points)
    assert torch.autograd.grad(call(points), points)[0].any()


@CALLS
def test_without_points_the_loss_is_zero_and_can_be_differentiated(call):
    points = unit(0, 8).requires_grad_()
    value = call(points)
    value.backward()
    assert float(value.detach()) == 0
