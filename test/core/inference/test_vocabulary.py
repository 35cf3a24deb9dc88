"""A student that a tiny CLIP taught is asked in other words; what these are is compared with open_clip."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.clip.weights import load_clip
from clip2scene_core.config import InferenceConfig
from clip2scene_core.errors import CheckpointError, ConfigError, MissingExtraError
from clip2scene_core.inference import SemanticSegmenter
from clip2scene_core.inference.vocabulary import asked_for, embed_new, new_phrases, reworded
from clip2scene_core.labels import LabelSet

OWN = LabelSet.from_words("road, car|van, tree, Traffic_sign", name="mine")
PHRASES = ["road", "car", "van", "tree", "traffic sign"]
CPU = InferenceConfig(device="cpu", engine="torch")


@pytest.fixture(scope="module")
def clip(clip_folder):
    return load_clip(f"local-dir:{clip_folder}")


def encoded(clip, *sentences: str) -> torch.Tensor:
    return clip.model.encode_text(clip.tokenizer(list(sentences)), normalize=True).detach()


@pytest.fixture
def taught(clip, clip_folder, tiny_checkpoint, tmp_path, monkeypatch):
    """The random student with words of the tiny CLIP, which was asked `seen: road`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = {"model": f"local-dir:{clip_folder}", "pretrained": "", "templates": "seen: {}"}
    return replace(
        tiny_checkpoint,
        label_set=OWN,
        text_embeddings=encoded(clip, *(f"seen: {phrase}" for phrase in PHRASES)),
        phrase_class=(0, 1, 1, 2, 3),
        teacher=clip.name,
        training={"teacher": {**clip.identity, **asked}},
    )


@pytest.fixture
def without_clip(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)


def rows(checkpoint, words, clip=None):
    """What is compared with: embeddings by class name."""
    label_set = asked_for(checkpoint, words)
    embedded = embed_new(checkpoint, new, CPU) if (new := new_phrases(checkpoint, label_set)) else {}
    made = reworded(checkpoint, label_set, embedded)
    assert made.weights is checkpoint.weights
    return {
        name: made.text_embeddings[[of == c for of in made.phrase_class]]
        for c, name in enumerate(made.label_set.names)
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tree, road", {"tree": [3], "road": [0]}),
        ("CAR, traffic sign", {"car": [1, 2], "traffic sign": [4]}),
        ("van", {"van": [2]}),
        ("car, van", {"car": [1], "van": [2]}),
        ("van|tree|road", {"van": [2, 3, 0]}),
    ],
)
def test_words_of_the_checkpoint_need_no_clip(words, expected, taught, without_clip):
    found = rows(taught, words)
    assert {name.lower(): taught.text_embeddings[which].tolist() for name, which in expected.items()} == {
        name.lower(): tensor.tolist() for name, tensor in found.items()
    }


def test_only_phrases_that_are_not_there_are_embedded(taught):
    label_set = asked_for(taught, "vehicle|car, nature|tree|vehicle parts, road")
    assert new_phrases(taught, label_set) == ("vehicle", "nature", "vehicle parts")


def test_classes_of_the_checkpoint_keep_ids_and_colours_and_new_ones_count_from_one(taught):
    by_name = {c.name: c for c in OWN.classes}
    assert asked_for(taught, "tree, car").classes == (by_name["tree"], by_name["car"])
    mixed = asked_for(taught, ["tram|streetcar", "car"])
    assert [(c.id, c.name, c.phrases) for c in mixed.classes] == [
        (1, "tram", ("tram", "streetcar")),
        (2, "car", ("car", "van")),
    ]
    assert mixed.classes[1].colour == by_name["car"].colour


def test_new_words_are_those_of_open_clip_asked_as_in_training(taught, clip):
    found = rows(taught, "tram|streetcar, car|lorry")
    torch.testing.assert_close(
        found["tram"], encoded(clip, "seen: tram", "seen: streetcar"), rtol=0, atol=1e-5
    )
    assert torch.equal(found["car"][0], taught.text_embeddings[1]), "that of the checkpoint"
    torch.testing.assert_close(found["car"][1:], encoded(clip, "seen: lorry"), rtol=0, atol=1e-5)


