"""The rows of the table: what each changes in the full method, and which order is expected of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clip2scene_core.config import PretrainConfig, from_dict, parse_settings
from clip2scene_core.errors import ConfigError

FULL = "full"
SEMANTIC_ALONE = "semantic loss alone"
NAMES = "names"
"""Stands, as label_set, for that of the full method with the names of its classes as their only phrases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant of pre-training."""

    name: str
    settings: tuple[str, ...]
    """key=value of PretrainConfig, in place of those of the full method."""
    paper: float | None = None
    """mIoU in % that the paper has for it on nuScenes, without annotations; None where it has none."""

    def applied(self, full: PretrainConfig) -> PretrainConfig:
        """The configuration of this row."""
        return from_dict(PretrainConfig, parse_settings(self.settings), default=full)


ROWS = (
    Row(name=FULL, settings=(), paper=20.8),
    Row(
        name=SEMANTIC_ALONE,
        settings=(
            "pairing.sweeps=1",
            "objective.spatial_temporal_weight=0",
            "objective.self_training.switch=off",
        ),
        paper=15.1,
    ),
    Row(name="without (2)", settings=("objective.spatial_temporal_weight=0",), paper=19.8),
    Row(name="without (1)", settings=("objective.semantic_weight=0",), paper=16.8),
    Row(name="without S3", settings=("objective.self_training.switch=off",), paper=18.8),
    Row(name="self-training only", settings=("objective.self_training.probability=1",), paper=10.1),
    Row(name="KL instead of (1)", settings=("objective.semantic_loss=kl",), paper=0.0),
    Row(name="1 sweep", settings=("pairing.sweeps=1",), paper=18.7),
    Row(name="5 sweeps", settings=("pairing.sweeps=5",), paper=20.6),
    Row(name="merged input", settings=("pairing.merged=true",), paper=18.6),
    Row(name="names as prompts", settings=(f"label_set={NAMES}",)),
    Row(name="mean of phrases", settings=("teacher.phrases=mean",)),
    Row(name="one template", settings=("teacher.templates=simple",)),
    Row(name="cross-entropy as in the code", settings=("objective.semantic_loss=cross_entropy",)),
    Row(name="fusion of points as in the code", settings=("objective.fusion=points",)),
    Row(name="S3 per batch as in the code", settings=("objective.self_training.switch=batch",)),
    Row(name="without occlusion test", settings=("pairing.occlusion=false",)),
    Row(name="agreement of 0.6", settings=("objective.agreement=0.6",)),
    Row(name="average predicts", settings=("objective.self_training.predictor=average",)),
    Row(name="NACLIP", settings=("teacher.mode=naclip",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An order of two rows that has to hold."""

    better: str
    worse: str
    by: float
    """Least difference of their means over seeds, in points of mIoU."""


CLAIMS = (Claim(better=FULL, worse=SEMANTIC_ALONE, by=3.0),)
TEACHER_FACTOR = 1.2
"""The full method has to have at least so many times the mIoU of the teacher that is projected to points."""


def chosen(names: Sequence[str]) -> tuple[Row, ...]:
    """The rows of these names, all where there are none; raises ConfigError for one that is unknown."""
    known = {row.name: row for row in ROWS}
    for name in names:
        if name not in known:
            raise ConfigError(f"evidence has no row '{name}'; it has {', '.join(known)}")
    return tuple(known[name] for name in names) if names else ROWS
