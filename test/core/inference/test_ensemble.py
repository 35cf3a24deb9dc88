"""The surer of two labellers."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_core.inference.ensemble import Ensemble
from clip2scene_core.inference.stages import StageTimer
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import SemanticLabels

WORDS = LabelSet.from_words("road, car, tree")


class Says:
    """A labeller that always says the same."""

    label_set = WORDS

    def __init__(self, class_id, probability):
        self.labels = SemanticLabels(
            class_id=np.array(class_id, np.uint16), probability=np.array(probability, np.float32)
        )

    def segment(self, frame, stages):
        with stages("each"):
            return self.labels


def test_each_point_is_what_the_surer_calls_it(make_frame):
    student = Says([1, 1, 2, 0], [0.5, 0.7, 0.9, 0.0])
    teacher = Says([3, 3, 0, 0], [0.6, 0.6, 0.0, 0.0])
    stages = StageTimer()
    labels = Ensemble(student, teacher).segment(make_frame(np.zeros((4, 3))), stages)
    assert labels.class_id.tolist() == [3, 1, 2, 0] and labels.class_id.dtype == np.uint16
    assert labels.probability == pytest.approx([0.6, 0.7, 0.9, 0.0])
    assert "each" in stages.ms