def test_points_are_named_by_the_nearest_new_word(taught, clip, make_frame):
    """A student that answers the same for every point: what it says is nearest to one of the words."""
    words = ["tram", "bicycle", "sky"]
    text = encoded(clip, *(f"seen: {word}" for word in words))
    frame = make_frame([[3.0, 1.0, -1.5], [5.0, 1.0, 1.5]])
    for nearest in range(3):
        answer = F.normalize(text[nearest] + 0.3 * text.mean(dim=0), dim=0)
        weights = dict(taught.weights)
        weights["heads.semantic.weight"] = torch.zeros_like(weights["heads.semantic.weight"])
        weights["heads.semantic.bias"] = answer
        whole = SemanticSegmenter(replace(taught, weights=weights), CPU)
        assert whole.needs_clip(words) and not whole.needs_clip("road, van")
        asked = whole.with_words(words)
        assert asked.label_set.names == tuple(words)
        assert asked.segment(frame).class_id.tolist() == [nearest + 1] * 2
        assert whole.label_set is OWN and set(whole.segment(frame).class_id) <= set(OWN.ids)


def test_a_label_set_is_taken_as_it_is(taught, tmp_path):
    path = tmp_path / "mine.safetensors"
    checkpoints.save(taught, path)
    vocabulary = tmp_path / "vocabulary.yaml"
    vocabulary.write_text("car: [lorry, van]\nplant: [tree]\n")
    config = replace(CPU, label_set=str(vocabulary))
    segmenter = SemanticSegmenter.from_checkpoint(path, config=config)
    assert segmenter.label_set.phrases == (("lorry", "van"), ("tree",))
    assert segmenter.with_words(["plant"]).label_set.names == ("plant",)


def test_the_mean_of_phrases_stands_for_none_of_them(taught):
    """As with teacher.phrases=mean: one row for car and van, which are asked for together or not at all."""
    mean = replace(taught, text_embeddings=taught.text_embeddings[[0, 1, 3, 4]], phrase_class=(0, 1, 2, 3))
    assert rows(mean, "car, tree")["car"].tolist() == taught.text_embeddings[[1]].tolist()
    assert new_phrases(mean, asked_for(mean, "van, tree")) == ("van",)


def test_a_checkpoint_that_no_clip_taught_has_its_own_words_only(tiny_checkpoint):
    whole = SemanticSegmenter(tiny_checkpoint, CPU)
    assert whole.with_label_set(tiny_checkpoint.label_set).label_set.names == whole.label_set.names
    for ask in (whole.needs_clip, whole.with_words):
        with pytest.raises(ConfigError, match=r"^'tram' is not in the checkpoint, and no CLIP taught it"):
            ask("car, tram")


def test_a_clip_with_other_weights_is_refused(taught, clip):
    other = replace(taught, training={"teacher": {**taught.taught_by, "weights": "f" * 64}})
    message = (
        f"'tram' needs {clip.name}, the CLIP that taught the checkpoint: weights expected ffffffffffff, got "
        f"{clip.weights_hash[:12]} of {clip.name}; say where it is now by model and pretrained"
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        SemanticSegmenter(other, CPU).with_words("tram")


def test_a_clip_that_has_moved_is_found_where_the_user_says(taught, clip, clip_folder):
    moved = replace(taught, training={"teacher": {**taught.taught_by, "model": "local-dir:/nowhere"}})
    with pytest.raises(
        CheckpointError, match=r"^'tram' needs .*/nowhere holds no .*; say where it is now by"
    ):
        SemanticSegmenter(moved, CPU).with_words("tram")
    config = replace(CPU, model=f"local-dir:{clip_folder}")
    assert SemanticSegmenter(moved, config).with_words("tram").label_set.names == ("tram",)


def test_without_open_clip_the_extra_is_named(taught, without_clip):
    with pytest.raises(MissingExtraError, match=r"clip2scene_ros\[clip\]"):
        SemanticSegmenter(taught, CPU).with_words("tram")
