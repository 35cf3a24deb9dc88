"""Normalisation against PyTorch's own and statistics computed in the test."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from clip2scene_core.errors import ConfigError
from clip2scene_core.sparse import SparseVoxels
from clip2scene_core.student import use_scan_statistics
from clip2scene_core.student.norm import BatchNorm, ScanNorm, make_norm


@pytest.fixture
def mixed() -> SparseVoxels:
    """Two scans of different statistics, their rows mixed."""
    generator = torch.Generator().manual_seed(0)
    batch = torch.tensor([1, 0, 1, 1, 0, 1, 0, 1])
    cells = torch.stack([batch, torch.arange(8), torch.zeros(8), torch.zeros(8)], dim=1).int()
    features = torch.randn(8, 3, generator=generator) * (1 + batch[:, None]) + 50 * batch[:, None]
    return SparseVoxels.from_coordinates(features, cells)


def randomise(norm: nn.Module) -> None:
    torch.manual_seed(1)
    for tensor in norm.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 2.0)


@pytest.mark.parametrize("training", [True, False])
def test_scan_norm_is_instance_norm_of_each_scan(mixed, training) -> None:
    norm = ScanNorm(3).train(training)
    randomise(norm)
    got = norm(mixed.features, mixed.grid)
    for scan in (0, 1):
        rows = mixed.coordinates[:, 0] == scan
        expected = F.instance_norm(mixed.features[rows].T[None], weight=norm.weight, bias=norm.bias)[0].T
        torch.testing.assert_close(got[rows], expected)


def test_scan_norm_of_one_voxel_is_its_bias() -> None:
    norm = ScanNorm(3)
    randomise(norm)
    voxel = SparseVoxels.from_coordinates(torch.randn(1, 3), torch.zeros(1, 4, dtype=torch.int32))
    torch.testing.assert_close(norm(voxel.features, voxel.grid), norm.bias[None])


def test_scan_norm_keeps_no_statistics() -> None:
    assert set(ScanNorm(3).state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_batch_norm_mixes_in_the_statistics_of_each_scan(mixed, share) -> None:
    norm = BatchNorm(3).eval()
    randomise(norm)
    use_scan_statistics(norm, share)
    got = norm(mixed.features, mixed.grid)
    for scan in (0, 1):
        rows = mixed.coordinates[:, 0] == scan
        features = mixed.features[rows]
        mean = (1 - share) * norm.running_mean + share * features.mean(0)
        variance = (1 - share) * norm.running_var + share * features.var(0, unbiased=False)
        expected = (features - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias
        torch.testing.assert_close(got[rows], expected)


def test_batch_norm_learns_from_one_row_with_the_statistics_it_has() -> None:
    norm = BatchNorm(3)
    randomise(norm)
    norm.eps = 0.0
    before, row = {name: t.clone() for name, t in norm.state_dict().items()}, torch.tensor([[1.0, 2, 3]])
    got = norm(row, SparseVoxels.from_coordinates(row, torch.zeros(1, 4).int()).grid)
    assert norm.running_mean is not None and norm.running_var is not None
    expected = (row - norm.running_mean) / norm.running_var.sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(got, expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in norm.state_dict().items())


def test_scan_statistics_do_not_change_training(mixed) -> None:
    norm, reference = BatchNorm(3), nn.BatchNorm1d(3)
    use_scan_statistics(norm, 0.5)
    torch.testing.assert_close(norm(mixed.features, mixed.grid), reference(mixed.features))
    torch.testing.assert_close(norm.running_var, reference.running_var)


@pytest.mark.parametrize("name", ["batch", "scan"])
def test_no_voxels_stay_no_voxels(name) -> None:
    empty = SparseVoxels.from_coordinates(torch.zeros(0, 3), torch.zeros(0, 4, dtype=torch.int32))
    assert make_norm(name, 3).eval()(empty.features, empty.grid).shape == (0, 3)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown norm 'layer'; expected one of batch, scan"):
        make_norm("layer", 3)
    with pytest.raises(ConfigError, match=r"lie in 0..1, got 1.5"):
        use_scan_statistics(BatchNorm(3), 1.5)
