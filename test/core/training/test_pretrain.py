"""Pre-training runs of a few steps: a student of a few channels, and colours in place of a CLIP."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.clip.feature_cache import fill_cache
from clip2scene_core.config import (
    CropConfig,
    InferenceConfig,
    ObjectiveConfig,
    PairingConfig,
    PretrainConfig,
    PretrainLoopConfig,
    SelfTrainingConfig,
    StudentConfig,
    load,
    to_dict,
)
from clip2scene_core.data.source import first_frames
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.evaluation.pictures import save_picture
from clip2scene_core.inference import SemanticSegmenter
from clip2scene_core.locking import LOCK_FILE
from clip2scene_core.training import pretrain as module
from clip2scene_core.training.loop import CHECKPOINT_FILE, CONFIG_FILE
from clip2scene_core.training.pretrain import pretrain
from clip2scene_core.training.run_log import LOG_FILE
from clip2scene_core.training.state import STATE_FILE

pytest.importorskip("lightning", reason="lightning is not installed: pip install 'clip2scene_ros[train]'")

STUDENT = StudentConfig(variant=14, width=0.05, embedding_dim=16, voxel_m=0.5, range_m=50.0)
PAIRING = PairingConfig(sweeps=2, sweep_window=1, crop=CropConfig(height=64, width=112, pairs=20))
OBJECTIVE = ObjectiveConfig(self_training=SelfTrainingConfig(start=0.5))
LOOP = PretrainLoopConfig(epochs=2, batch=2, loaders=0, device="cpu")
RUN = PretrainConfig(
    words="road|street, wall, car", student=STUDENT, pairing=PAIRING, objective=OBJECTIVE, training=LOOP
)
"""Four steps on four frames; students label themselves in the last two."""


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """They take most of the time."""
    monkeypatch.setattr(module, "save_picture", lambda *_, **__: None)


def train(source, teacher, folder, run=RUN, report=lambda step, losses: None):
    return pretrain(run, source, teacher, folder, record={"command": "a test"}, report=report)


def interrupt_after(step):
    def report(done, losses):
        if done == step:
            raise KeyboardInterrupt

    return report


def report_to(reached, done, losses):
    reached.set()


def log(folder):
    """Steps and losses; how long they took is never the same."""
    lines = [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def assert_same_run(one, other):
    """Bit by bit: the checkpoint, and weights, average and optimiser of the state."""
    for name in (CHECKPOINT_FILE, STATE_FILE):
        first, second = load_file(one / name), load_file(other / name)
        assert first.keys() == second.keys()
        for tensor in first:
            assert torch.equal(first[tensor], second[tensor]), f"{name} {tensor}"
    assert log(one) == log(other)
    records = [checkpoints.load(folder / CHECKPOINT_FILE).training for folder in (one, other)]
    assert records[0]["skipped"] == records[1]["skipped"]


def test_a_run_leaves_a_checkpoint_that_labels_and_a_picture_an_epoch(drive, colours, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "save_picture", save_picture)
    source = drive(4)
    path = train(source, colours, tmp_path)
    assert path == tmp_path / CHECKPOINT_FILE
    assert load(PretrainConfig, tmp_path / CONFIG_FILE) == RUN
    assert [list(entry) for entry in log(tmp_path)] == [["step", "semantic", "spatial_temporal"]] * 4
    assert [p.name for p in sorted((tmp_path / "pictures").iterdir())] == [
        "step_000002.png",
        "step_000004.png",
    ]
    made = checkpoints.load(path)
    assert made.label_set.names == ("road", "wall", "car")
    assert torch.equal(made.text_embeddings, colours.text.embeddings)
    assert made.phrase_class == (0, 0, 1, 2)
    assert made.teacher == "colours"
    assert made.training["config"] == to_dict(RUN)
    assert (made.training["command"], made.training["steps"]) == ("a test", 4)
    assert made.training["skipped"] == {"batches without car": 4}
    labels = SemanticSegmenter(made, InferenceConfig(device="cpu", engine="torch")).segment(source[0])
    assert set(labels.class_id) <= {1, 2, 3}


def test_a_student_learns_the_names_of_what_a_camera_saw(drive, colours, tmp_path):
    """Of the walls behind it, too, which no camera sees; without a label."""
    run = replace(
        RUN,
        training=replace(
            LOOP, epochs=0, steps=25, optimizer="adamw", learning_rate=0.01, weight_decay=0.0, batch=1
        ),
        objective=ObjectiveConfig(self_training=SelfTrainingConfig(switch="off")),
    )
    source = drive(2)
    path = train(source, colours, tmp_path, run)
    config = InferenceConfig(device="cpu", engine="torch", scan_statistics=1.0)
    predicted = SemanticSegmenter.from_checkpoint(path, config=config).segment(source[0]).class_id
    truth = np.repeat([1, 2], [300, 200])
    assert (predicted == truth).mean() > 0.9
    first, last = (
        sum(entry["semantic"] for entry in part) for part in (log(tmp_path)[:5], log(tmp_path)[-5:])
    )
    assert last < first


VARIANTS = {
    "cross entropy and points alone": ObjectiveConfig(semantic_loss="cross_entropy", fusion="points"),
    "distillation": ObjectiveConfig(semantic_loss="kl"),
    "equation 1 alone": ObjectiveConfig(spatial_temporal_weight=0.0),
    "equation 2 alone": ObjectiveConfig(semantic_weight=0.0),
    "agreement": ObjectiveConfig(agreement=0.7),
    "self-training of the batch by the average": ObjectiveConfig(
        self_training=SelfTrainingConfig(switch="batch", start=0.0, predictor="average", unpaired=True)
    ),
    "superpixels": ObjectiveConfig(method="slidr", superpixels=12),
    "pixels": ObjectiveConfig(method="ppkt", contrast_pairs=50),
}


@pytest.mark.parametrize("architecture", ["minkunet", "spvcnn"])
@pytest.mark.parametrize("objective", VARIANTS.values(), ids=VARIANTS)
def test_every_objective_can_be_learnt_from(objective, architecture, drive, colours, tmp_path):
    run = replace(
        RUN,
        objective=objective,
        student=replace(STUDENT, architecture=architecture),
        training=replace(LOOP, steps=2, average=0.9),
    )
    path = train(drive(2), colours, tmp_path, run)
    before, after = log(tmp_path)
    assert before.keys() == after.keys()
    assert all(np.isfinite(value) for entry in (before, after) for value in entry.values())
    assert checkpoints.load(path).training["steps"] == 2


@pytest.mark.parametrize("method", ["clip2scene", "ppkt"])
@pytest.mark.parametrize("step", [1, 3])
def test_an_interrupted_run_ends_as_if_it_had_not_been(step, method, drive, colours, tmp_path):
    """SPVCNN has dropout, self-training draws, PPKT draws pairs and has a layer that the student lacks."""
    run = replace(
        RUN,
        student=replace(STUDENT, architecture="spvcnn"),
        objective=replace(OBJECTIVE, method=method),
        training=replace(LOOP, batch=1, accumulate=2),
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(drive(4), colours, whole, run)
    with pytest.raises(KeyboardInterrupt):
        train(drive(4), colours, parts, run, report=interrupt_after(step))
    torch.manual_seed(77)  # what happened in between does not matter
    train(drive(4), colours, parts, run)
    assert_same_run(whole, parts)


def test_sigterm_in_the_middle_of_a_step_keeps_it(drive, colours, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(drive(4), colours, whole)
    see = type(colours.dense).__call__

    def terminated(*arguments, **options):
        if len(log(parts)) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return see(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(colours.dense), "__call__", terminated)
        (parts / LOG_FILE).parent.mkdir()
        (parts / LOG_FILE).touch()
        train(drive(4), colours, parts)
    assert [entry["step"] for entry in log(parts)] == [1, 2]
    train(drive(4), colours, parts)
    assert_same_run(whole, parts)


def test_ten_kills_at_any_moment_change_nothing(drive, colours, tmp_path):
    """Each run is a process of its own, killed within the step after the first that it reports."""
    run = replace(RUN, training=replace(LOOP, epochs=13, batch=1, checkpoint_minutes=0.0))
    source, whole, killed = drive(2), tmp_path / "whole", tmp_path / "killed"
    started = time.monotonic()
    train(source, colours, whole, run)
    step_s, rng = (time.monotonic() - started) / 26, random.Random(5)
    processes = multiprocessing.get_context("fork")
    for _ in range(10):
        reached = processes.Event()
        report = partial(report_to, reached)
        process = processes.Process(target=train, args=(source, colours, killed, run, report))
        process.start()
        assert reached.wait(60)
        time.sleep(rng.uniform(0, step_s))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    (killed / ".state.1.safetensors").touch()  # what a kill may leave
    train(source, colours, killed, run)
    assert_same_run(whole, killed)
    assert {path.name for path in killed.glob(".*")} == {LOCK_FILE}


def test_what_cannot_be_used_is_skipped_and_counted(drive, colours, blind_frame, tmp_path, caplog):
    """Of eight frames each two are corrupt, without images, and without points in their image."""
    unseeing = replace(blind_frame, images={}, world_from_camera={})
    source = drive(
        8,
        frame_0=DataError("image 000000.png is truncated"),
        frame_1=DataError("image 000001.png is truncated"),
        frame_2=unseeing,
        frame_3=unseeing,
        frame_4=blind_frame,
        frame_5=blind_frame,
    )
    path = train(source, colours, tmp_path, replace(RUN, training=replace(LOOP, batch=1, epochs=2)))
    skipped = checkpoints.load(path).training["skipped"]
    assert skipped == {
        "unreadable frames": 4,
        "frames without pairs": 8,
        "images without pairs": 4,
        "batches without pairs": 12,
        "batches without car": 4,
    }
    assert len(log(tmp_path)) == 16
    assert sum("semantic" in entry for entry in log(tmp_path)) == 4
    warnings = [record.getMessage() for record in caplog.records]
    assert sorted(warnings) == [f"skipped frame {i}: image {i:06d}.png is truncated" for i in (0, 1)]


def test_a_scan_of_one_point_can_be_learnt_from(drive, colours, tmp_path):
    """Batch normalisation has no statistics of it."""
    frame = drive(1)[0]
    ahead = replace(frame.scan, xyz=np.array([[12.0, 0, 1]], np.float32))
    run = replace(RUN, pairing=replace(PAIRING, sweeps=1), training=replace(LOOP, batch=1, epochs=1))
    path = train(drive(1, frame_0=replace(frame, scan=ahead)), colours, tmp_path, run)
    assert all(tensor.isfinite().all() for tensor in checkpoints.load(path).weights.values())
    assert len(log(tmp_path)) == 1


@pytest.fixture
def kept(drive, colours, tmp_path):
    """The teacher's features of four whole frames, in half precision."""

    def teacher(images):
        return {name: colours.dense(torch.tensor(image.rgb[None])) for name, image in images.items()}

    fill_cache(tmp_path / "features", drive(4), teacher, colours.dense.identity)
    return str(tmp_path / "features")


