"""A trained student applied to scans."""

from clip2scene_core.inference.segmenter import SemanticSegmenter
from clip2scene_core.inference.stages import StageTimer

__all__ = ["SemanticSegmenter", "StageTimer"]
