"""The student against a dense U-Net with the same weights, finite differences and its published size."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clip2scene_core.errors import ConfigError
from clip2scene_core.sparse import InverseConv3d, SparseVoxels, StridedConv3d, SubmanifoldConv3d, use_engine
from clip2scene_core.student import INDOOR_PLANES, MinkUNet
from clip2scene_core.student.minkunet import ConvNorm, ResidualBlock, scaled_channels


def small(norm: str = "batch", **kwargs) -> MinkUNet:
    torch.manual_seed(0)
    return MinkUNet(4, width=0.25, embedding_dim=8, norm=norm, **kwargs)


def randomise_statistics(model: nn.Module) -> None:
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d):
            for tensor in (part.running_mean, part.running_var, part.weight, part.bias):
                nn.init.uniform_(tensor, 0.5, 1.5)


def dense_convolution(conv: nn.Module, volume: Tensor) -> Tensor:
    """What a convolution does where every cell is occupied."""
    if isinstance(conv, SubmanifoldConv3d):
        return F.conv3d(volume, conv.weight.unflatten(0, (3, 3, 3)).permute(4, 3, 0, 1, 2), padding=1)
    if isinstance(conv, StridedConv3d):
        return F.conv3d(volume, conv.weight.unflatten(0, (2, 2, 2)).permute(4, 3, 0, 1, 2), stride=2)
    if isinstance(conv, InverseConv3d):
        kernel = conv.weight.unflatten(0, (2, 2, 2)).permute(3, 4, 0, 1, 2)
        return F.conv_transpose3d(volume, kernel, stride=2)
    return F.conv3d(volume, conv.weight[:, :, None, None, None])


def dense_step(step: ConvNorm, volume: Tensor) -> Tensor:
    norm = step.norm
    volume = dense_convolution(step.conv, volume)
    volume = F.batch_norm(volume, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    return F.relu(volume) if step.relu else volume


def dense_block(block: ResidualBlock, volume: Tensor) -> Tensor:
    shortcut = volume if isinstance(block.shortcut, nn.Identity) else dense_step(block.shortcut, volume)
    return F.relu(dense_step(block.second, dense_step(block.first, volume)) + shortcut)


def dense_network(model: MinkUNet, volume: Tensor) -> Tensor:
    for step in model.stem:
        volume = dense_step(step, volume)
    skips = []
    for stage in model.down:
        skips.append(volume)
        volume = dense_step(stage.conv, volume)
        for block in stage.blocks:
            volume = dense_block(block, volume)
    for stage in model.up:
        volume = torch.cat([dense_step(stage.conv, volume), skips.pop()], dim=1)
        for block in stage.blocks:
            volume = dense_block(block, volume)
    return volume


def test_on_a_full_grid_it_is_a_dense_u_net() -> None:
    model = small(variant=14).double().eval()
    randomise_statistics(model)
    cells = torch.cartesian_prod(torch.arange(2), *[torch.arange(-16, 0)] * 3)
    features = torch.randn(len(cells), 4, dtype=torch.float64)
    with torch.no_grad():
        got = model.backbone(SparseVoxels.from_coordinates(features, cells)).features
        volume = features.view(2, 16, 16, 16, 4).permute(0, 4, 1, 2, 3)
        expected = dense_network(model, volume).permute(0, 2, 3, 4, 1).reshape(len(cells), -1)
    torch.testing.assert_close(got, expected)


def test_full_size_is_the_published_one() -> None:
    parameters = sum(p.numel() for p in MinkUNet(4, embedding_dim=512).parameters())
    assert parameters == pytest.approx(21.8e6, rel=2e-3)


@pytest.mark.parametrize(
    ("variant", "blocks"), [(14, [1] * 8), (18, [2] * 8), (34, [2, 3, 4, 6, 2, 2, 2, 2])]
)
def test_variants_differ_in_residual_blocks(variant: int, blocks: list[int]) -> None:
    model = small(variant=variant)
    assert [len(stage.blocks) for stage in [*model.down, *model.up]] == blocks


def test_width_scales_every_plane_to_multiples_of_eight() -> None:
    model = small(planes=INDOOR_PLANES)
    widths = [stage.blocks[0].first.conv.weight.shape[2] for stage in [*model.down, *model.up]]
    assert widths == [8, 16, 32, 64, 32, 32, 24, 24]
    assert [scaled_channels(plane, 0.3) for plane in (8, 96, 100)] == [8, 32, 32]


@pytest.mark.parametrize("norm", ["batch", "scan"])
def test_order_of_the_rows_does_not_matter(norm, surface) -> None:
    model = small(norm).double().eval()
    voxels = surface()
    features, order = voxels.features.double(), torch.randperm(len(voxels.grid))
    with torch.no_grad():
        straight = model(SparseVoxels.from_coordinates(features, voxels.coordinates))
        shuffled = model(SparseVoxels.from_coordinates(features[order], voxels.coordinates[order]))
    torch.testing.assert_close(shuffled.semantic, straight.semantic[order])
    torch.testing.assert_close(shuffled.temporal, straight.temporal[order])


def test_scans_of_a_batch_do_not_mix_even_in_training(surface) -> None:
    model = small("scan").double().train()
    voxels = surface()
    features, second = voxels.features.double(), voxels.coordinates[:, 0] == 1
    together = model(SparseVoxels.from_coordinates(features, voxels.coordinates)).semantic[second]
    alone = model(SparseVoxels.from_coordinates(features[second], voxels.coordinates[second])).semantic
    torch.testing.assert_close(alone, together)


def test_gradient_of_every_parameter_equals_a_finite_difference(surface) -> None:
    """Along a random direction of all parameters at once."""
    model = small("scan", variant=14).double()
    voxels = surface(edge=12)
    voxels = voxels.with_features(voxels.features.double())
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(len(voxels.grid), 8, generator=generator, dtype=torch.float64)
    parameters = list(model.parameters())
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]

    def loss(step: float) -> Tensor:
        with torch.no_grad():
            for parameter, way in zip(parameters, direction, strict=True):
                parameter += step * way
        output = model(voxels)
        return (output.semantic * target).mean() + (output.temporal * target).square().mean()

    gradients = torch.autograd.grad(loss(0.0), parameters)
    expected = sum((g * way).sum() for g, way in zip(gradients, direction, strict=True))
    step = 1e-7
    with torch.no_grad():
        ahead, behind = loss(step), loss(-2 * step)
    torch.testing.assert_close((ahead - behind) / (2 * step), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("spconv") is None, reason="spconv is not installed")
@pytest.mark.parametrize("norm", ["batch", "scan"])
def test_engines_agree_with_the_same_state_dict(norm, surface) -> None:
    voxels = surface()
    reference, model = small(norm).eval(), small(norm, engine="spconv").eval()
    randomise_statistics(reference)
    assert list(model.state_dict()) == list(reference.state_dict())
    model.load_state_dict(reference.state_dict())
    with torch.no_grad():
        expected = reference(voxels).semantic
        torch.testing.assert_close(model(voxels).semantic, expected, rtol=1e-3, atol=1e-4)
        use_engine(model, "torch")
        assert model(voxels).semantic.equal(expected)


def test_an_empty_scan_gives_no_rows() -> None:
    empty = SparseVoxels.from_coordinates(torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.int32))
    for norm in ("batch", "scan"):
        output = small(norm).eval()(empty)
        assert output.semantic.shape == output.temporal.shape == (0, 8)


def test_the_temporal_head_can_be_left_out(surface) -> None:
    model = small().eval()
    voxels = surface()
    output = model(voxels, temporal=False)
    assert output.temporal is None
    torch.testing.assert_close(output.semantic, model(voxels).semantic)


def test_bfloat16_stays_close(surface) -> None:
    model = small().eval()
    voxels = surface()
    with torch.no_grad():
        exact = model(voxels).semantic
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(voxels).semantic.float()
    assert (rough - exact).norm() < 0.05 * exact.norm()


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"variant 50; expected one of \[14, 18, 34\]"):
        small(variant=50)
    with pytest.raises(ConfigError, match=r"9 planes .* got 8"):
        small(planes=INDOOR_PLANES[1:])
    with pytest.raises(ConfigError, match=r"unknown norm 'group'"):
        small("group")
