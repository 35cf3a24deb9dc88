"""The teacher as a whole: a CLIP that sees, its words, and how scores become classes.

Shapes: B images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from clip2scene_core.clip.dense import DensePatches
from clip2scene_core.clip.pseudo_labels import Refinement
from clip2scene_core.clip.text import TextEmbeddings


class DenseTeacher(Protocol):
    """What DenseClip is to those who ask it."""

    embedding_dim: int

    @property
    def identity(self) -> Mapping[str, str]:
        """All that decides on the output."""
        ...

    def __call__(self, rgb: np.ndarray | Tensor, *, keys: bool = False) -> DensePatches:
        """Patches of images (B, H, W, 3) uint8."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrozenTeacher:
    """A CLIP that sees, and the words that it is asked for."""

    dense: DenseTeacher
    text: TextEmbeddings
    refinement: Refinement

    @property
    def needs_keys(self) -> bool:
        """Whether the refinement wants the keys of patches."""
        return self.refinement.smoothing > 0
