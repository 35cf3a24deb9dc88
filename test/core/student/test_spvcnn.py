"""The student with a branch of points against a dense network, finite differences and its published size."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
import torch
from dense_unet import dense_down, dense_stem, dense_up, randomise_statistics
from finite_differences import assert_gradient_is_a_difference
from torch import Tensor, nn
from torch.nn import functional as F

from clip2scene_core.errors import DataError
from clip2scene_core.sparse import SparseVoxels, VoxelGrid, VoxelPoints, use_engine
from clip2scene_core.student import SPVCNN, MinkUNet

EDGE = 16


def small(norm: str = "batch", **kwargs) -> SPVCNN:
    torch.manual_seed(0)
    return SPVCNN(4, width=0.25, embedding_dim=8, norm=norm, **kwargs)


@pytest.fixture
def scattered(surface) -> Callable[..., SparseVoxels]:
    """Wavy surfaces with one to three points anywhere in each voxel."""

    def make(dtype: torch.dtype = torch.float64, **kwargs: int) -> SparseVoxels:
        voxels = surface(**kwargs)
        generator = torch.Generator().manual_seed(5)
        cells = voxels.coordinates.to(dtype).repeat_interleave(
            torch.randint(1, 4, (len(voxels.grid),), generator=generator), dim=0
        )
        cells[:, 1:] += torch.rand(len(cells), 3, generator=generator, dtype=dtype)
        return SparseVoxels(voxels.features.to(dtype), voxels.grid, VoxelPoints(cells, voxels.grid))

    return make


def of_rows(voxels: SparseVoxels, rows: Tensor, points: Tensor) -> SparseVoxels:
    """These voxels and points of it only, in this order."""
    grid = VoxelGrid(voxels.coordinates[rows])
    return SparseVoxels(voxels.features[rows], grid, VoxelPoints(voxels.points.coordinates[points], grid))


def dense_read(volume: Tensor, xyz: Tensor) -> Tensor:
    """(N, C) of a volume (1, C, X, Y, Z) at points (N, 3) in 0..EDGE, by PyTorch's own interpolation."""
    zyx = xyz.flip(1)[None, None, None] / EDGE * 2 - 1
    return F.grid_sample(volume, zyx, padding_mode="border", align_corners=False)[0, :, 0, 0].T


def dense_mean(features: Tensor, xyz: Tensor, edge: int) -> Tensor:
    """(1, C, edge, edge, edge) means of the points (N, 3) in 0..EDGE of each cell."""
    cell = (xyz / EDGE * edge).long()
    index = (cell[:, 0] * edge + cell[:, 1]) * edge + cell[:, 2]
    channels = [np.bincount(index, column) / np.bincount(index) for column in features.T.numpy()]
    return torch.from_numpy(np.stack(channels)).reshape(1, -1, edge, edge, edge)


def dense_layer(layer: nn.Module, features: Tensor) -> Tensor:
    norm = layer.norm
    features = features @ layer.linear.weight.T
    return F.relu(F.batch_norm(features, norm.running_mean, norm.running_var, norm.weight, norm.bias))


def dense_network(model: SPVCNN, volume: Tensor, xyz: Tensor) -> Tensor:
    """As the paper draws it: four meetings of voxels and points."""
    first = dense_stem(model, volume)
    points = dense_read(first, xyz)
    down = [dense_mean(points, xyz, 16)]
    for stage in model.down:
        down.append(dense_down(stage, down[-1]))
    points = dense_layer(model.point_layers[0], points) + dense_read(down[4], xyz)
    up = dense_up(model.up[0], dense_mean(points, xyz, 1), down[3])
    up = dense_up(model.up[1], up, down[2])
    points = dense_layer(model.point_layers[1], points) + dense_read(up, xyz)
    up = dense_up(model.up[2], dense_mean(points, xyz, 4), down[1])
    up = dense_up(model.up[3], up, first)
    return dense_layer(model.point_layers[2], points) + dense_read(up, xyz)


def test_on_a_full_grid_it_is_the_dense_network() -> None:
    model = small(variant=14).double().eval()
    randomise_statistics(model)
    cells = torch.cartesian_prod(*[torch.arange(EDGE)] * 3)
    features = torch.randn(len(cells), 4, dtype=torch.float64)
    xyz = torch.cat([cells, cells[::7]]) + torch.rand(len(cells) + len(cells[::7]), 3, dtype=torch.float64)
    grid = VoxelGrid(F.pad(cells, (1, 0)))
    with torch.no_grad():
        got = model.backbone(SparseVoxels(features, grid, VoxelPoints(F.pad(xyz, (1, 0)), grid)))
        volume = features.view(1, EDGE, EDGE, EDGE, 4).permute(0, 4, 1, 2, 3)
        expected = dense_network(model, volume, xyz)
    torch.testing.assert_close(got, expected)


