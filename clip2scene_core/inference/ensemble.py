"""A student and a teacher together: each point is what the surer of the two calls it."""

from __future__ import annotations

import numpy as np

from clip2scene_core.inference.segmenter import SemanticSegmenter
from clip2scene_core.inference.stages import StageTimer
from clip2scene_core.inference.teacher import Teacher
from clip2scene_core.types import Frame, SemanticLabels


class Ensemble:
    """The 2D-3D ensemble of OpenScene (CVPR 2023), which compares per point how well the best class fits.

    Here that is the probability of the class: the cosines of points and of pixels have different scales.
    """

    def __init__(self, student: SemanticSegmenter, teacher: Teacher) -> None:
        """Both in the same label set."""
        self._student = student
        self._teacher = teacher
        self.label_set = student.label_set

    def segment(self, frame: Frame, stages: StageTimer | None = None) -> SemanticLabels:
        """As the student's; rows that no camera sees are the student's alone."""
        stages = stages or StageTimer()
        points, pixels = (each.segment(frame, stages) for each in (self._student, self._teacher))
        assert points.probability is not None and pixels.probability is not None
        surer = pixels.probability > points.probability
        return SemanticLabels(
            class_id=np.where(surer, pixels.class_id, points.class_id),
            probability=np.maximum(pixels.probability, points.probability),
        )
