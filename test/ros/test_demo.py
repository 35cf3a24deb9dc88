"""A small drive goes through the node in a process of its own: every scan is labelled and recorded."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tf2_ros", reason="ROS 2 is not installed")

from clip2scene_core.cameras import Camera
from clip2scene_core.data.bag_writer import write_bag
from clip2scene_core.data.rosbag import RosbagSource
from clip2scene_core.errors import Clip2SceneError, DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import CameraImage, Frame, LidarScan, SemanticLabels
from clip2scene_ros.demo import run_demo
from clip2scene_ros.demo.audience import stamp_ns_of_raw
from clip2scene_ros.demo.passes import percentiles
from clip2scene_ros.demo.player import delayed

SCANS = 4
POINTS = 6_000
TOWN, STREET = LabelSet.named("town"), LabelSet.named("street")
NS_PER_S = 1_000_000_000


class Drive:
    """A FrameSource: a vehicle goes straight at 5 m/s over a road with buildings left and right."""

    label_set = TOWN
    camera_names = ("front",)
    notes = ()

    def __len__(self) -> int:
        return SCANS

    def __getitem__(self, index: int) -> Frame:
        random = np.random.default_rng(index)
        xyz = random.uniform((-30, -10, 0), (30, 10, 5), (POINTS, 3)).astype(np.float32)
        is_road = np.abs(xyz[:, 1]) < 5
        xyz[is_road, 2] = 0
        stamp_ns = 100 * NS_PER_S + index * NS_PER_S // 10
        world_from_base = SE3.from_yaw(0.0, np.array([0.5 * index, 0.0, 0.0]))
        camera = Camera(width=64, height=48, matrix=np.array([[50, 0, 32], [0, 50, 24], [0, 0, 1.0]]))
        mounting = self.mounting(index)
        return Frame(
            scan=LidarScan(xyz=xyz, stamp_ns=stamp_ns, frame_id="lidar"),
            world_from_lidar=world_from_base @ mounting["lidar"],
            images={
                "front": CameraImage(
                    rgb=np.full((48, 64, 3), 40 * index, np.uint8),
                    camera=camera,
                    stamp_ns=stamp_ns + 20_000_000,
                    frame_id="front_optical",
                )
            },
            world_from_camera={"front": world_from_base @ mounting["front_optical"]},
            labels=SemanticLabels(
                class_id=np.where(is_road, TOWN.id_of("parking"), TOWN.id_of("building")).astype(np.uint16)
            ),
        )

    def mounting(self, index: int) -> dict[str, SE3]:
        optical = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
        return {
            "lidar": SE3.from_yaw(0.0, np.array([0.0, 0.0, 1.8])),
            "front_optical": SE3.from_rotation_translation(optical, np.array([0.3, 0.0, 1.5])),
        }


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "drive"
    write_bag(Drive(), path)
    return path


@pytest.fixture(scope="module")
def demo(bag, checkpoint, tmp_path_factory):
    """The summary of one demo, its folder, and the calls of its progress."""
    out, calls = tmp_path_factory.mktemp("demo") / "out", []
    summary = run_demo(
        bag,
        out,
        checkpoint=str(checkpoint),
        rate=4.0,
        settings={"sweeps": 1, "engine": "torch"},
        progress=lambda done, **fields: calls.append((done, fields["total"])),
    )
    return summary, out, calls


def test_every_scan_is_labelled_and_every_row_kept(demo) -> None:
    summary, _, calls = demo
    assert (summary.scans, summary.labelled, summary.every_row_kept) == (SCANS, SCANS, True)
    assert summary.points_per_scan == POINTS and summary.cameras == ("front",)
    assert calls[:SCANS] == [(done, SCANS) for done in range(1, SCANS + 1)]
    assert summary.notes == ()


def test_times_add_up(demo) -> None:
    summary, _, _ = demo
    assert 0 < summary.latency_ms["p50"] <= summary.latency_ms["p90"] <= summary.latency_ms["max"]
    # The node looks at its clock after publishing, when the answer may have arrived already.
    assert summary.node_latency_ms["p50"] < summary.latency_ms["p50"] + 50
    stages = summary.stage_ms
    assert {"decode", "images", "transforms", "network", "encode", "publish"} <= stages.keys()
    assert sum(stages.values()) <= summary.node_latency_ms["max"]
    mean_ms = 1e3 / summary.rate_hz
    assert summary.latency_ms["p50"] / 2 < mean_ms <= summary.latency_ms["max"] + 0.1


def test_real_time_counts_every_scan_once(demo) -> None:
    real_time = demo[0].real_time
    assert real_time.scans == SCANS and real_time.rate == 4.0
    assert real_time.labelled + real_time.overtaken == SCANS and real_time.labelled >= 1


def test_the_recorded_bag_has_the_scans_with_labels_poses_and_names(demo) -> None:
    _, out, _ = demo
    labelled = RosbagSource(out / "labelled")
    assert len(labelled) == SCANS and labelled.label_set.names == STREET.names
    for index in range(SCANS):
        expected, frame = Drive()[index], labelled[index]
        np.testing.assert_array_equal(frame.scan.xyz, expected.scan.xyz)
        assert frame.scan.stamp_ns == expected.scan.stamp_ns and frame.scan.frame_id == "lidar"
        np.testing.assert_allclose(frame.world_from_lidar.matrix, expected.world_from_lidar.matrix, atol=1e-9)
        assert set(frame.labels.class_id.tolist()) <= {0, *STREET.ids.tolist()}
        assert frame.labels.probability.min() >= 0 and frame.labels.probability.max() <= 1
    assert sorted(p.name for p in out.iterdir()) == [
        "fastdds.xml",
        "labelled",
        "node.log",
        "segment.yaml",
        "summary.json",
    ]


def test_iou_is_that_of_the_recorded_labels(demo) -> None:
    summary, out, _ = demo
    labelled, iou = RosbagSource(out / "labelled"), summary.evaluation["iou"]
    truth = np.concatenate(
        [np.where(np.abs(Drive()[i].scan.xyz[:, 1]) < 5, "road", "building") for i in range(SCANS)]
    )
    names = {c.id: c.name for c in STREET.classes} | {0: ""}
    predicted = np.array([names[id] for i in range(SCANS) for id in labelled[i].labels.class_id.tolist()])
    for name in ("road", "building", "car"):
        union = ((truth == name) | (predicted == name)).sum()
        expected = ((truth == name) & (predicted == name)).sum() / union if union else None
        assert iou[name] == (None if expected is None else pytest.approx(expected, abs=1e-4)), name


def test_the_summary_is_written_as_json(demo) -> None:
    summary, out, _ = demo
    written = json.loads((out / "summary.json").read_text())
    assert written["labelled"] == SCANS and written["real_time"]["scans"] == SCANS
    assert written == json.loads(json.dumps(summary.to_dict()))


def test_a_node_that_does_not_start_is_explained(bag, tmp_path) -> None:
    with pytest.raises(Clip2SceneError, match=r"the node ended with exit code 1: checkpoint .*nowhere"):
        run_demo(bag, tmp_path / "out", checkpoint=str(tmp_path / "nowhere.safetensors"))
    assert not (tmp_path / "out" / "labelled").exists()


def test_an_interruption_leaves_no_half_bag(bag, checkpoint, tmp_path) -> None:
    def interrupt(done: int, **fields) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_demo(bag, tmp_path / "out", checkpoint=str(checkpoint), progress=interrupt)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"fastdds.xml", "node.log", "segment.yaml"}


def test_a_bag_that_is_none_is_an_error(tmp_path) -> None:
    with pytest.raises(DataError, match=r"has no \.mcap, \.db3 or \.bag file"):
        run_demo(tmp_path, tmp_path / "out")


def test_scans_are_played_after_what_was_recorded_with_them() -> None:
    recorded = [("points", 100, b"p1"), ("image", 100, b"i1"), ("image", 140, b"i2"), ("points", 200, b"p2")]
    played = [
        (m.raw, m.logged_ns, m.due_ns) for m in delayed([*recorded, ("image", 300, b"i3")], "points", 50)
    ]
    assert played == [
        (b"i1", 100, 100),
        (b"i2", 140, 140),
        (b"p1", 100, 150),
        (b"p2", 200, 250),
        (b"i3", 300, 300),
    ]


def test_stamps_are_read_from_both_byte_orders() -> None:
    assert stamp_ns_of_raw(b"\0\1\0\0" + struct.pack("<iI", 12, 34)) == 12_000_000_034
    assert stamp_ns_of_raw(b"\0\0\0\0" + struct.pack(">iI", 12, 34)) == 12_000_000_034


def test_percentiles() -> None:
    assert percentiles([]) == {}
    assert percentiles(range(101)) == {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
