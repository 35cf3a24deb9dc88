"""What a pre-training will do, in words, before it begins."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from clip2scene_core.build import choose_device
from clip2scene_core.clip.teacher import FrozenTeacher
from clip2scene_core.config import ObjectiveConfig, PretrainConfig
from clip2scene_core.data.source import FrameSource
from clip2scene_core.training.pretrain import label_set
from clip2scene_core.training.run_log import LOG_FILE
from clip2scene_core.training.schedule import epochs, resolved
from clip2scene_core.training.state import steps_done


def plan(config: PretrainConfig, source: FrameSource, teacher: FrozenTeacher, folder: Path) -> dict[str, str]:
    """A line by what it is about."""
    settings, vocabulary, student = resolved(config.training, len(source)), label_set(config), config.student
    seen = epochs(settings, settings.steps, len(source))
    asked = f"as kept in {config.features}" if config.features else f"{config.teacher.mode}, asked on the fly"
    earlier = _counted(config.pairing.sweeps - 1, "earlier sweep")
    rows = {
        "frames": f"{len(source):,}, each with up to {earlier}",
        "cameras": ", ".join(source.camera_names) or "none",
        "teacher": f"{teacher.dense.identity['clip']}, {asked}",
        "vocabulary": f"{vocabulary.name}, {_counted(len(teacher.text.embeddings), 'phrase')} for "
        f"{_counted(len(vocabulary.names), 'class', 'classes')}: {', '.join(vocabulary.names)}",
        "student": f"{student.architecture} {student.variant}, voxels of {student.voxel_m:g} m",
        "objective": _objective(config.objective),
        "steps": f"{settings.steps:,} of {_counted(settings.batch * settings.accumulate, 'frame')}, "
        f"{_counted(seen, 'epoch')}",
        "device": f"{choose_device(settings.device)}, {settings.precision}",
        "folder": str(folder),
    }
    if find_spec("tensorboard") is None:
        rows["log"] = f"{LOG_FILE} only; TensorBoard comes with pip install 'clip2scene_ros[train]'"
    if done := steps_done(folder):
        rows["goes on"] = f"after {done:,} steps"
    return rows


def _objective(objective: ObjectiveConfig) -> str:
    if objective.method != "clip2scene":
        return f"{objective.method}, which teaches features but no names: fine-tune what comes of it"
    switching = objective.self_training
    if switching.switch == "off" or switching.start >= 1:
        return "labels of pixels"
    return f"labels of pixels, after {switching.start:.0%} of the run switched with the student's own"


def _counted(number: float, one: str, more: str = "") -> str:
    """A number with what it counts."""
    figure = f"{number:,}" if isinstance(number, int) else f"{number:.3g}"
    return f"{figure} {one if figure == '1' else more or f'{one}s'}"
