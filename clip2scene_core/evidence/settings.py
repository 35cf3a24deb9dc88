"""What a result depends on: the settings of its run, with what its row changes, flat and comparable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clip2scene_core.clip.weights import FOLDER
from clip2scene_core.config import EvidenceConfig, PretrainConfig, from_dict, parse_settings, to_dict
from clip2scene_core.evidence.rows import ROWS, Row

OF_NO_EFFECT = (
    "pretrain.features",
    "pretrain.teacher.device",
    "pretrain.teacher.compile",
    "pretrain.training.seed",
    "pretrain.training.device",
    "pretrain.training.engine",
    "pretrain.training.loaders",
    "pretrain.training.checkpoint_minutes",
    "inference.checkpoint",
    "inference.device",
    "inference.engine",
    "inference.threads",
)
"""Where and how fast it is computed: results are the same, but for rounding. The seed is kept apart."""
OF_THE_TEACHER = ("pretrain.teacher.", "pretrain.label_set", "pretrain.words", "drives.", "least_points")
"""All that a teacher on its own depends on, but for the drives that are learnt from."""


def with_changes(config: EvidenceConfig, row: Row) -> EvidenceConfig:
    """The evidence as a row has it. Raises ConfigError for settings that are not possible."""
    trained = ROWS[row.student_of] if row.student_of else row
    changes = {
        "pretrain": parse_settings(trained.change),
        "inference": parse_settings(row.inference),
    }
    return from_dict(EvidenceConfig, changes, default=config)


def pretraining(config: EvidenceConfig, row: Row, seed: int) -> PretrainConfig:
    """The run of a row and seed."""
    run = with_changes(config, row).pretrain
    return replace(run, training=replace(run.training, seed=seed))


def settings_of(config: EvidenceConfig, row: Row) -> dict[str, Any]:
    """All that the results of a row depend on, by dotted name; values are those of JSON.

    Of the settings of pre-training those that are the paper's are left out.
    """
    changed = with_changes(config, row)
    paper = {f"pretrain.{name}": value for name, value in flat(PretrainConfig()).items()}
    return {
        name: _anywhere(value)
        for name, value in flat(changed).items()
        if _matters(name, row) and (name not in paper or value != paper[name])
    }


def flat(config: Any) -> dict[str, Any]:
    """Every setting of a tree by its dotted name."""
    return dict(_leaves(to_dict(config), ""))


def _leaves(tree: Mapping[str, Any], where: str) -> Any:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", list(value) if isinstance(value, tuple) else value


def _anywhere(value: Any) -> Any:
    """A value without the place that a teacher's folder has on this machine."""
    if isinstance(value, str) and value.startswith(FOLDER):
        return FOLDER + Path(value.removeprefix(FOLDER)).name
    return value


def _matters(name: str, row: Row) -> bool:
    if name in OF_NO_EFFECT:
        return False
    if not (row.learns or row.student_of):
        return name.startswith(OF_THE_TEACHER) and not name.startswith("drives.training")
    return name.startswith(("drives.", "pretrain.", "inference.")) or name == "least_points"
