"""How a LiDAR moved, from its scans alone: KISS-ICP (Vizzo et al., RA-L 2023).

Shapes: N points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from clip2scene_core.errors import DataError, MissingExtraError
from clip2scene_core.geometry import SE3
from clip2scene_core.progress import Progress, silent
from clip2scene_core.stamps import NS_PER_S
from clip2scene_core.trajectory import Trajectory
from clip2scene_core.types import LidarScan

if TYPE_CHECKING:
    from kiss_icp.kiss_icp import KissICP

LEAST_POINTS = 100
"""Scans of fewer points are passed over: nothing holds their registration."""

NEAREST_M = 0.5
"""Nearer points are of the robot itself, or blanks at 0, 0, 0."""

VOXEL_PER_RANGE = 0.05
"""Edge of KISS-ICP's voxels as a share of the range within which three quarters of the points lie, so that a
room gets small ones; from `VOXELS_M`, whose upper end is KISS-ICP's own choice for streets."""

VOXELS_M = (0.1, 1.0)


def estimate_motion(
    scan: Callable[[int], LidarScan], count: int, *, deskew: bool = True, progress: Progress = silent
) -> Trajectory:
    """`world_from_lidar` of scans 0..count-1 in the order of time; the world is the first one's frame.

    Where points have times, scans are corrected for the motion during the sweep, unless not `deskew`, and a
    pose is that of the last point's time; else it is that of the stamp. At both ends the trajectory goes on
    for one more scan at the same velocity. `progress` is told the number of scans done and `total`.

    Raises MissingExtraError without kiss-icp, DataError for fewer than two scans of LEAST_POINTS points.
    """
    odometry: KissICP | None = None
    known: dict[int, SE3] = {}
    for index in range(count):
        now = scan(index)
        xyz, time_ns = _usable_points(now, deskew=deskew)
        last_ns = now.stamp_ns + int(time_ns.max() if len(time_ns) else 0)
        if len(xyz) >= LEAST_POINTS and last_ns > next(reversed(known), last_ns - 1):
            odometry = odometry or _kiss_icp(_voxel_m(xyz))
            odometry.register_frame(xyz, time_ns.astype(np.float64))
            known[last_ns] = SE3(odometry.last_pose.copy())
        progress(index + 1, total=count)
    if len(known) < 2:
        raise DataError(
            f"KISS-ICP needs two scans of {LEAST_POINTS} points at least, got {len(known)} of {count}"
        )
    return _prolonged(list(known), list(known.values()))


def motion_from_scans(
    scan: Callable[[int], LidarScan],
    count: int,
    *,
    because: str,
    wanted: bool,
    deskew: bool = True,
    progress: Progress = silent,
) -> tuple[Trajectory, str]:
    """What `estimate_motion` finds for a recording without poses, and a note that begins with `because`.

    Where that is impossible and not explicitly `wanted`, the LiDAR stands still, and the note says how to
    get motion.
    """
    try:
        motion = estimate_motion(scan, count, deskew=deskew, progress=progress)
    except (MissingExtraError, DataError) as error:
        if wanted:
            raise
        return Trajectory.standing(SE3.identity()), f"{because}: all scans have the same pose; {error}"
    return motion, f"{because}: ego motion by KISS-ICP, {_describe(motion)}"


def _describe(motion: Trajectory) -> str:
    """How far and fast it went, for a user to judge whether that is what the vehicle did."""
    step_m = np.linalg.norm(np.diff(motion.translations, axis=0), axis=1)
    step_s = np.diff(motion.stamps_ns) / NS_PER_S
    inner = slice(1, -1)  # without the prolonged ends
    return (
        f"{step_m[inner].sum():.1f} m in {step_s[inner].sum():.1f} s, "
        f"at most {(step_m / step_s).max():.1f} m/s"
    )


def _usable_points(scan: LidarScan, *, deskew: bool) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) float64 without blanks; (N,) times in ns, or (0,) where they are not known or all the same."""
    range_m = np.linalg.norm(scan.xyz, axis=1)
    usable = np.isfinite(range_m) & (range_m > NEAREST_M)
    xyz = scan.xyz[usable].astype(np.float64)
    if not deskew or scan.time_offset_ns is None:
        return xyz, np.zeros(0, np.int64)
    time_ns = scan.time_offset_ns[usable]
    return xyz, time_ns if len(time_ns) and np.ptp(time_ns) else np.zeros(0, np.int64)


def _voxel_m(xyz: np.ndarray) -> float:
    return float(np.clip(VOXEL_PER_RANGE * np.percentile(np.linalg.norm(xyz, axis=1), 75), *VOXELS_M))


def _kiss_icp(voxel_m: float) -> KissICP:
    try:
        from kiss_icp.config import KISSConfig
        from kiss_icp.kiss_icp import KissICP
    except ImportError as error:
        raise MissingExtraError("kiss-icp", "motion") from error
    config = KISSConfig()
    config.mapping.voxel_size = voxel_m
    return KissICP(config)


def _prolonged(stamps_ns: list[int], poses: list[SE3]) -> Trajectory:
    """With one more pose at either end, at the velocity there."""
    before = poses[0] @ poses[1].inverse() @ poses[0]
    after = poses[-1] @ poses[-2].inverse() @ poses[-1]
    return Trajectory.from_poses(
        [2 * stamps_ns[0] - stamps_ns[1], *stamps_ns, 2 * stamps_ns[-1] - stamps_ns[-2]],
        [before, *poses, after],
    )
