"""Independent pieces of work, in this process or spread over several."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from multiprocessing.sharedctypes import Synchronized
from threading import Thread
from typing import TypeVar

from clip2scene_core.errors import ConfigError

Item = TypeVar("Item")
Work = Callable[[Item, Callable[[], None]], None]
"""Does one piece and calls what it is given after each of its steps, where it may be interrupted."""

_STOP = -1

_steps: Synchronized[int]
"""Of a worker: the steps that all of them have done, or _STOP."""


class _StoppedError(Exception):
    """Another piece has failed, or the user has interrupted: this one is not wanted any more."""


def spread(
    work: Work[Item], items: Sequence[Item], *, workers: int, progress: Callable[[int], object]
) -> None:
    """Does `work` on every item, by `workers` processes; `progress` is told the steps done by all of them.

    Each piece must depend on its item only, so that the results are the same for any number of workers, which
    have to be able to import `work`. The first error ends all and is raised; so does an interruption. Raises
    ConfigError where the system kills a worker.
    """
    workers = min(workers, len(items))
    if workers > 1:
        _over_processes(work, items, workers, progress)
        return
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(done)

    for item in items:
        work(item, count)


def _over_processes(
    work: Work[Item], items: Sequence[Item], workers: int, progress: Callable[[int], object]
) -> None:
    context = get_context("spawn")
    steps = context.Value("q", 0)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_join, initargs=(steps,))
    try:
        waiting = {pool.submit(_do, work, item) for item in items}
        while waiting:
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            progress(steps.value)
    except BrokenProcessPool as error:
        raise ConfigError("a worker was killed, for want of memory? Choose fewer with --workers") from error
    finally:
        steps.value = _STOP
        pool.shutdown(cancel_futures=True)


def _join(steps: Synchronized[int]) -> None:
    """Makes this process a worker: it leaves interruptions to its parent and does not outlive it."""
    global _steps
    _steps = steps
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _do(work: Work[Item], item: Item) -> None:
    if _steps.value != _STOP:
        work(item, _count)


def _count() -> None:
    with _steps.get_lock():
        if _steps.value == _STOP:
            raise _StoppedError
        _steps.value += 1
