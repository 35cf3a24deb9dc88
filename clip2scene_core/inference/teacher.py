"""The frozen teacher with a vocabulary: pixels, and the points that cameras see, to classes; no 3D network.

Shapes: H x W pixels, N points.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clip2scene_core.build import build_teacher
from clip2scene_core.clip.pseudo_labels import label_pixels, label_points
from clip2scene_core.clip.views import see
from clip2scene_core.config import TeacherConfig
from clip2scene_core.inference.stages import StageTimer
from clip2scene_core.labels import LabelSet
from clip2scene_core.progress import Progress, silent
from clip2scene_core.types import Frame, SemanticLabels


class Teacher:
    """Names pixels, and points by the pixels that show them, in the words of a label set."""

    def __init__(self, config: TeacherConfig, label_set: LabelSet, progress: Progress = silent) -> None:
        """`progress` is told of the phrases that have to be embedded; raises what load_clip does."""
        self._teacher = build_teacher(config, label_set, progress)
        self.label_set = label_set

    @property
    def identity(self) -> Mapping[str, str]:
        """All that decides on what it sees."""
        return self._teacher.dense.identity

    def label_pixels(self, rgb: np.ndarray) -> np.ndarray:
        """(H, W) uint16 class ids of an image (H, W, 3) uint8."""
        teacher, (height, width, _) = self._teacher, rgb.shape
        patches = teacher.dense(rgb[None], keys=teacher.needs_keys)
        labels = label_pixels(patches, teacher.text, (height, width), refinement=teacher.refinement)
        return labels.class_ids(self.label_set)[0]

    def segment(self, frame: Frame, stages: StageTimer | None = None) -> SemanticLabels:
        """Classes of the rows that a camera of the frame sees; the others have the ignore id."""
        teacher, stages = self._teacher, stages or StageTimer()
        with stages("teacher"):
            patches = see(teacher.dense, frame.images, keys=teacher.needs_keys)
        with stages("classify"):
            labels = label_points(frame, patches, teacher.text, refinement=teacher.refinement)
            return labels.semantic(self.label_set)
