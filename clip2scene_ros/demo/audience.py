"""Listens to the node `segment`: labelled clouds as bytes, latencies, diagnostics and class names."""

from __future__ import annotations

import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Float64
from vision_msgs.msg import LabelInfo

from clip2scene_core.stamps import NS_PER_S


class Answer(NamedTuple):
    """A labelled cloud."""

    received_s: float
    """On the monotonic clock."""
    raw: bytes
    """Serialised."""


class Audience:
    """Collects what the node says; `alive` raises where the node has ended, so that no wait outlives it."""

    def __init__(self, node: Node, alive: Callable[[], None]) -> None:
        self.answers: dict[int, Answer] = {}
        """By the stamp of the scan, in nanoseconds."""
        self.latencies_ms: list[float] = []
        self.problems: list[str] = []
        """What the node complained of, each once."""
        self.label_info: LabelInfo | None = None
        self.label_info_raw = b""
        self.totals: dict[str, int] = {}
        """Scans by fate since the node started: arrived, published, dropped, withheld."""
        self._reports = 0
        self._stages_ms: Counter[str] = Counter()
        self._staged = 0
        self._alive = alive
        self._news = threading.Condition()
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        listen = node.create_subscription
        listen(PointCloud2, "/segment/output/points", self._on_points, QoSProfile(depth=100), raw=True)
        listen(LabelInfo, "/segment/output/label_info", self._on_label_info, latched, raw=True)
        listen(Float64, "/segment/debug/latency_ms", self._on_latency, QoSProfile(depth=100))
        listen(DiagnosticArray, "/diagnostics", self._on_diagnostics, QoSProfile(depth=100))

    def wait(self, condition: Callable[[], Any], timeout_s: float) -> Any:
        """The first true value of `condition`, or the last false one after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        with self._news:
            while not (value := condition()) and time.monotonic() < deadline_s:
                self._alive()
                self._news.wait(0.1)
        return value

    def reset(self) -> None:
        """Forget the answers and figures so far."""
        with self._news:
            self.answers.clear()
            self.latencies_ms.clear()
            self._stages_ms.clear()
            self._staged = 0

    def settle(self, timeout_s: float) -> None:
        """Wait until the node has reported that no scan is under way."""
        seen = self._reports
        self.wait(lambda: self._reports >= seen + 2 and self._nothing_under_way(), timeout_s)

    def _nothing_under_way(self) -> bool:
        total = self.totals.get
        return total("arrived", 0) == total("published", 0) + total("dropped", 0) + total("withheld", 0)

    def stages_ms(self) -> dict[str, float]:
        """Mean milliseconds a scan by stage, since the last reset."""
        return {name: total / self._staged for name, total in self._stages_ms.items()}

    def _on_points(self, raw: bytes) -> None:
        received_s = time.monotonic()
        with self._news:
            self.answers[stamp_ns_of_raw(raw)] = Answer(received_s, raw)
            self._news.notify_all()

    def _on_label_info(self, raw: bytes) -> None:
        with self._news:
            self.label_info, self.label_info_raw = deserialize_message(raw, LabelInfo), raw
            self._news.notify_all()

    def _on_latency(self, message: Float64) -> None:
        with self._news:
            self.latencies_ms.append(message.data)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        values = {pair.key: pair.value for status in message.status for pair in status.values}
        with self._news:
            self._reports += 1
            self.totals = {
                key.removeprefix("scans "): int(value)
                for key, value in values.items()
                if key in ("scans arrived", "scans published", "scans dropped", "scans withheld")
            }
            published = int(values.get("scans published since last report", 0))
            self._staged += published
            for key, value in values.items():
                if key.startswith("stage "):
                    stage = key.removeprefix("stage ").removesuffix(" (ms)")
                    self._stages_ms[stage] += published * float(value)
            problem = values.get("last problem", "none")
            if problem != "none" and problem not in self.problems:
                self.problems.append(problem)
            self._news.notify_all()


def stamp_ns_of_raw(raw: bytes) -> int:
    """Nanoseconds of the header that a serialised message begins with; CDR, after its own 4 bytes."""
    seconds, nanoseconds = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)
    return seconds * NS_PER_S + nanoseconds
