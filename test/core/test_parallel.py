"""Work over several processes: what is done, what is told of it, and how it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.parallel import spread


def write_squares(folder: Path, item: int, done: Callable[[], None]) -> None:
    for power in (1, 2):
        (folder / f"{item}^{power}").write_text(str(item**power))
        done()


def fail_at_three(item: int, done: Callable[[], None]) -> None:
    done()
    if item == 3:
        raise DataError("three is too many")
    for _ in range(1000 if item > 3 else 0):  # longer than any test may take
        time.sleep(1)
        done()


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_is_done_and_every_step_is_told(workers, tmp_path):
    told: list[int] = []
    spread(partial(write_squares, tmp_path), range(4), workers=workers, progress=told.append)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        f"{item}^{power}": str(item**power) for item in range(4) for power in (1, 2)
    }
    assert told == sorted(told) and told[-1] == 8


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_error_ends_all(workers):
    """Those that are being done, at their next step."""
    with pytest.raises(DataError, match="three is too many"):
        spread(fail_at_three, [1, 2, 3, 4, 5, 6], workers=workers, progress=lambda done: None)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interruption_ends_all(workers):
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spread(fail_at_three, [4, 5, 6, 7], workers=workers, progress=interrupt)


def test_nothing_to_do():
    spread(fail_at_three, [], workers=2, progress=lambda done: pytest.fail("nothing was done"))


def die(item: int, done: Callable[[], None]) -> None:
    os._exit(9)


def test_a_worker_that_the_system_kills_is_named():
    with pytest.raises(ConfigError, match="a worker was killed, for want of memory"):
        spread(die, [1, 2], workers=2, progress=lambda done: None)
