"""Single files of recordings; whatever is wrong with one is a DataError that names it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from clip2scene_core.errors import DataError

PNG_MAGIC = b"\x89PNG"


def read_points(path: Path, columns: int) -> np.ndarray:
    """(N, columns) float32 of a file that holds nothing else, such as KITTI's .bin."""
    return _read_array(path, np.dtype("<f4"), columns, f"points of {columns} float32").reshape(-1, columns)


def read_class_ids(path: Path, dtype: str, points: int) -> np.ndarray:
    """(points,) raw class ids of `dtype`, one per point of the scan that they belong to."""
    ids = _read_array(path, np.dtype(dtype), 1, f"{np.dtype(dtype).name} labels")
    if len(ids) != points:
        raise DataError(
            f"{path} has {len(ids)} labels but its scan has {points} points: not of the same scan?"
        )
    return ids


def _read_array(path: Path, dtype: np.dtype, columns: int, what: str) -> np.ndarray:
    data = read_bytes(path)
    if len(data) % (columns * dtype.itemsize):
        raise DataError(
            f"{path} has {len(data)} bytes, no whole number of {what}: truncated or another format?"
        )
    return np.frombuffer(data, dtype)


def read_image(path: Path) -> tuple[np.ndarray, bytes | None]:
    """(H, W, 3) uint8 RGB, and the file itself where it is JPEG or PNG."""
    return decode_image(read_bytes(path), str(path))


def decode_image(data: bytes, name: str) -> tuple[np.ndarray, bytes | None]:
    """`read_image` of the bytes of a file that errors call `name`."""
    return _pixels(data, name, "RGB"), jpeg_or_png(data)


def read_depth(path: Path) -> np.ndarray:
    """(H, W) integers of a picture with one channel of 16 bits or more, such as a PNG of depths."""
    depth = _pixels(read_bytes(path), str(path))
    if depth.ndim != 2 or depth.dtype.itemsize < 2:
        raise DataError(f"{path} must have one channel of 16 bits, got {depth.dtype} {depth.shape}")
    return depth


def _pixels(data: bytes, name: str, mode: str | None = None) -> np.ndarray:
    """Of a picture, converted to a `mode` of Pillow where one is given."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image if mode is None else image.convert(mode))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{name} is no whole image: {error}") from error


def jpeg_or_png(data: bytes) -> bytes | None:
    """`data` where they are such a file, which CameraImage.encoded takes; else None."""
    return data if data.startswith((b"\xff\xd8\xff", PNG_MAGIC)) else None


def read_text(path: Path) -> str:
    """The text of a file in UTF-8."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text file: {error}") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise DataError(f"{path} is no JSON file: {error}") from error


def read_numbers(path: Path, columns: int) -> np.ndarray:
    """(N, columns) float64 of a text file with that many numbers a line."""
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        if len(line) != columns:
            raise DataError(f"{path} line {number} has {len(line)} numbers, expected {columns}")
    try:
        return np.array(lines, np.float64).reshape(-1, columns)
    except ValueError as error:
        raise DataError(f"{path} holds something that is no number: {error}") from error


def read_bytes(path: Path) -> bytes:
    """All of a file."""
    with opened(path) as file:
        return file.read()


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file to read; what the system has against it is a DataError."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist: the recording is incomplete or its root is another folder"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
