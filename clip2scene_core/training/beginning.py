"""What fine-tuning begins with: random weights, or those of a checkpoint, and the embeddings of its classes.

Shapes: P phrases, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.build import orthonormal_embeddings, restore_student
from clip2scene_core.checkpoint import Checkpoint
from clip2scene_core.config import RunConfig
from clip2scene_core.errors import ConfigError
from clip2scene_core.labels import LabelSet

SHAPING = ("architecture", "variant", "width", "intensity", "colour")
"""Settings of a student that its backbone has to share with a checkpoint to take over the weights."""
HEADS = "heads."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beginning:
    """Weights, and what classes are compared with."""

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    """Part of a student's state dict; what it lacks is random."""
    text_embeddings: Tensor
    """(P, D) float32, unit length."""
    phrase_class: tuple[int, ...]
    """P positions in the classes of the run's vocabulary."""
    teacher: str
    """What gave the embeddings, for the checkpoint."""
    record: Mapping[str, object] = field(default_factory=dict)
    """For the training record."""
    notes: tuple[str, ...] = ()
    """One line each: what a user should know."""


def begin(config: RunConfig) -> Beginning:
    """As `config.start` and `config.training.head` say.

    Raises CheckpointError where the file is none, ConfigError where it is of another architecture or cannot
    give what is asked for.
    """
    label_set, head = LabelSet.named(config.label_set), config.training.head
    if not config.start:
        if head == "text":
            raise ConfigError("training.head text needs a checkpoint to begin from: --from FILE")
        return _new_classes(config, label_set)
    checkpoint = checkpoints.load(config.start)
    _check_shape(config, checkpoint)
    weights = restore_student(checkpoint, engine="torch").state_dict()
    why_not = _why_no_text(config, checkpoint, label_set)
    if head == "text" and why_not:
        raise ConfigError(f"training.head text: {why_not}; choose training.head=new")
    came = {name: checkpoint.training.get(name) for name in ("command", "steps", "scans")}
    record = {"checkpoint": config.start, "vocabulary": checkpoint.label_set.name, "training": came}
    if head == "new" or why_not:
        because = why_not or "as asked for"
        return replace(
            _new_classes(config, label_set),
            weights={name: tensor for name, tensor in weights.items() if not name.startswith(HEADS)},
            record={"began_from": {**record, "head": "new"}},
            notes=(f"from {config.start} without its heads: {because}; the new ones are random",),
        )
    names = [checkpoint.label_set.names[c] for c in checkpoint.phrase_class]
    rows = [row for row, name in enumerate(names) if name in label_set.names]
    return Beginning(
        weights=weights,
        text_embeddings=checkpoint.text_embeddings[rows],
        phrase_class=tuple(label_set.names.index(names[row]) for row in rows),
        teacher=checkpoint.teacher,
        record={"began_from": {**record, "head": "text"}},
        notes=(f"from {config.start} with its heads and the embeddings of its words",),
    )


def _new_classes(config: RunConfig, label_set: LabelSet) -> Beginning:
    classes = len(label_set.classes)
    return Beginning(
        text_embeddings=orthonormal_embeddings(
            classes, config.student.embedding_dim, seed=config.training.seed
        ),
        phrase_class=tuple(range(classes)),
        teacher="none: orthonormal stand-ins for text embeddings, learnt from labels",
    )


def _check_shape(config: RunConfig, checkpoint: Checkpoint) -> None:
    for name in SHAPING:
        expected, got = (getattr(student, name) for student in (checkpoint.student, config.student))
        if str(got) != str(expected):  # variant 14 is '14'
            raise ConfigError(f"student.{name} expected {expected}, that of {config.start}, got {got}")


def _why_no_text(config: RunConfig, checkpoint: Checkpoint, label_set: LabelSet) -> str:
    """Why the words of a checkpoint cannot go on to name the classes; empty where they can."""
    expected, got = checkpoint.student.embedding_dim, config.student.embedding_dim
    if got != expected:
        return f"student.embedding_dim expected {expected}, got {got}"
    if lacking := [name for name in label_set.names if name not in checkpoint.label_set.names]:
        return f"its vocabulary {checkpoint.label_set.name} has no '{lacking[0]}'"
    learnt: object = checkpoint.training.get("config")
    objective = learnt.get("objective") if isinstance(learnt, Mapping) else None
    method = objective.get("method") if isinstance(objective, Mapping) else None
    return f"{method} has taught it no words" if method in ("slidr", "ppkt") else ""
