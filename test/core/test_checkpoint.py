"""Checkpoint files: what survives the way there and back, and what is said about files that are none."""

from __future__ import annotations

import ast
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.build import restore_student
from clip2scene_core.checkpoint import FORMAT_VERSION, HEADER, write_safetensors
from clip2scene_core.errors import CheckpointError


@pytest.fixture
def path(tiny_checkpoint, tmp_path) -> Path:
    """A good file."""
    checkpoints.save(tiny_checkpoint, tmp_path / "good.safetensors")
    return tmp_path / "good.safetensors"


def parts(path):
    """Tensors and header of a file, read without the code under test."""
    with safe_open(path, framework="pt") as file:
        return load_file(path), json.loads(file.metadata()[HEADER])


def write(path, tensors, header):
    save_file(tensors, path, metadata={HEADER: json.dumps(header)})


def complaint(path):
    """The one line that reading the file ends with."""
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_everything_survives(tiny_checkpoint, path):
    loaded = checkpoints.load(path)
    assert loaded.student == tiny_checkpoint.student
    assert loaded.label_set == tiny_checkpoint.label_set
    assert loaded.phrase_class == tiny_checkpoint.phrase_class
    assert (loaded.teacher, loaded.training) == (tiny_checkpoint.teacher, tiny_checkpoint.training)
    assert torch.equal(loaded.text_embeddings, tiny_checkpoint.text_embeddings)
    assert loaded.weights.keys() == tiny_checkpoint.weights.keys()
    for name, tensor in tiny_checkpoint.weights.items():
        stored = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.weights[name], stored), name


def test_float32_weights_survive_to_the_last_bit(tiny_checkpoint, tmp_path):
    checkpoints.save(tiny_checkpoint, tmp_path / "exact.safetensors", dtype=torch.float32)
    loaded = checkpoints.load(tmp_path / "exact.safetensors")
    assert all(torch.equal(loaded.weights[name], t) for name, t in tiny_checkpoint.weights.items())


def test_the_student_of_a_file_has_its_weights(tiny_checkpoint, path):
    student = restore_student(checkpoints.load(path), engine="torch")
    name = "heads.semantic.weight"
    assert torch.equal(student.state_dict()[name], tiny_checkpoint.weights[name].half().float())


