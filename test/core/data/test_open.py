"""From a kind and a folder to a source."""

from __future__ import annotations

import pytest

from clip2scene_core.data import open_source
from clip2scene_core.data.bag_writer import write_bag
from clip2scene_core.data.open import parse_options
from clip2scene_core.data.source import FirstFrames
from clip2scene_core.errors import ConfigError, DataError


def test_every_kind_opens_its_recordings(kitti_raw):
    source = open_source("kitti-raw", kitti_raw, sweeps=1)
    assert (len(source), len(source[2].sweeps)) == (3, 1)
    write_bag(source, kitti_raw / "bag")
    assert len(open_source("rosbag", kitti_raw / "bag")) == 3


def test_nuscenes_and_semantic_kitti(nuscenes, tmp_path):
    assert len(open_source("nuscenes", str(nuscenes), split="mini_val")) == 1
    with pytest.raises(DataError, match="not the root of SemanticKITTI"):
        open_source("semantic-kitti", nuscenes)


def test_unknown_kinds_options_and_roots_are_named(tmp_path):
    with pytest.raises(ConfigError, match="'waymo' is unknown; known are nuscenes, t4, kitti-raw"):
        open_source("waymo", tmp_path)
    with pytest.raises(ConfigError, match="nuscenes has no option 'scene'; it has version, scenes"):
        open_source("nuscenes", tmp_path, scene="scene-0061")
    with pytest.raises(ConfigError, match="rosbag needs a root"):
        open_source("rosbag")
    with pytest.raises(DataError, match="nowhere does not exist"):
        open_source("rosbag", tmp_path / "nowhere")


def test_progress_is_told_to_who_opens_and_is_no_option(kitti_raw):
    told = []
    open_source("kitti-raw", kitti_raw, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(ConfigError, match="kitti-raw has no option 'progress'; it has drive, cameras"):
        open_source("kitti-raw", kitti_raw, **parse_options("kitti-raw", kitti_raw, ["progress=1"]))


def test_the_first_frames_of_a_source(kitti_raw):
    first = FirstFrames(open_source("kitti-raw", kitti_raw), 2)
    assert [frame.scan.stamp_ns for frame in first] == [1_000_000_000, 1_100_000_000]
    assert first[-1].scan.stamp_ns == 1_100_000_000
    assert first.camera_names == ("image_02",)
    assert set(first.mounting(0)) == {"velodyne", "image_02"}
    assert len(FirstFrames(open_source("kitti-raw", kitti_raw), 9)) == 3


def test_options_are_read_from_text_as_the_kind_takes_them(semantic_kitti, kitti_raw):
    options = parse_options("semantic-kitti", semantic_kitti, ["sequences=00", "sweeps=2", "cameras=[]"])
    assert options == {"sequences": ["00"], "sweeps": 2, "cameras": []}
    source = open_source("semantic-kitti", semantic_kitti, **options)
    assert (len(source), len(source[2].sweeps), source.camera_names) == (3, 2, ())
    assert parse_options("semantic-kitti", semantic_kitti, ["sequences=[00, 11]"])["sequences"] == [
        "00",
        "11",
    ]
    assert parse_options("kitti-raw", kitti_raw, ["drive=0001"]) == {"drive": "0001"}
    assert parse_options("rosbag", kitti_raw, ["image_slop_ms=2.5"]) == {"image_slop_ms": 2.5}
    assert parse_options("rosbag", kitti_raw, ["deskew=False"]) == {"deskew": False}


def test_options_that_cannot_be_read(kitti_raw):
    with pytest.raises(ConfigError, match="option 'sweeps' must read key=value"):
        parse_options("kitti-raw", kitti_raw, ["sweeps"])
    with pytest.raises(ConfigError, match="option sweeps of kitti-raw must be of type int, got 'many'"):
        parse_options("kitti-raw", kitti_raw, ["sweeps=many"])
    with pytest.raises(ConfigError, match="option deskew of rosbag must be of type bool, got 'no'"):
        parse_options("rosbag", kitti_raw, ["deskew=no"])
    with pytest.raises(ConfigError, match="kitti-raw has no option 'sweep'; it has drive"):
        open_source("kitti-raw", kitti_raw, **parse_options("kitti-raw", kitti_raw, ["sweep=1"]))
