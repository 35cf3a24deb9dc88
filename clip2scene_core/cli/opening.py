"""What commands open: recordings, students and teachers, as their arguments name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clip2scene_core import config as configuration
from clip2scene_core.cli.runs import teacher_settings
from clip2scene_core.config import InferenceConfig, TeacherConfig
from clip2scene_core.data.open import known_options, parse_options
from clip2scene_core.errors import DataError
from clip2scene_core.terminal import print_notes, progress


def open_frames(
    kind: str, root: Path, frames: int, options: list[str] | None, *, tell_notes: bool = True
) -> Any:
    """The FrameSource of a recording, of its first `frames` if not 0; raises DataError where it is empty."""
    from clip2scene_core.data import open_source
    from clip2scene_core.data.source import first_frames

    settings = parse_options(kind, root, options or ())
    with progress("motion by KISS-ICP", at_once=False) as report:
        source = open_source(kind, root, report, **settings)
    if not len(source):
        raise DataError(f"{kind} recording {root} has no frames")
    if tell_notes:
        print_notes(source.notes)
    return first_frames(source, frames)


def open_teacher(config: Path | None, settings: list[str] | None, words: str, label_set: str) -> Any:
    """The Teacher with a vocabulary."""
    from clip2scene_core.inference.teacher import Teacher
    from clip2scene_core.labels import LabelSet

    vocabulary = LabelSet.from_words(words) if words else LabelSet.named(label_set)
    chosen = configuration.load(TeacherConfig, config, settings or ())
    with progress("loading the teacher", at_once=False) as report:
        return Teacher(chosen, vocabulary, report)


def open_student(checkpoint: str, settings: list[str] | None, *, words: str = "", label_set: str = "") -> Any:
    """The SemanticSegmenter of a checkpoint, the shipped one where it is ''.

    It answers in these words, or else with this label set, or else with the classes of the checkpoint.
    """
    from clip2scene_core.inference import SemanticSegmenter

    vocabulary = [f"label_set={json.dumps(label_set)}"] if label_set and not words else []
    config = configuration.load(InferenceConfig, None, [*(settings or ()), *vocabulary])
    with progress("embedding words", at_once=False) as report:
        student = SemanticSegmenter.from_checkpoint(checkpoint or None, config=config, progress=report)
        return student.with_words(words, report) if words else student


def chosen_clip(model: str, pretrained: str, settings: list[str] | None) -> list[str]:
    """Settings of the teacher, or of the CLIP for new words, of which some have options of their own."""
    return [*(settings or ()), *teacher_settings(model, pretrained)]


def without_images(kind: str, root: Path, options: list[str] | None) -> list[str]:
    """No cameras, of recordings that can do without reading them."""
    known, unwanted = known_options(kind, root), {"cameras": "cameras=", "images": "images=0"}
    return [*(option for name, option in unwanted.items() if name in known), *(options or ())]


def check_is_no_input(bag: Path, root: Path) -> None:
    """Raises DataError where writing `bag` would replace the recording at `root`."""
    if root.resolve().is_relative_to(bag.resolve()):
        raise DataError(f"{bag} is the recording itself, which would be replaced; name another one")
