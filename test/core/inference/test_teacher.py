"""The teacher with a vocabulary, on a tiny CLIP whose weights mean nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clip2scene_core.cameras import Camera
from clip2scene_core.clip.dense import DenseClip
from clip2scene_core.clip.weights import load_clip
from clip2scene_core.config import TeacherConfig
from clip2scene_core.geometry import SE3
from clip2scene_core.inference.labelled import LabelledSource
from clip2scene_core.inference.teacher import Teacher
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import CameraImage

pytest.importorskip("open_clip", reason="open_clip is not installed: pip install 'clip2scene_ros[clip]'")

WORDS = LabelSet.from_words("road, car|van, tram, tree")
CAMERA = Camera(width=40, height=24, matrix=np.array([[20.0, 0, 20], [0, 20.0, 12], [0, 0, 1]]))
FORWARD = SE3.from_rotation_translation(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.zeros(3))


@pytest.fixture
def config(clip_folder, tmp_path, monkeypatch):
    """A teacher that is shown images as they are and keeps its words in an empty folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return TeacherConfig(
        model=f"local-dir:{clip_folder}", templates="none", height_px=0, window_px=0, device="cpu"
    )


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


def test_a_pixel_has_the_class_whose_phrase_is_nearest(config, rgb):
    """At the centre of a patch no other one takes part: the class is that of open_clip's own cosine."""
    ids = Teacher(config, WORDS).label_pixels(rgb)
    assert (ids.shape, ids.dtype) == ((24, 40), np.uint16)
    clip = load_clip(config.model)
    patch = DenseClip(clip)(rgb[None]).features[0, :, 1, 2]
    text = clip.model.encode_text(clip.tokenizer(["road", "car", "van", "tram", "tree"]), normalize=True)
    nearest = int((text @ patch).argmax())
    expected = WORDS.classes[(0, 1, 1, 2, 3)[nearest]].id
    assert {int(ids[y, x]) for y in (11, 12) for x in (19, 20)} == {expected}


def test_points_have_the_class_of_their_pixel_and_others_none(config, rgb, make_frame, frame_list):
    xyz = [[10, 0.0, 0.0], [10, 4.0, -2.0], [-10, 0, 0], [np.nan] * 3]
    image = CameraImage(rgb=rgb, camera=CAMERA, stamp_ns=0, frame_id="front")
    frame = make_frame(xyz, images={"front": image}, world_from_camera={"front": FORWARD})
    teacher = Teacher(config, WORDS)
    labelled = LabelledSource(frame_list([frame], None), teacher)[0].labels
    ids = teacher.label_pixels(rgb)
    assert labelled.class_id.tolist() == [ids[12, 20], ids[16, 12], 0, 0]
    assert (labelled.probability[:2] > 0).all() and (labelled.probability[2:] == 0).all()


def test_words_are_kept_for_the_next_time(config, tmp_path):
    told = []
    for _ in range(2):
        Teacher(config, WORDS, lambda done, total: told.append((done, total)))
    assert told == [(5, 5)]
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 5


def test_smoothing_gets_the_keys_that_it_needs(config, rgb):
    smoothed = Teacher(replace(config, smoothing=1.0), WORDS).label_pixels(rgb)
    assert len(np.unique(smoothed)) <= len(np.unique(Teacher(config, WORDS).label_pixels(rgb)))


@pytest.mark.parametrize(
    ("phrases", "asked"),
    [("best", ["way", "street", "car"]), ("first", ["way", "car"]), ("name", ["road", "car"])],
)
def test_it_is_asked_for_the_phrases_that_are_wanted(config, tmp_path, rgb, phrases, asked):
    words = LabelSet.from_words({"road": ["way", "street"], "car": "car"})
    ids = Teacher(replace(config, phrases=phrases), words).label_pixels(rgb)
    clip = load_clip(config.model)
    text = clip.model.encode_text(clip.tokenizer(asked), normalize=True)
    patch = DenseClip(clip)(rgb[None]).features[0, :, 1, 2]
    nearest = int((text @ patch).argmax())
    assert ids[11, 19] == words.classes[nearest == len(asked) - 1].id
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == len(asked)
