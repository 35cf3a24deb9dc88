"""How good labels are on held-out drives: on all points, and on those that cameras see.

A teacher answers for what cameras see only, so that it is there that students compare with it fairly; on all
points, those without an answer count as wrong. Shapes: N points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from clip2scene_core.data.source import FrameSource
from clip2scene_core.labels import LabelSet
from clip2scene_core.metrics import Confusion
from clip2scene_core.pairing import point_pixel_pairs
from clip2scene_core.types import Frame, SemanticLabels


class Labeller(Protocol):
    """A student or a teacher."""

    label_set: LabelSet

    def segment(self, frame: Frame) -> SemanticLabels:
        """A class for each row of the frame's scan, the ignore id for none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What was right. Shares are in 0..1, None where nothing is to be judged."""

    miou: float | None
    """Mean over the classes that have enough points."""
    accuracy: float | None
    iou: Mapping[str, float | None]
    """By class."""
    points: Mapping[str, int]
    """Those that truly are of each class."""

    @classmethod
    def of(cls, confusion: Confusion, *, least_points: int) -> Score:
        """Classes of no more than `least_points` points do not count in the mean."""
        names = confusion.label_set.names
        return cls(
            miou=_plain(confusion.mean_iou(more_than=least_points)),
            accuracy=_plain(confusion.accuracy()),
            iou=dict(zip(names, map(_plain, confusion.iou()), strict=True)),
            points=dict(zip(names, confusion.points.tolist(), strict=True)),
        )

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Score:
        """From JSON; raises TypeError for fields that are missing or unknown."""
        return cls(**content)


def judge(
    source: FrameSource, labeller: Labeller, label_set: LabelSet, done: Callable[[], None]
) -> tuple[Confusion, Confusion]:
    """Of all points of the frames, and of those that a camera sees; truth and answers in `label_set`.

    `source` has ground truth. `done` is called after each frame.
    """
    everywhere, seen = Confusion.empty(label_set), Confusion.empty(label_set)
    for index in range(len(source)):
        frame = source[index]
        truth = _truth(source, frame, label_set)
        answer = label_set.from_set(labeller.label_set, labeller.segment(frame).class_id)
        everywhere += Confusion.of(label_set, truth, answer)
        rows = seen_by_cameras(frame)
        seen += Confusion.of(label_set, truth[rows], answer[rows])
        done()
    return everywhere, seen


def points_of_classes(source: FrameSource, label_set: LabelSet) -> Mapping[str, int]:
    """How many points of all frames truly are of each class of `label_set`, as in `Score.points`."""
    total = Confusion.empty(label_set)
    for index in range(len(source)):
        truth = _truth(source, source[index], label_set)
        total += Confusion.of(label_set, truth, truth)
    return Score.of(total, least_points=0).points


def seen_by_cameras(frame: Frame) -> np.ndarray:
    """(N,) bool: whether a camera of the frame sees the point, behind no nearer ones, as for label_points."""
    seen = np.zeros(len(frame.scan.xyz), bool)
    for camera in frame.images:
        seen[point_pixel_pairs(frame, camera).row] = True
    return seen


def _truth(source: FrameSource, frame: Frame, label_set: LabelSet) -> np.ndarray:
    """(N,) uint16 ids in `label_set`."""
    assert source.label_set is not None and frame.labels is not None
    return label_set.from_set(source.label_set, frame.labels.class_id)


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
