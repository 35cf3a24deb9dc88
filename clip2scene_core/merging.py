"""Scans of several LiDARs as one, and back to the rows of each.

Shapes: L scans, N points of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_core.geometry import SE3
from clip2scene_core.types import LidarScan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MergedScan:
    """The rows of several scans, one scan after the other."""

    scan: LidarScan
    """(N,) points in the frame of the first scan at its stamp."""
    starts: np.ndarray
    """(L + 1,) int64: rows starts[i] to starts[i + 1] are those of scan i."""

    def lidar(self) -> np.ndarray:
        """(N,) uint8: which scan each row is from."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.uint8), np.diff(self.starts))


def merge(scans: Sequence[LidarScan], world_from_lidars: Sequence[SE3]) -> MergedScan:
    """One scan of L > 0, each with its pose at its own stamp, all in one frame that stands still.

    Scans have to be free of the motion during them (see deskew). Intensity and colours are kept where all
    have them; beams and times of different LiDARs do not go together. A single scan is kept as it is.
    """
    starts = np.cumsum([0, *(len(scan.xyz) for scan in scans)])
    main, *others = scans
    if not others:
        return MergedScan(scan=main, starts=starts)
    main_from_world = world_from_lidars[0].inverse()
    poses = [main_from_world @ world_from_lidar for world_from_lidar in world_from_lidars[1:]]
    with np.errstate(invalid="ignore"):  # rows without a return may hold infinities
        moved = [pose.apply(scan.xyz) for scan, pose in zip(others, poses, strict=True)]
    merged = LidarScan(
        xyz=np.concatenate([main.xyz, *moved]),
        intensity=_joined([scan.intensity for scan in scans]),
        rgb=_joined([scan.rgb for scan in scans]),
        stamp_ns=main.stamp_ns,
        frame_id=main.frame_id,
    )
    return MergedScan(scan=merged, starts=starts)


def _joined(columns: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """All of them, one after the other, unless one is missing."""
    known = [column for column in columns if column is not None]
    return np.concatenate(known) if len(known) == len(columns) else None
