"""The state of an interrupted run, with a network of one layer."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from clip2scene_core.config import RunConfig, StudentConfig, TrainingConfig, to_dict
from clip2scene_core.errors import CheckpointError, ConfigError
from clip2scene_core.training.state import STATE_FILE, RunState, load_state, save_state

CONFIG = RunConfig(training=TrainingConfig(steps=10))


def run(steps, seed=0):
    """A network, its average and its optimiser after some steps."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    average, optimizer = AveragedModel(model, use_buffers=True), torch.optim.AdamW(model.parameters(), lr=0.1)
    go_on(model, average, optimizer, steps)
    return model, average, optimizer


def go_on(model, average, optimizer, steps):
    generator = torch.Generator().manual_seed(5)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 3, generator=generator)).square().sum().backward()
        optimizer.step()
        average.update_parameters(model)


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_going_on_from_a_state_is_as_if_nothing_had_happened(tmp_path):
    first = run(3)
    state = RunState(step=3, seconds=1.5, config=to_dict(CONFIG))
    save_state(tmp_path, state, *first)
    restored = run(0, seed=9)
    assert load_state(tmp_path, CONFIG, *restored) == state
    for objects in (first, restored):
        go_on(*objects, 4)
    for one, other in zip(first[:2], restored[:2], strict=True):
        assert_same(one.state_dict(), other.state_dict())
    moments, others = (o.state_dict()["state"] for o in (first[2], restored[2]))
    for index in moments:
        assert_same(moments[index], others[index])
    assert [p.name for p in tmp_path.iterdir()] == [STATE_FILE]


def test_no_state(tmp_path):
    objects = run(1)
    before = copy.deepcopy(objects[0].state_dict())
    assert load_state(tmp_path, CONFIG, *objects) is None
    assert_same(before, objects[0].state_dict())


def test_another_configuration_is_refused_and_nothing_is_touched(tmp_path):
    save_state(tmp_path, RunState(step=3, seconds=0.0, config=to_dict(CONFIG)), *run(3))
    objects = run(1, seed=2)
    before = copy.deepcopy(objects[0].state_dict())
    with pytest.raises(ConfigError, match="holds a run with another configuration") as caught:
        load_state(tmp_path, RunConfig(training=TrainingConfig(steps=11)), *objects)
    assert str(tmp_path) in str(caught.value)
    assert_same(before, objects[0].state_dict())


def test_a_run_from_before_a_setting_was_there_had_its_default(tmp_path):
    stored = to_dict(CONFIG)
    del stored["student"]["variant"]
    save_state(tmp_path, RunState(step=3, seconds=0.0, config=stored), *run(3))
    assert load_state(tmp_path, CONFIG, *run(1)).step == 3
    other = replace(CONFIG, student=StudentConfig(variant=14))
    with pytest.raises(ConfigError, match="another configuration"):
        load_state(tmp_path, other, *run(1))


def test_a_run_with_a_setting_that_is_no_more(tmp_path):
    stored = {**to_dict(CONFIG), "tempo": 3}
    save_state(tmp_path, RunState(step=3, seconds=0.0, config=stored), *run(3))
    with pytest.raises(ConfigError, match="another configuration"):
        load_state(tmp_path, CONFIG, *run(1))


def no_text(path):
    path.write_text("nothing")


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def foreign(path):
    save_file({"weight": torch.zeros(2)}, path)


def other_header(path):
    save_file(load_file(path), path, metadata={"run": '{"step": 3}'})


@pytest.mark.parametrize("spoil", [no_text, truncate, foreign, other_header])
def test_files_that_are_no_state(spoil, tmp_path):
    save_state(tmp_path, RunState(step=3, seconds=0.0, config=to_dict(CONFIG)), *run(3))
    spoil(tmp_path / STATE_FILE)
    with pytest.raises(CheckpointError, match="is no state of a run; delete it to start again") as caught:
        load_state(tmp_path, CONFIG, *run(0))
    assert str(tmp_path / STATE_FILE) in str(caught.value)


def test_the_state_of_another_network(tmp_path):
    save_state(tmp_path, RunState(step=3, seconds=0.0, config=to_dict(CONFIG)), *run(3))
    model = nn.Linear(3, 4)
    with pytest.raises(CheckpointError, match="holds the weights of another network"):
        load_state(tmp_path, CONFIG, model, AveragedModel(model), torch.optim.AdamW(model.parameters()))
