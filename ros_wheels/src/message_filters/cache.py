"""A short history of messages, asked by time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from rclpy.time import Time

from message_filters.simple_filter import SimpleFilter
from message_filters.stamps import as_time, stamp_of


class Cache(SimpleFilter):
    """Passes messages on and keeps the `cache_size` newest, ordered by header stamp.

    `allow_headerless` keeps messages without a header under their time of arrival. A time is an rclpy Time or
    a builtin_interfaces/Time.
    """

    def __init__(self, f: SimpleFilter | None, cache_size: int = 1, allow_headerless: bool = False) -> None:
        super().__init__()
        self.cache_size = cache_size
        self.allow_headerless = allow_headerless
        self.cache_msgs: list[Any] = []
        self.cache_times: list[Time] = []
        if f is not None:
            self.connectInput(f)

    def connectInput(self, f: SimpleFilter) -> None:
        """Take the output of `f` as input."""
        self.incoming_connection = f.registerCallback(self.add)

    def add(self, msg: Any) -> None:
        """Keep `msg`, drop the oldest where there are too many, and pass `msg` on."""
        stamp = stamp_of(msg, allow_headerless=self.allow_headerless, name="cache")
        if stamp is None:
            return
        position = bisect_right(self._nanoseconds(), stamp.nanoseconds)
        self.cache_times.insert(position, stamp)
        self.cache_msgs.insert(position, msg)
        if len(self.cache_msgs) > self.cache_size:
            del self.cache_times[0], self.cache_msgs[0]
        self.signalMessage(msg)

    def getInterval(self, from_stamp: Any, to_stamp: Any) -> list[Any]:
        """Every message from `from_stamp` to `to_stamp`, both included, oldest first."""
        times = self._nanoseconds()
        first = bisect_left(times, as_time(from_stamp).nanoseconds)
        return self.cache_msgs[first : bisect_right(times, as_time(to_stamp).nanoseconds)]

    def getSurroundingInterval(self, from_stamp: Any, to_stamp: Any) -> list[Any]:
        """The shortest run of messages that encloses the two times, or comes closest to it."""
        times = self._nanoseconds()
        first = max(bisect_right(times, as_time(from_stamp).nanoseconds) - 1, 0)
        last = max(bisect_left(times, as_time(to_stamp).nanoseconds), first)
        return self.cache_msgs[first : last + 1]

    def getElemAfterTime(self, stamp: Any) -> Any | None:
        """The oldest message at or after `stamp`."""
        position = bisect_left(self._nanoseconds(), as_time(stamp).nanoseconds)
        return self.cache_msgs[position] if position < len(self.cache_msgs) else None

    def getElemBeforeTime(self, stamp: Any) -> Any | None:
        """The newest message at or before `stamp`."""
        position = bisect_right(self._nanoseconds(), as_time(stamp).nanoseconds)
        return self.cache_msgs[position - 1] if position > 0 else None

    def getLatestTime(self) -> Time | None:
        """The stamp of the newest message."""
        return self.cache_times[-1] if self.cache_times else None

    getLastestTime = getLatestTime  # the name that the distribution's package had first

    def getOldestTime(self) -> Time | None:
        """The stamp of the oldest message."""
        return self.cache_times[0] if self.cache_times else None

    def getLast(self) -> Any | None:
        """The newest message."""
        return self.cache_msgs[-1] if self.cache_msgs else None

    def _nanoseconds(self) -> list[int]:
        return [time.nanoseconds for time in self.cache_times]
