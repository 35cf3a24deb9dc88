"""The whole node over DDS with a stand-in network: what it publishes, and that nothing ends it."""

from __future__ import annotations

import array
import json
import struct
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tf2_ros", reason="ROS 2 is not installed")

import torch
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from robot import Bench, cloud, header, link, timed_cloud
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from tf2_msgs.msg import TFMessage

from clip2scene_core import checkpoint
from clip2scene_core.errors import CheckpointError
from clip2scene_core.labels import LabelSet
from clip2scene_ros.node import main

ROAD, PERSON = 1, 11
WARN, ERROR, OK = DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.OK


def changed(message: PointCloud2, **attributes) -> PointCloud2:
    for name, value in attributes.items():
        setattr(message, name, value)
    return message


def without_field(name: str) -> PointCloud2:
    message = cloud()
    message.fields = [field for field in message.fields if field.name != name]
    return message


def labels_of_good_cloud(bench: Bench) -> list[int]:
    return bench.label(cloud())["label"].tolist()


# What comes out


def test_a_cloud_comes_back_with_labels_rows_and_header(bench) -> None:
    made = bench()
    sent = cloud((1, 0, -1), (2, 0, 1), (3, 0, float("nan")), time_s=123.456)
    points = made.label(sent)
    np.testing.assert_array_equal(points["x"], [1, 2, 3])
    np.testing.assert_array_equal(points["label"], [ROAD, PERSON, 0])
    np.testing.assert_array_equal(points["probability"], np.float32([0.75, 0.75, 0]))
    assert points.dtype.names == ("x", "y", "z", "label", "probability", "rgb")
    made.robot.wait(lambda: made.robot.latencies_ms, "a latency")
    assert 0 < made.robot.latencies_ms[0] < 15_000
    assert made.segmenter.frames[0].scan.stamp_ns == 123_456_000_000


def test_the_network_sees_the_colours_of_points_and_the_answer_those_of_classes(bench) -> None:
    """Colours packed by struct, as PCL and the drivers of RGB-D cameras do it."""
    made = bench()
    fields = [
        PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1)
        for name, offset in (("x", 0), ("y", 4), ("z", 8), ("rgb", 16))
    ]
    sent = changed(
        cloud(),
        fields=fields,
        point_step=20,
        row_step=40,
        data=array.array("B", struct.pack("<3f4xI3f4xI", 5, 0, -1, 0x00010203, 5, 0, 1, 0x00FF8000)),
    )
    answer = made.label(sent)
    assert made.segmenter.frames[0].scan.rgb.tolist() == [[1, 2, 3], [255, 128, 0]]
    assert answer.dtype.names == ("x", "y", "z", "label", "probability", "rgb")
    road = LabelSet.named("street").classes[0].colour
    assert struct.pack("<f", answer["rgb"][0])[2::-1] == bytes(road)


def test_names_and_legend_are_latched(bench) -> None:
    made = bench()
    made.robot.wait(lambda: made.robot.label_infos and made.robot.legends, "latched topics without any scan")
    names = {c.class_id: c.class_name for c in made.robot.label_infos[0].class_map}
    assert names == {0: "ignore"} | {c.id: c.name for c in LabelSet.named("street").classes}
    texts = [m.text for m in made.robot.legends[0].markers if m.text]
    assert texts == list(LabelSet.named("street").names)
    made.label(cloud(frame_id="velodyne"))
    made.robot.wait(
        lambda: made.robot.legends[-1].markers[0].header.frame_id == "velodyne", "the legend to move"
    )


def test_diagnostics_have_rates_stages_and_names(bench) -> None:
    made = bench()
    made.label(cloud())
    status = made.robot.wait(
        lambda: next((s for s in made.robot.statuses if any("stage" in v.key for v in s.values)), None),
        "stages",
    )
    values = {v.key: v.value for v in status.values}
    stages = [key for key in values if key.startswith("stage ")]
    assert stages == [
        f"stage {name} (ms)" for name in ("decode", "images", "transforms", "network", "encode", "publish")
    ]
    assert status.name == "segment: labelling" and (status.level, status.message) == (OK, "labelling")
    assert values["label set"] == "street" and values["scans published"] == "1"
    assert values["input"] == "/segment/input/points"


