"""The std_msgs/Header at the beginning of a serialised message, read without the rest of the message."""

from __future__ import annotations

import struct
from typing import NamedTuple

from clip2scene_core.errors import DataError
from clip2scene_core.stamps import NS_PER_S

HEAD_BYTES = 512
"""So many bytes of a message hold its header and the two numbers behind it."""


class Header(NamedTuple):
    """What a message begins with."""

    stamp_ns: int
    """0 where nobody has set it."""
    frame_id: str
    points: int
    """The product of the two uint32 behind the header: of a cloud or image, height and width."""


def read_header(head: bytes, encoding: str) -> Header:
    """From the first bytes of a message. Raises DataError where they are too few, or not in cdr or ros1."""
    if encoding not in ("cdr", "ros1"):
        raise DataError(f"the encoding '{encoding}' is not one of ROS")
    # CDR aligns to the end of its four bytes of encapsulation, ROS 1 not at all but has a number first.
    order = ">" if encoding == "cdr" and head[1:2] == b"\0" else "<"
    try:
        seconds, nanoseconds, size = struct.unpack_from(
            f"{order}{'i' if encoding == 'cdr' else 'I'}II", head, 4
        )
        frame = head[16 : 16 + size]
        behind = 16 + size if encoding == "ros1" else 16 + (size + 3) // 4 * 4
        rows, columns = struct.unpack_from(f"{order}II", head.ljust(behind + 8, b"\0"), behind)
    except struct.error as error:
        raise DataError(f"a message of {len(head)} bytes has no header") from error
    if len(frame) < size or nanoseconds >= NS_PER_S:
        raise DataError("a message has a damaged header")
    stamp_ns = seconds * NS_PER_S + nanoseconds
    return Header(stamp_ns, frame.rstrip(b"\0").decode(errors="replace"), rows * columns)
