"""The scans of one moment: free of the motion during them, those of several LiDARs as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_core.deskew import deskew
from clip2scene_core.geometry import SE3
from clip2scene_core.merging import merge
from clip2scene_core.types import LidarScan
from clip2scene_ros.transforms import TransformError, Transforms


def without_motion(
    scan: LidarScan, transforms: Transforms, fixed_frame: str, deadline_s: float
) -> tuple[LidarScan, list[str]]:
    """The scan as the sensor would have seen it at its stamp; else as it is, with a note why.

    Transforms are awaited up to that of the newest point, until `deadline_s`.
    """
    offset_ns = scan.time_offset_ns
    if offset_ns is None or not len(offset_ns) or not scan.stamp_ns:
        return scan, []
    if not transforms.knows(fixed_frame):
        return scan, [f"not de-skewed: unknown frame '{fixed_frame}' (fixed_frame)"]
    first_ns, last_ns = (
        scan.stamp_ns + int(ns) for ns in (offset_ns.min(initial=0), offset_ns.max(initial=0))
    )
    try:
        motion = transforms.trajectory(fixed_frame, scan.frame_id, first_ns, last_ns, deadline_s=deadline_s)
    except TransformError as error:
        return scan, [f"not de-skewed: {error}"]
    return deskew(scan, motion), []


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Together:
    """Scans of several LiDARs as one."""

    scan: LidarScan
    lidar: np.ndarray
    """(N,) uint8: which LiDAR each row is from, 0 for the main one, i + 1 for the i-th of the others."""
    notes: list[str]


def together(
    scan: LidarScan,
    others: Mapping[str, LidarScan],
    names: Sequence[str],
    transforms: Transforms,
    *,
    world: str,
    world_from_lidar: SE3,
    deadline_s: float,
) -> Together:
    """`scan` and those of `others` that TF can place, in the order of `names`; a note for each missing one.

    `world` is a frame that stands still, or that of `scan`, where no motion is known.
    """
    scans, poses, numbers, notes = [scan], [world_from_lidar], [0], []
    for number, name in enumerate(names, start=1):
        if name not in others:
            notes.append(f"LiDAR '{name}': no usable scan within lidar_slop_ms of the main one")
            continue
        other = others[name]
        try:
            wait = transforms.knows(other.frame_id)  # who is not calibrated shall not delay every scan
            poses.append(
                transforms.lookup(world, other.frame_id, other.stamp_ns, wait=wait, deadline_s=deadline_s)
            )
        except TransformError as error:
            notes.append(f"LiDAR '{name}' is left out: {error}")
            continue
        scans.append(other)
        numbers.append(number)
    merged = merge(scans, poses)
    return Together(scan=merged.scan, lidar=np.array(numbers, np.uint8)[merged.lidar()], notes=notes)
