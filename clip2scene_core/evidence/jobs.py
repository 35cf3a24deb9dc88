"""Pieces of the evidence, each for itself: a student or a teacher, and how good it is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.build import build_dense_clip
from clip2scene_core.checkpoint import Checkpoint
from clip2scene_core.clip.views import cache_views
from clip2scene_core.config import DrivesConfig, EvidenceConfig, TeacherConfig
from clip2scene_core.data.source import FrameSource
from clip2scene_core.evidence.drives import HELD_OUT, TRAINING, open_drives, recording_name
from clip2scene_core.evidence.judging import Labeller, Score, judge, points_of_classes
from clip2scene_core.evidence.results import Result, read_result, read_results, run_folder, write_result
from clip2scene_core.evidence.rows import ROWS, WHOLE, Row
from clip2scene_core.evidence.settings import pretraining, settings_of, with_changes
from clip2scene_core.evidence.table import write_table
from clip2scene_core.inference import SemanticSegmenter
from clip2scene_core.inference.ensemble import Ensemble
from clip2scene_core.inference.segmenter import one_thread
from clip2scene_core.inference.teacher import Teacher
from clip2scene_core.progress import Progress
from clip2scene_core.training.pretrain import frozen_teacher, label_set, pretrain
from clip2scene_core.training.schedule import resolved

DRIVES, FEATURES, STUDENT = "drives", "features", "student"
"""Folders: of bags, of what teachers see, and, in that of a run, of its training."""

Done = Callable[[], None]
"""Called after each step, where the work may be interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What all jobs share."""

    config: EvidenceConfig
    out: Path
    """Absolute: runs that go on know it."""
    commit: str
    hardware: str

    @property
    def frames(self) -> int:
        """How many are learnt from."""
        return self.config.drives.training * self.config.drives.frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one process does at a time: a student, or a teacher, and all rows that it is judged for."""

    of: str
    """The row whose student, or teacher, it is."""
    seed: int
    rows: tuple[str, ...]
    """Those without a result, at least one."""

    def units(self, campaign: Campaign) -> int:
        """How often `do` calls what it is given: after each optimiser step and each frame that is judged."""
        drives, row = campaign.config.drives, ROWS[self.of]
        run = pretraining(campaign.config, row, self.seed).training
        steps = resolved(run, campaign.frames).steps if row.learns else 0
        return steps + len(self.rows) * drives.held_out * drives.frames


def missing_jobs(config: EvidenceConfig, out: Path, rows: Iterable[Row]) -> list[Job]:
    """Those that the results in `out` lack, all rows of a seed before the next; raises as `read_result`."""
    rows, jobs = tuple(rows), dict[tuple[str, int], list[str]]()
    for seed in range(config.seeds):
        for row in rows:
            if seed in row.seeds(config.seeds) and read_result(out, config, row, seed) is None:
                jobs.setdefault((row.student_of or row.name, seed), []).append(row.name)
    return [Job(of=of, seed=seed, rows=tuple(names)) for (of, seed), names in jobs.items()]


def held_out_points(config: EvidenceConfig, out: Path) -> Mapping[str, int]:
    """How many points of each class the held-out drives have."""
    return points_of_classes(_opened(config.drives, out, HELD_OUT, 0), label_set(config.pretrain))


def do(campaign: Campaign, job: Job, done: Done) -> None:
    """Trains where there is something to train, judges, and renews the table after each row.

    An interrupted training goes on. Only the students of the whole method are kept.
    """
    of, config, out = ROWS[job.of], campaign.config, campaign.out
    with one_thread():
        checkpoint = _learnt(campaign, of, job.seed, done) if of.learns else None
        for name in job.rows:
            if checkpoint is None:
                result = _of_teacher(campaign, ROWS[name], job.seed, done)
            else:
                result = _of_student(campaign, ROWS[name], job.seed, checkpoint, done)
            write_result(out, result)
            write_table(out, config, read_results(out, config))
    if of.name != WHOLE:
        shutil.rmtree(_student_folder(out, of, job.seed), ignore_errors=True)


def ask_teacher(drives: DrivesConfig, out: Path, teacher: TeacherConfig, done: Done) -> None:
    """Stores what a teacher sees in the drives that are learnt from, so that no run asks it again.

    `done` is called for each frame.
    """
    with one_thread():
        cache_views(
            out / FEATURES / features_name(teacher),
            _opened(drives, out, TRAINING, 0),
            build_dense_clip(teacher)[1],
            recording=recording_name(drives, TRAINING),
            keys=teacher.smoothing > 0,
            progress=_each(done),
        )


