"""Interruptions that wait for the end of a step, so that what is saved can be gone on from exactly."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interruptions_deferred() -> Iterator[Callable[[], None]]:
    """Holds back SIGINT and SIGTERM; the function that it gives raises KeyboardInterrupt if one has come.

    Call it where the work may stop. A second signal raises at once. Only the main thread receives
    signals; elsewhere this does nothing.
    """
    arrived: list[int] = []

    def check() -> None:
        if arrived:
            raise KeyboardInterrupt

    def remember(number: int, _: object) -> None:
        check()
        arrived.append(number)

    previous = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
