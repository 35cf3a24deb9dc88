"""Transforms are right, awaited for a bounded time, and their absence is explained."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

pytest.importorskip("tf2_ros", reason="ROS 2 is not installed")

from geometry_msgs.msg import TransformStamped
from tf2_ros import Buffer

from clip2scene_ros.transforms import Failure, RestartableBuffer, TransformError, Transforms

S = 1_000_000_000


def link(parent: str, child: str, *, x_m: float, time_s: float = 0.0) -> TransformStamped:
    made = TransformStamped(child_frame_id=child)
    made.header.frame_id = parent
    made.header.stamp.sec, made.header.stamp.nanosec = divmod(round(time_s * S), S)
    made.transform.translation.x = x_m
    made.transform.rotation.w = 1.0
    return made


@pytest.fixture
def buffer(ros_context) -> Buffer:
    """odom -> base moves at 1 m/s from 100 s to 102 s; base -> lidar is fixed; island is elsewhere."""
    made = Buffer()
    for time_s in np.linspace(100, 102, 21):
        made.set_transform(link("odom", "base", x_m=time_s, time_s=time_s), "test")
    made.set_transform_static(link("base", "lidar", x_m=0.5), "test")
    made.set_transform_static(link("sea", "island", x_m=0.0), "test")
    return made


def transforms(buffer: Buffer, *, timeout_s: float = 0.0) -> Transforms:
    return Transforms(buffer, timeout_s=timeout_s, stop=threading.Event())


def test_poses_are_interpolated_between_stamps(buffer) -> None:
    pose = transforms(buffer).lookup("odom", "lidar", round(100.55 * S))
    np.testing.assert_allclose(pose.translation, [101.05, 0, 0], atol=1e-9)
    np.testing.assert_allclose(pose.rotation, np.eye(3), atol=1e-12)


def test_stamp_zero_is_the_newest(buffer) -> None:
    np.testing.assert_allclose(transforms(buffer).lookup("odom", "base", 0).translation, [102, 0, 0])


@pytest.mark.parametrize(
    ("target", "source", "time_s", "failure", "text"),
    [
        (
            "odom",
            "velodyne",
            101,
            Failure.UNKNOWN_FRAME,
            "from 'velodyne' to 'odom': unknown frame 'velodyne'",
        ),
        ("map", "lidar", 101, Failure.UNKNOWN_FRAME, "from 'lidar' to 'map': unknown frame 'map'"),
        ("odom", "", 101, Failure.UNKNOWN_FRAME, "from '' to 'odom': unknown frame ''"),
        ("odom", "island", 101, Failure.NOT_CONNECTED, "from 'island' to 'odom': .* not connected"),
        ("odom", "lidar", 103.5, Failure.IN_THE_FUTURE, r"to 'odom': the stamp is 1\.500 s in the future"),
        ("odom", "lidar", 90, Failure.TOO_OLD, r"to 'odom': the stamp is too old, 12\.000 s before"),
    ],
)
def test_failures_name_both_frames_and_the_kind(buffer, target, source, time_s, failure, text) -> None:
    with pytest.raises(TransformError, match=text) as caught:
        transforms(buffer).lookup(target, source, round(time_s * S))
    assert caught.value.failure is failure and "\n" not in str(caught.value)
    assert caught.value.ahead_s == pytest.approx(1.5 if failure is Failure.IN_THE_FUTURE else 0.0)


def test_a_transform_that_comes_late_is_awaited(buffer) -> None:
    def publish_late() -> None:
        time.sleep(0.05)
        buffer.set_transform(link("odom", "base", x_m=103, time_s=103), "test")

    late = threading.Thread(target=publish_late)
    late.start()
    pose = transforms(buffer, timeout_s=5.0).lookup("odom", "base", 103 * S)
    late.join()
    np.testing.assert_allclose(pose.translation, [103, 0, 0])


def test_a_trajectory_has_a_pose_every_10_ms_from_the_first_time_to_the_last(buffer) -> None:
    first_ns, last_ns = round(100.501 * S), round(100.525 * S)
    motion = transforms(buffer).trajectory("odom", "lidar", first_ns, last_ns)
    assert motion.stamps_ns.tolist() == [first_ns, first_ns + S // 100, first_ns + S // 50, last_ns]
    np.testing.assert_allclose(motion.translations[:, 0], [101.001, 101.011, 101.021, 101.025], atol=1e-9)
    with pytest.raises(TransformError, match=r"0\.100 s in the future"):
        transforms(buffer).trajectory("odom", "lidar", 102 * S, round(102.1 * S))
    at_once = transforms(buffer).trajectory("odom", "lidar", first_ns, first_ns)
    assert at_once.stamps_ns.tolist() == [first_ns]


def test_lookups_that_share_a_deadline_wait_no_longer_than_one(buffer) -> None:
    impatient = transforms(buffer, timeout_s=0.3)
    started, deadline_s = time.monotonic(), impatient.deadline_s()
    for _ in range(20):
        with pytest.raises(TransformError, match="in the future"):
            impatient.lookup("odom", "base", 103 * S, deadline_s=deadline_s)
    assert 0.3 <= time.monotonic() - started < 5.0


def test_the_wait_is_bounded_and_can_be_declined_or_ended(buffer) -> None:
    stop = threading.Event()
    patient = Transforms(buffer, timeout_s=60.0, stop=stop)
    started = time.monotonic()
    with pytest.raises(TransformError, match="too old"):
        patient.lookup("odom", "base", 50 * S)
    with pytest.raises(TransformError, match="in the future"):
        patient.lookup("odom", "base", 103 * S, wait=False)
    with pytest.raises(TransformError, match="in the future"):
        transforms(buffer, timeout_s=0.05).lookup("odom", "base", 103 * S)
    stop.set()
    with pytest.raises(TransformError, match="in the future"):
        patient.lookup("odom", "base", 103 * S)
    assert time.monotonic() - started < 30.0


def test_known_frames_are_known(buffer) -> None:
    assert all(transforms(buffer).knows(frame) for frame in ("odom", "base", "lidar", "island"))
    assert not any(transforms(buffer).knows(frame) for frame in ("map", ""))


def test_a_bag_that_starts_again_is_followed(ros_context) -> None:
    made = RestartableBuffer()
    made.set_transform_static(link("base", "lidar", x_m=0.5), "test")
    for time_s in (100, 101, 100.5, 102):
        made.set_transform(link("odom", "base", x_m=time_s, time_s=time_s), "test")
    assert transforms(made).lookup("odom", "base", 100 * S).translation[0] == 100
    made.set_transform(link("odom", "base", x_m=50, time_s=50), "test")
    assert transforms(made).lookup("odom", "lidar", 50 * S).translation[0] == 50.5
    with pytest.raises(TransformError, match="in the future"):
        transforms(made).lookup("odom", "base", 101 * S)


def test_frames_at_different_delays_are_no_jump(ros_context) -> None:
    made = RestartableBuffer()
    for time_s in (100, 101, 102):
        made.set_transform(link("map", "odom", x_m=0, time_s=time_s + 5), "test")
        made.set_transform(link("odom", "base", x_m=time_s, time_s=time_s), "test")
    assert transforms(made).lookup("odom", "base", 100 * S).translation[0] == 100
