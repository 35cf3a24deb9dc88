"""Two ways to play a drive: each scan after the answer to the one before, and at the drive's own speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_core.errors import DataError
from clip2scene_core.progress import Progress
from clip2scene_core.stamps import NS_PER_S
from clip2scene_ros.demo.audience import Audience, stamp_ns_of_raw
from clip2scene_ros.demo.player import Drive, Player, Recorded
from clip2scene_ros.demo.recorder import Recorder

REAL_TIME_S = 20.0
"""The pass in real time ends after so much of the drive."""

SETTLE_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTimePass:
    """What happened when the drive was played at its own speed."""

    rate: float
    """Speed: 1 is as recorded."""
    scans: int
    labelled: int
    overtaken: int
    """Scans that still waited when a newer one came, and were dropped."""
    scans_hz: float
    labelled_hz: float
    latency_ms: dict[str, float]


def percentiles(values_ms: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and the largest; empty for no values."""
    if not len(values_ms):
        return {}
    return {
        name: round(float(np.percentile(values_ms, percent)), 2)
        for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))
    }


def warm_up(drive: Drive, player: Player, audience: Audience, timeout_s: float) -> float:
    """Play up to the first scan; the milliseconds until it was answered, or its problem known.

    Raises DataError where there is no scan.
    """
    player.publish_static()
    for message in drive.messages():
        started_s = time.monotonic()
        player.publish(message)
        if message.topic == drive.points_topic:
            _is_answered(message, audience, timeout_s)
            return 1e3 * (time.monotonic() - started_s)
    raise DataError(f"{drive.bag.path} has no message on {drive.points_topic}")


def one_by_one(
    drive: Drive,
    player: Player,
    audience: Audience,
    recorder: Recorder,
    progress: Progress,
    timeout_s: float,
) -> list[float]:
    """Play everything, each scan after the answer to the one before; latencies in milliseconds."""
    audience.settle(SETTLE_TIMEOUT_S)
    audience.reset()
    latencies_ms: list[float] = []
    for message in drive.messages():
        started_s = time.monotonic()
        player.publish(message)
        if message.topic != drive.points_topic:
            recorder.keep(message)
            continue
        answer = None
        if _is_answered(message, audience, timeout_s):
            answer = audience.answers.pop(stamp_ns_of_raw(message.raw))
            latencies_ms.append(1e3 * (answer.received_s - started_s))
        recorder.add(message, answer)
        progress(recorder.scans, total=max(len(drive.source), recorder.scans), text="one by one")
    audience.settle(SETTLE_TIMEOUT_S)
    return latencies_ms


def _is_answered(message: Recorded, audience: Audience, timeout_s: float) -> bool:
    """Waits for the answer, but no longer once the node has said that it withholds one."""
    stamp_ns, withheld = stamp_ns_of_raw(message.raw), audience.totals.get("withheld", 0)
    audience.wait(
        lambda: stamp_ns in audience.answers or audience.totals.get("withheld", 0) > withheld, timeout_s
    )
    return stamp_ns in audience.answers


def in_real_time(
    drive: Drive, player: Player, audience: Audience, rate: float, progress: Progress
) -> RealTimePass:
    """Play at `rate` times the recorded speed, whatever the node makes of it."""
    audience.reset()
    overtaken = audience.totals.get("dropped", 0)
    sent_s: dict[int, float] = {}
    started_s, first_ns = time.monotonic(), None
    for message in drive.messages():
        first_ns = message.due_ns if first_ns is None else first_ns
        due_s = (message.due_ns - first_ns) / NS_PER_S
        if due_s > REAL_TIME_S:
            break
        time.sleep(max(started_s + due_s / rate - time.monotonic(), 0.0))
        player.publish(message)
        if message.topic == drive.points_topic:
            sent_s[stamp_ns_of_raw(message.raw)] = time.monotonic()
            progress(len(sent_s), total=max(len(drive.source), len(sent_s)), text=f"{rate:g} x real time")
    audience.settle(SETTLE_TIMEOUT_S)
    received_s = {stamp: audience.answers[stamp].received_s for stamp in sent_s if stamp in audience.answers}
    latencies_ms = [1e3 * (received - sent_s[stamp]) for stamp, received in received_s.items()]
    return RealTimePass(
        rate=rate,
        scans=len(sent_s),
        labelled=len(received_s),
        overtaken=audience.totals.get("dropped", 0) - overtaken,
        scans_hz=_rate_hz(list(sent_s.values())),
        labelled_hz=_rate_hz(list(received_s.values())),
        latency_ms=percentiles(latencies_ms),
    )


def _rate_hz(times_s: Sequence[float]) -> float:
    """Events a second; 0 for fewer than two."""
    return round((len(times_s) - 1) / (max(times_s) - min(times_s)), 3) if len(times_s) > 1 else 0.0
