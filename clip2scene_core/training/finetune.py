"""Supervised training of a student: cross-entropy and Lovasz on the classes of voxels or points."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from clip2scene_core.build import build_student, choose_device, orthonormal_embeddings
from clip2scene_core.checkpoint import Checkpoint, save
from clip2scene_core.clip.similarity import classify
from clip2scene_core.config import RunConfig, TrainingConfig, to_dict
from clip2scene_core.data.source import FrameSource
from clip2scene_core.errors import MissingExtraError
from clip2scene_core.labels import LabelSet
from clip2scene_core.losses import cross_entropy, lovasz_softmax
from clip2scene_core.sparse import SparseVoxels, VoxelGrid, VoxelPoints
from clip2scene_core.student import MinkUNet
from clip2scene_core.training.interruption import interruptions_deferred
from clip2scene_core.training.samples import StepSampler, TrainingSamples, class_weights, collate_samples
from clip2scene_core.training.state import RunState, load_state, save_state
from clip2scene_core.writing import whole_file

if TYPE_CHECKING:
    from lightning.fabric import Fabric

LOG_FILE = "log.jsonl"
CHECKPOINT_FILE = "student.safetensors"
CONFIG_FILE = "config.yaml"

Report = Callable[[int, dict[str, float]], None]
"""Called after every step with the number of steps done and the losses."""


def finetune(
    config: RunConfig, source: FrameSource, folder: Path, *, record: dict[str, object], report: Report
) -> Path:
    """Trains in `folder` (resuming what is there) and returns the path of the checkpoint.

    State and checkpoint are written every few minutes. `record` goes into the checkpoint beside
    configuration, time and steps. An interruption waits for the end of the step and keeps both; the same
    call then goes on from there.
    """
    settings, label_set = config.training, LabelSet.named(config.label_set)
    fabric = _seeded_fabric(settings)
    device, classes = fabric.device, len(label_set.classes)
    text = orthonormal_embeddings(classes, config.student.embedding_dim, seed=settings.seed).to(device)
    phrase_class = torch.arange(classes, device=device)
    student = build_student(config.student, engine=settings.engine)
    samples = TrainingSamples(
        source, label_set, config.student, settings.augment, settings.seed, per_point=student.per_point
    )
    weight = class_weights(source, label_set, settings.rare).to(device)

    optimizer = torch.optim.AdamW(
        student.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    learner, optimizer = fabric.setup(SemanticLearner(student), optimizer)
    average = AveragedModel(student, avg_fn=moving_average(settings.average), use_buffers=True)
    content, path = to_dict(config), folder / CHECKPOINT_FILE
    fresh = RunState(step=0, seconds=0.0, config=content)
    done = load_state(folder, content, student, average, optimizer) or fresh
    with whole_file(folder / CONFIG_FILE) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False))

    started = saved = time.monotonic()
    step, whole = done.step, True

    def keep() -> None:
        """The state to go on from, and a checkpoint of what has been learnt so far."""
        seconds = done.seconds + time.monotonic() - started
        state = RunState(step=step, seconds=seconds, config=content)
        save_state(folder, state, student, average, optimizer)
        learnt = Checkpoint(
            student=config.student,
            label_set=label_set,
            text_embeddings=text,
            phrase_class=tuple(range(classes)),
            teacher="none: orthonormal stand-ins for text embeddings, learnt from labels",
            training={**record, "config": content, "steps": step, "seconds": round(seconds)},
            weights=average.module.state_dict(),
        )
        save(learnt, path)

    learner.train()
    with interruptions_deferred() as stop_if_interrupted:
        try:
            for voxels, target in _loader(samples, settings, first_step=done.step):
                whole = False
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(settings, step)
                torch.manual_seed(step_seed(settings, step))
                voxels, target = voxels.to(device), target.to(device)
                semantic = learner(voxels.features, voxels.grid, voxels.points)
                scores = classify(semantic, text, phrase_class, classes) / config.student.temperature
                entropy = cross_entropy(scores, target, weight)
                lovasz = lovasz_softmax(scores, target)
                fabric.backward(entropy + settings.lovasz * lovasz)
                fabric.clip_gradients(learner, optimizer, max_norm=10.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                average.update_parameters(student)
                step, whole = step + 1, True
                losses = {"cross_entropy": float(entropy.detach()), "lovasz": float(lovasz.detach())}
                with (folder / LOG_FILE).open("a") as log:
                    log.write(json.dumps({"step": step, **losses}) + "\n")
                report(step, losses)
                if time.monotonic() - saved > 60 * settings.checkpoint_minutes:
                    keep()
                    saved = time.monotonic()
                stop_if_interrupted()
        finally:
            if whole:  # half a step is no state to go on from
                keep()
    return path


def _seeded_fabric(settings: TrainingConfig) -> Fabric:
    """The device of the run, with all random numbers drawn from its seed from now on."""
    try:
        from lightning.fabric import Fabric, seed_everything
    except ImportError as error:
        raise MissingExtraError("lightning", "train") from error
    device = choose_device(settings.device)
    devices = 1 if device.index is None else [device.index]
    fabric = Fabric(accelerator=device.type, devices=devices, precision=settings.precision)
    seed_everything(settings.seed, verbose=False)
    return fabric


def _loader(samples: TrainingSamples, settings: TrainingConfig, *, first_step: int) -> DataLoader:
    order = StepSampler(
        len(samples), batch=settings.batch, first_step=first_step, steps=settings.steps, seed=settings.seed
    )
    return DataLoader(samples, batch_sampler=order, num_workers=settings.loaders, collate_fn=collate_samples)


class SemanticLearner(nn.Module):
    """The semantic head of a student as a function of what Fabric can wrap: it converts tensors only."""

    def __init__(self, student: MinkUNet) -> None:
        super().__init__()
        self.student = student

    def forward(self, features: Tensor, grid: VoxelGrid, points: VoxelPoints | None) -> Tensor:
        """(R, D) of the voxels of `grid` with features (V, F), or of the points in them."""
        return self.student(SparseVoxels(features, grid, points)).semantic


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An average over about 1 / (1 - decay) steps; over fewer at first, so that it forgets the start."""

    def update(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if not average.is_floating_point():
            return current
        return torch.lerp(average, current, 1 - min(decay, (1 + int(count)) / (10 + int(count))))

    return update


def step_seed(settings: TrainingConfig, step: int) -> int:
    """For what a step draws, such as dropout: a resumed run draws the same."""
    return int(np.random.SeedSequence((settings.seed, step)).generate_state(1)[0])


def learning_rate(settings: TrainingConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warmup = max(1, round(settings.warmup * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, settings.steps - warmup)
    return settings.learning_rate * (1 + math.cos(math.pi * progress)) / 2
