"""Engines by name, and one against the other."""

from __future__ import annotations

import copy
import importlib.util
import sys

import pytest
import torch
from torch import nn

from clip2scene_core.errors import ConfigError, MissingExtraError
from clip2scene_core.sparse import (
    ENGINES,
    InverseConv3d,
    SparseConvolution,
    SparseVoxels,
    StridedConv3d,
    SubmanifoldConv3d,
    make_engine,
    use_engine,
)

needs_spconv = pytest.mark.skipif(
    importlib.util.find_spec("spconv") is None, reason="spconv is not installed"
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


class UpAndDown(nn.Module):
    """Each kind of convolution once."""

    def __init__(self, engine: str) -> None:
        super().__init__()
        self.same = SubmanifoldConv3d(5, 16, engine=engine)
        self.down = StridedConv3d(16, 32, engine=engine, bias=True)
        self.up = InverseConv3d(32, 8, engine=engine)

    def forward(self, voxels: SparseVoxels) -> list[SparseVoxels]:
        same = self.same(voxels)
        down = self.down(same)
        return [same, down, self.up(down, voxels.grid)]


def test_an_unknown_engine_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'minkowski'; expected one of spconv, torch"):
        make_engine("minkowski")


def test_an_engine_object_is_taken_as_it_is() -> None:
    engine = make_engine("torch")
    assert SubmanifoldConv3d(1, 1, engine=engine).engine is engine


def test_use_engine_switches_every_convolution() -> None:
    network = UpAndDown("torch")
    engine = make_engine("torch")
    use_engine(network, engine)
    assert all(part.engine is engine for part in network.modules() if isinstance(part, SparseConvolution))


def test_missing_spconv_names_the_extra(monkeypatch) -> None:
    for name in ["spconv", *(name for name in sys.modules if name.startswith("spconv."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"spconv is not installed.*clip2scene_ros\[spconv\]"):
        ENGINES["spconv"]()


@needs_spconv
@pytest.mark.parametrize("share", [0.01, 0.3])
def test_spconv_agrees_layer_by_layer_with_the_same_state_dict(share, random_voxels) -> None:
    voxels = random_voxels(5, share=share)
    voxels = voxels.with_features(voxels.features.float())
    reference, network = UpAndDown("torch"), UpAndDown("spconv")
    network.load_state_dict(reference.state_dict())
    with torch.no_grad():
        for got, expected in zip(network(voxels), reference(voxels), strict=True):
            assert got.coordinates.equal(expected.coordinates)
            torch.testing.assert_close(got.features, expected.features)


@needs_spconv
def test_spconv_agrees_on_several_threads(random_grid) -> None:
    """spconv 2.3.8 alone loses rows in a quarter of these when two threads scatter."""
    conv, reference = SubmanifoldConv3d(5, 4, engine="spconv"), make_engine("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for seed in range(40):
            grid = random_grid(seed)
            features = torch.randn(len(grid), 5)
            with torch.no_grad():
                got = conv(SparseVoxels(features, grid)).features
                torch.testing.assert_close(got, reference.submanifold(features, grid, conv.weight))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@needs_spconv
def test_spconv_notices_new_weights(random_voxels) -> None:
    voxels = random_voxels(5)
    voxels = voxels.with_features(voxels.features.float())
    conv = SubmanifoldConv3d(5, 4, engine="spconv")
    with torch.no_grad():
        before = conv(voxels).features
        conv.weight.mul_(2)
        torch.testing.assert_close(conv(voxels).features, 2 * before)
        conv.load_state_dict({"weight": conv.weight / 2})
        torch.testing.assert_close(conv(voxels).features, before)


@needs_spconv
def test_spconv_takes_weights_made_in_inference_mode(random_voxels) -> None:
    voxels = random_voxels(5)
    voxels = voxels.with_features(voxels.features.float())
    with torch.inference_mode():
        network = UpAndDown("spconv")
        got = network(voxels)[-1].features
        use_engine(network, "torch")
        torch.testing.assert_close(got, network(voxels)[-1].features)


@needs_spconv
def test_spconv_takes_a_single_voxel_and_none() -> None:
    network = UpAndDown("spconv")
    with torch.no_grad():
        for rows in (0, 1):
            cells = torch.full((rows, 4), -3, dtype=torch.int32)
            cells[:, 0] = 0
            outputs = network(SparseVoxels.from_coordinates(torch.ones(rows, 5), cells))
            assert [tuple(out.features.shape) for out in outputs] == [(rows, 16), (rows, 32), (rows, 8)]


@needs_spconv
def test_spconv_refuses_to_train_on_a_cpu(random_voxels) -> None:
    voxels = random_voxels(5)
    with pytest.raises(ConfigError, match=r"train with engine 'torch'.*no_grad"):
        SubmanifoldConv3d(5, 4, engine="spconv")(voxels)


@needs_spconv
def test_a_copied_network_keeps_its_engine() -> None:
    network = UpAndDown("spconv")
    assert copy.deepcopy(network).same.engine is network.same.engine


@needs_spconv
@needs_cuda
def test_spconv_on_a_gpu_agrees_in_values_and_gradients(random_voxels) -> None:
    voxels = random_voxels(5)
    voxels = voxels.with_features(voxels.features.float()).to("cuda")
    reference, network = UpAndDown("torch").cuda(), UpAndDown("spconv").cuda()
    network.load_state_dict(reference.state_dict())
    results = []
    for model in (network, reference):
        outputs = [out.features for out in model(voxels)]
        gradients = torch.autograd.grad(sum(out.square().mean() for out in outputs), list(model.parameters()))
        results.append([*outputs, *gradients])
    for got, expected in zip(*results, strict=True):
        assert (got - expected).norm() < 3e-3 * expected.norm()  # tf32 products


@needs_cuda
def test_torch_engine_on_a_gpu_agrees_with_the_cpu(random_voxels) -> None:
    voxels = random_voxels(5)
    network = UpAndDown("torch").double()
    on_cpu = [out.features for out in network(voxels)]
    on_gpu = [out.features.cpu() for out in network.cuda()(voxels.to("cuda"))]
    for got, expected in zip(on_gpu, on_cpu, strict=True):
        torch.testing.assert_close(got, expected)
