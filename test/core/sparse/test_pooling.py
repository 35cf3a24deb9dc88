"""Pooling against dense pooling over the occupied cells and finite differences."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from clip2scene_core.sparse import (
    SparseVoxels,
    average_pool,
    global_average_pool,
    global_max_pool,
    max_pool,
)

TO_COARSER = {"max": max_pool, "average": average_pool}
TO_SCANS = {"max": partial(global_max_pool, scans=2), "average": partial(global_average_pool, scans=2)}


def dense_pool(kind: str, voxels: SparseVoxels, dense) -> Tensor:
    """What PyTorch makes of the dense volume: empty cells never win, and count for nothing."""
    volume, occupied = dense(voxels), dense(voxels.with_features(torch.ones_like(voxels.features)))
    if kind == "max":
        return F.max_pool3d(torch.where(occupied > 0, volume, -torch.inf), 2)
    return F.avg_pool3d(volume, 2) / F.avg_pool3d(occupied, 2)


@pytest.mark.parametrize("kind", TO_COARSER)
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_values_and_gradients_equal_dense_pooling(kind, share, random_voxels, dense, at_cells) -> None:
    voxels = random_voxels(3, share=share)
    features = voxels.features.requires_grad_()
    pooled = TO_COARSER[kind](voxels)
    assert pooled.grid is voxels.grid.coarser
    expected = at_cells(dense_pool(kind, voxels, dense), pooled.grid)
    torch.testing.assert_close(pooled.features, expected)
    upstream = torch.randn_like(expected)
    got = torch.autograd.grad(pooled.features, features, upstream)
    torch.testing.assert_close(got, torch.autograd.grad(expected, features, upstream))


@pytest.mark.parametrize("kind", TO_SCANS)
def test_a_scan_is_pooled_over_its_own_voxels(kind, random_voxels) -> None:
    voxels = random_voxels(3)
    one = {"max": lambda rows: rows.amax(0), "average": lambda rows: rows.mean(0)}[kind]
    expected = torch.stack([one(voxels.features[voxels.grid.batch == scan]) for scan in (0, 1)])
    torch.testing.assert_close(TO_SCANS[kind](voxels), expected)


@pytest.mark.parametrize("pool", [*TO_COARSER.values(), *TO_SCANS.values()])
def test_gradients_equal_finite_differences(pool, random_voxels) -> None:
    voxels = random_voxels(2, share=0.1)

    def function(features: Tensor) -> Tensor:
        pooled = pool(voxels.with_features(features))
        return pooled if isinstance(pooled, Tensor) else pooled.features

    assert torch.autograd.gradcheck(function, voxels.features.requires_grad_())


@pytest.mark.parametrize("pool", [global_max_pool, global_average_pool])
def test_a_scan_without_voxels_is_zeros(pool, random_voxels) -> None:
    voxels = random_voxels(3)
    pooled = pool(voxels.with_features(voxels.features - 100), scans=3)
    assert pooled.shape == (3, 3)
    assert (pooled[:2] < 0).all() and not pooled[2].any()


def test_bfloat16_is_summed_in_float32() -> None:
    """A sum of ones in bfloat16 stops at 256."""
    cells = torch.cartesian_prod(torch.arange(1), *[torch.arange(10)] * 3)
    voxels = SparseVoxels.from_coordinates(torch.ones(1000, 1, dtype=torch.bfloat16), cells)
    pooled = global_average_pool(voxels, scans=1)
    assert pooled.dtype == torch.bfloat16
    assert pooled.item() == 1.0


def test_no_voxels_stay_no_voxels() -> None:
    empty = SparseVoxels.from_coordinates(torch.zeros(0, 3), torch.zeros(0, 4, dtype=torch.int32))
    for pool in TO_COARSER.values():
        assert pool(empty).features.shape == (0, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", TO_COARSER)
def test_a_gpu_agrees_with_the_cpu(kind, random_voxels) -> None:
    voxels = random_voxels(3)
    on_gpu = voxels.to("cuda")
    coarser, scans = TO_COARSER[kind], TO_SCANS[kind]
    torch.testing.assert_close(coarser(on_gpu).features.cpu(), coarser(voxels).features)
    torch.testing.assert_close(scans(on_gpu).cpu(), scans(voxels))
