"""The file that a trained student travels in: safetensors weights with a JSON header, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from clip2scene_core.config import StudentConfig, from_dict, to_dict
from clip2scene_core.errors import CheckpointError, ConfigError
from clip2scene_core.labels import LabelSet
from clip2scene_core.writing import whole_file

FORMAT_VERSION = 1
HEADER = "clip2scene"
TEXT_EMBEDDINGS = "text_embeddings"
WEIGHTS = "student."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A student, the vocabulary it answers with, and how it came about."""

    student: StudentConfig
    label_set: LabelSet
    text_embeddings: Tensor
    """(P, D) float32, unit length: one row per phrase."""
    phrase_class: tuple[int, ...]
    """P positions in `label_set.classes`: the class that each phrase stands for."""
    teacher: str
    """The CLIP that gave the text embeddings, or why there is none."""
    training: Mapping[str, object]
    """The training record: command, configuration, data, time, hardware."""
    weights: Mapping[str, Tensor]
    """The student's state dict, float32."""

    @property
    def taught_by(self) -> Mapping[str, str]:
        """What the training record has of the CLIP of the words, see build.teacher_record; empty without."""
        found = self.training.get("teacher")
        return found if isinstance(found, Mapping) else {}


def save(checkpoint: Checkpoint, path: Path | str, *, dtype: torch.dtype = torch.float16) -> None:
    """Writes the file under a temporary name, then renames it; weights are stored as `dtype`.

    Raises CheckpointError for a weight that is not finite in `dtype`: no checkpoint is better than that.
    """
    header = {
        "format_version": FORMAT_VERSION,
        "student": to_dict(checkpoint.student),
        "label_set": checkpoint.label_set.to_dict(),
        "phrase_class": list(checkpoint.phrase_class),
        "teacher": checkpoint.teacher,
        "training": dict(checkpoint.training),
    }
    tensors = {
        WEIGHTS + name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in checkpoint.weights.items()
    }
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise CheckpointError(f"weight {name} is not finite as {dtype}; {path} was not written")
    tensors[TEXT_EMBEDDINGS] = checkpoint.text_embeddings.float().contiguous().cpu()
    write_safetensors(tensors, path, {HEADER: json.dumps(header)})


def write_safetensors(tensors: Mapping[str, Tensor], path: Path | str, metadata: Mapping[str, str]) -> None:
    """A safetensors file that is either whole or not there; raises CheckpointError where it cannot be."""
    try:
        with whole_file(Path(path)) as temporary:
            temporary.write_bytes(serialised(dict(tensors), dict(metadata)))  # save_file hides it from others
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write {path}: {error}") from error


def load(path: Path | str | None = None) -> Checkpoint:
    """Reads a checkpoint; None or '' is the one that ships with the package.

    Raises CheckpointError where the file is missing, is no checkpoint, or has another format version.
    """
    path = Path(path) if path else shipped()
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            header = _header(path, file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"checkpoint {path} is no readable safetensors file: {error}") from error
    weights = {
        name.removeprefix(WEIGHTS): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
        if name.startswith(WEIGHTS)
    }
    try:
        checkpoint = Checkpoint(
            student=from_dict(StudentConfig, header["student"], where="student"),
            label_set=LabelSet.from_dict(header["label_set"]),
            text_embeddings=tensors[TEXT_EMBEDDINGS].float(),
            phrase_class=tuple(int(c) for c in header["phrase_class"]),
            teacher=header["teacher"],
            training=header["training"],
            weights=weights,
        )
    except KeyError as error:
        raise CheckpointError(f"checkpoint {path} lacks the field {error}") from error
    except (TypeError, ValueError) as error:
        got = header["phrase_class"]
        raise CheckpointError(
            f"checkpoint {path}: phrase_class expected whole numbers, got {got!r}"
        ) from error
    except ConfigError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error
    _check_sizes(path, checkpoint)
    return checkpoint


def shipped() -> Path:
    """The checkpoint of the package: the vocabulary `town`, trained in the simulated town."""
    return Path(str(resources.files("clip2scene_core") / "checkpoints" / "town.safetensors"))


def _header(path: Path, metadata: Mapping[str, str] | None) -> dict:
    try:
        header = json.loads((metadata or {})[HEADER])
        version = header["format_version"]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of clip2scene") from error
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"checkpoint {path}: format_version expected {FORMAT_VERSION}, got {version}; "
            "use the release of clip2scene_ros that wrote it, or train again"
        )
    return header


def _check_sizes(path: Path, checkpoint: Checkpoint) -> None:
    phrases = len(checkpoint.phrase_class)
    expected = (phrases, checkpoint.student.embedding_dim)
    got = tuple(checkpoint.text_embeddings.shape)
    if got != expected:
        raise CheckpointError(f"checkpoint {path}: {TEXT_EMBEDDINGS} expected {expected}, got {got}")
    if set(checkpoint.phrase_class) != set(range(len(checkpoint.label_set.classes))):
        raise CheckpointError(
            f"checkpoint {path}: phrase_class expected each of 0..{len(checkpoint.label_set.classes) - 1}, "
            f"got {sorted(set(checkpoint.phrase_class))}"
        )
