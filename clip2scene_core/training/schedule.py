"""Steps and epochs, and what changes with them: learning rate, how much an average forgets, seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from clip2scene_core.config import LoopConfig, PretrainLoopConfig


def learning_rate(settings: LoopConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warmup = max(1, round(settings.warmup * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, settings.steps - warmup)
    return settings.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An average over about 1 / (1 - decay) steps; over fewer at first, so that it forgets the start."""

    def update(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if not average.is_floating_point():
            return current
        mean = torch.lerp(average, current, 1 - min(decay, (1 + int(count)) / (10 + int(count))))
        return torch.where(current.isinf(), current, mean)  # what is masked stays so: inf - inf is no number

    return update


def step_seed(settings: LoopConfig, step: int) -> int:
    """For what a step draws, such as dropout: a resumed run draws the same."""
    return int(np.random.SeedSequence((settings.seed, step)).generate_state(1)[0])


def resolved(settings: PretrainLoopConfig, frames: int) -> PretrainLoopConfig:
    """With the number of steps that the epochs take, where steps are not given."""
    a_step = settings.batch * settings.accumulate
    return replace(settings, steps=settings.steps or max(1, math.ceil(settings.epochs * frames / a_step)))


def epochs(settings: PretrainLoopConfig, steps: int, frames: int) -> float:
    """How often each frame has been seen after so many steps."""
    return steps * settings.batch * settings.accumulate / frames