def test_a_simulation_that_stands_still_is_labelled_and_reported(bench) -> None:
    made = bench(use_sim_time=True)
    assert labels_of_good_cloud(made) == [ROAD, PERSON]
    made.robot.statuses.clear()
    made.robot.wait(lambda: made.robot.statuses, "diagnostics without /clock")


def test_nothing_is_computed_for_nobody(bench) -> None:
    made = bench(subscribe=False)
    made.robot.points.publish(cloud())
    arrived(made, 1)
    made.expect_problem("idle: nobody subscribes")
    assert made.segmenter.frames == []


def arrived(made: Bench, count: int) -> None:
    """Wait until the node has seen so many scans."""

    def seen() -> bool:
        values = {v.key: v.value for v in made.robot.statuses[-1].values}
        return values["scans arrived"] == str(count)

    made.robot.wait(seen, f"scan {count} to arrive")


def test_only_the_newest_scan_waits_and_drops_are_counted(bench) -> None:
    made = bench()
    made.segmenter.gate.clear()
    for count in (1, 2, 3, 4):
        made.robot.points.publish(cloud(time_s=count))
        arrived(made, count)
        assert made.segmenter.running.wait(15)
    made.segmenter.gate.set()
    made.robot.wait(lambda: len(made.robot.labelled) == 2, "two labelled clouds")
    assert [m.header.stamp.sec for m in made.robot.labelled] == [1, 4]
    assert made.expect_problem("were overtaken").level == WARN


# What must be survived


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PointCloud2(), "the cloud has no field x, y, z; it has none"),
        (lambda: without_field("z"), "the cloud has no field z; it has x, y"),
        (lambda: changed(cloud(), data=array.array("B", bytes(13))), "truncated: data holds 13 bytes"),
        (
            lambda: changed(cloud(), width=1000, row_step=12_000),
            "truncated: data holds 24 bytes, but 1 x 1000",
        ),
        (lambda: changed(cloud(), height=3), "truncated: data holds 24 bytes, but 3 x 2"),
        (lambda: changed(cloud(), width=1, row_step=12), "data holds 24 bytes, but 1 x 1"),
        (lambda: changed(cloud(), point_step=0), "beyond point_step 0"),
        (
            lambda: changed(cloud(), fields=[PointField(name="x", offset=0, datatype=77, count=1)]),
            "field 'x' has unknown datatype 77",
        ),
    ],
    ids=["no fields", "no z", "truncated", "width lies", "height lies", "too narrow", "no step", "datatype"],
)
def test_a_malformed_cloud_is_named_and_the_next_one_is_labelled(bench, make, text) -> None:
    made = bench()
    made.robot.points.publish(make())
    status = made.expect_problem(text)
    assert status.level == WARN and status.message.startswith("nothing published: /segment/input/points: ")
    assert labels_of_good_cloud(made) == [ROAD, PERSON]


def test_an_empty_cloud_is_answered_empty_with_a_warning(bench) -> None:
    made = bench()
    empty = changed(cloud(), width=0, row_step=0, data=array.array("B"))
    answer = made.answer(empty)
    assert (answer.width, len(answer.data), answer.fields[-1].name) == (0, 0, "rgb")
    assert made.expect_problem("the cloud is empty").level == WARN
    assert labels_of_good_cloud(made) == [ROAD, PERSON]


def test_a_cloud_of_nans_is_answered_without_classes_and_with_a_warning(bench) -> None:
    made = bench()
    nan = float("nan")
    assert made.label(cloud((nan, nan, nan), (1, nan, 2)))["label"].tolist() == [0, 0]
    assert made.expect_problem("none of the 2 points of the cloud is finite").level == WARN


def test_stamp_zero_is_labelled_with_a_warning(bench) -> None:
    made = bench()
    assert made.label(cloud(time_s=0))["label"].tolist() == [ROAD, PERSON]
    assert made.expect_problem("the stamp of the scan is zero").level == WARN


def test_a_defect_in_the_core_is_an_error_and_the_node_lives_on(bench) -> None:
    made = bench()
    made.segmenter.failure = RuntimeError("boom")
    made.robot.points.publish(cloud())
    assert made.expect_problem("nothing published: RuntimeError: boom").level == ERROR
    made.segmenter.failure = None
    assert labels_of_good_cloud(made) == [ROAD, PERSON]


