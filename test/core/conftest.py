"""A student so small that a test can afford it, recordings in memory only, and the way to real ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clip2scene_core.build import build_student
from clip2scene_core.checkpoint import Checkpoint
from clip2scene_core.config import StudentConfig
from clip2scene_core.data.batch import collate
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation.town import Town
from clip2scene_core.types import Frame, LidarScan, SemanticLabels
from clip2scene_core.voxels import voxelise

torch.set_num_threads(1)  # networks of a few channels: threads would only wait for each other


@pytest.fixture
def real_recordings() -> Path:
    """Folder of real recordings; tests that need it are skipped where it is absent."""
    default = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("CLIP2SCENE_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real recordings: {folder} does not exist; set CLIP2SCENE_DATA")
    return folder


@pytest.fixture(scope="session")
def village() -> Town:
    """60 m of a village, built once; the cars of seeds 2 and 4 drive there."""
    return Town.generate(3, "village", extent_m=30.0, duration_s=5.0)


@pytest.fixture(scope="module")
def small_towns(village: Town) -> Iterator[None]:
    """The town of every seed is the village, since one of the usual size takes seconds."""
    scene = village.scene()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Town, "generate", staticmethod(lambda *arguments, **settings: village))
        patch.setattr(Town, "scene", lambda town: scene)
        yield


class FrameList:
    """A FrameSource over frames in memory."""

    camera_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __init__(self, frames: Sequence[Frame], label_set: LabelSet | None) -> None:
        self.frames = frames
        self.label_set = label_set

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[index]

    def mounting(self, index: int) -> Mapping[str, SE3]:
        return {"lidar": SE3.identity()}


@pytest.fixture
def frame_list() -> type[FrameList]:
    """Makes a FrameSource of frames and the label set of their labels."""
    return FrameList


@pytest.fixture
def make_frame() -> Callable[..., Frame]:
    """Makes a frame of points (N, 3), and class ids where given; other fields by name."""

    def make(xyz: np.ndarray, class_id: np.ndarray | None = None, **fields) -> Frame:
        scan = LidarScan(xyz=np.asarray(xyz, np.float32).reshape(-1, 3), stamp_ns=0, frame_id="lidar")
        labels = None if class_id is None else SemanticLabels(class_id=np.asarray(class_id, np.uint16))
        return Frame(**{"scan": scan, "world_from_lidar": SE3.identity(), "labels": labels} | fields)

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Checkpoint:
    """A random MinkUNet of 8 channels a layer with the vocabulary `street`, two phrases a class."""
    return random_checkpoint("minkunet")


@pytest.fixture(scope="session")
def tiny_point_checkpoint() -> Checkpoint:
    """The same with an SPVCNN, which answers for points."""
    return random_checkpoint("spvcnn")


def random_checkpoint(architecture: str) -> Checkpoint:
    """Its features vary around zero, so that it answers with several classes whatever the seed."""
    torch.manual_seed(0)
    label_set = LabelSet.named("street")
    classes = len(label_set.classes)
    config = StudentConfig(architecture=architecture, variant=14, width=0.05, embedding_dim=24, voxel_m=0.5)
    student = build_student(config, engine="torch")
    xyz = np.random.default_rng(0).uniform((-12, -12, -2), (12, 12, 2), (600, 3)).astype(np.float32)
    voxels = collate([voxelise(xyz, size_m=0.5, range_m=50.0)])
    for module in student.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0  # one pass is enough for running statistics
    with torch.no_grad():
        student(voxels)
        student.heads.semantic.bias -= student.eval()(voxels).semantic.mean(dim=0)
    return Checkpoint(
        student=config,
        label_set=replace(label_set, maps={}),
        text_embeddings=torch.nn.functional.normalize(torch.randn(2 * classes, 24), dim=1),
        phrase_class=tuple(range(classes)) * 2,
        teacher="none: a test",
        training={"steps": 0},
        weights=student.state_dict(),
    )
