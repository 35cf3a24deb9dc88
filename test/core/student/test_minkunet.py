"""The student against a dense U-Net with the same weights, finite differences and its published size."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from dense_unet import dense_down, dense_stem, dense_up, randomise_statistics
from finite_differences import assert_gradient_is_a_difference
from torch import Tensor

from clip2scene_core.errors import ConfigError
from clip2scene_core.sparse import SparseVoxels, use_engine
from clip2scene_core.student import MinkUNet
from clip2scene_core.student.minkunet import scaled_channels


def small(norm: str = "batch", **kwargs) -> MinkUNet:
    torch.manual_seed(0)
    return MinkUNet(4, width=0.25, embedding_dim=8, norm=norm, **kwargs)


def dense_network(model: MinkUNet, volume: Tensor) -> Tensor:
    volume = dense_stem(model, volume)
    skips = []
    for stage in model.down:
        skips.append(volume)
        volume = dense_down(stage, volume)
    for stage in model.up:
        volume = dense_up(stage, volume, skips.pop())
    return volume


def test_on_a_full_grid_it_is_a_dense_u_net() -> None:
    model = small(variant=14).double().eval()
    randomise_statistics(model)
    cells = torch.cartesian_prod(torch.arange(2), *[torch.arange(-16, 0)] * 3)
    features = torch.randn(len(cells), 4, dtype=torch.float64)
    with torch.no_grad():
        got = model.backbone(SparseVoxels.from_coordinates(features, cells))
        volume = features.view(2, 16, 16, 16, 4).permute(0, 4, 1, 2, 3)
        expected = dense_network(model, volume).permute(0, 2, 3, 4, 1).reshape(len(cells), -1)
    torch.testing.assert_close(got, expected)


def test_full_size_is_the_published_one() -> None:
    parameters = sum(p.numel() for p in MinkUNet(4, embedding_dim=512).parameters())
    assert parameters == pytest.approx(21.8e6, rel=2e-3)


def test_the_indoor_student_has_the_weights_of_minkowskinet14a() -> None:
    """By hand: kernel x channels in x channels out, and two for each normalised channel."""
    stem = 27 * 3 * 32 + 27 * 32 * 32 + 2 * 64
    down = 8 * (32 * 32 + 32 * 32 + 64 * 64 + 128 * 128) + 2 * (32 + 32 + 64 + 128)
    down += 27 * (2 * 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256)
    down += 2 * 2 * (32 + 64 + 128 + 256)
    down += (32 * 64 + 64 * 128 + 128 * 256) + 2 * (64 + 128 + 256)  # shortcuts where the width changes
    up = 8 * (256 * 128 + 128 * 128 + 128 * 96 + 96 * 96) + 2 * (128 + 128 + 96 + 96)
    up += 27 * ((128 + 128) * 128 + 128 * 128 + (128 + 64) * 128 + 128 * 128)
    up += 27 * ((96 + 32) * 96 + 96 * 96 + (96 + 32) * 96 + 96 * 96) + 2 * 2 * (128 + 128 + 96 + 96)
    up += (256 * 128 + 192 * 128 + 128 * 96 + 128 * 96) + 2 * (128 + 128 + 96 + 96)
    heads = 2 * (96 * 512 + 512)
    model = MinkUNet(3, variant="14A")
    assert sum(p.numel() for p in model.parameters()) == stem + down + up + heads


@pytest.mark.parametrize(
    ("variant", "blocks", "last"),
    [
        (14, [1] * 8, [256, 128, 96, 96]),
        ("14", [1] * 8, [256, 128, 96, 96]),
        ("14A", [1] * 8, [128, 128, 96, 96]),
        ("18B", [2] * 8, [128, 128, 128, 128]),
        ("18D", [2] * 8, [384, 384, 384, 384]),
        ("34A", [2, 3, 4, 6, 2, 2, 2, 2], [256, 128, 64, 64]),
        ("34C", [2, 3, 4, 6, 2, 2, 2, 2], [256, 128, 96, 96]),
    ],
)
def test_variants_differ_in_residual_blocks_and_channels(variant, blocks, last) -> None:
    model = small(variant=variant)
    stages = [*model.down, *model.up]
    assert [len(stage.blocks) for stage in stages] == blocks
    widths = [4 * stage.blocks[-1].second.conv.weight.shape[2] for stage in stages]
    assert widths == [32, 64, 128, 256, *last]


def test_width_scales_every_plane_to_multiples_of_eight() -> None:
    assert small(variant="14A").channels == (8, 8, 16, 32, 64, 32, 32, 24, 24)
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
    model = small("scan", variant=14).double()
    voxels = surface(edge=12)
    voxels = voxels.with_features(voxels.features.double())
    assert_gradient_is_a_difference(model, voxels, len(voxels.grid))


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
    for variant in (50, "34D"):
        with pytest.raises(ConfigError, match=rf"variant '{variant}'; expected one of 14, 14A"):
            small(variant=variant)
    with pytest.raises(ConfigError, match=r"unknown norm 'group'"):
        small("group")
