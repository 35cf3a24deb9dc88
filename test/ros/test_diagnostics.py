"""The diagnostics say what happened, in the words and levels that a user acts on."""

from __future__ import annotations

import pytest

pytest.importorskip("diagnostic_msgs", reason="ROS 2 is not installed")

from clip2scene_ros.diagnostics import ERROR, OK, WARN, Diagnostics, DiagnosticsConfig


class Bench:
    """Diagnostics on a clock that the test turns."""

    def __init__(self, **settings: float) -> None:
        self.now_s = 100.0
        self.diagnostics = Diagnostics(
            DiagnosticsConfig(**settings), name="segment: test", clock=lambda: self.now_s
        )

    def status(self, *, subscribed: bool = True) -> tuple[bytes, str, dict[str, str]]:
        status = self.diagnostics.status(subscribed=subscribed, details={"label set": "street"})
        assert status.name == "segment: test"
        return status.level, status.message, {value.key: value.value for value in status.values}

    def scans(self, count: int, *, every_s: float = 0.1, latency_ms: float = 40.0) -> None:
        for _ in range(count):
            self.diagnostics.arrived()
            self.diagnostics.published(latency_ms, {"decode": 1.0, "network": latency_ms - 1.0})
            self.now_s += every_s


def test_healthy_labelling_reports_rates_and_stages() -> None:
    bench = Bench()
    bench.scans(20)
    level, message, values = bench.status()
    assert (level, message) == (OK, "labelling")
    assert values["rate in (Hz)"] == values["rate out (Hz)"] == "10.00"
    assert values["scans published"] == "20" and values["scans dropped"] == "0"
    assert values["latency mean (ms)"] == "40.00" and values["stage network (ms)"] == "39.00"
    assert values["label set"] == "street" and values["last problem"] == "none"


def test_means_are_those_since_the_last_report() -> None:
    bench = Bench()
    bench.scans(3, latency_ms=10.0)
    bench.status()
    bench.scans(2, latency_ms=30.0)
    values = bench.status()[2]
    assert values["latency mean (ms)"] == "30.00" and values["scans published since last report"] == "2"
    assert values["scans published"] == "5"


def test_a_passing_problem_shows_once_and_is_remembered() -> None:
    bench = Bench()
    bench.diagnostics.withheld(WARN, "the cloud has no field z")
    bench.scans(5)
    assert bench.status()[:2] == (WARN, "nothing published: the cloud has no field z")
    level, message, values = bench.status()
    assert (level, message) == (OK, "labelling")
    assert values["last problem"] == "nothing published: the cloud has no field z"
    assert values["scans withheld"] == "1"


def test_a_lasting_problem_becomes_an_error() -> None:
    bench = Bench(withheld_error_s=3.0)
    for _ in range(4):
        bench.diagnostics.arrived()
        bench.diagnostics.withheld(WARN, "no transform")
        assert bench.status()[0] == WARN
        bench.now_s += 1.0
    assert bench.status()[:2] == (ERROR, "nothing published: no transform")
    bench.scans(1)
    assert bench.status()[0] == OK


def test_the_worst_problem_is_the_message() -> None:
    bench = Bench()
    bench.diagnostics.warned("camera 'front': no camera_info has arrived")
    bench.diagnostics.withheld(ERROR, "RuntimeError: boom")
    assert bench.status()[:2] == (ERROR, "nothing published: RuntimeError: boom")


@pytest.mark.parametrize(("latency_ms", "level"), [(499.0, OK), (501.0, WARN), (6000.0, ERROR)])
def test_latency_has_thresholds(latency_ms, level) -> None:
    bench = Bench(latency_warn_ms=500.0, latency_error_ms=5000.0)
    bench.scans(1, latency_ms=latency_ms)
    assert bench.status()[0] == level


def test_many_drops_are_a_warning() -> None:
    bench = Bench(drop_warn_ratio=0.5)
    bench.scans(1)
    for _ in range(3):
        bench.diagnostics.arrived()
        bench.diagnostics.dropped()
    level, message, values = bench.status()
    assert level == WARN and message.startswith("3 of 4 scans were overtaken")
    assert values["scans dropped"] == "3"


def test_silence_is_a_warning_only_where_somebody_listens() -> None:
    bench = Bench(silence_warn_s=5.0)
    bench.now_s += 6.0
    assert bench.status()[:2] == (WARN, "nothing published: no scan has arrived, for 6 s")
    assert bench.status(subscribed=False)[:2] == (OK, "idle: nobody subscribes to the labelled cloud")
    bench.scans(1)
    bench.now_s += 9.0
    assert bench.status()[1] == "nothing published: no scan arrives any more, for 9 s"
    assert bench.status()[2]["rate in (Hz)"] == "0.00"
