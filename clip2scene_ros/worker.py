"""One thread that works on the newest job: callbacks hand over and return, what is overtaken is dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class NewestOnlyWorker(Generic[Job]):
    """Runs `process` on jobs in its own thread; at most one job waits, and a newer one takes its place.

    An exception of `process` goes to `on_error` and the thread lives on.
    """

    def __init__(
        self,
        process: Callable[[Job], None],
        *,
        on_drop: Callable[[Job], None],
        on_error: Callable[[Job, Exception], None],
    ) -> None:
        self._process = process
        self._on_drop = on_drop
        self._on_error = on_error
        self._waiting: list[Job] = []
        self._changed = threading.Condition()
        self.stopping = threading.Event()
        """Set once the worker shall stop; a `process` that waits for something should watch it."""
        self._thread = threading.Thread(target=self._run, name="newest-only worker", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hand over a job and return at once; a job that still waited is dropped."""
        with self._changed:
            overtaken = self._waiting
            self._waiting = [job]
            self._changed.notify()
        for dropped in overtaken:
            self._on_drop(dropped)

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Finish the running job, forget the waiting one; False if that takes longer than `timeout_s`."""
        with self._changed:
            self.stopping.set()
            self._waiting = []
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._process(job)
            except Exception as error:  # the edge of the node: reported, never fatal
                self._on_error(job, error)

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self.stopping.is_set())
            return None if self.stopping.is_set() else self._waiting.pop()
