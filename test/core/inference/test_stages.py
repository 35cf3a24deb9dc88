"""The stop watch."""

from __future__ import annotations

import time

import pytest

from clip2scene_core.inference import StageTimer


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves when it is told to, in seconds."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_stages_add_up_in_the_order_in_which_they_came(clock):
    timer = StageTimer()
    for stage, seconds in (("network", 0.25), ("classify", 0.5), ("network", 1.0)):
        with timer(stage):
            clock[0] += seconds
    assert list(timer.ms.items()) == [("network", 1250.0), ("classify", 500.0)]


def test_a_stage_that_fails_is_timed_too(clock):
    timer = StageTimer()
    with pytest.raises(ValueError, match="broken"), timer("network"):
        clock[0] += 2
        raise ValueError("broken")
    assert timer.ms == {"network": 2000.0}
