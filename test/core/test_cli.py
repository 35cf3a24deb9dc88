"""The command line on tiny recordings: what it writes, what it says, and how it fails."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core import cli
from clip2scene_core.cameras import Camera
from clip2scene_core.clip.feature_cache import FeatureCache
from clip2scene_core.clip.weights import load_clip
from clip2scene_core.config import RunConfig, load
from clip2scene_core.data import open_source
from clip2scene_core.data.bag_reader import BagReader
from clip2scene_core.data.bag_writer import write_bag
from clip2scene_core.data.inspection import inspect_bag
from clip2scene_core.data.new_bag import new_bag
from clip2scene_core.geometry import SE3
from clip2scene_core.inference import SemanticSegmenter
from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation import sweeps
from clip2scene_core.simulation.sampling import TrainingSweep
from clip2scene_core.types import CameraImage, Frame, LidarScan, SemanticLabels

ROOT = Path(__file__).resolve().parents[2]
SCANS = 3
STREET_OF_RAW = {40: "road", 44: "road", 50: "building", 10: "car", 0: None}
"""What the SemanticKITTI ids of `street_recording` are called in `street`."""


def run(*arguments: object):
    """The result of `clip2scene ARGUMENTS`; fails with its output where it does not end well."""
    done = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert done.exit_code == 0, f"{arguments}: {done.output}\n{done.exception!r}"
    assert done.stderr == ""
    return done


def error_of(*arguments: object, code: int = 1) -> str:
    """The one line on stderr of a command that fails."""
    done = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert done.exit_code == code, f"{arguments}: {done.output}\n{done.exception!r}"
    assert done.stderr.endswith("\n") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def street(scan: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 4) with reflectance and raw SemanticKITTI ids (N,): a road, a house, a car, some unknown."""
    rng = np.random.default_rng(scan)
    road = rng.uniform((-10, -4, -1.8), (10, 4, -1.7), (200 + scan, 3))
    house = rng.uniform((-10, 4, -1.8), (10, 4.3, 3), (100, 3))
    car = rng.uniform((2, -3, -1.5), (6, -1.2, -0.2), (60, 3))
    raw = np.repeat([40, 50, 10], [len(road), len(house), len(car)])
    raw[::10], raw[1::10] = 0, np.where(raw[1::10] == 40, 44, raw[1::10])
    xyz = np.concatenate([road, house, car])
    return np.column_stack([xyz, np.full(len(xyz), 0.25)]).astype(np.float32), raw


@pytest.fixture(scope="module")
def kitti(tmp_path_factory) -> Path:
    """A SemanticKITTI of one labelled sequence without cameras."""
    root = tmp_path_factory.mktemp("kitti")
    for name in ("velodyne", "labels"):
        (root / "sequences/00" / name).mkdir(parents=True)
    for scan in range(SCANS):
        points, raw = street(scan)
        points.astype("<f4").tofile(root / f"sequences/00/velodyne/{scan:06d}.bin")
        raw.astype("<u4").tofile(root / f"sequences/00/labels/{scan:06d}.label")
    return root


@pytest.fixture(scope="module")
def bag(kitti, tmp_path_factory) -> Path:
    """The same recording, with ground truth, as a bag."""
    path = tmp_path_factory.mktemp("bag") / "drive"
    run("convert", "semantic-kitti", kitti, path)
    return path


