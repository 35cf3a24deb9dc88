"""Joins each LiDAR scan with the images nearest to it in time; a camera that is silent delays nothing.

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


class LidarTriggeredSynchronizer(SimpleFilter):
    """Calls back with `(scan, {camera: image})` as soon as a scan arrives.

    Each camera keeps its last `depth` images; the one nearest to the scan is taken if it is within
    `slop_ns`, else the camera is left out.
    """

    def __init__(
        self, lidar: SimpleFilter, cameras: Mapping[str, SimpleFilter], *, slop_ns: int, depth: int = 10
    ) -> None:
        super().__init__()
        self._slop_ns = slop_ns
        self._lock = threading.Lock()
        self._images: dict[str, deque[Any]] = {name: deque(maxlen=depth) for name in cameras}
        for name, camera in cameras.items():
            camera.registerCallback(self._store, name)
        lidar.registerCallback(self._trigger)

    def _store(self, image: Any, camera: str) -> None:
        with self._lock:
            self._images[camera].append(image)

    def _trigger(self, scan: Any) -> None:
        time_ns = stamp_ns_of(scan)
        with self._lock:
            images = {name: self._nearest(buffer, time_ns) for name, buffer in self._images.items()}
        self.signalMessage(scan, {name: image for name, image in images.items() if image is not None})

    def _nearest(self, buffer: deque[Any], time_ns: int) -> Any | None:
        nearest = min(buffer, key=lambda image: abs(stamp_ns_of(image) - time_ns), default=None)
        if nearest is None or abs(stamp_ns_of(nearest) - time_ns) > self._slop_ns:
            return None
        return nearest
