"""How good labels are on the held-out drives, on all points and on those that a camera sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from clip2scene_core.data.source import FrameSource
from clip2scene_core.errors import DataError
from clip2scene_core.inference.segmenter import SemanticSegmenter
from clip2scene_core.labels import LabelSet
from clip2scene_core.metrics import Confusion

MORE_THAN = 1000
"""Points that a class has to have to count in the mean."""


def judge(
    source: FrameSource,
    label_set: LabelSet,
    predictions: Iterator[np.ndarray],
    projected: Sequence[np.ndarray],
) -> dict[str, Any]:
    """mIoU and IoU by class, in %, `all` and `seen`.

    predictions: class ids (N,) of each frame of `source`. projected: those of the teacher, which has none for
    points that no camera sees.
    """
    confusions = {"all": Confusion.empty(label_set), "seen": Confusion.empty(label_set)}
    for index, (predicted, by_teacher) in enumerate(zip(predictions, projected, strict=True)):
        truth = _truth(source, index, label_set)
        seen = by_teacher != label_set.ignore_id
        confusions["all"] += Confusion.of(label_set, truth, predicted)
        confusions["seen"] += Confusion.of(label_set, truth[seen], predicted[seen])
    return {part: _percent(confusion) for part, confusion in confusions.items()}


def predictions(source: FrameSource, segmenter: SemanticSegmenter) -> Iterator[np.ndarray]:
    """Class ids (N,) by a student, frame after frame, from scans alone."""
    for index in range(len(source)):
        yield segmenter.segment(replace(source[index], images={}, world_from_camera={})).class_id


def _truth(source: FrameSource, index: int, label_set: LabelSet) -> np.ndarray:
    """(N,) class ids of `label_set`; raises DataError where there are none."""
    labels = source[index].labels
    if source.label_set is None or labels is None:
        raise DataError(f"frame {index} has no ground truth to be judged by")
    return label_set.from_set(source.label_set, labels.class_id)


def _percent(confusion: Confusion) -> dict[str, Any]:
    iou = dict(zip(confusion.label_set.names, (100 * confusion.iou()).round(2).tolist(), strict=True))
    judged = confusion.points > MORE_THAN
    return {
        "miou": round(100 * confusion.mean_iou(more_than=MORE_THAN), 2),
        "iou": {name: value for (name, value), counts in zip(iou.items(), judged, strict=True) if counts},
    }
