"""Pictures that belong to no recording: files and folders of files, upright as people look at them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from clip2scene_core.errors import DataError
from clip2scene_core.images import COMPRESSIONS

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def find_pictures(paths: Iterable[Path]) -> dict[Path, Path]:
    """Each picture of these files and folders, with a name of its own for results: relative, no suffix.

    Folders are searched through, hidden files left out. Raises DataError where a path does not exist, or
    there is no picture at all.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} does not exist")
        if path.is_dir():
            inside = sorted(p for p in path.rglob("[!.]*") if p.suffix.lower() in SUFFIXES)
            found |= {p: p.relative_to(path).with_suffix("") for p in inside}
        else:
            found[path] = Path(path.stem)
    if not found:
        raise DataError(f"{', '.join(map(str, paths))}: no picture; they end in {', '.join(SUFFIXES)}")
    return _distinct(found)


def _distinct(found: dict[Path, Path]) -> dict[Path, Path]:
    """A number after names that several pictures have."""
    taken: dict[Path, int] = {}
    named = {}
    for path, name in found.items():
        taken[name] = taken.get(name, 0) + 1
        named[path] = name if taken[name] == 1 else name.with_name(f"{name.name}_{taken[name]}")
    return named


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned as its Exif orientation says. Raises DataError where it is no picture."""
    try:
        with Image.open(path, formats=COMPRESSIONS) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no readable picture: {error}") from error