# Ego motion


def moving(made: Bench, *times_s: float) -> None:
    """odom -> lidar at 1 m/s: x in metres is the time in seconds."""
    made.robot.tf.publish(TFMessage(transforms=[link("odom", "lidar", x_m=t, time_s=t) for t in times_s]))
    lookup = made.node._framer._transforms
    made.robot.wait(lambda: lookup.knows("lidar"), "transforms")


def test_sweeps_come_with_their_poses(bench) -> None:
    made = bench(sweeps=2, sweep_age_s=10.0)
    moving(made, 100, 101, 102, 103)
    for time_s in (100, 101, 102, 103):
        made.label(cloud(time_s=time_s))
    frame = made.segmenter.frames[-1]
    assert [sweep.stamp_ns // 10**9 for sweep in frame.sweeps] == [102, 101]
    assert frame.world_from_lidar.translation[0] == 103
    assert [pose.translation[0] for pose in frame.sweeps_world_from_lidar] == [102, 101]


def test_a_transform_a_little_late_is_awaited(bench) -> None:
    made = bench(sweeps=1, tf_timeout_ms=10_000.0)
    moving(made, 100)
    made.robot.points.publish(cloud(time_s=100.5))
    arrived(made, 1)
    assert made.robot.labelled == []
    moving(made, 101)
    made.robot.wait(lambda: made.robot.labelled, "the scan that waited")
    assert made.segmenter.frames[0].world_from_lidar.translation[0] == pytest.approx(100.5)


@pytest.mark.parametrize(
    ("frame_id", "time_s", "text"),
    [
        ("nowhere", 100, "no transform from 'nowhere' to 'odom': unknown frame 'nowhere'"),
        ("", 100, "no transform from '' to 'odom': unknown frame ''"),
        ("lidar", 160, "no transform from 'lidar' to 'odom': the stamp is 59.000 s in the future"),
        ("lidar", 40, "no transform from 'lidar' to 'odom': the stamp is too old, 61.000 s before"),
    ],
    ids=["unknown frame", "no frame", "future", "past"],
)
def test_no_ego_motion_no_sweeps_no_output(bench, frame_id, time_s, text) -> None:
    made = bench(sweeps=1, tf_timeout_ms=50.0)
    moving(made, 100, 101)
    made.robot.points.publish(cloud(time_s=time_s, frame_id=frame_id))
    assert made.expect_problem(f"nothing published: {text}").level == WARN
    moving(made, 160, 161, 162) if time_s < 100 else moving(made, 101)
    again_s = 161 if time_s < 100 else 101
    assert made.label(cloud(time_s=again_s))["label"].tolist() == [ROAD, PERSON]


def test_a_lone_scan_needs_no_transform(bench) -> None:
    made = bench()
    assert made.label(cloud(frame_id="nowhere"))["label"].tolist() == [ROAD, PERSON]
    moving(made, 100, 101)
    assert made.label(cloud(frame_id="nowhere"))["label"].tolist() == [ROAD, PERSON]
    status = made.expect_problem("labelled without ego motion: no transform from 'nowhere' to 'odom'")
    assert status.level == WARN


def test_a_bag_that_starts_again_is_labelled_again(bench) -> None:
    made = bench(sweeps=2, tf_timeout_ms=10_000.0)
    moving(made, 100, 101)
    made.label(cloud(time_s=100.5))
    moving(made, 50, 51)
    made.label(cloud(time_s=50.5))
    frame = made.segmenter.frames[-1]
    assert frame.sweeps == () and frame.world_from_lidar.translation[0] == pytest.approx(50.5)


# Motion during a scan

SKEWED = (5.0, 0.0, -1.0, -0.1), (5.0, 0.0, 1.0, 0.0), (5.0, 0.0, 1.0, 0.1)
"""x, y, z and seconds after the stamp."""


def test_the_motion_during_a_scan_is_taken_out_but_not_from_the_answer(bench) -> None:
    made = bench()
    moving(made, 100, 101, 102)
    sent = timed_cloud(*SKEWED, time_s=101)
    answer = made.label(sent)
    np.testing.assert_allclose(made.segmenter.frames[0].scan.xyz[:, 0], [4.9, 5.0, 5.1], atol=1e-4)
    for column, name in enumerate(("x", "y", "z", "time")):
        np.testing.assert_array_equal(answer[name], np.float32([row[column] for row in SKEWED]))
    stages = made.robot.wait(
        lambda: next((s for s in made.robot.statuses if any("deskew" in v.key for v in s.values)), None),
        "the stage deskew",
    )
    assert stages.level == OK


@pytest.mark.parametrize(
    ("times_s", "time_s", "text"),
    [
        (
            (100, 101),
            100.95,
            "not de-skewed: no transform from 'lidar' to 'odom': the stamp is 0.050 s in the",
        ),
        ((100, 101), 100.05, "not de-skewed: no transform from 'lidar' to 'odom': the stamp is too old"),
        ((), 100, "not de-skewed: unknown frame 'odom' (fixed_frame)"),
    ],
    ids=["newest point too new", "oldest point too old", "no odom"],
)
def test_where_the_motion_is_unknown_the_scan_is_labelled_as_it_is(bench, times_s, time_s, text) -> None:
    made = bench(tf_timeout_ms=50.0)
    if times_s:
        moving(made, *times_s)
    made.label(timed_cloud(*SKEWED, time_s=time_s))
    np.testing.assert_array_equal(made.segmenter.frames[0].scan.xyz[:, 0], [5, 5, 5])
    assert made.expect_problem(text).level == WARN


def test_times_that_mean_nothing_are_named_and_the_scan_is_labelled(bench) -> None:
    made = bench()
    assert made.label(timed_cloud((5, 0, -1, 0), (5, 0, 1, 0)))["label"].tolist() == [ROAD, PERSON]
    assert made.expect_problem("/segment/input/points: field 'time' holds 0 to 0, no time of a").level == WARN


def test_a_driver_that_takes_out_the_motion_itself_is_believed(bench) -> None:
    made = bench(deskew=False)
    moving(made, 100, 101, 102)
    made.label(timed_cloud(*SKEWED, time_s=101))
    np.testing.assert_array_equal(made.segmenter.frames[0].scan.xyz[:, 0], [5, 5, 5])


# Several LiDARs


def another(made: Bench, message: PointCloud2) -> None:
    """Publish a scan of the LiDAR `left` and wait until the node has it."""
    before = len(made.node._synchronizer._clouds._kept["left"])
    made.robot.others["left"].publish(message)
    made.robot.wait(
        lambda: len(made.node._synchronizer._clouds._kept["left"]) > before, "the scan of the other LiDAR"
    )


def test_scans_of_other_lidars_are_labelled_together_in_the_frame_of_the_main_one(bench) -> None:
    """The other LiDAR is 2 m ahead and 40 ms later; both move 1 m/s."""
    made = bench(lidars=["left"])
    made.robot.tf_static.publish(TFMessage(transforms=[link("lidar", "left", x_m=2.0)]))
    moving(made, 100, 101, 102)
    made.robot.wait(lambda: made.node._framer._transforms.knows("left"), "the calibration")
    skewed = timed_cloud(
        (3, 0, 1, -0.1), (3, 0, -1, 0.0), (np.nan, 0, 0, 0.0), time_s=101.04, frame_id="left"
    )
    another(made, skewed)
    sent = cloud(time_s=101)
    answer = made.answer(sent)
    points = point_cloud2.read_points(answer)
    assert points.dtype.names == ("x", "y", "z", "label", "probability", "rgb", "lidar")
    np.testing.assert_allclose(points["x"], [5, 5, 4.94, 5.04, np.nan], atol=1e-4)
    assert points["lidar"].tolist() == [0, 0, 1, 1, 1] and points["lidar"].dtype == np.uint8
    assert points["label"].tolist() == [ROAD, PERSON, PERSON, ROAD, 0]
    assert (answer.height, answer.width, answer.header) == (1, 5, sent.header)


def test_other_lidars_do_with_the_calibration_where_the_motion_is_unknown(bench) -> None:
    made = bench(lidars=["left"], tf_timeout_ms=50.0)
    made.robot.tf_static.publish(TFMessage(transforms=[link("lidar", "left", x_m=2.0)]))
    moving(made, 100, 101)
    made.robot.wait(lambda: made.node._framer._transforms.knows("left"), "the calibration")
    another(made, cloud((3, 0, 1), time_s=110.0, frame_id="left"))
    np.testing.assert_array_equal(made.label(cloud((5, 0, 1), time_s=110.0))["x"], [5, 5])
    made.expect_problem("labelled without ego motion: no transform from 'lidar' to 'odom'")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (None, "LiDAR 'left': no usable scan within lidar_slop_ms of the main one"),
        (cloud(time_s=102, frame_id="left"), "LiDAR 'left': no usable scan within lidar_slop_ms"),
        (cloud(time_s=101, frame_id="nowhere"), "LiDAR 'left' is left out: no transform from 'nowhere' to"),
        (PointCloud2(header=header(101, "left")), "LiDAR 'left': the cloud has no field x, y, z"),
    ],
    ids=["silent", "too late", "not calibrated", "malformed"],
)
def test_another_lidar_that_is_of_no_use_is_named_and_the_main_one_is_labelled(bench, message, text) -> None:
    made = bench(lidars=["left"], tf_timeout_ms=10_000.0)
    moving(made, 100, 101, 103)
    if message is not None:
        another(made, message)
    points = made.label(cloud(time_s=101))
    assert points["label"].tolist() == [ROAD, PERSON] and points["lidar"].tolist() == [0, 0]
    assert made.expect_problem(text).level == WARN
    assert made.robot.wait(lambda: made.robot.latencies_ms, "a latency")[0] < 5_000