@pytest.fixture(scope="module")
def student(tiny_checkpoint, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("student") / "tiny.safetensors"
    checkpoints.save(tiny_checkpoint, path)
    return path


@pytest.fixture(scope="module")
def labelled(bag, student, tmp_path_factory):
    """Folder and output of `clip2scene label` of the bag."""
    out = tmp_path_factory.mktemp("labelled") / "out"
    return out, run("label", "rosbag", bag, out, "--checkpoint", student).stdout


@pytest.fixture
def copied(bag, tmp_path) -> Callable[[dict[str, list[str]]], Path]:
    """Makes a copy of the bag in which these topics have other names, several, or are left out."""

    def copy(renamed: dict[str, list[str]]) -> Path:
        reader = BagReader(bag)
        with new_bag(tmp_path / "copy") as copy:
            for topic, logged_ns, raw in reader.raw(list(reader.types)):
                for name in renamed.get(topic, [topic]):
                    copy.write(name, reader.types[topic], logged_ns, raw)
        return tmp_path / "copy"

    return copy


class TestHelp:
    def test_every_option_is_explained(self):
        for name, command in typer.main.get_command(cli.app).commands.items():
            assert command.help, name
            for parameter in command.params:
                assert getattr(parameter, "help", "an argument"), f"{name} {parameter.name}"

    def test_fits_into_80_columns(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        for name in [None, *typer.main.get_command(cli.app).commands]:
            text = run(*filter(None, [name, "--help"])).stdout
            assert max(map(len, text.splitlines())) <= 80, name
            assert "…" not in text, name

    def test_version_is_that_of_the_package(self):
        version = ElementTree.parse(ROOT / "package.xml").findtext("version")
        assert run("--version").stdout == f"clip2scene {version}\n"


class TestInspect:
    def test_says_what_a_recording_holds(self, kitti):
        text = run("inspect", "semantic-kitti", kitti, "--with", "ego_motion=none").stdout
        assert "frames        3" in text
        assert "first scan    360 points, frame 'velodyne'" in text
        assert "columns       xyz, intensity" in text
        assert "ground truth  semantic_kitti" in text
        assert "note          as asked for, all scans have the same pose" in text

    def test_tells_predictions_from_truth(self, bag, labelled):
        text = run("inspect", bag).stdout
        assert "labels in the clouds: semantic_kitti" in text and "predictions" not in text
        text = " ".join(run("inspect", labelled[0] / "labelled").stdout.split())
        assert "labels in the clouds: street" in text and "are predictions, not ground truth" in text

    def test_takes_options_of_the_recording(self, bag, kitti):
        text = run("inspect", "rosbag", bag, "--with", "points_topic=/lidar/points").stdout
        assert "3 usable scans of /lidar/points" in text
        assert "has no sequence '8'" in error_of("inspect", "semantic-kitti", kitti, "--with", "sequences=8")

    def test_a_bag_says_what_it_is_good_for(self, bag, tmp_path):
        text = run("inspect", bag, "--json", tmp_path / "report.json").stdout
        for line in (
            r"/lidar/points +PointCloud2 +3 +10.0 +0.10 +0 +velodyne",
            r"odom\n.── base_link +\(10.0 Hz over 0.2 s\)\n +.── velodyne +\(static\)",
            r"ok TF says how 'velodyne' moves in 'odom'",
            r"ros2 launch clip2scene_ros segment.launch.py points:=/lidar/points fixed_frame:=odom",
            r"!! no camera images",
        ):
            assert re.search(line, text), f"{line} is not in\n{text}"
        report = json.loads((tmp_path / "report.json").read_text())
        assert report == json.loads(json.dumps(inspect_bag(bag).to_dict()))
        assert report["motion"]["scans_usable"] == 3

    def test_a_kind_needs_a_folder_and_json_a_bag(self, kitti, tmp_path):
        assert "nuscenes does not exist; it has to be a bag, or a kind" in error_of("inspect", "nuscenes")
        error = error_of("inspect", "semantic-kitti", kitti, "--json", tmp_path / "x.json")
        assert "--json is for bags" in error

    def test_a_bag_without_tf_says_so(self, copied):
        bag = copied({"/tf": [], "/tf_static": []})
        text = " ".join(run("inspect", "rosbag", bag, "--with", "ego_motion=tf").stdout.split())
        assert "TF does not say how 'velodyne' moves: all scans have the same pose" in text


class TestConvert:
    def test_a_bag_has_every_point_and_its_truth(self, bag):
        source = open_source("rosbag", bag)
        assert len(source) == SCANS
        names_of = {c.id: c.name for c in source.label_set.classes} | {source.label_set.ignore_id: None}
        kitti_names = {40: "road", 44: "parking", 50: "building", 10: "car", 0: None}
        for index in range(SCANS):
            points, raw = street(index)
            np.testing.assert_array_equal(source[index].scan.xyz, points[:, :3])
            np.testing.assert_array_equal(source[index].scan.intensity, points[:, 3])
            truth = [names_of[id] for id in source[index].labels.class_id.tolist()]
            assert truth == [kitti_names[id] for id in raw.tolist()]

    def test_only_the_first_frames(self, bag, tmp_path):
        out = tmp_path / "short [red]"
        text = run("convert", "rosbag", bag, out, "--frames", 2).stdout
        assert len(open_source("rosbag", out)) == 2
        assert f"wrote {out}\n" in text, "on one line, however long, and to the letter"

    def test_what_a_user_should_know_of_the_recording_is_told(self, labelled, tmp_path):
        text = run("convert", "rosbag", labelled[0] / "labelled", tmp_path / "again").stdout
        assert "note: the labels of /lidar/points are predictions, not ground truth\n" in text

    def test_a_bag_is_replaced_only_when_asked(self, bag, kitti, tmp_path):
        out = tmp_path / "bag"
        run("convert", "rosbag", bag, out, "--frames", 1)
        assert f"{out} exists" in error_of("convert", "semantic-kitti", kitti, out)
        assert len(open_source("rosbag", out)) == 1
        run("convert", "semantic-kitti", kitti, out, "--overwrite")
        assert len(open_source("rosbag", out)) == SCANS
        assert names(tmp_path) == ["bag"]

    def test_a_recording_is_never_replaced_by_what_is_made_of_it(self, bag, student, tmp_path):
        recording = tmp_path / "labelled"
        run("convert", "rosbag", bag, recording)
        before = {path.name: path.read_bytes() for path in recording.iterdir()}
        for arguments in (
            ("convert", "rosbag", recording, recording / ".." / "labelled", "--overwrite"),
            ("label", "rosbag", recording, tmp_path, "--checkpoint", student),
        ):
            assert "is the recording itself" in error_of(*arguments)
        assert {path.name: path.read_bytes() for path in recording.iterdir()} == before

    def test_a_recording_lies_not_in_what_is_replaced(self, bag, tmp_path):
        run("convert", "rosbag", bag, tmp_path / "drive")
        (file,) = (tmp_path / "drive").glob("*.mcap")
        assert "is the recording itself" in error_of(
            "convert", "rosbag", file, tmp_path / "drive", "--overwrite"
        )
        assert file.is_file()

    @pytest.mark.parametrize(("format", "name"), [("mcap", "b"), ("sqlite3", "b"), ("ros1", "b.bag")])
    def test_every_format_can_be_read_again(self, bag, tmp_path, format, name):
        out = tmp_path / name
        text = run("convert", "rosbag", bag, out, "--format", format, "--compress").stdout
        assert f"wrote {out}\n" in text
        source, again = open_source("rosbag", bag), open_source("rosbag", out)
        for index in range(SCANS):
            np.testing.assert_array_equal(again[index].scan.xyz, source[index].scan.xyz)
            np.testing.assert_array_equal(again[index].labels.class_id, source[index].labels.class_id)
        assert "labels in the clouds: semantic_kitti" in run("inspect", out).stdout

    def test_a_bag_of_ros_1_needs_its_suffix(self, bag, tmp_path):
        error = error_of("convert", "rosbag", bag, tmp_path / "b", "--format", "ros1")
        assert "b cannot be a bag of format ros1, which is one file; name it NAME.bag" in error

    def test_an_interruption_leaves_nothing(self, bag, tmp_path, monkeypatch):
        def interrupted(self, index):
            if index == 1:
                raise KeyboardInterrupt
            return read(self, index)

        source = type(open_source("rosbag", bag))
        read = source.__getitem__
        monkeypatch.setattr(source, "__getitem__", interrupted)
        assert error_of("convert", "rosbag", bag, tmp_path / "bag", code=130) == "interrupted"
        assert names(tmp_path) == []


class TestLabel:
    def test_leaves_a_bag_a_summary_and_a_picture(self, labelled):
        out, text = labelled
        assert names(out) == ["labelled", "picture.png", "summary.json"]
        assert f"wrote labelled, summary.json and picture.png to {out}\n" in text
        assert "3 labelled" in text
        with Image.open(out / "picture.png") as picture:
            picture.load()
            assert picture.width > 1000
        summary = json.loads((out / "summary.json").read_text())
        assert summary["scans"] == SCANS
        assert summary["stage_ms"].keys() == {"voxelise", "network", "classify"}
        assert all(ms > 0 for ms in summary["stage_ms"].values())

    def test_every_row_has_a_class_of_the_student(self, labelled, bag, tiny_checkpoint):
        out, _ = labelled
        before, after = open_source("rosbag", bag), open_source("rosbag", out / "labelled")
        assert after.label_set.names == tiny_checkpoint.label_set.names
        given = set()
        for index in range(SCANS):
            np.testing.assert_array_equal(after[index].scan.xyz, before[index].scan.xyz)
            assert after[index].scan.stamp_ns == before[index].scan.stamp_ns
            assert after[index].scan.frame_id == "velodyne"
            assert 0 < after[index].labels.probability.min() <= after[index].labels.probability.max() <= 1
            given |= set(after[index].labels.class_id.tolist())
        assert given <= set(after.label_set.ids.tolist()) and len(given) > 1

    def test_earlier_results_are_replaced(self, bag, student, tmp_path):
        for frames in (2, 1):
            run("label", "rosbag", bag, tmp_path, "--checkpoint", student, "--frames", frames)
            assert len(open_source("rosbag", tmp_path / "labelled")) == frames
        assert names(tmp_path) == ["labelled", "picture.png", "summary.json"]

    def test_an_interruption_leaves_nothing(self, bag, student, tmp_path, monkeypatch):
        def interrupted(self, frame, stages):
            if frame.scan.stamp_ns > 0:
                raise KeyboardInterrupt
            return segment(self, frame, stages)

        segment = SemanticSegmenter.segment
        monkeypatch.setattr(SemanticSegmenter, "segment", interrupted)
        out = tmp_path / "out"
        assert error_of("label", "rosbag", bag, out, "--checkpoint", student, code=130) == "interrupted"
        assert names(out) == []


class TestEvaluate:
    def test_the_figures_are_those_of_a_count(self, labelled, bag, student, tmp_path):
        """Predictions as `label` wrote them, truth as this file made it."""
        json_file = tmp_path / "figures" / "of.json"
        arguments = ("evaluate", "rosbag", bag, "--checkpoint", student, "--json", json_file)
        text = run(*arguments, "--more-than", 150).stdout
        source = open_source("rosbag", labelled[0] / "labelled")
        name_of = {c.id: c.name for c in source.label_set.classes}
        predicted = np.array([name_of[id] for frame in source for id in frame.labels.class_id.tolist()])
        truth = np.array([STREET_OF_RAW[id] for scan in range(SCANS) for id in street(scan)[1].tolist()])
        known = truth != None  # noqa: E711 - element by element
        predicted, truth = predicted[known], truth[known]

        figures = json.loads(json_file.read_text())
        for name in source.label_set.names:
            union = ((truth == name) | (predicted == name)).sum()
            iou = ((truth == name) & (predicted == name)).sum() / union if union else None
            assert figures["iou"][name] == (None if iou is None else pytest.approx(iou, abs=1e-4)), name
            assert figures["points_of_class"][name] == (truth == name).sum()
        assert (truth == "car").sum() > 150
        mean = np.mean([figures["iou"][name] for name in ("road", "building", "car")])
        assert figures["miou"] == pytest.approx(mean, abs=1e-4)
        assert figures["accuracy"] == pytest.approx((truth == predicted).mean(), abs=1e-4)
        assert (figures["frames"], figures["points"]) == (SCANS, known.sum())
        assert (figures["label_set"], figures["checkpoint"]) == ("street", str(student))

        row = next(line.split() for line in text.splitlines() if "building" in line)
        assert f"{100 * figures['iou']['building']:.1f}" in row
        assert f"mIoU {100 * mean:.1f} % over classes with more than 150 points, 3 scans" in text
        assert names(json_file.parent) == ["of.json"]

    def test_classes_of_few_points_are_not_in_the_mean(self, kitti, student):
        text = run("evaluate", "semantic-kitti", kitti, "--checkpoint", student).stdout
        assert "mIoU - % over classes with more than 1,000 points" in text

    def test_settings_reach_the_student(self, kitti, student, tmp_path):
        answers = []
        for share in (0, 1):
            file = tmp_path / f"{share}.json"
            settings = ("--set", f"scan_statistics={share}", "--json", file)
            run("evaluate", "semantic-kitti", kitti, "--checkpoint", student, *settings)
            answers.append(json.loads(file.read_text())["confusion"])
        assert answers[0] != answers[1]

    def test_a_recording_without_truth(self, kitti, student, tmp_path):
        bare = tmp_path / "sequences" / "11"
        bare.mkdir(parents=True)
        (bare / "velodyne").symlink_to(kitti / "sequences" / "00" / "velodyne")
        file = tmp_path / "figures.json"
        arguments = ("evaluate", "semantic-kitti", tmp_path, "--checkpoint", student, "--json", file)
        assert "the recording has no ground truth" in error_of(*arguments)
        assert not file.exists()

    def test_predictions_are_no_truth(self, labelled, student):
        error = error_of("evaluate", "rosbag", labelled[0] / "labelled", "--checkpoint", student)
        assert "are predictions, no ground truth" in error


class TestSimulate:
    def test_writes_a_town_once_and_inspects_it(self, tmp_path):
        arguments = ("simulate", tmp_path, "--towns", 1, "--sweeps", 1, "--first-seed", 3)
        run(*arguments)
        assert names(tmp_path) == ["town_000003.npz"]
        written = (tmp_path / "town_000003.npz").stat()
        run(*arguments)
        assert (tmp_path / "town_000003.npz").stat() == written, "simulated twice"
        text = run("inspect", "simulated", tmp_path).stdout
        assert "frames        1" in text and "ground truth  town" in text

    def test_an_interruption_leaves_whole_towns_only(self, tmp_path, monkeypatch):
        def interrupted(file, **columns):
            Path(file).write_bytes(b"half")
            raise KeyboardInterrupt

        scan = LidarScan(
            xyz=np.zeros((1, 3), np.float32),
            intensity=np.zeros(1),
            ring=np.zeros(1),
            stamp_ns=0,
            frame_id="lidar",
        )
        labels = SemanticLabels(class_id=np.ones(1, np.uint16))
        sweep = TrainingSweep(scan=scan, labels=labels, sensor_height_m=1.8, lidar="VLP-16")
        monkeypatch.setattr(sweeps, "random_sweeps", lambda seed, count: [sweep] * count)
        run("simulate", tmp_path, "--towns", 1)
        monkeypatch.setattr(np, "savez", interrupted)
        assert error_of("simulate", tmp_path, "--towns", 2, code=130) == "interrupted"
        assert names(tmp_path) == ["town_000000.npz"]

    @pytest.mark.parametrize(
        ("form", "written"),
        [
            ("bag", ["drives.json", "town_000004"]),
            ("nuscenes", ["drives.json", "imageseg", "lidarseg", "maps", "samples", "v1.0-sim"]),
        ],
    )
    def test_writes_drives_and_leaves_those_that_are_there(self, form, written, small_towns, tmp_path):
        drives = ("simulate", tmp_path, "--as", form, "--drives", 1, "--first-seed", 4)
        options = ("--frames", 1, "--lidar", "VLP-16", "--cameras", "kitti", "--size", "64x20")
        run(*drives, *options)
        assert [name for name in names(tmp_path) if not name.startswith(".")] == written
        assert "1 of 1 drives were there" in run(*drives, *options).stdout
        error = error_of(*drives, *options, "--size", "32x10")
        assert "holds drives with image_size [64, 20], got [32, 10]; name another folder" in error
        recording = ("rosbag", tmp_path / "town_000004") if form == "bag" else ("nuscenes", tmp_path)
        assert "64 x 20" in run("inspect", *recording).stdout

    def test_drives_can_be_read_without_being_written(self, small_towns, tmp_path):
        options = ("seed=4", "drives=2", "frames=1", "lidar=VLP-16", "cameras=kitti", "size=64x20")
        settings = [word for option in options for word in ("--with", option)]
        text = run("inspect", "simulated", "-", *settings).stdout
        assert "frames        2" in text and "64 x 20, pinhole" in text and "ground truth  town" in text
        assert "source nuscenes needs a root" in error_of("inspect", "nuscenes", "-")
        run("convert", "simulated", "-", tmp_path / "bag", *settings, "--frames", 1)
        assert len(open_source("rosbag", tmp_path / "bag")) == 1

    def test_options_that_do_not_fit_together(self, tmp_path):
        assert "--lidar is for --as bag or nuscenes, got --as sweeps" in error_of(
            "simulate", tmp_path, "--lidar", "VLP-16"
        )
        assert "--sweeps is for --as sweeps, got --as bag" in error_of(
            "simulate", tmp_path, "--as", "bag", "--sweeps", 2
        )
        assert "size must read WIDTHxHEIGHT" in error_of("simulate", tmp_path, "--as", "bag", "--size", "8")
        assert "lens equidistant has no place in it" in error_of(
            "simulate", tmp_path, "--as", "nuscenes", "--lens", "equidistant"
        )
        assert names(tmp_path) == []


TINY_RUN = (
    "--set=student.variant=14",
    "--set=student.width=0.05",
    "--set=student.embedding_dim=16",
    "--set=student.voxel_m=0.5",
    "--set=training.steps=2",
    "--set=training.batch=1",
    "--set=training.loaders=0",
    "--set=training.device=cpu",
)


class TestFinetune:
    @pytest.fixture(autouse=True)
    def lightning(self):
        pytest.importorskip("lightning", reason="lightning is not installed: clip2scene_ros[train]")

    def finetune(self, kitti, folder) -> tuple:
        return ("finetune", "semantic-kitti", kitti, folder, *TINY_RUN)

    def test_an_interrupted_run_goes_on_and_its_checkpoint_labels(self, kitti, bag, tmp_path, monkeypatch):
        from clip2scene_core.training import finetune as module

        def interrupted(*arguments):
            os.kill(os.getpid(), signal.SIGINT)
            return entropy(*arguments)

        entropy, out = module.cross_entropy, tmp_path / "run"
        config = tmp_path / "wide.yaml"
        config.write_text("student: {variant: 34}\ntraining: {learning_rate: 0.004}\n")
        arguments = (*self.finetune(kitti, out), "--config", config)
        with monkeypatch.context() as patch:
            patch.setattr(module, "cross_entropy", interrupted)
            assert error_of(*arguments, code=130) == "interrupted"
        assert self.steps(out) == [1]
        monkeypatch.setattr(sys, "argv", ["/bin/clip2scene", *map(str, arguments)])
        text = run(*arguments).stdout
        assert self.steps(out) == [1, 2]
        assert "2/2" in text and "lovasz" in text and f"wrote {out / 'student.safetensors'}\n" in text
        saved = load(RunConfig, out / "config.yaml")
        assert (saved.student.variant, saved.training.learning_rate) == (14, 0.004), "--set beats the file"
        made = checkpoints.load(out / "student.safetensors")
        assert made.training["command"] == " ".join(["clip2scene", *map(str, arguments)])
        assert (made.training["scans"], made.training["steps"]) == (SCANS, 2)
        assert f"{os.cpu_count()} CPU cores" in made.training["hardware"]
        run("label", "rosbag", bag, tmp_path / "out", "--checkpoint", out / "student.safetensors")
        assert "2/2" in run(*arguments).stdout, "a run that was finished before"
        assert self.steps(out) == [1, 2]
        other = error_of(*arguments, "--set", "training.seed=5")
        assert "holds a run with another configuration" in other

    def test_a_run_from_a_checkpoint_has_its_student(self, kitti, student, tmp_path):
        """Nothing is said of the student: it is that of the checkpoint, here with voxels of another size."""
        out, start = tmp_path / "run", ("--from", student, "--set=student.voxel_m=0.4", *TINY_RUN[4:])
        text = run("finetune", "semantic-kitti", kitti, out, *start).stdout
        assert f"note: from {student} with its heads and the embeddings of its words" in " ".join(
            text.split()
        )
        began, made = checkpoints.load(student), checkpoints.load(out / "student.safetensors")
        assert (made.student.width, made.student.embedding_dim) == (0.05, began.student.embedding_dim)
        assert made.student.voxel_m == 0.4
        assert load(RunConfig, out / "config.yaml").start == str(student)
        error = error_of("finetune", "semantic-kitti", kitti, out, *start, "--set=student.variant=18")
        assert error == f"error: student.variant expected 14, that of {student}, got 18"

    def steps(self, folder: Path) -> list[int]:
        return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]

    def test_a_missing_extra_is_named_with_its_brackets(self, kitti, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "lightning.fabric", None)
        error = error_of(*self.finetune(kitti, tmp_path / "run"))
        assert (
            error == "error: lightning is not installed; install it with: pip install 'clip2scene_ros[train]'"
        )

    def test_an_unknown_setting_has_a_suggestion(self, kitti, tmp_path):
        error = error_of(*self.finetune(kitti, tmp_path / "run"), "--set", "training.step=3")
        assert error == "error: unknown setting 'training.step'; did you mean 'steps'?"
        assert names(tmp_path) == []


class TestAdapt:
    def test_writes_a_checkpoint_that_knows_the_recording(self, bag, student, tmp_path, monkeypatch):
        out = tmp_path / "new" / "adapted.safetensors"
        arguments = ("adapt", "rosbag", bag, out, "--checkpoint", student, "--frames", 2, "--set=share=0.75")
        monkeypatch.setattr(sys, "argv", ["/bin/clip2scene", *map(str, arguments)])
        text = run(*arguments).stdout
        assert "2/2" in text and "statistics of 2 of 3 scans, with a share of 0.75" in text
        assert f"wrote {out}\n" in text and names(out.parent) == ["adapted.safetensors"]
        (entry,) = checkpoints.load(out).training["adapted"]
        assert entry == {
            "command": " ".join(["clip2scene", *map(str, arguments)]),
            "checkpoint": str(student),
            "recording": "rosbag drive",
            "scans": 2,
            "skipped": 0,
            "share": 0.75,
        }
        run("evaluate", "rosbag", bag, "--checkpoint", out)

    def test_what_cannot_be_adapted(self, bag, student, tmp_path):
        arguments = ("adapt", "rosbag", bag, tmp_path / "out", "--checkpoint", student)
        assert "out: expected a name that ends in .safetensors" in error_of(*arguments)
        arguments = ("adapt", "rosbag", bag, tmp_path / "out.safetensors", "--checkpoint", student)
        assert "'share' must be between 0.0 and 1.0, got 2" in error_of(*arguments, "--set=share=2")
        assert names(tmp_path) == []

    def test_an_interruption_leaves_nothing(self, bag, student, tmp_path, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(type(open_source("rosbag", bag)), "__getitem__", interrupted)
        out = tmp_path / "out.safetensors"
        assert error_of("adapt", "rosbag", bag, out, "--checkpoint", student, code=130) == "interrupted"
        assert names(tmp_path) == []


@pytest.fixture
def pictures(tmp_path):
    """A folder with two pictures, one of them lying on its side as its Exif says, and one that is none."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    (folder / "trip").mkdir(parents=True)
    Image.fromarray(rng.integers(0, 256, (24, 40, 3), np.uint8)).save(folder / "street.png")
    lying, exif = Image.fromarray(rng.integers(0, 256, (24, 40, 3), np.uint8)), Image.Exif()
    exif[0x0112] = 6
    lying.save(folder / "trip" / "street.jpg", exif=exif)
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    return folder


@pytest.fixture
def teacher(clip_folder, tmp_path, monkeypatch):
    """Arguments that name a tiny teacher, which keeps its words in an empty folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = ("templates=none", "height_px=24", "window_px=0")
    return ("--model", f"local-dir:{clip_folder}", *(a for s in settings for a in ("--set", s)))


class TestLabelImages:
    def test_every_pixel_of_every_picture_has_a_class_of_the_words(self, pictures, teacher, tmp_path):
        out = tmp_path / "out"
        done = run("label-images", pictures, "--out", out, "--words", "road, car|van, tree", *teacher)
        assert "class ids, overlays and label_set.yaml of 2 pictures" in done.stdout
        assert "broken.jpg is no readable picture" in done.stdout
        assert names(out) == ["label_set.yaml", "street.png", "street_overlay.png", "trip"]
        for name, size in (("street", (40, 24)), ("trip/street", (24, 40))):
            ids = Image.open(out / f"{name}.png")
            assert (ids.mode, ids.size) == ("L", size)
            assert set(np.unique(ids)) <= {1, 2, 3}
            assert Image.open(out / f"{name}_overlay.png").width == 600
        vocabulary = LabelSet.named(str(out / "label_set.yaml"))
        assert vocabulary.phrases == (("road",), ("car", "van"), ("tree",))

    def test_what_cannot_be_labelled_is_an_error(self, pictures, teacher, tmp_path):
        assert "none does not exist" in error_of("label-images", pictures / "none")
        (tmp_path / "empty").mkdir()
        assert "no picture; they end in .jpg" in error_of("label-images", tmp_path / "empty")
        only_broken = ("label-images", pictures / "broken.jpg", "--out", tmp_path / "out")
        done = CliRunner().invoke(cli.app, [str(a) for a in (*only_broken, *teacher)])
        assert done.exit_code == 1 and "none of 1 pictures could be read" in done.stderr
        assert "did you mean 'smoothing'?" in error_of("label-images", pictures, "--set", "smothing=1")
        assert "given twice" in error_of("label-images", pictures, "--words", "car,car")


class DriveWithImages:
    """Two frames of a car that looks ahead."""

    camera_names, notes, label_set = ("front",), (), None
    base_from_camera = SE3.from_rotation_translation([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [0, 0, 0])

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Frame:
        index = range(2)[index]
        rng, stamp_ns = np.random.default_rng(index), 1_700_000_000_000_000_000 + index * 100_000_000
        camera = Camera(width=40, height=24, matrix=np.array([[20.0, 0, 20], [0, 20.0, 12], [0, 0, 1]]))
        rgb = rng.integers(0, 256, (24, 40, 3), np.uint8)
        xyz = rng.uniform((3, -5, -2), (20, 5, 2), (300, 3)).astype(np.float32)
        return Frame(
            scan=LidarScan(xyz=xyz, stamp_ns=stamp_ns, frame_id="lidar"),
            world_from_lidar=SE3.identity(),
            images={"front": CameraImage(rgb=rgb, camera=camera, stamp_ns=stamp_ns, frame_id="camera")},
            world_from_camera={"front": self.base_from_camera},
        )

    def mounting(self, index: int) -> dict[str, SE3]:
        return {"lidar": SE3.identity(), "camera": self.base_from_camera}


@pytest.fixture(scope="module")
def drive_with_images(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("images") / "drive"
    write_bag(DriveWithImages(), path)
    return path


class TestCache:
    def test_what_the_teacher_sees_is_stored_once_and_read_back(self, drive_with_images, teacher, tmp_path):
        out = tmp_path / "features"
        arguments = ("cache", "rosbag", drive_with_images, out, *teacher)
        done = run(*arguments)
        assert "2 frames computed, 0 were there" in done.stdout and "2 frames," in done.stdout
        assert "0 frames computed, 2 were there" in run(*arguments).stdout
        features = FeatureCache(out, verify=True)
        assert features.patches(1, "front").features.shape == (1, 24, 3, 5)
        assert features.key["recording"] == f"rosbag {drive_with_images.name}"
        error = error_of(*arguments, "--set", "mode=sclip")
        assert "mode expected 'sclip', got 'maskclip'" in error

    def test_a_recording_without_images_has_nothing_to_store(self, kitti, teacher, tmp_path):
        error = error_of("cache", "semantic-kitti", kitti, tmp_path / "features", *teacher)
        assert "has no cameras" in error and not (tmp_path / "features").exists()


class TestView:
    def test_a_picture_shows_the_truth_the_student_or_the_teacher(self, kitti, student, teacher, tmp_path):
        out = tmp_path / "picture.png"
        for who in ((), ("--by", "student", "--checkpoint", student), ("--by", "teacher", *teacher)):
            run("view", "semantic-kitti", kitti, out, "--frame", 1, *who)
            assert Image.open(out).size == (1600, 880)
            out.unlink()

    def test_a_recording_for_rerun(self, kitti, tmp_path):
        pytest.importorskip("rerun", reason="rerun is not installed: pip install 'clip2scene_ros[viz]'")
        run("view", "semantic-kitti", kitti, tmp_path / "drive.rrd", "--frames", 2)
        assert names(tmp_path) == ["drive.rrd"]

    def test_a_frame_without_labels_among_others_is_named(
        self, make_frame, frame_list, monkeypatch, tmp_path
    ):
        pytest.importorskip("rerun", reason="rerun is not installed: pip install 'clip2scene_ros[viz]'")
        frames = [make_frame([[1, 2, 3]], [1]), make_frame([[1, 2, 3]])]
        source = frame_list(frames, LabelSet.named("street"))
        monkeypatch.setattr(cli.labelling, "open_frames", lambda *arguments: source)
        error = error_of("view", "scannet", tmp_path, tmp_path / "drive.rrd")
        assert f"frame 1 of {tmp_path} has no ground truth; try --by student" in error
        assert names(tmp_path) == []

    def test_what_cannot_be_shown_is_an_error(self, kitti, tmp_path):
        assert "ends in .png or .rrd" in error_of("view", "semantic-kitti", kitti, tmp_path / "drive.gif")
        assert "the last one" in error_of("view", "semantic-kitti", kitti, tmp_path / "x.png", "--frame", 9)


MINE = """
name: mine
classes:
  - {id: 7, name: street, colour: [1, 2, 3], phrases: [road, lane]}
  - {id: 9, name: house, colour: [4, 5, 6]}
maps: {semantic_kitti: {road: street, building: house, car: ignore}}
"""


class TestWords:
    @pytest.fixture
    def taught(self, tiny_checkpoint, clip_folder, tmp_path, monkeypatch):
        """The random student as one that a tiny CLIP taught."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        asked = {"model": f"local-dir:{clip_folder}", "pretrained": "", "templates": "none"}
        by = load_clip(f"local-dir:{clip_folder}").identity | asked
        checkpoints.save(replace(tiny_checkpoint, training={"teacher": by}), tmp_path / "taught.safetensors")
        return tmp_path / "taught.safetensors"

    def test_points_are_labelled_in_new_words(self, bag, taught, tmp_path):
        words = ("--checkpoint", taught, "--words", "tram|streetcar, house")
        run("label", "rosbag", bag, tmp_path / "out", *words)
        made = open_source("rosbag", tmp_path / "out" / "labelled")
        assert made.label_set.names == ("tram", "house")
        assert set(np.unique(made[0].labels.class_id)) <= {0, 1, 2}
        run("view", "rosbag", bag, tmp_path / "x.png", "--by", "student", *words)

    def test_truth_is_met_in_the_words_of_a_label_set_that_has_no_map(self, kitti, taught, tmp_path):
        (tmp_path / "mine.yaml").write_text(MINE)
        arguments = ("evaluate", "semantic-kitti", kitti, "--label-set", tmp_path / "mine.yaml")
        done = run(*arguments, "--checkpoint", taught, "--json", tmp_path / "figures.json")
        assert "asked in the words of mine" in " ".join(done.stdout.split())
        figures = json.loads((tmp_path / "figures.json").read_text())
        assert figures["points_of_class"].keys() == {"street", "house"}
        assert all(figures["points_of_class"].values())
        assert sum(map(sum, np.array(figures["confusion"])[:, :2].tolist())) > 0, "answers in its words"

    def test_a_label_set_can_be_the_vocabulary(self, bag, taught, tmp_path):
        (tmp_path / "mine.yaml").write_text(MINE)
        vocabulary = ("--checkpoint", taught, "--label-set", tmp_path / "mine.yaml")
        run("label", "rosbag", bag, tmp_path / "out", *vocabulary)
        assert open_source("rosbag", tmp_path / "out" / "labelled").label_set.ids.tolist() == [7, 9]

    def test_words_that_cannot_be_had(self, bag, student, taught, tmp_path):
        label = ("label", "rosbag", bag, tmp_path / "out", "--words", "tram", "--checkpoint")
        error = error_of(*label, student)
        assert "'tram' is not in the checkpoint, and no CLIP taught it" in error
        error = error_of(*label, taught, "--model", "local-dir:/nowhere")
        assert "/nowhere holds no open_clip_config.json; say where it is now by model" in error
        assert not (tmp_path / "out").exists()


class TestErrors:
    """Each is one line on stderr and exit code 1, see error_of."""

    def test_recordings(self, kitti, tmp_path):
        assert "source 'waymo' is unknown; known are nuscenes" in error_of("inspect", "waymo", kitti)
        assert "nowhere does not exist" in error_of("inspect", "kitti-raw", tmp_path / "nowhere")
        assert "clip2scene simulate" in error_of("inspect", "simulated", tmp_path)
        assert "has no .mcap, .db3 or .bag file" in error_of("inspect", "rosbag", tmp_path)
        assert "has no option 'sequence'; it has sequences" in error_of(
            "inspect", "semantic-kitti", kitti, "--with", "sequence=00"
        )

    def test_a_recording_without_scans(self, tmp_path):
        (tmp_path / "sequences/00/velodyne").mkdir(parents=True)
        assert "has no numbered .bin files" in error_of("inspect", "semantic-kitti", tmp_path)

    def test_bags_that_need_a_choice(self, copied, student, tmp_path):
        path = copied({"/lidar/points": ["/front/points", "/rear/points"]})
        for command in (("label", "rosbag", path, tmp_path / "out"), ("evaluate", "rosbag", path)):
            error = error_of(*command, "--checkpoint", student)
            assert "/front/points, /rear/points; choose one with points_topic=NAME" in error
        chosen = ("--checkpoint", student, "--with", "points_topic=/rear/points", "--frames", 1)
        run("label", "rosbag", path, tmp_path / "out", *chosen)

    def test_a_fixed_frame_that_tf_does_not_know(self, copied, student, tmp_path):
        path = copied({"/tf": [], "/tf_static": []})
        arguments = ("label", "rosbag", path, tmp_path / "out", "--checkpoint", student)
        error = error_of(*arguments, "--with", "fixed_frame=map")
        assert "no transform from 'velodyne' to 'map'" in error
        assert not (tmp_path / "out").exists()

    def test_checkpoints(self, kitti, student, tmp_path):
        with safe_open(student, framework="pt") as file:
            header = json.loads(file.metadata()["clip2scene"])
        future = tmp_path / "future.safetensors"
        metadata = {"clip2scene": json.dumps(header | {"format_version": 99})}
        save_file(load_file(student), future, metadata=metadata)
        for path, error in (
            (future, "format_version expected 1, got 99"),
            (tmp_path / "none.safetensors", "none.safetensors does not exist"),
            (kitti / "sequences/00/velodyne/000000.bin", "no readable safetensors file"),
        ):
            assert error in error_of("evaluate", "semantic-kitti", kitti, "--checkpoint", path)
            arguments = ("label", "semantic-kitti", kitti, tmp_path / "out", "--checkpoint", path)
            assert error in error_of(*arguments)
        assert not (tmp_path / "out").exists()

    def test_settings_and_label_sets(self, kitti, student):
        arguments = ("evaluate", "semantic-kitti", kitti, "--checkpoint", student)
        assert "did you mean 'threads'?" in error_of(*arguments, "--set", "thread=2")
        assert "must read key=value" in error_of(*arguments, "--set", "threads")
        assert "label set 'streets' is unknown" in error_of(*arguments, "--label-set", "streets")

    def test_results_that_cannot_be_written(self, kitti, student, tmp_path):
        (tmp_path / "file").write_text("no folder")
        out = tmp_path / "file" / "out"
        assert str(out.parent) in error_of("convert", "semantic-kitti", kitti, out)

    def test_wrong_usage_has_exit_code_2(self, kitti):
        done = CliRunner().invoke(cli.app, ["evaluate", "semantic-kitti", str(kitti), "--frame", "2"])
        assert done.exit_code == 2 and "--frame" in done.stderr

    def test_the_installed_command_exits_with_the_same_code(self, monkeypatch, capsys):
        monkeypatch.setattr(sys, "argv", ["clip2scene", "inspect", "waymo", "nowhere"])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        captured = capsys.readouterr()
        assert (exit.value.code, captured.out) == (1, "")
        assert captured.err.startswith("error: source 'waymo' is unknown")
