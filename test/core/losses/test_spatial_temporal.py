"""Equations (2) to (4) against their sums written out, on cells of any number of pairs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from clip2scene_core.losses import fused_cell_features, ragged, spatial_temporal_consistency

FUSIONS = ["points_and_pixels", "points"]
PHRASES = 5


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    """Two or three pairs at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "PART_CPU", 13)
        yield


class Pairs(NamedTuple):
    pixels: Tensor
    points: Tensor
    text: Tensor
    phrase: Tensor
    cell: Tensor
    cells: int


def draw(seed, *, counts=(1, 2, 0, 9, 4), outside=2, dim=6, dtype=torch.float64):
    """Shuffled pairs, so many of each cell, and some in none."""
    generator = torch.Generator().manual_seed(seed)
    cell = torch.repeat_interleave(torch.arange(-1, len(counts)), torch.tensor([outside, *counts]))
    cell = cell[torch.randperm(len(cell), generator=generator)]

    def unit(rows):
        return normalize(torch.randn(rows, dim, generator=generator, dtype=dtype), dim=1)

    return Pairs(
        pixels=unit(len(cell)),
        points=unit(len(cell)).requires_grad_(),
        text=unit(PHRASES),
        phrase=torch.randint(0, PHRASES, (len(cell),), generator=generator),
        cell=cell,
        cells=len(counts),
    )


def loss_of(pairs, **options):
    fused = fused_cell_features(*pairs, **options)
    return spatial_temporal_consistency(fused, pairs.cell)


def literal(pairs, lambda_, fusion):
    """f_n of all cells and the loss, one summand after the other."""
    x, p, text = (v.detach().double().numpy() for v in (pairs.pixels, pairs.points, pairs.text))
    t, cell = text[pairs.phrase.numpy()], pairs.cell.tolist()
    features, loss = np.zeros((pairs.cells, p.shape[1])), 0.0
    for n in range(pairs.cells):
        z = 0.0
        for i in range(len(cell)):
            if cell[i] == n:
                a = math.exp(np.dot(x[i], t[i]) / lambda_) if fusion == "points_and_pixels" else 0.0
                b = math.exp(np.dot(p[i], t[i]) / lambda_)
                features[n] += a * x[i] + b * p[i]
                z += a + b
        if z:
            features[n] /= z
        for i in range(len(cell)):
            if cell[i] == n:
                loss += 1 - 1 / (1 + math.exp(-np.dot(p[i], features[n])))
    return features, loss / max(1, sum(n >= 0 for n in cell))


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 10**6),
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=6),
    outside=st.integers(0, 3),
    lambda_=st.sampled_from([0.1, 1.0]),
    fusion=st.sampled_from(FUSIONS),
)
def test_features_and_loss_are_the_formulas_of_the_paper(seed, counts, outside, lambda_, fusion):
    pairs = draw(seed, counts=counts, outside=outside)
    features, loss = literal(pairs, lambda_, fusion)
    fused = fused_cell_features(*pairs, lambda_=lambda_, fusion=fusion)
    np.testing.assert_allclose(fused.features.detach().numpy(), features, rtol=1e-9, atol=1e-12)
    assert float(loss_of(pairs, lambda_=lambda_, fusion=fusion).detach()) == pytest.approx(loss, rel=1e-9)


