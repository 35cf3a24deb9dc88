"""Several LiDARs as one: rows of each, in the frame of the first, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clip2scene_core.geometry import SE3
from clip2scene_core.merging import merge
from clip2scene_core.types import LidarScan


def scan_of(*xyz, stamp_ns=0, frame_id="lidar"):
    count = len(xyz)
    return LidarScan(
        xyz=np.array(xyz, np.float32).reshape(-1, 3),
        intensity=np.full(count, stamp_ns, np.float32),
        ring=np.zeros(count, np.uint16),
        rgb=np.full((count, 3), stamp_ns, np.uint8),
        stamp_ns=stamp_ns,
        frame_id=frame_id,
    )


def test_points_are_moved_by_the_poses_of_their_own_stamps():
    """The second LiDAR looks left and is 3 m ahead of where the first was; the third has no points."""
    front, nan = scan_of((1, 2, 3), (4, 5, 6), stamp_ns=5, frame_id="front"), (np.nan, np.inf, 0)
    left = scan_of((10, 0, 0), nan, stamp_ns=9, frame_id="left")
    poses = [
        SE3.from_yaw(0.0, np.array([100.0, 7.0, 0.0])),
        SE3.from_yaw(np.pi / 2, np.array([103.0, 7.0, 1.0])),
        SE3.identity(),
    ]
    merged = merge([front, left, scan_of(frame_id="rear")], poses)
    np.testing.assert_allclose(merged.scan.xyz[:3], [(1, 2, 3), (4, 5, 6), (3, 10, 1)], atol=1e-5)
    assert not np.isfinite(merged.scan.xyz[3]).all()
    assert (merged.scan.stamp_ns, merged.scan.frame_id, merged.scan.ring) == (5, "front", None)
    assert merged.scan.intensity.tolist() == [5, 5, 9, 9]
    assert merged.scan.rgb.tolist() == [[5] * 3, [5] * 3, [9] * 3, [9] * 3]
    assert merged.scan.xyz.dtype == np.float32
    assert merged.starts.tolist() == [0, 2, 4, 4]
    assert merged.lidar().tolist() == [0, 0, 1, 1]
    dim = merge([front, replace(left, intensity=None, rgb=None)], poses[:2]).scan
    assert (dim.intensity, dim.rgb) == (None, None)


def test_one_scan_is_kept_as_it_is():
    front = scan_of((1, 2, 3))
    merged = merge([front], [SE3.from_yaw(1.0, np.zeros(3))])
    assert merged.scan is front and merged.starts.tolist() == [0, 1]
