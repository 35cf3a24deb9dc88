"""The frozen teacher with a vocabulary: pixels, and the points that cameras see, to classes; no 3D network.

Shapes: H x W pixels, N points.
"""

from __future__ import annotations

import numpy as np

from clip2scene_core.build import build_refinement, build_teacher, build_text
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
        clip, self._dense = build_teacher(config)
        self._text = build_text(clip, config, label_set, progress)
        self._refinement = build_refinement(clip, config)
        self._keys = config.smoothing > 0
        self.label_set = label_set

    def label_pixels(self, rgb: np.ndarray) -> np.ndarray:
        """(H, W) uint16 class ids of an image (H, W, 3) uint8."""
        height, width, _ = rgb.shape
        patches = self._dense(rgb[None], keys=self._keys)
        labels = label_pixels(patches, self._text, (height, width), refinement=self._refinement)
        return labels.class_ids(self.label_set)[0]

    def segment(self, frame: Frame, stages: StageTimer | None = None) -> SemanticLabels:
        """Classes of the rows that a camera of the frame sees; the others have the ignore id."""
        stages = stages or StageTimer()
        with stages("teacher"):
            patches = see(self._dense, frame.images, keys=self._keys)
        with stages("classify"):
            labels = label_points(frame, patches, self._text, refinement=self._refinement)
            return labels.semantic(self.label_set)