def test_two_pairs_by_hand():
    """Scores log 1, log 2 of pixels and log 3, log 2 of points, so weights of 1, 2, 3 and 2 eighths."""
    pixels = torch.tensor([[0.0, 4.0], [math.log(2), 4.0]])
    points = torch.tensor([[math.log(3), 0.0], [math.log(2), 0.0]])
    text, zero = torch.tensor([[1.0, 0.0]]), torch.zeros(2, dtype=torch.int64)
    fused = fused_cell_features(pixels, points, text, zero, zero, 1)
    torch.testing.assert_close(fused.pixel_weight, torch.tensor([1 / 8, 2 / 8]))
    torch.testing.assert_close(fused.point_weight, torch.tensor([3 / 8, 2 / 8]))
    length = (2 * math.log(2) + 3 * math.log(3) + 2 * math.log(2)) / 8
    torch.testing.assert_close(fused.features, torch.tensor([[length, 1.5]]))
    apart = [1 - 1 / (1 + math.exp(-math.log(n) * length)) for n in (3, 2)]
    assert float(spatial_temporal_consistency(fused, zero)) == pytest.approx(sum(apart) / 2)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_weights_of_a_cell_add_up_to_one(fusion):
    pairs = draw(1)
    fused = fused_cell_features(*pairs, fusion=fusion)
    weight = (fused.pixel_weight + fused.point_weight).detach()
    total = [float(weight[pairs.cell == n].sum()) for n in range(-1, pairs.cells)]
    assert total == pytest.approx([0, 1, 1, 0, 1, 1])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_gradients_are_differences(fusion):
    """Of the whole formula: nothing is held fixed, and pixels and texts could learn too."""
    pairs = draw(2, counts=(1, 3, 0, 5), dim=4)
    learnt = (pairs.points, pairs.pixels.requires_grad_(), pairs.text.requires_grad_())

    def values(points, pixels, text):
        fused = fused_cell_features(
            pixels, points, text, pairs.phrase, pairs.cell, pairs.cells, fusion=fusion
        )
        loss = spatial_temporal_consistency(fused, pairs.cell)
        return loss, fused.features, loss + fused.features.square().sum()

    assert torch.autograd.gradcheck(values, learnt)
    (gradient,) = torch.autograd.grad(values(*learnt)[0], pairs.points)
    assert gradient[pairs.cell >= 0].any(dim=1).all()
    assert not gradient[pairs.cell < 0].any()


def test_each_pair_is_weighed_by_its_own_text_whatever_the_order():
    pairs = draw(3)
    order = torch.arange(len(pairs.cell) - 1, -1, -1)
    turned = pairs._replace(**{f: getattr(pairs, f)[order] for f in ("pixels", "points", "phrase", "cell")})
    torch.testing.assert_close(
        fused_cell_features(*turned).features, fused_cell_features(*pairs).features, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("outside", [0, 3])
def test_without_pairs_the_loss_is_zero_and_can_be_differentiated(fusion, outside):
    pairs = draw(4, counts=(0, 0), outside=outside)
    value = loss_of(pairs, fusion=fusion)
    value.backward()
    assert (float(value.detach()), pairs.points.grad.count_nonzero()) == (0, 0)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_features_with_products_beyond_float16_lose_nothing(fusion, dtype):
    """Scores of up to 500 x 500 = 250000 in numbers that each type has exactly; also under autocast."""
    pairs = draw(5, dtype=torch.float32)
    pixels, points, text = ((500 * v.detach()).to(dtype) for v in (pairs.pixels, pairs.points, pairs.text))
    pairs = pairs._replace(pixels=pixels, points=points, text=text)
    features, expected = literal_of_large_scores(pairs, fusion)
    points.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fused = fused_cell_features(*pairs, fusion=fusion)
        value = spatial_temporal_consistency(fused, pairs.cell)
    value.backward()
    assert value.dtype == fused.features.dtype == torch.float32
    torch.testing.assert_close(fused.features.detach().double(), features, rtol=1e-5, atol=1e-3)
    assert float(value.detach()) == pytest.approx(float(expected), rel=1e-5, abs=1e-6)
    assert points.grad.isfinite().all()


def literal_of_large_scores(pairs, fusion):
    """Where exp would overflow: in differences to the best of each cell, in float64."""
    x, p, text = pairs.pixels.double(), pairs.points.double(), pairs.text.double()
    t = text[pairs.phrase]
    features = torch.zeros(pairs.cells, x.shape[1], dtype=torch.float64)
    apart = []
    for n in range(pairs.cells):
        own = pairs.cell == n
        values = torch.cat([p[own], x[own]] if fusion == "points_and_pixels" else [p[own]])
        scores = torch.cat([(v[own] * t[own]).sum(1) for v in ([p, x] if len(values) > own.sum() else [p])])
        if own.any():
            features[n] = scores.softmax(0) @ values
        apart.append(1 - torch.sigmoid(p[own] @ features[n]))
    return features, torch.cat(apart).mean()
