"""The state of an interrupted run: weights, their moving average and the optimiser, in safetensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn
from torch.optim import Optimizer

from clip2scene_core.checkpoint import write_safetensors
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


def save_state(
    folder: Path, state: RunState, model: nn.Module, average: nn.Module, optimizer: Optimizer
) -> None:
    """Writes `folder`/state.safetensors, whole or not at all."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    header = json.dumps({"step": state.step, "seconds": state.seconds, "config": state.config})
    write_safetensors({k: v.detach().contiguous() for k, v in tensors.items()}, folder / STATE_FILE, {"run": header})


def load_state(
    folder: Path, config: dict, model: nn.Module, average: nn.Module, optimizer: Optimizer
) -> RunState | None:
    """Restores a run into its objects; None where `folder` holds none.

    Raises ConfigError where the run was started with another configuration.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["run"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, KeyError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is no state of a run; delete it to start again") from error
    if header["config"] != config:
        raise ConfigError(f"{folder} holds a run with another configuration; name another folder")
    groups: dict[str, dict] = {"model": {}, "average": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        group, _, key = name.partition(".")
        groups[group][key] = tensor
    model.load_state_dict(groups["model"])
    average.load_state_dict(groups["average"])
    moments: dict[int, dict] = {}
    for name, tensor in groups["optimizer"].items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return RunState(step=header["step"], seconds=header["seconds"], config=config)
