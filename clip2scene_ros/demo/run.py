"""The demo: label every scan of a drive, play it again in real time, write bag and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clip2scene_core.camera_info import is_rectified
from clip2scene_core.data.new_bag import new_bag
from clip2scene_core.progress import Progress, silent
from clip2scene_core.writing import write_json
from clip2scene_ros.demo.graph import running_node
from clip2scene_ros.demo.passes import RealTimePass, in_real_time, one_by_one, percentiles, warm_up
from clip2scene_ros.demo.player import Drive
from clip2scene_ros.demo.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSummary:
    """The figures of a demo; latencies run from publishing a scan to receiving its labels."""

    bag: str
    scans: int
    labelled: int
    every_row_kept: bool
    """Whether each labelled cloud has the rows, frame and stamp of its scan."""
    points_per_scan: float
    label_set: str
    cameras: tuple[str, ...]
    rate_hz: float
    """Scans a second when each is sent as soon as the one before was answered."""
    first_answer_ms: float
    """Latency of a scan before those that are measured: the first run of a network is slow."""
    latency_ms: dict[str, float]
    node_latency_ms: dict[str, float]
    """As the node measures it, from arrival to publication."""
    stage_ms: dict[str, float]
    """Mean milliseconds a scan in each stage of the node."""
    real_time: RealTimePass | None
    evaluation: dict[str, Any] | None
    """IoU by class where the bag has ground truth, as `clip2scene evaluate` gives it."""
    notes: tuple[str, ...]
    """What the bag lacks, and what the node complained of."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def run_demo(
    bag: Path,
    out: Path,
    *,
    checkpoint: str = "",
    rate: float = 1.0,
    cameras: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    answer_timeout_s: float = 60.0,
) -> DemoSummary:
    """Labels every scan of `bag` into the bag `out`/labelled, then plays it again in real time.

    In the first pass a scan waits for the labels of the one before, so that nothing is lost on a slow
    machine. The second plays at `rate` times the recorded speed (0: not at all) and counts what the
    node drops. `cameras` None plays all; `settings` are further parameters of the node.
    `progress(done, total=, text=)` is called after every scan. Writes `out`/summary.json,
    `out`/segment.yaml (the parameters) and `out`/node.log. The ROS graph has a domain of its own.

    Raises DataError or CalibrationError where the bag is unusable, Clip2SceneError where the node ends.
    """
    drive = Drive(Path(bag), cameras=cameras)
    parameters = _parameters(drive, checkpoint) | dict(settings or {})
    with running_node(drive, parameters, Path(out)) as (player, audience):
        first_answer_ms = warm_up(drive, player, audience, answer_timeout_s)
        with new_bag(Path(out) / "labelled", overwrite=True) as labelled:
            recorder = Recorder(labelled, drive, audience)
            latencies_ms = one_by_one(drive, player, audience, recorder, progress, answer_timeout_s)
        node_latency_ms, stage_ms = percentiles(audience.latencies_ms), audience.stages_ms()
        real_time = in_real_time(drive, player, audience, rate, progress) if rate > 0 else None
    seconds = sum(latencies_ms) / 1e3
    summary = DemoSummary(
        bag=str(bag),
        scans=recorder.scans,
        labelled=recorder.labelled,
        every_row_kept=recorder.every_row_kept,
        points_per_scan=round(recorder.points / max(recorder.labelled, 1), 1),
        label_set=recorder.label_set.name,
        cameras=tuple(drive.image_topics),
        rate_hz=round(len(latencies_ms) / seconds, 3) if seconds else 0.0,
        first_answer_ms=round(first_answer_ms, 2),
        latency_ms=percentiles(latencies_ms),
        node_latency_ms=node_latency_ms,
        stage_ms={name: round(ms, 2) for name, ms in stage_ms.items()},
        real_time=real_time,
        evaluation=recorder.evaluation(stage_ms, seconds),
        notes=(*drive.source.notes, *recorder.notes, *audience.problems),
    )
    write_json(Path(out) / "summary.json", summary.to_dict())
    return summary


def _parameters(drive: Drive, checkpoint: str) -> dict[str, Any]:
    """Of the node: what the drive has, and reliable inputs, so that no scan is lost on the way."""
    reliable = {
        f"qos_overrides.{topic}.subscription.reliability": "reliable"
        for topic in drive.played_topics().values()
        if topic != "/tf"
    }
    return reliable | {
        "checkpoint": str(Path(checkpoint).resolve()) if checkpoint else "",
        "cameras": list(drive.image_topics) or [""],
        "rectified_cameras": [n for n, topic in drive.image_topics.items() if is_rectified(topic)] or [""],
        "image_transport": drive.image_transport,
        "slop_ms": 100.0,
        "fixed_frame": drive.source.fixed_frame,
        "diagnostics.period_s": 0.25,
    }
