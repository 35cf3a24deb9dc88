"""Points to voxels: a cloud of three points by hand, and what holds for every cloud."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clip2scene_core.voxels import FEATURES, occupied, voxelise

SIZE_M = 0.5
coordinate = st.one_of(st.floats(-60, 60, width=32), st.sampled_from([np.nan, np.inf, -np.inf, 1e30, 0.0]))
clouds = arrays(np.float32, st.tuples(st.integers(0, 30), st.just(3)), elements=coordinate)


def test_three_points_by_hand():
    """Two points share the voxel at the origin, the third lies one metre higher behind the sensor."""
    xyz = np.array([[0.25, 0.25, 0.0], [0.75, 0.25, 0.0], [-0.5, 0.0, 1.0]], np.float32)
    voxels = voxelise(xyz, size_m=1.0, range_m=10.0)
    np.testing.assert_array_equal(voxels.coordinates, [[-1, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(voxels.voxel_of_point, [1, 1, 0])
    height = [1.0 / 2, 0.0]
    offset = [[0.0, -0.5, -0.5], [0.0, -0.25, -0.5]]
    low = [0.5 * 2, 0.0]
    flat = np.zeros(2)
    expected = np.column_stack([height, offset, low, flat])
    np.testing.assert_allclose(voxels.features, expected, atol=1e-6)
    assert voxels.features.shape == (2, len(FEATURES))


def test_intensity_is_the_last_feature_and_a_mean():
    xyz = np.array([[np.nan, 0, 0], [0.1, 0, 0], [0.2, 0, 0], [5, 0, 0]], np.float32)
    voxels = voxelise(xyz, size_m=1.0, range_m=10.0, intensity=np.float32([7, 0.2, 0.4, 0.9]))
    np.testing.assert_allclose(voxels.features[:, len(FEATURES)], [0.3, 0.9], atol=1e-6)


def test_colours_follow_from_minus_one_to_one_and_are_means():
    xyz = np.array([[0.1, 0, 0], [np.nan, 0, 0], [0.2, 0, 0], [5, 0, 0]], np.float32)
    rgb = np.array([[0, 0, 255], [9, 9, 9], [255, 0, 255], [51, 102, 204]], np.uint8)
    voxels = voxelise(xyz, size_m=1.0, range_m=10.0, intensity=np.ones(4, np.float32), rgb=rgb)
    expected = [[1, 0, -1, 1], [1, -0.6, -0.2, 0.6]]
    np.testing.assert_allclose(voxels.features[:, len(FEATURES) :], expected, atol=1e-6)


def test_dtypes():
    voxels = voxelise(np.zeros((4, 3), np.float32), size_m=0.1, range_m=10.0)
    assert (voxels.coordinates.dtype, voxels.voxel_of_point.dtype) == (np.int32, np.int64)
    assert voxels.features.dtype == np.float32


@pytest.mark.parametrize(
    ("point", "inside"),
    [
        ((9.9, 0, 0), True),
        ((8, 8, 0), False),
        ((10, 0, 0), False),
        ((0, 0, 9.9), True),
        ((0, 0, -10.1), False),
        ((np.nan, 0, 0), False),
        ((0, np.nan, 0), False),
        ((0, 0, np.nan), False),
        ((np.inf, 0, 0), False),
        ((0, 0, -np.inf), False),
    ],
)
def test_rows_without_a_voxel(point, inside):
    xyz = np.array([[1, 1, 0], point, [2, 2, 0]], np.float32)
    voxel = voxelise(xyz, size_m=0.1, range_m=10.0).voxel_of_point
    assert (voxel >= 0).tolist() == [True, inside, True]
    assert voxel[1] == -1 or inside


@settings(max_examples=200, deadline=None)
@given(clouds)
def test_every_point_lies_in_its_voxel(xyz):
    voxels = voxelise(xyz, size_m=SIZE_M, range_m=50.0)
    assert len(voxels.voxel_of_point) == len(xyz)
    finite = np.isfinite(xyz).all(axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        near = (np.hypot(*xyz[:, :2].astype(np.float64).T) < 49.99) & (np.abs(xyz[:, 2]) < 50)
        far = (np.hypot(*xyz[:, :2].astype(np.float64).T) > 50.01) | (np.abs(xyz[:, 2]) > 50)
    assert (voxels.voxel_of_point[finite & near] >= 0).all()
    assert (voxels.voxel_of_point[~finite | far] == -1).all()
    inside = voxels.voxel_of_point >= 0
    # SIZE_M is a power of two, so that the division rounds nothing.
    lower = voxels.coordinates[voxels.voxel_of_point[inside]] * SIZE_M
    assert (lower <= xyz[inside]).all()
    assert (xyz[inside] < lower + SIZE_M).all()
    assert set(voxels.voxel_of_point[inside]) == set(range(len(voxels.coordinates))), "no voxel is empty"
    assert len(np.unique(voxels.coordinates, axis=0)) == len(voxels.coordinates)
    assert np.isfinite(voxels.features).all()
    assert (np.abs(voxels.features[:, 1:4]) <= 0.5).all()


@settings(max_examples=100, deadline=None)
@given(clouds, st.integers(0, 2**32 - 1))
def test_the_order_of_points_leaves_the_voxels_alone(xyz, seed):
    order = np.random.default_rng(seed).permutation(len(xyz))
    one, other = (voxelise(points, size_m=SIZE_M, range_m=50.0) for points in (xyz, xyz[order]))
    np.testing.assert_array_equal(one.coordinates, other.coordinates)
    np.testing.assert_array_equal(one.voxel_of_point[order], other.voxel_of_point)
    np.testing.assert_allclose(one.features, other.features, atol=1e-5)


def test_points_lie_in_their_voxels_in_the_order_of_the_rows():
    xyz = np.float32([[0.1, -0.2, 1.0], [np.nan, 0, 0], [0.35, 0.05, 0.0], [999, 0, 0], [-0.01, 0, 0.1]])
    voxels = voxelise(xyz, size_m=0.1, range_m=50.0)
    np.testing.assert_allclose(voxels.points, xyz[[0, 2, 4]] * 10, rtol=1e-6)
    assert voxels.row_of_point.tolist() == [0, -1, 1, -1, 2]
    own = voxels.coordinates[voxels.voxel_of_point[voxels.inside]]
    np.testing.assert_array_equal(np.floor(voxels.points), own)


def test_rows_without_a_voxel_change_nothing():
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-20, 20, (500, 3)).astype(np.float32)
    dirty = np.insert(xyz, [0, 100, 500], [[np.nan] * 3, [1e9, 0, 0], [0, 0, np.inf]], axis=0)
    clean, with_dirt = (voxelise(points, size_m=SIZE_M, range_m=50.0) for points in (xyz, dirty))
    np.testing.assert_array_equal(clean.coordinates, with_dirt.coordinates)
    np.testing.assert_array_equal(clean.features, with_dirt.features)


@pytest.mark.parametrize("xyz", [np.zeros((0, 3)), np.full((5, 3), np.nan), np.full((2, 3), 1e6)])
def test_clouds_without_voxels(xyz):
    voxels = voxelise(xyz.astype(np.float32), size_m=0.1, range_m=50.0)
    assert voxels.coordinates.shape == (0, 3)
    assert voxels.features.shape == (0, len(FEATURES))
    assert voxels.voxel_of_point.tolist() == voxels.row_of_point.tolist() == [-1] * len(xyz)
    assert voxels.points.shape == (0, 3)


def test_mounting_height_does_not_matter():
    """The same street seen from a car and from a lorry has the same heights above ground."""
    rng = np.random.default_rng(1)
    xyz = (np.round(rng.uniform(-160, 160, (4000, 3)) * (1, 1, 0.02)) / 8).astype(np.float32)
    lorry = xyz - np.float32([0, 0, 1.5])
    car, lorry = (voxelise(points, size_m=SIZE_M, range_m=50.0) for points in (xyz, lorry))
    np.testing.assert_array_equal(lorry.coordinates - car.coordinates, [[0, 0, -3]] * len(car.coordinates))
    np.testing.assert_allclose(lorry.features, car.features, atol=2e-3)


def test_occupied_sorts_by_x_then_y_then_z_below_zero_too():
    xyz = np.float32([[0.5, -3, 2], [-7.5, 9, 9], [0.5, -3, -2], [0.5, -4.5, 2], [0.7, -2.2, 2]])
    cells, cell = occupied(xyz, 1.0)
    assert cells.tolist() == [[-8, 9, 9], [0, -5, 2], [0, -3, -2], [0, -3, 2]]
    assert cell.tolist() == [3, 0, 2, 1, 3]


def test_a_ditch_a_kerb_and_a_roof_are_told_apart():
    """A plain with a ditch of 6 m, 0.3 m deep; above the plain a kerb of 0.2 m and a roof at 3 m."""
    x, y = np.meshgrid(np.arange(-20, 20, 0.25), np.arange(-20, 20, 0.25), indexing="ij")
    plain = np.column_stack([x.ravel(), y.ravel(), np.where(np.abs(y.ravel()) < 3, -0.3, 0.0)])
    things = np.array([[0, 10, 0.2], [0, 10, 3.0]])
    xyz = np.concatenate([plain, things]).astype(np.float32)
    voxels = voxelise(xyz, size_m=0.1, range_m=50.0)

    def feature(name, rows):
        return voxels.features[voxels.voxel_of_point[rows], FEATURES.index(name)]

    ditch = np.flatnonzero((np.abs(plain[:, 1]) < 0.5) & (np.abs(plain[:, 0]) < 10))
    np.testing.assert_allclose(feature("height", ditch), 0, atol=0.01)
    np.testing.assert_allclose(feature("relief", ditch), -0.3 * 4, atol=0.05)
    np.testing.assert_allclose(feature("relief", [-1, -2]), 0, atol=0.05)
    np.testing.assert_allclose(feature("height", [-2, -1]), [0.2 / 2, 3.0 / 2], atol=0.01)
    np.testing.assert_allclose(feature("low height", [-2, -1]), [0.2 * 2, 0.5 * 2], atol=0.02)
