"""What is claimed of the method, and whether the results bear it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from clip2scene_core.config import EvidenceConfig
from clip2scene_core.evidence.rows import SEMANTIC_ONLY, TEACHER, WHOLE
from clip2scene_core.evidence.statistics import Figures

Found = tuple[str, bool]
"""In figures, and whether the claim holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence, and what was found."""

    text: str
    found: str
    holds: bool


def claims(config: EvidenceConfig, rows: Mapping[str, Figures]) -> tuple[Claim, ...]:
    """Those about the figures by row; one whose rows are missing does not hold."""
    made = [
        _claim(
            "on the points that cameras see, the student has at least "
            f"{config.teacher_factor:g} times the mIoU of its teacher",
            (WHOLE, TEACHER),
            rows,
            partial(_times, config.teacher_factor),
        ),
        _claim(
            f"on all points, the method as a whole is at least {config.semantic_gain:g} points of mIoU "
            "above equation (1) alone, in its worst seed above the best one",
            (WHOLE, SEMANTIC_ONLY),
            rows,
            partial(_above, config.semantic_gain),
        ),
    ]
    if config.order:
        text = f"on the points that cameras see, {' > '.join(config.order)}"
        made.append(_claim(text, config.order, rows, _descending))
    return tuple(made)


def _claim(text: str, of: Sequence[str], rows: Mapping[str, Figures], judge: Callable[..., Found]) -> Claim:
    """What `judge` finds of the rows that it is `of`, in their order."""
    if missing := [name for name in of if name not in rows]:
        return Claim(text=text, found=f"no result of {', '.join(missing)}", holds=False)
    found, holds = judge(*(rows[name] for name in of))
    return Claim(text=text, found=found, holds=holds)


def _times(least: float, student: Figures, teacher: Figures) -> Found:
    ours, its = student.camera_points, teacher.camera_points
    factor = ours.mean / its.mean if its.mean else float("inf")
    return f"{ours} against {its}, {factor:.2f} times", factor >= least


def _above(gain: float, whole: Figures, alone: Figures) -> Found:
    """The worst seed of the one has to surpass the best of the other."""
    all_of_it, part = whole.all_points, alone.all_points
    found = all_of_it.mean - part.mean
    return f"{all_of_it} against {part}, {found:+.1f}", found >= gain and all_of_it.least > part.most


def _descending(*rows: Figures) -> Found:
    means = [row.camera_points.mean for row in rows]
    return ", ".join(f"{mean:.1f}" for mean in means), all(a > b for a, b in pairwise(means))
