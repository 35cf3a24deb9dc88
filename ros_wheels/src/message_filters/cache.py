"""A short history of messages, asked by time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from rclpy.clock import ROSClock
from rclpy.time import Time

from message_filters.message_traits import (
    TimeGetter,
    as_time,
    get_time_from_message_header,
    warn_of_timeless,
)
from message_filters.simple_filter import SimpleFilter


class Cache(SimpleFilter):
    """Passes messages on and keeps the `cache_size` newest, ordered by header stamp.

    `allow_headerless` keeps messages for which `time_getter` has no time under their time of arrival. A time
    is an rclpy Time or a builtin_interfaces/Time.
    """

    def __init__(
        self,
        f: SimpleFilter | None,
        cache_size: int = 1,
        allow_headerless: bool = False,
        time_getter: TimeGetter = get_time_from_message_header,
    ) -> None:
        super().__init__()
        self.cache_size = cache_size
        self.allow_headerless = allow_headerless
        self.time_getter = time_getter
        self.cache_msgs: list[Any] = []
        self.cache_times: list[Time] = []
        if f is not None:
            self.connectInput(f)

    def connectInput(self, f: SimpleFilter) -> None:
        """Take the output of `f` as input."""
        self.incoming_connection = f.registerCallback(self.add)

    def add(self, msg: Any) -> None:
        """Keep `msg`, drop the oldest where there are too many, and pass `msg` on."""
        stamp = self.time_getter(msg)
        if stamp is None and not self.allow_headerless:
            warn_of_timeless(msg, "cache")
            return
        stamp = ROSClock().now() if stamp is None else stamp
        position = self._until(stamp)
        self.cache_times.insert(position, stamp)
        self.cache_msgs.insert(position, msg)
        if len(self.cache_msgs) > self.cache_size:
            del self.cache_times[0], self.cache_msgs[0]
        self.signalMessage(msg)

    def getInterval(self, from_stamp: Any, to_stamp: Any) -> list[Any]:
        """Every message from `from_stamp` to `to_stamp`, both included, oldest first."""
        first, end = as_time(from_stamp), as_time(to_stamp)
        assert first.nanoseconds <= end.nanoseconds, f"expected an interval, got {first} to {end}"
        return self.cache_msgs[self._before(first) : self._until(end)]

    def getSurroundingInterval(self, from_stamp: Any, to_stamp: Any) -> list[Any]:
        """The shortest run of messages that encloses the two times, or comes closest to it."""
        first = max(self._until(from_stamp) - 1, 0)
        last = max(self._before(to_stamp), first)
        return self.cache_msgs[first : last + 1]

    def getElemAfterTime(self, stamp: Any) -> Any | None:
        """The oldest message at or after `stamp`."""
        position = self._before(stamp)
        return self.cache_msgs[position] if position < len(self.cache_msgs) else None

    def getElemBeforeTime(self, stamp: Any) -> Any | None:
        """The newest message at or before `stamp`."""
        position = self._until(stamp)
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

    def _before(self, stamp: Any) -> int:
        """How many messages are older than `stamp`."""
        return bisect_left(self.cache_times, as_time(stamp).nanoseconds, key=_nanoseconds)

    def _until(self, stamp: Any) -> int:
        """How many messages are at most as new as `stamp`."""
        return bisect_right(self.cache_times, as_time(stamp).nanoseconds, key=_nanoseconds)


def _nanoseconds(time: Time) -> int:
    return time.nanoseconds