# Cameras


def image(time_s: float, frame_id: str = "camera", *, encoding: str = "bgr8") -> Image:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:, :, 0] = 200
    return Image(
        header=header(time_s, frame_id), height=4, width=6, encoding=encoding, step=18, data=pixels.tobytes()
    )


def calibration(focal_px: float = 5.0, **attributes) -> CameraInfo:
    k = [focal_px, 0.0, 3.0, 0.0, focal_px, 2.0, 0.0, 0.0, 1.0]
    return CameraInfo(
        **({"width": 6, "height": 4, "distortion_model": "plumb_bob", "k": k, "d": [0.0] * 5} | attributes)
    )


def see(made: Bench, camera: str, message: Image, info: CameraInfo | None) -> None:
    """Publish an image, and its calibration, and wait until the node has both."""
    if info is not None:
        made.robot.infos[camera].publish(info)
        made.robot.wait(lambda: camera in made.node._framer._camera_infos, "camera_info")
    made.robot.images[camera].publish(message)
    made.robot.wait(lambda: made.node._synchronizer._images._kept[camera], "the image")


def test_images_come_with_the_pose_at_their_own_time(bench) -> None:
    made = bench(cameras=["front"])
    made.robot.tf_static.publish(TFMessage(transforms=[link("lidar", "camera", x_m=0.25)]))
    moving(made, 100, 101)
    see(made, "front", image(100.04), calibration())
    made.label(cloud(time_s=100.0))
    frame = made.segmenter.frames[0]
    assert frame.images["front"].rgb[0, 0].tolist() == [0, 0, 200]
    assert frame.images["front"].camera.matrix[0, 0] == 5.0
    # The vehicle moved 0.04 m between scan and image, and the camera sits 0.25 m ahead of the LiDAR.
    assert frame.camera_from_lidar("front").translation[0] == pytest.approx(-0.29)


