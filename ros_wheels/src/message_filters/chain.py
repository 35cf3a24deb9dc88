"""Filters one behind the other, handled as one."""

from __future__ import annotations

from typing import Any

from message_filters.simple_filter import SimpleFilter


class Chain(SimpleFilter):
    """A filter made of filters: input goes to the first, output comes from the last."""

    def __init__(self, f: SimpleFilter | None = None) -> None:
        super().__init__()
        self._filters: list[SimpleFilter] = []
        if f is not None:
            self.connectInput(f)

    def connectInput(self, f: SimpleFilter) -> None:
        """Take the output of `f` as input."""
        self.incoming_connection = f.registerCallback(self.add)

    def addFilter(self, new_filter: SimpleFilter) -> int:
        """Append a filter that has a method `add`; returns its index."""
        if self._filters:
            self._filters[-1].registerCallback(new_filter.add)
        self._filters.append(new_filter)
        index = len(self._filters) - 1
        new_filter.registerCallback(lambda *msg: self._output(index, *msg))
        return index

    def getFilter(self, index: int) -> SimpleFilter:
        """The filter with this index; KeyError where there is none."""
        if not 0 <= index < len(self._filters):
            raise KeyError(index)
        return self._filters[index]

    def add(self, msg: Any) -> None:
        """Hand a message to the first filter."""
        if self._filters:
            self._filters[0].add(msg)

    def _output(self, index: int, *msg: Any) -> None:
        if index == len(self._filters) - 1:
            self.signalMessage(*msg)
