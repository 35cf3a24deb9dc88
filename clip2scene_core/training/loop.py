"""The optimisation loop of every training, in plain sight; what is learnt comes in as a Task."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
import yaml
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel

from clip2scene_core.build import choose_device
from clip2scene_core.config import AnyRunConfig, LoopConfig, to_dict
from clip2scene_core.errors import ConfigError, MissingExtraError
from clip2scene_core.losses import weighted_sum
from clip2scene_core.training.clock import TrainingClock, peak_memory_mb
from clip2scene_core.training.interruption import interruptions_deferred
from clip2scene_core.training.run_log import RunLog
from clip2scene_core.training.schedule import learning_rate, moving_average, step_seed
from clip2scene_core.training.state import STATE_FILE, RunState, load_state, save_state
from clip2scene_core.writing import remove_unfinished, whole_file

if TYPE_CHECKING:
    from lightning.fabric import Fabric

CHECKPOINT_FILE = "student.safetensors"
CONFIG_FILE = "config.yaml"

Batch = TypeVar("Batch")
Learnt = TypeVar("Learnt")
Losses = Mapping[str, Tensor]
Record = Mapping[str, object]

Report = Callable[[int, dict[str, float]], None]
"""Called after every step with the number of steps done and the losses."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task(Generic[Batch, Learnt]):
    """What the loop learns, from what, and what it writes."""

    learner: nn.Module
    """What Fabric wraps: it converts tensors only, so its forward takes and gives nothing else."""
    trained: nn.Module
    """All that is learnt; a run goes on from its state."""
    student: nn.Module
    """What is kept of that, averaged over steps."""
    frames: int
    """How many the recording has; a run goes on with as many only."""
    batches: Callable[[int], Iterable[Batch]]
    """From a number of steps that are done to the batches of those that are left."""
    losses: Callable[[nn.Module, AveragedModel, Batch, int], tuple[Losses, Mapping[str, int]]]
    """From the wrapped learner, the average of the student, a batch and the steps done to losses by name,
    none where there is nothing to learn from, and to how often what was skipped, by what it is."""
    weights: Mapping[str, float]
    """Of each loss in their sum."""
    clock: TrainingClock
    """Tells the parts of `losses` apart; what is none of its parts counts as `losses`."""
    checkpoint: Callable[[AveragedModel, Record], Learnt]
    """From the average of the student and a record of what was done to what the file holds that is kept."""
    after_step: Callable[[int, Callable[[], Learnt]], None] = lambda step, learnt: None
    """Told the steps done, and a function that gives the checkpoint as it is now."""
    save: Callable[[Learnt, Path], None]
    """Writes the checkpoint to a path."""
    file_name: str = CHECKPOINT_FILE
    """Of the checkpoint in the folder of the run."""