def test_features_that_were_kept_teach_what_the_teacher_would(kept, drive, colours, tmp_path):
    """Whole images, so that both ways see the same: all that is lost is what half precision rounds."""
    whole = replace(PAIRING, crop=CropConfig(height=64, width=112, tries=0, mirror=False))
    asked = replace(RUN, pairing=whole, training=replace(LOOP, steps=2))
    train(drive(4), colours, tmp_path / "asked", asked)

    def asked_again(*_, **__):
        raise AssertionError("the teacher was asked")

    deaf = replace(colours, dense=type("Deaf", (type(colours.dense),), {"__call__": asked_again})())
    train(drive(4), deaf, tmp_path / "read", replace(asked, features=kept))
    for one, other in zip(log(tmp_path / "asked"), log(tmp_path / "read"), strict=True):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "frames", "message"),
    [
        ({}, 3, "expected 3 frames, got 4"),
        ({"objective": ObjectiveConfig(method="slidr")}, 4, "slidr needs the images"),
    ],
)
def test_features_that_do_not_fit_are_refused(change, frames, message, kept, drive, colours, tmp_path):
    with pytest.raises(ConfigError, match=message):
        train(drive(frames), colours, tmp_path / "run", replace(RUN, features=kept, **change))
    assert not (tmp_path / "run").exists()


