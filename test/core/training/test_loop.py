"""The optimisation loop, with one linear layer to learn."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from clip2scene_core.checkpoint import save
from clip2scene_core.config import RunConfig, TrainingConfig
from clip2scene_core.errors import ConfigError
from clip2scene_core.training.clock import TrainingClock
from clip2scene_core.training.loop import CHECKPOINT_FILE, Task, optimise, seeded_fabric
from clip2scene_core.training.run_log import LOG_FILE, TENSORBOARD_FOLDER, RunLog
from clip2scene_core.training.state import STATE_FILE

pytest.importorskip("lightning", reason="lightning is not installed: pip install 'clip2scene_ros[train]'")

SGD = TrainingConfig(
    steps=3,
    batch=2,
    device="cpu",
    optimizer="sgd",
    learning_rate=0.1,
    momentum=0.9,
    dampening=0.1,
    weight_decay=0.01,
    warmup=0.0,
    average=0.0,
)
ROWS = torch.randn(24, 4, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def learn(tiny_checkpoint, tmp_path):
    """Trains a linear layer on consecutive rows; gives its weight and the state's values."""

    def run(settings=SGD, folder="run", frames=24, losses=None, weights=None):
        fabric = seeded_fabric(settings)
        layer = torch.nn.Linear(4, 1, bias=False)
        torch.nn.init.constant_(layer.weight, 0.5)

        def mean_square(learner, average, rows, step):
            return {"square": learner(rows).square().mean()}, {"rows": len(rows)}

        def batches(steps_done):
            return ROWS.split(settings.batch)[steps_done * settings.accumulate :]

        task = Task(
            learner=layer,
            trained=layer,
            student=layer,
            frames=frames,
            batches=batches,
            losses=losses or mean_square,
            weights=weights or {"square": 1.0},
            clock=TrainingClock(fabric.device),
            checkpoint=lambda average, done: replace(tiny_checkpoint, training=done),
            after_step=lambda step, learnt: None,
            save=save,
        )
        config = RunConfig(training=settings)
        optimise(task, settings, config, tmp_path / folder, fabric=fabric, report=lambda step, losses: None)
        return layer.weight.detach().clone()

    return run


def rate(step):
    """Half a cosine over three steps, after one at the full rate."""
    return 0.1 * (1 + float(torch.cos(torch.tensor(torch.pi * max(step - 1, 0) / 2)))) / 2


def test_sgd_with_momentum_and_dampening_is_that_of_the_text_book(learn):
    weight, velocity = torch.full((1, 4), 0.5), None
    for step, rows in enumerate(ROWS.split(2)[:3]):
        gradient = 2 * (rows @ weight.T).T @ rows / 2 + 0.01 * weight
        velocity = gradient if velocity is None else 0.9 * velocity + (1 - 0.1) * gradient
        weight = weight - rate(step) * velocity
    torch.testing.assert_close(learn(), weight)


def test_batches_of_a_step_are_as_one_of_their_size(learn):
    whole = learn(replace(SGD, batch=6), "whole")
    torch.testing.assert_close(learn(replace(SGD, batch=2, accumulate=3), "parts"), whole)


def test_the_total_is_the_weighted_sum(learn):
    def parts(learner, average, rows, step):
        square = learner(rows).square().mean()
        return {"one": 3 * square, "other": square}, {}

    once = learn(folder="once")
    torch.testing.assert_close(learn(folder="sum", losses=parts, weights={"one": 0.25, "other": 0.25}), once)


def test_a_step_without_anything_to_learn_from_changes_nothing(learn, tmp_path):
    def second_only(learner, average, rows, step):
        return ({"square": learner(rows).square().mean()} if step == 1 else {}), {"empty": int(step != 1)}

    weight = torch.full((1, 4), 0.5)
    rows = ROWS[2:4]
    gradient = 2 * (rows @ weight.T).T @ rows / 2 + 0.01 * weight
    torch.testing.assert_close(learn(losses=second_only), weight - rate(1) * gradient)
    assert state(tmp_path / "run")["skipped"] == {"empty": 2}
    assert [set(line) for line in log(tmp_path / "run")] == [
        {"step", "seconds"},
        {"step", "square", "seconds"},
        {"step", "seconds"},
    ]


