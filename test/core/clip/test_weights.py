"""CLIPs from files, folders and a hub, and what is said of those that cannot be had."""

from __future__ import annotations

import json
import re
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from safetensors import safe_open
from safetensors.torch import save, save_file

from clip2scene_core.clip import weights as clip_weights
from clip2scene_core.clip.weights import load_clip
from clip2scene_core.errors import CheckpointError, ConfigError, MissingExtraError

REPOSITORY = "someone/tiny"
SHIPPED = clip_weights.SHIPPED / "street-clip-tiny"
PUBLISHED = {
    "openai": {
        "url": "https://example.org/models/Tiny-ViT.pt",
        "hf_hub": f"{REPOSITORY}/",
        "mean": (0.1, 0.2, 0.3),
        "std": (0.5, 0.6, 0.7),
        "quick_gelu": True,
    },
    "laion": {"url": "", "hf_hub": "someone/gone/", "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.8)},
}


UNKNOWN = (
    "open_clip knows no model 'ViT-B16'; nearest: ViT-B-16, ViT-S-16, ViT-M-16; "
    "the package has street-clip-tiny"
)


@pytest.fixture
def weights(tiny_clip) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in tiny_clip().model.state_dict().items()}


@pytest.fixture
def published(monkeypatch) -> None:
    """Weights that open_clip knows of Tiny."""
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "Tiny", PUBLISHED)


def torchscript(weights: Mapping[str, torch.Tensor], file: Path) -> None:
    """As OpenAI publishes it: a script whose parameters have open_clip's names, and three numbers."""
    root = torch.nn.Module()
    for name, tensor in {**weights, "input_resolution": torch.tensor(32)}.items():
        *path, leaf = name.split(".")
        module = root
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_buffer(leaf, tensor.half() if tensor.is_floating_point() else tensor)
    torch.jit.script(root).save(str(file))


