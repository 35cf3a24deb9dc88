"""The configuration of each data set for pre-training, on a tiny fake of that data set."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from test_scannet import write_scene
from test_t4 import write_t4

from clip2scene_core.build import build_student
from clip2scene_core.config import PretrainConfig, load, to_dict
from clip2scene_core.data import open_source
from clip2scene_core.data.bag_writer import write_bag
from clip2scene_core.data.batch import collate
from clip2scene_core.data.open import known_options
from clip2scene_core.labels import LabelSet
from clip2scene_core.training.pretraining_samples import PretrainingSamples

CONFIGURATIONS = Path(__file__).resolve().parents[3] / "config"


@pytest.fixture
def bag(kitti_raw, tmp_path):
    write_bag(open_source("kitti-raw", kitti_raw, ego_motion="none"), tmp_path / "bag")
    return tmp_path / "bag"


@pytest.fixture
def t4(tmp_path):
    return write_t4(tmp_path / "t4")


@pytest.fixture
def scannet(tmp_path):
    write_scene(tmp_path / "scannet")
    return tmp_path / "scannet"


KINDS = {
    "nuscenes": "nuscenes",
    "semantic_kitti": "semantic-kitti",
    "kitti_raw": "kitti-raw",
    "t4": "t4",
    "scannet": "scannet",
    "bag": "rosbag",
}
"""Kind of recording by the name of its configuration, which is that of its fixture too."""


def configuration(name: str) -> PretrainConfig:
    return load(PretrainConfig, CONFIGURATIONS / f"pretrain_{name}.yaml")


def leaves(tree: dict, *above: str):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, *above, name)
        else:
            yield ".".join((*above, name)), value


def test_each_data_set_has_a_configuration_and_none_is_without_a_test():
    names = {path.stem.removeprefix("pretrain_") for path in CONFIGURATIONS.glob("pretrain_*.yaml")}
    assert names == {*KINDS, "small"}


@pytest.mark.parametrize("name", [*KINDS, "small"])
def test_a_configuration_says_only_what_is_not_so_by_default(name):
    defaults = dict(leaves(to_dict(PretrainConfig())))
    given = dict(leaves(yaml.safe_load((CONFIGURATIONS / f"pretrain_{name}.yaml").read_text())))
    assert {key: value for key, value in given.items() if defaults[key] == value} == {}
    assert {key: dict(leaves(to_dict(configuration(name))))[key] for key in given} == given


@pytest.mark.parametrize("name", KINDS)
def test_a_configuration_fits_its_reader_and_makes_student_and_samples(name, request):
    run, kind, root = configuration(name), KINDS[name], request.getfixturevalue(name)
    with_sweeps = "sweeps" in known_options(kind, root)
    assert with_sweeps == (run.pairing.sweeps > 1)
    options = {"sweeps": run.pairing.sweep_window} if with_sweeps else {}
    if kind in ("semantic-kitti", "kitti-raw"):
        options["ego_motion"] = "none"  # five points are too few for KISS-ICP
    source = open_source(kind, root, **options)
    vocabulary = LabelSet.named(run.label_set)
    if source.label_set is not None and kind != "rosbag":
        assert vocabulary == source.label_set or vocabulary.names == source.label_set.names
    student = build_student(run.student, engine="torch").eval()
    samples = PretrainingSamples(source, run.student, run.pairing, 0, per_point=student.per_point)
    crop, pairs = run.pairing.crop, 0
    for index in range(len(source)):
        frame, sample = source[index], samples[0, index]
        assert sample.unreadable is None
        assert run.student.colour == (frame.scan.rgb is not None)
        assert len(sample.clouds) == min(run.pairing.sweeps, 1 + len(frame.sweeps))
        assert sample.images.shape == (len(sample.image_keys), crop.height, crop.width, 3)
        pairs += len(sample.pairs)
    assert pairs > 0 or name == "nuscenes", "of the few points of that fake its camera sees none"
    assert crop.height % 16 == crop.width % 16 == 0, "whole patches of ViT-B/16"
    assert student(collate(sample.clouds)).semantic.shape == (sample.rows, 512)
