"""Points among voxels against loops over a dictionary of cells, grid_sample and finite differences."""

from __future__ import annotations

from itertools import product
from math import floor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from clip2scene_core.errors import DataError
from clip2scene_core.sparse import SparseVoxels, VoxelGrid, VoxelPoints, point_to_voxel, voxel_to_point

EDGE = 6


def random_points(grid: VoxelGrid, count: int = 200, seed: int = 1) -> VoxelPoints:
    """Anywhere in and around the cells of two scans, in the units of the grid."""
    generator = torch.Generator().manual_seed(seed)
    half = 5.0 / 2**grid.level
    xyz = torch.empty(count, 3, dtype=torch.float64).uniform_(-half, half, generator=generator)
    batch = torch.randint(0, 2, (count, 1), generator=generator)
    return VoxelPoints(torch.cat([batch, xyz], dim=1), grid)


def slow_trilinear(features: Tensor, points: VoxelPoints) -> Tensor:
    """Of every neighbour that is there, its share of the volume of the cell around the point."""
    row = {tuple(cell): index for index, cell in enumerate(points.grid.coordinates.tolist())}
    out = torch.zeros(len(points), features.shape[1], dtype=features.dtype)
    for number, (batch, *xyz) in enumerate(points.coordinates.tolist()):
        lowest = [floor(value - 0.5) for value in xyz]
        total = 0.0
        for corner in product((0, 1), repeat=3):
            cell = (int(batch), *(low + step for low, step in zip(lowest, corner, strict=True)))
            weight = 1.0
            for value, index in zip(xyz, cell[1:], strict=True):
                weight *= 1 - abs(value - (index + 0.5))
            if cell in row:
                out[number] += weight * features[row[cell]]
                total += weight
        out[number] /= total if total else 1.0
    return out


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("share", [0.03, 0.3])
def test_points_read_the_occupied_cells_around_them(level, share, random_grid) -> None:
    grid = random_grid(share=share)
    for _ in range(level):
        grid = grid.coarser
    features = torch.randn(len(grid), 3, dtype=torch.float64)
    points = random_points(grid)
    expected = slow_trilinear(features, points)
    torch.testing.assert_close(voxel_to_point(features, points), expected)
    if share < 0.1 and not level:
        assert (expected == 0).all(dim=1).any(), "some points have no neighbour, and read zeros"


def full_grid(shuffle: bool = True) -> VoxelGrid:
    cells = torch.cartesian_prod(torch.arange(2), *[torch.arange(-EDGE // 2, EDGE // 2)] * 3)
    return VoxelGrid(cells[torch.randperm(len(cells))] if shuffle else cells)


def test_in_a_full_grid_it_is_grid_sample() -> None:
    grid = full_grid(shuffle=False)
    features = torch.randn(len(grid), 4, dtype=torch.float64)
    points = random_points(grid)
    volume = features.view(2, EDGE, EDGE, EDGE, 4).permute(0, 4, 1, 2, 3)
    zyx = points.coordinates[:, 1:].flip(1) / (EDGE / 2)  # grid_sample names the last axis first, in -1..1
    both = F.grid_sample(
        volume, zyx.expand(2, 1, 1, -1, 3), mode="bilinear", padding_mode="border", align_corners=False
    )
    inside = (points.coordinates[:, 1:].abs() < EDGE / 2).all(dim=1)
    expected = both[points.batch, :, 0, 0, torch.arange(len(points))]
    torch.testing.assert_close(voxel_to_point(features, points)[inside], expected[inside])


@pytest.mark.parametrize("level", [0, 2])
def test_a_constant_is_read_as_it_is(level, random_grid) -> None:
    """Wherever a neighbour is, however few there are."""
    grid = random_grid()
    for _ in range(level):
        grid = grid.coarser
    read = voxel_to_point(torch.full((len(grid), 1), 7.0), points := random_points(grid))
    own = points.row >= 0
    torch.testing.assert_close(read[own], torch.full_like(read[own], 7.0))


def test_what_is_linear_in_space_is_read_exactly() -> None:
    grid = full_grid()
    centres = grid.coordinates[:, 1:] + 0.5
    slope = torch.tensor([[2.0, -3.0, 0.5]], dtype=torch.float64).T
    points = random_points(grid)
    inner = (points.coordinates[:, 1:].abs() < EDGE / 2 - 0.5).all(dim=1)
    expected = points.coordinates[:, 1:] @ slope
    torch.testing.assert_close(voxel_to_point(centres.double() @ slope, points)[inner], expected[inner])
    assert inner.sum() > 20


def test_the_nearest_voxel_is_the_one_a_point_lies_in(random_grid) -> None:
    grid = random_grid()
    features, points = torch.randn(len(grid), 2), random_points(grid)
    row = {tuple(cell): index for index, cell in enumerate(grid.coordinates.tolist())}
    read = voxel_to_point(features, points, nearest=True)
    for got, (batch, *xyz) in zip(read, points.coordinates.tolist(), strict=True):
        own = row.get((int(batch), *map(floor, xyz)))
        assert got.equal(torch.zeros(2) if own is None else features[own])


EDGES = st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0, float(np.nextafter(np.float32(1), np.float32(0)))])
FAR = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)  # 1e-45 of a voxel cannot be halved


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[EDGES | FAR] * 3), min_size=1, max_size=20))
def test_points_that_made_the_voxels_always_have_their_own(xyz: list[tuple[float, ...]]) -> None:
    """At every resolution, and with an eighth of the weight at least."""
    coordinates = torch.tensor([(0.0, *point) for point in xyz])
    points = VoxelPoints(coordinates, VoxelGrid(coordinates.floor().int().unique(dim=0)))
    for _ in range(5):
        assert (points.row >= 0).all()
        own = (points.trilinear.weights * (points.trilinear.rows == points.row[:, None])).sum(1)
        assert (own >= 0.125 - 1e-6).all()
        torch.testing.assert_close(points.trilinear.weights.sum(1), torch.ones(len(points)))
        points = points.coarser


