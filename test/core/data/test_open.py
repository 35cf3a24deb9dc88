"""From a kind and a folder to a source."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from clip2scene_core.data import open_source
from clip2scene_core.data.bag_writer import write_bag
from clip2scene_core.data.joined import JoinedDrives
from clip2scene_core.data.new_bag import BagFormat
from clip2scene_core.data.open import find_recordings, parse_options
from clip2scene_core.data.source import SomeFrames, first_frames
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.labels import LabelSet


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
    first = first_frames(open_source("kitti-raw", kitti_raw), 2)
    assert [frame.scan.stamp_ns for frame in first] == [1_000_000_000, 1_100_000_000]
    assert first[-1].scan.stamp_ns == 1_100_000_000
    assert first.camera_names == ("image_02",)
    assert set(first.mounting(0)) == {"velodyne", "image_02"}
    for count in (0, 9):
        assert len(first_frames(open_source("kitti-raw", kitti_raw), count)) == 3


def test_each_so_manyth_frame_of_a_source(kitti_raw):
    chosen = SomeFrames(open_source("kitti-raw", kitti_raw), range(1, 3, 2))
    assert [frame.scan.stamp_ns for frame in chosen] == [1_100_000_000]
    assert set(chosen.mounting(0)) == {"velodyne", "image_02"}
    assert chosen.camera_names == ("image_02",) and not chosen.moves, "as the source, which has no poses"


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


def drive(kitti_raw, path, first=0):
    """The recording as a bag of its own; frames are told apart by the number of their points."""
    write_bag(first_frames(open_source("kitti-raw", kitti_raw, ego_motion="none"), 3 - first), path)
    return path


def test_bags_of_a_folder_are_one_source_whose_sweeps_stay_within_their_drive(kitti_raw, tmp_path):
    folder = tmp_path / "drives"
    drive(kitti_raw, folder / "2/deep/bag")
    drive(kitti_raw, folder / "10")
    source = open_source("rosbag", folder, sweeps=5, ego_motion="tf")
    assert len(source) == 6
    assert [len(source[i].scan.xyz) for i in range(6)] == [4, 5, 6, 4, 5, 6], "frames are counted through"
    assert [len(source[i].sweeps) for i in range(6)] == [0, 1, 2, 0, 1, 2]
    assert len(source[-1].scan.xyz) == 6
    assert source.camera_names == ("image_02",)
    assert set(source.mounting(5)) == {"velodyne", "image_02"}
    with pytest.raises(IndexError):
        source[6]
    assert [len(f.scan.xyz) for f in pickle.loads(pickle.dumps(source))] == [4, 5, 6, 4, 5, 6]


def test_several_roots_are_joined_in_their_order_and_each_recording_once(kitti_raw, tmp_path):
    first, second = drive(kitti_raw, tmp_path / "a/bag"), drive(kitti_raw, tmp_path / "b/bag", first=1)
    source = open_source("rosbag", [second, first, tmp_path / "a"], ego_motion="tf")
    assert [len(frame.scan.xyz) for frame in source] == [4, 5, 4, 5, 6]
    assert list(find_recordings("rosbag", [second, first])) == ["b/bag", "a/bag"]
    assert len(open_source("kitti-raw", [kitti_raw])) == 3


@pytest.mark.parametrize(
    ("names", "bags"),
    [
        (["monday.bag", "tuesday.bag"], ["monday.bag", "tuesday.bag"]),
        (["day_1.bag", "day_2.bag"], ["day_1.bag", "day_2.bag"]),  # both begin at the same time
        (["a.bag", "2/b.bag"], ["bag", "2"]),
        (["a.bag", ".trash/b.bag"], ["bag"]),
    ],
)
def test_files_of_ros_1_beside_each_other_are_bags_of_their_own(kitti_raw, tmp_path, names, bags):
    folder = tmp_path / "bag"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_bag(
            open_source("kitti-raw", kitti_raw, ego_motion="none"), folder / name, format=BagFormat.ROS1
        )
    assert list(find_recordings("rosbag", folder)) == bags
    assert len(open_source("rosbag", folder, ego_motion="tf")) == 3 * len(bags)


def test_what_is_no_folder_of_bags_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"has no .mcap, .db3 or .bag file: not a bag, and no folder of bags"):
        open_source("rosbag", tmp_path)
    with pytest.raises(DataError, match="source rosbag needs a root, got none"):
        open_source("rosbag", [])


def test_cameras_are_united_labels_are_common_or_left_out_and_notes_name_their_drive(
    kitti_raw, semantic_kitti, frame_list, make_frame
):
    town, street = LabelSet.named("town"), LabelSet.named("street")
    labelled = make_frame(np.zeros((2, 3)), [1, 2])
    raw = open_source("kitti-raw", kitti_raw)
    one, two, other = (
        frame_list([labelled], town),
        frame_list([labelled], town),
        frame_list([labelled], street),
    )
    one.camera_names, two.camera_names = ("front", "left"), ("right", "front")
    one.notes, two.notes = ("dusty", "dark"), ("dark",)
    joined = JoinedDrives({"a": one, "raw": raw, "b": two})
    assert joined.camera_names == ("front", "left", "image_02", "right")
    assert joined.label_set == town and joined[4].labels.class_id.tolist() == [1, 2]
    assert joined[1].labels is None
    assert JoinedDrives({"a": one, "b": two}).notes == ("a: dusty", "dark")
    mixed = JoinedDrives({"a": one, "other": other})
    assert mixed.label_set is None and mixed[0].labels is None
    assert mixed.notes[-1] == "the recordings are labelled with different label sets, so labels are left out"
