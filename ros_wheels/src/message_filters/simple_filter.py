"""The base of every filter: a list of callbacks and a way to call them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any


class SimpleFilter:
    """Something that has an output: others register for it, the filter signals it."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self._connections = itertools.count()

    def registerCallback(self, cb: Callable[..., Any], *args: Any) -> int:
        """Call `cb(*messages, *args)` for every output; returns the number of the connection."""
        connection = next(self._connections)
        self.callbacks[connection] = (cb, args)
        return connection

    def unregisterCallback(self, conn: int) -> None:
        """End a connection; unknown numbers are ignored."""
        self.callbacks.pop(conn, None)

    def signalMessage(self, *msg: Any) -> None:
        """Hand messages to every registered callback, in the order of registration."""
        for callback, args in list(self.callbacks.values()):
            callback(*msg, *args)


class OneInputFilter(SimpleFilter):
    """A filter that takes the output of one other; subclasses define `add`."""

    def __init__(self, message_filter: SimpleFilter | None = None) -> None:
        super().__init__()
        self.incoming_connection: int | None = None
        if message_filter is not None:
            self.connectInput(message_filter)

    def connectInput(self, message_filter: SimpleFilter) -> None:
        """Take the output of `message_filter` as input; RuntimeError the second time."""
        if self.incoming_connection is not None:
            raise RuntimeError("Already connected")
        self.incoming_connection = message_filter.registerCallback(self.add)

    def add(self, message: Any) -> None:
        """Take a message."""
        raise NotImplementedError
