"""What fine-tuning begins with: random weights, or those of a checkpoint, and embeddings for the classes.

Shapes: P phrases, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.build import (
    as_asked,
    build_clip,
    check_joint_space,
    embed_phrases,
    orthonormal_embeddings,
    restore_student,
    teacher_record,
)
from clip2scene_core.checkpoint import Checkpoint
from clip2scene_core.config import RunConfig
from clip2scene_core.errors import ConfigError
from clip2scene_core.labels import LabelSet
from clip2scene_core.progress import Progress, silent

SHAPING = ("architecture", "variant", "width", "intensity", "colour")
"""Settings of a student that its backbone has to share with a checkpoint to take over the weights."""
HEADS = "heads."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beginning:
    """Weights, and what classes are compared with."""

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    """Part of a student's state dict; what it lacks is random."""
    label_set: LabelSet
    """The vocabulary of the run, with the phrases that the embeddings are of."""
    text_embeddings: Tensor
    """(P, D) float32, unit length."""
    phrase_class: tuple[int, ...]
    """P positions in the classes of the vocabulary."""
    teacher: str
    """What gave the embeddings, for the checkpoint."""
    taught_by: Mapping[str, str] = field(default_factory=dict)
    """The CLIP that gave them, for the training record; see `teacher_record`."""
    record: Mapping[str, object] = field(default_factory=dict)
    """For the training record."""
    notes: tuple[str, ...] = ()
    """One line each: what a user should know."""


def begin(config: RunConfig, progress: Progress = silent) -> Beginning:
    """As `config.start`, `config.teacher` and `config.training.head` say.

    `progress` is told of the phrases that a CLIP has to embed. Raises CheckpointError where the file is none,
    ConfigError where it is of another architecture or cannot give what is asked for, and what load_clip does.
    """
    label_set, head = LabelSet.named(config.label_set), config.training.head
    if not config.start:
        if head == "text":
            raise ConfigError("training.head text needs a checkpoint to begin from: --from FILE")
        return _classes(config, label_set, progress)
    checkpoint = checkpoints.load(config.start)
    _check_shape(config, checkpoint)
    if config.teacher.model:
        words = _classes(config, label_set, progress)
        why_not = _why_no_heads(config, checkpoint) or _why_another_language(checkpoint, words)
        note = f"from {config.start} with its heads; the words are embedded by {words.teacher}"
    else:
        why_not = _why_no_heads(config, checkpoint) or _why_no_words(checkpoint, label_set)
        words = _classes(config, label_set) if why_not or head == "new" else _words(checkpoint, label_set)
        note = f"from {config.start} with its heads and the embeddings of its words"
    if head == "text" and why_not:
        raise ConfigError(f"training.head text: {why_not}; choose training.head=new")
    weights = restore_student(checkpoint, engine="torch").state_dict()
    kept = head != "new" and not why_not
    if not kept:
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith(HEADS)}
        because = why_not or "as asked for"
        note = f"from {config.start} without its heads: {because}; the new ones are random"
    came = {name: checkpoint.training.get(name) for name in ("command", "steps", "scans")}
    began = {
        "checkpoint": config.start,
        "vocabulary": checkpoint.label_set.name,
        "training": came,
        "head": "text" if kept else "new",
    }
    return replace(words, weights=weights, record={"began_from": began}, notes=(note,))


def _classes(config: RunConfig, label_set: LabelSet, progress: Progress = silent) -> Beginning:
    """Random weights; the embeddings of the phrases by the CLIP that is named, or else stand-ins."""
    if not config.teacher.model:
        classes, dim = len(label_set.classes), config.student.embedding_dim
        return Beginning(
            label_set=label_set,
            text_embeddings=orthonormal_embeddings(classes, dim, seed=config.training.seed),
            phrase_class=tuple(range(classes)),
            teacher="none: orthonormal stand-ins for text embeddings, learnt from labels",
        )
    clip = build_clip(config.teacher)
    label_set = as_asked(label_set, config.teacher)
    text = embed_phrases(clip, config.teacher, label_set.phrases, progress).to("cpu")
    check_joint_space(config.student, text.embeddings.shape[1], clip.name)
    return Beginning(
        label_set=label_set,
        text_embeddings=text.embeddings,
        phrase_class=tuple(text.phrase_class.tolist()),
        teacher=clip.name,
        taught_by=teacher_record(config.teacher, clip.identity),
    )


def _words(checkpoint: Checkpoint, label_set: LabelSet) -> Beginning:
    """The embeddings that a checkpoint has for the classes of a vocabulary."""
    of_class = {c.name: c for c in checkpoint.label_set.classes}
    names = [checkpoint.label_set.names[c] for c in checkpoint.phrase_class]
    rows = [row for row, name in enumerate(names) if name in label_set.names]
    classes = tuple(replace(c, phrases=of_class[c.name].phrases) for c in label_set.classes)
    return Beginning(
        label_set=replace(label_set, classes=classes),
        text_embeddings=checkpoint.text_embeddings[rows],
        phrase_class=tuple(label_set.names.index(names[row]) for row in rows),
        teacher=checkpoint.teacher,
        taught_by=checkpoint.taught_by,
    )


def _check_shape(config: RunConfig, checkpoint: Checkpoint) -> None:
    for name in SHAPING:
        expected, got = (getattr(student, name) for student in (checkpoint.student, config.student))
        if str(got) != str(expected):  # variant 14 is '14'
            raise ConfigError(f"student.{name} expected {expected}, that of {config.start}, got {got}")


def _why_no_heads(config: RunConfig, checkpoint: Checkpoint) -> str:
    """Why the heads of a checkpoint cannot go on, whatever the words; empty where they can."""
    expected, got = checkpoint.student.embedding_dim, config.student.embedding_dim
    if got != expected:
        return f"student.embedding_dim expected {expected}, got {got}"
    learnt: object = checkpoint.training.get("config")
    objective = learnt.get("objective") if isinstance(learnt, Mapping) else None
    method = objective.get("method") if isinstance(objective, Mapping) else None
    return f"{method} has taught it no words" if method in ("slidr", "ppkt") else ""


def _why_no_words(checkpoint: Checkpoint, label_set: LabelSet) -> str:
    """Why the words of a checkpoint cannot go on to name the classes; empty where they can."""
    lacking = [name for name in label_set.names if name not in checkpoint.label_set.names]
    return f"its vocabulary {checkpoint.label_set.name} has no '{lacking[0]}'" if lacking else ""


def _why_another_language(checkpoint: Checkpoint, words: Beginning) -> str:
    """Why a checkpoint does not speak the language that words are embedded in; empty where it does."""
    if checkpoint.taught_by.get("weights") == words.taught_by["weights"]:
        return ""
    return f"it was not taught by {words.teacher} with these weights, but by {checkpoint.teacher}"
