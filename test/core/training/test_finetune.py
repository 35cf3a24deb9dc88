"""Training runs of a few steps with a student of a few channels."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.build import build_student, restore_student
from clip2scene_core.config import (
    AugmentConfig,
    InferenceConfig,
    RunConfig,
    StudentConfig,
    TrainingConfig,
    load,
    to_dict,
)
from clip2scene_core.errors import ConfigError, DataError, MissingExtraError
from clip2scene_core.inference import SemanticSegmenter
from clip2scene_core.labels import LabelSet
from clip2scene_core.training import finetune as module
from clip2scene_core.training import loop
from clip2scene_core.training.beginning import begin
from clip2scene_core.training.finetune import finetune
from clip2scene_core.training.loop import CHECKPOINT_FILE, CONFIG_FILE
from clip2scene_core.training.run_log import LOG_FILE
from clip2scene_core.training.samples import TrainingSamples, collate_samples
from clip2scene_core.training.state import STATE_FILE

pytest.importorskip("lightning", reason="lightning is not installed: pip install 'clip2scene_ros[train]'")

STUDENT = StudentConfig(variant=14, width=0.05, embedding_dim=16, voxel_m=0.5, range_m=50.0)
TRAINING = TrainingConfig(steps=4, batch=2, loaders=0, device="cpu", average=0.9)
RUN = RunConfig(student=STUDENT, training=TRAINING)
OF_POINTS = replace(RUN, student=replace(STUDENT, architecture="spvcnn"))


def train(source, folder, run=RUN, report=lambda step, losses: None):
    return finetune(run, source, begin(run), folder, record={"command": "a test"}, report=report)


def interrupt_after(step):
    def report(done, losses):
        if done == step:
            raise KeyboardInterrupt

    return report


def losses(folder):
    """Steps and losses; how long they took is never the same."""
    lines = [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.mark.parametrize("run", [RUN, OF_POINTS], ids=["minkunet", "spvcnn"])
def test_a_run_leaves_a_checkpoint_that_labels_and_says_how_it_came_about(run, streets, tmp_path):
    source, steps = streets(3), []
    path = train(source, tmp_path, run, report=lambda step, losses: steps.append((step, *losses)))
    assert path == tmp_path / CHECKPOINT_FILE
    assert steps == [(n, "cross_entropy", "lovasz") for n in (1, 2, 3, 4)]
    assert [entry["step"] for entry in losses(tmp_path)] == [1, 2, 3, 4]
    assert load(RunConfig, tmp_path / CONFIG_FILE) == run
    made = checkpoints.load(path)
    assert made.student == run.student
    assert made.label_set.name == "street"
    assert made.training["command"] == "a test"
    assert made.training["steps"] == 4
    assert made.training["config"] == to_dict(run)
    labels = SemanticSegmenter(made, InferenceConfig(device="cpu", engine="torch")).segment(source[0])
    assert set(labels.class_id[5:]) <= set(made.label_set.ids)
    assert {p.name for p in tmp_path.iterdir()} == {CHECKPOINT_FILE, CONFIG_FILE, LOG_FILE, STATE_FILE}


def assert_same_run(one, other):
    """Bit by bit: the checkpoint, and weights, average and optimiser of the state."""
    for name in (CHECKPOINT_FILE, STATE_FILE):
        first, second = load_file(one / name), load_file(other / name)
        assert first.keys() == second.keys()
        for tensor in first:
            assert torch.equal(first[tensor], second[tensor]), f"{name} {tensor}"
    assert losses(one) == losses(other)


@pytest.mark.parametrize("run", [RUN, OF_POINTS], ids=["minkunet", "spvcnn"])
@pytest.mark.parametrize("step", [1, 3])
def test_an_interrupted_run_ends_as_if_it_had_not_been(step, run, streets, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(streets(3), whole, run)
    with pytest.raises(KeyboardInterrupt):
        train(streets(3), parts, run, report=interrupt_after(step))
    assert checkpoints.load(parts / CHECKPOINT_FILE).training["steps"] == step
    torch.manual_seed(77)  # what happened in between does not matter
    resumed = []
    train(streets(3), parts, run, report=lambda done, losses: resumed.append(done))
    assert resumed == list(range(step + 1, 5))
    assert_same_run(whole, parts)


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(streets, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(streets(3), whole)
    entropy, calls = module.cross_entropy, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return entropy(*arguments)

    monkeypatch.setattr(module, "cross_entropy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(streets(3), parts)
    assert [entry["step"] for entry in losses(parts)] == [1, 2]
    train(streets(3), parts)
    assert_same_run(whole, parts)


def test_half_a_step_is_not_saved(streets, tmp_path, monkeypatch):
    """The forward pass has already moved the statistics of batch norm when the loss fails."""
    with pytest.raises(KeyboardInterrupt):
        train(streets(3), tmp_path, report=interrupt_after(2))
    before = (tmp_path / STATE_FILE).read_bytes()

    def broken(*_):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="out of memory"):
        patch.setattr(module, "lovasz_softmax", broken)
        train(streets(3), tmp_path)
    assert (tmp_path / STATE_FILE).read_bytes() == before


def test_a_killed_run_loses_a_few_minutes_at_most(streets, tmp_path):
    """Zero minutes: when a step is reported, everything before it can be gone on from, and used."""
    run, kept = replace(RUN, training=replace(TRAINING, checkpoint_minutes=0.0)), []

    def look(step, losses):
        if step > 1:
            with safe_open(tmp_path / STATE_FILE, framework="pt") as file:
                done = json.loads(file.metadata()["run"])["step"]
            kept.append((step, done, checkpoints.load(tmp_path / CHECKPOINT_FILE).training["steps"]))

    train(streets(3), tmp_path, run, report=look)
    assert kept == [(2, 1, 1), (3, 2, 2), (4, 3, 3)]


def test_a_finished_run_is_finished(streets, tmp_path):
    train(streets(3), tmp_path)
    before, steps = load_file(tmp_path / CHECKPOINT_FILE), []
    train(streets(3), tmp_path, report=lambda step, losses: steps.append(step))
    assert steps == []
    assert all(torch.equal(t, before[name]) for name, t in load_file(tmp_path / CHECKPOINT_FILE).items())


def test_another_configuration_in_the_same_folder_is_refused(streets, tmp_path):
    train(streets(3), tmp_path)
    files = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    other = replace(RUN, training=replace(TRAINING, learning_rate=0.5))
    with pytest.raises(ConfigError, match="holds a run with another configuration"):
        train(streets(3), tmp_path, other)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == files


def test_processes_that_prepare_scans_change_nothing(streets, tmp_path):
    for loaders in (0, 2):
        run = replace(OF_POINTS, training=replace(TRAINING, steps=2, loaders=loaders))
        train(streets(3), tmp_path / str(loaders), run)
    assert losses(tmp_path / "0") == losses(tmp_path / "2")


def test_the_seed_decides(streets, tmp_path):
    for seed in (0, 1):
        run = replace(RUN, training=replace(TRAINING, steps=1, seed=seed))
        train(streets(3), tmp_path / str(seed), run)
    assert losses(tmp_path / "0") != losses(tmp_path / "1")


def test_the_average_is_kept_and_not_the_last_weights(streets, tmp_path):
    kept = checkpoints.load(train(streets(3), tmp_path)).weights["heads.semantic.weight"]
    state = load_file(tmp_path / STATE_FILE)
    assert torch.equal(kept, state["average.module.heads.semantic.weight"].half().float())
    assert not torch.equal(kept, state["model.heads.semantic.weight"].half().float())


def test_without_an_average_the_last_weights_are_kept(streets, tmp_path):
    run = replace(RUN, training=replace(TRAINING, average=0.0))
    kept = checkpoints.load(train(streets(3), tmp_path, run)).weights
    last = load_file(tmp_path / STATE_FILE)
    for name, tensor in kept.items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, last[f"model.{name}"].half().float()), name


@pytest.mark.parametrize("architecture", ["minkunet", "spvcnn"])
def test_a_student_learns_a_street_by_heart(architecture, streets, tmp_path):
    """Without variation, one scan of three classes: the loss falls and most points get their class."""
    still = AugmentConfig(rotate=False, scale=0, tilt_deg=0, wave_m=0, crown_m=0, jitter_m=0, drop=0)
    training = replace(TRAINING, steps=40, batch=1, learning_rate=0.01, average=0.5, augment=still)
    source = streets(1)
    student = replace(STUDENT, architecture=architecture)
    path = train(source, tmp_path, replace(RUN, student=student, training=training))
    log = losses(tmp_path)
    for name in ("cross_entropy", "lovasz"):
        first, last = (sum(entry[name] for entry in part) / 5 for part in (log[:5], log[-5:]))
        assert last < 0.6 * first, name
    config = InferenceConfig(device="cpu", engine="torch", scan_statistics=1.0)
    segmenter = SemanticSegmenter.from_checkpoint(path, config=config)
    frame = source[0]
    predicted = segmenter.segment(frame).class_id
    truth = LabelSet.named("street").from_set(source.label_set, frame.labels.class_id)
    known = (truth > 0) & (predicted > 0)
    assert (predicted == truth)[known].mean() > 0.9


@pytest.fixture
def pretrained(tiny_checkpoint, tmp_path):
    """Saves the random student with other fields as a checkpoint of the vocabulary `street`, and names it."""

    def save(**other):
        checkpoints.save(replace(tiny_checkpoint, **other), tmp_path / "pretrained.safetensors")
        return str(tmp_path / "pretrained.safetensors")

    return save


def going_on(path, **training):
    student = checkpoints.load(path).student
    still = AugmentConfig(rotate=False, scale=0, tilt_deg=0, wave_m=0, crown_m=0, jitter_m=0, drop=0)
    settings = replace(
        TRAINING, seed=3, steps=2, learning_rate=0.0, augment=still, rare=0.0, average=0.0, **training
    )
    return RunConfig(start=path, student=student, training=settings)


def of_method(name):
    return {"training": {"config": {"objective": {"method": name}}}}


def test_a_run_begins_with_the_loss_of_the_checkpoint(pretrained, streets, tmp_path):
    """Of its heads and words: cross-entropy by hand, over the two phrases of each class the better."""
    path, source = pretrained(), streets(2)
    run, made = going_on(path), checkpoints.load(path)
    train(source, tmp_path / "run", run)
    student = restore_student(made, engine="torch").train()
    samples = TrainingSamples(
        source, LabelSet.named("street"), made.student, run.training.augment, 3, per_point=False
    )
    voxels, target = collate_samples([samples[0, 0], samples[0, 1]])
    features = torch.nn.functional.normalize(student(voxels).semantic.detach(), dim=1)
    cosine = (features @ made.text_embeddings.T).reshape(len(features), 2, -1).amax(dim=1)
    known = target >= 0
    expected = torch.nn.functional.cross_entropy(cosine[known] / made.student.temperature, target[known])
    assert losses(tmp_path / "run")[0]["cross_entropy"] == pytest.approx(float(expected), rel=1e-4)
    trained = checkpoints.load(tmp_path / "run" / CHECKPOINT_FILE)
    for name, _ in student.named_parameters():
        assert torch.equal(trained.weights[name], made.weights[name]), name
    assert torch.equal(trained.text_embeddings, made.text_embeddings)
    assert (trained.phrase_class, trained.teacher) == (made.phrase_class, made.teacher)
    began = trained.training["began_from"]
    assert (began["checkpoint"], began["head"], began["vocabulary"]) == (path, "text", "street")
    assert began["training"]["steps"] == 0


@pytest.mark.parametrize(
    ("other", "label_set", "why"),
    [
        ({}, "semantic_kitti", "its vocabulary street has no 'bicycle'"),
        (of_method("slidr"), "street", "slidr has taught it no words"),
        (of_method("ppkt"), "street", "ppkt has taught it no words"),
    ],
)
def test_heads_that_do_not_fit_are_left_out_and_named(other, label_set, why, pretrained, streets, tmp_path):
    path = pretrained(**other)
    run = replace(going_on(path), label_set=label_set)
    (note,) = begin(run).notes
    assert note == f"from {path} without its heads: {why}; the new ones are random"
    train(streets(2), tmp_path / "run", run)
    made, trained = checkpoints.load(path), checkpoints.load(tmp_path / "run" / CHECKPOINT_FILE)
    assert trained.training["began_from"]["head"] == "new"
    for name, weight in made.weights.items():
        if name.endswith("conv.weight"):
            assert torch.equal(trained.weights[name], weight), name
    assert not torch.equal(trained.weights["heads.semantic.weight"], made.weights["heads.semantic.weight"])
    cosine = trained.text_embeddings @ trained.text_embeddings.T
    torch.testing.assert_close(cosine, torch.eye(len(LabelSet.named(label_set).classes)))
    with pytest.raises(ConfigError, match=f"training.head text: {why}"):
        begin(replace(run, training=replace(run.training, head="text")))


def test_a_new_head_where_it_is_asked_for(pretrained, streets, tmp_path):
    run = going_on(pretrained(), head="new")
    assert "without its heads: as asked for" in begin(run).notes[0]


def test_a_run_from_a_checkpoint_goes_on(pretrained, streets, tmp_path):
    run = going_on(pretrained())
    run = replace(run, training=replace(run.training, steps=4, learning_rate=0.01))
    train(streets(3), tmp_path / "whole", run)
    with pytest.raises(KeyboardInterrupt):
        train(streets(3), tmp_path / "parts", run, report=interrupt_after(2))
    train(streets(3), tmp_path / "parts", run)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("architecture", "spvcnn", "minkunet"),
        ("variant", 18, 14),
        ("width", 0.5, 0.05),
        ("intensity", True, False),
        ("colour", True, False),
    ],
)
def test_another_architecture_than_the_checkpoint_has_is_refused(name, value, expected, pretrained):
    path = pretrained()
    run = going_on(path)
    run = replace(run, student=replace(run.student, **{name: value}))
    with pytest.raises(ConfigError, match=f"student.{name} expected {expected}, that of {path}, got {value}"):
        begin(run)


def test_a_text_head_needs_a_checkpoint():
    with pytest.raises(ConfigError, match="head text needs a checkpoint to begin from: --from FILE"):
        begin(replace(RUN, training=replace(TRAINING, head="text")))


def test_sources_that_cannot_teach_leave_no_files(streets, tmp_path):
    source = streets(1)
    source.label_set = None
    for bad, message in ((source, "no labels"), (streets(0), "no frames")):
        with pytest.raises(DataError, match=message):
            train(bad, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_lightning_that_is_not_installed(streets, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning.fabric", None)
    with pytest.raises(MissingExtraError, match=r"clip2scene_ros\[train\]"):
        train(streets(1), tmp_path)


def test_every_step_has_the_rate_of_its_schedule(streets, tmp_path, monkeypatch):
    """A schedule that is nothing but for the first step: weights change there and never again."""
    asked, weights = [], []

    def once(settings, step):
        asked.append(step)
        return 0.01 if step == 0 else 0.0

    monkeypatch.setattr(loop, "learning_rate", once)
    with pytest.raises(KeyboardInterrupt):
        train(streets(3), tmp_path, report=interrupt_after(1))
    weights.append(load_file(tmp_path / STATE_FILE)["model.heads.semantic.weight"])
    train(streets(3), tmp_path)
    weights.append(load_file(tmp_path / STATE_FILE)["model.heads.semantic.weight"])
    assert asked == [0, 1, 2, 3]
    assert torch.equal(*weights)
    torch.manual_seed(0)
    start = build_student(STUDENT, engine="torch").state_dict()["heads.semantic.weight"]
    assert not torch.equal(start, weights[0])


def test_the_saved_configuration_is_plain_yaml(streets, tmp_path):
    train(streets(2), tmp_path, replace(RUN, training=replace(TRAINING, steps=1)))
    assert yaml.safe_load((tmp_path / CONFIG_FILE).read_text())["student"]["voxel_m"] == 0.5