def optimise(
    task: Task[Batch, Learnt],
    settings: LoopConfig,
    config: AnyRunConfig,
    folder: Path,
    *,
    fabric: Fabric,
    report: Report,
    tensorboard: bool = False,
) -> Path:
    """Trains in `folder` (resuming what is there) and returns the path of the checkpoint.

    State and checkpoint are written every few minutes. An interruption waits for the end of the step and
    keeps both; the same call then goes on from there. `config`, to which `settings` belong, is saved beside
    them and may not change.
    """
    learner, optimizer = fabric.setup(task.learner, make_optimizer(settings, task.learner))
    average = AveragedModel(task.student, avg_fn=moving_average(settings.average), use_buffers=True).eval()
    done = load_state(folder, config, task.trained, average, optimizer)
    done = done or RunState(step=0, seconds=0.0, config=to_dict(config), frames=task.frames)
    _check_frames(folder, done.frames, task.frames)
    scaler = fabric.strategy.precision
    if done.scaler:
        scaler.load_state_dict(dict(done.scaler))
    for name in (STATE_FILE, task.file_name, CONFIG_FILE):
        remove_unfinished(folder / name)
    with whole_file(folder / CONFIG_FILE) as temporary:
        temporary.write_text(yaml.safe_dump(to_dict(config), sort_keys=False))

    log = RunLog(folder, steps_done=done.step, tensorboard=tensorboard)
    started = saved = time.monotonic()
    step, skipped, whole = done.step, Counter(done.skipped), True
    clock = task.clock
    clock.total.update(done.seconds_of)

    def peak_mb() -> int:
        return max(done.peak_memory_mb, peak_memory_mb(fabric.device))

    def learnt() -> Learnt:
        record = {
            "steps": step,
            "frames_seen": step * settings.batch * settings.accumulate,
            "seconds": round(done.seconds + time.monotonic() - started),
            "seconds_of": {part: round(seconds, 3) for part, seconds in clock.total.items()},
            "peak_memory_mb": peak_mb(),
            "skipped": dict(skipped),
        }
        return task.checkpoint(average, record)

    def keep() -> None:
        """The state to go on from, and a checkpoint of what has been learnt so far."""
        state = RunState(
            step=step,
            seconds=done.seconds + time.monotonic() - started,
            config=to_dict(config),
            frames=task.frames,
            skipped=dict(skipped),
            seconds_of=dict(clock.total),
            peak_memory_mb=peak_mb(),
            scaler=scaler.state_dict(),
        )
        save_state(folder, state, task.trained, average, optimizer)
        task.save(learnt(), folder / task.file_name)

    learner.train()
    with interruptions_deferred() as stop_if_interrupted:
        try:
            batches = iter(task.batches(step))
            while step < settings.steps:
                whole = False
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(settings, step)
                torch.manual_seed(step_seed(settings, step))
                parts = []
                for _ in range(settings.accumulate):
                    with clock("data"):
                        batch = next(batches)
                    with clock("losses"):
                        losses, lacking = task.losses(learner, average, batch, step)
                    skipped.update(lacking)
                    if losses:
                        with clock("backward"):
                            fabric.backward(weighted_sum(losses, task.weights) / settings.accumulate)
                            parts.append({name: float(loss.detach()) for name, loss in losses.items()})
                if parts:
                    with clock("update"):
                        norm = fabric.clip_gradients(
                            learner, optimizer, max_norm=settings.clip, error_if_nonfinite=False
                        )
                        if not (scaler.state_dict() or torch.as_tensor(norm).isfinite()):
                            raise _diverged(step, parts)
                        optimizer.step()
                        optimizer.zero_grad(set_to_none=True)
                        average.update_parameters(task.student)
                step, whole = step + 1, True
                values = _means(parts)
                log.write(step, values, clock.lap())
                task.after_step(step, learnt)
                report(step, values)
                if time.monotonic() - saved > 60 * settings.checkpoint_minutes:
                    keep()
                    saved = time.monotonic()
                stop_if_interrupted()
        finally:
            log.close()
            if whole:  # half a step is no state to go on from
                keep()
    return folder / task.file_name


def seeded_fabric(settings: LoopConfig) -> Fabric:
    """The device of the run, with all random numbers drawn from its seed from now on."""
    try:
        from lightning.fabric import Fabric, seed_everything
    except ImportError as error:
        raise MissingExtraError("lightning", "train") from error
    device = choose_device(settings.device)
    devices = 1 if device.index is None else [device.index]
    fabric = Fabric(accelerator=device.type, devices=devices, precision=settings.precision)
    seed_everything(settings.seed, verbose=False)
    return fabric


def make_optimizer(settings: LoopConfig, learner: nn.Module) -> Optimizer:
    """For all parameters of the learner; the loop sets the learning rate before each step."""
    parameters, rate, decay = learner.parameters(), settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adamw":
        return AdamW(parameters, lr=rate, weight_decay=decay)
    return SGD(
        parameters, lr=rate, weight_decay=decay, momentum=settings.momentum, dampening=settings.dampening
    )


def _check_frames(folder: Path, expected: int, got: int) -> None:
    """0 is that of a run from before it was known."""
    if expected not in (0, got):
        raise ConfigError(
            f"{folder} holds a run on {expected} frames, got {got}; name the recording that it was started "
            "with, or another folder"
        )


def _diverged(step: int, parts: Sequence[Mapping[str, float]]) -> ConfigError:
    losses = ", ".join(f"{name} {value:.3g}" for name, value in _means(parts).items())
    return ConfigError(
        f"the gradient of step {step + 1} is not finite ({losses}); start again with a lower "
        "training.learning_rate, or training.precision=32-true"
    )


def _means(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """By name, over the batches of a step."""
    return {name: sum(part[name] for part in parts) / len(parts) for name in (parts[0] if parts else ())}