def test_full_size_is_the_published_one() -> None:
    """21.8 million with 19 classes instead of heads, as its authors say; a MinkUNet and three layers."""
    sizes = [sum(p.numel() for p in make(4).parameters()) for make in (SPVCNN, MinkUNet)]
    heads, classifier = 2 * (96 + 1) * 512, (96 + 1) * 19
    assert sizes[0] - heads + classifier == pytest.approx(21.8e6, abs=0.05e6)
    assert sizes[0] - sizes[1] == 32 * 256 + 256 * 128 + 128 * 96 + 2 * (256 + 128 + 96)


def test_the_voxels_have_the_weights_of_a_minkunet() -> None:
    model, plain = small(variant="14A"), MinkUNet(4, variant="14A", width=0.25, embedding_dim=8)
    missing = model.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all(name.startswith("point_layers.") for name in missing.missing_keys)


@pytest.mark.parametrize("norm", ["batch", "scan"])
def test_order_of_points_and_voxels_does_not_matter(norm, scattered) -> None:
    model = small(norm).double().eval()
    voxels = scattered()
    rows, points = torch.randperm(len(voxels.grid)), torch.randperm(len(voxels.points))
    with torch.no_grad():
        straight, shuffled = model(voxels), model(of_rows(voxels, rows, points))
    assert straight.semantic.shape == straight.temporal.shape == (len(voxels.points), 8)
    torch.testing.assert_close(shuffled.semantic, straight.semantic[points])
    torch.testing.assert_close(shuffled.temporal, straight.temporal[points])


def test_points_of_one_voxel_differ(scattered) -> None:
    model, voxels = small().double().eval(), scattered()
    with torch.no_grad():
        answer = model(voxels).semantic
    first, second = answer[1:], answer[:-1]
    same_voxel = voxels.points.row[1:] == voxels.points.row[:-1]
    assert same_voxel.sum() > 100
    assert ((first - second).abs().amax(1) > 1e-6)[same_voxel].all()


def test_scans_of_a_batch_do_not_mix_even_in_training(scattered) -> None:
    model = small("scan", dropout=0.0).double().train()
    voxels = scattered()
    rows, points = voxels.grid.batch == 1, voxels.points.batch == 1
    together = model(voxels).semantic[points]
    torch.testing.assert_close(model(of_rows(voxels, rows, points)).semantic, together)


def test_dropout_is_for_training_only(scattered) -> None:
    voxels, model = scattered(), small("scan").double()
    with torch.no_grad():
        one, other = (model.train()(voxels).semantic for _ in range(2))
        assert not one.equal(other)
        torch.manual_seed(3)
        again = model(voxels).semantic
        torch.manual_seed(3)
        assert again.equal(model(voxels).semantic)
        expected = small("scan", dropout=0.0).double()(voxels).semantic
        torch.testing.assert_close(model.eval()(voxels).semantic, expected)


def test_gradient_of_every_parameter_equals_a_finite_difference(scattered) -> None:
    model = small("scan", variant=14, dropout=0.0).double()
    voxels = scattered(edge=12)
    assert_gradient_is_a_difference(model, voxels, len(voxels.points))


@pytest.mark.skipif(importlib.util.find_spec("spconv") is None, reason="spconv is not installed")
@pytest.mark.parametrize("norm", ["batch", "scan"])
def test_engines_agree_with_the_same_state_dict(norm, scattered) -> None:
    voxels = scattered(torch.float32)
    reference, model = small(norm).eval(), small(norm, engine="spconv").eval()
    randomise_statistics(reference)
    model.load_state_dict(reference.state_dict())
    with torch.no_grad():
        expected = reference(voxels).semantic
        torch.testing.assert_close(model(voxels).semantic, expected, rtol=1e-3, atol=1e-4)
        use_engine(model, "torch")
        assert model(voxels).semantic.equal(expected)


def test_bfloat16_stays_close(scattered) -> None:
    model, voxels = small().eval(), scattered(torch.float32)
    with torch.no_grad():
        exact = model(voxels).semantic
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(voxels).semantic.float()
    assert (rough - exact).norm() < 0.05 * exact.norm()


def test_an_empty_scan_gives_no_rows() -> None:
    grid = VoxelGrid(torch.zeros(0, 4, dtype=torch.int32))
    empty = SparseVoxels(torch.zeros(0, 4), grid, VoxelPoints(torch.zeros(0, 4), grid))
    for norm in ("batch", "scan"):
        output = small(norm).eval()(empty)
        assert output.semantic.shape == output.temporal.shape == (0, 8)


def test_voxels_without_their_points_are_refused(surface) -> None:
    with pytest.raises(DataError, match="SPVCNN needs the points that its voxels were made of"):
        small()(surface())
