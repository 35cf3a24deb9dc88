"""Messages of several topics, passed on together when their times agree."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from rclpy.clock import ROSClock
from rclpy.duration import Duration

from message_filters.message_traits import TimeGetter, get_time_from_message_header, warn_of_timeless
from message_filters.simple_filter import SimpleFilter

Queue = dict[int, Any]  # time in nanoseconds -> message


class TimeSynchronizer(SimpleFilter):
    """Passes on sets of messages, one of each input, whose header stamps are equal.

    Each input keeps its `queue_size` newest messages. A set that is passed on takes what is older out of the
    queues, as in C++. Callbacks get the messages in the order of `fs`.
    """

    def __init__(
        self,
        fs: Sequence[SimpleFilter],
        queue_size: int,
        time_getter: TimeGetter = get_time_from_message_header,
    ) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.time_getter = time_getter
        self.lock = threading.Lock()
        self.connectInput(fs)

    def connectInput(self, fs: Sequence[SimpleFilter]) -> None:
        """Take the outputs of `fs` as inputs."""
        self.queues: list[Queue] = [{} for _ in fs]
        self.input_connections = [
            f.registerCallback(self.add, queue, index)
            for index, (f, queue) in enumerate(zip(fs, self.queues, strict=True))
        ]

    def add(self, msg: Any, my_queue: Queue, my_queue_index: int | None = None) -> None:
        """Take one message of the input that `my_queue` belongs to; ValueError where it has no time."""
        stamp = self.time_getter(msg)
        if stamp is None:
            raise ValueError(
                f"{type(msg).__name__}: expected a message with a header stamp; pass a time_getter, or use "
                "ApproximateTimeSynchronizer with allow_headerless=True"
            )
        with self.lock:
            self._keep(my_queue, stamp.nanoseconds, msg)
            match = self._match(stamp.nanoseconds)
        if match:
            self.signalMessage(*match)

    def _keep(self, queue: Queue, time_ns: int, msg: Any) -> None:
        queue[time_ns] = msg
        while len(queue) > self.queue_size:
            del queue[min(queue)]

    def _match(self, time_ns: int) -> list[Any]:
        """The messages of `time_ns` where every input has one; they and what is older leave the queues."""
        if not all(time_ns in queue for queue in self.queues):
            return []
        match = [queue[time_ns] for queue in self.queues]
        for queue in self.queues:
            for passed in [time for time in queue if time <= time_ns]:
                del queue[passed]
        return match


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """Passes on sets of messages, one of each input, whose times lie less than `slop` seconds apart.

    `allow_headerless` takes messages without a time at their time of arrival, `sync_arrival_time` takes all
    at their time of arrival. `queue_offset` has a number of nanoseconds for each input, which are subtracted
    from its times. Each message is passed on once.
    """

    def __init__(
        self,
        fs: Sequence[SimpleFilter],
        queue_size: int,
        slop: float,
        allow_headerless: bool = False,
        sync_arrival_time: bool = False,
        *,
        queue_offset: Sequence[int] = (),
        time_getter: TimeGetter = get_time_from_message_header,
    ) -> None:
        super().__init__(fs, queue_size, time_getter)
        self.slop = Duration(seconds=slop)
        self.allow_headerless = allow_headerless
        self.sync_arrival_time = sync_arrival_time
        self.queue_offset = queue_offset

    def add(self, msg: Any, my_queue: Queue, my_queue_index: int | None = None) -> None:
        """Take one message of the input that `my_queue` belongs to."""
        stamp = None if self.sync_arrival_time else self.time_getter(msg)
        if stamp is None and not (self.allow_headerless or self.sync_arrival_time):
            warn_of_timeless(msg, "approx")
            return
        time_ns = (ROSClock().now() if stamp is None else stamp).nanoseconds
        if self.queue_offset and my_queue_index is not None:
            time_ns -= self.queue_offset[my_queue_index]
        with self.lock:
            self._keep(my_queue, time_ns, msg)
            match = self._nearest_match(time_ns, my_queue)
        if match:
            self.signalMessage(*match)

    def _nearest_match(self, time_ns: int, my_queue: Queue) -> list[Any]:
        """The set around `time_ns` that takes the nearest messages of the others, first inputs first."""
        if time_ns not in my_queue:
            return []
        candidates = [[time_ns] if queue is my_queue else self._near(queue, time_ns) for queue in self.queues]
        for times in itertools.product(*candidates):
            if max(times) - min(times) < self.slop.nanoseconds:
                return [queue.pop(time) for queue, time in zip(self.queues, times, strict=True)]
        return []

    def _near(self, queue: Iterable[int], time_ns: int) -> list[int]:
        near = [time for time in queue if abs(time - time_ns) < self.slop.nanoseconds]
        return sorted(near, key=lambda time: abs(time - time_ns))
