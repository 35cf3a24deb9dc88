"""Results of rows and seeds to a table that a reader can check, and to claims that hold or do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clip2scene_core.evidence.rows import CLAIMS, FULL, ROWS, TEACHER_FACTOR
from clip2scene_core.evidence.run import TEACHER

Results = Mapping[str, Sequence[Mapping[str, Any]]]
"""By name of the row, one of each seed."""


def rows_of(results: Results) -> list[tuple[str, ...]]:
    """Name, mIoU of all points and of those that a camera sees, mean and spread in %, and the paper's."""
    paper = {row.name: row.paper for row in ROWS}
    return [
        (
            name,
            *(_spread([each[part]["miou"] for each in of_row]) for part in ("all", "seen")),
            "" if paper.get(name) is None else f"{paper[name]:.1f}",
        )
        for name, of_row in results.items()
    ]


def claims_of(results: Results) -> list[tuple[str, bool]]:
    """What has to hold of those rows that were run, in words, and whether it does."""
    claims = []
    for claim in CLAIMS:
        if claim.better in results and claim.worse in results:
            better, worse = (_all(results[name]) for name in (claim.better, claim.worse))
            gain, spread = better.mean() - worse.mean(), max(np.ptp(better), np.ptp(worse))
            what = (
                f"{claim.better} is better than {claim.worse} by {gain:.1f}, expected {claim.by:g} "
                f"and more than the spread of seeds, {spread:.1f}"
            )
            claims.append((what, bool(gain >= max(claim.by, spread))))
    if FULL in results and TEACHER in results:
        student, teacher = (
            float(np.mean([each["seen"]["miou"] for each in results[name]])) for name in (FULL, TEACHER)
        )
        what = (
            f"{FULL} has {student / teacher:.2f} times the mIoU of the teacher on points that a camera sees, "
            f"expected {TEACHER_FACTOR:g}"
        )
        claims.append((what, student >= TEACHER_FACTOR * teacher))
    return claims


def markdown(results: Results) -> str:
    """The table and the IoU of each class of the full method and the teacher."""
    head = "| row | mIoU, all points | mIoU, points that a camera sees | paper |\n|---|---|---|---|\n"
    text = head + "".join(f"| {' | '.join(row)} |\n" for row in rows_of(results))
    names = [name for name in (FULL, TEACHER) if name in results]
    classes = results[names[0]][0]["seen"]["iou"] if names else {}
    text += "\n| class | " + " | ".join(names) + " |\n|---" * 1 + "|---" * len(names) + "|\n"
    for c in classes:
        cells = [_spread([each["seen"]["iou"][c] for each in results[name]]) for name in names]
        text += f"| {c} | {' | '.join(cells)} |\n"
    return text


def _all(of_row: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array([each["all"]["miou"] for each in of_row])


def _spread(values: Sequence[float]) -> str:
    """Mean, and half the distance from the worst seed to the best."""
    mean = f"{np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {np.ptp(values) / 2:.1f}"