def test_calibration_is_enough_where_nothing_moves(bench) -> None:
    made = bench(cameras=["front"])
    made.robot.tf_static.publish(TFMessage(transforms=[link("lidar", "camera", x_m=0.25)]))
    see(made, "front", image(100.0), calibration())
    made.label(cloud(time_s=100.0))
    assert made.segmenter.frames[0].camera_from_lidar("front").translation[0] == pytest.approx(-0.25)
    assert made.expect_problem("unknown frame 'odom' (fixed_frame)").level == WARN


def test_a_camera_without_calibration_to_the_lidar_holds_the_scan_back(bench) -> None:
    made = bench(cameras=["front"], tf_timeout_ms=50.0)
    moving(made, 100, 101)
    see(made, "front", image(100.0), calibration())
    made.robot.points.publish(cloud(time_s=100.0))
    made.expect_problem("nothing published: no transform from 'camera' to 'odom': unknown frame 'camera'")
    made.robot.tf_static.publish(TFMessage(transforms=[link("lidar", "camera")]))
    made.robot.wait(lambda: made.node._framer._transforms.knows("camera"), "the calibration")
    assert made.label(cloud(time_s=100.0))["label"].tolist() == [ROAD, PERSON]


@pytest.mark.parametrize(
    ("message", "info", "text"),
    [
        (image(100.0), None, "camera 'front': no camera_info has arrived"),
        (image(100.0), calibration(0.0), "camera 'front': camera matrix must be 3x3 with positive focal"),
        (
            image(100.0),
            calibration(width=640, height=640),
            "camera 'front': the image has 6 x 4 pixels, camera_info says",
        ),
        (image(100.0), calibration(distortion_model="odd", d=[1.0]), "camera 'front': camera model 'odd'"),
        (image(100.0, encoding="32FC1"), calibration(), "encoding '32FC1' holds no colours"),
        (image(100.0, encoding="rgba8"), calibration(), "image of 'front': truncated"),
        (image(101.0), calibration(), "camera 'front': no image within slop_ms of the scan"),
    ],
    ids=["no info", "info zero", "info size", "info model", "encoding", "truncated", "too late"],
)
def test_an_unusable_image_is_named_and_the_scan_is_labelled(bench, message, info, text) -> None:
    made = bench(cameras=["front"])
    see(made, "front", message, info)
    assert made.label(cloud(time_s=100.0))["label"].tolist() == [ROAD, PERSON]
    assert made.expect_problem(text).level == WARN
    assert dict(made.segmenter.frames[0].images) == {}


