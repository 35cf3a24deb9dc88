"""The state of an interrupted run: weights, their moving average and the optimiser, in safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from clip2scene_core.checkpoint import write_safetensors
from clip2scene_core.config import AnyRunConfig, from_dict
from clip2scene_core.errors import CheckpointError, ConfigError

STATE_FILE = "state.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What has to be known to go on."""

    step: int
    """Steps that are done."""
    seconds: float
    """Time that they took, over all sessions."""
    config: dict
    """The configuration of the run; it may not change in between."""
    frames: int = 0
    """How many the recording has; 0 where the state is from before that was kept."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """How often something was left out, by what it was."""
    seconds_of: Mapping[str, float] = field(default_factory=dict)
    """How long the parts of a step took, over all sessions; see TrainingClock."""
    peak_memory_mb: int = 0
    """The most of all sessions."""
    scaler: Mapping[str, Any] = field(default_factory=dict)
    """That of the gradients in 16-bit precision; empty where there is none."""


def save_state(
    folder: Path, state: RunState, model: nn.Module, average: nn.Module, optimizer: Optimizer
) -> None:
    """Writes `folder`/state.safetensors, whole or not at all."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    header = json.dumps(asdict(state))
    write_safetensors(
        {k: v.detach().contiguous() for k, v in tensors.items()}, folder / STATE_FILE, {"run": header}
    )


def steps_done(folder: Path) -> int:
    """How many steps the run in `folder` has done; 0 where there is none. Raises CheckpointError as below."""
    path = folder / STATE_FILE
    return _read(path)[0].step if path.is_file() else 0


def load_state(
    folder: Path, config: AnyRunConfig, model: nn.Module, average: nn.Module, optimizer: Optimizer
) -> RunState | None:
    """Restores a run into its objects; None where `folder` holds none.

    Raises ConfigError where the run was started with another configuration, CheckpointError where the
    file is none of a run or its tensors are not those of the objects.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    state, tensors = _read(path)
    if not _same(state.config, config):
        raise ConfigError(f"{folder} holds a run with another configuration; name another folder")
    moments: dict[int, dict] = {}
    for name, tensor in _group(tensors, "optimizer.").items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = tensor
    try:
        model.load_state_dict(_group(tensors, "model."))
        average.load_state_dict(_group(tensors, "average."))
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path} holds the weights of another network; delete it to start again"
        ) from error
    return state


def _read(path: Path) -> tuple[RunState, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            state = RunState(**json.loads((file.metadata() or {})["run"]))
            return state, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, KeyError, TypeError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is no state of a run; delete it to start again") from error


def _same(stored: dict, config: AnyRunConfig) -> bool:
    """Whether a stored configuration is `config`; settings that it did not know yet have their defaults."""
    try:
        return from_dict(type(config), stored) == config
    except ConfigError:
        return False


def _group(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
