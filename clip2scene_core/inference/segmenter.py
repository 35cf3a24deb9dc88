"""From a frame to a class for every row of its scan.

Shapes: N points, V voxels, R voxels or points in voxels, K sweeps, D embedding, P phrases, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.build import choose_device, restore_student
from clip2scene_core.checkpoint import Checkpoint
from clip2scene_core.clip.similarity import class_probabilities, classify
from clip2scene_core.config import InferenceConfig
from clip2scene_core.data.batch import collate
from clip2scene_core.errors import ConfigError, MissingExtraError
from clip2scene_core.geometry import SE3
from clip2scene_core.inference.stages import StageTimer
from clip2scene_core.inference.temporal import fuse
from clip2scene_core.inference.vocabulary import asked_for, embed_new, new_phrases, reworded
from clip2scene_core.labels import LabelSet
from clip2scene_core.progress import Progress, silent
from clip2scene_core.sparse import group_mean, make_engine, point_to_voxel
from clip2scene_core.student import use_scan_statistics
from clip2scene_core.types import Frame, LidarScan, SemanticLabels
from clip2scene_core.voxels import Voxels, occupied, voxelise

SweepKey = tuple[str, int]
"""Sensor frame and stamp: by these a sweep is recognised in the next frame."""


class SemanticSegmenter:
    """A student with a vocabulary, ready for scans of any LiDAR."""

    def __init__(self, checkpoint: Checkpoint, config: InferenceConfig | None = None) -> None:
        """Raises CheckpointError where the weights do not fit, ConfigError for an impossible setting."""
        config = config or InferenceConfig()
        if config.threads:
            torch.set_num_threads(config.threads)
        self._config = config
        self._device = choose_device(config.device)
        with one_thread():
            self._student = restore_student(checkpoint, engine=choose_engine(config.engine, self._device))
            use_scan_statistics(self._student, config.scan_statistics)
            self._student.to(self._device).eval()
        # where sweeps are fused, voxels answer: they are the cells of the temporal grid
        self._per_point = self._student.per_point and not config.sweeps
        self._answer_with(checkpoint)

    def _answer_with(self, checkpoint: Checkpoint) -> None:
        """The vocabulary of a checkpoint with this student."""
        self.label_set = checkpoint.label_set
        self._checkpoint = checkpoint
        self._text = checkpoint.text_embeddings.to(self._device)
        self._phrase_class = torch.tensor(checkpoint.phrase_class, device=self._device)
        self._past: dict[SweepKey, tuple[np.ndarray, Tensor]] = {}

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path | None = None,
        *,
        config: InferenceConfig | None = None,
        progress: Progress = silent,
    ) -> SemanticSegmenter:
        """From a file, with the vocabulary that `config` names; see `with_label_set`.

        None is the file that `config` names, or the one that ships with the package.
        """
        config = config or InferenceConfig()
        with one_thread():
            checkpoint = checkpoints.load(path or config.checkpoint)
        whole = cls(checkpoint, config)
        return whole.with_label_set(LabelSet.named(config.label_set), progress) if config.label_set else whole

    @property
    def sweeps(self) -> int:
        """How many earlier sweeps of a frame are used."""
        return self._config.sweeps

    def needs_clip(self, words: str | Iterable[str]) -> bool:
        """Whether `with_words` has to load the CLIP that taught the checkpoint, which takes seconds.

        Raises ConfigError where it has to and there is none, or the words make no vocabulary.
        """
        return bool(new_phrases(self._checkpoint, asked_for(self._checkpoint, words)))

    def with_words(self, words: str | Iterable[str], progress: Progress = silent) -> SemanticSegmenter:
        """The same student, answering with names of its classes or other words; see LabelSet.from_words.

        Raises what `needs_clip` and `with_label_set` do.
        """
        return self.with_label_set(asked_for(self._checkpoint, words), progress)

    def with_label_set(self, label_set: LabelSet, progress: Progress = silent) -> SemanticSegmenter:
        """The same student with another vocabulary; `progress` is told of phrases that have to be embedded.

        Raises ConfigError for phrases that are not in a checkpoint that no CLIP has taught, CheckpointError
        where the CLIP cannot be had or has other weights than at training, and what load_clip does.
        """
        phrases = new_phrases(self._checkpoint, label_set)
        with one_thread():
            embedded = embed_new(self._checkpoint, phrases, self._config, progress) if phrases else {}
        other = copy(self)
        other._answer_with(reworded(self._checkpoint, label_set, embedded))
        return other

    @torch.inference_mode()
    def segment(self, frame: Frame, stages: StageTimer | None = None) -> SemanticLabels:
        """A class id and its probability for each of the N rows of `frame.scan`.

        NaN rows and rows beyond the range of the checkpoint get the ignore id and probability 0. Where
        earlier sweeps are used, they are registered by the poses of the frame.
        """
        stages = stages or StageTimer()
        voxels, features = self._embed(frame.scan, stages)
        if self._config.sweeps and frame.sweeps:
            features = self._fused(frame, voxels, features, stages)
        self._forget_all_but(frame.scan, *frame.sweeps[: self._config.sweeps])
        with stages("classify"):
            classes = len(self.label_set.classes)
            cosine = classify(features, self._text, self._phrase_class, classes)
            best, index = class_probabilities(cosine, self._checkpoint.student.temperature).max(dim=1)
            return self._labels(voxels, index.cpu().numpy(), best.cpu().numpy())

    def _embed(self, scan: LidarScan, stages: StageTimer) -> tuple[Voxels, Tensor]:
        """The voxels of a scan, and the semantic feature (R, D) of each of them or of their points."""
        if self._checkpoint.student.intensity and scan.intensity is None:
            raise ConfigError("the checkpoint wants intensity, but the cloud has none; use another one")
        if self._checkpoint.student.colour and scan.rgb is None:
            raise ConfigError("the checkpoint wants colours, but the cloud has none; use another one")
        voxels, features = self._embed_view(scan, stages)
        if self._config.views > 1 and len(features):
            features = self._averaged(scan, voxels, features, stages)
        self._remember(scan, voxels, features)
        return voxels, features

    def _embed_view(self, scan: LidarScan, stages: StageTimer) -> tuple[Voxels, Tensor]:
        """`_embed` of the scan as it is."""
        student = self._checkpoint.student
        with stages("voxelise"):
            voxels = voxelise(
                scan.xyz,
                size_m=student.voxel_m,
                range_m=student.range_m,
                intensity=scan.intensity if student.intensity else None,
                rgb=scan.rgb if student.colour else None,
            )
        if not len(voxels.coordinates):
            return voxels, self._text.new_zeros(0, self._text.shape[1])
        with stages("network"):
            batch = collate([voxels]).to(self._device)
            features = self._student(batch, temporal=False).semantic
            if self._student.per_point and not self._per_point and batch.points is not None:
                features = point_to_voxel(features, batch.points)
            if features.is_cuda:  # else the next stage waits for the network, and its time counts there
                torch.cuda.synchronize(self._device)
        return voxels, features

    def _averaged(self, scan: LidarScan, voxels: Voxels, features: Tensor, stages: StageTimer) -> Tensor:
        """Features (R, D) of the scan as it is, plus those of the same points in its turned views."""
        rows, total = self._answer_of_point(voxels), F.normalize(features, dim=1)
        for view in range(1, self._config.views):
            turn = SE3.from_yaw(2 * np.pi * view / self._config.views, np.zeros(3))
            turned, others = self._embed_view(replace(scan, xyz=turn.apply(scan.xyz)), stages)
            with stages("views"):
                other_rows = self._answer_of_point(turned)
                both = np.flatnonzero((rows >= 0) & (other_rows >= 0))  # rounding may lose one at the border
                seen, row = (torch.from_numpy(r[both]).to(self._device) for r in (other_rows, rows))
                total = total + group_mean(F.normalize(others, dim=1)[seen], row, len(total))
        return total

    def _fused(self, frame: Frame, voxels: Voxels, features: Tensor, stages: StageTimer) -> Tensor:
        """Features (V, D) of the scan's cells, fused with those of earlier sweeps in the same cells."""
        size_m = self._checkpoint.student.voxel_m
        clouds, parts = [_centres(voxels, size_m)], [features]
        past_sweeps = zip(frame.sweeps, frame.sweeps_world_from_lidar, strict=True)
        for sweep, world_from_sweep in islice(past_sweeps, self._config.sweeps):
            centres, past = self._recall(sweep, stages)
            lidar_from_sweep = frame.world_from_lidar.inverse() @ world_from_sweep
            clouds.append(lidar_from_sweep.apply(centres))
            parts.append(past)
        with stages("temporal"):
            cells, cell = occupied(np.concatenate(clouds), size_m)
            rows = torch.from_numpy(cell).to(self._device)
            fused = fuse(torch.cat(parts), rows, len(cells), self._text)
            return fused[rows[: len(features)]]

    def _remember(self, scan: LidarScan, voxels: Voxels, features: Tensor) -> None:
        if self._config.sweeps:
            self._past[_key(scan)] = _centres(voxels, self._checkpoint.student.voxel_m), features

    def _forget_all_but(self, *scans: LidarScan) -> None:
        """What one frame uses is all that the next one can use again."""
        self._past = {key: self._past[key] for key in map(_key, scans) if key in self._past}

    def _recall(self, sweep: LidarScan, stages: StageTimer) -> tuple[np.ndarray, Tensor]:
        """Voxel centres (V, 3) in the sweep's own frame and features (V, D), computed where not known."""
        known = self._past.get(_key(sweep))
        if known is not None:
            return known
        voxels, features = self._embed(sweep, stages)
        return _centres(voxels, self._checkpoint.student.voxel_m), features

    def _labels(self, voxels: Voxels, class_index: np.ndarray, probability: np.ndarray) -> SemanticLabels:
        """Answers (R,) to rows; the extra last entry is for rows in no voxel, whose index is -1."""
        ids = np.append(
            self.label_set.ids[class_index], self.label_set.ids.dtype.type(self.label_set.ignore_id)
        )
        chance = np.append(probability, np.float32(0))
        answer = self._answer_of_point(voxels)
        return SemanticLabels(class_id=ids[answer], probability=chance[answer])

    def _answer_of_point(self, voxels: Voxels) -> np.ndarray:
        """(N,) int64: row of the features of each point, -1 for points that have none."""
        return voxels.row_of_point if self._per_point else voxels.voxel_of_point


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in the calling thread alone.

    OpenMP keeps a team of threads for every thread that once computed in parallel, and sends them all to
    sleep between loops as soon as they outnumber the cores: a network that is built in one thread and runs
    in another, as in the node, would take three times as long.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def choose_engine(name: str, device: torch.device) -> str:
    """`auto` is spconv on a GPU where it is installed, else torch, the only one with several CPU threads."""
    if name != "auto":
        return name
    if device.type == "cpu":
        return "torch"
    try:
        make_engine("spconv")
    except MissingExtraError:
        return "torch"
    return "spconv"


def _key(scan: LidarScan) -> SweepKey:
    return scan.frame_id, scan.stamp_ns


def _centres(voxels: Voxels, size_m: float) -> np.ndarray:
    return (voxels.coordinates.astype(np.float32) + np.float32(0.5)) * np.float32(size_m)
