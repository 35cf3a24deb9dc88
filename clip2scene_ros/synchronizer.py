"""Joins each LiDAR scan with what other sensors saw nearest to it in time; who is silent delays nothing.

The stock ApproximateTimeSynchronizer waits for every topic and searches the product of all queues,
which is unusable with one LiDAR and six cameras.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from message_filters import SimpleFilter

from clip2scene_core.stamps import stamp_ns_of


class Companions:
    """The last messages of several topics; gives of each the one nearest in time."""

    def __init__(self, topics: Mapping[str, SimpleFilter], *, slop_ns: int, depth: int = 10) -> None:
        """What is farther than `slop_ns` from the time asked for is not given."""
        self._slop_ns = slop_ns
        self._lock = threading.Lock()
        self._kept: dict[str, deque[Any]] = {name: deque(maxlen=depth) for name in topics}
        for name, topic in topics.items():
            topic.registerCallback(self._keep, name)

    def at(self, time_ns: int) -> dict[str, Any]:
        """The message of each topic that has one near this time."""
        with self._lock:
            nearest = {name: self._nearest(kept, time_ns) for name, kept in self._kept.items()}
        return {name: message for name, message in nearest.items() if message is not None}

    def _keep(self, message: Any, name: str) -> None:
        with self._lock:
            self._kept[name].append(message)

    def _nearest(self, kept: deque[Any], time_ns: int) -> Any | None:
        nearest = min(kept, key=lambda message: abs(stamp_ns_of(message) - time_ns), default=None)
        if nearest is None or abs(stamp_ns_of(nearest) - time_ns) > self._slop_ns:
            return None
        return nearest


class LidarTriggeredSynchronizer(SimpleFilter):
    """Calls back with `(scan, {camera: image}, {LiDAR: cloud})` as soon as a scan arrives."""

    def __init__(self, lidar: SimpleFilter, *, images: Companions, clouds: Companions) -> None:
        """`clouds` are those of the LiDARs beside `lidar`."""
        super().__init__()
        self._images = images
        self._clouds = clouds
        lidar.registerCallback(self._trigger)

    def _trigger(self, scan: Any) -> None:
        time_ns = stamp_ns_of(scan)
        self.signalMessage(scan, self._images.at(time_ns), self._clouds.at(time_ns))
