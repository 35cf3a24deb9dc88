"""Where the time of a training goes, and how much memory it takes."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch

Mark = float | torch.cuda.Event
"""A moment: of this machine's clock in seconds, or in the work that CUDA has been given."""


class TrainingClock:
    """Seconds that parts of the work take; one inside another stops the outer one.

    On a GPU parts are timed there, between what it has been told to do, so nothing waits for it before `lap`.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self.total: dict[str, float] = {}
        """Seconds by part in all laps."""
        self._part: str | None = None
        self._marks: list[tuple[str | None, Mark]] = []

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """What is done inside is that part of the work."""
        outer = self._part
        self._turn_to(part)
        try:
            yield
        finally:
            self._turn_to(outer)

    def lap(self) -> dict[str, float]:
        """Seconds by part since the last lap, in the order in which they began; waits for a GPU."""
        if self._cuda:
            torch.cuda.synchronize()
        seconds: dict[str, float] = {}
        for (part, start), (_, end) in pairwise(self._marks):
            if part is not None:
                seconds[part] = seconds.get(part, 0.0) + _seconds(start, end)
        self._marks.clear()
        for part, lap in seconds.items():
            self.total[part] = self.total.get(part, 0.0) + lap
        return seconds

    def _turn_to(self, part: str | None) -> None:
        mark: Mark = time.perf_counter()
        if self._cuda:
            mark = torch.cuda.Event(enable_timing=True)
            mark.record()
        self._marks.append((part, mark))
        self._part = part


def peak_memory_mb(device: torch.device) -> int:
    """The most that this process has had in use: of a GPU's memory, or else of the machine's."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


def _seconds(start: Mark, end: Mark) -> float:
    if isinstance(start, float) and isinstance(end, float):
        return end - start
    assert isinstance(start, torch.cuda.Event) and isinstance(end, torch.cuda.Event)
    return start.elapsed_time(end) / 1e3
