"""Earlier sweeps come newest first, and vanish when they no longer belong to the present."""

from __future__ import annotations

import numpy as np

from clip2scene_core.geometry import SE3
from clip2scene_core.types import LidarScan
from clip2scene_ros.sweeps import SweepBuffer

S = 1_000_000_000


def scan(time_s: float, frame_id: str = "lidar") -> LidarScan:
    return LidarScan(xyz=np.zeros((1, 3), np.float32), stamp_ns=round(time_s * S), frame_id=frame_id)


def pose(x_m: float) -> SE3:
    return SE3.from_yaw(0.0, np.array([x_m, 0.0, 0.0]))


def filled(*times_s: float, count: int = 3, max_age_s: float = 10.0) -> SweepBuffer:
    buffer = SweepBuffer(count, max_age_ns=round(max_age_s * S))
    for time_s in times_s:
        buffer.add(scan(time_s), pose(time_s))
    return buffer


def times_s(buffer: SweepBuffer, now: LidarScan) -> list[float]:
    sweeps, poses = buffer.before(now)
    assert [pose.translation[0] for pose in poses] == [sweep.stamp_ns / S for sweep in sweeps]
    return [sweep.stamp_ns / S for sweep in sweeps]


def test_the_last_sweeps_come_newest_first_with_their_poses() -> None:
    assert times_s(filled(1, 2, 3, 4), scan(5)) == [4, 3, 2]


def test_old_sweeps_do_not_count() -> None:
    assert times_s(filled(1, 8, 9, max_age_s=2.0), scan(10)) == [9, 8]


def test_time_that_jumps_back_empties_the_buffer() -> None:
    buffer = filled(8, 9, 10)
    assert times_s(buffer, scan(2)) == []
    buffer.add(scan(2), pose(2))
    assert times_s(buffer, scan(3)) == [2]


def test_a_repeated_stamp_is_no_progress() -> None:
    assert times_s(filled(8, 9), scan(9)) == []


def test_another_sensor_starts_anew() -> None:
    assert times_s(filled(1, 2), scan(3, frame_id="other")) == []


def test_none_are_kept_where_none_are_asked_for() -> None:
    assert times_s(filled(1, 2, count=0), scan(3)) == []
