"""What the documents promise exists: commands and their options, files, make targets, configurations."""

from __future__ import annotations

import ast
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.cli import app
from clip2scene_core.config import PretrainConfig, RunConfig, TrainingConfig, load
from clip2scene_core.data.open import SOURCES
from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation import sweeps
from clip2scene_core.simulation.sampling import TrainingSweep
from clip2scene_core.simulation.town import Town
from clip2scene_core.types import LidarScan, SemanticLabels
from clip2scene_ros.train_from_bag import app as bags

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
CONFIGURATIONS = sorted((ROOT / "config").glob("*.yaml"))


TINY_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 1},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


def extras() -> dict[str, list[str]]:
    """What setup.py assigns to EXTRAS."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXTRAS":
            return ast.literal_eval(node.value)
    raise AssertionError("setup.py has no EXTRAS")


def commands_in(path: Path, program: str) -> list[str]:
    """Code in blocks and sentences of Markdown, or in comments of YAML, that begins with a program."""
    text = path.read_text()
    if path.suffix == ".md":
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        code = [line for block in blocks for line in block.splitlines()]
        code += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    else:
        code = re.findall(r"^#\s+(.*)$", text, re.MULTILINE)
    return [line for line in code if re.match(rf"{program}( |$)", line)]


def all_commands(program: str) -> list[tuple[str, str]]:
    paths = [*DOCUMENTS, *CONFIGURATIONS]
    return [(path.name, command) for path in paths for command in commands_in(path, program)]


@pytest.mark.parametrize(("document", "line"), all_commands("clip2scene"))
def test_a_command_exists_with_its_options(document, line):
    """Parsing as the command line does it: raises for an unknown command, option, or missing argument."""
    _, *words = shlex.split(line, comments=True)
    if words:
        group = typer.main.get_command(app)
        assert words[0] in group.commands, f"{document}: {line}"
        if len(words) > 1:
            group.commands[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize(("document", "line"), all_commands("ros2 run clip2scene_ros train_from_bag"))
def test_the_executable_for_bags_takes_its_options(document, line):
    typer.main.get_command(bags).make_context("train_from_bag", shlex.split(line)[4:])


@pytest.fixture(scope="module")
def placeholders(tmp_path_factory) -> Path:
    """A folder with tiny recordings under the names that the README makes up, and config/."""
    root = tmp_path_factory.mktemp("readme")
    (root / "config").symlink_to(ROOT / "config")
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform((-10, -10, -2), (10, 10, 1), (300, 3)), np.full(300, 0.25)])
    labels = np.repeat([40, 50, 10], 100)  # road, building, car
    sequence = root / "path/to/dataset/sequences/00"
    scans = root / "path/to/2011_09_26/2011_09_26_drive_0001_sync/velodyne_points/data"
    for folder in (sequence / "velodyne", sequence / "labels", scans):
        folder.mkdir(parents=True)
    points.astype("<f4").tofile(sequence / "velodyne/000000.bin")
    labels.astype("<u4").tofile(sequence / "labels/000000.label")
    points.astype("<f4").tofile(scans / "0000000000.bin")
    pictures = scans.parents[1] / "image_02/data"
    pictures.mkdir(parents=True)
    Image.fromarray(rng.integers(0, 256, (24, 40, 3), np.uint8)).save(pictures / "0000000000.png")
    identity, date = "1 0 0 0 1 0 0 0 1", scans.parents[2]
    (date / "calib_velo_to_cam.txt").write_text(f"R: {identity}\nT: 0 0 0\n")
    (date / "calib_cam_to_cam.txt").write_text(
        f"R_rect_00: {identity}\nP_rect_02: 20 0 20 0 0 20 12 0 0 0 1 0\n"
    )
    (root / "Readme.json").write_text(json.dumps(TINY_CLIP))
    (root / "photos").mkdir()
    Image.fromarray(rng.integers(0, 256, (24, 40, 3), np.uint8)).save(root / "photos/street.png")
    bag = CliRunner().invoke(
        app, ["convert", "semantic-kitti", f"{root}/path/to/dataset", f"{root}/path/to/bag"]
    )
    assert bag.exit_code == 0, bag.output
    return root


IMAGES = "--model Readme --pretrained random --set height_px=24 --set window_px=0"
TEACHER = f"{IMAGES} --set templates=none"
SHORTER = {
    "simulate": "--towns 1 --sweeps 1",
    "simulate --as bag": "--drives 1 --frames 1 --lidar VLP-16 --size 64x36",
    "simulate --as nuscenes": "--drives 1 --frames 1 --lidar VLP-16 --size 64x36",
    "simulate --as views": "--towns 1 --views 1 --size 64x36",
    "train-clip": "--set model.image_px=16 --set model.layers=2 --set templates=none --set training.steps=1 "
    "--set training.batch=1 --set training.loaders=0 --set training.device=cpu",
    "finetune": "--set training.steps=1 --set training.batch=1 --set training.loaders=0 "
    "--set training.device=cpu --set student.variant=14 --set student.width=0.05 --set student.voxel_m=0.5",
    "pretrain": "--set teacher.model=Readme --set teacher.pretrained=random --set teacher.templates=none "
    "--set teacher.height_px=24 --set teacher.window_px=0 --set student.embedding_dim=24 "
    "--set student.width=0.05 --set student.voxel_m=0.5 "
    "--set training.steps=1 --set training.loaders=0 --set training.device=cpu",
    "evidence": "--rows teacher --set pretrain.teacher.model=Readme --set pretrain.teacher.pretrained=random "
    "--set pretrain.teacher.templates=none --set pretrain.teacher.height_px=24 "
    "--set pretrain.teacher.window_px=0 --set drives.held_out=1 --set drives.frames=1 --set drives.stride=1 "
    "--set drives.lidar=VLP-16 --set drives.size=64x36",
    "cache": IMAGES,
    "label-images": TEACHER,
    "view": TEACHER,
}
"""Options behind those of the README, with which its long commands are over in a second."""


def test_the_commands_of_the_readme_run(placeholders, monkeypatch):
    """As they stand there, one after the other, but for the options of SHORTER."""
    pytest.importorskip("lightning", reason="lightning is not installed: clip2scene_ros[train]")
    open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed: clip2scene_ros[clip]")
    open_clip.add_model_config(placeholders / "Readme.json")
    monkeypatch.setenv("XDG_CACHE_HOME", str(placeholders / "cache"))
    monkeypatch.chdir(placeholders)
    monkeypatch.setattr(sweeps, "random_sweeps", lambda seed, count: [town_sweep()] * count)
    village = Town.generate(3, "village", extent_m=30.0, duration_s=5.0)
    monkeypatch.setattr(Town, "generate", staticmethod(lambda *arguments, **settings: village))
    for line in commands_in(ROOT / "README.md", "clip2scene"):
        _, *words = shlex.split(line, comments=True)
        if words:
            form = words[words.index("--as") :][:2] if "--as" in words else []
            shorter = SHORTER.get(" ".join([words[0], *form]), "")
            done = CliRunner().invoke(app, [*words, *shlex.split(shorter)])
            assert done.exit_code == 0, f"{line}: {done.output}\n{done.exception!r}"
    results = (
        "out/result/picture.png",
        "out/bag/metadata.yaml",
        "figures.json",
        "out/run/student.safetensors",
        "out/learnt/student.safetensors",
        "out/named/street_overlay.png",
        "out/town/v1.0-sim/scene.json",
        "out/street-clip/open_clip_model.safetensors",
        "frame.png",
        "out/evidence/table.md",
    )
    assert [name for name in results if not Path(name).is_file()] == []


def town_sweep() -> TrainingSweep:
    """What takes seconds to simulate: one scan of a town."""
    scan = LidarScan(
        xyz=np.random.default_rng(1).uniform((-20, -20, -2), (20, 20, 2), (400, 3)).astype(np.float32),
        intensity=np.full(400, 0.5, np.float32),
        ring=np.zeros(400, np.uint16),
        stamp_ns=0,
        frame_id="lidar",
    )
    labels = SemanticLabels(class_id=np.repeat(np.arange(1, 5, dtype=np.uint16), 100))
    return TrainingSweep(scan=scan, labels=labels, sensor_height_m=1.8, lidar="VLP-16")


def test_the_packages_of_a_robot_are_those_that_are_required():
    """NumPy and setuptools come with ROS 2."""
    (line,) = commands_in(ROOT / "README.md", "pip install torch")
    (required,) = re.findall(r"install_requires=(\[.*?\])", (ROOT / "setup.py").read_text(), re.DOTALL)
    names = {requirement.partition(";")[0] for requirement in ast.literal_eval(required)}
    assert {*shlex.split(line, comments=True)[2:], "numpy", "setuptools"} == names


def test_the_readme_shows_the_commands():
    shown = {shlex.split(line)[1] for line in commands_in(ROOT / "README.md", "clip2scene") if " " in line}
    assert set(typer.main.get_command(app).commands) - {"demo"} <= shown


def test_recordings_are_those_that_can_be_opened():
    for line in commands_in(ROOT / "README.md", "clip2scene (label|convert|evaluate|finetune)"):
        assert shlex.split(line)[2] in {*SOURCES, "simulated"}, line
    (sentence,) = re.findall(r"^Recordings: (.*?)\. ", README, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`([^`]+)`", sentence)) == {*SOURCES, "simulated"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_is_linked_exists(document):
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    targets = [link.partition("#")[0] for link in links if not re.match(r"https?://|#|mailto:", link)]
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_readme_links_to_picture_and_figures():
    for target in ("docs/images/demo.png", "docs/benchmarks.md"):
        assert f"]({target})" in README


@pytest.mark.parametrize(("document", "line"), all_commands("make"))
def test_a_make_target_and_its_variables_exist(document, line):
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([\w-]+):", makefile, re.MULTILINE)
    variables = re.findall(r"^(?:export )?(\w+) \?=", makefile, re.MULTILINE)
    for word in shlex.split(line, comments=True)[1:]:
        name, is_variable, _ = word.partition("=")
        assert name in (variables if is_variable else targets), f"{document}: {line}"


def test_a_launch_file_takes_its_arguments():
    lines = commands_in(ROOT / "README.md", "ros2 launch clip2scene_ros")
    assert lines
    for line in lines:
        file, *arguments = shlex.split(line, comments=True)[3:]
        declared = re.findall(r"DeclareLaunchArgument\(\s*\"(\w+)\"", (ROOT / "launch" / file).read_text())
        assert {argument.partition(":=")[0] for argument in arguments} <= set(declared), line


def test_extras_exist():
    sources = [path for package in ("core", "ros") for path in (ROOT / f"clip2scene_{package}").rglob("*.py")]
    named = {
        extra
        for path in sources
        for extra in re.findall(r"MissingExtraError\([^\n]*, \"(\w+)\"\)", path.read_text())
    }
    for document in DOCUMENTS:
        for group in re.findall(r"\.\[([\w,]+)\]", document.read_text()):
            named |= set(group.split(","))
    assert {"ros", "train"} <= named <= set(extras())


def test_the_words_are_those_of_the_shipped_checkpoint():
    ((name, sentence),) = re.findall(r"checkpoint speaks `(\w+)`: (.*?)\. ", README, re.DOTALL)
    label_set = checkpoints.load().label_set
    assert (name, tuple(" ".join(sentence.split()).split(", "))) == (label_set.name, label_set.names)
    (others,) = re.findall(r"Other label sets \((.*?)\)", README, re.DOTALL)
    assert {name, *re.findall(r"`(\w+)`", others)} == set(LabelSet.shipped())


def test_every_configuration_is_known():
    """Of the node and of calibration: test/ros/test_parameters.py and test/core/data/test_calibration.py."""
    assert [path.name for path in CONFIGURATIONS] == [
        "calibration.yaml",
        "evidence.yaml",
        "evidence_small.yaml",
        "finetune_town.yaml",
        "pretrain_bag.yaml",
        "pretrain_kitti_raw.yaml",
        "pretrain_nuscenes.yaml",
        "pretrain_scannet.yaml",
        "pretrain_semantic_kitti.yaml",
        "pretrain_small.yaml",
        "pretrain_t4.yaml",
        "segment.yaml",
    ]


def test_the_readme_names_the_configuration_of_each_recording():
    named = re.findall(r"^\| .* \| `(\S+) .*--config config/(\w+).yaml`", README, re.MULTILINE)
    assert {kind for kind, _ in named} == set(SOURCES)
    assert all((ROOT / "config" / f"{name}.yaml").is_file() for _, name in named)


def test_the_outdoor_configuration_is_the_paper():
    """Section 4 of CLIP2Scene: SPVCNN, ViT-B/16, three sweeps, tau 0.5, SGD, 20 epochs, batch 4."""
    run = load(PretrainConfig, ROOT / "config" / "pretrain_nuscenes.yaml")
    assert (run.label_set, run.student.architecture, run.student.voxel_m) == ("nuscenes", "spvcnn", 0.1)
    assert (run.teacher.model, run.teacher.pretrained, run.teacher.mode) == ("ViT-B-16", "", "maskclip")
    assert (run.pairing.sweeps, run.pairing.crop.height, run.pairing.crop.width) == (3, 224, 416)
    assert (run.teacher.height_px, run.teacher.window_px) == (0, 0)
    assert (run.objective.method, run.objective.tau) == ("clip2scene", 0.5)
    assert (run.objective.semantic_loss, run.objective.fusion) == ("infonce", "points_and_pixels")
    switching, loop = run.objective.self_training, run.training
    assert (switching.switch, switching.start, switching.probability) == ("point", 0.5, 0.5)
    assert (loop.optimizer, loop.learning_rate, loop.momentum, loop.dampening) == ("sgd", 0.1, 0.9, 0.1)
    assert (loop.weight_decay, loop.epochs, loop.batch, loop.warmup, loop.average) == (1e-4, 20, 4, 0, 0)


def test_the_indoor_configuration_is_the_paper():
    """MinkowskiNet14 on coloured voxels of 5 cm, 30 epochs, batch 8, frames of 640 x 480."""
    run = load(PretrainConfig, ROOT / "config" / "pretrain_scannet.yaml")
    student, loop = run.student, run.training
    assert (run.label_set, student.architecture, student.variant) == ("scannet", "minkunet", "14A")
    assert (student.voxel_m, student.colour, student.intensity) == (0.05, True, False)
    assert (run.pairing.sweeps, run.pairing.occlusion, run.pairing.crop.tries) == (1, True, 0)
    assert (run.pairing.crop.width, run.pairing.crop.height) == (640, 480)
    assert (run.teacher.height_px, run.teacher.window_px) == (0, 0)
    assert (loop.optimizer, loop.learning_rate, loop.epochs, loop.batch) == ("sgd", 0.1, 30, 8)
    outdoors = load(PretrainConfig, ROOT / "config" / "pretrain_nuscenes.yaml").objective
    late = replace(outdoors.self_training, start=0.3333)
    assert run.objective == replace(outdoors, self_training=late)


def test_the_small_configuration_is_for_a_processor():
    run = load(PretrainConfig, ROOT / "config" / "pretrain_small.yaml")
    assert run.student.width <= 0.5
    assert (run.teacher.precision, run.training.precision) == ("fp32", "32-true")
    assert run.training.loaders <= 2


def test_the_configuration_of_the_shipped_checkpoint_loads():
    run = load(RunConfig, ROOT / "config" / "finetune_town.yaml")
    assert run.label_set == "town"
    assert run.student.width <= 0.5
    assert run.training != TrainingConfig()
