"""The vocabulary of a student: its own classes, some of them, or other words of the CLIP that taught it.

A student that learnt from a CLIP answers by cosine with text embeddings, so any words of it can be asked for.
Phrases whose embeddings are in the checkpoint are taken from there, others are embedded.

Shapes: P phrases, D embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from clip2scene_core.build import build_clip, embed_phrases
from clip2scene_core.checkpoint import Checkpoint
from clip2scene_core.config import InferenceConfig, TeacherConfig
from clip2scene_core.errors import CheckpointError, ConfigError
from clip2scene_core.labels import LabelSet, SemanticClass
from clip2scene_core.progress import Progress, silent


def asked_for(checkpoint: Checkpoint, words: str | Iterable[str]) -> LabelSet:
    """The classes that words (see LabelSet.from_words) stand for.

    A word that is the name of a class of the checkpoint means that class with all its phrases. Where all are,
    the classes keep their ids, else ids count from 1. Raises ConfigError for words that make no vocabulary.
    """
    given, own = LabelSet.from_words(words), {_plain(c.name): c for c in checkpoint.label_set.classes}
    named = [own.get(_plain(c.name)) if len(c.phrases) == 1 else None for c in given.classes]
    known = [c for c in named if c is not None]
    if len(known) == len(named):
        return replace(checkpoint.label_set, classes=tuple(known), raw_ids={}, raw_names={}, maps={})
    given_phrases = {_plain(phrase) for c in given.classes for phrase in c.phrases}
    return replace(
        given,
        classes=tuple(
            c if same is None else replace(same, id=c.id, phrases=_phrases_left(same, given_phrases))
            for c, same in zip(given.classes, named, strict=True)
        ),
    )


def new_phrases(checkpoint: Checkpoint, label_set: LabelSet) -> tuple[str, ...]:
    """Those phrases of a vocabulary that have to be embedded, each once.

    Raises ConfigError where there are some and no CLIP taught the checkpoint.
    """
    classes, phrases = _rows_of_classes(checkpoint), _rows_of_phrases(checkpoint)
    asked = [phrase for c in label_set.classes if _key(c) not in classes for phrase in c.phrases]
    new = tuple(dict.fromkeys(phrase for phrase in asked if _plain(phrase) not in phrases))
    if new and "model" not in checkpoint.taught_by:
        raise ConfigError(
            f"'{new[0]}' is not in the checkpoint, and no CLIP taught it that could embed other words; "
            f"it knows {', '.join(checkpoint.label_set.names)}; for others train one by `clip2scene pretrain`"
        )
    return new


def embed_new(
    checkpoint: Checkpoint, phrases: Iterable[str], config: InferenceConfig, progress: Progress = silent
) -> dict[str, Tensor]:
    """Embeddings (D,) float32 on the CPU, by phrase, of the CLIP that taught the checkpoint.

    `config` may say where that CLIP is now. Raises CheckpointError where it cannot be had or has other
    weights, and what load_clip does.
    """
    taught_by, phrases = checkpoint.taught_by, list(phrases)
    teacher = TeacherConfig(
        model=config.model or taught_by["model"],
        pretrained=config.pretrained or ("" if config.model else taught_by["pretrained"]),
        templates=taught_by["templates"],
        device=config.device,
    )
    need = f"'{phrases[0]}' needs {checkpoint.teacher}, the CLIP that taught the checkpoint"
    try:
        clip = build_clip(teacher)
    except CheckpointError as error:
        raise CheckpointError(f"{need}: {error}; say where it is now by model and pretrained") from error
    expected, got = taught_by["weights"], clip.weights_hash
    if got != expected:
        raise CheckpointError(
            f"{need}: weights expected {expected[:12]}, got {got[:12]} of {clip.name}; "
            "say where it is now by model and pretrained"
        )
    text = embed_phrases(clip, teacher, [[phrase] for phrase in phrases], progress)
    return dict(zip(phrases, text.embeddings.cpu(), strict=True))


def reworded(checkpoint: Checkpoint, label_set: LabelSet, embedded: Mapping[str, Tensor]) -> Checkpoint:
    """The checkpoint with another vocabulary, whose `new_phrases` are embedded (D,) float32."""
    classes, phrases = _rows_of_classes(checkpoint), _rows_of_phrases(checkpoint)
    embeddings: list[Tensor] = []
    phrase_class: list[int] = []
    for position, c in enumerate(label_set.classes):
        stored = checkpoint.text_embeddings[classes.get(_key(c), [])]
        rows = list(stored) or [
            embedded[phrase]
            if (row := phrases.get(_plain(phrase))) is None
            else checkpoint.text_embeddings[row]
            for phrase in c.phrases
        ]
        embeddings += rows
        phrase_class += [position] * len(rows)
    return replace(
        checkpoint,
        label_set=label_set,
        text_embeddings=torch.stack(embeddings),
        phrase_class=tuple(phrase_class),
    )


def _rows_of_classes(checkpoint: Checkpoint) -> dict[tuple[str, ...], list[int]]:
    """Rows of `text_embeddings` by name and phrases of a class."""
    return {
        _key(c): [row for row, of in enumerate(checkpoint.phrase_class) if of == position]
        for position, c in enumerate(checkpoint.label_set.classes)
    }


def _rows_of_phrases(checkpoint: Checkpoint) -> dict[str, int]:
    """Row by phrase, of classes whose phrases have a row each: not stand-ins, not means of phrases."""
    rows, found = _rows_of_classes(checkpoint), dict[str, int]()
    for c in checkpoint.label_set.classes:
        if len(rows[_key(c)]) == len(c.phrases):
            found |= {_plain(phrase): row for phrase, row in zip(c.phrases, rows[_key(c)], strict=True)}
    return found


def _phrases_left(c: SemanticClass, given: set[str]) -> tuple[str, ...]:
    """The phrases of a class of the checkpoint but those that are given as words of their own."""
    left = tuple(phrase for phrase in c.phrases if _plain(phrase) not in given - {_plain(c.name)})
    return left or c.phrases


def _key(c: SemanticClass) -> tuple[str, ...]:
    return c.name, *c.phrases


def _plain(word: str) -> str:
    """As CLIP reads it: small letters, without underscores."""
    return word.replace("_", " ").lower()
