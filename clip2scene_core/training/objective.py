"""The objective of pre-training: from a batch, and what CLIP sees in its images, to losses by name.

The equations themselves are in losses/. Shapes: M point-pixel pairs, R rows of the student's output, D joint
embedding, P phrases, C classes, I images of H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from clip2scene_core.clip.dense import DensePatches, sample_features
from clip2scene_core.clip.feature_cache import FeatureCache
from clip2scene_core.clip.pseudo_labels import class_scores
from clip2scene_core.clip.similarity import class_probabilities, classify
from clip2scene_core.clip.teacher import FrozenTeacher
from clip2scene_core.clip.text import TextEmbeddings
from clip2scene_core.config import ObjectiveConfig
from clip2scene_core.losses import (
    Switch,
    agreed_labels,
    clip2scene_terms,
    kl_distillation,
    pooled,
    ppkt,
    slidr,
    switched_labels,
)
from clip2scene_core.sparse import SparseVoxels, VoxelGrid, VoxelPoints
from clip2scene_core.student import MinkUNet
from clip2scene_core.training.clock import TrainingClock
from clip2scene_core.training.pretraining_batch import PretrainingBatch, sample_teacher
from clip2scene_core.training.regions import ImageRegions

IMAGES_AT_ONCE = 16
"""How many images the teacher sees together."""
REGION_STRIDE_PX = 4
"""Each so manyth pixel along both axes stands for its superpixel: features come in patches of 14 to 32."""


class PretrainingLearner(nn.Module):
    """The student and, for PPKT and SLidR, the layer of the pixels; Fabric converts tensors only."""

    def __init__(self, student: MinkUNet, pixel_layer: nn.Module | None) -> None:
        super().__init__()
        self.student = student
        self.pixel_layer = pixel_layer

    def forward(
        self,
        features: Tensor,
        grid: VoxelGrid,
        points: VoxelPoints | None,
        row: Tensor,
        pixels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Both heads (L, D) at some rows (L,) of the output for voxels with features (V, F), and the pixels
        (K, D): all of unit length. Few of all rows are paired, and the heads are wide."""
        out = self.student.heads(self.student.backbone(SparseVoxels(features, grid, points))[row])
        if pixels is not None and self.pixel_layer is not None:
            pixels = _unit(self.pixel_layer(pixels))
        return _unit(out.semantic), _unit(out.temporal), pixels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Objective:
    """The losses of pre-training, on the device of the teacher's text."""

    config: ObjectiveConfig
    teacher: FrozenTeacher
    cache: FeatureCache | None
    """What the teacher has seen before; None asks the teacher."""
    per_point: bool
    """That of the student."""
    clock: TrainingClock
    """Told when the teacher and the student work."""

    @property
    def text(self) -> TextEmbeddings:
        """The phrases of the vocabulary."""
        return self.teacher.text

    @property
    def weights(self) -> dict[str, float]:
        """Of each loss, but for those that are left out."""
        if self.config.method != "clip2scene":
            return {self.config.method: 1.0}
        weights = {
            "semantic": self.config.semantic_weight,
            "spatial_temporal": self.config.spatial_temporal_weight,
        }
        return {name: weight for name, weight in weights.items() if weight > 0}

    def losses(
        self,
        learner: nn.Module,
        average: AveragedModel,
        batch: PretrainingBatch,
        regions: ImageRegions | None,
        *,
        done: float,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """By name, of a batch with pairs; and (C,) how many pixels each class has.

        done: share of the run, 0..1. average: that of the student. regions: superpixels of the images,
        where the method is slidr.
        """
        with self.clock("teacher"):
            patches = self.ask_teacher(batch)
        x, pixel_label = self.pixel_text(patches, batch)
        count = torch.bincount(self.text.phrase_class[pixel_label], minlength=self.text.num_classes)
        if self.config.method == "ppkt":
            return {"ppkt": self._ppkt(learner, batch, x)}, count
        if regions is not None:
            return {"slidr": self._slidr(learner, batch, patches, regions)}, count
        return self._clip2scene(learner, average, batch, x, pixel_label, done), count

    def _clip2scene(
        self,
        learner: nn.Module,
        average: AveragedModel,
        batch: PretrainingBatch,
        x: Tensor,
        pixel_label: Tensor,
        done: float,
    ) -> dict[str, Tensor]:
        """L_S + L_SSR in their terms."""
        config, text, pairs, voxels = self.config, self.text, batch.pairs, batch.voxels
        row = self._rows(batch, done)
        with self.clock("student"):
            semantic, temporal, _ = learner(voxels.features, voxels.grid, voxels.points, row)
        terms = clip2scene_terms(
            semantic=semantic,
            label=self._pseudo_labels(semantic.detach(), row, average, batch, pixel_label, done),
            temporal=temporal[: len(pairs)],
            pixels=x,
            pixel_label=pixel_label,
            cell=pairs.cell,
            cells=batch.cells,
            text_embeddings=text.embeddings,
            phrase_class=text.phrase_class,
            num_classes=text.num_classes,
            semantic_loss=None if config.semantic_loss == "kl" else config.semantic_loss,
            tau=config.tau,
            rare=config.rare,
            fusion=config.fusion,
            lambda_=config.attention_temperature,
        )
        if config.semantic_loss == "kl":
            terms["semantic"] = self._distillation(semantic[: len(pairs)], x)
        return {name: terms[name] for name in self.weights}

    @torch.no_grad()
    def ask_teacher(self, batch: PretrainingBatch) -> list[DensePatches]:
        """What it sees in the images of a batch, in their order, in float32."""
        if self.cache is not None:
            stored = (self.cache.patches(frame, camera) for frame, camera in batch.image_keys)
            seen = [dense for dense in stored if dense is not None]
        else:
            assert batch.images is not None
            keys = self.teacher.needs_keys
            seen = [self.teacher.dense(images, keys=keys) for images in batch.images.split(IMAGES_AT_ONCE)]
        return [replace(dense, features=dense.features.to(self.text.embeddings)) for dense in seen]

    @torch.no_grad()
    def pixel_text(self, patches: list[DensePatches], batch: PretrainingBatch) -> tuple[Tensor, Tensor]:
        """The pixel of each pair: its feature x (M, D), of unit length, and its label (M,), a phrase.

        The label is the best phrase of the class that scores best there, as `label_pixels` has it, or is the
        most probable in its superpoint.
        """
        text = self.text
        scores = [
            replace(dense, features=class_scores(dense, text, self.teacher.refinement)) for dense in patches
        ]
        score = sample_teacher(scores, batch, embedding_dim=text.num_classes)
        if batch.superpoints:
            probability = class_probabilities(score, self.teacher.refinement.temperature)
            score = pooled(probability, batch.pairs.superpoint, batch.superpoints)
        own_class = score.argmax(dim=1)
        x = _unit(sample_teacher(patches, batch, embedding_dim=self.teacher.dense.embedding_dim))
        return x, self._nearest_phrase(x, of_class=own_class)

    def _switch(self, done: float) -> Switch | None:
        """What draws between the labels of pixels and the student's own; None as long as nothing does."""
        switching = self.config.self_training
        return None if switching.switch == "off" or done < switching.start else switching.switch

    def _rows(self, batch: PretrainingBatch, done: float) -> Tensor:
        """(L,) rows of the student's output that learn: those of pairs, then any that label themselves."""
        row, points = batch.pairs.row, batch.voxels.points
        if self._switch(done) is None or not self.config.self_training.unpaired:
            return row
        rows = len(points) if self.per_point and points is not None else len(batch.voxels.grid)
        unpaired = torch.ones(rows, dtype=torch.bool, device=row.device).index_fill(0, row, False)
        return torch.cat([row, unpaired.nonzero()[:, 0]])

    def _pseudo_labels(
        self,
        semantic: Tensor,
        row: Tensor,
        average: AveragedModel,
        batch: PretrainingBatch,
        pixel_label: Tensor,
        done: float,
    ) -> Tensor:
        """(L,) phrase of each row (L,), -1 for none: its pixel's, where others that see the place agree.

        Later it is switched with what the student itself says of `semantic` (L, D), which is all that there
        is for a row without a pixel.
        """
        text, pairs, switching = self.text, batch.pairs, self.config.self_training
        label = pixel_label
        if self.config.agreement:
            label = agreed_labels(
                label,
                pairs.cell,
                batch.cells,
                text.phrase_class,
                text.num_classes,
                least=self.config.agreement,
            )
        per = self._switch(done)
        if per is None:
            return label
        if switching.predictor == "average":
            with self.clock("student"):
                semantic = _answers(average, batch.voxels, row)
        predicted, unpaired = self._nearest_phrase(semantic).tensor_split([len(pairs)])
        switched = switched_labels(label, predicted, probability=switching.probability, per=per)
        return torch.cat([switched, unpaired])

    def _nearest_phrase(self, features: Tensor, *, of_class: Tensor | None = None) -> Tensor:
        """(K,) the phrase nearest to each feature (K, D), among those of a class (K,) where it is given."""
        scores = features @ self.text.embeddings.T
        if of_class is not None:
            scores = scores.masked_fill(of_class[:, None] != self.text.phrase_class, -torch.inf)
        return scores.argmax(dim=1)

    def _distillation(self, semantic: Tensor, x: Tensor) -> Tensor:
        """The divergence of the student's classes from those of the pixels, in place of equation (1)."""
        text, tau = self.text, self.config.tau
        mine, its = (
            classify(each, text.embeddings, text.phrase_class, text.num_classes) for each in (semantic, x)
        )
        return kl_distillation(mine, class_probabilities(its, tau), tau=tau)

    def _ppkt(self, learner: nn.Module, batch: PretrainingBatch, x: Tensor) -> Tensor:
        pairs, voxels = batch.pairs, batch.voxels
        drawn = torch.randperm(len(pairs), device=x.device)[: self.config.contrast_pairs]
        row = pairs.row[drawn]
        with self.clock("student"):
            _, points, pixels = learner(voxels.features, voxels.grid, voxels.points, row, x[drawn])
        return ppkt(points, pixels, tau=self.config.contrast_tau)

    def _slidr(
        self,
        learner: nn.Module,
        batch: PretrainingBatch,
        patches: list[DensePatches],
        regions: ImageRegions,
    ) -> Tensor:
        pairs, voxels = batch.pairs, batch.voxels
        x, pixel_region = _region_pixels(patches, regions)
        with self.clock("student"):
            _, points, pixels = learner(voxels.features, voxels.grid, voxels.points, pairs.row, x)
        height, width = regions.region.shape[1:]
        column, row = pairs.pixel.round().long().unbind(dim=1)
        return slidr(
            points,
            regions.region[pairs.image, row.clamp(0, height - 1), column.clamp(0, width - 1)],
            pixels,
            pixel_region,
            regions.count,
            tau=self.config.contrast_tau,
        )


def _unit(rows: Tensor) -> Tensor:
    return F.normalize(rows.float(), dim=1)


@torch.no_grad()
def _answers(average: AveragedModel, voxels: SparseVoxels, row: Tensor) -> Tensor:
    """(L, D) semantic features of the averaged student at some rows (L,) of its output."""
    student, dtype = average.module, next(average.parameters()).dtype
    assert isinstance(student, MinkUNet)
    return student.heads.semantic(student.backbone(voxels.with_features(voxels.features.to(dtype)))[row])


@torch.no_grad()
def _region_pixels(patches: list[DensePatches], regions: ImageRegions) -> tuple[Tensor, Tensor]:
    """Features (K, D) of pixels all over the images, and their superpixels (K,)."""
    region = regions.region
    rows, columns = (torch.arange(0, n, REGION_STRIDE_PX, device=region.device) for n in region.shape[1:])
    pixels = torch.cartesian_prod(rows, columns).flip(1).float()
    seen = [(features, dense.image_size) for dense in patches for features in dense.features]
    x = torch.cat([sample_features(features, pixels, size) for features, size in seen])
    return x, region[:, rows[:, None], columns].flatten()
