"""Labels learnt in the language of a CLIP: its embeddings of phrases stand for the classes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.build import restore_student, teacher_record
from clip2scene_core.clip.weights import load_clip
from clip2scene_core.config import AugmentConfig, RunConfig, TeacherConfig, TrainingConfig
from clip2scene_core.errors import ConfigError
from clip2scene_core.labels import LabelSet
from clip2scene_core.training.beginning import begin
from clip2scene_core.training.finetune import finetune
from clip2scene_core.training.loop import CHECKPOINT_FILE
from clip2scene_core.training.samples import TrainingSamples, collate_samples

pytest.importorskip("lightning", reason="lightning is not installed: pip install 'clip2scene_ros[train]'")

STREET = LabelSet.named("street")
PHRASES = [phrase for of_class in STREET.phrases for phrase in of_class]
STILL = AugmentConfig(rotate=False, scale=0, tilt_deg=0, wave_m=0, crown_m=0, jitter_m=0, drop=0)
TRAINING = TrainingConfig(
    steps=1, batch=1, loaders=0, device="cpu", average=0.0, learning_rate=0.0, rare=0.0, augment=STILL
)


@pytest.fixture
def teacher(clip_folder, tmp_path, monkeypatch):
    """A tiny CLIP that is asked with bare words, which it keeps in an empty folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return TeacherConfig(model=f"local-dir:{clip_folder}", templates="none", device="cpu")


@pytest.fixture
def run(teacher, tiny_checkpoint):
    return RunConfig(student=tiny_checkpoint.student, teacher=teacher, training=TRAINING)


@pytest.fixture
def start(tiny_checkpoint, tmp_path):
    """Saves the random student with other fields, and names the file."""

    def save(**other) -> str:
        path = tmp_path / "start.safetensors"
        checkpoints.save(replace(tiny_checkpoint, **other), path, dtype=torch.float32)
        return str(path)

    return save


def encoded(model: str) -> torch.Tensor:
    clip = load_clip(model)
    return clip.model.encode_text(clip.tokenizer(PHRASES), normalize=True).detach()


def heads(weights) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in weights.items() if name.startswith("heads.")}


def same(these, those) -> bool:
    return all(torch.equal(tensor, those[name]) for name, tensor in these.items())


def test_every_phrase_is_a_row_and_the_best_one_counts(run, streets, tmp_path):
    """The loss by hand, of random weights and what open_clip makes of the phrases."""
    source, expected = streets(1), encoded(run.teacher.model)
    report: list[dict[str, float]] = []
    path = finetune(
        run, source, begin(run), tmp_path, record={}, report=lambda step, losses: report.append(losses)
    )
    trained = checkpoints.load(path)
    torch.testing.assert_close(trained.text_embeddings, expected, rtol=0, atol=1e-5)
    assert [trained.label_set.classes[c].phrases for c in trained.phrase_class] == [
        of_class for of_class in STREET.phrases for _ in of_class
    ]
    student = restore_student(trained, engine="torch").train()
    samples = TrainingSamples(source, STREET, run.student, STILL, 0, per_point=False)
    voxels, target = collate_samples([samples[0, 0]])
    cosine = F.normalize(student(voxels).semantic.detach(), dim=1) @ F.normalize(expected, dim=1).T
    of_class = [
        cosine[:, [row for row, phrase in enumerate(PHRASES) if phrase in phrases]].amax(dim=1)
        for phrases in STREET.phrases
    ]
    scores, known = torch.stack(of_class, dim=1) / run.student.temperature, target >= 0
    assert report[0]["cross_entropy"] == pytest.approx(
        float(F.cross_entropy(scores[known], target[known])), rel=2e-3
    )


def test_the_checkpoint_says_whose_words_they_are(run, clip_folder, streets, tmp_path):
    path = finetune(run, streets(1), begin(run), tmp_path, record={}, report=lambda step, losses: None)
    trained, clip = checkpoints.load(path), load_clip(run.teacher.model)
    assert trained.teacher == clip_folder.name
    found = {name: trained.taught_by[name] for name in ("clip", "weights", "model", "templates")}
    assert found == {
        "clip": clip_folder.name,
        "weights": clip.weights_hash,
        "model": f"local-dir:{clip_folder}",
        "templates": "none",
    }


def test_heads_of_the_same_language_are_kept_whatever_the_words(run, start, tiny_checkpoint):
    taught_by = teacher_record(run.teacher, load_clip(run.teacher.model).identity)
    words = LabelSet.from_words("tram, tree")
    path = start(
        training={"teacher": taught_by},
        label_set=words,
        text_embeddings=tiny_checkpoint.text_embeddings[:2],
        phrase_class=(0, 1),
    )
    beginning = begin(replace(run, start=path))
    assert same(beginning.weights, tiny_checkpoint.weights)
    assert heads(beginning.weights)
    assert len(beginning.text_embeddings) == len(PHRASES)
    assert beginning.record["began_from"]["head"] == "text"
    new = begin(replace(run, start=path, training=replace(TRAINING, head="new")))
    assert new.weights and not heads(new.weights)


def test_heads_of_another_language_are_left_out(run, start, tiny_checkpoint, clip_folder):
    path = start(training={"teacher": {"weights": "others"}}, teacher="ViT-B-16/openai")
    beginning = begin(replace(run, start=path))
    assert beginning.weights and not heads(beginning.weights)
    assert same(beginning.weights, tiny_checkpoint.weights)
    assert beginning.teacher == clip_folder.name
    why = f"it was not taught by {clip_folder.name} with these weights, but by ViT-B-16/openai"
    assert beginning.notes == (f"from {path} without its heads: {why}; the new ones are random",)
    with pytest.raises(ConfigError, match=f"training.head text: {why}; choose training.head=new"):
        begin(replace(run, start=path, training=replace(TRAINING, head="text")))


def test_the_joint_space_has_to_fit(run, clip_folder):
    student = replace(run.student, embedding_dim=16)
    message = f"student.embedding_dim expected 24, the joint space of {clip_folder.name}, got 16"
    with pytest.raises(ConfigError, match=message):
        begin(replace(run, student=student))


def test_words_of_a_checkpoint_go_on_with_their_phrases_and_their_clip(run, start, streets, tmp_path):
    """Without a CLIP: the vocabulary of the run has other phrases than those that were embedded."""
    embedded = replace(STREET, classes=tuple(replace(c, phrases=(c.name, "x")) for c in STREET.classes))
    path = start(training={"teacher": {"weights": "w", "model": "m"}}, label_set=embedded, teacher="m")
    going_on = replace(run, start=path, teacher=TeacherConfig(model=""))
    finetune(going_on, streets(1), begin(going_on), tmp_path, record={}, report=lambda step, losses: None)
    trained = checkpoints.load(tmp_path / CHECKPOINT_FILE)
    assert trained.label_set.phrases == embedded.phrases
    assert (trained.teacher, trained.taught_by) == ("m", {"weights": "w", "model": "m"})
