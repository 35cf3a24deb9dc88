"""The ground of made worlds whose ground is known: planes, kerbs, cars, houses, echoes, tilts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clip2scene_core.ground import CELL_M, MAX_SLOPE, REACH_M, find_ground

MILLIMETRE = 2e-3
"""Heights are sorted in whole millimetres; float32 adds a little."""


def field(x_m, y_m, spacing_m=0.25):
    """A carpet of points on z = 0 between the limits."""
    x, y = np.meshgrid(np.arange(*x_m, spacing_m), np.arange(*y_m, spacing_m), indexing="ij")
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)]).astype(np.float32)


def street():
    return field((-30, 30), (-20, 20))


def on(xyz, surface):
    """The points moved up to stand on z = surface(x, y)."""
    return np.column_stack([xyz[:, :2], xyz[:, 2] + surface(*xyz[:, :2].T)]).astype(np.float32)


def without(xyz, x_m, y_m):
    """The points outside a rectangle: what stands there casts its shadow on the ground."""
    x, y = xyz[:, 0], xyz[:, 1]
    return xyz[~((x >= x_m[0]) & (x < x_m[1]) & (y >= y_m[0]) & (y < y_m[1]))]


def box(x_m, y_m, z_m):
    """Points in a box."""
    rng = np.random.default_rng(0)
    return rng.uniform(*np.transpose([x_m, y_m, z_m]), (2000, 3)).astype(np.float32)


def height_at(xyz):
    return find_ground(xyz).height(xyz)


def test_no_points_have_no_ground():
    ground = height_at(np.zeros((0, 3), np.float32))
    assert ground.shape == (0,)
    assert ground.dtype == np.float32


@pytest.mark.parametrize("z", [-1.73, 0.0, 250.0])
def test_one_point_is_its_own_ground(z):
    assert height_at(np.array([[3.0, -4.0, z]], np.float32)) == pytest.approx(z, abs=MILLIMETRE)


@pytest.mark.parametrize("height_m", [-2.5, -1.73, 0.0, 12.0])
def test_a_flat_street_is_its_ground(height_m):
    xyz = on(street(), lambda x, y: height_m)
    np.testing.assert_allclose(height_at(xyz), height_m, atol=MILLIMETRE)


@pytest.mark.parametrize("slope", [(0.1, 0.0), (-0.05, 0.12), (0.13, 0.13)])
def test_a_slope_is_its_ground_to_within_half_a_cell(slope):
    a, b = slope
    xyz = on(street(), lambda x, y: a * x + b * y - 1.7)
    error = height_at(xyz) - xyz[:, 2]
    assert np.abs(error).max() < (abs(a) + abs(b)) * CELL_M
    inner = (np.abs(xyz[:, 0]) < 27) & (np.abs(xyz[:, 1]) < 17)
    assert error[inner].max() < MILLIMETRE, "the low quantile of a slope lies below its middle"
    assert np.ptp(error[inner]) < 0.05, "the same everywhere, so heights keep their order"


def test_both_sides_of_a_kerb_are_ground():
    xyz = on(street(), lambda x, y: np.where(y > 4, 0.15, 0.0))
    ground = height_at(xyz)
    for side, truth in ((xyz[:, 1] > 4 + 2 * CELL_M, 0.15), (xyz[:, 1] < 4 - 2 * CELL_M, 0.0)):
        np.testing.assert_allclose(ground[side], truth, atol=MILLIMETRE)


def test_ground_under_a_car_is_that_around_it():
    car = box((5, 9), (3, 5), (0.2, 1.5))
    xyz = np.concatenate([without(street(), (5, 9), (3, 5)), car])
    ground = height_at(xyz)
    np.testing.assert_allclose(ground[: -len(car)], 0, atol=0.25)
    assert ground[-len(car) :].max() < MAX_SLOPE * CELL_M + MILLIMETRE
    assert ground[-len(car) :].min() > -MILLIMETRE


def test_a_wall_leaves_the_street_before_it_alone():
    wall = box((-30, 30), (20, 20.2), (0, 9))
    xyz = np.concatenate([street(), wall])
    ground = height_at(xyz)
    before_m = 20 - xyz[:, 1]
    np.testing.assert_allclose(ground[before_m > CELL_M / 2], 0, atol=MILLIMETRE)
    np.testing.assert_allclose(ground, 0, atol=MAX_SLOPE * CELL_M / 2 + 0.05)


def test_a_roof_gets_the_ground_of_its_surroundings():
    """Seen from a hill: eaves, no walls. The ground may rise from each side by the steepest slope at most."""
    roof = box((-6, 6), (-6, 6), (7, 8))
    xyz = np.concatenate([without(street(), (-6, 6), (-6, 6)), roof])
    ground = height_at(xyz)[-len(roof) :]
    to_the_street_m = 6 - np.abs(roof[:, :2]).max(axis=1)
    assert (ground <= MAX_SLOPE * (to_the_street_m + CELL_M)).all()


@pytest.mark.parametrize(
    "echo",
    [
        pytest.param(box((4, 5), (4, 5), (-4, -3)), id="one window"),
        pytest.param(box((2, 6), (-6, -4), (-3, -2)), id="a wet lane"),
        pytest.param(np.array([[40, 30, -8]], np.float32), id="a single far point"),
    ],
)
def test_a_world_below_the_street_is_not_its_ground(echo):
    xyz = np.concatenate([street(), echo])
    np.testing.assert_allclose(height_at(xyz)[: len(street())], 0, atol=0.05)


def test_echoes_where_the_street_itself_was_not_seen():
    """A puddle or a glass front: the cells hold the mirror image only."""
    hole = (4.0, 8.0), (-2.0, 0.0)
    xyz = np.concatenate([without(street(), *hole), box(*hole, (-3.0, -2.5))])
    np.testing.assert_allclose(height_at(xyz), 0, atol=0.05)


def test_a_tilted_world_has_tilted_ground():
    """Turning the whole scene by 5 degrees moves the ground with it, below a car too."""
    car = box((5, 9), (3, 5), (0.2, 1.5))
    xyz = np.concatenate([without(street(), (5, 9), (3, 5)), car])
    angle = np.radians(5)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    tilted = (xyz @ turn.T).astype(np.float32)
    above = tilted[:, 2] - height_at(tilted)
    assert np.abs(above[: -len(car)]).max() < 0.2
    np.testing.assert_allclose(above[-len(car) :], car[:, 2], atol=0.4)


@settings(max_examples=50, deadline=None)
@given(eighths=st.integers(-800, 800), seed=st.integers(0, 2**32 - 1))
def test_raising_the_cloud_raises_the_ground(eighths, seed):
    """In eighths of a metre, which neither millimetres nor float32 round."""
    rng = np.random.default_rng(seed)
    xyz = (np.round(rng.standard_normal((300, 3)) * (200, 200, 12)) / 8).astype(np.float32)
    height_m = eighths / 8
    raised = height_at(xyz + np.float32([0, 0, height_m]))
    np.testing.assert_allclose(raised, height_at(xyz) + height_m, atol=MILLIMETRE)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_points_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    xyz = (rng.standard_normal((300, 3)) * (25, 25, 1.5)).astype(np.float32)
    order = rng.permutation(len(xyz))
    np.testing.assert_array_equal(height_at(xyz[order]), height_at(xyz)[order])


coordinate = st.floats(-300, 300, width=32)


@settings(max_examples=200, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 40), st.just(3)), elements=coordinate))
def test_ground_lies_between_the_lowest_and_the_highest_point(xyz):
    ground = height_at(xyz)
    assert ground.shape == (len(xyz),)
    assert ground.dtype == np.float32
    assert (ground >= xyz[:, 2].min() - MILLIMETRE).all()
    assert (ground <= xyz[:, 2].max() + MILLIMETRE).all()


def test_millimetres_round_alike_on_both_sides_of_zero():
    below, above = (height_at(np.array([[0, 0, z]], np.float32))[0] for z in (-0.0005, 0.9995))
    assert above - below == pytest.approx(1.0, abs=1e-4)


def test_ground_beyond_the_scan_is_the_nearest_that_is_known():
    ground = find_ground(on(street(), lambda x, y: np.where(x > 10, 1.5, 0.0)))
    beyond = np.array([[100.0, 3.0], [-100.0, 3.0], [1e7, -1e7]])
    np.testing.assert_allclose(ground.height(beyond), [1.5, 0, 1.5], atol=MILLIMETRE)


def test_four_lone_points_that_surround_an_empty_cell_have_ground():
    """None of them has neighbours, but the empty cell between them has four."""
    xyz = np.array([[0.5, 0.5, 1], [0.5, 8.5, 1], [8.5, 0.5, 1], [8.5, 8.5, 1]], np.float32)
    np.testing.assert_allclose(height_at(xyz), 1, atol=MILLIMETRE)


def test_points_beyond_reach_do_not_make_the_grid_grow():
    xyz = np.concatenate([street(), np.array([[1e6, -1e6, 3], [50 * REACH_M, 0, 1]], np.float32)])
    ground = height_at(xyz)
    assert np.isfinite(ground).all()
    np.testing.assert_allclose(ground[: len(street())], 0, atol=MILLIMETRE)


def test_relief_is_nothing_on_a_slope_and_tells_a_bank_from_the_street():
    xyz = on(street(), lambda x, y: 0.08 * x)
    inner = np.abs(xyz[:, :2]).max(axis=1) < 15
    np.testing.assert_allclose(find_ground(xyz).relief(xyz)[inner], 0, atol=0.02)

    bank = on(street(), lambda x, y: np.where((y > 6) & (y < 14), 0.3, 0.0))
    relief = find_ground(bank).relief(bank)
    np.testing.assert_allclose(relief[np.abs(bank[:, 1]) < 2], 0, atol=0.02)
    on_top = (bank[:, 1] > 9) & (bank[:, 1] < 11)
    np.testing.assert_allclose(relief[on_top & (np.abs(bank[:, 0]) < 15)], 0.3, atol=0.05)
