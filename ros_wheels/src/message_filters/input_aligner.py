"""Messages of several topics, passed on one by one in the order of their stamps."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rclpy.duration import Duration

from message_filters.message_traits import as_time
from message_filters.simple_filter import SimpleFilter

Event = tuple[int, int, Any]  # stamp in nanoseconds, number of arrival, message

_NEVER_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """What an input of an InputAligner has seen."""

    active: bool
    """Whether its next message is waited for."""
    queue_size: int
    msgs_processed: int
    msgs_dropped: int


@dataclass(slots=True)
class EventQueue:
    """The messages of one input that wait for those of others."""

    output: SimpleFilter = field(default_factory=SimpleFilter)
    events: list[Event] = field(default_factory=list)
    """A heap: the oldest comes first."""
    period_ns: int = 0
    next_ns: int = _NEVER_NS
    """When the next message is due."""
    active: bool = False
    processed: int = 0
    dropped: int = 0

    def first_ns(self) -> int:
        """The stamp of the oldest message; without one the time when one is due."""
        if self.events:
            self.active = True
            self.next_ns = self.events[0][0] + self.period_ns
            return self.events[0][0]
        return self.next_ns if self.active else _NEVER_NS


class InputAligner(SimpleFilter):
    """Passes messages on in the order of their stamps over all inputs, each to the callbacks of its input.

    A message waits until every active input has a newer one. An input is active from its first message on;
    it is waited for until the newest stamp of all is `timeout` past the time when its next message was due,
    that is its period after its last. Messages older than what was passed on are dropped. Nothing happens
    before `dispatchMessages`, which `setupDispatchTimer` has called regularly.
    """

    def __init__(
        self, timeout: Duration, *inputs: SimpleFilter, filters: Sequence[SimpleFilter] = ()
    ) -> None:
        super().__init__()
        self.timeout = timeout
        self.name = ""
        self.lock = threading.Lock()
        self.event_queues: list[EventQueue] = []
        self.input_connections: list[tuple[SimpleFilter, int]] = []
        self.dispatch_timer: Any = None
        self._arrivals = itertools.count()
        self._newest_in_ns = 0
        self._newest_out_ns = 0
        self.connectInput(*inputs, filters=filters)

    def connectInput(self, *inputs: SimpleFilter, filters: Sequence[SimpleFilter] = ()) -> None:
        """Take the outputs of these as inputs; former inputs, their messages and callbacks are forgotten."""
        self.disconnectAll()
        inputs = (*inputs, *filters)
        with self.lock:
            self.event_queues = [EventQueue() for _ in inputs]
        self.input_connections = [(f, f.registerCallback(self.add, index)) for index, f in enumerate(inputs)]

    def disconnectAll(self) -> None:
        """Take nothing from the inputs any more."""
        for source, connection in self.input_connections:
            source.unregisterCallback(connection)
        self.input_connections = []

    def registerCallback(self, index: int, cb: Callable[..., Any], *args: Any) -> int:  # type: ignore[override]
        """Call `cb(message, *args)` for every message of the input `index`; returns a number for it."""
        return self.event_queues[index].output.registerCallback(cb, *args)

    def setName(self, name: str) -> None:
        """Name the aligner."""
        self.name = name

    def getName(self) -> str:
        """The aligner's name."""
        return self.name

    def setInputPeriod(self, index: int, period: Duration) -> None:
        """Say how far apart the messages of the input `index` are."""
        self.event_queues[index].period_ns = period.nanoseconds

    def getQueueStatus(self, index: int) -> QueueStatus:
        """What the input `index` has seen."""
        queue = self.event_queues[index]
        return QueueStatus(queue.active, len(queue.events), queue.processed, queue.dropped)

    def setupDispatchTimer(self, node: Any, update_rate: Duration) -> None:
        """Let a timer of `node` call `dispatchMessages` each `update_rate`."""
        self.dispatch_timer = node.create_timer(update_rate.nanoseconds / 1e9, self.dispatchMessages)

    def add(self, msg: Any, queue_index: int) -> None:
        """Take one message of an input."""
        stamp_ns = as_time(msg.header.stamp).nanoseconds
        with self.lock:
            queue = self.event_queues[queue_index]
            if stamp_ns < self._newest_out_ns:
                queue.dropped += 1
                return
            self._newest_in_ns = max(self._newest_in_ns, stamp_ns)
            heapq.heappush(queue.events, (stamp_ns, next(self._arrivals), msg))

    def dispatchMessages(self) -> None:
        """Pass on every message that need not wait any longer."""
        while (ready := self._next_ready()) is not None:
            output, msg = ready
            output.signalMessage(msg)

    def _next_ready(self) -> tuple[SimpleFilter, Any] | None:
        """The next message and where it goes; None where it has to wait or there is none."""
        with self.lock:
            while any(queue.events for queue in self.event_queues):
                queue = min(self.event_queues, key=EventQueue.first_ns)
                if queue.events:
                    self._newest_out_ns, _, msg = heapq.heappop(queue.events)
                    queue.processed += 1
                    return queue.output, msg
                if self._newest_in_ns - queue.next_ns < self.timeout.nanoseconds:
                    return None
                queue.active = False
        return None
