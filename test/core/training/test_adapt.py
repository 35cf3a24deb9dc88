"""Adapting a checkpoint to a recording: what changes, what does not, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.build import restore_student
from clip2scene_core.config import AdaptConfig, InferenceConfig
from clip2scene_core.data.batch import collate
from clip2scene_core.errors import DataError
from clip2scene_core.inference import SemanticSegmenter
from clip2scene_core.training.adapt import adapt, evenly_spread
from clip2scene_core.voxels import voxelise

ALL = AdaptConfig(share=1.0, frames=0, device="cpu", engine="torch")
RECORD = {"command": "a test"}
STATISTICS = ("running_mean", "running_var")


@pytest.fixture(params=["minkunet", "spvcnn"])
def before(request, tiny_checkpoint, tiny_point_checkpoint):
    return {"minkunet": tiny_checkpoint, "spvcnn": tiny_point_checkpoint}[request.param]


def test_only_statistics_change_and_each_is_that_of_all_scans(before, streets):
    """By PyTorch, in float64, of what each layer is given where scans have their own statistics."""
    source = streets(3)
    after = adapt(before, source, ALL, record=RECORD).checkpoint
    assert after.weights.keys() == before.weights.keys()
    for name, tensor in before.weights.items():
        if not name.endswith(STATISTICS):
            assert torch.equal(after.weights[name], tensor), name
    assert torch.equal(after.text_embeddings, before.text_embeddings)
    assert (after.student, after.label_set, after.phrase_class, after.teacher) == (
        before.student,
        before.label_set,
        before.phrase_class,
        before.teacher,
    )
    student, given = restore_student(before, engine="torch").eval(), {}
    for name, part in student.named_modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.scan_share = 1.0
            part.register_forward_hook(lambda _, x, y, name=name: given.setdefault(name, []).append(x[0]))
    with torch.no_grad():
        for frame in source.frames:
            student(collate([voxelise(frame.scan.xyz, size_m=0.5, range_m=80.0)]))
    assert len(given) == sum(name.endswith("running_mean") for name in before.weights)
    for name, features in given.items():
        rows = torch.cat(features).double()
        for statistic, expected in zip(STATISTICS, (rows.mean(dim=0), rows.var(dim=0)), strict=True):
            got = after.weights[f"{name}.{statistic}"].double()
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_the_file_says_what_was_adapted_and_labels(before, streets, tmp_path):
    source = streets(4)
    config = replace(ALL, share=0.25, frames=2)
    once = adapt(before, source, config, record=RECORD).checkpoint
    assert once.training == {
        "steps": 0,
        "adapted": [{"command": "a test", "scans": 2, "skipped": 0, "share": 0.25}],
    }
    twice = adapt(once, source, ALL, record=RECORD).checkpoint
    assert [entry["scans"] for entry in twice.training["adapted"]] == [2, 4]
    checkpoints.save(twice, tmp_path / "adapted.safetensors")
    read = checkpoints.load(tmp_path / "adapted.safetensors")
    inference = InferenceConfig(device="cpu", engine="torch", scan_statistics=0.0)
    frame = source.frames[0]
    answers = [SemanticSegmenter(c, inference).segment(frame).probability for c in (before, read)]
    assert not np.array_equal(*answers)


def test_the_same_recording_gives_the_same_weights(before, streets):
    one, other = (adapt(before, streets(3), ALL, record=RECORD).checkpoint.weights for _ in range(2))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_no_share_changes_nothing(before, streets):
    after = adapt(before, streets(2), replace(ALL, share=0.0), record=RECORD).checkpoint
    assert all(torch.equal(tensor, before.weights[name]) for name, tensor in after.weights.items())


def test_scans_are_spread_evenly():
    assert evenly_spread(10, 4) == [0, 3, 6, 9]
    assert evenly_spread(3, 50) == evenly_spread(3, 0) == [0, 1, 2]
    assert evenly_spread(5, 1) == [0]


def test_frames_that_cannot_be_read_are_skipped_and_named(tiny_checkpoint, drive):
    told = []
    source = drive(3, frame_1=DataError("scan 1 is cut off"))
    adapted = adapt(tiny_checkpoint, source, ALL, record=RECORD, progress=told.append)
    assert (adapted.scans, adapted.skipped) == (2, ("frame 1: scan 1 is cut off",))
    assert adapted.checkpoint.training["adapted"][0]["skipped"] == 1
    alone = adapt(tiny_checkpoint, drive(3), replace(ALL, frames=2), record=RECORD).checkpoint
    for name, tensor in adapted.checkpoint.weights.items():
        assert torch.equal(tensor, alone.weights[name]), "frames 0 and 2"
    assert told == [1, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_0": DataError("cut off")}, "no scan has a point to take statistics of"),
        ({}, "student.intensity is set, but the scan of frame 0 has no intensity"),
    ],
)
def test_recordings_that_tell_nothing(change, message, tiny_checkpoint, drive):
    wanting = tiny_checkpoint
    if not change:
        stem = "stem.0.conv.weight"
        more = torch.cat([wanting.weights[stem], torch.zeros(27, 1, 8)], dim=1)
        wanting = replace(
            wanting,
            student=replace(wanting.student, intensity=True),
            weights={**wanting.weights, stem: more},
        )
    with pytest.raises(DataError, match=message):
        adapt(wanting, drive(1, **change), ALL, record=RECORD)
