"""Where the time of a training goes, by a clock of the test's own."""

from __future__ import annotations

import time

import pytest
import torch

from clip2scene_core.training.clock import TrainingClock, peak_memory_mb


@pytest.fixture
def wait(monkeypatch):
    """Lets so many seconds go by."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def later(seconds):
        now[0] += seconds

    return later


def test_a_part_inside_another_stops_it(wait):
    clock = TrainingClock(torch.device("cpu"))
    with clock("losses"):
        wait(1)
        with clock("teacher"):
            wait(10)
        wait(2)
        with clock("student"):
            wait(20)
        with clock("teacher"):
            wait(30)
    wait(1000)  # belongs to nothing
    with clock("data"):
        wait(4)
    assert list(clock.lap().items()) == [("losses", 3), ("teacher", 40), ("student", 20), ("data", 4)]
    assert clock.lap() == {}
    with clock("data"):
        wait(1)
    assert clock.lap() == {"data": 1}
    assert clock.total == {"losses": 3, "teacher": 40, "student": 20, "data": 5}


def test_an_error_ends_its_part(wait):
    clock = TrainingClock(torch.device("cpu"))
    with pytest.raises(KeyboardInterrupt), clock("losses"), clock("teacher"):
        wait(1)
        raise KeyboardInterrupt
    wait(7)
    assert clock.lap() == {"losses": 0, "teacher": 1}


def test_memory_is_that_of_the_process():
    held = torch.zeros(50_000_000, dtype=torch.uint8)
    assert 50 < peak_memory_mb(held.device) < 100_000
