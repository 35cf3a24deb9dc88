"""Pre-training without labels: a student of 3D scans learns from what a frozen dense CLIP sees in images.

The objective is in objective.py, the loop in loop.py; here they meet a recording.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn
from torch.optim.swa_utils import AveragedModel

from clip2scene_core.build import as_asked, build_student, build_teacher, check_joint_space, teacher_record
from clip2scene_core.checkpoint import Checkpoint, save
from clip2scene_core.clip.feature_cache import FeatureCache
from clip2scene_core.clip.teacher import FrozenTeacher
from clip2scene_core.config import InferenceConfig, PretrainConfig, to_dict
from clip2scene_core.data.source import FrameSource, tells_motion
from clip2scene_core.errors import CalibrationError, ConfigError, DataError
from clip2scene_core.evaluation.pictures import save_picture
from clip2scene_core.inference import SemanticSegmenter
from clip2scene_core.labels import LabelSet
from clip2scene_core.locking import only_writer
from clip2scene_core.progress import Progress, silent
from clip2scene_core.training.clock import TrainingClock
from clip2scene_core.training.loop import Losses, Record, Report, Task, optimise, seeded_fabric
from clip2scene_core.training.objective import Objective, PretrainingLearner
from clip2scene_core.training.pretraining_batch import PretrainingBatch
from clip2scene_core.training.pretraining_samples import PretrainingSamples
from clip2scene_core.training.regions import ImageRegions, collate_with_regions, collate_without_regions
from clip2scene_core.training.samples import load_batches
from clip2scene_core.training.schedule import epochs, resolved
from clip2scene_core.types import Frame

Batch = tuple[PretrainingBatch, ImageRegions | None]
PICTURES = "pictures"

log = logging.getLogger(__name__)


def pretrain(
    config: PretrainConfig,
    source: FrameSource,
    teacher: FrozenTeacher,
    folder: Path,
    *,
    record: Mapping[str, object],
    report: Report,
    recording: str = "",
) -> Path:
    """Trains in `folder` (resuming what is there) and returns the path of the checkpoint; see `optimise`.

    teacher: that of `config`, see `frozen_teacher`.
    source: gives the scans of `pairing.sweep_window` with each frame.
    record: goes into the checkpoint beside configuration, time, steps, and what was skipped.
    recording: the key that features of it are kept under; empty for any.

    Frames that cannot be read, have no pairs, or lack a class are skipped or do without, and counted.
    Raises ConfigError where settings do not fit each other, DataError where no frame can be read.
    """
    vocabulary, settings = label_set(config), resolved(config.training, len(source))
    index, frame = _first_readable(source)
    _check_fits(config, source, teacher)
    fabric = seeded_fabric(settings)
    student = build_student(config.student, engine=settings.engine)
    objective = Objective(
        config=config.objective,
        teacher=replace(teacher, text=teacher.text.to(fabric.device)),
        cache=_opened_cache(config, teacher, recording, len(source)),
        per_point=student.per_point,
        clock=TrainingClock(fabric.device),
    )
    samples = PretrainingSamples(
        source,
        config.student,
        config.pairing,
        settings.seed,
        per_point=student.per_point,
        cache=objective.cache,
    )
    contrast, dim = config.objective.method != "clip2scene", config.student.embedding_dim
    learner = PretrainingLearner(student, nn.Linear(dim, dim) if contrast else None)
    unreadable: set[str] = set()

    def batches(steps_done: int) -> Iterable[Batch]:
        collate: Callable = collate_without_regions
        if config.objective.method == "slidr":
            collate = partial(collate_with_regions, segments=config.objective.superpixels)
        return load_batches(samples, collate, settings, steps_done=steps_done)

    def losses(
        learner: nn.Module, average: AveragedModel, loaded: Batch, step: int
    ) -> tuple[Losses, Mapping[str, int]]:
        batch, regions = loaded
        for why in set(batch.unreadable) - unreadable:
            log.warning("skipped %s", why)
        unreadable.update(batch.unreadable)
        skipped = _skipped(batch)
        if not len(batch.pairs):
            return {}, skipped
        with objective.clock("data"):
            batch, regions = batch.to(fabric.device), regions and regions.to(fabric.device)
        done = step / settings.steps
        losses, pixels_of_class = objective.losses(learner, average, batch, regions, done=done)
        absent = [name for name, n in zip(vocabulary.names, pixels_of_class.tolist(), strict=True) if not n]
        return losses, skipped + Counter(f"batches without {name}" for name in absent)

    def checkpoint(average: AveragedModel, done: Record) -> Checkpoint:
        return Checkpoint(
            student=config.student,
            label_set=vocabulary,
            text_embeddings=teacher.text.embeddings,
            phrase_class=tuple(teacher.text.phrase_class.tolist()),
            teacher=teacher.dense.identity["clip"],
            training={
                **record,
                "config": to_dict(config),
                "teacher": teacher_record(config.teacher, teacher.dense.identity),
                **done,
            },
            weights=average.module.state_dict(),
        )

    def after_step(step: int, learnt: Callable[[], Checkpoint]) -> None:
        """A picture of the same frame after every epoch."""
        before, now = (int(epochs(settings, n, len(source))) for n in (step - 1, step))
        if now == before and step < settings.steps:
            return
        device = InferenceConfig(device=settings.device, engine=settings.engine)
        segmenter = SemanticSegmenter(learnt(), device)
        save_picture(
            folder / PICTURES / f"step_{step:06d}.png",
            frame,
            segmenter.segment(frame),
            vocabulary,
            base_from_lidar=source.mounting(index)[frame.scan.frame_id],
            title=f"after {step} steps, {epochs(settings, step, len(source)):.1f} epochs",
        )

    task = Task(
        learner=learner,
        trained=learner,
        student=student,
        frames=len(source),
        batches=batches,
        losses=losses,
        weights=objective.weights,
        clock=objective.clock,
        checkpoint=checkpoint,
        after_step=after_step,
        save=save,
    )
    with only_writer(folder):
        return optimise(task, settings, config, folder, fabric=fabric, report=report, tensorboard=True)


def label_set(config: PretrainConfig) -> LabelSet:
    """The vocabulary of a run: its words, or else its label set, as its teacher is asked for them."""
    words = LabelSet.from_words(config.words) if config.words else LabelSet.named(config.label_set)
    return as_asked(words, config.teacher)


def frozen_teacher(config: PretrainConfig, progress: Progress = silent) -> FrozenTeacher:
    """The teacher of a run with its words; `progress` is told of the phrases that have to be embedded."""
    return build_teacher(config.teacher, label_set(config), progress)


def _first_readable(source: FrameSource) -> tuple[int, Frame]:
    """The first frame that can be read, and its number; raises DataError where there is none."""
    why = "it is empty"
    for index in range(len(source)):
        try:
            return index, source[index]
        except (CalibrationError, DataError) as error:
            why = str(error)
    raise DataError(f"no frame of the recording can be read: {why}")


def _check_fits(config: PretrainConfig, source: FrameSource, teacher: FrozenTeacher) -> None:
    objective = config.objective
    if config.pairing.sweeps > 1 and len(source) > 1 and not tells_motion(source):
        raise ConfigError(
            f"pairing.sweeps={config.pairing.sweeps} needs ego motion, which is not known; name one, "
            "such as --with ego_motion=kiss-icp, or --set pairing.sweeps=1"
        )
    check_joint_space(config.student, teacher.dense.embedding_dim, teacher.dense.identity["clip"])
    if objective.method == "clip2scene" and not objective.semantic_weight + objective.spatial_temporal_weight:
        raise ConfigError(
            "objective.semantic_weight and spatial_temporal_weight: expected one above 0, got 0"
        )


def _opened_cache(
    config: PretrainConfig, teacher: FrozenTeacher, recording: str, frames: int
) -> FeatureCache | None:
    """Raises ConfigError for features of another teacher or recording."""
    if not config.features:
        return None
    if config.objective.method == "slidr":
        raise ConfigError("objective.method slidr needs the images, expected no features, got a cache")
    cache = FeatureCache(config.features)
    expectations = {**teacher.dense.identity, **({"recording": recording} if recording else {})}
    for name, expected in expectations.items():
        if (got := cache.key.get(name, expected)) != expected:
            raise ConfigError(f"features {config.features}: {name} expected '{expected}', got '{got}'")
    if len(cache) != frames:
        raise ConfigError(f"features {config.features}: expected {frames} frames, got {len(cache)}")
    return cache


def _skipped(batch: PretrainingBatch) -> Counter[str]:
    """What a batch had to do without."""
    return +Counter(
        {
            "unreadable frames": len(batch.unreadable),
            "frames without pairs": batch.frames_without_pairs,
            "images without pairs": batch.images_without_pairs,
            "batches without pairs": int(not len(batch.pairs)),
        }
    )
