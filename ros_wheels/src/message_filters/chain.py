"""Filters one behind the other, handled as one."""

from __future__ import annotations

from typing import Any

from message_filters.simple_filter import OneInputFilter, SimpleFilter


class Chain(OneInputFilter):
    """A filter made of filters: input goes to the first, output comes from the last.

    Without filters it passes messages on. Every filter needs a method `add`.
    """

    def __init__(self, message_filter: SimpleFilter | None = None) -> None:
        self._filters: list[SimpleFilter] = []
        self._output = -1  # number of the last filter's connection to the output
        super().__init__(message_filter)

    def addFilter(self, message_filter: Any) -> int:
        """Append a filter; returns its index."""
        if self._filters:
            self._filters[-1].unregisterCallback(self._output)
            self._filters[-1].registerCallback(message_filter.add)
        self._filters.append(message_filter)
        self._output = message_filter.registerCallback(self.signalMessage)
        return len(self._filters) - 1

    def getFilter(self, index: int) -> SimpleFilter:
        """The filter with this index; KeyError where there is none."""
        if not 0 <= index < len(self._filters):
            raise KeyError(index)
        return self._filters[index]

    def add(self, message: Any) -> None:
        """Hand a message to the first filter."""
        first: Any = self._filters[0] if self._filters else None
        if first is None:
            self.signalMessage(message)
        else:
            first.add(message)