@pytest.mark.parametrize("known_by", ["parameter", "topic"])
def test_rectified_images_are_known_and_turn_the_camera(bench, known_by) -> None:
    """A quarter turn about the optical axis: the camera's right is the image's bottom."""
    topic = "/stereo/left/image_rect_color"
    if known_by == "topic":
        made = bench(cli_args=["--ros-args", "-r", f"~/input/front/image:={topic}"], cameras=["front"])
        made.robot.images["front"] = made.robot.node.create_publisher(Image, topic, 10)
        made.robot.wait(made.robot.images["front"].get_subscription_count, "discovery")
    else:
        made = bench(cameras=["front"], rectified_cameras=["front"])
    made.robot.tf_static.publish(TFMessage(transforms=[link("lidar", "camera")]))
    turn, p = [0.0, -1, 0, 1, 0, 0, 0, 0, 1], [7.0, 0, 3, 0, 0, 7, 2, 0, 0, 0, 1, 0]
    see(made, "front", image(100.0), calibration(d=[0.1] * 5, r=turn, p=p))
    made.label(cloud(time_s=100.0))
    frame = made.segmenter.frames[0]
    assert (frame.images["front"].camera.model, frame.images["front"].camera.matrix[0, 0]) == ("pinhole", 7.0)
    np.testing.assert_allclose(frame.camera_from_lidar("front").apply(np.array([[2.0, 0, 9]])), [[0, 2, 9]])


def test_images_scaled_in_secret_are_used_with_a_warning(bench) -> None:
    made = bench(cameras=["front"])
    made.robot.tf_static.publish(TFMessage(transforms=[link("lidar", "camera")]))
    see(made, "front", image(100.0), calibration(width=12, height=8))
    made.label(cloud(time_s=100.0))
    assert made.segmenter.frames[0].images["front"].camera.matrix[0].tolist() == [2.5, 0.0, 1.5]
    text = "camera 'front': the image has 6 x 4 pixels, camera_info says 12 x 8: the camera matrix is scaled"
    assert made.expect_problem(text).level == WARN


# Parameters


