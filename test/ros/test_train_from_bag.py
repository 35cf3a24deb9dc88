"""`ros2 run clip2scene_ros train_from_bag`, from bags on disk to a checkpoint that the node loads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rclpy.utilities import remove_ros_args
from typer.testing import CliRunner

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core import cli
from clip2scene_core.cameras import Camera
from clip2scene_core.config import InferenceConfig
from clip2scene_core.data import open_source
from clip2scene_core.data.bag_writer import write_bag
from clip2scene_core.geometry import SE3
from clip2scene_core.inference import SemanticSegmenter
from clip2scene_core.training import pretrain as training
from clip2scene_core.types import CameraImage, Frame, LidarScan
from clip2scene_ros import node, train_from_bag

pytest.importorskip("lightning", reason="lightning is not installed: pip install 'clip2scene_ros[train]'")

CAMERA = Camera(width=56, height=32, matrix=np.array([[30.0, 0, 28], [0, 30, 16], [0, 0, 1]]))
AHEAD = SE3.from_rotation_translation(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.zeros(3))
"""`lidar_from_camera` of one that looks along x."""


class Street:
    """A LiDAR that moves 1 m a scan towards a wall at the end of a road, with or without a camera."""

    label_set = None
    notes = ()

    def __init__(self, scans: int, *, camera: bool = True) -> None:
        self.scans = scans
        self.camera_names = ("front",) if camera else ()

    def __len__(self) -> int:
        return self.scans

    def __getitem__(self, index: int) -> Frame:
        rng = np.random.default_rng(index)
        road = rng.uniform((2, -5, -1.8), (15, 5, -1.7), (200, 3))
        wall = rng.uniform((12, -5, 0.2), (12.2, 5, 3), (200, 3))
        world_from_lidar = SE3.from_rotation_translation(np.eye(3), np.array([float(index), 0, 0]))
        rgb = rng.integers(0, 256, (CAMERA.height, CAMERA.width, 3), np.uint8)
        stamp_ns = (index + 1) * 10**8
        image = CameraImage(rgb=rgb, camera=CAMERA, stamp_ns=stamp_ns, frame_id="camera")
        return Frame(
            scan=LidarScan(
                xyz=np.concatenate([road, wall]).astype(np.float32), stamp_ns=stamp_ns, frame_id="lidar"
            ),
            world_from_lidar=world_from_lidar,
            images=dict.fromkeys(self.camera_names, image),
            world_from_camera=dict.fromkeys(self.camera_names, world_from_lidar @ AHEAD),
        )

    def mounting(self, index: int) -> dict[str, SE3]:
        return {"lidar": SE3.identity(), "camera": AHEAD}


@pytest.fixture(scope="module")
def bags(tmp_path_factory) -> Path:
    """Two drives of three and two scans, and apart from them one without a camera and one that is none."""
    folder = tmp_path_factory.mktemp("bags")
    write_bag(Street(3), folder / "drives/monday")
    write_bag(Street(2), folder / "drives/tuesday")
    write_bag(Street(2, camera=False), folder / "blind")
    (folder / "broken").mkdir()
    (folder / "broken/broken.mcap").write_text("no bag")
    return folder


TINY = {
    "teacher.templates": "none",
    "student.variant": 14,
    "student.width": 0.05,
    "student.embedding_dim": 24,
    "student.voxel_m": 0.5,
    "pairing.sweeps": 2,
    "pairing.crop": "{height: 32, width: 56, pairs: 20}",
    "training.batch": 1,
    "training.epochs": 1,
    "training.loaders": 0,
    "training.device": "cpu",
}


@pytest.fixture
def train(bags, clip_folder, tmp_path, monkeypatch, capsys):
    """Runs the executable among the bags with a tiny student; gives what it says, and its error."""
    monkeypatch.chdir(bags)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(training, "save_picture", lambda *_, **__: None)

    def run(*arguments: object, code: int = 0) -> tuple[str, str]:
        settings = [f"--set={key}={value}" for key, value in TINY.items()]
        teacher = [f"--model=local-dir:{clip_folder}", "--words=road, wall|house"]
        ours = [*teacher, *settings, *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", ["train_from_bag", *ours, "--ros-args", "-r", "__node:=trainer"])
        with pytest.raises(SystemExit) as ended:
            train_from_bag.main()
        said = capsys.readouterr()
        assert ended.value.code == code, said
        return said.out, said.err

    return run


def test_one_command_makes_a_checkpoint_of_several_bags_that_the_node_loads(train, bags, tmp_path):
    run = tmp_path / "run"
    text, _ = train("drives", "--out", run)
    assert "monday: 3 of 3 scans can be learnt from" in text
    assert "tuesday: 2 of 2 scans can be learnt from" in text
    assert re.search(r"frames +5, each with up to 1 earlier sweep\b", text)
    assert re.search(r"steps +5 of 1 frame, 1 epoch\b", text)
    assert f"wrote {run / 'student.safetensors'}" in text
    assert len((run / "log.jsonl").read_text().splitlines()) == 5
    made = checkpoints.load(run / "student.safetensors")
    assert made.label_set.names == ("road", "wall")
    assert made.training["command"] == " ".join(sys.argv)
    assert made.training["scans"] == 5
    config = InferenceConfig(checkpoint=str(run / "student.safetensors"), device="cpu", engine="torch")
    segmenter = node._from_checkpoint(config)
    assert isinstance(segmenter, SemanticSegmenter)
    frame = open_source("rosbag", bags / "drives/monday")[0]
    assert set(segmenter.segment(frame).class_id) <= {1, 2}


def test_it_says_how_sensors_belong_together(train):
    text, _ = train("drives/monday", "--check")
    rows = dict(re.findall(r"^  (\S+(?: \w+)?)  +(.+?) *$", text, re.MULTILINE))
    assert rows["LiDAR"] == "/lidar/points, 10.0 Hz, 400 points a scan in 'lidar'"
    assert rows["ego motion"] == "TF odom > base_link > lidar"
    topics = "/front/image/compressed, pinhole by /front/camera_info"
    assert f"{topics}, TF lidar > base_link > camera" in text
    (seen,) = re.findall(r"front +56 x 32 +10.0 +0 +0 +100% +(\d+)%", text)
    frame = Street(1)[0]
    depth, left, up = frame.scan.xyz.T  # by hand: x ahead, y to the left, z up
    column, row = 28 - 30 * left / depth, 16 - 30 * up / depth
    inside = (column > -0.5) & (column < 55.5) & (row > -0.5) & (row < 31.5)
    assert abs(int(seen) - 100 * inside.mean()) < 5
    assert "epoch" not in text, "nothing is trained"


def test_a_bag_that_cannot_be_learnt_from_ends_the_run_unless_it_is_left_out(train, tmp_path):
    text, error = train("drives/tuesday", "blind", "--out", tmp_path / "run", code=1)
    assert error == (
        "error: 1 of 2 bags cannot be learnt from, see !! above: blind; mend them, or leave them out with "
        "--skip-unusable\n"
    )
    reason = (
        "!! no camera images: nothing teaches names from this bag; record images with their CameraInfo, as "
        "Image or CompressedImage"
    )
    assert "blind: 0 of 2 scans" in text and reason in text
    assert not (tmp_path / "run").exists()
    text, _ = train("drives/tuesday", "blind", "--skip-unusable", "--check")
    assert "left out: blind" in text
    text, _ = train("drives/tuesday", "broken", "--skip-unusable", "--check")
    assert "!! broken/broken.mcap cannot be read: it begins with b'no bag', as no bag of ROS does" in text
    assert "left out: broken" in text
    _, error = train("blind", "--skip-unusable", code=1)
    assert error == "error: the bag cannot be learnt from, see !! above: blind\n"


def test_sweeps_are_not_joined_without_ego_motion(train):
    text, _ = train("drives/monday", "--with=ego_motion=none", "--check", code=1)
    assert (
        "!! no ego motion: 2 sweeps cannot be joined; leave --with ego_motion=none out, or --set "
        "pairing.sweeps=1"
    ) in text
    train("drives/monday", "--with=ego_motion=none", "--check", "--set=pairing.sweeps=1")


def test_pretrain_says_the_same_of_bags(bags, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(cli.app, ["pretrain", "rosbag", str(bags), "--check"])
    assert done.exit_code == 1
    assert "monday: 3 of 3 scans can be learnt from" in done.stdout
    assert done.stderr.startswith("error: 2 of 4 bags cannot be learnt from, see !! above: blind, broken")
    assert CliRunner().invoke(cli.app, ["pretrain", "rosbag", str(bags / "drives"), "--check"]).exit_code == 0
    done = CliRunner().invoke(cli.app, ["pretrain", "kitti-raw", str(bags), "--check"])
    assert done.stderr.startswith("error: --check and --skip-unusable are for bags")


def test_features_that_were_kept_of_bags_in_another_order_are_refused(train, bags, tmp_path, clip_folder):
    features = tmp_path / "features"
    looks = [f"--model=local-dir:{clip_folder}", "--set=height_px=0"]
    done = CliRunner().invoke(cli.app, ["cache", "rosbag", str(bags / "drives"), str(features), *looks])
    assert done.exit_code == 0, done.output
    kept = f"--set=features={features}"
    train("drives/monday", "drives/tuesday", kept, "--out", tmp_path / "run")
    _, error = train("drives/tuesday", "drives/monday", kept, code=1)
    assert error == (
        f"error: features {features}: recording expected 'rosbag tuesday monday', got 'rosbag monday "
        "tuesday'\n"
    )


ROS_ARGUMENTS = {
    "none": ["bag", "--out", "run"],
    "of a launch file": ["bag", "--ros-args", "-r", "__node:=trainer", "-p", "a:=b"],
    "in the middle": ["bag", "--ros-args", "-r", "__ns:=/x", "--", "--out", "run"],
    "twice": ["--ros-args", "-r", "a:=b", "--", "bag", "--ros-args", "--log-level", "debug"],
}


@pytest.mark.parametrize("arguments", ROS_ARGUMENTS.values(), ids=ROS_ARGUMENTS)
def test_arguments_for_ros_are_taken_out_as_rclpy_does(arguments):
    assert train_from_bag.without_ros_arguments(arguments) == remove_ros_args(arguments)


def test_renames_of_old_launch_files_are_taken_out_too():
    assert train_from_bag.without_ros_arguments(["bag", "__node:=trainer", "__log:=x"]) == ["bag"]
    assert train_from_bag.without_ros_arguments(["--words", "a:=b"]) == ["--words", "a:=b"]


def test_it_runs_where_there_is_no_ros(bags):
    """In a process of its own, in which importing rclpy fails."""
    code = (
        "import sys; sys.modules['rclpy'] = None; sys.argv = ['train_from_bag', 'drives', '--check']\n"
        "from clip2scene_ros.train_from_bag import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=bags, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "tuesday: 2 of 2 scans" in done.stdout
