"""What is claimed of the method, and whether the results bear it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from clip2scene_core.config import EvidenceConfig
from clip2scene_core.evidence.rows import SEMANTIC_ONLY, TEACHER, WHOLE
from clip2scene_core.evidence.statistics import Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence, and what was found."""

    text: str
    found: str
    holds: bool


def claims(config: EvidenceConfig, rows: Mapping[str, Figures]) -> tuple[Claim, ...]:
    """Those about the figures by row; one whose rows are missing does not hold."""
    made = [_better_than_teacher(config, rows), _better_than_semantic_loss(config, rows)]
    return tuple([*made, _in_order(config, rows)] if config.order else made)


def _better_than_teacher(config: EvidenceConfig, rows: Mapping[str, Figures]) -> Claim:
    text = (
        f"on the points that cameras see, the student has at least {config.teacher_factor:g} times the mIoU "
        "of its teacher"
    )
    if missing := _missing(rows, (WHOLE, TEACHER)):
        return Claim(text=text, found=missing, holds=False)
    student, teacher = rows[WHOLE].camera_points, rows[TEACHER].camera_points
    factor = student.mean / teacher.mean if teacher.mean else float("inf")
    return Claim(
        text=text,
        found=f"{student} against {teacher}, {factor:.2f} times",
        holds=factor >= config.teacher_factor,
    )


def _better_than_semantic_loss(config: EvidenceConfig, rows: Mapping[str, Figures]) -> Claim:
    """The worst seed of the one has to surpass the best of the other."""
    text = (
        f"on all points, the method as a whole is at least {config.semantic_gain:g} points of mIoU above the "
        "semantic loss alone, in its worst seed above the best one"
    )
    if missing := _missing(rows, (WHOLE, SEMANTIC_ONLY)):
        return Claim(text=text, found=missing, holds=False)
    whole, alone = rows[WHOLE].all_points, rows[SEMANTIC_ONLY].all_points
    gain = whole.mean - alone.mean
    return Claim(
        text=text,
        found=f"{whole} against {alone}, {gain:+.1f}",
        holds=gain >= config.semantic_gain and whole.least > alone.most,
    )


def _in_order(config: EvidenceConfig, rows: Mapping[str, Figures]) -> Claim:
    text = f"on the points that cameras see, {' > '.join(config.order)}"
    if missing := _missing(rows, config.order):
        return Claim(text=text, found=missing, holds=False)
    means = [rows[name].camera_points.mean for name in config.order]
    return Claim(
        text=text,
        found=", ".join(f"{mean:.1f}" for mean in means),
        holds=all(better > worse for better, worse in pairwise(means)),
    )


def _missing(rows: Mapping[str, Figures], wanted: tuple[str, ...]) -> str:
    missing = [name for name in wanted if name not in rows]
    return f"no result of {', '.join(missing)}" if missing else ""
