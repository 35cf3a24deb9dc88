"""The sweeps before the present scan, posed in the fixed frame."""

from __future__ import annotations

from collections import deque

from clip2scene_core.geometry import SE3
from clip2scene_core.types import LidarScan


class SweepBuffer:
    """Keeps the last `count` sweeps; forgets them all when time jumps back or the frame changes."""

    def __init__(self, count: int, *, max_age_ns: int) -> None:
        self._sweeps: deque[tuple[LidarScan, SE3]] = deque(maxlen=count)
        self._max_age_ns = max_age_ns

    def before(self, scan: LidarScan) -> tuple[tuple[LidarScan, ...], tuple[SE3, ...]]:
        """The sweeps before `scan` up to the greatest age, newest first, and `world_from_lidar` of each."""
        if self._sweeps and not self._precedes(self._sweeps[0][0], scan):
            self._sweeps.clear()
        oldest_ns = scan.stamp_ns - self._max_age_ns
        recent = [(sweep, pose) for sweep, pose in self._sweeps if sweep.stamp_ns >= oldest_ns]
        return tuple(sweep for sweep, _ in recent), tuple(pose for _, pose in recent)

    def add(self, scan: LidarScan, world_from_lidar: SE3) -> None:
        """Remember a scan as the newest sweep."""
        self._sweeps.appendleft((scan, world_from_lidar))

    @staticmethod
    def _precedes(sweep: LidarScan, scan: LidarScan) -> bool:
        return sweep.stamp_ns < scan.stamp_ns and sweep.frame_id == scan.frame_id
