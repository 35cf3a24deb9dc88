"""One file of a feature cache: patches of the images of some frames, as safetensors in half precision.

The tensors are `FRAME/CAMERA/features` and, where there are keys, `FRAME/CAMERA/keys`; the header says of
each image what else belongs to its patches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from clip2scene_core.clip.dense import DensePatches
from clip2scene_core.errors import DataError

HEADER = "images"


def as_stored(patches: DensePatches) -> DensePatches:
    """The patches as a shard gives them back: in half precision, on the CPU."""
    keys = None if patches.keys is None else _as_stored(patches.keys)
    return replace(patches, features=_as_stored(patches.features), keys=keys)


def _as_stored(values: Tensor) -> Tensor:
    return values.detach().to("cpu", torch.float16).contiguous()


def shard_bytes(patches: Mapping[tuple[int, str], DensePatches]) -> bytes:
    """The content of a file with the patches (B = 1, as stored) of images by frame and camera."""
    tensors, images = {}, {}
    for (frame, camera), dense in patches.items():
        name = f"{frame}/{camera}"
        images[name] = {"image_size": dense.image_size, "patch_px": dense.patch_px}
        tensors[f"{name}/features"] = dense.features
        if dense.keys is not None:
            tensors[f"{name}/keys"] = dense.keys
    return serialised(tensors, {HEADER: json.dumps(images, sort_keys=True)})


def damage(path: Path, size_bytes: int, sha256: str | None = None) -> str:
    """What is wrong with a file, '' for nothing; looks at its size and, given `sha256`, at every byte."""
    try:
        if (size := path.stat().st_size) != size_bytes:
            return f"size expected {size_bytes} bytes, got {size}"
        if sha256 is not None and (digest := _sha256(path)) != sha256:
            return f"sha256 expected {sha256[:12]}..., got {digest[:12]}..."
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def damaged(path: Path, what: str) -> DataError:
    """The error that reports a damage."""
    return DataError(f"{path} is damaged: {what}; fill the cache again, which replaces damaged files only")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class FeatureShard:
    """A file that is mapped into memory: only what is asked for is read."""

    def __init__(self, path: Path) -> None:
        """Raises DataError where it is missing, truncated or something else."""
        try:
            self._file: Any = safe_open(path, framework="pt")
            self._images = json.loads(self._file.metadata()[HEADER])
            self._names = frozenset(self._file.keys())
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise damaged(path, str(error)) from error

    def patches(self, frame: int, camera: str) -> DensePatches | None:
        """Those of an image, B = 1; None where it is not in the file."""
        name = f"{frame}/{camera}"
        if name not in self._images:
            return None
        image = self._images[name]
        keys = f"{name}/keys"
        return DensePatches(
            features=self._file.get_tensor(f"{name}/features"),
            keys=self._file.get_tensor(keys) if keys in self._names else None,
            patch_px=image["patch_px"],
            image_size=tuple(image["image_size"]),
        )
