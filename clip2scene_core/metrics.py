"""Intersection over union, counted exactly.

Shapes: N points, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.labels import LabelSet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusion:
    """How often each class was called what; adds up over scans."""

    label_set: LabelSet
    counts: np.ndarray
    """(C, C + 1) int64: true class by predicted class; the last column holds points left without a class."""

    @classmethod
    def empty(cls, label_set: LabelSet) -> Confusion:
        """Nothing counted yet."""
        count = len(label_set.classes)
        return cls(label_set=label_set, counts=np.zeros((count, count + 1), np.int64))

    @classmethod
    def of(cls, label_set: LabelSet, truth_id: np.ndarray, predicted_id: np.ndarray) -> Confusion:
        """From ids (N,) of true and of predicted classes; points without a true class do not count."""
        count = len(label_set.classes)
        truth, predicted = label_set.indices(truth_id), label_set.indices(predicted_id)
        known = truth >= 0
        column = np.where(predicted < 0, count, predicted)[known]
        cells = np.bincount(truth[known] * (count + 1) + column, minlength=count * (count + 1))
        return cls(label_set=label_set, counts=cells.reshape(count, count + 1))

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(label_set=self.label_set, counts=self.counts + other.counts)

    @property
    def points(self) -> np.ndarray:
        """(C,) int64: points that truly are of each class."""
        return self.counts.sum(axis=1)

    def iou(self) -> np.ndarray:
        """(C,) float64 in 0..1; NaN for a class that neither occurs nor was predicted."""
        hits = np.diagonal(self.counts)
        union = self.points + self.counts[:, :-1].sum(axis=0) - hits
        return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)

    def mean_iou(self, *, more_than: int = 0) -> float:
        """Mean IoU over the classes with more than that many true points; NaN if there are none."""
        judged = self.points > more_than
        return float(self.iou()[judged].mean()) if judged.any() else float("nan")

    def accuracy(self) -> float:
        """Share of the points with a true class that were called by it; NaN if there are none."""
        total = self.counts.sum()
        return float(np.diagonal(self.counts).sum() / total) if total else float("nan")
