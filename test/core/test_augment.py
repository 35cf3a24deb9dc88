"""Variations of a scan: what each of them keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_core import augment

seeds = st.integers(0, 2**32 - 1)


def cloud(rows=60):
    return np.random.default_rng(3).uniform(-30, 30, (rows, 3)).astype(np.float32)


def distances(xyz):
    xyz = xyz.astype(np.float64)
    return np.linalg.norm(xyz[:, None] - xyz[None], axis=-1)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_rotation_keeps_distances_and_heights(seed):
    xyz = cloud()
    turned = augment.rotated(xyz, np.random.default_rng(seed))
    np.testing.assert_allclose(distances(turned), distances(xyz), atol=1e-4)
    np.testing.assert_array_equal(turned[:, 2], xyz[:, 2])
    np.testing.assert_allclose(np.hypot(*turned[:, :2].T), np.hypot(*xyz[:, :2].T), atol=1e-5)


def test_rotation_takes_all_angles_and_mirrors_half_the_time():
    axes = np.float32([[1, 0, 0], [0, 1, 0]])
    turned = np.array([augment.rotated(axes, np.random.default_rng(seed)) for seed in range(400)])
    angle = np.arctan2(turned[:, 0, 1], turned[:, 0, 0])
    assert np.histogram(angle, bins=8, range=(-np.pi, np.pi))[0].min() > 25
    handedness = np.cross(turned[:, 0], turned[:, 1])[:, 2]
    np.testing.assert_allclose(np.abs(handedness), 1, atol=1e-6)
    assert 0.4 < (handedness < 0).mean() < 0.6


@settings(max_examples=50, deadline=None)
@given(seeds, st.floats(0, 0.5))
def test_scaling_is_one_factor_within_its_limits(seed, largest):
    xyz = cloud()
    factor = augment.scaled(xyz, np.random.default_rng(seed), largest) / xyz
    assert np.ptp(factor) < 1e-5
    assert abs(factor[0, 0] - 1) <= largest + 1e-6


def reshaped(xyz, seed=0, tilt_deg=0.0, wave_m=0.0, crown_m=0.0):
    rng = np.random.default_rng(seed)
    return augment.reshaped_ground(xyz, rng, tilt_deg=tilt_deg, wave_m=wave_m, crown_m=crown_m)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_the_ground_only_rises_and_takes_along_what_stands_on_it(seed):
    ground = cloud()
    standing = ground + np.float32([0, 0, 1.7])
    both = reshaped(np.concatenate([ground, standing]), seed, tilt_deg=3, wave_m=0.4, crown_m=0.2)
    np.testing.assert_array_equal(both[: len(ground), :2], ground[:, :2])
    np.testing.assert_allclose(
        both[len(ground) :] - both[: len(ground)], [[0, 0, 1.7]] * len(ground), atol=1e-5
    )
    assert both.dtype == np.float32


def test_nothing_to_reshape_leaves_the_scan_alone():
    np.testing.assert_allclose(reshaped(cloud()), cloud(), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_tilt_is_a_plane_through_the_sensor_within_its_limits(seed):
    xyz = cloud()
    rise = (reshaped(xyz, seed, tilt_deg=2.0) - xyz)[:, 2].astype(np.float64)
    plane, residual, *_ = np.linalg.lstsq(xyz[:, :2].astype(np.float64), rise, rcond=None)
    assert residual[0] < 1e-8
    assert np.abs(plane).max() <= np.tan(np.radians(2.0)) + 1e-6


@settings(max_examples=50, deadline=None)
@given(seeds, st.floats(0, 1), st.floats(0, 0.5))
def test_waves_and_crown_stay_within_their_heights(seed, wave_m, crown_m):
    rise = (reshaped(cloud(), seed, wave_m=wave_m, crown_m=crown_m) - cloud())[:, 2]
    assert rise.max() <= 2 * wave_m + 1e-5
    assert rise.min() >= -2 * wave_m - crown_m - 1e-5


def test_waves_are_long():
    """Nothing that a wheel would notice: slopes stay below 2 pi height / length of both waves together."""
    along = np.column_stack([np.linspace(-40, 40, 4001), np.zeros(4001), np.zeros(4001)])
    for seed in range(20):
        slope = np.diff(reshaped(along, seed, wave_m=0.3)[:, 2]) / np.diff(along[:, 0])
        assert np.abs(slope).max() <= 2 * 2 * np.pi * 0.3 / 15


def test_noise_has_at_most_its_deviation():
    xyz = np.zeros((20000, 3), np.float32)
    deviations = [augment.jittered(xyz, np.random.default_rng(seed), 0.1).std() for seed in range(30)]
    assert max(deviations) < 0.102
    assert max(deviations) > 0.06
    assert min(deviations) < 0.04


def test_up_to_the_largest_share_is_left_out_and_half_the_scans_are_whole():
    rows = [augment.kept(1000, np.random.default_rng(seed), 0.5) for seed in range(300)]
    shares = np.array([len(r) / 1000 for r in rows])
    assert 0.4 < (shares == 1).mean() < 0.6
    assert 0.42 < shares.min() < 0.6
    for r in rows:
        assert (np.diff(r) > 0).all()
        assert 0 <= r[0] <= r[-1] < 1000


def test_no_points_stay_no_points():
    rng, empty = np.random.default_rng(0), np.zeros((0, 3), np.float32)
    for changed in (
        augment.rotated(empty, rng),
        augment.jittered(empty, rng, 0.1),
        reshaped(empty, tilt_deg=1),
    ):
        assert changed.shape == (0, 3)
    assert augment.kept(0, rng, 0.5).shape == (0,)


@pytest.mark.parametrize(
    "variation",
    [
        lambda xyz, rng: augment.rotated(xyz, rng),
        lambda xyz, rng: augment.scaled(xyz, rng, 0.2),
        lambda xyz, rng: augment.reshaped_ground(xyz, rng, tilt_deg=3, wave_m=0.4, crown_m=0.2),
        lambda xyz, rng: augment.jittered(xyz, rng, 0.1),
        lambda xyz, rng: augment.kept(len(xyz), np.random.default_rng(rng.integers(9)), 0.9),
    ],
)
def test_the_generator_alone_decides(variation):
    xyz = cloud()
    before = xyz.copy()
    first, again, other = (variation(xyz, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()
    np.testing.assert_array_equal(xyz, before, err_msg="the scan itself is left alone")
