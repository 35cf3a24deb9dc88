"""`clip2scene pretrain`: what it says before it begins and when it is done, and how it goes on."""

from __future__ import annotations

import json
import re
import sys

import pytest
from typer.testing import CliRunner

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core import cli
from clip2scene_core.config import PretrainConfig, load
from clip2scene_core.errors import DataError
from clip2scene_core.training import pretrain as module

pytest.importorskip("lightning", reason="lightning is not installed: pip install 'clip2scene_ros[train]'")

TINY = (
    "--set=student.architecture=minkunet",
    "--set=student.variant=14",
    "--set=student.width=0.05",
    "--set=student.embedding_dim=16",
    "--set=student.voxel_m=0.5",
    "--set=pairing.crop={height: 64, width: 112, pairs: 20}",
    "--set=training.batch=2",
    "--set=training.loaders=0",
    "--set=training.device=cpu",
    "--words=road|street, wall, car",
)


@pytest.fixture
def pretrain(drive, colours, tmp_path, monkeypatch):
    """Runs the command on four frames of the drive, the first of which is corrupt."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(module, "frozen_teacher", lambda config, progress: colours)
    monkeypatch.setattr(module, "save_picture", lambda *_, **__: None)
    opened = []

    def source(kind, root, frames, options):
        opened.append(options)
        return drive(frames or 4, frame_0=DataError("image 0 is truncated"))

    monkeypatch.setattr(cli.training, "open_frames", source)

    def run(*arguments, code=0):
        arguments = ["pretrain", "kitti-raw", str(tmp_path), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", ["clip2scene", *arguments])
        done = CliRunner().invoke(cli.app, arguments)
        assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
        return done.stderr.strip() if code else done.stdout

    run.opened = opened
    return run


def steps(folder):
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_it_says_what_it_does_and_what_it_skipped(pretrain, tmp_path):
    text = pretrain(*TINY, "--set=training.epochs=3")
    (run,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", run.name), "the time of day"
    said = dict(re.findall(r"^ (\w[\w ]*?)  +(.+?) *$", text, re.MULTILINE))
    assert said["frames"] == "4, each with up to 2 earlier sweeps"
    assert said["cameras"] == "front"
    assert said["teacher"] == "colours, maskclip, asked on the fly"
    assert said["vocabulary"] == "words, 4 phrases for 3 classes: road, wall, car"
    assert said["steps"] == "6 of 2 frames, 3 epochs"
    assert said["device"] == "cpu, 32-true"
    assert said["folder"] == f"runs/{run.name}"
    assert "6/6" in text and "semantic" in text and "spatial_temporal" in text
    times = re.search(r"frames/s, [\d,]+ MB at most; of the time (.*?) skipped", " ".join(text.split()))
    parts = re.findall(r"([a-z][a-z ]*) \d+%", times[1])
    assert parts == ["data", "losses", "teacher", "student", "backward", "update", "pictures and files"]
    assert "skipped: " in text and "3 unreadable frames" in text and "6 batches without car" in text
    assert f"wrote runs/{run.name}/student.safetensors" in text
    assert steps(run) == [1, 2, 3, 4, 5, 6]
    assert pretrain.opened == [["sweeps=10"]]
    made = checkpoints.load(run / "student.safetensors")
    assert made.training["command"] == " ".join(sys.argv)
    assert load(PretrainConfig, run / "config.yaml").words == "road|street, wall, car"


def test_a_run_goes_on_with_what_it_was_started_with(pretrain, tmp_path, monkeypatch):
    run = tmp_path / "run"

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_picture", interrupted)
        assert pretrain(run, *TINY, "--set=training.epochs=2", code=130) == "interrupted"
    assert steps(run) == [1, 2]
    text = pretrain("--resume", run)
    assert re.search(r"goes on +after 2 steps", text)
    assert steps(run) == [1, 2, 3, 4]
    assert pretrain("--resume", run, "--with=sweeps=1") and steps(run) == [1, 2, 3, 4], "it is finished"
    assert pretrain.opened[-1] == ["sweeps=10", "sweeps=1"], "the user's counts more"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--resume", "run", "--set=objective.tau=0.1"], "run holds a run with another configuration"),
        (["--resume", "run", "--words=road, tree"], "run holds a run with another configuration"),
        (["--resume", "run", "--frames=3"], "run holds a run on 4 frames, got 3"),
        (["other", "--resume", "run"], "names the folder of the run, expected no other, got other"),
        (["--resume", "nowhere"], "expected the folder of a run, but it has no config.yaml"),
    ],
)
def test_what_cannot_go_on(arguments, error, pretrain):
    pretrain("run", *TINY, "--set=training.epochs=1")
    assert error in pretrain(*arguments, code=1)
