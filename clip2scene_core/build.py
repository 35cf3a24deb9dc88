"""Configuration to objects: the one place where settings become networks, devices and embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from clip2scene_core.checkpoint import Checkpoint
from clip2scene_core.clip.dense import DenseClip, side_in_patches
from clip2scene_core.clip.pseudo_labels import Refinement
from clip2scene_core.clip.similarity import softmax_temperature
from clip2scene_core.clip.teacher import FrozenTeacher
from clip2scene_core.clip.text import TextEmbeddings, default_cache_dir, embed_text
from clip2scene_core.clip.weights import LoadedClip, brings_weights, load_clip
from clip2scene_core.config import StudentConfig, TeacherConfig
from clip2scene_core.errors import CheckpointError, ConfigError
from clip2scene_core.labels import LabelSet
from clip2scene_core.progress import Progress, silent
from clip2scene_core.student import SPVCNN, MinkUNet
from clip2scene_core.voxels import FEATURES

STUDENTS: dict[str, type[MinkUNet]] = {"minkunet": MinkUNet, "spvcnn": SPVCNN}
"""Networks by the name of their architecture."""
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""Number formats by their name in a configuration."""


def build_student(config: StudentConfig, *, engine: str) -> MinkUNet:
    """An untrained student whose input are the features of voxels.FEATURES (and intensity and colour)."""
    if config.architecture not in STUDENTS:
        raise ConfigError(
            f"unknown student.architecture {config.architecture!r}; expected one of {', '.join(STUDENTS)}"
        )
    return STUDENTS[config.architecture](
        len(FEATURES) + config.intensity + 3 * config.colour,
        variant=config.variant,
        width=config.width,
        embedding_dim=config.embedding_dim,
        engine=engine,
    )


def restore_student(checkpoint: Checkpoint, *, engine: str) -> MinkUNet:
    """The student of a checkpoint; raises CheckpointError naming the first weight that does not fit."""
    student = build_student(checkpoint.student, engine=engine)
    expected = {name: tuple(tensor.shape) for name, tensor in student.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in checkpoint.weights.items()}
    for name in sorted(expected.keys() | got.keys()):
        if expected.get(name) != got.get(name):
            raise CheckpointError(
                f"checkpoint weight {name}: expected shape {expected.get(name, 'none')}, "
                f"got {got.get(name, 'none')}"
            )
    student.load_state_dict(checkpoint.weights)
    return student


def build_clip(config: TeacherConfig) -> LoadedClip:
    """The CLIP that is configured; OpenAI's weights where it brings none and none are named."""
    pretrained = config.pretrained or ("" if brings_weights(config.model) else "openai")
    device = choose_device(config.device)
    return load_clip(config.model, pretrained, device=device, dtype=PRECISIONS[config.precision])


def build_dense_clip(config: TeacherConfig) -> tuple[LoadedClip, DenseClip]:
    """The CLIP that is configured, for its text, and the dense one made of it."""
    clip = build_clip(config)
    height, window = config.height_px, config.window_px
    dense = DenseClip(
        clip,
        mode=config.mode,
        height_px=(2 * clip.image_size[0] if height < 0 else height) or None,
        window_px=(side_in_patches(clip) if window < 0 else window) or None,
        stride_px=(config.stride_px or None) if window else None,
        compile=config.compile,
    )
    return clip, dense


def build_teacher(config: TeacherConfig, label_set: LabelSet, progress: Progress = silent) -> FrozenTeacher:
    """The teacher with a vocabulary; embeddings of its phrases are kept on the disk of the user.

    `progress` is told of the phrases that have to be embedded. Cosines become classes at the temperature that
    this CLIP was trained with.
    """
    clip, dense = build_dense_clip(config)
    text = embed_phrases(clip, config, as_asked(label_set, config).phrases, progress)
    refinement = Refinement(
        temperature=softmax_temperature(clip.model), denoising=config.denoising, smoothing=config.smoothing
    )
    return FrozenTeacher(dense=dense, text=text, refinement=refinement)


def embed_phrases(
    clip: LoadedClip,
    config: TeacherConfig,
    phrases_by_class: Sequence[Sequence[str]],
    progress: Progress = silent,
) -> TextEmbeddings:
    """The phrases of classes, or their means, as `config` asks `clip` for them; kept on the user's disk."""
    text = embed_text(
        clip,
        phrases_by_class,
        templates=config.templates,
        cache_dir=default_cache_dir(),
        progress=progress,
    )
    return text.averaged() if config.phrases == "mean" else text


def teacher_record(config: TeacherConfig, identity: Mapping[str, str]) -> dict[str, str]:
    """What a checkpoint keeps of the CLIP of its words: which one it is, where it was, how it is asked."""
    asked = {"model": config.model, "pretrained": config.pretrained, "templates": config.templates}
    return {**identity, **asked}


def check_joint_space(config: StudentConfig, dim: int, clip: str) -> None:
    """Raises ConfigError where the embeddings of a student are not of the size of those of a CLIP."""
    if config.embedding_dim != dim:
        raise ConfigError(
            f"student.embedding_dim expected {dim}, the joint space of {clip}, got {config.embedding_dim}"
        )


def as_asked(label_set: LabelSet, config: TeacherConfig) -> LabelSet:
    """The vocabulary with the phrases that `config` asks CLIP for."""
    if config.phrases not in ("first", "name"):
        return label_set
    classes = tuple(
        replace(c, phrases=(c.name if config.phrases == "name" else c.phrases[0],)) for c in label_set.classes
    )
    return replace(label_set, classes=classes)


def orthonormal_embeddings(classes: int, dim: int, *, seed: int) -> Tensor:
    """(C, D) float32 unit vectors at right angles: stand-ins for text embeddings where no CLIP is at hand."""
    if classes > dim:
        raise ConfigError(f"student.embedding_dim = {dim} cannot hold {classes} classes at right angles")
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(dim, classes, generator=generator))
    return basis.T.contiguous()


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one; raises ConfigError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device must be auto, cpu or cuda, got '{name}'") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda, got '{name}'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count() or "no"
        raise ConfigError(f"device {name} was asked for, but torch sees {found} CUDA devices; use device=cpu")
    return device
