"""Switchable self-training: the pseudo label of a point comes from its pixel or from the student itself."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

Switch = Literal["point", "batch"]
"""Each point draws for itself, as in the paper, or all of a batch together, as in the released code."""


def switched_labels(
    pixel_label: Tensor,
    student_prediction: Tensor,
    *,
    probability: float = 0.5,
    per: Switch = "point",
    generator: Generator | None = None,
) -> Tensor:
    """(M,) int64: with `probability` the student's prediction (M,), else the label (M,) of the point's pixel.

    Labels are rows of classes or phrases; -1, unknown, is kept where drawn. The generator must be one of the
    device that the labels are on.
    """
    draws = len(pixel_label) if per == "point" else 1
    drawn = torch.rand(draws, generator=generator, device=pixel_label.device)
    return torch.where(drawn < probability, student_prediction, pixel_label)
