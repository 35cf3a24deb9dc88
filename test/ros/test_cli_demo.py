"""`clip2scene demo` on a simulated drive: what it adds to run_demo, which test_demo.py covers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tf2_ros", reason="ROS 2 is not installed")

from PIL import Image
from typer.testing import CliRunner

from clip2scene_core import cli
from clip2scene_core.data import open_source
from clip2scene_core.errors import DataError
from clip2scene_core.evaluation import pictures
from clip2scene_core.labels import LabelSet
from clip2scene_ros import demo as ros_demo

SCANS = 2


@pytest.fixture(scope="module")
def demo(checkpoint, tmp_path_factory):
    """Folder and output of a demo with a LiDAR of few beams, and what its picture was drawn from."""
    out, drawn, save = tmp_path_factory.mktemp("demo") / "out", [], pictures.save_picture

    def remember(path, *arguments, **options):
        drawn.append((path, *arguments))
        save(path, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "save_picture", remember)
        settings = [
            "--frames",
            str(SCANS),
            "--lidar",
            "VLP-16",
            "--rate",
            "2",
            "--checkpoint",
            str(checkpoint),
        ]
        done = CliRunner().invoke(cli.app, ["demo", "--out", str(out), *settings])
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    (picture,) = drawn
    return out, done.stdout, picture


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_simulated_drive_is_labelled_into_a_bag(demo):
    out, _, _ = demo
    drive, labelled = open_source("rosbag", out / "drive"), open_source("rosbag", out / "labelled")
    assert (len(drive), len(labelled)) == (SCANS, SCANS)
    for index in range(SCANS):
        np.testing.assert_array_equal(labelled[index].scan.xyz, drive[index].scan.xyz)
        assert set(labelled[index].scan.ring) <= set(range(16)), "a VLP-16"
        assert labelled[index].labels.probability is not None
    results = {"drive", "labelled", "summary.json", "picture.png"}
    assert names(out) - {"fastdds.xml"} == results | {"node.log", "segment.yaml"}


def test_the_picture_shows_the_scan_in_the_middle_with_its_labels(demo):
    out, _, (path, frame, labels, label_set) = demo
    assert path == out / "picture.png"
    with Image.open(path) as picture:
        picture.load()
        assert picture.width > 1000
    answer = open_source("rosbag", out / "labelled")[SCANS // 2]
    assert frame.scan.stamp_ns == answer.scan.stamp_ns
    np.testing.assert_array_equal(labels.class_id, answer.labels.class_id)
    assert len(labels.class_id) == len(frame.scan.xyz)
    assert frame.images, "the labelled bag has none: they come from the drive"
    assert label_set.names == LabelSet.named("street").names


def test_the_figures_are_told(demo):
    out, text, _ = demo
    summary = json.loads((out / "summary.json").read_text())
    flat = " ".join(text.split())
    points = f"{summary['points_per_scan']:,.0f}"
    assert f"2 of 2 scans labelled, {points} points each, every row kept" in flat
    assert f"one by one: {summary['rate_hz']:.2f} scans/s" in flat
    assert "at 2 x real time:" in flat
    assert "against the truth in the bag" in flat and "mIoU" in flat
    assert f"wrote labelled, summary.json and picture.png to {out}\n" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("wrote")) <= 80


def error_of(*arguments: object) -> str:
    done = CliRunner().invoke(cli.app, ["demo", *(str(a) for a in arguments)])
    assert done.exit_code == 1 and done.stderr.count("\n") == 1, done.output
    return done.stderr


def test_what_cannot_be_played_is_one_line(tmp_path):
    assert "has no .mcap, .db3 or .bag file" in error_of("--bag", tmp_path, "--out", tmp_path / "out")
    assert "nowhere" in error_of("--bag", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert "HDL-32E" in error_of("--lidar", "HDL-99", "--out", tmp_path / "out")
    assert "'car' is given twice" in error_of("--words", "car, car", "--out", tmp_path / "out")
    error = error_of("--bag", tmp_path / "out" / "labelled", "--out", tmp_path / "out")
    assert "is the recording itself, which would be replaced" in error


def test_a_demo_that_labels_nothing_has_failed(demo, tmp_path, monkeypatch):
    out, _, _ = demo
    figures = json.loads((out / "summary.json").read_text()) | {"labelled": 0, "latency_ms": {}}
    summary = ros_demo.run.DemoSummary(**figures)
    monkeypatch.setattr(ros_demo, "run_demo", lambda *arguments, **options: summary)
    error = error_of("--bag", out / "drive", "--out", tmp_path)
    assert f"no scan of {out / 'drive'} was labelled; {tmp_path / 'node.log'} says why" in error


def test_words_are_classes_of_the_node(demo, tmp_path, monkeypatch):
    asked = {}

    def look(bag, out, *, settings, **_):
        asked.update(settings)
        raise DataError("seen")

    monkeypatch.setattr(ros_demo, "run_demo", look)
    words = ("--words", "road, car|van", "--label-set", "x.yaml", "--model", "local-dir:y")
    assert "seen" in error_of("--bag", demo[0] / "drive", "--out", tmp_path / "out", *words)
    assert asked == {
        "classes": ["road", "car|van"],
        "label_set": "x.yaml",
        "model": "local-dir:y",
        "pretrained": "",
    }
