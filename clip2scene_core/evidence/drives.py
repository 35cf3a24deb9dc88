"""What the evidence is drawn from: drives to learn from, and drives through other towns to be judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from clip2scene_core.build import build_dense_clip
from clip2scene_core.clip.feature_cache import fill_cache
from clip2scene_core.clip.views import see
from clip2scene_core.config import EvidenceConfig, PretrainConfig, TeacherConfig
from clip2scene_core.data import open_source
from clip2scene_core.data.drives import write_bags
from clip2scene_core.data.source import FrameSource
from clip2scene_core.errors import DataError
from clip2scene_core.inference.teacher import Teacher
from clip2scene_core.progress import Progress
from clip2scene_core.simulation.rigs import parse_size
from clip2scene_core.training.pretrain import label_set
from clip2scene_core.writing import whole_file

TRAINING, HELD_OUT = "training", "held_out"
HELD_OUT_SEED = 500_000
"""Nothing learns from towns of this seed and those after it."""


def write_drives(config: EvidenceConfig, folder: Path, part: str, *, progress: Progress) -> None:
    """The bags of one part; those that exist are left."""
    drives = config.drives
    first, count = (
        (drives.first_seed, drives.training) if part == TRAINING else (HELD_OUT_SEED, drives.held_out)
    )
    settings = {
        "frames": drives.frames,
        "lidar": drives.lidar,
        "cameras": drives.cameras,
        "image_size": parse_size(drives.size),
        "lens": "pinhole",
        "style": None,
    }
    write_bags(
        folder / part, range(first, first + count), settings, workers=config.workers, progress=progress
    )


def open_drives(folder: Path, part: str, *, sweeps: int = 0) -> FrameSource:
    """The bags of one part as one source; each frame comes with so many earlier scans."""
    return open_source("rosbag", folder / part, sweeps=sweeps)


def features_folder(folder: Path, teacher: TeacherConfig) -> Path:
    """Where the features of a teacher are kept: rows differ in its mode only."""
    return folder / "features" / teacher.mode


def keep_features(teacher: TeacherConfig, source: FrameSource, folder: Path, *, progress: Progress) -> None:
    """Fills the feature cache of a teacher."""
    _, dense = build_dense_clip(teacher)
    keys = teacher.smoothing > 0
    key = dense.identity | {"keys": str(keys), "cameras": ", ".join(source.camera_names)}
    report = fill_cache(folder, source, lambda images: see(dense, images, keys=keys), key, progress=progress)
    if report.skipped:
        name, why = next(iter(report.skipped.items()))
        raise DataError(f"{folder}: {name} has no features: {why}")


def keep_projected_labels(
    config: PretrainConfig, source: FrameSource, path: Path, *, progress: Progress
) -> None:
    """Writes what the teacher calls the points that a camera sees, frame by frame; see projected_labels."""
    if path.exists():
        return
    teacher = Teacher(config.teacher, label_set(config))
    class_id = []
    for index in range(len(source)):
        class_id.append(teacher.segment(source[index]).class_id)
        progress(index + 1)
    with whole_file(path) as temporary:
        np.savez(temporary, *class_id)


def projected_labels(path: Path) -> list[np.ndarray]:
    """(N,) uint16 class ids of each frame, the ignore id where no camera sees the point."""
    with np.load(path, allow_pickle=False) as content:
        return [content[name] for name in content.files]


def share_threads(workers: int) -> None:
    """Leaves each of the workers its part of the cores."""
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
