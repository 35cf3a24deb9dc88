"""Weights of a CLIP in all kinds of files that have been published, read without running anything in them."""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from clip2scene_core.clip.hub import first_line
from clip2scene_core.errors import CheckpointError


def load_weights(model: nn.Module, file: Path) -> None:
    """Puts the weights of a file into a model of open_clip.

    Raises CheckpointError naming the first tensor that does not fit or is not finite, or for a file that
    holds more than tensors or cannot be read.
    """
    from open_clip.model import CustomTextCLIP, convert_to_custom_text_state_dict

    weights = _read(file)
    if isinstance(model, CustomTextCLIP):
        weights = convert_to_custom_text_state_dict(weights)
    expected = model.state_dict()
    for name in [*expected, *weights]:
        if name.endswith(".position_ids"):  # older text encoders stored them
            continue
        want, got = expected.get(name), weights.get(name)
        if want is not None and got is not None and want.numel() == got.numel() == 1:
            weights[name] = got = got.reshape(want.shape)  # the temperature is a number or a list of one
        if want is None or got is None or want.shape != got.shape:
            raise CheckpointError(
                f"weights {file}: {name} expected {_shape(want)}, got {_shape(got)}; choose their model"
            )
        if not got.isfinite().all():
            raise CheckpointError(f"weights {file}: {name} expected finite numbers, got NaN or infinity")
    model.load_state_dict(weights, strict=False)


def _shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else str(tuple(tensor.shape))


def _read(file: Path) -> dict[str, Tensor]:
    """Names and tensors of a file, without running any Python that it may hold."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        if _is_torchscript(file):
            return _read_openai(file)
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"weights {file} hold more than tensors, which is not safe to load; store them as .safetensors"
        ) from error
    except (EOFError, OSError, RuntimeError, SafetensorError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"weights {file} cannot be read: {first_line(error)}") from error
    content = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    ):
        raise CheckpointError(f"weights {file}: expected tensors by name, got {type(content).__name__}")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(Path(name).name == "constants.pkl" for name in archive.namelist())


def _read_openai(file: Path) -> dict[str, Tensor]:
    """OpenAI published TorchScript archives, which hold three numbers beside the weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch advises whoever writes such files
        weights = torch.jit.load(file, map_location="cpu").state_dict()
    return {
        name: tensor
        for name, tensor in weights.items()
        if name not in {"input_resolution", "context_length", "vocab_size"}
    }


def hash_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, formats, shapes and values, whatever the order."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {_shape(tensor)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