def test_features_of_another_teacher_are_refused(kept, drive, colours, tmp_path):
    other = replace(colours, dense=type("Other", (type(colours.dense),), {"identity": {"clip": "sounds"}})())
    with pytest.raises(ConfigError, match="features: clip expected 'sounds', got 'colours'"):
        train(drive(4), other, tmp_path / "run", replace(RUN, features=kept))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"student": replace(STUDENT, embedding_dim=24)},
            "embedding_dim expected 16, the joint space of colours, got 24",
        ),
        (
            {"objective": ObjectiveConfig(semantic_weight=0.0, spatial_temporal_weight=0.0)},
            "expected one above 0, got 0",
        ),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(change, message, drive, colours, tmp_path):
    with pytest.raises(ConfigError, match=message):
        train(drive(2), colours, tmp_path / "run", replace(RUN, **change))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frame of the recording can be read: it is empty"),
        ([DataError("scan 0 is empty"), DataError("scan 1 is cut off")], "can be read: scan 1 is cut off"),
    ],
)
def test_recordings_that_cannot_teach_leave_no_files(frames, message, drive, colours, tmp_path):
    source = drive(len(frames), **{f"frame_{i}": frame for i, frame in enumerate(frames)})
    with pytest.raises(DataError, match=message):
        train(source, colours, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_configuration_in_the_same_folder_is_refused(drive, colours, tmp_path):
    train(drive(2), colours, tmp_path)
    other = replace(RUN, objective=replace(OBJECTIVE, tau=0.1))
    with pytest.raises(ConfigError, match="holds a run with another configuration"):
        train(drive(2), colours, tmp_path, other)


def test_sweeps_of_a_recording_without_ego_motion_are_refused(drive, colours, tmp_path):
    source = drive(2)
    source.moves = False
    with pytest.raises(ConfigError) as error:
        train(first_frames(source, 2), colours, tmp_path / "run")
    assert str(error.value) == (
        "pairing.sweeps=2 needs ego motion, which is not known; name one, such as --with "
        "ego_motion=kiss-icp, or --set pairing.sweeps=1"
    )
    assert not (tmp_path / "run").exists()
    assert train(source, colours, tmp_path / "single", replace(RUN, pairing=replace(PAIRING, sweeps=1)))


def test_two_processes_cannot_write_to_one_run(drive, colours, tmp_path):
    seen = []

    def second(step, losses):
        with contextlib.suppress(StopIteration), pytest.raises(DataError, match="is writing to"):
            train(drive(2), colours, tmp_path)
        seen.append(step)

    train(drive(2), colours, tmp_path, report=second)
    assert seen == [1, 2]
