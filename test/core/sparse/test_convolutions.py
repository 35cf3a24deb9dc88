"""The torch engine against dense convolutions and finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clip2scene_core.errors import DataError
from clip2scene_core.sparse import InverseConv3d, SparseVoxels, StridedConv3d, SubmanifoldConv3d, VoxelGrid

ALL = ["submanifold", "strided", "inverse"]


def apply_sparse(kind: str, conv: nn.Module, features: Tensor, grid: VoxelGrid) -> SparseVoxels:
    """`grid` is the finer of the two grids that a strided or inverse convolution connects."""
    if kind == "inverse":
        return conv(SparseVoxels(features, grid.coarser), grid)
    return conv(SparseVoxels(features, grid))


def make_conv(kind: str, channels: int, out: int, *, bias: bool = False) -> nn.Module:
    torch.manual_seed(0)
    modules = {"submanifold": SubmanifoldConv3d, "strided": StridedConv3d, "inverse": InverseConv3d}
    conv = modules[kind](channels, out, bias=bias).double()
    if bias:
        nn.init.normal_(conv.bias)
    return conv


def apply_dense(kind: str, volume: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    edge = 3 if kind == "submanifold" else 2
    kernel = weight.unflatten(0, (edge, edge, edge))
    if kind == "submanifold":
        return F.conv3d(volume, kernel.permute(4, 3, 0, 1, 2), bias, padding=1)
    if kind == "strided":
        return F.conv3d(volume, kernel.permute(4, 3, 0, 1, 2), bias, stride=2)
    return F.conv_transpose3d(volume, kernel.permute(3, 4, 0, 1, 2), bias, stride=2)


def make_features(kind: str, grid: VoxelGrid, channels: int) -> Tensor:
    rows = len(grid.coarser) if kind == "inverse" else len(grid)
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, channels, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_values_and_gradients_equal_a_dense_convolution(kind, share, random_grid, dense, at_cells) -> None:
    grid = random_grid(seed=3, share=share)
    conv = make_conv(kind, 3, 5, bias=True)
    features = make_features(kind, grid, 3)
    out = apply_sparse(kind, conv, features, grid)

    before = grid.coarser if kind == "inverse" else grid
    volume = apply_dense(kind, dense(SparseVoxels(features, before)), conv.weight, conv.bias)
    expected = at_cells(volume, out.grid)
    torch.testing.assert_close(out.features, expected)

    upstream = torch.randn_like(expected)
    inputs = [features, conv.weight, conv.bias]
    got = torch.autograd.grad(out.features, inputs, upstream)
    torch.testing.assert_close(got, torch.autograd.grad(expected, inputs, upstream))


@pytest.mark.parametrize("kind", ALL)
def test_gradients_equal_finite_differences(kind, random_grid) -> None:
    grid = random_grid(seed=5, share=0.05)
    conv = make_conv(kind, 2, 3)

    def function(features: Tensor, weight: Tensor) -> Tensor:
        return getattr(conv.engine, kind)(features, grid, weight)

    assert torch.autograd.gradcheck(function, (make_features(kind, grid, 2), conv.weight))


@pytest.mark.parametrize("kind", ALL)
def test_only_the_gradient_that_is_wanted_is_computed(kind, random_grid) -> None:
    grid = random_grid()
    conv = make_conv(kind, 3, 4)
    features = make_features(kind, grid, 3)
    full = torch.autograd.grad(
        apply_sparse(kind, conv, features, grid).features.sum(), [features, conv.weight]
    )
    fixed = apply_sparse(kind, conv, features.detach(), grid).features.sum()
    torch.testing.assert_close(torch.autograd.grad(fixed, conv.weight)[0], full[1])
    conv.requires_grad_(False)
    frozen = apply_sparse(kind, conv, features, grid).features.sum()
    torch.testing.assert_close(torch.autograd.grad(frozen, features)[0], full[0])


def test_order_of_the_rows_does_not_matter(random_voxels) -> None:
    voxels = random_voxels(3)
    down, same, up = make_conv("strided", 3, 4), make_conv("submanifold", 4, 4), make_conv("inverse", 4, 2)

    def network(x: SparseVoxels) -> Tensor:
        return up(same(down(x)), x.grid).features

    order = torch.randperm(len(voxels.grid))
    shuffled = SparseVoxels.from_coordinates(voxels.features[order], voxels.coordinates[order])
    torch.testing.assert_close(network(shuffled), network(voxels)[order])


def test_scans_of_a_batch_do_not_mix(random_voxels) -> None:
    voxels = random_voxels(3)
    conv = make_conv("submanifold", 3, 4)
    second = voxels.coordinates[:, 0] == 1
    alone = SparseVoxels.from_coordinates(voxels.features[second], voxels.coordinates[second])
    torch.testing.assert_close(conv(alone).features, conv(voxels).features[second])


def test_moving_a_scan_by_whole_coarse_cells_changes_nothing(random_voxels) -> None:
    voxels = random_voxels(3)
    moved = SparseVoxels.from_coordinates(
        voxels.features, voxels.coordinates + torch.tensor([0, 100, -64, 2], dtype=torch.int32)
    )
    down, up = make_conv("strided", 3, 4), make_conv("inverse", 4, 2)
    torch.testing.assert_close(up(down(moved), moved.grid).features, up(down(voxels), voxels.grid).features)


def test_a_single_voxel_sees_only_the_centre() -> None:
    cell = torch.tensor([[0, -7, 3, -1]])
    conv = make_conv("submanifold", 3, 4)
    voxels = SparseVoxels.from_coordinates(torch.ones(1, 3, dtype=torch.float64), cell)
    torch.testing.assert_close(conv(voxels).features[0], conv.weight[13].sum(0))
    coarse = make_conv("strided", 3, 4)(voxels)
    assert coarse.coordinates.tolist() == [[0, -4, 1, -1]]


def test_no_voxels_give_no_voxels_and_no_gradient() -> None:
    empty = SparseVoxels.from_coordinates(
        torch.zeros(0, 3, dtype=torch.float64), torch.zeros(0, 4, dtype=torch.int32)
    )
    down, same, up = make_conv("strided", 3, 4), make_conv("submanifold", 4, 4), make_conv("inverse", 4, 2)
    out = up(same(down(empty)), empty.grid)
    assert out.features.shape == (0, 2)
    out.features.sum().backward()
    assert not down.weight.grad.any()


def test_the_way_back_needs_the_grid_it_came_from(random_voxels) -> None:
    coarse = make_conv("strided", 3, 4)(random_voxels(3))
    with pytest.raises(DataError, match="downsampled from"):
        make_conv("inverse", 4, 2)(coarse, random_voxels(3, seed=1).grid)


@pytest.mark.parametrize("kind", ALL)
def test_autocast_computes_in_bfloat16_and_sums_in_float32(kind, random_grid) -> None:
    grid = random_grid()
    conv = make_conv(kind, 16, 8).float()
    features = make_features(kind, grid, 16).detach().float().requires_grad_()
    exact = apply_sparse(kind, conv, features, grid).features
    with torch.autocast("cpu", torch.bfloat16):
        rough = apply_sparse(kind, conv, features, grid).features
    assert rough.dtype == torch.bfloat16
    assert (rough - exact).norm() < 0.01 * exact.norm()
    exact_gradients = torch.autograd.grad(exact.sum(), [features, conv.weight])
    rough_gradients = torch.autograd.grad(rough.float().sum(), [features, conv.weight])
    for got, expected in zip(rough_gradients, exact_gradients, strict=True):
        assert got.dtype == torch.float32
        assert (got - expected).norm() < 0.01 * expected.norm()