def test_voxels_get_the_mean_of_their_points(random_grid) -> None:
    grid = random_grid()
    points = random_points(grid, count=600)
    features = torch.randn(len(points), 3, dtype=torch.float64)
    cells = [(int(batch), *map(floor, xyz)) for batch, *xyz in points.coordinates.tolist()]
    for got, cell in zip(point_to_voxel(features, points), grid.coordinates.tolist(), strict=True):
        mine = [row for row, own in enumerate(cells) if own == tuple(cell)]
        torch.testing.assert_close(got, features[mine].mean(0) if mine else torch.zeros(3).double())


@pytest.mark.parametrize("nearest", [False, True])
def test_gradients_equal_finite_differences(nearest, random_grid) -> None:
    grid = random_grid(share=0.2)
    points = random_points(grid, count=30)
    voxel = torch.randn(len(grid), 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: voxel_to_point(x, points, nearest=nearest), voxel)
    point = torch.randn(30, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: point_to_voxel(x, points), point)


def test_coarser_points_are_the_same_points(random_grid) -> None:
    grid = random_grid()
    points = random_points(grid)
    coarse = points.coarser.coarser
    assert coarse.grid is grid.coarser.coarser
    torch.testing.assert_close(coarse.coordinates[:, 1:] * 4, points.coordinates[:, 1:])
    assert coarse.batch.equal(points.batch)


def test_tables_are_made_once(random_grid) -> None:
    points = random_points(random_grid())
    assert points.coarser is points.coarser
    assert points.trilinear is points.trilinear
    assert points.row is points.row


def test_points_without_voxels_and_voxels_without_points(random_grid) -> None:
    nowhere = VoxelGrid(torch.zeros(0, 4, dtype=torch.int32))
    points = VoxelPoints(torch.zeros(5, 4), nowhere)
    assert voxel_to_point(torch.zeros(0, 3), points).equal(torch.zeros(5, 3))
    assert point_to_voxel(torch.ones(5, 3), points).shape == (0, 3)
    grid = random_grid()
    none = VoxelPoints(torch.zeros(0, 4), grid)
    assert voxel_to_point(torch.ones(len(grid), 3), none).shape == (0, 3)
    assert point_to_voxel(torch.ones(0, 3), none).equal(torch.zeros(len(grid), 3))


def test_voxels_take_their_points_to_another_device_and_through_layers(random_grid) -> None:
    grid = random_grid()
    voxels = SparseVoxels(torch.zeros(len(grid), 2), grid, points := random_points(grid))
    assert voxels.with_features(torch.ones(len(grid), 3)).points is points
    elsewhere = voxels.to("cpu:0")  # to PyTorch this is another device than "cpu", so that a copy is made
    assert elsewhere.points.grid is elsewhere.grid is not grid
    assert elsewhere.points.coordinates.equal(points.coordinates)


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        (torch.zeros(3, 3), r"floats of shape \(N, 4\).*got torch.float32 \(3, 3\)"),
        (torch.zeros(3, 4, dtype=torch.int32), "must be floats.*torch.int32"),
        (torch.tensor([[0, 0, torch.nan, 0]]), "must lie within.*nan"),
        (torch.tensor([[0, 0, 1e9, 0]]), "must lie within"),
        (torch.tensor([[-1.0, 0, 0, 0]]), "batch indices must lie in 0.."),
    ],
)
def test_impossible_points_are_refused(coordinates: Tensor, message: str, random_grid) -> None:
    with pytest.raises(DataError, match=message):
        VoxelPoints(coordinates, random_grid())


def test_points_of_another_grid_are_refused(random_grid) -> None:
    grid, other = random_grid(), random_grid(seed=1)
    with pytest.raises(DataError, match="among the voxels of its grid"):
        SparseVoxels(torch.zeros(len(grid), 1), grid, random_points(other))
