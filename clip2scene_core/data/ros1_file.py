"""Bags of ROS 1, format 2.0, with or without their index (http://wiki.ros.org/Bags/Format/2.0)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import BinaryIO, NamedTuple

from clip2scene_core.data.bag_file import Connection, normalised_type
from clip2scene_core.data.chunked_file import DAMAGE, Chunk, ChunkedFile, Found, prefixed
from clip2scene_core.errors import DataError
from clip2scene_core.stamps import NS_PER_S

MAGIC = b"#ROSBAG V2.0\n"

MESSAGE, BAG_HEADER, CHUNK, CHUNK_INFO, CONNECTION = 2, 3, 5, 6, 7


class _Record(NamedTuple):
    fields: Mapping[bytes, bytes]
    start: int
    """Where the record begins in its stream."""
    begin: int
    """Where its data begin."""
    size: int

    @property
    def opcode(self) -> int:
        return self.fields[b"op"][0]

    def number(self, name: bytes) -> int:
        """A field that is an unsigned integer. Raises DataError where there is none."""
        if name not in self.fields:
            raise DataError(f"a record has no field {name.decode()}")
        return int.from_bytes(self.fields[name], "little")

    def time_ns(self, name: bytes) -> int:
        seconds, nanoseconds = struct.unpack("<II", self.fields.get(name, b""))
        return int(seconds * NS_PER_S + nanoseconds)


class Ros1File(ChunkedFile):
    """One .bag file; where its index is missing, reading it once finds what is there."""

    def _open(self) -> None:
        magic = self._bytes(0, min(len(MAGIC), self._size))
        if magic != MAGIC:
            raise DataError(f"it does not begin like a bag of ROS 1, format 2.0, but with {magic!r}")
        try:
            header = next(self._records(self._file, len(MAGIC), self._size))
            index, chunks = header.number(b"index_pos"), header.number(b"chunk_count")
        except (*DAMAGE, StopIteration) as error:
            raise DataError("it ends before its header is complete") from error
        if header.fields.get(b"encryptor"):
            raise DataError("it is encrypted; decrypt it with: rosbag decrypt")
        if not index or not self._read_index(index, chunks):
            self.problem = "its index is missing, as when a recorder is killed; what is there is read"
            self._search(header.begin + header.size)

    def _read_index(self, offset: int, count: int) -> bool:
        """Connections and chunks as the end of the file lists them; False where they are not all there."""
        try:
            for record in self._records(self._file, offset, self._size):
                if record.opcode == CONNECTION:
                    self._declare(record, self._bytes(record.begin, record.size))
                elif record.opcode == CHUNK_INFO:
                    counts = struct.iter_unpack("<II", self._bytes(record.begin, record.size))
                    connections = frozenset(connection for connection, _ in counts)
                    start_ns = record.time_ns(b"start_time")
                    chunk = next(self._records(self._file, record.number(b"chunk_pos"), self._size))
                    self._chunks.append(_chunk(chunk)._replace(start_ns=start_ns, connections=connections))
        except (*DAMAGE, StopIteration):
            return False
        return len(self._chunks) == count

    def _search(self, offset: int) -> None:
        """Goes from record to record, up to where the file ends or is damaged."""
        self._chunks.clear()
        try:
            for record in self._records(self._file, offset, self._size):
                if record.opcode == CHUNK:
                    self._add(_chunk(record))
                elif record.opcode == CONNECTION:
                    self._declare(record, self._bytes(record.begin, record.size))
                elif record.opcode == MESSAGE:  # Of a chunk whose size the recorder did not come to write.
                    self._add_loose(record.start, record.begin + record.size, record.time_ns(b"time"))
        except DAMAGE:
            pass  # `problem` says it already.

    def _found(self, stream: BinaryIO, begin: int, end: int) -> Iterator[Found]:
        for record in self._records(stream, begin, end):
            if record.opcode == MESSAGE:
                yield Found(record.time_ns(b"time"), record.number(b"conn"), record.begin, record.size)
            elif record.opcode == CONNECTION:
                self._declare(record, stream.read(record.size))

    @staticmethod
    def _records(stream: BinaryIO, begin: int, end: int) -> Iterator[_Record]:
        """The stream is at the beginning of a record's data then."""
        while begin < end:
            stream.seek(begin)
            fields = _fields(prefixed(stream))
            (size,) = struct.unpack("<I", stream.read(4))
            record = _Record(fields, begin, stream.tell(), size)
            if not fields.get(b"op"):
                raise ValueError(f"no record begins at byte {begin}")
            if size > end - record.begin:
                raise EOFError(f"a record of {size} bytes ends beyond byte {end}")
            yield record
            begin = record.begin + size

    def _declare(self, record: _Record, data: bytes) -> None:
        number = record.number(b"conn")
        if number not in self.connections:
            fields = _fields(data)
            # The topic of the header is the one that was subscribed to, as is that of rosbag.
            topic = record.fields.get(b"topic", b"").decode()
            type_name = normalised_type(fields.get(b"type", b"").decode())
            definition = fields.get(b"message_definition", b"").decode(errors="replace")
            self.connections[number] = Connection(topic, type_name, "ros1", definition, "ros1msg")


def _chunk(record: _Record) -> Chunk:
    if record.opcode != CHUNK:
        raise ValueError(f"no chunk begins at byte {record.start}")
    compression = record.fields.get(b"compression", b"").decode()
    packed = "" if compression == "none" else compression
    return Chunk(0, record.begin, record.size, packed, record.number(b"size"))


def _fields(data: bytes) -> dict[bytes, bytes]:
    """`name=value` texts, each behind its length."""
    stream, fields = BytesIO(data), {}
    while stream.tell() < len(data):
        name, _, value = prefixed(stream).partition(b"=")
        fields[name] = value
    return fields
