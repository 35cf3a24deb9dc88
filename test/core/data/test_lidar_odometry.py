"""KISS-ICP over scans of a hall whose true motion is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import hall_points

from clip2scene_core.data.lidar_odometry import estimate_motion, motion_from_scans
from clip2scene_core.errors import DataError, MissingExtraError
from clip2scene_core.geometry import SE3
from clip2scene_core.types import LidarScan

pytest.importorskip("kiss_icp", reason="kiss-icp is not installed")

MS = 1_000_000
SCANS = 8
SPEED_MS, TURN_RAD_S = 1.5, 0.2


def hall_from_lidar(stamp_ns: float, start_s: float = 0.0) -> SE3:
    """Drives ahead and turns left since `start_s`."""
    seconds = max(stamp_ns / 1e9 - start_s, 0.0)
    return SE3.from_yaw(TURN_RAD_S * seconds, np.array([SPEED_MS * seconds - 3, 0.5, -1.0]))


def scan(number: int) -> LidarScan:
    """All at once, at 10 Hz from 1 s on."""
    stamp_ns = (1000 + 100 * number) * MS
    xyz = hall_from_lidar(stamp_ns).inverse().apply(hall_points(number)).astype(np.float32)
    return LidarScan(xyz=xyz, stamp_ns=stamp_ns, frame_id="lidar")


def swept(number: int) -> LidarScan:
    """Fifty columns one after the other in the 100 ms after the stamp; the LiDAR starts to move at 1.4 s."""
    stamp_ns, columns = (1000 + 100 * number) * MS, np.split(hall_points(number), 50)
    offsets_ns = np.linspace(0, 100 * MS, 50).astype(np.int64)
    seen = [
        hall_from_lidar(stamp_ns + offset_ns, 1.4).inverse().apply(column)
        for offset_ns, column in zip(offsets_ns, columns, strict=True)
    ]
    return LidarScan(
        xyz=np.concatenate(seen).astype(np.float32),
        time_offset_ns=offsets_ns.repeat(60),
        stamp_ns=stamp_ns,
        frame_id="lidar",
    )


def error_m(motion, stamps_ns, since_ns) -> float:
    """How far apart found and true motion since `since_ns` are at most."""
    found, true = motion.pose(since_ns).inverse(), hall_from_lidar(since_ns).inverse()
    return max(
        np.linalg.norm((found @ motion.pose(t)).translation - (true @ hall_from_lidar(t)).translation)
        for t in stamps_ns
    )


def test_the_motion_is_that_of_the_lidar():
    told = []
    motion = estimate_motion(scan, SCANS, progress=lambda done, total: told.append((done, total)))
    stamps_ns = [scan(i).stamp_ns for i in range(SCANS)]
    np.testing.assert_allclose(motion.pose(stamps_ns[0]).matrix, np.eye(4), atol=1e-12)
    assert error_m(motion, stamps_ns, stamps_ns[0]) < 0.05
    yaw_rad = np.arctan2(*motion.pose(stamps_ns[-1]).rotation[[1, 0], 0])
    assert yaw_rad == pytest.approx(TURN_RAD_S * 0.1 * (SCANS - 1), abs=0.005)
    assert told == [(i, SCANS) for i in range(1, SCANS + 1)]


def test_it_goes_on_for_a_scan_at_both_ends():
    motion = estimate_motion(scan, SCANS)
    assert (motion.first_ns, motion.last_ns) == (900 * MS, 1800 * MS)
    assert error_m(motion, [900 * MS, 1800 * MS], 1000 * MS) < 0.05


def test_times_of_points_correct_the_scans_and_date_the_poses():
    """From 1.4 to 1.8 s it went 0.6 m; half a sweep, by which it would lag uncorrected, is 0.075 m."""
    motion = estimate_motion(swept, SCANS)
    assert motion.stamps_ns[1:-1].tolist() == [(1100 + 100 * i) * MS for i in range(SCANS)]
    true = hall_from_lidar(1400 * MS, 1.4).inverse() @ hall_from_lidar(1800 * MS, 1.4)
    np.testing.assert_allclose(motion.pose(1800 * MS).matrix, true.matrix, atol=0.05)
    compensated = estimate_motion(swept, SCANS, deskew=False)
    assert compensated.stamps_ns[1:-1].tolist() == [(1000 + 100 * i) * MS for i in range(SCANS)]


def test_blanks_and_scans_of_few_points_do_no_harm():
    def holey(number: int) -> LidarScan:
        full = scan(number)
        xyz = full.xyz[:20] if number == 3 else np.insert(full.xyz, slice(0, 3000, 2), np.nan, axis=0)
        xyz = np.append(xyz, np.zeros((2000, 3), np.float32), axis=0)
        return LidarScan(xyz=xyz, stamp_ns=full.stamp_ns, frame_id="lidar")

    motion = estimate_motion(holey, SCANS)
    assert 1300 * MS not in motion.stamps_ns
    assert error_m(motion, [1300 * MS, 1700 * MS], 1000 * MS) < 0.05


def test_a_note_says_where_motion_comes_from_and_how_fast_it_is():
    motion, note = motion_from_scans(scan, SCANS, because="no TF", wanted=False)
    assert note.startswith("no TF: ego motion by KISS-ICP, 1.0 m in 0.7 s, at most 1.")
    assert len(motion.stamps_ns) == SCANS + 2


@pytest.mark.parametrize(
    ("count", "points", "words"), [(1, 3000, "got 1 of 1"), (0, 0, "got 0 of 0"), (5, 99, "got 0 of 5")]
)
def test_too_little_for_motion_is_an_error_only_if_it_was_asked_for(count, points, words):
    def few(number: int) -> LidarScan:
        return LidarScan(xyz=scan(number).xyz[:points], stamp_ns=number, frame_id="lidar")

    with pytest.raises(DataError, match=f"two scans of 100 points at least, {words}"):
        motion_from_scans(few, count, because="no TF", wanted=True)
    motion, note = motion_from_scans(few, count, because="no TF", wanted=False)
    np.testing.assert_array_equal(motion.pose(5).matrix, np.eye(4))
    assert note.startswith("no TF: all scans have the same pose; KISS-ICP needs")


def test_without_kiss_icp_the_note_or_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "kiss_icp.config", None)
    install = r"pip install 'clip2scene_ros\[motion\]'"
    with pytest.raises(MissingExtraError, match=install):
        motion_from_scans(scan, SCANS, because="no TF", wanted=True)
    _, note = motion_from_scans(scan, SCANS, because="no TF", wanted=False)
    assert note.endswith("kiss-icp is not installed; install it with: " + install.replace("\\", ""))
