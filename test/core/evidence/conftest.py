"""Evidence so small that a test can afford it: two frames to learn from, and a random CLIP that sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip2scene_core.cameras import Camera
from clip2scene_core.config import EvidenceConfig, from_dict
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import CameraImage, Frame

MICRO = {
    "drives": {
        "training": 1,
        "held_out": 1,
        "frames": 2,
        "stride": 2,
        "lidar": "VLP-16",
        "cameras": "kitti",
        "size": "96x48",
        "training_seed": 2,
        "held_out_seed": 4,
    },
    "pretrain": {
        "student": {"width": 0.05, "voxel_m": 0.5, "range_m": 40.0, "embedding_dim": 24},
        "teacher": {
            "templates": "none",
            "height_px": 48,
            "window_px": 32,
        },
        "pairing": {"sweeps": 2, "sweep_window": 1, "max_pairs": 300, "crop": {"tries": 0}},
        "training": {"epochs": 2.0, "batch": 2, "optimizer": "adamw", "loaders": 0, "device": "cpu"},
    },
    "inference": {"device": "cpu", "engine": "torch"},
    "rows": ["full", "semantic_only", "teacher"],
    "seeds": 1,
    "least_points": 20,
}


@pytest.fixture(scope="session")
def micro(clip_folder: Path) -> EvidenceConfig:
    """Its settings."""
    pytest.importorskip("lightning", reason="lightning is not installed: clip2scene_ros[train]")
    config = from_dict(EvidenceConfig, MICRO)
    teacher = replace(config.pretrain.teacher, model=f"local-dir:{clip_folder}")
    return replace(config, pretrain=replace(config.pretrain, teacher=teacher))


@pytest.fixture(scope="module")
def text_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where embeddings of words go instead of the user's folder."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture
def seeing_frame(make_frame: Callable[..., Frame]) -> Frame:
    """A camera looks along x: 81 points of a car, one of a car behind that, one of a car behind the camera,
    and one of the road beside."""
    town = LabelSet.named("town")
    side = [[10.0, y, z] for y in np.linspace(-1, 1, 9) for z in np.linspace(-1, 1, 9)]
    xyz = [*side, [20.0, 0, 0], [-10.0, 0, 0], [10.0, 4.0, -2.0]]
    car, road = town.id_of("car"), town.id_of("road")
    camera = Camera(width=64, height=48, matrix=np.array([[30.0, 0, 32], [0, 30, 24], [0, 0, 1]]))
    axes = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    rgb = np.zeros((48, 64, 3), np.uint8)
    return make_frame(
        xyz,
        [car] * 83 + [road],
        images={"front": CameraImage(rgb=rgb, camera=camera, stamp_ns=0, frame_id="camera")},
        world_from_camera={"front": SE3.from_rotation_translation(axes, np.zeros(3))},
    )
