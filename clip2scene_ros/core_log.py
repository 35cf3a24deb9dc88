"""Warnings of the core, which knows no ROS, to where the users of a node look."""

from __future__ import annotations

import logging
from collections.abc import Callable


class CoreWarnings(logging.Handler):
    """Tells the text of each warning that the core logs, from whatever thread, until it is closed."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._core = logging.getLogger("clip2scene_core")
        self._core.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Of logging.Handler."""
        try:
            self._tell(record.getMessage())
        except Exception:  # as handlers do: a warning that cannot be told ends nothing
            self.handleError(record)

    def close(self) -> None:
        """Listens no more."""
        self._core.removeHandler(self)
        super().close()
