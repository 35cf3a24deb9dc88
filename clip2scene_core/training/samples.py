"""Labelled scans to training samples: varied, voxelised, one class per row of the student's output.

Shapes: V voxels, M points in voxels, R either of them, N points, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from clip2scene_core import augment
from clip2scene_core.config import AugmentConfig, LoopConfig, StudentConfig
from clip2scene_core.data.batch import collate, voxel_classes
from clip2scene_core.data.source import FrameSource
from clip2scene_core.errors import CalibrationError, ConfigError, DataError
from clip2scene_core.labels import LabelSet
from clip2scene_core.sparse import SparseVoxels
from clip2scene_core.types import Frame
from clip2scene_core.voxels import Voxels, voxelise

Sample = tuple[Voxels, np.ndarray]
"""Voxels, and the class (R,) int64 of each of them or of their points, -1 where unknown."""


class TrainingSamples(Dataset):
    """Varied samples of the labelled frames of a source; the item (step, frame) is always the same.

    `per_point` is that of the student: whether points have a class each, or voxels.
    """

    def __init__(
        self,
        source: FrameSource,
        label_set: LabelSet,
        student: StudentConfig,
        vary: AugmentConfig,
        seed: int,
        *,
        per_point: bool,
    ) -> None:
        if source.label_set is None:
            raise DataError("the source has no labels to learn from")
        if not len(source):
            raise DataError("the source has no frames to learn from")
        self._source = source
        self._label_set = label_set
        self._student = student
        self._vary = vary
        self._seed = seed
        self._per_point = per_point

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        step, index = key
        rng = np.random.default_rng((self._seed, step, index))
        frame = self._source[index]
        target = class_indices(frame, self._source.label_set, self._label_set)
        finite = np.flatnonzero(np.isfinite(frame.scan.xyz).all(axis=1))
        rows = finite[augment.kept(len(finite), rng, self._vary.drop)]
        intensity, rgb = (
            None if column is None else column[rows] for column in (frame.scan.intensity, frame.scan.rgb)
        )
        xyz = _varied(frame.scan.xyz[rows], rng, self._vary)
        voxels = student_input(xyz, intensity, rgb, self._student, frame=index)
        if self._per_point:
            return voxels, target[rows][voxels.inside]
        return voxels, voxel_classes(voxels, target[rows], len(self._label_set.classes))


class StepSampler(Sampler):
    """Which frames each step takes: every frame once an epoch, in an order drawn from the seed.

    The order depends on the seed alone, so a resumed run goes on where it stopped.
    """

    def __init__(self, frames: int, *, batch: int, first_step: int, steps: int, seed: int) -> None:
        self._frames, self._batch = frames, batch
        self._first, self._steps, self._seed = first_step, steps, seed

    def __len__(self) -> int:
        return self._steps - self._first

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = -1
        order: np.ndarray = np.zeros(0, np.int64)
        for step in range(self._first, self._steps):
            keys = []
            for position in range(step * self._batch, (step + 1) * self._batch):
                if position // self._frames != epoch:
                    epoch = position // self._frames
                    order = np.random.default_rng((self._seed, epoch)).permutation(self._frames)
                keys.append((step, int(order[position % self._frames])))
            yield keys


class _Batches(Dataset):
    """Collated samples, or the error that keeps a batch from being made: raised by torch in a process of its
    own, it would come here with a traceback in its text."""

    def __init__(self, samples: Dataset, collate: Callable[[list], Any]) -> None:
        self._samples = samples
        self._collate = collate

    def __getitems__(self, keys: list[tuple[int, int]]) -> Any:
        try:
            return self._collate([self._samples[key] for key in keys])
        except (CalibrationError, ConfigError, DataError) as error:
            return error


def load_batches(
    samples: Dataset, collate: Callable[[list], Any], settings: LoopConfig, *, steps_done: int
) -> Iterator[Any]:
    """What `collate` makes of the samples of each batch in the steps that are left, `accumulate` a step.

    `samples` has a length and takes keys (batch, frame). Raises what making a batch raises.
    """
    order = StepSampler(
        len(samples),  # type: ignore[arg-type]  # Dataset leaves it out
        batch=settings.batch,
        first_step=steps_done * settings.accumulate,
        steps=settings.steps * settings.accumulate,
        seed=settings.seed,
    )
    batches = _Batches(samples, collate)
    loader = DataLoader(batches, batch_sampler=order, num_workers=settings.loaders, collate_fn=_as_it_is)
    return _raising(iter(loader))  # which draws from torch's random numbers now, not in the first step


def _raising(batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        if isinstance(batch, Exception):
            raise batch
        yield batch


def _as_it_is(batch: Any) -> Any:
    return batch


def collate_samples(samples: list[Sample]) -> tuple[SparseVoxels, Tensor]:
    """One batch, and the class (R,) int64 of each of its voxels or points."""
    return collate([v for v, _ in samples]), torch.from_numpy(np.concatenate([t for _, t in samples]))


def student_input(
    xyz: np.ndarray,
    intensity: np.ndarray | None,
    rgb: np.ndarray | None,
    student: StudentConfig,
    *,
    frame: int,
) -> Voxels:
    """Voxels of points (N, 3), however varied, of a scan of frame number `frame`.

    intensity: (N,), rgb: (N, 3); those that the student does not read are left out. Raises DataError where
    the scan lacks one that it reads.
    """
    if student.intensity and intensity is None:
        raise DataError(f"student.intensity is set, but the scan of frame {frame} has no intensity")
    if student.colour and rgb is None:
        raise DataError(f"student.colour is set, but the scan of frame {frame} has no colours")
    return voxelise(
        xyz,
        size_m=student.voxel_m,
        range_m=student.range_m,
        intensity=intensity if student.intensity else None,
        rgb=rgb if student.colour else None,
    )


def class_indices(frame: Frame, source_set: LabelSet | None, label_set: LabelSet) -> np.ndarray:
    """(N,) int64: position in `label_set.classes` of every row's true class, -1 where unknown."""
    if frame.labels is None or source_set is None:
        return np.full(len(frame.scan.xyz), -1, np.int64)
    return label_set.indices(label_set.from_set(source_set, frame.labels.class_id))


def class_weights(source: FrameSource, label_set: LabelSet, exponent: float, frames: int = 64) -> Tensor:
    """(C,) float32 weights frequency^-exponent with a mean of 1, from evenly spread frames."""
    counts = np.zeros(len(label_set.classes))
    for index in np.linspace(0, len(source) - 1, min(frames, len(source))).astype(int):
        target = class_indices(source[int(index)], source.label_set, label_set)
        counts += np.bincount(target[target >= 0], minlength=len(counts))
    share = np.maximum(counts / max(counts.sum(), 1), 1e-4)
    weights = share**-exponent
    return torch.from_numpy(weights / weights.mean()).float()


def _varied(xyz: np.ndarray, rng: np.random.Generator, vary: AugmentConfig) -> np.ndarray:
    if vary.rotate:
        xyz = augment.rotated(xyz, rng)
    xyz = augment.scaled(xyz, rng, vary.scale)
    xyz = augment.reshaped_ground(xyz, rng, tilt_deg=vary.tilt_deg, wave_m=vary.wave_m, crown_m=vary.crown_m)
    return augment.jittered(xyz, rng, vary.jitter_m)