def test_the_file_is_safetensors_with_a_header_of_json(path):
    """As others would read it: 8 bytes of length, JSON, raw numbers; not the zip of a pickle."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["clip2scene"])
    assert header["format_version"] == FORMAT_VERSION
    assert header["label_set"]["classes"][0]["name"] == "road"
    assert not zipfile.is_zipfile(path)


def test_others_may_read_the_file_where_they_may_read_a_new_one(path, tmp_path):
    (tmp_path / "new").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "new").stat().st_mode


def test_no_pickle_is_ever_read():
    """What torch.load reads are tensors only; of pickle its errors are known, not what it does."""
    package = Path(checkpoints.__file__).parent
    for module in package.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call):
                call, arguments = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert call != "torch.load" or arguments.get("weights_only") == "True", module
                assert not re.match(r"pickle\.|.*\bUnpickler$", call), module
                assert arguments.get("allow_pickle", "False") == "False", module
            assert not (isinstance(node, ast.ImportFrom) and node.module == "pickle"), module


def test_a_missing_file(tmp_path):
    assert "does not exist" in complaint(tmp_path / "absent.safetensors")
    assert "does not exist" in complaint(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint\n", b"\x80\x04K\x01.", b"\xff" * 200])
def test_a_file_of_another_kind(content, tmp_path):
    path = tmp_path / "text.safetensors"
    path.write_bytes(content)
    assert "is no readable safetensors file" in complaint(path)


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.5, 0.999])
def test_a_truncated_file(share, path):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "is no readable safetensors file" in complaint(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {HEADER: "{"}, {HEADER: "[1]"}, {HEADER: "{}"}])
def test_safetensors_of_somebody_else(metadata, tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata=metadata)
    assert "is a safetensors file, but not a checkpoint of clip2scene" in complaint(path)


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 0, "1", None])
def test_another_format_version(version, path):
    tensors, header = parts(path)
    write(path, tensors, header | {"format_version": version})
    assert f"format_version expected {FORMAT_VERSION}, got {version}" in complaint(path)


@pytest.mark.parametrize("field", ["student", "label_set", "phrase_class", "teacher", "training"])
def test_a_missing_field(field, path):
    tensors, header = parts(path)
    del header[field]
    write(path, tensors, header)
    assert f"lacks the field '{field}'" in complaint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student": 5}, "student must be a mapping of settings, got 5"),
        ({"student": {"widht": 1}}, "unknown setting 'student.widht'; did you mean 'width'?"),
        ({"student": {"voxel_m": "big"}}, "setting 'student.voxel_m' must be float, got 'big'"),
        ({"label_set": {"name": "x"}}, "label set is malformed: KeyError 'classes'"),
        ({"label_set": []}, "label set is malformed"),
        ({"phrase_class": None}, "phrase_class expected whole numbers, got None"),
        ({"phrase_class": ["road"]}, "phrase_class expected whole numbers, got ['road']"),
        ({"phrase_class": [0] * 22}, "phrase_class expected each of 0..10, got [0]"),
        ({"phrase_class": list(range(11))}, "text_embeddings expected (11, 24), got (22, 24)"),
    ],
)
def test_fields_of_the_wrong_kind(change, message, path):
    tensors, header = parts(path)
    write(path, tensors, header | change)
    assert message in complaint(path)


def test_files_from_before_there_were_architectures(tiny_checkpoint, path):
    tensors, header = parts(path)
    del header["student"]["architecture"]
    write(path, tensors, header)
    assert checkpoints.load(path).student == tiny_checkpoint.student
    assert tiny_checkpoint.student.architecture == "minkunet"


def test_missing_text_embeddings(path):
    tensors, header = parts(path)
    del tensors["text_embeddings"]
    write(path, tensors, header)
    assert "lacks the field 'text_embeddings'" in complaint(path)


@pytest.mark.parametrize("shape", [(22, 25), (21, 24), (22,), (22, 24, 1)])
def test_text_embeddings_of_another_shape(shape, path):
    tensors, header = parts(path)
    write(path, tensors | {"text_embeddings": torch.zeros(shape)}, header)
    assert f"text_embeddings expected (22, 24), got {shape}" in complaint(path)


@pytest.mark.parametrize("got", [None, torch.zeros(25, 8)])
def test_weights_of_another_shape(got, path):
    tensors, header = parts(path)
    name = "heads.semantic.weight"
    changed = {k: v for k, v in tensors.items() if k != f"student.{name}"}
    if got is not None:
        changed[f"student.{name}"] = got
    write(path, changed, header)
    with pytest.raises(CheckpointError) as caught:
        restore_student(checkpoints.load(path), engine="torch")
    shape = tuple(got.shape) if got is not None else "none"
    assert f"checkpoint weight {name}: expected shape (24, 8), got {shape}" == str(caught.value)


def test_a_weight_too_many(path):
    tensors, header = parts(path)
    write(path, tensors | {"student.extra": torch.zeros(2)}, header)
    with pytest.raises(CheckpointError, match=r"weight extra: expected shape none, got \(2,\)"):
        restore_student(checkpoints.load(path), engine="torch")


def files(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e6])
def test_weights_that_are_no_numbers_are_not_saved(bad, tiny_checkpoint, path):
    """A million is no float16."""
    before = path.read_bytes()
    weights = {**tiny_checkpoint.weights, "heads.semantic.bias": torch.tensor([0.0] * 23 + [bad])}
    with pytest.raises(CheckpointError, match=r"weight student\.heads\.semantic\.bias is not finite"):
        checkpoints.save(replace(tiny_checkpoint, weights=weights), path)
    assert path.read_bytes() == before
    assert files(path.parent) == [path.name]


def test_a_tensor_that_cannot_be_written_leaves_the_old_file(path):
    before = path.read_bytes()
    shared = torch.zeros(4)
    with pytest.raises(RuntimeError, match="share memory"):
        write_safetensors({"one": shared, "other": shared}, path, {})
    assert path.read_bytes() == before
    assert files(path.parent) == [path.name]


def test_a_record_that_is_no_json_leaves_the_old_file(tiny_checkpoint, path):
    before = path.read_bytes()
    with pytest.raises(TypeError):
        checkpoints.save(replace(tiny_checkpoint, training={"when": object()}), path)
    assert path.read_bytes() == before
    assert files(path.parent) == [path.name]


def test_a_place_that_cannot_be_written_to(tiny_checkpoint, tmp_path):
    (tmp_path / "file").write_text("in the way")
    target = tmp_path / "file" / "student.safetensors"
    with pytest.raises(CheckpointError, match="cannot write") as caught:
        checkpoints.save(tiny_checkpoint, target)
    assert str(target) in str(caught.value)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="cannot write"):
        checkpoints.save(tiny_checkpoint, tmp_path / "folder.safetensors")
    assert files(tmp_path) == ["file", "folder.safetensors"]
    assert files(tmp_path / "folder.safetensors") == []


def test_the_shipped_checkpoint_is_one():
    if not checkpoints.shipped().is_file():
        pytest.skip("the package has no checkpoint yet")
    loaded = checkpoints.load()
    restore_student(loaded, engine="torch")
    assert loaded.label_set.name == "town"
    assert loaded.taught_by["model"] == "street-clip-tiny"
    assert checkpoints.shipped().stat().st_size <= 12e6
