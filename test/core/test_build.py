"""Settings to networks, devices and embeddings."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from clip2scene_core.build import (
    as_asked,
    build_dense_clip,
    build_student,
    choose_device,
    orthonormal_embeddings,
)
from clip2scene_core.clip import weights
from clip2scene_core.config import StudentConfig, TeacherConfig
from clip2scene_core.data.batch import collate
from clip2scene_core.errors import ConfigError
from clip2scene_core.labels import LabelSet
from clip2scene_core.voxels import FEATURES, voxelise


@pytest.mark.parametrize("architecture", ["minkunet", "spvcnn"])
@pytest.mark.parametrize(
    ("intensity", "colour"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_the_student_takes_what_voxelise_gives(intensity, colour, architecture):
    config = StudentConfig(
        architecture=architecture,
        variant=14,
        width=0.05,
        embedding_dim=7,
        intensity=intensity,
        colour=colour,
    )
    student = build_student(config, engine="torch").eval()
    xyz = np.random.default_rng(0).uniform(-5, 5, (50, 3)).astype(np.float32)
    voxels = voxelise(
        xyz,
        size_m=0.5,
        range_m=9,
        intensity=np.ones(50, np.float32) if intensity else None,
        rgb=np.ones((50, 3), np.uint8) if colour else None,
    )
    assert voxels.features.shape[1] == len(FEATURES) + intensity + 3 * colour
    rows = {"minkunet": len(voxels.coordinates), "spvcnn": 50}[architecture]
    assert student(collate([voxels])).semantic.shape == (rows, 7)


def test_the_settings_reach_the_student():
    def weights(**settings):
        return sum(p.numel() for p in build_student(StudentConfig(**settings), engine="torch").parameters())

    small = weights(variant=14, width=0.25, embedding_dim=8)
    assert weights(variant=18, width=0.25, embedding_dim=8) > small
    assert weights(variant="14A", width=0.25, embedding_dim=8) < small
    assert weights(variant=14, width=0.5, embedding_dim=8) > 3 * small
    assert weights(variant=14, width=0.25, embedding_dim=9) == small + 2 * (24 + 1), (
        "two heads of 24 channels"
    )


@pytest.mark.parametrize(
    ("setting", "value"), [("variant", "17"), ("engine", "magic"), ("architecture", "magic")]
)
def test_students_that_do_not_exist(setting, value):
    settings = {"variant": 14, "engine": "torch", "architecture": "minkunet"} | {setting: value}
    engine = settings.pop("engine")
    with pytest.raises(ConfigError, match=f"unknown .*{setting}.* '{value}'; expected one of"):
        build_student(StudentConfig(**settings), engine=engine)


@pytest.mark.parametrize(("classes", "dim"), [(1, 1), (11, 11), (11, 64)])
def test_stand_ins_for_text_are_unit_vectors_at_right_angles(classes, dim):
    text = orthonormal_embeddings(classes, dim, seed=3)
    torch.testing.assert_close(text @ text.T, torch.eye(classes))
    assert torch.equal(text, orthonormal_embeddings(classes, dim, seed=3))
    assert not torch.equal(text, orthonormal_embeddings(classes, dim, seed=4)) or dim == 1


def test_more_classes_than_right_angles():
    with pytest.raises(ConfigError, match=r"student\.embedding_dim = 4 cannot hold 5 classes"):
        orthonormal_embeddings(5, 4, seed=0)


@pytest.fixture
def cuda_devices(monkeypatch):
    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


def test_auto_is_the_gpu_where_there_is_one(cuda_devices):
    cuda_devices(0)
    assert choose_device("auto") == torch.device("cpu")
    cuda_devices(2)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize(("name", "devices"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_gpu_that_is_not_there(name, devices, cuda_devices):
    cuda_devices(devices)
    with pytest.raises(ConfigError, match=f"device {name} was asked for, but torch sees"):
        choose_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cuda:x"])
def test_devices_that_do_not_exist(name):
    with pytest.raises(ConfigError, match=f"device must be auto, cpu or cuda, got '{name}'"):
        choose_device(name)


@pytest.fixture
def shipped_clip(clip_folder, monkeypatch, tmp_path):
    """The tiny CLIP of the tests in place of that of the package; it was made for 32 pixels."""
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    (tmp_path / "street-clip-tiny").symlink_to(clip_folder)


@pytest.mark.parametrize(
    ("settings", "height_px", "window_px", "stride_px"),
    [
        ({}, "64", "32", "16"),
        ({"stride_px": 8}, "64", "32", "8"),
        ({"height_px": 0}, "None", "32", "16"),
        ({"height_px": 48, "window_px": 24}, "48", "24", "8"),
        ({"height_px": 0, "window_px": 0, "stride_px": 8}, "None", "0", "0"),
    ],
)
def test_how_images_are_seen_follows_the_model_and_is_part_of_its_identity(
    settings, height_px, window_px, stride_px, shipped_clip
):
    _, dense = build_dense_clip(TeacherConfig(model="street-clip-tiny", device="cpu", **settings))
    found = {name: dense.identity[name] for name in ("clip", "height_px", "window_px", "stride_px")}
    assert found == {
        "clip": "street-clip-tiny",
        "height_px": height_px,
        "window_px": window_px,
        "stride_px": stride_px,
    }


def test_the_window_is_of_whole_patches(clip_folder, tmp_path):
    """As with SO400M-14-SigLIP-384, whose side is no multiple of its patch."""
    content = json.loads((clip_folder / "open_clip_config.json").read_text())
    content["model_cfg"]["vision_cfg"]["image_size"] = 36
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    (tmp_path / "open_clip_model.safetensors").symlink_to(clip_folder / "open_clip_model.safetensors")
    _, dense = build_dense_clip(TeacherConfig(model=f"local-dir:{tmp_path}", device="cpu"))
    assert (dense.identity["height_px"], dense.identity["window_px"]) == ("72", "32")


@pytest.mark.parametrize(
    ("phrases", "asked"),
    [
        ("best", (("way", "street"), ("car",))),
        ("mean", (("way", "street"), ("car",))),
        ("first", (("way",), ("car",))),
        ("name", (("road",), ("auto",))),
    ],
)
def test_a_vocabulary_has_the_phrases_that_the_teacher_is_asked_for(phrases, asked):
    words = LabelSet.from_words({"road": ["way", "street"], "auto": "car"})
    vocabulary = as_asked(words, TeacherConfig(phrases=phrases))
    assert vocabulary.phrases == asked
    assert (vocabulary.names, vocabulary.ids.tolist()) == (words.names, words.ids.tolist())
