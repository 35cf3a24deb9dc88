"""Where the motion of a bag's LiDAR is taken from; poses worked out by hand."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import test_rosbag as bags
from conftest import hall_points
from test_rosbag import MOUNTING, MS, NO_TURN, START, cloud, drive, make, transforms, with_camera, xyz_of

from clip2scene_core.data.rosbag import RosbagSource
from clip2scene_core.errors import CalibrationError, ConfigError, DataError, MissingExtraError

write = bags.write
QUARTER_LEFT = (0, 0, np.sqrt(0.5), np.sqrt(0.5))
STATIC = ("/tf_static", START, MOUNTING)


def pose(translation, quaternion=NO_TURN):
    return make(
        "geometry_msgs/Pose",
        position=make("geometry_msgs/Point", **dict(zip("xyz", map(float, translation), strict=True))),
        orientation=make(
            "geometry_msgs/Quaternion", **dict(zip("xyzw", map(float, quaternion), strict=True))
        ),
    )


def odometry(stamp_ns, where, child="base_link", frame="world"):
    zero = make("geometry_msgs/Vector3", x=0.0, y=0.0, z=0.0)
    return make(
        "nav_msgs/Odometry",
        header=bags.header(stamp_ns, frame),
        child_frame_id=child,
        pose=make("geometry_msgs/PoseWithCovariance", pose=where, covariance=np.zeros(36)),
        twist=make(
            "geometry_msgs/TwistWithCovariance",
            twist=make("geometry_msgs/Twist", linear=zero, angular=zero),
            covariance=np.zeros(36),
        ),
    )


def pose_stamped(stamp_ns, where, frame="world"):
    return make("geometry_msgs/PoseStamped", header=bags.header(stamp_ns, frame), pose=where)


def pose_with_covariance(stamp_ns, where, frame="world"):
    covered = make("geometry_msgs/PoseWithCovariance", pose=where, covariance=np.zeros(36))
    return make("geometry_msgs/PoseWithCovarianceStamped", header=bags.header(stamp_ns, frame), pose=covered)


def track(message=odometry, topic="/odom", count=8, speed=10.0, **fields):
    """Every 50 ms from 25 ms before the first scan on, along x of `world`."""
    for i in range(count):
        stamp_ns = START + (50 * i - 25) * MS
        yield topic, stamp_ns, message(stamp_ns, pose((speed * (0.05 * i - 0.025), 0, 0)), **fields)


def scans():
    return [m for m in drive() if m[0] == "/points"]


@pytest.mark.parametrize("message", [odometry, pose_stamped, pose_with_covariance])
def test_poses_of_the_base_carry_the_lidar(write, message):
    """It is 1 m ahead of the base and 2 m above it, which drives 1 m a scan."""
    source = RosbagSource(write(STATIC, *scans(), *track(message)))
    positions = [frame.world_from_lidar.translation for frame in source]
    np.testing.assert_allclose(positions, [[1, 0, 2], [2, 0, 2], [3, 0, 2]], atol=1e-9)
    assert source.fixed_frame == "world"
    assumed = "" if message is odometry else ", which is assumed"
    assert source.notes == (
        "TF does not say how 'lidar' moves: "
        f"ego motion from /odom, the pose of 'base_link'{assumed} in 'world'",
    )


def test_the_frame_that_odometry_names_is_related_to_the_lidar_by_tf(write):
    """An IMU 0.5 m ahead of the base looks left: the LiDAR is 0.5 m to its right and 1 m above it.

    From 0 to 100 ms the IMU turns from along x to along y of the world.
    """
    mounting = transforms(
        ("base_link", "lidar", START, (1, 0, 2), NO_TURN),
        ("base_link", "imu", START, (0.5, 0, 1), QUARTER_LEFT),
    )
    turning = [
        ("/imu_pose", START, odometry(START, pose((0, 0, 0)), child="/imu")),
        ("/imu_pose", START + 1, odometry(START + 100 * MS, pose((0, 0, 0), QUARTER_LEFT), child="/imu")),
    ]
    source = RosbagSource(write(("/tf_static", START, mounting), *scans()[:2], *turning))
    np.testing.assert_allclose(source[0].world_from_lidar.translation, [0, -0.5, 1], atol=1e-9)
    np.testing.assert_allclose(source[1].world_from_lidar.translation, [0.5, 0, 1], atol=1e-9)
    np.testing.assert_allclose(source[1].world_from_lidar.rotation, np.eye(3), atol=1e-9)


def test_images_have_the_pose_of_their_own_time(write):
    """10 m/s, taken 30 ms after the scan: 0.3 m further than at the scan, where it is 1.5 m ahead."""
    frame = RosbagSource(write(STATIC, *scans(), *track(), *with_camera(stamps_ms=(30,))))[0]
    np.testing.assert_allclose(frame.world_from_camera["front"].translation, [1.8, 0, 1.5], atol=1e-9)


def test_scans_and_images_before_the_first_pose_are_left_out(write):
    late = [message for message in track() if message[1] > START + 50 * MS]
    source = RosbagSource(write(STATIC, *scans(), *late, *with_camera(stamps_ms=(70, 210))))
    assert [frame.scan.stamp_ns for frame in source] == [START + 100 * MS, START + 200 * MS]
    assert [list(frame.images) for frame in source] == [[], ["front"]]
    assert any("1 of 3 scans lie outside the time" in note for note in source.notes)


def test_tf_comes_first_and_another_source_can_be_asked_for(write):
    path = write(*drive(), *track(speed=20.0))
    assert RosbagSource(path)[1].world_from_lidar.translation[0] == pytest.approx(2)
    assert RosbagSource(path).notes == ()
    asked = RosbagSource(path, ego_motion="/odom")
    assert asked[1].world_from_lidar.translation[0] == pytest.approx(3)
    assert asked.notes == ("as asked for: ego motion from /odom, the pose of 'base_link' in 'world'",)
    none = RosbagSource(path, ego_motion="none")
    np.testing.assert_array_equal(none[1].world_from_lidar.matrix, np.eye(4))
    assert "all scans have the same pose" in none.notes[0]


def test_odometry_goes_before_poses_and_more_messages_before_fewer(write):
    path = write(
        STATIC, *scans(), *track(topic="/few"), *track(topic="/many", count=12, speed=20.0),
        *track(pose_stamped, topic="/most", count=20),
    )  # fmt: skip
    source = RosbagSource(path)
    assert source[1].world_from_lidar.translation[0] == pytest.approx(3)
    assert source.notes[0].endswith(
        "ego motion from /many, the pose of 'base_link' in 'world'; for another one: ego_motion=/few or /most"
    )


@pytest.mark.parametrize(
    ("messages", "doubt"),
    [
        (list(track(speed=0.0)), "its pose never changes, is it filled in"),
        (list(track(pose_stamped, frame="lidar")), "its poses are given in 'lidar', which moves with the"),
        (
            list(track(child="trailer")),
            r"'trailer' is not in the tree.*; calibration=FILE can say how 'lidar' is",
        ),
        (list(track(count=1)), "it has poses at the time of 0 of 3 scans"),
        (
            [
                ("/odom", START, pose_stamped(START, pose((0, 0, 0)))),
                ("/odom", START, pose_stamped(START + 9000 * MS, pose((5, 0, 0)))),
            ],
            "2 poses in 9 s are too few",
        ),
        (
            [("/odom", START, odometry(START, pose((0, 0, 0), (0, 0, 0, 0))))],
            r"\(x, y, z, w\) = .* is no rotation",
        ),
    ],
)
def test_poses_that_do_not_tell_how_the_robot_moves_are_not_used(write, messages, doubt):
    source = RosbagSource(write(STATIC, *scans(), *messages))
    np.testing.assert_allclose(source[2].world_from_lidar.translation, [1, 0, 2])
    assert source.notes[0].startswith("no ego motion from /odom: ") and re.search(doubt, source.notes[0])
    assert "all scans have the same pose" in source.notes[1]


def test_what_cannot_be_asked_for_is_named(write):
    path = write(STATIC, *scans(), *track(child="trailer"))
    with pytest.raises(DataError, match="no poses on /odometry; topics that have are /odom"):
        RosbagSource(path, ego_motion="/odometry")
    with pytest.raises(CalibrationError, match=r"/odom: .*'lidar' to 'trailer'.*calibration=FILE"):
        RosbagSource(path, ego_motion="/odom")
    with pytest.raises(ConfigError, match="must be tf, kiss-icp, none or a /topic of the bag, got 'gps'"):
        RosbagSource(path, ego_motion="gps")


def test_a_lidar_that_tilts_on_a_robot_is_no_ego_motion(write):
    tilting = [("base_link", "lidar", START + (100 * i - 1) * MS, (i, 0, 2), NO_TURN) for i in range(4)]
    tilting = [("/tf", START + i, transforms(entry)) for i, entry in enumerate(tilting)]
    source = RosbagSource(write(*tilting, *scans(), *track()))
    assert source.fixed_frame == "world"
    assert source[1].world_from_lidar.translation[0] == pytest.approx(1 + 1.01)
    assert RosbagSource(write(*tilting, *scans(), name="alone")).fixed_frame == "lidar"


def test_map_is_the_world_where_the_lidar_stands_in_odom(write):
    still = transforms(("odom", "base_link", START, (7, 0, 0), NO_TURN))
    moved = [
        ("/tf", START + i, transforms(("map", "odom", START + (200 * i - 100) * MS, (2 * i, 0, 0), NO_TURN)))
        for i in range(3)
    ]
    source = RosbagSource(write(STATIC, ("/tf_static", START + 1, still), *moved, *scans()))
    assert source.fixed_frame == "map"
    assert source[1].world_from_lidar.translation[0] == pytest.approx(8 + 2)


def hall_bag(count=5):
    """A LiDAR whose base drives 0.1 m a scan through a hall."""
    yield STATIC
    for i in range(count):
        xyz = hall_points(i, 2000) - (0.1 * i, 0, 0)
        yield "/points", START + 100 * i * MS, cloud(START + 100 * i * MS, xyz)


def test_without_poses_scans_tell_the_motion(write):
    """In the frame that the base had at first."""
    pytest.importorskip("kiss_icp", reason="kiss-icp is not installed")
    told = []
    path = write(*hall_bag(), *with_camera(stamps_ms=(350, 450)))
    source = RosbagSource(path, progress=lambda done, total: told.append((done, total)))
    assert len(source) == 5
    np.testing.assert_allclose(source[0].world_from_lidar.matrix[:3, 3], [1, 0, 2], atol=1e-9)
    np.testing.assert_allclose(source[4].world_from_lidar.matrix[:3, 3], [1.4, 0, 2], atol=0.03)
    camera = source[4].world_from_camera["front"].translation
    np.testing.assert_allclose(camera, [1.5 + 0.35, 0, 1.5], atol=0.03)
    assert told[-1] == (5, 5)
    assert source.fixed_frame == "base_link"
    assert source.notes[0].startswith("TF does not say how 'lidar' moves: ego motion by KISS-ICP, 0.")
    still = RosbagSource(path, ego_motion="tf")
    assert still[4].world_from_lidar.translation.tolist() == [1, 0, 2]


def test_without_kiss_icp_a_note_says_how_to_get_it(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "kiss_icp.config", None)
    path = write(*hall_bag(2))
    (note,) = RosbagSource(path).notes
    assert "all scans have the same pose" in note and "pip install 'clip2scene_ros[motion]'" in note
    with pytest.raises(MissingExtraError, match="kiss-icp is not installed"):
        RosbagSource(path, ego_motion="kiss-icp")


def test_scans_too_small_for_kiss_icp_are_noted(write):
    (note,) = RosbagSource(write(STATIC, *scans())).notes
    assert xyz_of(0).shape == (4, 3)
    assert "all scans have the same pose; KISS-ICP needs two scans of 100 points" in note
