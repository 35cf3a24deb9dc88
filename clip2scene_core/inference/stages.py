"""How long each stage of the work on a scan took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageTimer:
    """Times named stages; a stage that runs several times adds up."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        """Milliseconds by stage, in the order in which they ran."""

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.ms[stage] = self.ms.get(stage, 0.0) + 1e3 * (time.perf_counter() - started)
