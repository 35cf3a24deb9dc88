"""Bag files whose messages lie in chunks, packed or not: what MCAP and the format of ROS 1 share."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from binascii import crc32
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from clip2scene_core.data.bag_file import Connection, Message, Position
from clip2scene_core.data.packing import unpack
from clip2scene_core.errors import DataError

KEPT_CHUNKS = 4
"""How many unpacked chunks stay in memory for those who ask for neighbouring messages."""

LARGEST_CHUNK = 1 << 30
"""Bytes; a packed chunk or a declaration that says it is larger is damaged."""

LARGEST_TEXT = 1 << 24
"""Bytes of a name, a definition or a header."""

LOOSE_BYTES = 1 << 22
"""Messages outside of chunks are taken together until they have so many bytes."""

DAMAGE = (struct.error, ValueError, EOFError, DataError)
"""What reading damaged bytes raises."""


class Chunk(NamedTuple):
    """A stretch of the file with whole messages in it."""

    start_ns: int
    """No message in it was recorded earlier."""
    offset: int
    size: int
    """Bytes in the file."""
    compression: str = ""
    unpacked_size: int = 0
    checksum_offset: int = 0
    """Where the CRC-32 of what is unpacked is, as uint32 that is 0 if unknown; 0 where there is none."""
    connections: frozenset[int] | None = None
    """Those that have messages in it; None where the file does not say."""


class Found(NamedTuple):
    """A message within a chunk."""

    logged_ns: int
    connection: int
    offset: int
    size: int


class ChunkedFile(ABC):
    """A BagFile; the formats say where the chunks are and how messages lie in them."""

    def __init__(self, path: Path) -> None:
        """Raises DataError where `path` is no file of the format."""
        self.connections: dict[int, Connection] = {}
        self.problem = ""
        self._chunks: list[Chunk] = []
        self._recent: dict[int, bytes] = {}
        self._path = path
        self._size = path.stat().st_size
        self._file: BinaryIO = path.open("rb")
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    @abstractmethod
    def _open(self) -> None:
        """Fills `connections`, `_chunks` and `problem`."""

    @abstractmethod
    def _found(self, stream: BinaryIO, begin: int, end: int) -> Iterator[Found]:
        """The messages between two places of a stream, which others move meanwhile.

        Connections that are declared there are added to `connections`. Raises one of DAMAGE.
        """

    @property
    def starts_ns(self) -> Sequence[int]:
        return [chunk.start_ns for chunk in self._chunks]

    def messages(self, part: int, wanted: Collection[int], head_bytes: int) -> Iterator[Message]:
        chunk = self._chunks[part]
        if chunk.connections is not None and chunk.connections.isdisjoint(wanted):
            return
        try:
            stream, begin, end = self._content(chunk)
            for logged_ns, connection, offset, size in self._found(stream, begin, end):
                if connection in wanted:
                    stream.seek(offset)
                    head = stream.read(min(size, head_bytes))
                    yield Message(logged_ns, connection, (part, offset, size), head)
        except DAMAGE as error:
            raise DataError(f"the chunk at byte {chunk.offset} is damaged: {error}") from error

    def read(self, position: Position) -> bytes:
        part, offset, size = position
        try:
            stream, _, _ = self._content(self._chunks[part])
        except DAMAGE as error:
            raise DataError(f"its chunk is damaged: {error}") from error
        stream.seek(offset)
        data = stream.read(size)
        if len(data) < size:
            raise DataError(f"a message of {size} bytes ends after {len(data)}")
        return data

    def reopen(self) -> None:
        self._file = self._path.open("rb")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None, "_recent": {}}

    def _add(self, chunk: Chunk) -> None:
        """A chunk of which no index says what is in it: reads it."""
        found: list[Found] = []
        with suppress(*DAMAGE):  # Whoever reads the messages is told.
            for message in self._found(*self._content(chunk)):
                found.append(message)
        start_ns = min((message.logged_ns for message in found), default=0)
        channels = frozenset(message.connection for message in found)
        self._chunks.append(chunk._replace(start_ns=start_ns, connections=channels))

    def _add_loose(self, begin: int, end: int, logged_ns: int) -> None:
        """The record of a message outside of all chunks."""
        last = self._chunks[-1] if self._chunks else Chunk(0, 0, 0)
        if not last.compression and last.offset + last.size == begin and last.size < LOOSE_BYTES:
            start_ns = min(last.start_ns, logged_ns) if last.size else logged_ns
            self._chunks[-1] = Chunk(start_ns, last.offset, end - last.offset)
        else:
            self._chunks.append(Chunk(logged_ns, begin, end - begin))

    def _content(self, chunk: Chunk) -> tuple[BinaryIO, int, int]:
        """Where the messages of a chunk begin and end in a stream."""
        if not chunk.compression:
            return self._file, chunk.offset, min(chunk.offset + chunk.size, self._size)
        if chunk.offset not in self._recent:
            while len(self._recent) >= KEPT_CHUNKS:
                del self._recent[next(iter(self._recent))]
            self._recent[chunk.offset] = self._unpack(chunk)
        return BytesIO(self._recent[chunk.offset]), 0, chunk.unpacked_size

    def _unpack(self, chunk: Chunk) -> bytes:
        if chunk.unpacked_size > LARGEST_CHUNK:
            raise DataError(f"a chunk cannot have {chunk.unpacked_size} bytes")
        content = unpack(self._bytes(chunk.offset, chunk.size), chunk.compression, chunk.unpacked_size)
        if chunk.checksum_offset:
            (checksum,) = struct.unpack("<I", self._bytes(chunk.checksum_offset, 4))
            if checksum and crc32(content) != checksum:
                raise DataError("its checksum is wrong")
        return content

    def _bytes(self, offset: int, size: int) -> bytes:
        """Of the file. Raises EOFError where it ends before, or where there are more than can be meant."""
        if size > min(self._size - offset, LARGEST_CHUNK):
            raise EOFError(f"{size} bytes are more than there can be")
        self._file.seek(offset)
        return self._file.read(size)


def prefixed(stream: BinaryIO) -> bytes:
    """Bytes behind their length as uint32. Raises EOFError where they end before, or cannot be so many."""
    (size,) = struct.unpack("<I", stream.read(4))
    data = stream.read(min(size, LARGEST_TEXT))
    if len(data) < size:
        raise EOFError(f"{size} bytes end after {len(data)}")
    return data
