"""A tiny CLIP learns colours from captions of crops, and is then a CLIP like any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from clip2scene_core.clip.dense import DenseClip
from clip2scene_core.clip.similarity import classify_patches
from clip2scene_core.clip.text import embed_text
from clip2scene_core.clip.weights import load_clip
from clip2scene_core.config import StreetClipConfig, from_dict
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.labels import LabelSet
from clip2scene_core.training.caption_samples import CropSamples, read_all_views
from clip2scene_core.training.street_clip import train_street_clip

TOWN = LabelSet.named("town")
COLOURS = {"road": (90, 90, 90), "vegetation": (20, 160, 30), "car": (200, 30, 40)}
CONFIG = {
    "model": {
        "width": 32,
        "layers": 2,
        "head_width": 16,
        "image_px": 32,
        "embedding_dim": 16,
        "text_width": 24,
    },
    "templates": "simple",
    "boxes": 12,
    "training": {"steps": 120, "batch": 8, "learning_rate": 5e-3, "loaders": 0, "average": 0.0},
}


def picture(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Left and right halves of two colours, each a class."""
    names = rng.choice(list(COLOURS), 2, replace=False)
    rgb, class_id = np.empty((48, 64, 3), np.uint8), np.empty((48, 64), np.uint8)
    for half, name in zip((slice(0, 32), slice(32, 64)), names, strict=True):
        rgb[:, half] = COLOURS[name] + rng.integers(-20, 20, (48, 32, 3))
        class_id[:, half] = TOWN.id_of(name)
    return rgb, class_id


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    rng = np.random.default_rng(0)
    rgb, class_id = zip(*(picture(rng) for _ in range(30)), strict=True)
    np.savez(folder / "town_000000_views.npz", rgb=np.stack(rgb), class_id=np.stack(class_id))
    return folder


@pytest.fixture(scope="module")
def trained(views: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    train_street_clip(
        from_dict(StreetClipConfig, CONFIG),
        views,
        folder,
        record={"by": "a test"},
        report=lambda step, losses: None,
    )
    return folder


def test_dense_features_name_what_captions_named(trained: Path):
    clip = load_clip(f"local-dir:{trained}")
    text = embed_text(clip, [("road",), ("tree",), ("car",)], templates="simple")
    rgb, class_id = picture(np.random.default_rng(5))
    seen = DenseClip(clip, mode="maskclip", window_px=32)(rgb[None])
    scores = classify_patches(seen.features, text.embeddings, text.phrase_class, 3)[0]
    expected = torch.tensor([{"road": 0, "vegetation": 1, "car": 2}[TOWN.names[c - 1]] for c in class_id[0]])
    right = (scores.argmax(dim=0) == expected[4::8]).float().mean()
    assert right > 0.9


def test_whole_images_are_encoded_as_open_clip_does(trained: Path):
    clip = load_clip(f"local-dir:{trained}")
    text = embed_text(clip, [("road",), ("tree",), ("car",)], templates="simple").embeddings
    images = torch.stack(
        [
            (torch.tensor(rgb).reshape(3, 1, 1).expand(3, 32, 32) / 255 - 0.45) / 0.25
            for rgb in COLOURS.values()
        ]
    )
    assert (clip.model.encode_image(images, normalize=True) @ text.T).argmax(dim=1).tolist() == [0, 1, 2]


def test_words_that_no_caption_had_are_all_the_same_and_the_user_is_told(
    trained: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
):
    clip, words = load_clip(f"local-dir:{trained}"), [("zeppelin",), ("artichoke",)]
    for _ in ("embedded", "kept from before"):
        strange = embed_text(clip, words, templates=["{}"], cache_dir=tmp_path).embeddings
        assert "never read a word of: zeppelin, artichoke" in caplog.text
        caplog.clear()
    known = embed_text(clip, [("road",), ("car",)], templates=["{}"]).embeddings
    assert strange[0] @ strange[1] > 0.999 > known[0] @ known[1]
    assert not caplog.text


def test_the_file_says_how_it_was_made_and_is_of_halves(trained: Path):
    with safe_open(trained / "open_clip_model.safetensors", framework="pt") as file:
        record = json.loads(file.metadata()["training"])
        assert file.get_tensor("visual.proj").dtype == torch.float16
    assert record["by"] == "a test" and record["steps"] == 120
    assert record["config"]["training"]["seed"] == 0


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(views: Path, tmp_path: Path):
    short = from_dict(StreetClipConfig, CONFIG | {"training": CONFIG["training"] | {"steps": 4}})

    def stop_once(step: int, losses: dict[str, float]) -> None:
        if step == 2 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_street_clip(short, views, tmp_path / "a", record={}, report=stop_once)
    for folder in ("a", "b"):
        train_street_clip(short, views, tmp_path / folder, record={}, report=lambda step, losses: None)
    first, second = (load_clip(f"local-dir:{tmp_path / folder}") for folder in ("a", "b"))
    assert first.weights_hash == second.weights_hash


def test_one_that_begins_with_another_keeps_its_texts(views: Path, trained: Path, tmp_path: Path):
    """Its images become others, and are still compared with the same texts."""
    longer = from_dict(
        StreetClipConfig,
        CONFIG | {"start": f"local-dir:{trained}", "training": CONFIG["training"] | {"steps": 2}},
    )
    train_street_clip(longer, views, tmp_path / "on", record={}, report=lambda step, losses: None)
    before, after = (load_clip(f"local-dir:{folder}").model for folder in (trained, tmp_path / "on"))
    moved = {
        name
        for (name, old), new in zip(before.state_dict().items(), after.state_dict().values(), strict=True)
        if not old.equal(new)
    }
    assert moved and all(name.startswith("visual.") for name in moved)
    with safe_open(tmp_path / "on" / "open_clip_model.safetensors", framework="pt") as file:
        began_from = json.loads(file.metadata()["training"])["began_from"]
    assert began_from["weights"] == load_clip(f"local-dir:{trained}").weights_hash
    apart = (before.visual.proj - after.visual.proj).abs().max()
    assert apart < 0.05, "two steps from where it began, not from random weights"
    wider = replace(longer, model=replace(longer.model, embedding_dim=24))
    with pytest.raises(ConfigError, match=r"is of another size than model says: size mismatch for"):
        train_street_clip(wider, views, tmp_path / "wider", record={}, report=lambda step, losses: None)


def test_pictures_have_to_be_there_and_large_enough(views: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"has no \*_views.npz"):
        read_all_views(tmp_path)
    with pytest.raises(DataError, match="at least 64 pixels a side, got 48"):
        CropSamples(read_all_views(views), 64, 0)
