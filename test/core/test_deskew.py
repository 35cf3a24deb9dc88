"""Scans of a moving sensor against points worked out by hand, and against the simulated LiDAR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from clip2scene_core.deskew import beyond_ns, deskew
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.lidar import LIDARS, sweep
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.scene import Scene
from clip2scene_core.trajectory import Trajectory
from clip2scene_core.types import LidarScan

MS = 1_000_000
STAMP_NS = 1_700_000_000_000_000_000


def scan_of(xyz, offsets_ms, stamp_ns=STAMP_NS):
    offset_ns = None if offsets_ms is None else (np.array(offsets_ms) * MS).astype(np.int64)
    return LidarScan(
        xyz=np.array(xyz, np.float32).reshape(-1, 3),
        intensity=np.arange(len(xyz), dtype=np.float32),
        time_offset_ns=offset_ns,
        stamp_ns=stamp_ns,
        frame_id="lidar",
    )


def driving(speed_mps: float, yaw_rate: float, *, until_ms: int = 200) -> Trajectory:
    """Straight along x of the world while the sensor turns, in steps of 10 ms; at the origin at the stamp."""
    times_ms = range(-200, until_ms + 1, 10)
    poses = [SE3.from_yaw(yaw_rate * t / 1e3, np.array([speed_mps * t / 1e3, 0.0, 0.0])) for t in times_ms]
    return Trajectory.from_poses([STAMP_NS + t * MS for t in times_ms], poses)


def test_points_are_where_they_would_be_seen_at_the_stamp():
    """At 20 m/s and 90 degrees a second: after 100 ms the sensor is 2 m ahead and has turned 9 degrees."""
    raw = scan_of([(10, 0, 1), (10, 0, 1), (0, 5, -1), (10, 0, 1)], [0, 100, 50, -100])
    still = deskew(raw, driving(20.0, np.pi / 2))
    nine, half = np.deg2rad(9), np.deg2rad(4.5)
    expected = [
        (10, 0, 1),
        (2 + 10 * np.cos(nine), 10 * np.sin(nine), 1),
        (1 - 5 * np.sin(half), 5 * np.cos(half), -1),
        (-2 + 10 * np.cos(nine), -10 * np.sin(nine), 1),
    ]
    np.testing.assert_allclose(still.xyz, expected, rtol=0, atol=1e-4)
    assert still.xyz.dtype == np.float32


def test_the_stamp_may_be_the_end_of_a_scan_and_the_sensor_anywhere():
    """5 m/s along x of the world, sensor looking along y of it: ahead of the sensor is left of its way."""
    ahead = SE3.from_yaw(np.pi / 2, np.zeros(3))
    poses = [SE3.from_yaw(0.0, np.array([x, 7.0, 0.0])) @ ahead for x in (99.5, 100.0)]
    moving = Trajectory.from_poses([STAMP_NS - 100 * MS, STAMP_NS], poses)
    still = deskew(scan_of([(3, 0, 0), (3, 0, 0)], [-100, 0]), moving)
    np.testing.assert_allclose(still.xyz, [(3, 0.5, 0), (3, 0, 0)], atol=1e-5)


def test_rows_stay_as_they_are_but_for_their_coordinates():
    raw = scan_of([(1, 2, 3), (np.nan, np.nan, np.nan), (np.inf, 0, 0), (4, 5, 6)], [0, 30, 60, 90])
    still = deskew(raw, driving(10.0, 0.1))
    assert np.isfinite(still.xyz).all(axis=1).tolist() == [True, False, False, True]
    np.testing.assert_array_equal(still.intensity, raw.intensity)
    assert (still.stamp_ns, still.frame_id, still.time_offset_ns) == (raw.stamp_ns, "lidar", None)
    assert deskew(still, driving(10.0, 0.1)) is still


def test_scans_without_times_points_or_motion_are_given_back():
    timeless = scan_of([(1, 2, 3)], None)
    assert deskew(timeless, driving(10.0, 0.0)) is timeless
    empty = scan_of([], [])
    assert deskew(empty, driving(10.0, 0.0)).xyz.shape == (0, 3)
    standing = deskew(scan_of([(1, 2, 3), (4, 5, 6)], [0, 50]), Trajectory.standing(SE3.identity()))
    assert standing.xyz.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_beyond_the_known_motion_the_nearest_pose_counts():
    raw = scan_of([(0, 0, 0)] * 3, [0, 50, 100])
    known = driving(10.0, 0.0, until_ms=60)
    np.testing.assert_allclose(deskew(raw, known).xyz[:, 0], [0, 0.5, 0.6], atol=1e-3)
    assert beyond_ns(raw, known) == 40 * MS
    assert beyond_ns(raw, driving(10.0, 0.0)) == 0
    late = replace(raw, stamp_ns=STAMP_NS - 250 * MS)
    assert beyond_ns(late, known) == 50 * MS
    assert beyond_ns(scan_of([(0, 0, 0)], None), known) == 0


@settings(deadline=None, max_examples=40)
@given(
    st.floats(-30, 30),
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.integers(-200, 0),
    st.integers(1, 200),
    st.integers(0, 2**32 - 1),
)
def test_a_world_that_stands_still_stands_still(speed_mps, turn_rate, first_ms, lasts_ms, seed):
    """Points of the world, seen one by one on the way, are where they are from the pose at the stamp."""
    rng = np.random.default_rng(seed)
    world = rng.uniform(-100, 100, (12, 3))
    offsets_ms = rng.uniform(first_ms, first_ms + lasts_ms, 12)

    def world_from_lidar(time_ms):
        turn = Rotation.from_rotvec(np.array(turn_rate) * time_ms / 1e3).as_matrix()
        return SE3.from_rotation_translation(turn, np.array([speed_mps * time_ms / 1e3, 3.0, 0.0]))

    seen = [world_from_lidar(t).inverse().apply(p) for t, p in zip(offsets_ms, world, strict=True)]
    times_ms = np.arange(-200, 201, 20)
    motion = Trajectory.from_poses(
        [STAMP_NS + int(t) * MS for t in times_ms], [world_from_lidar(t) for t in times_ms]
    )
    still = deskew(scan_of(seen, offsets_ms), motion)
    expected = world_from_lidar(0.0).inverse().apply(world)
    np.testing.assert_allclose(still.xyz, expected, rtol=0, atol=0.04)


def test_it_gives_what_a_lidar_sees_that_stands_still():
    """The same turn of the simulated LiDAR with and without the motion, both with its noise."""
    room = Mesh.uniform(
        np.array(
            [[s * 30.0, t * 20.0, u * 2.0] for s in (-1, 1) for t in (-1, 1) for u in (-1, 1)], np.float32
        ),
        np.array([[0, 1, 3], [0, 3, 2], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4], [2, 3, 7], [2, 7, 6]]),
        5,
        Material.CONCRETE,
        (128, 128, 128),
    )
    motion = driving(15.0, 0.8)
    raw, still = (
        sweep(LIDARS["HDL-32E"], Scene(room), motion, STAMP_NS, np.random.default_rng(1), compensated=c)[0]
        for c in (False, True)
    )
    assert still.time_offset_ns is None and len(raw.xyz) > 5_000
    assert np.abs(raw.xyz - still.xyz).max() > 0.5
    np.testing.assert_allclose(deskew(raw, motion).xyz, still.xyz, rtol=0, atol=0.002)
