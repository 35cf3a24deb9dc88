"""From a kind and a folder to a source."""

from __future__ import annotations

import pytest

from clip2scene_core.data import open_source
from clip2scene_core.data.bag_writer import write_bag
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
    with pytest.raises(ConfigError, match="'waymo' is unknown; known are nuscenes, kitti-raw"):
        open_source("waymo", tmp_path)
    with pytest.raises(ConfigError, match="nuscenes has no option 'scene'; it has version, scenes"):
        open_source("nuscenes", tmp_path, scene="scene-0061")
    with pytest.raises(ConfigError, match="rosbag needs a root"):
        open_source("rosbag")
    with pytest.raises(DataError, match="nowhere does not exist"):
        open_source("rosbag", tmp_path / "nowhere")


def test_the_first_frames_of_a_source(kitti_raw):
    first = FirstFrames(open_source("kitti-raw", kitti_raw), 2)
    assert [frame.scan.stamp_ns for frame in first] == [1_000_000_000, 1_100_000_000]
    assert first.camera_names == ("image_02",)
    assert set(first.mounting(0)) == {"velodyne", "image_02"}
    assert len(FirstFrames(open_source("kitti-raw", kitti_raw), 9)) == 3