def test_classes_can_be_changed_while_it_runs(bench) -> None:
    made = bench()
    made.robot.wait(lambda: made.robot.label_infos, "the first names")
    accepted = made.node.set_parameters([Parameter("classes", value=["car", "person"])])
    assert accepted[0].successful
    made.robot.wait(lambda: len(made.robot.label_infos[-1].class_map) == 3, "new names")
    assert made.label(cloud())["label"].tolist() == [8, PERSON]
    refused = made.node.set_parameters([Parameter("classes", value=["unicorn"])])
    assert not refused[0].successful and refused[0].reason == "'unicorn' is not in the checkpoint"
    assert made.label(cloud())["label"].tolist() == [8, PERSON]
    assert made.node.set_parameters([Parameter("classes", value=[""])])[0].successful
    assert made.label(cloud())["label"].tolist() == [ROAD, PERSON]


def ask_for(made: Bench, *words: str) -> None:
    assert made.node.set_parameters([Parameter("classes", value=list(words))])[0].successful


def classes(made: Bench) -> list[str]:
    """As they were announced last."""
    return [c.class_name for c in made.robot.label_infos[-1].class_map if c.class_id]


def test_new_words_hold_up_no_scan_and_are_answered_with_once_they_are_embedded(bench) -> None:
    made = bench()
    ask_for(made, "tram|streetcar", "tree")
    assert made.segmenter.embedding.wait(10)
    assert labels_of_good_cloud(made) == [ROAD, PERSON], "the old classes until then"
    made.segmenter.clip.set()
    made.robot.wait(lambda: classes(made) == ["tram", "tree"], "the new names")
    assert labels_of_good_cloud(made) == [1, 2]
    made.expect_problem("tiny never read a word of: tram|streetcar")
    ask_for(made, "car")
    assert labels_of_good_cloud(made) == [8, 8]


@pytest.mark.parametrize("failure", [CheckpointError("no CLIP here"), RuntimeError("no CLIP here")])
def test_words_that_cannot_be_had_leave_the_old_classes_and_say_why(bench, failure) -> None:
    made = bench(classes=["car"])
    made.segmenter.clip_failure = failure
    made.segmenter.clip.set()
    ask_for(made, "tram")
    problem = made.expect_problem("classes stay as they are: ")
    assert problem.level == WARN and problem.message.endswith("no CLIP here")
    asked = made.node.get_parameter
    made.robot.wait(lambda: asked("classes").value == ["car"], "the parameter to say what is")
    assert labels_of_good_cloud(made) == [8, 8]


def test_of_several_wishes_the_last_one_counts(bench) -> None:
    """The first is still being embedded when another comes that needs no CLIP."""
    made = bench()
    ask_for(made, "tram")
    assert made.segmenter.embedding.wait(10)
    ask_for(made, "car")
    made.segmenter.clip.set()
    made.expect_problem("tiny never read a word of: tram")  # it has been embedded
    assert labels_of_good_cloud(made) == [8, 8]
    assert classes(made) == ["car"]


def test_a_node_that_ends_does_not_wait_for_words(bench) -> None:
    made = bench()
    ask_for(made, "tram")
    assert made.segmenter.embedding.wait(10)
    started_s = time.monotonic()
    made.node.destroy_node()
    assert time.monotonic() - started_s < 5


def test_the_other_parameters_are_read_only(bench) -> None:
    made = bench()
    result = made.node.set_parameters([Parameter("slop_ms", value=10.0)])[0]
    assert not result.successful and "read-only" in result.reason


@pytest.fixture
def old_checkpoint(tmp_path) -> Path:
    path = tmp_path / "old.safetensors"
    header = {checkpoint.HEADER: json.dumps({"format_version": 999})}
    checkpoint.write_safetensors({"x": torch.zeros(1)}, path, header)
    return path


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ("checkpoint:={old}", "old.safetensors: format_version expected"),
        ("checkpoint:=/nowhere.safetensors", "checkpoint /nowhere.safetensors does not exist"),
        ("chekpoint:=x", "unknown parameter 'chekpoint'; did you mean 'checkpoint'?"),
        ("rectified_cameras:=['front']", "rectified_cameras: 'front' is none of the cameras"),
        ("image_transport:=theora", "image_transport must be raw or compressed, got 'theora'"),
    ],
)
def test_a_start_that_cannot_be_ends_in_one_line(old_checkpoint, capfd, parameter, text) -> None:
    assert main(["--ros-args", "-p", parameter.format(old=old_checkpoint)]) == 1
    captured = capfd.readouterr()
    lines = (captured.out + captured.err).strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("[FATAL]") and text in lines[0]
