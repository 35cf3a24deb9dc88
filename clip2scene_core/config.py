"""The settings of everything that can be set: one tree of dataclasses, defaults here, YAML on top.

An unknown key is an error that suggests the nearest known one. ROS parameters come from the same classes.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from clip2scene_core.errors import ConfigError

T = TypeVar("T")


def setting(default: Any, help: str) -> Any:  # noqa: A002 - the word that every CLI library uses
    """A field with its description, which the CLI and the ROS parameters show."""
    if isinstance(default, type):
        return field(default_factory=default, metadata={"help": help})
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentConfig:
    """The 3D network and its input; a checkpoint carries it."""

    variant: int = setting(18, "MinkUNet depth: 14, 18 or 34")
    width: float = setting(1.0, "multiplies the number of channels of every layer")
    embedding_dim: int = setting(512, "size of the joint space of points and text")
    voxel_m: float = setting(0.1, "edge of a voxel in metres")
    range_m: float = setting(80.0, "points further away horizontally are not labelled")
    intensity: bool = setting(False, "whether the intensity of a point is an input")
    temperature: float = setting(0.07, "divides the cosine before the softmax over classes")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How training varies a scan; see augment.py."""

    rotate: bool = setting(True, "turn about the vertical by any angle, and mirror")
    scale: float = setting(0.1, "largest change of size, as a share")
    tilt_deg: float = setting(2.0, "largest tilt of the ground")
    wave_m: float = setting(0.3, "largest height of long waves added to the ground")
    crown_m: float = setting(0.15, "largest height of a cambered street")
    jitter_m: float = setting(0.02, "standard deviation of noise on every point")
    drop: float = setting(0.5, "largest share of points that are left out")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """One training run."""

    seed: int = setting(0, "of weights, order and augmentation")
    steps: int = setting(2000, "optimiser steps in all")
    batch: int = setting(4, "scans a step")
    learning_rate: float = setting(2e-3, "highest learning rate, reached after the warm-up")
    weight_decay: float = setting(0.02, "of AdamW")
    warmup: float = setting(0.05, "share of the steps in which the learning rate rises")
    average: float = setting(0.99, "decay of the moving average of the weights, which is what is kept")
    lovasz: float = setting(1.0, "weight of the Lovasz-softmax loss beside cross-entropy")
    rare: float = setting(0.5, "exponent of the class weights 1/frequency; 0 weighs all points alike")
    engine: str = setting("torch", "sparse-convolution engine; on a CPU only torch has gradients")
    device: str = setting("auto", "auto, cpu or cuda")
    precision: str = setting("32-true", "Lightning Fabric's precision, such as bf16-mixed")
    loaders: int = setting(1, "processes that prepare scans")
    checkpoint_minutes: float = setting(3.0, "how often the state is saved, so that a run can be resumed")
    augment: AugmentConfig = setting(AugmentConfig, "how a scan is varied")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceConfig:
    """How a checkpoint is applied to scans."""

    checkpoint: str = setting("", "path of a .safetensors file; empty for the one of the package")
    device: str = setting("auto", "auto, cpu or cuda")
    engine: str = setting("auto", "sparse-convolution engine: auto, spconv or torch")
    threads: int = setting(0, "CPU threads of the network; 0 leaves it to torch")
    sweeps: int = setting(0, "earlier sweeps that vote on the labels of a scan")
    scan_statistics: float = setting(
        0.5, "share of the scan's own statistics in the normalisation layers, 0 (those of training) to 1"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What `clip2scene finetune` reads from a YAML file, and what it saves beside its results."""

    label_set: str = setting("street", "vocabulary: the name of a label set or a .yaml file")
    student: StudentConfig = setting(StudentConfig, "the 3D network")
    training: TrainingConfig = setting(TrainingConfig, "the run")


def from_dict(cls: type[T], content: Mapping[str, Any] | None, *, where: str = "") -> T:
    """A dataclass tree from nested mappings; absent keys keep their defaults.

    Raises ConfigError for an unknown key (with the nearest known one) or a value of the wrong type.
    """
    if not isinstance(content or {}, Mapping):
        raise ConfigError(f"{where or cls.__name__} must be a mapping of settings, got {content!r}")
    hints = get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    values = {}
    for key, value in (content or {}).items():
        name = f"{where}.{key}" if where else str(key)
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(sorted(known))}"
            raise ConfigError(f"unknown setting '{name}'{hint}")
        values[key] = _typed(hints[key], value, name)
    return cls(**values)


def _typed(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where=name)
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_typed(get_args(hint)[0], item, name) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"setting '{name}' must be {hint.__name__}, got {value!r}")
    return value


def to_dict(config: Any) -> dict[str, Any]:
    """The tree as nested dictionaries of plain values, for YAML and checkpoint headers."""
    return dataclasses.asdict(config)


def load(cls: type[T], path: Path | str | None, overrides: Iterable[str] = ()) -> T:
    """From a YAML file (None: all defaults) and `key.key=value` overrides, whose values are YAML too."""
    content: dict[str, Any] = {}
    if path is not None:
        try:
            content = yaml.safe_load(Path(path).read_text()) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read configuration {path}: {' '.join(str(error).split())}") from error
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise ConfigError(f"override '{override}' must read key=value, such as training.steps=100")
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise ConfigError(f"override '{override}': '{parent}' is a value, not a group of settings")
        section[last] = yaml.safe_load(value)
    return from_dict(cls, content)
