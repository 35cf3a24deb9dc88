"""Supervised training of a student: cross-entropy and Lovasz on the classes of voxels or points."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from clip2scene_core.build import build_student
from clip2scene_core.checkpoint import Checkpoint, save
from clip2scene_core.clip.similarity import classify
from clip2scene_core.config import RunConfig, to_dict
from clip2scene_core.data.source import FrameSource
from clip2scene_core.losses import cross_entropy, lovasz_softmax
from clip2scene_core.sparse import SparseVoxels, VoxelGrid, VoxelPoints
from clip2scene_core.student import MinkUNet
from clip2scene_core.training.beginning import Beginning
from clip2scene_core.training.clock import TrainingClock
from clip2scene_core.training.loop import Losses, Record, Report, Task, optimise, seeded_fabric
from clip2scene_core.training.samples import TrainingSamples, class_weights, collate_samples, load_batches

Batch = tuple[SparseVoxels, Tensor]
"""Voxels, and the class (R,) int64 of each of them or of their points."""


def finetune(
    config: RunConfig,
    source: FrameSource,
    beginning: Beginning,
    folder: Path,
    *,
    record: dict[str, object],
    report: Report,
) -> Path:
    """Trains in `folder` (resuming what is there) and returns the path of the checkpoint; see `optimise`.

    beginning: that of `config`, see `begin`. record: goes into the checkpoint beside that of the beginning,
    configuration, time and steps.
    """
    settings, label_set = config.training, beginning.label_set
    fabric = seeded_fabric(settings)
    device, classes = fabric.device, len(label_set.classes)
    text = beginning.text_embeddings.to(device)
    phrase_class = torch.tensor(beginning.phrase_class, device=device)
    student = build_student(config.student, engine=settings.engine)
    student.load_state_dict(beginning.weights, strict=False)
    samples = TrainingSamples(
        source, label_set, config.student, settings.augment, settings.seed, per_point=student.per_point
    )
    weight, clock = class_weights(source, label_set, settings.rare).to(device), TrainingClock(device)

    def batches(steps_done: int) -> Iterable[Batch]:
        return load_batches(samples, collate_samples, settings, steps_done=steps_done)

    def losses(
        learner: nn.Module, average: AveragedModel, batch: Batch, step: int
    ) -> tuple[Losses, dict[str, int]]:
        with clock("data"):
            voxels, target = batch[0].to(device), batch[1].to(device)
        with clock("student"):
            semantic = learner(voxels.features, voxels.grid, voxels.points)
        scores = classify(semantic, text, phrase_class, classes) / config.student.temperature
        return {
            "cross_entropy": cross_entropy(scores, target, weight),
            "lovasz": lovasz_softmax(scores, target),
        }, {}

    def checkpoint(average: AveragedModel, done: Record) -> Checkpoint:
        return Checkpoint(
            student=config.student,
            label_set=label_set,
            text_embeddings=text,
            phrase_class=beginning.phrase_class,
            teacher=beginning.teacher,
            training={
                **record,
                **beginning.record,
                "config": to_dict(config),
                "teacher": dict(beginning.taught_by),
                **done,
            },
            weights=average.module.state_dict(),
        )

    task = Task(
        learner=SemanticLearner(student),
        trained=student,
        student=student,
        frames=len(source),
        batches=batches,
        losses=losses,
        weights={"cross_entropy": 1.0, "lovasz": settings.lovasz},
        clock=clock,
        checkpoint=checkpoint,
        save=save,
    )
    return optimise(task, settings, config, folder, fabric=fabric, report=report)


class SemanticLearner(nn.Module):
    """The semantic head of a student as a function of what Fabric can wrap: it converts tensors only."""

    def __init__(self, student: MinkUNet) -> None:
        super().__init__()
        self.student = student

    def forward(self, features: Tensor, grid: VoxelGrid, points: VoxelPoints | None) -> Tensor:
        """(R, D) of the voxels of `grid` with features (V, F), or of the points in them."""
        return self.student(SparseVoxels(features, grid, points)).semantic
