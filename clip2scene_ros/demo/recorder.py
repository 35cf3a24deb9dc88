"""Records labelled clouds with TF and class names to a bag, and judges them where the truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from clip2scene_core.data.new_bag import NewBag
from clip2scene_core.data.ros_types import CLOUD, LABEL_INFO, TRANSFORMS, label_set_of, typestore
from clip2scene_core.errors import ConfigError
from clip2scene_core.evaluation.evaluate import Evaluation
from clip2scene_core.metrics import Confusion
from clip2scene_core.pointcloud2 import structured
from clip2scene_ros.demo.audience import Answer, Audience
from clip2scene_ros.demo.player import Drive, Recorded

POINTS_TOPIC = "/segment/output/points"
LABEL_INFO_TOPIC = "/segment/output/label_info"

MORE_THAN_POINTS = 1000
"""Classes with more points than this count in the mean IoU."""


class Recorder:
    """One bag of labelled clouds; the messages keep the times at which the drive was recorded."""

    def __init__(self, bag: NewBag, drive: Drive, audience: Audience) -> None:
        """`audience` must have heard the class names."""
        self._bag = bag
        self._drive = drive
        self._truth = drive.source.label_set
        self.label_set = label_set_of(audience.label_info, topic=LABEL_INFO_TOPIC)
        self.scans = 0
        self.labelled = 0
        self.points = 0
        self.every_row_kept = True
        self.notes: list[str] = []
        self._confusion: Confusion | None = None
        self._label_info_raw = audience.label_info_raw
        for message in drive.static_transforms():
            self._bag.write("/tf_static", TRANSFORMS, message.logged_ns, message.raw, latched=True)

    def keep(self, message: Recorded) -> None:
        """Copy a message of the drive if it says where things are."""
        if message.topic in self._drive.tf_topics:
            self._bag.write("/tf", TRANSFORMS, message.logged_ns, message.raw)

    def add(self, scan: Recorded, answer: Answer | None) -> None:
        """Record the labels of a scan; None where the node gave none."""
        self.scans += 1
        if answer is None:
            return
        if not self.labelled:
            self._bag.write(LABEL_INFO_TOPIC, LABEL_INFO, scan.logged_ns, self._label_info_raw, latched=True)
        self.labelled += 1
        self._bag.write(POINTS_TOPIC, CLOUD, scan.logged_ns, answer.raw)
        sent, labelled = _cloud(scan.raw), _cloud(answer.raw)
        before, after = structured(sent), structured(labelled)
        self.points += len(before)
        self.every_row_kept &= sent.header == labelled.header and _same_places(before, after)
        self._judge(before, after)

    def evaluation(self, stage_ms: dict[str, float], seconds: float) -> dict[str, Any] | None:
        """IoU by class; None where the truth is not known or its classes have no map to those of the node."""
        if self._confusion is None:
            return None
        result = Evaluation(
            confusion=self._confusion, frames=self.labelled, seconds=seconds, stage_ms=stage_ms
        )
        return result.to_dict(more_than=MORE_THAN_POINTS)

    def _judge(self, before: np.ndarray, after: np.ndarray) -> None:
        names = before.dtype.names
        if self._truth is None or "label" not in names or "probability" in names:
            return
        try:
            truth = self.label_set.from_set(self._truth, before["label"].astype(np.uint16))
        except ConfigError as error:
            self.notes.append(f"no IoU: {error}")
            self._truth = None
            return
        counts = Confusion.of(self.label_set, truth, after["label"].astype(np.uint16))
        self._confusion = counts if self._confusion is None else self._confusion + counts


def _cloud(raw: bytes) -> Any:
    return typestore().deserialize_cdr(raw, CLOUD)


def _same_places(before: np.ndarray, after: np.ndarray) -> bool:
    return len(before) == len(after) and all(
        np.array_equal(before[axis], after[axis], equal_nan=True) for axis in "xyz"
    )
