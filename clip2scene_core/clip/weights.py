"""A CLIP of open_clip with its weights: published ones, those of a local file, or a folder."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clip2scene_core.clip.hub import file_url, first_line, hub_file, hub_folder
from clip2scene_core.clip.weight_files import hash_of, load_weights
from clip2scene_core.errors import CheckpointError, ConfigError, MissingExtraError

RANDOM = "random"
"""As `pretrained`: the initialisation of seed 0, for tests and benchmarks; it knows nothing."""
HUB, FOLDER = "hf-hub:", "local-dir:"
STREET_CLIP = "street-clip-tiny"
"""The CLIP that the package brings; training/street_clip.py made it of the simulated town."""
SHIPPED = Path(str(resources.files("clip2scene_core"))) / "clip" / "models"
"""Its place, in a folder of its name."""
CONFIG_FILE = "open_clip_config.json"
WEIGHT_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""What open_clip calls the weights of a repository or folder, the best one first."""
SMALL_FILES = ("*.json", "*.model", "*.txt")
"""Configuration and tokenizer of a repository."""
FILE_ENDINGS = {".bin", ".pt", ".pth", ".safetensors"}

Triple = tuple[float, float, float]
Tokenizer = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedClip:
    """A frozen CLIP in evaluation mode and what has to be known to use it."""

    model: nn.Module
    """The open_clip model: `encode_image`, `encode_text`, `visual`."""
    tokenizer: Tokenizer
    """Texts to (T, L) int64 tokens, on the CPU."""
    mean: Triple
    """Of RGB in 0..1, to subtract."""
    std: Triple
    """Of RGB in 0..1, to divide by."""
    image_size: tuple[int, int]
    """Height and width in pixels that the image encoder was trained at."""
    name: str
    """Model and weights, such as `ViT-B-16/openai`."""
    weights_hash: str
    """SHA-256 over the weights as loaded, whatever file, device and precision they came from or go to."""

    @property
    def identity(self) -> dict[str, str]:
        """All that decides on what it makes of images and texts, for records and the keys of caches."""
        return {
            "clip": self.name,
            "weights": self.weights_hash,
            "mean": str(self.mean),
            "std": str(self.std),
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return next(self.model.parameters()).dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a model comes from."""

    architecture: str
    """What open_clip builds it from: one of its names, or local-dir:."""
    weights: Path | None
    """None for random ones."""
    name: str
    published: Mapping[str, Any]
    """What open_clip knows of these weights: mean, std, quick_gelu."""


def load_clip(
    model: str,
    pretrained: str = "",
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> LoadedClip:
    """A frozen CLIP by open_clip's names of the model and of its weights.

    model: a name that open_clip knows (`ViT-B-16`), `street-clip-tiny`, `hf-hub:org/name` or
        `local-dir:FOLDER`; the last three bring their weights, in a folder as open_clip publishes them.
    pretrained: one of the model's published weights (`openai`); `FILE`, .safetensors or .pt of open_clip or
        OpenAI; `openai=FILE`, the published weights in a file that was fetched by hand; or `random`.

    Published weights have their own activation and normalisation of images, which are used whatever the
    model's name says. For a file without a tag the model's name decides (`ViT-B-16-quickgelu`).

    Raises ConfigError for an unknown name, CheckpointError for weights that cannot be had or do not fit,
    MissingExtraError without open_clip.
    """
    try:
        import open_clip
    except ImportError as error:
        raise MissingExtraError("open_clip_torch", "clip") from error

    source = _resolve(model, pretrained)
    clip = _build(source)
    if source.weights:
        load_weights(clip, source.weights)
    clip.eval().requires_grad_(False)
    weights_hash = hash_of(clip.state_dict())
    preprocessing = open_clip.get_model_preprocess_cfg(clip)
    size = preprocessing["size"]
    return LoadedClip(
        model=clip.to(device=device, dtype=dtype),
        tokenizer=_tokenizer(source),
        mean=tuple(preprocessing["mean"]),
        std=tuple(preprocessing["std"]),
        image_size=(size, size) if isinstance(size, int) else tuple(size),
        name=source.name,
        weights_hash=weights_hash,
    )


def build_clip(folder: Path) -> tuple[nn.Module, Tokenizer]:
    """An untrained CLIP by the configuration in a folder, on the CPU in float32, and its tokenizer.

    Its weights are drawn with seed 0. Raises CheckpointError where open_clip cannot build it,
    MissingExtraError without open_clip.
    """
    try:
        import open_clip  # noqa: F401 - what follows imports it
    except ImportError as error:
        raise MissingExtraError("open_clip_torch", "clip") from error
    source = _Source(architecture=f"{FOLDER}{folder}", weights=None, name=str(folder), published={})
    return _build(source), _tokenizer(source)


def brings_weights(model: str) -> bool:
    """Whether a model of this name comes with its weights, so that none can be chosen for it."""
    return model == STREET_CLIP or model.startswith((HUB, FOLDER))


def _resolve(model: str, pretrained: str) -> _Source:
    if not brings_weights(model):
        return _named(model.replace("/", "-"), pretrained)
    if pretrained:
        raise ConfigError(f"{model} brings its weights: expected no pretrained, got '{pretrained}'")
    if model == STREET_CLIP:
        return _of_folder(SHIPPED / model, name=model)
    if model.startswith(HUB):
        return _of_hub(model.removeprefix(HUB))
    folder = Path(model.removeprefix(FOLDER)).expanduser()
    return _of_folder(folder, name=folder.resolve().name)


def _named(model: str, pretrained: str) -> _Source:
    import open_clip

    known = open_clip.list_models()
    if model not in known:
        near = difflib.get_close_matches(model, known, n=3, cutoff=0)
        raise ConfigError(
            f"open_clip knows no model '{model}'; nearest: {', '.join(near)}; the package has {STREET_CLIP}"
        )
    tag, file = _tag_and_file(model, pretrained)
    published = open_clip.get_pretrained_cfg(model, tag)
    if not tag:
        published = _common(model)
    elif not published:
        raise ConfigError(f"{model} has no weights '{tag}': {_choices(model)}")
    if file is not None and not file.is_file():
        raise CheckpointError(f"weights {file} of {model} do not exist")
    if tag and file is None:
        file = _download(model, tag, published["hf_hub"])
    name = tag or (file.name if file else RANDOM)
    return _Source(architecture=model, weights=file, name=f"{model}/{name}", published=published)


def _tag_and_file(model: str, pretrained: str) -> tuple[str, Path | None]:
    """What `pretrained` says; neither stands for random weights."""
    if not pretrained:
        raise ConfigError(f"no weights are named for {model}: {_choices(model)}")
    if pretrained == RANDOM:
        return "", None
    file = Path(pretrained).expanduser()
    if file.is_file() or ("=" not in pretrained and file.suffix in FILE_ENDINGS):
        return _tag_of_file(model, file.name), file
    tag, _, named = pretrained.partition("=")
    return tag, Path(named).expanduser() if named else None


def _tag_of_file(model: str, file_name: str) -> str:
    """The tag of weights that were published in a file of their own, such as OpenAI's ViT-B-16.pt."""
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    urls = {tag: open_clip.get_pretrained_url(model, tag) for tag in tags}
    return next((tag for tag, url in urls.items() if url.endswith(f"/{file_name}")), "")


def _common(model: str) -> dict[str, Any]:
    """The normalisation of images that all published weights of a model share."""
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    published = [open_clip.get_pretrained_cfg(model, tag) for tag in tags]
    return {
        key: published[0][key]
        for key in ("mean", "std")
        if published and all(each[key] == published[0][key] for each in published)
    }


def _choices(model: str) -> str:
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    return f"expected {', '.join(tags)}, a file or {RANDOM}" if tags else f"expected a file or {RANDOM}"


def _download(model: str, tag: str, place: str) -> Path:
    """place: `org/name/`, or `org/name/file` where the file has a name of its own."""
    repository, _, file_name = place.rpartition("/")
    names = (file_name,) if file_name else WEIGHT_FILES
    try:
        return hub_file(repository, names)
    except CheckpointError as error:
        raise CheckpointError(
            f"cannot download the weights of {model}/{tag}: {error}; fetch {file_url(repository, names[0])} "
            f"elsewhere and name the file: --pretrained {tag}=FILE"
        ) from error


def _of_hub(repository: str) -> _Source:
    try:
        folder = hub_folder(repository, SMALL_FILES, holding=CONFIG_FILE)
        hub_file(repository, WEIGHT_FILES)
    except CheckpointError as error:
        raise CheckpointError(
            f"cannot download {HUB}{repository}: {error}; fetch {file_url(repository, CONFIG_FILE)}, "
            f"{WEIGHT_FILES[0]} and the files of the tokenizer beside it elsewhere, "
            f"put them into one folder and name it: --model {FOLDER}FOLDER"
        ) from error
    return _of_folder(folder, name=repository)


def _of_folder(folder: Path, *, name: str) -> _Source:
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(f"{FOLDER}{folder} holds no {CONFIG_FILE}")
    weights = next((folder / each for each in WEIGHT_FILES if (folder / each).is_file()), None)
    if weights is None:
        raise CheckpointError(f"{FOLDER}{folder} holds no {' or '.join(WEIGHT_FILES)}")
    return _Source(architecture=f"{FOLDER}{folder}", weights=weights, name=name, published={})


def _build(source: _Source) -> nn.Module:
    """The model on the CPU in float32, its weights drawn with seed 0."""
    import open_clip

    settings = {"quick_gelu": bool(source.published.get("quick_gelu"))} if "url" in source.published else {}
    preprocessing = {key: source.published[key] for key in ("mean", "std") if key in source.published}
    with torch.random.fork_rng(devices=()), _silent_about_random_weights():
        torch.manual_seed(0)
        try:
            return open_clip.create_model(
                source.architecture,
                load_weights=False,
                pretrained_text=False,
                force_preprocess_cfg=preprocessing,
                **settings,
            )
        except Exception as error:  # whatever a configuration makes open_clip, timm and transformers raise
            raise CheckpointError(f"open_clip cannot build {source.name}: {first_line(error)}") from error


@contextmanager
def _silent_about_random_weights() -> Iterator[None]:
    """open_clip warns on the root logger that it leaves the weights random, which is what it was told."""

    def other(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return "initialized randomly" not in message and "no CLIP weights found" not in message

    root = logging.getLogger()
    root.addFilter(other)
    try:
        yield
    finally:
        root.removeFilter(other)


def _tokenizer(source: _Source) -> Tokenizer:
    """Made at its first use: a SigLIP's needs files and a package that dense features do not need."""

    @cache
    def tokenizer() -> Tokenizer:
        import open_clip

        text = open_clip.get_model_config(source.architecture)["text_cfg"]
        if not text.get("hf_tokenizer_name"):
            return open_clip.get_tokenizer(source.architecture)
        try:
            return _huggingface_tokenizer(source, text)
        except ImportError as error:
            raise MissingExtraError("transformers", "clip") from error
        except Exception as error:  # transformers lets through what its parts raise
            raise CheckpointError(
                f"the tokenizer of {source.name} cannot be had: {first_line(error)}; put the files of "
                f"https://huggingface.co/{text['hf_tokenizer_name']} into one folder and name it: "
                f"--model {FOLDER}FOLDER"
            ) from error

    return lambda texts: tokenizer()(texts)


def _huggingface_tokenizer(source: _Source, text: Mapping[str, Any]) -> Tokenizer:
    """From a folder, for which transformers asks no network; open_clip would have it ask for a minute."""
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer

    if source.architecture.startswith(FOLDER):
        folder = Path(source.architecture.removeprefix(FOLDER))
    else:
        folder = hub_folder(text["hf_tokenizer_name"], SMALL_FILES, holding="tokenizer_config.json")
    return HFTokenizer(
        str(folder),
        context_length=text.get("context_length", DEFAULT_CONTEXT_LENGTH),
        tokenizer_mode=text.get("tokenizer_mode"),
        **text.get("tokenizer_kwargs", {}),
    )
