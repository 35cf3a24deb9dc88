"""Unpacks what recorders pack: chunks, single messages and whole files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from clip2scene_core.errors import DataError

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PACKED_SUFFIXES = (".zstd", ".zst")

LARGEST_MESSAGE = 1 << 30
"""Bytes; a packed message that says it is larger is damaged."""

BLOCK = 1 << 22


def unpacked_name(name: str) -> str:
    """The name of a packed file without what says that it is."""
    for suffix in PACKED_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def unpack(packed: bytes, compression: str, size: int) -> bytes:
    """`size` bytes that were packed with zstd, lz4 or bz2. Raises DataError where they are damaged."""
    if not size:
        return b""
    decompressor, errors = _decompressor(compression)
    try:
        content: bytes = decompressor.decompress(packed, size)
    except errors as error:
        raise DataError(f"damaged {compression} data: {error}") from error
    if len(content) != size:
        raise DataError(f"damaged {compression} data: expected {size} bytes, got {len(content)}")
    return content


def unpack_message(packed: bytes) -> bytes:
    """A message that was packed alone, with zstd. Raises DataError where it is damaged."""
    decompressor, errors = _decompressor("zstd")
    try:
        content: bytes = decompressor.decompress(packed, LARGEST_MESSAGE)
    except errors as error:
        raise DataError(f"damaged zstd data: {error}") from error
    if not decompressor.eof:
        raise DataError("damaged zstd data: its end is missing")
    return content


def unpack_file(path: Path, target: Path) -> bool:
    """Writes what a zstd file holds to `target`, as far as it goes; tells whether the file is whole.

    Raises DataError where the disk is full.
    """
    decompressor, errors = _decompressor("zstd")
    with path.open("rb") as source, target.open("wb") as unpacked:
        while block := source.read(BLOCK):
            try:
                content = decompressor.decompress(block)
            except errors:
                return False
            try:
                unpacked.write(content)
            except OSError as error:
                raise DataError(
                    f"{path} cannot be unpacked in {target.parent}: {error.strerror}; "
                    f"set TMPDIR to a larger disk, or unpack it with: zstd -d {path}"
                ) from error
    return bool(decompressor.eof)


def _decompressor(compression: str) -> tuple[Any, tuple[type[Exception], ...]]:
    """A fresh one, and what it raises over damaged data."""
    if compression == "zstd":
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        return zstd.ZstdDecompressor(), (zstd.ZstdError, EOFError)
    if compression == "lz4":
        from lz4.frame import LZ4FrameDecompressor

        return LZ4FrameDecompressor(), (RuntimeError, EOFError)
    if compression == "bz2":
        from bz2 import BZ2Decompressor

        return BZ2Decompressor(), (OSError, ValueError, EOFError)
    raise DataError(f"compression '{compression}' is unknown; known are zstd, lz4 and bz2")
