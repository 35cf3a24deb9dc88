"""What is said of a bag, against numbers counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from test_ego_motion import track
from test_rosbag import (
    MS,
    NO_TURN,
    START,
    camera_info,
    cloud,
    image,
    rgb_of,
    transforms,
    write,
)

from clip2scene_core.data.bag_report import LinkReport, TopicReport
from clip2scene_core.data.inspection import inspect_bag, look_into_bag
from clip2scene_core.errors import ConfigError, DataError

__all__ = ["write"]

SCANS_MS = (0, 100, 200, 800, 900)
"""A pause of 600 ms."""
XYZ = np.array([[10, 0, 0], [10, 0.1, 0], [10, 100, 0], [-10, 0, 0], [0, 0, 0], [np.nan] * 3])
"""In the image, in the image, beside it, behind it, and two rows without a return."""
MOUNTING = transforms(
    ("base_link", "lidar", START, (0, 0, 2), NO_TURN),
    ("base_link", "front", START, (0, 0, 2), (-0.5, 0.5, -0.5, 0.5)),
    ("base_link", "rear", START, (0, 0, 2), (0.5, 0.5, -0.5, -0.5)),
)


def scans():
    """Recorded 8 ms after they were taken."""
    return [("/points", START + (t + 8) * MS, cloud(START + t * MS, XYZ)) for t in SCANS_MS]


def images(name, times_ms=SCANS_MS):
    return [
        (f"/{name}/image_raw", START + t * MS, image(START + t * MS, "rgb8", rgb_of(t), frame_id=name))
        for t in times_ms
    ]


def moving_tf():
    """At 20 Hz over a second."""
    for i in range(21):
        pose = ("odom", "base_link", START + 50 * i * MS, (0.5 * i, 0, 0), NO_TURN)
        yield "/tf", START + 50 * i * MS, transforms(pose)


def robot():
    """A front camera, and a rear one without CameraInfo that took one image."""
    yield "/tf_static", START, MOUNTING
    yield from moving_tf()
    yield from scans()
    yield "/front/camera_info", START, camera_info(7, 5)
    yield from images("front", SCANS_MS[:4])
    yield from images("rear", SCANS_MS[:1])


def remarks(findings):
    return [finding.text for finding in findings if not finding.fine]


def test_topics_have_rate_gap_delay_and_frame(write):
    topics = {topic.name: topic for topic in inspect_bag(write(*robot())).topics}
    assert topics["/points"] == TopicReport(
        name="/points",
        type="sensor_msgs/msg/PointCloud2",
        messages=5,
        rate_hz=pytest.approx(4 / 0.9),
        longest_gap_s=pytest.approx(0.6),
        header_minus_recorded_ms=-8.0,
        frame_ids=("lidar",),
    )
    assert topics["/rear/image_raw"].rate_hz == 0.0
    assert topics["/tf"].frame_ids == ()


def test_the_tf_tree_tells_what_moves(write):
    assert inspect_bag(write(*robot())).tf == (
        LinkReport(parent="base_link", child="front", static=True),
        LinkReport(parent="base_link", child="lidar", static=True),
        LinkReport(parent="base_link", child="rear", static=True),
        LinkReport(
            parent="odom", child="base_link", static=False, rate_hz=pytest.approx(20), span_s=pytest.approx(1)
        ),
    )


def test_sensors_and_their_overlap(write):
    report = inspect_bag(write(*robot()))
    (lidar,) = report.lidars
    assert (lidar.points_per_scan, lidar.intensity, lidar.point_times) == (6, False, False)
    front, rear = report.cameras
    assert (front.width, front.height, front.model, front.camera_info) == (7, 5, "pinhole", "yes")
    assert front.scans_with_image == pytest.approx(1.0), "the last scan has the image 100 ms before"
    assert front.points_seen == report.points_seen == 0.5
    assert (rear.name, rear.width, rear.camera_info, rear.scans_with_image) == ("rear", 7, "no", None)
    assert (report.motion.whence, report.motion.scans_usable, report.motion.scans_recorded) == ("tf", 5, 5)


def test_verdicts_name_what_is_missing_and_the_remedy(write):
    report = inspect_bag(write(*robot()), image_slop_ms=20.0)
    rear = (
        "camera rear is left out: the bag has no message on /rear/camera_info, the camera model of "
        "/rear/image_raw; record it, or "
    )
    assert remarks(report.node) == [
        f"{rear}let the robot publish image, camera_info and TF as the node needs them"
    ]
    missing, few, pause = remarks(report.training)
    assert missing == f"{rear}give what is missing by --with calibration=FILE"
    assert few.startswith("camera front has an image for 80% of the scans")
    assert pause.startswith("/points pauses for 0.60 s, at 4.4 Hz on average")
    assert "-r '~/input/front/image:=/front/image_raw'" in report.node_command
    assert "-p fixed_frame:=odom" in report.node_command and "rear" not in report.node_command


def test_a_camera_that_looks_elsewhere_and_one_that_is_not_calibrated(write):
    infos = [
        ("/rear/camera_info", START, camera_info(7, 5)),
        ("/front/camera_info", START, camera_info(7, 5, k=[0.0] * 9)),
    ]
    kept = [m for m in robot() if m[0] not in ("/front/camera_info", "/points")]
    ahead = [("/points", START + t * MS, cloud(START + t * MS, XYZ[:3])) for t in SCANS_MS]
    report = inspect_bag(write(*kept, *ahead, *infos), image_slop_ms=1000.0)
    rear, front = report.cameras
    assert (rear.points_seen, front.camera_info) == (0.0, "uncalibrated")
    assert any("camera rear sees 0% of the points: it looks elsewhere" in r for r in remarks(report.training))
    assert any("front is left out" in r and "calibrate the camera" in r for r in remarks(report.node))


def test_without_tf_only_single_scans_are_of_use(write):
    messages = [m for m in robot() if not m[0].startswith("/tf")]
    report = inspect_bag(write(*messages), ego_motion="tf")
    assert report.tf == ()
    assert report.node_command == "ros2 launch clip2scene_ros segment.launch.py points:=/points"
    assert any("TF does not say how 'lidar' moves" in r for r in remarks(report.node))
    assert any("no ego motion" in r for r in remarks(report.training))
    assert any("front is left out: TF: no transform from 'front'" in r for r in remarks(report.training))


def test_odometry_serves_training_but_not_the_node(write):
    messages = [("/tf_static", START, MOUNTING), *scans(), *track(count=12)]
    report = inspect_bag(write(*messages))
    assert (report.motion.whence, report.motion.moves) == ("/odom", True)
    assert any("as /odom tells it" in remark for remark in remarks(report.node))
    assert any("from /odom: several sweeps" in f.text and f.fine for f in report.training)


def test_a_bag_without_clouds_still_has_topics_and_tf(write):
    report = inspect_bag(write(*[m for m in robot() if m[0] != "/points"]))
    assert len(report.topics) == 5 and len(report.tf) == 4
    assert report.node == report.training and report.node_command is None
    (reason,) = remarks(report.node)
    assert reason.startswith("has no PointCloud2; its topics are")
    assert reason.endswith("; record the PointCloud2 topic of the LiDAR's driver, and /tf, /tf_static")


def test_what_is_no_bag_and_no_option_is_refused(write, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"has no \.mcap, \.db3 or \.bag file"):
        inspect_bag(tmp_path / "empty")
    with pytest.raises(ConfigError, match="has no option 'point_topic'"):
        inspect_bag(write(*robot()), point_topic="/points")


def without(*topics):
    return [message for message in robot() if message[0] not in topics]


def late_by(delay_ms, topic):
    """The robot with the images of one camera stamped too early, against the time of their recording."""
    for name, logged_ns, message in robot():
        yield name, logged_ns + (delay_ms * MS if name == topic else 0), message


def jumping(topic):
    """Its clock is 3 s ahead for the first image."""
    moved = 0
    for name, logged_ns, message in robot():
        moved += name == topic
        ahead_ms = 3000 if name == topic and moved <= 1 else 0
        yield name, logged_ns - ahead_ms * MS, message


REFUSED = {
    "no LiDAR": (
        without("/points"),
        "has no PointCloud2; its topics are /tf_static, /tf, /front/camera_info, /front/image_raw, "
        "/rear/image_raw; record the PointCloud2 topic of the LiDAR's driver, and /tf, /tf_static",
    ),
    "no camera": (
        without("/front/image_raw", "/rear/image_raw"),
        "no camera images: nothing teaches names from this bag; record images with their CameraInfo, as "
        "Image or CompressedImage",
    ),
    "no CameraInfo": (
        without("/front/camera_info", "/rear/image_raw"),
        "camera front is left out: the bag has no message on /front/camera_info, the camera model of "
        "/front/image_raw; record it, or give what is missing by --with calibration=FILE",
    ),
    "no TF from the camera": (
        [
            *without("/tf_static", "/rear/image_raw"),
            ("/tf_static", START, transforms(("base_link", "lidar", START, (0, 0, 2), NO_TURN))),
        ],
        "camera front is left out: TF: no transform from 'front' to 'lidar': 'front' is not in the tree; it "
        "has base_link, lidar, odom; give what is missing by --with calibration=FILE",
    ),
    "no overlap": (
        [
            *without("/points", "/rear/image_raw"),
            *[("/points", START + t * MS, cloud(START + t * MS, -XYZ[:3])) for t in SCANS_MS],
        ],
        "0% of the points lie in an image of some camera: the cameras look elsewhere, or TF or CameraInfo is "
        "wrong, which --with calibration=FILE corrects",
    ),
    "images at other times": (
        [
            *without("/front/image_raw", "/rear/image_raw"),
            *images("front", [ms + 400 for ms in (0, 100, 950)]),
        ],
        "no scan has an image within 100 ms and with a known pose; those on /front/image_raw are 300 ms "
        "off: is a clock another one? --with clock_offset_ms=/front/image_raw:MS or align_clocks=true "
        "corrects it, image_slop_ms=MS takes images farther in time",
    ),
    "another clock": (
        late_by(700, "/front/image_raw"),
        "by the times of recording, /front/image_raw is 0.692 s behind /points: late messages, or another "
        "clock, which clock_offset_ms=/front/image_raw:692 or align_clocks=true corrects; --with "
        "clock_offset_ms=/front/image_raw:0 takes the stamps as they are",
    ),
    "a clock that jumps": (
        jumping("/front/image_raw"),
        "by the times of recording, /front/image_raw is 0.5 s or more off /points for 25% of its messages: "
        "late messages, or a clock that jumps; --with clock_offset_ms=/front/image_raw:0 takes the stamps as "
        "they are",
    ),
    "no ego motion": (
        [("/tf_static", START, MOUNTING), *without("/tf", "/tf_static")],
        "no ego motion: 3 sweeps cannot be joined; record /tf with odom -> base_link or an Odometry topic, "
        "or pip install 'clip2scene_ros[motion]' for --with ego_motion=kiss-icp, or --set pairing.sweeps=1",
    ),
}


@pytest.mark.parametrize(("messages", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_rules_training_out_is_told_in_one_line_with_the_remedy(write, messages, reason):
    report, _ = look_into_bag(write(*messages), sweeps_joined=3)
    assert [finding.text for finding in report.training if finding.fatal] == [reason]


def test_nothing_rules_a_good_bag_out_nor_what_single_scans_can_do_without(write):
    report, source = look_into_bag(write(*robot()), sweeps_joined=3)
    assert not any(finding.fatal for finding in report.training), "the rear camera can be done without"
    assert len(source) == 5 and report.scans_with_image == 5
    (front,) = (camera for camera in report.cameras if camera.name == "front")
    assert (front.image_offset_ms, front.largest_offset_ms) == (0, 100)
    assert front.chain == ("lidar", "base_link", "front")
    assert report.motion.chain == ("odom", "base_link", "lidar")
    fixed = [("/tf_static", START, MOUNTING), *without("/tf", "/tf_static")]
    standing, _ = look_into_bag(write(*fixed, name="standing"))
    assert not any(finding.fatal for finding in standing.training)


@pytest.mark.parametrize("options", [{"clock_offset_ms": {"/front/image_raw": 0}}, {"align_clocks": True}])
def test_clocks_that_the_user_takes_or_corrects_rule_nothing_out(write, options):
    report, _ = look_into_bag(write(*late_by(700, "/front/image_raw")), image_slop_ms=1000.0, **options)
    assert not any(finding.fatal for finding in report.training)


def test_clocks_of_topics_that_no_frame_needs_rule_nothing_out(write):
    report, _ = look_into_bag(write(*late_by(700, "/rear/image_raw")))
    assert "/rear/image_raw" in report.clock_notes
    assert not any(finding.fatal for finding in report.training)
