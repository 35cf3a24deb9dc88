"""Noise, stripes and random numbers of textures, against sums and statistics worked out otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_core.simulation.patterns import lines, noise, random


@pytest.mark.parametrize("footprint", [0.001, 0.13, 0.9, 7.0])
def test_stripes_cover_the_share_of_a_pixel_that_a_sum_of_samples_says(footprint: float) -> None:
    x = np.linspace(-3.0, 3.0, 41).astype(np.float32)
    samples = x[:, None] + footprint * (np.arange(4000) + 0.5) / 4000 - footprint / 2
    expected = (np.mod(samples, 0.7) < 0.2).mean(axis=1)
    np.testing.assert_allclose(lines(x, 0.7, 0.2, np.full(41, footprint, np.float32)), expected, atol=0.01)


def test_noise_is_smooth_of_unit_strength_and_fades_where_pixels_are_coarse() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-500, 500, (2, 20_000)).astype(np.float32)
    near = noise(x, y, 2.0, 0.01)
    assert (near.mean(), near.std()) == (pytest.approx(0, abs=0.05), pytest.approx(1, abs=0.1))
    assert np.abs(noise(x + 0.01, y, 2.0, 0.01) - near).max() < 0.2
    strengths = [noise(x, y, 2.0, footprint).std() for footprint in (0.5, 1.0, 1.4, 3.0)]
    assert strengths == sorted(strengths, reverse=True) and strengths[-1] == 0


def test_random_numbers_are_even_and_follow_their_keys() -> None:
    first, second = np.meshgrid(np.arange(-100, 100), np.arange(200))
    numbers = random(first, second, 7)
    assert numbers.min() >= 0 and numbers.max() < 1
    np.testing.assert_allclose(np.histogram(numbers, 10, (0, 1))[0] / numbers.size, 0.1, atol=0.01)
    assert abs(np.corrcoef(numbers[:, 1:].ravel(), numbers[:, :-1].ravel())[0, 1]) < 0.02
    np.testing.assert_array_equal(numbers, random(first, second, 7))
    assert (numbers != random(first, second, 8)).mean() > 0.99
