"""The fusion of a cell's features against equations (3) and (4), written down as loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from clip2scene_core.inference.temporal import fuse


def unit(vector):
    length = math.sqrt(sum(v * v for v in vector))
    return [v / length for v in vector]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def slow_fuse(features, cell, cells, text, temperature):
    """f_n = sum b_i p_i with b_i = exp(D(p_i, t_n) / lambda) / Z: the point half of (3) and (4)."""
    fused = []
    for n in range(cells):
        inside = [unit(p) for p, own in zip(features, cell, strict=True) if own == n]
        if not inside:
            fused.append([0.0] * len(text[0]))
            continue
        mean = unit([sum(column) for column in zip(*inside, strict=True)])
        anchor = max(text, key=lambda t: dot(mean, t))
        attention = [math.exp(dot(p, anchor) / temperature) for p in inside]
        z = sum(attention)
        parts = [[b / z * value for value in p] for b, p in zip(attention, inside, strict=True)]
        fused.append(unit([sum(column) for column in zip(*parts, strict=True)]))
    return fused


@pytest.mark.parametrize("temperature", [1.0, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_fusion_is_the_equations(seed, temperature):
    rng = np.random.default_rng(seed)
    features, text = rng.standard_normal((40, 6)), rng.standard_normal((5, 6))
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    cell = rng.integers(0, 9, 40)
    cell[cell == 4] = 3  # nobody is in cell 4
    fused = fuse(
        torch.from_numpy(features).float(),
        torch.from_numpy(cell),
        9,
        torch.from_numpy(text).float(),
        temperature=temperature,
    )
    expected = slow_fuse(features.tolist(), cell.tolist(), 9, text.tolist(), temperature)
    np.testing.assert_allclose(fused, expected, atol=1e-5)
    assert not fused[4].any()


def test_two_features_by_hand():
    """At right angles, the one that agrees with the text weighs e times the other."""
    text = torch.tensor([[1.0, 0.0]])
    fused = fuse(torch.tensor([[2.0, 0.0], [0.0, 5.0]]), torch.tensor([0, 0]), 1, text)
    expected = np.array([math.e, 1.0]) / math.hypot(math.e, 1.0)
    np.testing.assert_allclose(fused[0], expected, atol=1e-6)


def test_one_feature_is_itself():
    feature = torch.tensor([[3.0, 4.0, 0.0]])
    fused = fuse(feature, torch.tensor([1]), 2, torch.eye(3))
    np.testing.assert_allclose(fused, [[0, 0, 0], [0.6, 0.8, 0]], atol=1e-6)


def test_the_text_is_that_of_the_majority():
    """Two features near the second text outvote one that fits the first exactly."""
    text = torch.eye(2)
    features = torch.tensor([[1.0, 0.0], [0.2, 1.0], [0.2, 1.0]])
    fused = fuse(features, torch.tensor([0, 0, 0]), 1, text, temperature=0.05)
    np.testing.assert_allclose(fused[0], unit([0.2, 1.0]), atol=1e-3)


def test_no_features():
    assert fuse(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 0, torch.eye(3)).shape == (0, 3)