WRITERS = {
    "tiny.safetensors": save_file,
    "tiny.pt": torch.save,
    "epoch_9.pt": lambda weights, file: torch.save(
        {"epoch": 9, "state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}}, file
    ),
    "old.pt": lambda weights, file: torch.save(weights, file, _use_new_zipfile_serialization=False),
}


@pytest.mark.parametrize("file_name", WRITERS)
def test_a_file_is_loaded_frozen_and_with_the_same_hash_whatever_its_format(file_name, weights, tmp_path):
    file = tmp_path / file_name
    WRITERS[file_name](weights, file)
    clip = load_clip("Tiny", str(file))
    assert all(torch.equal(clip.model.state_dict()[name], tensor) for name, tensor in weights.items())
    assert not clip.model.training
    assert not any(parameter.requires_grad for parameter in clip.model.parameters())
    assert clip.name == f"Tiny/{file_name}"
    save_file(weights, tmp_path / "again.safetensors")
    assert clip.weights_hash == load_clip("Tiny", str(tmp_path / "again.safetensors")).weights_hash


def test_the_archive_of_openai_is_read_and_brings_its_activation(weights, tmp_path, published):
    file = tmp_path / "Tiny-ViT.pt"
    torchscript(weights, file)
    clip = load_clip("Tiny", str(file))
    torch.testing.assert_close(clip.model.visual.proj, weights["visual.proj"], rtol=1e-3, atol=1e-3)
    assert clip.name == "Tiny/openai"
    assert isinstance(clip.model.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)


def test_the_hash_is_of_the_weights_not_of_how_they_are_kept(weights, tmp_path):
    file = tmp_path / "tiny.safetensors"
    save_file(weights, file)
    clip = load_clip("Tiny", str(file))
    half = load_clip("Tiny", str(file), dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert half.weights_hash == clip.weights_hash
    weights["visual.proj"][0, 0] += 1e-6
    save_file(weights, file)
    assert load_clip("Tiny", str(file)).weights_hash != clip.weights_hash


def test_a_tag_with_a_file_is_the_published_weights_from_there(weights, tmp_path, published):
    save_file(weights, tmp_path / "fetched.safetensors")
    clip = load_clip("Tiny", f"openai={tmp_path / 'fetched.safetensors'}")
    assert (clip.name, clip.mean, clip.std) == ("Tiny/openai", (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    assert isinstance(clip.model.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)


def test_a_file_without_tag_takes_from_the_published_weights_what_they_share(weights, tmp_path, published):
    save_file(weights, tmp_path / "mine.safetensors")
    clip = load_clip("Tiny", str(tmp_path / "mine.safetensors"))
    assert (clip.mean, clip.std) == ((0.1, 0.2, 0.3), open_clip.OPENAI_DATASET_STD)
    assert isinstance(clip.model.visual.transformer.resblocks[0].mlp.gelu, torch.nn.GELU)


@pytest.fixture
def folder(weights, tmp_path) -> Path:
    """As open_clip publishes a model: configuration, weights, a tokenizer of transformers."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    place = tmp_path / "published"
    place.mkdir()
    text = {"hf_tokenizer_name": REPOSITORY, "context_length": 5, "tokenizer_kwargs": {"clean": "lower"}}
    model = open_clip.get_model_config("Tiny-quickgelu")
    model["text_cfg"] |= text
    model["text_cfg"]["context_length"] = 16
    preprocessing = {"mean": [0.1, 0.1, 0.1], "std": [0.2, 0.2, 0.2], "size": 32}
    config = {"model_cfg": model, "preprocess_cfg": preprocessing}
    (place / "open_clip_config.json").write_text(json.dumps(config))
    (place / "open_clip_model.safetensors").write_bytes(save(weights))
    words = models.WordLevel({"<pad>": 0, "<unk>": 1, "a": 2, "tram": 3}, unk_token="<unk>")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(place / "tokenizer.json"))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "unk_token": "<unk>"}
    (place / "tokenizer_config.json").write_text(json.dumps(kind))
    return place


class Hub(BaseHTTPRequestHandler):
    """What the hub of Hugging Face answers about one repository, whose files are in `folder`."""

    folder: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == f"/{REPOSITORY}":
            self.answer(b"a page")
        elif self.path.startswith(f"/api/models/{REPOSITORY}/tree"):
            files = [{"type": "file", "path": f.name, "size": 1, "oid": "0"} for f in self.folder.iterdir()]
            self.answer(json.dumps(files).encode())
        elif self.path.startswith(f"/api/models/{REPOSITORY}"):
            self.answer(json.dumps({"id": REPOSITORY, "sha": "f" * 40}).encode())
        elif (file := self.folder / Path(self.path).name).is_file() and REPOSITORY in self.path:
            self.answer(file.read_bytes())
        else:
            self.send_error_of("EntryNotFound" if REPOSITORY in self.path else "RepoNotFound")

    do_HEAD = do_GET

    def answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hash(content):x}"')
        self.send_header("X-Repo-Commit", "f" * 40)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def send_error_of(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def use_hub(monkeypatch, tmp_path):
    """Makes an address the hub, with an empty cache."""

    def use(address: str) -> None:
        constants = huggingface_hub.constants
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    return use


@pytest.fixture
def hub(folder, use_hub) -> Iterator[list[str]]:
    """A hub of this machine, and what it was asked."""
    asked: list[str] = []
    handler = type("ThisHub", (Hub,), {"folder": folder, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        use_hub(f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()


@pytest.fixture
def no_network(use_hub) -> None:
    use_hub("http://127.0.0.1:9")


def test_a_folder_brings_configuration_weights_and_tokenizer(folder, weights):
    clip = load_clip(f"local-dir:{folder}")
    assert (clip.name, clip.mean, clip.std) == ("published", (0.1, 0.1, 0.1), (0.2, 0.2, 0.2))
    assert torch.equal(clip.model.state_dict()["visual.proj"], weights["visual.proj"])
    assert isinstance(clip.model.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)
    assert clip.tokenizer(["a tram"]).tolist() == [[2, 3] + [0] * 14]


def test_published_weights_come_from_the_hub_and_then_from_its_cache(hub, weights, published):
    clip = load_clip("Tiny", "openai")
    assert torch.equal(clip.model.state_dict()["visual.proj"], weights["visual.proj"])
    asked = len(hub)
    assert asked
    assert load_clip("Tiny", "openai").weights_hash == clip.weights_hash
    assert len(hub) == asked


def test_a_repository_of_the_hub_is_a_folder_of_its_cache(hub, folder):
    clip = load_clip(f"hf-hub:{REPOSITORY}")
    assert clip.name == REPOSITORY
    assert clip.weights_hash == load_clip(f"local-dir:{folder}").weights_hash
    asked = len(hub)
    assert clip.tokenizer(["a tram"]).tolist()[0][:2] == [2, 3]
    load_clip(f"hf-hub:{REPOSITORY}")
    assert len(hub) == asked


def test_without_a_network_the_error_says_at_once_what_to_fetch_and_where_to_put_it(no_network, published):
    with pytest.raises(CheckpointError) as told:
        load_clip("Tiny", "openai")
    assert re.fullmatch(
        "cannot download the weights of Tiny/openai: http://127.0.0.1:9 cannot be reached (.*); "
        "fetch https://huggingface.co/someone/tiny/resolve/main/open_clip_model.safetensors elsewhere "
        "and name the file: --pretrained openai=FILE",
        str(told.value),
    )


def test_without_a_network_a_repository_is_told_as_files_for_a_folder(no_network):
    with pytest.raises(CheckpointError) as told:
        load_clip(f"hf-hub:{REPOSITORY}")
    assert "resolve/main/open_clip_config.json, open_clip_model.safetensors" in str(told.value)
    assert "put them into one folder and name it: --model local-dir:FOLDER" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_repository_that_is_not_there_is_told(hub, published):
    with pytest.raises(CheckpointError, match=r"^cannot download the weights of Tiny/laion: .*404"):
        load_clip("Tiny", "laion")


def test_a_tokenizer_that_cannot_be_had_is_told_when_it_is_needed(no_network):
    clip = load_clip("Tiny-SigLIP", "random")
    with pytest.raises(CheckpointError, match=r"^the tokenizer of Tiny-SigLIP/random .* local-dir:FOLDER$"):
        clip.tokenizer(["a tram"])


def test_random_weights_are_those_of_one_seed():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    assert load_clip("Tiny", "random").weights_hash == load_clip("Tiny", "random").weights_hash
    assert torch.equal(torch.random.get_rng_state(), before), "those of the caller go on"


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("Tiny", "", "no weights are named for Tiny: expected openai, laion, a file or random"),
        ("Tiny-deep", "", "no weights are named for Tiny-deep: expected a file or random"),
        ("ViT-B16", "openai", UNKNOWN),
        ("Tiny", "opnai", "Tiny has no weights 'opnai': expected openai, laion, a file or random"),
        ("Tiny", "opnai=x.pt", "Tiny has no weights 'opnai': expected openai, laion, a file or random"),
        ("local-dir:x", "openai", "local-dir:x brings its weights: expected no pretrained, got 'openai'"),
        ("street-clip-tiny", "x", "street-clip-tiny brings its weights: expected no pretrained, got 'x'"),
    ],
)
def test_a_name_that_is_unknown_is_refused(model, pretrained, message, published):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        load_clip(model, pretrained)


@pytest.mark.parametrize("pretrained", ["/nowhere/tiny.pt", "openai=/nowhere/tiny.pt"])
def test_a_file_that_is_not_there_is_told(pretrained, published):
    with pytest.raises(CheckpointError, match=r"^weights /nowhere/tiny\.pt of Tiny do not exist$"):
        load_clip("Tiny", pretrained)


def broken(weights: dict[str, torch.Tensor], how: str) -> dict[str, torch.Tensor]:
    """One tensor of the weights is missing, too many, of another shape, or not a number."""
    if how == "missing":
        del weights["visual.ln_post.bias"]
    elif how == "unknown":
        weights["visual.extra"] = torch.zeros(3)
    elif how == "shape":
        weights["visual.ln_post.bias"] = torch.zeros(64)
    else:
        weights["visual.ln_post.bias"][3] = torch.nan
    return weights


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "visual.ln_post.bias expected (32,), got none; choose their model"),
        ("unknown", "visual.extra expected none, got (3,); choose their model"),
        ("shape", "visual.ln_post.bias expected (32,), got (64,); choose their model"),
        ("nan", "visual.ln_post.bias expected finite numbers, got NaN or infinity"),
    ],
)
def test_of_weights_that_do_not_fit_the_first_tensor_is_named(how, message, weights, tmp_path):
    file = tmp_path / "tiny.safetensors"
    save_file(broken(weights, how), file)
    with pytest.raises(CheckpointError, match=f"^weights {file}: {re.escape(message)}$"):
        load_clip("Tiny", str(file))


class Unsafe:
    """Would run when it is unpickled."""

    def __reduce__(self):
        return print, ("a pickle was run",)


@pytest.mark.parametrize(
    ("file_name", "write", "message"),
    [
        ("x.pt", lambda file: torch.save({"state_dict": Unsafe()}, file), "hold more than tensors, .* store"),
        ("x.pt", lambda file: torch.save([1, 2], file), "expected tensors by name, got list"),
        ("x.pt", lambda file: torch.save({"epoch": 3}, file), "expected tensors by name, got dict"),
        ("x.pt", lambda file: torch.save({0: torch.zeros(3)}, file), "expected tensors by name, got dict"),
        ("x.pt", lambda file: file.write_bytes(b""), "cannot be read: "),
        ("x.pt", lambda file: file.write_bytes(b"<html>sign in</html>"), ""),
        ("x.safetensors", lambda file: file.write_bytes(b"<html>sign in</html>"), "cannot be read: "),
    ],
)
def test_a_file_that_holds_no_weights_is_refused(file_name, write, message, tmp_path, capsys):
    file = tmp_path / file_name
    write(file)
    with pytest.raises(CheckpointError, match=f"^weights {file}:? {message}") as told:
        load_clip("Tiny", str(file))
    assert "\n" not in str(told.value)
    assert "a pickle was run" not in capsys.readouterr().out


def test_an_archive_without_its_directory_is_refused(weights, tmp_path):
    torch.save(weights, tmp_path / "x.pt")
    content = (tmp_path / "x.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(content.replace(b"PK\x01\x02", b"PK\x00\x00"))
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_clip("Tiny", str(tmp_path / "x.pt"))


def test_a_truncated_file_is_refused(weights, tmp_path):
    for write, name in ((save_file, "x.safetensors"), (torch.save, "x.pt")):
        write(weights, tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(CheckpointError, match=r"cannot be read|more than tensors"):
            load_clip("Tiny", str(tmp_path / name))


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("open_clip_config.json", "holds no open_clip_config.json"),
        (
            "open_clip_model.safetensors",
            "holds no open_clip_model.safetensors or open_clip_pytorch_model.bin",
        ),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused(left_out, message, folder):
    (folder / left_out).unlink()
    with pytest.raises(CheckpointError, match=f"^local-dir:{folder} {message}$"):
        load_clip(f"local-dir:{folder}")


def test_the_model_of_the_package_is_a_folder_of_its_name(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(clip_weights, "SHIPPED", tmp_path / "models")
    shutil.copytree(folder, tmp_path / "models" / "street-clip-tiny")
    clip = load_clip("street-clip-tiny")
    assert clip.name == "street-clip-tiny"
    assert clip.weights_hash == load_clip(f"local-dir:{folder}").weights_hash
    assert clip.tokenizer(["a tram"]).tolist()[0][:2] == [2, 3]


def test_the_model_of_the_package_is_small_and_says_how_it_was_made():
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= 12e6
    assert load_clip("street-clip-tiny").model.visual.output_dim == 64
    with safe_open(SHIPPED / "open_clip_model.safetensors", framework="pt") as file:
        record = json.loads(file.metadata()["training"])
    assert record["command"].startswith("clip2scene train-clip")
    assert record["seconds"] > 0 and record["hardware"]
    assert record["config"]["training"]["seed"] >= 0


def test_a_folder_with_another_configuration_is_refused(folder):
    (folder / "open_clip_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"^open_clip cannot build published: .*model_cfg"):
        load_clip(f"local-dir:{folder}")


def test_without_open_clip_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingExtraError, match=r"^open_clip_torch .*clip2scene_ros\[clip\]"):
        load_clip("Tiny", "random")


def test_without_transformers_only_the_tokenizer_of_a_siglip_is_missing(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    clip = load_clip(f"local-dir:{folder}")
    with pytest.raises(MissingExtraError, match=r"^transformers .*clip2scene_ros\[clip\]"):
        clip.tokenizer(["a tram"])
