"""MCAP files, with or without the summary at their end (https://mcap.dev/spec)."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO, NamedTuple

from clip2scene_core.data.bag_file import Connection, normalised_type
from clip2scene_core.data.chunked_file import DAMAGE, Chunk, ChunkedFile, Found, prefixed
from clip2scene_core.errors import DataError

MAGIC = b"\x89MCAP0\r\n"

FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX, STATISTICS, DATA_END = 2, 3, 4, 5, 6, 8, 11, 15

RECORD = struct.Struct("<BQ")
MESSAGE_HEAD = struct.Struct("<HIQQ")
CHUNK_HEAD = struct.Struct("<QQQI")
CHUNK_INDEX_HEAD = struct.Struct("<QQQQ")
STATISTICS_HEAD = struct.Struct("<QHIIII")
FOOTER_RECORD = struct.Struct("<BQQQI")


class _Schema(NamedTuple):
    name: str
    encoding: str
    text: str


class McapFile(ChunkedFile):
    """One .mcap file; where its summary is missing, reading it once finds what is there."""

    def _open(self) -> None:
        self._schemas: dict[int, _Schema] = {}
        if self._bytes(0, min(len(MAGIC), self._size)) != MAGIC:
            raise DataError("it does not begin like an MCAP file")
        summary = self._summary_offset()
        if summary is None:
            self.problem = "its end is missing, as when a recorder is killed; what is before it is read"
        if not summary or not self._read_summary(summary):
            self._search()

    def _summary_offset(self) -> int | None:
        """0 where there is no summary; None where the file has no end."""
        size = FOOTER_RECORD.size + len(MAGIC)
        if self._size < len(MAGIC) + size:
            return None
        end = self._bytes(self._size - size, size)
        opcode, length, offset, _, _ = FOOTER_RECORD.unpack(end[: FOOTER_RECORD.size])
        whole = end.endswith(MAGIC) and (opcode, length) == (FOOTER, FOOTER_RECORD.size - RECORD.size)
        return int(offset) if whole else None

    def _read_summary(self, offset: int) -> bool:
        """Connections and chunks from the summary; False where it does not have them all."""
        expected = None
        try:
            for opcode, begin, size in self._records(self._file, offset, self._size):
                if opcode in (SCHEMA, CHANNEL):
                    self._declare(opcode, self._bytes(begin, size))
                elif opcode == CHUNK_INDEX:
                    self._chunks.append(self._indexed_chunk(self._bytes(begin, size)))
                elif opcode == STATISTICS:
                    _, _, channels, _, _, chunks = STATISTICS_HEAD.unpack_from(self._bytes(begin, size))
                    expected = (channels, chunks)
                elif opcode == FOOTER:
                    break
        except DAMAGE:
            return False
        return bool(self._chunks) and expected in (None, (len(self.connections), len(self._chunks)))

    def _indexed_chunk(self, record: bytes) -> Chunk:
        start_ns, _, offset, _ = CHUNK_INDEX_HEAD.unpack_from(record)
        stream = BytesIO(record[CHUNK_INDEX_HEAD.size :])
        channels = frozenset(channel for channel, _ in struct.iter_unpack("<HQ", prefixed(stream)))
        stream.seek(8, 1)
        compression = prefixed(stream).decode()
        packed, unpacked = struct.unpack("<QQ", stream.read(16))
        checksum = offset + RECORD.size + CHUNK_HEAD.size - 4
        content = checksum + 4 + 4 + len(compression) + 8
        if content + packed > self._size:
            raise EOFError("a chunk ends beyond the file")
        return Chunk(start_ns, content, packed, compression, unpacked, checksum, channels or None)

    def _search(self) -> None:
        """Goes from record to record, up to where the file ends or is damaged."""
        self._chunks.clear()
        try:
            for opcode, begin, size in self._records(self._file, len(MAGIC), self._size):
                if opcode in (SCHEMA, CHANNEL):
                    self._declare(opcode, self._bytes(begin, size))
                elif opcode == CHUNK:
                    self._add_chunk(begin, size)
                elif opcode == MESSAGE:
                    _, _, logged_ns, _ = MESSAGE_HEAD.unpack(self._file.read(MESSAGE_HEAD.size))
                    self._add_loose(begin - RECORD.size, begin + size, logged_ns)
                elif opcode in (DATA_END, FOOTER):
                    return
        except DAMAGE:
            self.problem = self.problem or "it is damaged; what is before the damage is read"

    def _add_chunk(self, begin: int, size: int) -> None:
        """Of a chunk record without an entry in the summary."""
        self._file.seek(begin)
        _, _, unpacked, _ = CHUNK_HEAD.unpack(self._file.read(CHUNK_HEAD.size))
        compression = prefixed(self._file).decode()
        (packed,) = struct.unpack("<Q", self._file.read(8))
        content = self._file.tell()
        if content + packed > begin + size:
            raise EOFError("a chunk ends beyond its record")
        self._add(Chunk(0, content, packed, compression, unpacked, begin + CHUNK_HEAD.size - 4))

    def _found(self, stream: BinaryIO, begin: int, end: int) -> Iterator[Found]:
        for opcode, offset, size in self._records(stream, begin, end):
            if opcode == MESSAGE:
                channel, _, logged_ns, _ = MESSAGE_HEAD.unpack(stream.read(MESSAGE_HEAD.size))
                if size < MESSAGE_HEAD.size or logged_ns > sys.maxsize:
                    raise ValueError(f"no message begins at byte {offset}")
                yield Found(logged_ns, channel, offset + MESSAGE_HEAD.size, size - MESSAGE_HEAD.size)
            elif opcode in (SCHEMA, CHANNEL):
                self._declare(opcode, stream.read(size))

    @staticmethod
    def _records(stream: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Opcode, offset and size of records; the stream is at the offset then."""
        while begin < end:
            stream.seek(begin)
            opcode, size = RECORD.unpack(stream.read(RECORD.size))
            begin += RECORD.size
            if not opcode:
                raise ValueError(f"no record begins at byte {begin - RECORD.size}")
            if size > end - begin:
                raise EOFError(f"a record of {size} bytes ends beyond byte {end}")
            yield opcode, begin, size
            begin += size

    def _declare(self, opcode: int, record: bytes) -> None:
        """A schema, or a channel that has one."""
        stream = BytesIO(record)
        (number,) = struct.unpack("<H", stream.read(2))
        if opcode == SCHEMA:
            name, kind, text = (prefixed(stream) for _ in range(3))
            self._schemas[number] = _Schema(name.decode(), kind.decode(), text.decode(errors="replace"))
        elif number not in self.connections:
            (schema_number,) = struct.unpack("<H", stream.read(2))
            schema = self._schemas.get(schema_number, _Schema("", "", ""))
            topic, encoding = prefixed(stream).decode(), prefixed(stream).decode()
            self.connections[number] = Connection(
                topic, normalised_type(schema.name), encoding, schema.text, schema.encoding
            )
