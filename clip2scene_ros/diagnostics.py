"""What the node tells /diagnostics: rates, drops, stages and, where nothing is published, why."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from clip2scene_core.config import setting

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

_RATE_WINDOW_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticsConfig:
    """When the state of the node is reported, and what is worth a warning."""

    period_s: float = setting(1.0, "time between two reports on /diagnostics", least=0.01, most=60.0)
    latency_warn_ms: float = setting(
        500.0, "warn above this time from arrival of a scan to publication", least=0.0, most=1e6
    )
    latency_error_ms: float = setting(
        5000.0, "error above this time from arrival of a scan to publication", least=0.0, most=1e6
    )
    drop_warn_ratio: float = setting(
        0.5, "warn when more than this share of the scans was overtaken", least=0.0, most=1.0
    )
    silence_warn_s: float = setting(5.0, "warn when no scan has arrived for so long", least=0.0, most=3600.0)
    withheld_error_s: float = setting(
        5.0, "error when scans arrive but none was published for so long", least=0.0, most=3600.0
    )


@dataclass(slots=True)
class _Report:
    """What happened since the last report."""

    problems: list[tuple[bytes, str]] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    stages_ms: dict[str, float] = field(default_factory=dict)
    arrived: int = 0
    dropped: int = 0


class Diagnostics:
    """Counts events of any thread and sums them up in one DiagnosticStatus; `clock` is in seconds.

    A problem shows in the next report even if later scans were fine, and stays until a scan is published.
    """

    def __init__(
        self, config: DiagnosticsConfig, *, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._report = _Report()
        self._started_s = clock()
        self._arrivals_s: deque[float] = deque()
        self._publications_s: deque[float] = deque()
        self._last_arrival_s: float | None = None
        self._withheld: tuple[bytes, str] | None = None
        self._withheld_since_s = 0.0
        self._last_problem = "none"
        self._totals = {"arrived": 0, "published": 0, "dropped": 0, "withheld": 0}

    def arrived(self) -> None:
        """A scan arrived, whether or not somebody wants it labelled."""
        with self._lock:
            self._last_arrival_s = self._clock()
            self._arrivals_s.append(self._last_arrival_s)
            self._totals["arrived"] += 1
            self._report.arrived += 1

    def dropped(self) -> None:
        """A waiting scan was overtaken by a newer one."""
        with self._lock:
            self._totals["dropped"] += 1
            self._report.dropped += 1

    def withheld(self, level: bytes, reason: str) -> None:
        """A scan could not be labelled."""
        with self._lock:
            self._totals["withheld"] += 1
            if self._withheld is None:
                self._withheld_since_s = self._clock()
            self._withheld = (level, f"nothing published: {reason}")
            self._note(*self._withheld)

    def warned(self, reason: str) -> None:
        """A scan is labelled, but with less than was asked for."""
        with self._lock:
            self._note(WARN, reason)

    def published(self, latency_ms: float, stages_ms: Mapping[str, float]) -> None:
        """A labelled scan went out."""
        with self._lock:
            self._publications_s.append(self._clock())
            self._totals["published"] += 1
            self._withheld = None
            self._report.latencies_ms.append(latency_ms)
            for stage, ms in stages_ms.items():
                self._report.stages_ms[stage] = self._report.stages_ms.get(stage, 0.0) + ms

    def status(self, *, subscribed: bool, details: Mapping[str, str]) -> DiagnosticStatus:
        """The state since the last call. `details` are shown as they are."""
        with self._lock:
            report, self._report = self._report, _Report()
            level, message = self._verdict(report, subscribed)
            values = self._values(report) | {"last problem": self._last_problem} | dict(details)
        return DiagnosticStatus(
            level=level,
            name=self._name,
            message=message,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )

    def _note(self, level: bytes, reason: str) -> None:
        self._last_problem = reason
        self._report.problems.append((level, reason))

    def _verdict(self, report: _Report, subscribed: bool) -> tuple[bytes, str]:
        """The worst problem, the first among equals."""
        problems = [*report.problems, *self._slowness(report)]
        if subscribed:
            problems += self._absence()
        fine = (OK, "labelling" if subscribed else "idle: nobody subscribes to the labelled cloud")
        return max(problems, key=lambda problem: problem[0], default=fine)

    def _slowness(self, report: _Report) -> list[tuple[bytes, str]]:
        config, problems = self._config, []
        latency_ms = max(report.latencies_ms, default=0.0)
        if latency_ms > config.latency_warn_ms:
            level = ERROR if latency_ms > config.latency_error_ms else WARN
            problems.append((level, f"latency {latency_ms:.0f} ms is above {config.latency_warn_ms:.0f} ms"))
        if report.dropped > config.drop_warn_ratio * report.arrived:
            problems.append(
                (WARN, f"{report.dropped} of {report.arrived} scans were overtaken: they arrive too fast")
            )
        return problems

    def _absence(self) -> list[tuple[bytes, str]]:
        config, now_s, problems = self._config, self._clock(), []
        if self._withheld is not None:
            level, reason = self._withheld
            overdue = now_s - self._withheld_since_s > config.withheld_error_s
            problems.append((ERROR if overdue else level, reason))
        silent_s = now_s - (self._started_s if self._last_arrival_s is None else self._last_arrival_s)
        if silent_s > config.silence_warn_s:
            what = "no scan has arrived" if self._last_arrival_s is None else "no scan arrives any more"
            problems.append((WARN, f"nothing published: {what}, for {silent_s:.0f} s"))
        return problems

    def _values(self, report: _Report) -> dict[str, str]:
        count = len(report.latencies_ms)
        values = {
            "rate in (Hz)": f"{self._rate_hz(self._arrivals_s):.2f}",
            "rate out (Hz)": f"{self._rate_hz(self._publications_s):.2f}",
            **{f"scans {name}": str(total) for name, total in self._totals.items()},
            "scans published since last report": str(count),
        }
        if count:
            values["latency mean (ms)"] = f"{sum(report.latencies_ms) / count:.2f}"
            values["latency max (ms)"] = f"{max(report.latencies_ms):.2f}"
            values |= {f"stage {stage} (ms)": f"{ms / count:.2f}" for stage, ms in report.stages_ms.items()}
        return values

    def _rate_hz(self, times_s: deque[float]) -> float:
        """Events per second over the last few seconds; 0 for fewer than two."""
        while times_s and times_s[0] < self._clock() - _RATE_WINDOW_S:
            times_s.popleft()
        return (len(times_s) - 1) / (times_s[-1] - times_s[0]) if len(times_s) > 1 else 0.0
