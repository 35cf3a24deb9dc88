"""Figures over the seeds of a row. mIoU is in % here, as in tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from clip2scene_core.evidence.judging import Score
from clip2scene_core.evidence.results import Result
from clip2scene_core.evidence.rows import ROWS, WHOLE, Row

Order = Literal["yes", "no", "within spread"]
"""Whether a row is on the same side of the whole method as in the paper, or too close to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure over seeds."""

    seeds: int
    mean: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(seeds=len(values), mean=mean(values), least=min(values), most=max(values))

    @property
    def half_range(self) -> float:
        """Half of what lies between the least and the most."""
        return (self.most - self.least) / 2

    def __str__(self) -> str:
        return f"{self.mean:.1f}" + (f" ± {self.half_range:.1f}" if self.seeds > 1 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Those of a row."""

    all_points: Spread
    camera_points: Spread
    iou: Mapping[str, float | None]
    """By class, in %, of all points, the mean over seeds; None for a class that is not there."""
    minutes: float
    """Of a run, the mean over seeds."""


def figures_of(results: Iterable[Result]) -> dict[str, Figures]:
    """By row, in the order of ROWS; rows without a result whose mIoU is known are left out."""
    by_row: dict[str, list[Result]] = {}
    for result in results:
        if result.all_points.miou is not None and result.camera_points.miou is not None:
            by_row.setdefault(result.row, []).append(result)
    return {name: _figures(by_row[name]) for name in ROWS if name in by_row}


def order_as_in_paper(row: Row, rows: Mapping[str, Figures]) -> Order | None:
    """By the mIoU of all points; None where the paper has no such row, or there are no results.

    Where the row differs from the whole method by no more than both half ranges, seeds decide, not the row.
    """
    whole = ROWS[WHOLE]
    if row.paper is None or whole.paper is None or row is whole or not {row.name, WHOLE} <= rows.keys():
        return None
    ours, theirs = rows[row.name].all_points, rows[WHOLE].all_points
    difference = ours.mean - theirs.mean
    if abs(difference) <= ours.half_range + theirs.half_range:
        return "within spread"
    return "yes" if (difference > 0) == (row.paper > whole.paper) else "no"


def _figures(results: Sequence[Result]) -> Figures:
    return Figures(
        all_points=Spread.of([_percent(result.all_points) for result in results]),
        camera_points=Spread.of([_percent(result.camera_points) for result in results]),
        iou={name: _mean_iou(results, name) for name in results[0].all_points.iou},
        minutes=mean(result.seconds for result in results) / 60,
    )


def _percent(score: Score) -> float:
    assert score.miou is not None
    return 100 * score.miou


def _mean_iou(results: Sequence[Result], name: str) -> float | None:
    known = [iou for result in results if (iou := result.all_points.iou[name]) is not None]
    return 100 * mean(known) if known else None
