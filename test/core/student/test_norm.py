"""Normalisation against PyTorch's own and statistics computed in the test."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.sparse import SparseVoxels
from clip2scene_core.student import use_scan_statistics
from clip2scene_core.student.norm import BatchNorm, ScanNorm, make_norm, recalibration


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


def scans(*counts: int) -> list[torch.Tensor]:
    """Of so many rows each, far from zero and unlike each other: float32 sums of squares would be wrong."""
    generator = torch.Generator().manual_seed(2)
    return [1000.0 + 10 * i + (1 + i) * torch.randn(n, 3, generator=generator) for i, n in enumerate(counts)]


def test_pooled_statistics_are_those_of_one_big_batch() -> None:
    """PyTorch's own, in float64, over all scans at once; long and short ones, and one without points."""
    norm, given = BatchNorm(3).eval(), scans(700, 1, 30, 0, 5000)
    with recalibration(norm, 1.0):
        for scan in given:
            norm(scan, rows_of(len(scan)))
    reference = nn.BatchNorm1d(3, momentum=1.0).double().train()
    reference(torch.cat(given).double())
    torch.testing.assert_close(norm.running_mean.double(), reference.running_mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(norm.running_var.double(), reference.running_var, rtol=1e-6, atol=0)
    assert norm.running_mean.dtype == torch.float32


def rows_of(count: int):
    cells = torch.stack([torch.zeros(count), torch.arange(count), *torch.zeros(2, count)], dim=1).int()
    return SparseVoxels.from_coordinates(torch.zeros(count, 1), cells).grid


def test_the_order_of_scans_and_their_division_do_not_matter() -> None:
    found, given = [], scans(40, 3, 200)
    for batches in (given, given[::-1], list(torch.cat(given).split(50))):
        norm = BatchNorm(3).eval()
        with recalibration(norm, 0.3):
            for scan in batches:
                norm(scan, rows_of(len(scan)))
        found.append(norm)
    for norm in found[1:]:
        torch.testing.assert_close(norm.running_mean, found[0].running_mean, rtol=1e-6, atol=0)
        torch.testing.assert_close(norm.running_var, found[0].running_var, rtol=1e-6, atol=0)


def test_the_share_mixes_and_all_else_stays() -> None:
    norm = BatchNorm(3).eval()
    randomise(norm)
    norm.scan_share = 0.25
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    (scan,) = scans(50)
    with recalibration(norm, 0.4):
        norm(scan, rows_of(50))
    torch.testing.assert_close(norm.running_mean, 0.6 * before["running_mean"] + 0.4 * scan.mean(dim=0))
    torch.testing.assert_close(norm.running_var, 0.6 * before["running_var"] + 0.4 * scan.var(dim=0))
    for name in ("weight", "bias", "num_batches_tracked"):
        assert torch.equal(norm.state_dict()[name], before[name])
    assert (norm.scan_share, norm.training, list(norm._forward_pre_hooks)) == (0.25, False, [])


def test_a_layer_is_told_of_what_the_recalibrated_ones_before_it_give() -> None:
    """Two norms one after the other: the second one of unit variance, as the first will make it."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = BatchNorm(3), BatchNorm(3)

        def forward(self, features, rows):
            return self.second(self.first(features, rows), rows)

    two, (scan,) = Two().eval(), scans(500)
    with recalibration(two, 1.0):
        two(scan, rows_of(500))
    once = two.first(scan, rows_of(500)).detach()
    torch.testing.assert_close(two.second.running_mean, once.mean(dim=0), rtol=0, atol=1e-3)
    torch.testing.assert_close(two.second.running_var, once.var(dim=0), rtol=1e-2, atol=0)


def test_an_error_changes_nothing() -> None:
    norm = BatchNorm(3).eval()
    (scan,) = scans(50)
    with pytest.raises(KeyboardInterrupt), recalibration(norm, 0.5):
        norm(scan, rows_of(50))
        raise KeyboardInterrupt
    assert torch.equal(norm.running_mean, torch.zeros(3)) and torch.equal(norm.running_var, torch.ones(3))
    assert norm.scan_share == 0.0


def test_what_cannot_be_recalibrated() -> None:
    with pytest.raises(ConfigError, match="no running statistics to adapt: it has no batch norm"):
        recalibration(nn.Sequential(ScanNorm(3)), 0.5).__enter__()
    with pytest.raises(ConfigError, match=r"must lie in 0\.\.1, got 1\.5"):
        recalibration(BatchNorm(3), 1.5).__enter__()
    with pytest.raises(DataError, match="no scan has a point"), recalibration(BatchNorm(3), 0.5):
        pass
