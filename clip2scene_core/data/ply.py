"""PLY meshes: what is known of their vertices."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clip2scene_core.data.files import read_bytes
from clip2scene_core.errors import DataError

ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"},
    **{"int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"},
}
END = b"end_header"


def read_vertices(path: Path, *properties: str) -> np.ndarray:
    """(N,) structured, with a field for each property of the vertices of a binary PLY file.

    Raises DataError where the file is no such PLY, ends early or lacks one of `properties`.
    """
    data = read_bytes(path)
    end = data.find(END)
    if not data.startswith(b"ply") or end < 0:
        raise DataError(f"{path} is no PLY file")
    try:
        dtype, count = _vertices(data[:end].decode("ascii"))
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is no binary PLY file whose vertices come first: {error}") from error
    if missing := [name for name in properties if name not in (dtype.names or ())]:
        raise DataError(
            f"{path} has no property '{missing[0]}' at its vertices; it has {', '.join(dtype.names or ())}"
        )
    start = data.find(b"\n", end) + 1
    if len(data) - start < count * dtype.itemsize:
        whole = (len(data) - start) // dtype.itemsize
        raise DataError(f"{path} ends after {whole} of {count} vertices: truncated?")
    return np.frombuffer(data, dtype, count, start)


def _vertices(header: str) -> tuple[np.dtype, int]:
    """Their type and number. Raises KeyError or ValueError where the header does not tell."""
    order, count = "", -1
    fields: list[tuple[str, str]] = []
    for line in header.splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            order = ORDERS[" ".join(words[1:2])]
        elif words[:1] == ["element"]:
            if count >= 0:
                break  # Faces, mostly.
            _, name, number = words
            if name != "vertex" or int(number) < 0:
                raise ValueError(f"its first element is '{name} {number}'")
            count = int(number)
        elif words[:1] == ["property"]:
            _, kind, name = words
            fields.append((name, order + TYPES[kind]))
    if not order or not fields:
        raise ValueError("its header is incomplete")
    return np.dtype(fields), count
