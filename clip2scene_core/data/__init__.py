"""Recordings as frames: one reader per format, a bag writer, and what they share."""

from clip2scene_core.data.open import open_source

__all__ = ["open_source"]
