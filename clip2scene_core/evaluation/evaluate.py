"""Predictions against the ground truth of a recording."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip2scene_core.data.source import FrameSource
from clip2scene_core.errors import DataError
from clip2scene_core.inference import SemanticSegmenter, StageTimer
from clip2scene_core.labels import LabelSet
from clip2scene_core.metrics import Confusion


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a student got right in the frames of a source."""

    confusion: Confusion
    frames: int
    seconds: float
    stage_ms: dict[str, float]
    """Median milliseconds a frame by stage."""

    def to_dict(self, *, more_than: int) -> dict[str, Any]:
        """Plain values for JSON; classes count towards `miou` if they have `more_than` points."""
        confusion = self.confusion
        names = confusion.label_set.names
        return {
            "label_set": confusion.label_set.name,
            "frames": self.frames,
            "points": int(confusion.counts.sum()),
            "miou": _plain(confusion.mean_iou(more_than=more_than)),
            "miou_over_classes_with_more_points_than": more_than,
            "miou_of_all_classes_that_occur": _plain(confusion.mean_iou()),
            "accuracy": _plain(confusion.accuracy()),
            "iou": {name: _plain(v) for name, v in zip(names, confusion.iou(), strict=True)},
            "points_of_class": dict(zip(names, confusion.points.tolist(), strict=True)),
            "confusion": confusion.counts.tolist(),
            "stage_ms": {name: round(ms, 2) for name, ms in self.stage_ms.items()},
            "seconds": round(self.seconds, 2),
        }


def evaluate(
    source: FrameSource,
    segmenter: SemanticSegmenter,
    label_set: LabelSet,
    report: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Labels every frame and counts; truth and predictions are both mapped to `label_set`.

    Raises DataError where the source has no ground truth.
    """
    if source.label_set is None:
        raise DataError("the recording has no ground truth to evaluate against")
    confusion, stages = Confusion.empty(label_set), []
    started = time.monotonic()
    for index in range(len(source)):
        frame = source[index]
        report(index + 1)
        if frame.labels is None:
            continue
        if frame.labels.probability is not None:
            raise DataError(
                "the labels of the recording are predictions, no ground truth to evaluate against"
            )
        timer = StageTimer()
        predicted = segmenter.segment(frame, timer)
        confusion += Confusion.of(
            label_set,
            label_set.from_set(source.label_set, frame.labels.class_id),
            label_set.from_set(segmenter.label_set, predicted.class_id),
        )
        stages.append(timer.ms)
    if not stages:
        raise DataError("none of the frames has ground truth to evaluate against")
    return Evaluation(
        confusion=confusion,
        frames=len(stages),
        seconds=time.monotonic() - started,
        stage_ms=median_stages(stages),
    )


def median_stages(stages: list[dict[str, float]]) -> dict[str, float]:
    """Median milliseconds of each stage over frames."""
    names = dict.fromkeys(name for ms in stages for name in ms)
    return {name: float(np.median([ms[name] for ms in stages if name in ms])) for name in names}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
