"""A recording with the labels of a student or teacher in place of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clip2scene_core.data.source import FrameSource
from clip2scene_core.geometry import SE3
from clip2scene_core.inference.segmenter import SemanticSegmenter
from clip2scene_core.inference.stages import StageTimer
from clip2scene_core.inference.teacher import Teacher
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import Frame


class LabelledSource:
    """A FrameSource over another one; each frame is labelled when it is read."""

    def __init__(self, source: FrameSource, segmenter: SemanticSegmenter | Teacher) -> None:
        self._source = source
        self._segmenter = segmenter
        self.label_set: LabelSet = segmenter.label_set
        self.camera_names = source.camera_names
        self.notes = source.notes
        self.stage_ms: dict[int, dict[str, float]] = {}
        """Milliseconds by stage, by index of the frames that were read."""

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Frame:
        frame, stages = self._source[index], StageTimer()
        labels = self._segmenter.segment(frame, stages)
        self.stage_ms[index] = stages.ms
        return replace(frame, labels=labels)

    def mounting(self, index: int) -> Mapping[str, SE3]:
        return self._source.mounting(index)
