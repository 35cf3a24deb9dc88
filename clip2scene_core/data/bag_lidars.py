"""The LiDARs of a bag: each scan without the motion during it, those of several LiDARs as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clip2scene_core.data.bag_cameras import nearest_in_time
from clip2scene_core.data.bag_index import Stream
from clip2scene_core.data.bag_reader import BagReader
from clip2scene_core.data.tf_tree import EVER
from clip2scene_core.deskew import beyond_ns, deskew
from clip2scene_core.merging import merge
from clip2scene_core.pointcloud2 import DecodedCloud, decode
from clip2scene_core.trajectory import Trajectory
from clip2scene_core.types import LidarScan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BagLidar:
    """One LiDAR of a bag."""

    stream: Stream
    world_from_lidar: Trajectory
    nearest: np.ndarray
    """(F,) int64: index of its scan for each scan of the main LiDAR, -1 where there is none."""

    @property
    def moves(self) -> bool:
        """Whether it is known to be in more than one place."""
        return len(self.world_from_lidar.stamps_ns) > 1


class LidarReader:
    """Reads scans by their index in the stream of the main LiDAR."""

    def __init__(
        self,
        bag: BagReader,
        streams: Sequence[Stream],
        motion_of: Callable[[str], Trajectory],
        *,
        deskew: bool,
        slop_ms: float,
    ) -> None:
        """`streams`: the main LiDAR first. `motion_of` gives world_from_lidar by frame.

        A scan farther than `slop_ms` from one of the main LiDAR does not belong to it. Raises what
        `motion_of` raises, DataError where a first scan is not what it says.
        """
        self._bag = bag
        self._deskew = deskew
        scans_ns = streams[0].stamps_ns()
        self._lidars = [_related(stream, motion_of(stream.frame_id), scans_ns, slop_ms) for stream in streams]
        self.notes = [note for lidar in self._lidars for note in self._notes_on(lidar, slop_ms)]
        """What a user should know of the scans."""

    def read(self, index: int) -> tuple[LidarScan, list[np.ndarray]]:
        """One scan in the frame of the main LiDAR, and the points (N,) of each LiDAR with all fields."""
        scans, poses, points = [], [], []
        for lidar in self._lidars:
            if (nearest := lidar.nearest[index]) >= 0:
                cloud = self._decoded(lidar, nearest)
                motion, scan = lidar.world_from_lidar, cloud.scan
                scans.append(deskew(scan, motion) if self._deskew and lidar.moves else scan)
                poses.append(motion.pose(scan.stamp_ns))
                points.append(cloud.points)
        return merge(scans, poses).scan, points

    def _decoded(self, lidar: BagLidar, index: int) -> DecodedCloud:
        stream = lidar.stream
        entry = stream.entries[index]
        cloud = decode(self._bag.message(stream.topic, entry), topic=stream.topic)
        return replace(cloud, scan=replace(cloud.scan, stamp_ns=entry.stamp_ns))

    def _notes_on(self, lidar: BagLidar, slop_ms: float) -> Iterator[str]:
        topic, entries = lidar.stream.topic, lidar.stream.entries
        if missing := int((lidar.nearest < 0).sum()):
            yield (
                f"{topic}: no scan within {slop_ms:g} ms and with a known pose "
                f"for {missing} of {len(lidar.nearest)} scans of {self._lidars[0].stream.topic}"
            )
        if not self._deskew or not lidar.moves:
            return
        first = self._decoded(lidar, 0)
        yield from (f"not de-skewed: {note}" for note in first.notes)
        if first.scan.time_offset_ns is not None:
            yield (
                f"{topic}: the motion during each scan is taken out by the times of its points; "
                "where the driver has done that, set deskew=false"
            )
            stamped = (replace(first.scan, stamp_ns=entry.stamp_ns) for entry in entries)
            beyond = [ns for scan in stamped if (ns := beyond_ns(scan, lidar.world_from_lidar))]
            if beyond:
                yield (
                    f"{topic}: {len(beyond)} of {len(entries)} scans reach up to {max(beyond) / 1e6:.0f} ms "
                    "beyond the time at which poses are known: their outermost points have the nearest one"
                )


def _related(stream: Stream, motion: Trajectory, scans_ns: np.ndarray, slop_ms: float) -> BagLidar:
    known_ns = (motion.first_ns, motion.last_ns) if len(motion.stamps_ns) > 1 else EVER
    nearest = nearest_in_time(scans_ns, stream.stamps_ns(), known_ns, slop_ms)
    return BagLidar(stream=stream, world_from_lidar=motion, nearest=nearest)
