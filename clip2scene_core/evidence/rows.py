"""The rows of the evidence: the method as a whole, and one thing about it changed at a time.

A change reads as it would on the command line of `clip2scene pretrain --set`. The first rows are the ablation
table of CLIP2Scene, annotation-free on nuScenes, with the mIoU in % that the paper prints; what follows are
what we do otherwise, prompts, known additions to the method, what can be done at inference, and teachers on
their own.

A base of `EvidenceConfig.pretrain` is the paper's method, but for what pays and what rows take away again: a
cross-entropy with class weights in place of equation (1), self-training late and by the moving average, the
dictionary of phrases, the occlusion test, windows over whole images in place of random crops, and views that
are turned at inference.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from clip2scene_core.errors import ConfigError

WHOLE = "full"
"""The row of the method as a whole, which all others are compared with."""
SEMANTIC_ONLY = "semantic_only"
TEACHER = "teacher"

_EQUATION_1 = ("objective.semantic_loss=infonce", "objective.tau=0.5")
_SEMANTIC_LOSS_ALONE = (
    "objective.spatial_temporal_weight=0",
    "objective.self_training.switch=off",
    "pairing.sweeps=1",
)

Answerer = Literal["semantic head", "temporal head", "teacher", "ensemble"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    name: str
    group: str
    what: str
    """In a few words, for who reads the table."""
    change: tuple[str, ...] = ()
    """Settings of pre-training that are others than in the base."""
    inference: tuple[str, ...] = ()
    """Settings of inference that are others than in the base."""
    student_of: str = ""
    """The row whose students are judged; empty where the row has its own."""
    answers: Answerer = "semantic head"
    paper: float | None = None
    """mIoU in % that the paper prints."""

    @property
    def learns(self) -> bool:
        """Whether it takes a training of its own."""
        return self.answers != "teacher" and not self.student_of

    def seeds(self, count: int) -> range:
        """Those of its runs; a teacher has nothing to draw."""
        return range(1 if self.answers == "teacher" else count)


_LEARNING = (
    Row(name=WHOLE, group="paper", what="the method as a whole, 3 sweeps", paper=20.8),
    Row(
        name=SEMANTIC_ONLY,
        group="paper",
        what="the paper's semantic loss (1) alone on 1 sweep, no self-training",
        change=(*_EQUATION_1, *_SEMANTIC_LOSS_ALONE),
        paper=15.1,
    ),
    Row(
        name="without_spatial_temporal",
        group="paper",
        what="without the spatial-temporal loss (2)",
        change=("objective.spatial_temporal_weight=0",),
        paper=19.8,
    ),
    # Nothing trains the semantic head then. The other one is drawn to fused pixel features, which live in the
    # space of the text, so it is the one that answers. Self-training relabels for (1) only and has no effect.
    Row(
        name="without_semantic",
        group="paper",
        what="without the semantic loss",
        change=("objective.semantic_weight=0",),
        answers="temporal head",
        paper=16.8,
    ),
    Row(
        name="without_self_training",
        group="paper",
        what="without switchable self-training",
        change=("objective.self_training.switch=off",),
        paper=18.8,
    ),
    # "ST" of the paper, of which it says no more than that labels are the network's own. Those of a random
    # network mean nothing, so the switch still starts when it does; from then on it never draws the pixel.
    Row(
        name="self_training_only",
        group="paper",
        what="self-training without the switch: then only labels of its own",
        change=("objective.self_training.probability=1",),
        paper=10.1,
    ),
    Row(
        name="kl",
        group="paper",
        what="Kullback-Leibler divergence as the semantic loss",
        change=("objective.semantic_loss=kl",),
        paper=0.0,
    ),
    Row(name="one_sweep", group="paper", what="1 sweep", change=("pairing.sweeps=1",), paper=18.7),
    Row(name="five_sweeps", group="paper", what="5 sweeps", change=("pairing.sweeps=5",), paper=20.6),
    Row(
        name="merged_input",
        group="paper",
        what="all sweeps as one cloud",
        change=("pairing.merged=true",),
        paper=18.6,
    ),
    Row(
        name="equation_1",
        group="ours",
        what="equation (1) as the semantic loss, tau 0.5",
        change=_EQUATION_1,
    ),
    Row(
        name="cross_entropy_only",
        group="ours",
        what="the cross-entropy with class weights alone on 1 sweep, no self-training",
        change=_SEMANTIC_LOSS_ALONE,
    ),
    Row(
        name="without_class_weights",
        group="ours",
        what="all points weigh alike in the cross-entropy, as in the released code",
        change=("objective.rare=0",),
    ),
    Row(
        name="early_self_training",
        group="ours",
        what="self-training by the student itself from half of the run on, as in the paper",
        change=("objective.self_training.start=0.5", "objective.self_training.predictor=student"),
    ),
    Row(
        name="class_names",
        group="prompts",
        what="bare class names, no sentences",
        change=("teacher.phrases=name", "teacher.templates=none"),
    ),
    Row(
        name="one_phrase",
        group="prompts",
        what="one phrase a class, in sentences",
        change=("teacher.phrases=first",),
    ),
    Row(
        name="words_of_semantic_kitti",
        group="prompts",
        what="the 19 classes of SemanticKITTI, mapped to ours when judged",
        change=("label_set=semantic_kitti",),
    ),
    Row(
        name="without_occlusion_test",
        group="additions",
        what="without the occlusion test",
        change=("pairing.occlusion=false",),
    ),
    Row(
        name="whole_images",
        group="additions",
        what="the teacher sees whole images, no windows",
        change=("teacher.window_px=0",),
    ),
    Row(name="sclip", group="additions", what="teacher SCLIP", change=("teacher.mode=sclip",)),
    Row(
        name="denoising",
        group="additions",
        what="classes that are nowhere in an image are ruled out",
        change=("teacher.denoising=0.5",),
    ),
    Row(
        name="smoothing",
        group="additions",
        what="doubtful patches follow those that look alike",
        change=("teacher.smoothing=0.5",),
    ),
    Row(
        name="agreement",
        group="additions",
        what="labels that sweeps and cameras agree on",
        change=("objective.agreement=0.6",),
    ),
    Row(
        name="superpoints",
        group="additions",
        what="one label for each piece of the ground and of what stands on it",
        change=("pairing.superpoints=true",),
    ),
    Row(
        name="unpaired_points",
        group="additions",
        what="points without a pixel learn from the student's own labels",
        change=("objective.self_training.unpaired=true",),
    ),
)


def _asked(name: str, what: str, *inference: str, answers: Answerer = "semantic head") -> Row:
    """The students of the whole method, asked otherwise."""
    return Row(
        name=name, group="inference", what=what, inference=inference, student_of=WHOLE, answers=answers
    )


_ASKING = (
    _asked(
        "scan_statistics",
        "half of the statistics are of the scan at hand, which another sensor or place needs",
        "scan_statistics=0.5",
    ),
    _asked("voting", "2 earlier sweeps vote", "sweeps=2"),
    _asked("one_view", "the scan as it is, no turned views", "views=1"),
    _asked("ensemble", "2D-3D ensemble: the surer of student and teacher", answers="ensemble"),
)


def _teacher(name: str, what: str, *change: str) -> Row:
    """The teacher of the row `name`, whose words go to the points that the cameras see."""
    return Row(name=name, group="teacher", what=what, change=change, answers="teacher")


_TEACHERS = (
    _teacher(TEACHER, "the teacher, projected to the points"),
    _teacher("teacher_sclip", "SCLIP, projected", "teacher.mode=sclip"),
    _teacher("teacher_clearclip", "ClearCLIP, projected", "teacher.mode=clearclip"),
    _teacher("teacher_naclip", "NACLIP, projected", "teacher.mode=naclip"),
)
ROWS = {row.name: row for row in (*_LEARNING, *_ASKING, *_TEACHERS)}
"""By name, in the order of the table."""
FIRST = (WHOLE, SEMANTIC_ONLY, TEACHER)
"""What is gathered before all else: the rows that the claims are about."""


def chosen_rows(names: Iterable[str]) -> tuple[Row, ...]:
    """In the order in which they are gathered; no names for all. Raises ConfigError for an unknown one."""
    names = tuple(names) or tuple(ROWS)
    for name in names:
        if name not in ROWS:
            near = difflib.get_close_matches(name, ROWS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(ROWS)}"
            raise ConfigError(f"evidence has no row '{name}'; {hint}")
    return tuple(ROWS[name] for name in dict.fromkeys([*FIRST, *ROWS]) if name in names)
