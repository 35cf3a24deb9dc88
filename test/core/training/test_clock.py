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


def test_a_gpu_is_timed_by_its_own_events_and_waited_for_once_a_lap(monkeypatch):
    """Events of a stand-in, a second apart; a real one gives milliseconds too."""
    recorded, waited = [], []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            recorded.append(self)

        def elapsed_time(self, end):
            return 1e3 * (recorded.index(end) - recorded.index(self))

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append(len(recorded)))
    clock = TrainingClock(torch.device("cuda"))
    with clock("losses"), clock("teacher"):
        pass
    assert clock.lap() == {"losses": 2, "teacher": 1}
    assert waited == [4]