def test_long_gradients_are_shortened(learn):
    settings = replace(SGD, steps=1, clip=1e-3, weight_decay=0.0)
    assert float((learn(settings) - 0.5).norm()) == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_a_gradient_that_is_not_finite_ends_the_run_and_is_not_kept(learn, tmp_path):
    def diverging(learner, average, rows, step):
        return {"square": learner(rows).square().mean() * (1.0 if step < 2 else float("nan"))}, {}

    with pytest.raises(
        ConfigError, match=r"gradient of step 3 is not finite \(square nan\); start again with"
    ):
        learn(replace(SGD, checkpoint_minutes=0.0), losses=diverging)
    assert state(tmp_path / "run")["step"] == 2


def state(folder):
    with safe_open(folder / STATE_FILE, framework="pt") as file:
        return json.loads(file.metadata()["run"])


def log(folder):
    return [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]


def test_a_run_on_another_number_of_frames_is_refused(learn, tmp_path):
    learn()
    with pytest.raises(ConfigError, match="holds a run on 24 frames, got 23; name the recording"):
        learn(frames=23)
    assert state(tmp_path / "run")["frames"] == 24


def test_counts_of_what_was_skipped_go_on(learn, tmp_path):
    def interrupted(learner, average, rows, step):
        if step == 1:
            raise KeyboardInterrupt
        return {"square": learner(rows).square().mean()}, {"rows": len(rows)}

    with pytest.raises(KeyboardInterrupt):
        learn(replace(SGD, checkpoint_minutes=0.0), losses=interrupted)
    learn(replace(SGD, checkpoint_minutes=0.0))
    assert state(tmp_path / "run")["skipped"] == {"rows": 6}


def test_times_of_the_parts_add_up_over_interruptions(learn, tmp_path):
    def interrupted(learner, average, rows, step):
        if step == 2:
            raise KeyboardInterrupt
        return {"square": learner(rows).square().mean()}, {}

    with pytest.raises(KeyboardInterrupt):
        learn(losses=interrupted)
    learn()
    lines, kept = log(tmp_path / "run"), state(tmp_path / "run")["seconds_of"]
    assert [list(line["seconds"]) for line in lines] == [["data", "losses", "backward", "update"]] * 3
    for part, seconds in kept.items():
        assert (
            seconds == pytest.approx(sum(line["seconds"][part] for line in lines), abs=1e-3) and seconds > 0
        )
    with safe_open(tmp_path / "run" / CHECKPOINT_FILE, framework="pt") as file:
        record = json.loads(file.metadata()["clip2scene"])["training"]
    assert record["seconds_of"] == pytest.approx(kept, abs=1e-3)
    assert record["frames_seen"] == 6


def test_the_momentum_of_sgd_is_kept(learn, tmp_path):
    learn()
    kept = load_file(tmp_path / "run" / STATE_FILE)
    assert kept["optimizer.0.momentum_buffer"].any()
    assert (tmp_path / "run" / CHECKPOINT_FILE).is_file()


def test_the_log_is_cut_back_to_what_is_done(tmp_path):
    """A kill may leave steps that were not kept, and half a line."""
    (tmp_path / LOG_FILE).write_text('{"step": 1, "a": 0.5}\n{"step": 2, "a": 0.25}\n{"step": 3, "a"')
    log = RunLog(tmp_path, steps_done=1)
    log.write(2, {"a": 0.75}, {"data": 0.5})
    log.close()
    assert (tmp_path / LOG_FILE).read_text() == (
        '{"step": 1, "a": 0.5}\n{"step": 2, "a": 0.75, "seconds": {"data": 0.5}}\n'
    )


def test_tensorboard_reads_what_was_logged(tmp_path, monkeypatch):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    now = time.time
    for steps_done, values in ((0, (0.5, 0.25, 9.0)), (2, (0.125,))):
        monkeypatch.setattr(time, "time", lambda later=60 * steps_done: now() + later)  # files are told by it
        log = RunLog(tmp_path, steps_done=steps_done, tensorboard=True)
        for step, value in enumerate(values, steps_done + 1):
            log.write(step, {"semantic": value}, {"data": 2 * value})
        log.close()
    board = event_accumulator.EventAccumulator(str(tmp_path / TENSORBOARD_FOLDER))
    board.Reload()
    for name, times in (("semantic", 1), ("seconds/data", 2)):
        read = [(event.step, event.value) for event in board.Scalars(name)]
        assert read == [(1, 0.5 * times), (2, 0.25 * times), (3, 0.125 * times)], "the third was done again"


def test_without_tensorboard_there_is_the_log(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    log = RunLog(tmp_path, steps_done=0, tensorboard=True)
    log.write(1, {"semantic": 1.0}, {})
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == [LOG_FILE]