def features_name(teacher: TeacherConfig) -> str:
    """Of the folder of what a teacher sees: another one for all that changes that."""
    windows = f"{teacher.height_px}_{teacher.window_px}_{teacher.stride_px}"
    return f"{teacher.mode}_{windows}{'_keys' if teacher.smoothing else ''}"


def with_temporal_head(checkpoint: Checkpoint) -> Checkpoint:
    """A student that answers by the head of the spatial-temporal loss."""
    weights = dict(checkpoint.weights)
    for name in ("weight", "bias"):
        weights[f"heads.semantic.{name}"] = weights[f"heads.temporal.{name}"]
    return replace(checkpoint, weights=weights)


def _learnt(campaign: Campaign, row: Row, seed: int, done: Done) -> Checkpoint:
    """The student of a row, trained in its folder, where it goes on."""
    drives, run = campaign.config.drives, pretraining(campaign.config, row, seed)
    run = replace(run, features=str(campaign.out / FEATURES / features_name(run.teacher)))
    count = _each(done)
    path = pretrain(
        run,
        _opened(drives, campaign.out, TRAINING, run.pairing.scans_before),
        frozen_teacher(run),
        _student_folder(campaign.out, row, seed),
        record={"row": row.name, "commit": campaign.commit, "hardware": campaign.hardware},
        report=lambda step, losses: count(step),
        recording=recording_name(drives, TRAINING),
    )
    count(resolved(run.training, campaign.frames).steps)  # one that was finished before reports nothing
    return checkpoints.load(path)


def _of_student(campaign: Campaign, row: Row, seed: int, checkpoint: Checkpoint, done: Done) -> Result:
    """`checkpoint` is its student, or that of the row whose student it judges."""
    record: Mapping[str, Any] = checkpoint.training
    answering = with_temporal_head(checkpoint) if row.answers == "temporal head" else checkpoint
    config = with_changes(campaign.config, row)
    segmenter = SemanticSegmenter(answering, config.inference)
    labeller: Labeller = segmenter
    if row.answers == "ensemble":
        labeller = Ensemble(segmenter, Teacher(config.pretrain.teacher, label_set(config.pretrain)))
    result = _judged(campaign, row, seed, labeller, record["teacher"], segmenter.sweeps, done)
    if not row.learns:
        return result
    return replace(result, steps=record["steps"], seconds=result.seconds + record["seconds"])


def _of_teacher(campaign: Campaign, row: Row, seed: int, done: Done) -> Result:
    run = with_changes(campaign.config, row).pretrain
    teacher = Teacher(run.teacher, label_set(run))
    return _judged(campaign, row, seed, teacher, teacher.identity, 0, done)


def _judged(
    campaign: Campaign,
    row: Row,
    seed: int,
    labeller: Labeller,
    teacher: Mapping[str, str],
    sweeps: int,
    done: Done,
) -> Result:
    """By a labeller that wants some earlier `sweeps`; `teacher` is the identity of its CLIP."""
    started, config = time.monotonic(), campaign.config
    source = _opened(config.drives, campaign.out, HELD_OUT, sweeps)
    everywhere, seen = judge(source, labeller, label_set(config.pretrain), done)
    return Result(
        row=row.name,
        seed=seed,
        settings=settings_of(config, row),
        teacher_weights=teacher["weights"],
        commit=campaign.commit,
        hardware=campaign.hardware,
        seconds=round(time.monotonic() - started, 1),
        steps=0,
        all_points=Score.of(everywhere, least_points=config.least_points),
        camera_points=Score.of(seen, least_points=config.least_points),
    )


def _student_folder(out: Path, row: Row, seed: int) -> Path:
    return run_folder(out, row.name, seed) / STUDENT


@cache
def _opened(drives: DrivesConfig, out: Path, part: str, sweeps: int) -> FrameSource:
    """Kept, since a process opens the same bags for every run."""
    return open_drives(drives, out / DRIVES, part, sweeps=sweeps)


def _each(done: Done) -> Progress:
    """From a function that is called for each step to one that is told how many are done."""
    told = 0

    def report(steps: int, **_: object) -> None:
        nonlocal told
        for _step in range(told, steps):
            done()
        told = max(told, steps)

    return report
