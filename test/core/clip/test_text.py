"""Text embeddings against open_clip's own builder, and the files that keep them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from clip2scene_core.clip.templates import prompt_templates
from clip2scene_core.clip.text import TextEmbeddings, default_cache_dir, embed_text
from clip2scene_core.clip.weights import LoadedClip
from clip2scene_core.errors import ConfigError

open_clip = pytest.importorskip("open_clip")

STREET = [["road"], ["car", "sport utility vehicle"], ["traffic cone"]]
VISION = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16}
TEXT = {"width": 64, "heads": 2, "layers": 2}
TOKENIZER = open_clip.SimpleTokenizer()


def openai() -> nn.Module:
    return open_clip.CLIP(16, VISION, {**TEXT, "context_length": 77})


def siglip() -> nn.Module:
    """All tokens see each other, and the last one is read, be it padding or not."""
    text = {**TEXT, "context_length": 64, "no_causal_mask": True, "pool_type": "last", "proj_bias": True}
    return open_clip.CustomTextCLIP(16, VISION, text)


def loaded(make: Callable[[], nn.Module]) -> LoadedClip:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval().requires_grad_(False)
    length = 64 if make is siglip else 77
    return LoadedClip(
        model=model,
        tokenizer=lambda texts: TOKENIZER(list(texts), context_length=length),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        image_size=(32, 32),
        name=f"{make.__name__}/random",
        weights_hash="0" * 64,
    )


@pytest.fixture(scope="module")
def clip() -> LoadedClip:
    return loaded(openai)


@pytest.fixture
def calls(clip: LoadedClip) -> list[int]:
    """How many texts each call of the text encoder got."""
    counts: list[int] = []
    text_encoder = clip.model.transformer
    hook = text_encoder.register_forward_hook(lambda module, inputs, output: counts.append(len(inputs[0])))
    yield counts
    hook.remove()


def by_open_clip(clip: LoadedClip, templates: Sequence[str]) -> torch.Tensor:
    words = [phrase for phrases in STREET for phrase in phrases]
    return open_clip.build_zero_shot_classifier(clip.model, clip.tokenizer, words, templates).T


@pytest.mark.parametrize("make", [openai, siglip])
def test_embeddings_are_those_of_open_clip(make: Callable[[], nn.Module]) -> None:
    clip = loaded(make)
    five = [*open_clip.OPENAI_IMAGENET_TEMPLATES[:4], lambda word: f"there is a {word} in the scene."]
    sentences = [make_sentence("{}") for make_sentence in five]
    text = embed_text(clip, STREET, templates=sentences)
    torch.testing.assert_close(text.embeddings, by_open_clip(clip, sentences), rtol=0, atol=1e-6)
    assert (text.phrase_class.tolist(), text.num_classes) == ([0, 1, 1, 2], 3)


def test_all_85_templates_give_what_open_clip_gives_with_them(clip: LoadedClip) -> None:
    text = embed_text(clip, STREET)
    assert text.embeddings.dtype == torch.float32
    torch.testing.assert_close(
        text.embeddings, by_open_clip(clip, prompt_templates("full")), rtol=0, atol=1e-6
    )


def test_a_text_that_fills_the_context_is_embedded_too(clip: LoadedClip) -> None:
    long = "very " * 100 + "long road"
    text = embed_text(clip, [[long], ["road"]], templates="none")
    expected = clip.model.encode_text(clip.tokenizer([long, "road"]), normalize=True)
    torch.testing.assert_close(text.embeddings, expected, rtol=0, atol=1e-6)


def test_averaging_leaves_one_embedding_a_class() -> None:
    """Of a quarter turn the half; a class without phrases stays without."""
    text = TextEmbeddings(
        embeddings=torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]),
        phrase_class=torch.tensor([2, 2, 0]),
        num_classes=3,
    )
    mean = text.averaged()
    half = 0.5**0.5
    torch.testing.assert_close(mean.embeddings, torch.tensor([[0.0, -1.0], [half, half]]))
    assert (mean.phrase_class.tolist(), mean.num_classes) == ([0, 2], 3)


def test_what_was_embedded_once_is_read_from_disk(clip: LoadedClip, calls: list[int], tmp_path: Path) -> None:
    first = embed_text(clip, STREET, templates="simple", cache_dir=tmp_path / "new" / "text")
    assert sum(calls) == 4
    told: list[tuple[int, int]] = []
    again = embed_text(
        clip,
        [["tram", "road"], ["traffic cone"]],
        templates="simple",
        cache_dir=tmp_path / "new" / "text",
        progress=lambda done, total: told.append((done, total)),
    )
    assert sum(calls) == 5 and told == [(1, 1)]
    assert torch.equal(again.embeddings[1:], first.embeddings[[0, 3]])
    assert again.phrase_class.tolist() == [0, 0, 1]


@pytest.mark.parametrize("other", ["weights", "name", "templates", "precision"])
def test_whatever_changes_an_embedding_is_embedded_anew(
    clip: LoadedClip, calls: list[int], tmp_path: Path, other: str
) -> None:
    embed_text(clip, STREET, templates="simple", cache_dir=tmp_path)
    calls.clear()
    match other:
        case "weights":
            changed = replace(clip, weights_hash="1" * 64)
        case "name":
            changed = replace(clip, name="another")
        case "precision":
            changed = replace(clip, model=loaded(openai).model.double())
        case "templates":
            changed = clip
    embed_text(changed, STREET, templates="none" if other == "templates" else "simple", cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 8
    assert sum(calls) == (0 if other == "precision" else 4)  # which has a model of its own


@pytest.mark.parametrize("damage", ["empty", "cut", "zeroed", "another", "folder"])
def test_a_damaged_file_is_embedded_anew(
    clip: LoadedClip, calls: list[int], tmp_path: Path, damage: str
) -> None:
    whole = embed_text(clip, [["road"]], templates="simple", cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        replacement = {
            "empty": b"",
            "cut": content[:-5],
            "zeroed": content[:-32] + bytes(32),
            "another": content.replace(b"embedding", b"embeddinG"),
        }
        file.write_bytes(replacement[damage])
    for _ in range(2):
        again = embed_text(clip, [["road"]], templates="simple", cache_dir=tmp_path)
        assert torch.equal(again.embeddings, whole.embeddings)
    assert sum(calls) == (3 if damage == "folder" else 2)  # a folder is in the way for good


def test_a_place_that_cannot_be_written_to_costs_time_only(
    clip: LoadedClip, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    text = embed_text(clip, STREET, templates="simple", cache_dir=tmp_path / "file" / "text")
    assert torch.equal(text.embeddings, embed_text(clip, STREET, templates="simple").embeddings)
    (message,) = caplog.messages
    assert message.startswith("text embeddings cannot be kept, they will be computed again: ")


def test_progress_tells_how_many_phrases_are_done(
    clip: LoadedClip, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clip2scene_core.clip.text.PROMPTS", 4)
    told: list[tuple[int, int]] = []
    embed_text(
        clip,
        [["a", "b", "c"], ["d", "e"]],
        templates=["{}", "one {}"],
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert calls == [4, 4, 2]


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("/var/cache", "/var/cache/clip2scene/text"), ("relative", None), ("", None), (None, None)],
)
def test_the_cache_lies_where_the_user_keeps_caches(
    variable: str | None, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The XDG Base Directory Specification: a path that is not absolute is to be ignored."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if variable is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", variable)
    assert str(default_cache_dir()) == (expected or "/home/someone/.cache/clip2scene/text")


def test_the_full_set_of_templates_are_those_of_imagenet_and_of_scenes() -> None:
    full = prompt_templates("full")
    assert len(set(full)) == len(full) == 85
    words = [sentence.replace("{}", "car") for sentence in full]
    assert words[:80] == [fill("car") for fill in open_clip.OPENAI_IMAGENET_TEMPLATES]
    assert words[80:] == [
        "there is a car in the scene.",
        "there is the car in the scene.",
        "this is a car in the scene.",
        "this is the car in the scene.",
        "this is one car in the scene.",
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("simple", ("a photo of a {}.",)),
        ("none", ("{}",)),
        ("a {} at night.", ("a {} at night.",)),
        (["{}", "the {}"], ("{}", "the {}")),
    ],
)
def test_templates_may_be_small_sets_or_sentences(choice: str | list[str], expected: tuple[str, ...]) -> None:
    assert prompt_templates(choice) == expected


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (["a {}", "a car"], "template 'a car' has no {} for the word"),
        (
            "fool",
            "'fool' has no {} for the word; expected sentences with it, or one of full, simple, none",
        ),
        ([], "templates: expected at least one sentence, got none"),
    ],
)
def test_templates_without_room_for_a_word_are_refused(choice: str | list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prompt_templates(choice)
    assert message in str(caught.value)
