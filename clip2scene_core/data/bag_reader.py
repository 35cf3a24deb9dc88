"""Bags of ROS 1 and ROS 2 opened for random access: one pass finds the messages, later reads seek."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Collection, Iterator, Sequence
from heapq import heappop, heappush
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, NamedTuple

from clip2scene_core.data import mcap_file, ros1_file, sqlite_file
from clip2scene_core.data.bag_file import BagFile, Connection, Message, Position, find_files
from clip2scene_core.data.definitions import Definitions, read_definitions, starts_with_header, typestore_of
from clip2scene_core.data.headers import HEAD_BYTES, Header, read_header
from clip2scene_core.data.packing import ZSTD_MAGIC, unpack_file, unpack_message, unpacked_name
from clip2scene_core.errors import DataError
from clip2scene_core.stamps import NS_PER_S, stamp_ns_of

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore


class Entry(NamedTuple):
    """Where one message of a topic is."""

    stamp_ns: int
    """Of its header, or what stands for it."""
    logged_ns: int
    """When it was recorded."""
    position: Position
    """For BagReader.message."""


class Recorded(NamedTuple):
    """A message that was found."""

    topic: str
    logged_ns: int
    position: Position
    head: bytes


class BagReader:
    """Messages of one bag; opens its files again in another process, so that data loaders may fork.

    A packed file is unpacked to a temporary folder, which is there as long as the first reader is.
    All messages are given as ROS 2 names and serialises them, those of a ROS 1 bag too.
    """

    def __init__(self, path: Path, *, definitions: Path | str | None = None) -> None:
        """`path` is the bag's folder or one of its files; `definitions` a .msg file or a folder of them.

        A bag whose recorder was killed is read as far as it goes. Raises DataError where nothing can be.
        """
        self.path = path
        self.types: dict[str, str] = {}
        """Message type by topic."""
        self._definitions = Definitions() if definitions is None else read_definitions(Path(definitions))
        self._damaged_parts: set[tuple[int, int]] = set()
        self._damaged_messages: dict[str, set[Position]] = {}
        self._process = os.getpid()
        paths, notes = find_files(path)
        self._files, problems = _open_files(paths, self)
        self._notes = ["; ".join([*notes, *problems])] if notes or problems else []
        connections = (c for file in self._files for c in file.connections.values())
        for topic, kind in dict.fromkeys((c.topic, c.type) for c in connections):
            used = self.types.setdefault(topic, kind)
            if used != kind:
                self._notes.append(f"{topic} has messages of {used}, and of {kind}, which are left out")

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing or damaged, as far as it was read; one line each."""
        parts = sum(len(file.starts_ns) for file in self._files)
        damaged = len(self._damaged_parts)
        return (
            *self._notes,
            *([f"{damaged} of {parts} parts of {self.path} are damaged"] if damaged else []),
            *(
                f"{topic}: {len(found)} messages are damaged and left out"
                for topic, found in self._damaged_messages.items()
            ),
        )

    def topics(self, message_type: str) -> list[str]:
        """Those of this message type, in alphabetical order."""
        return sorted(topic for topic, found in self.types.items() if found == message_type)

    def has_header(self, topic: str) -> bool:
        """Whether the messages of a topic begin with a std_msgs/Header; False where nobody knows."""
        connection = next(c for file in self._files for c in file.connections.values() if c.topic == topic)
        try:
            store = self._store(connection)
        except DataError:
            return False
        return connection.encoding in ("cdr", "ros1") and starts_with_header(store, connection.type)

    def find(self, topics: Collection[str], *, head_bytes: int = HEAD_BYTES) -> Iterator[Recorded]:
        """Everything on these topics in the order of recording, without reading whole messages."""
        files = self._opened()
        wanted = [
            {n for n, c in file.connections.items() if c.topic in topics and self.types[c.topic] == c.type}
            for file in files
        ]
        parts = sorted(
            (ns, f, part) for f, file in enumerate(files) for part, ns in enumerate(file.starts_ns)
        )
        waiting: list[tuple[int, int, Recorded]] = []
        count = 0
        for start_ns, f, part in parts:
            while waiting and waiting[0][0] <= start_ns:
                yield heappop(waiting)[2]
            for message in self._messages_of(f, part, wanted[f], head_bytes):
                topic = files[f].connections[message.connection].topic
                position = (f, message.connection, *message.position)
                recorded = Recorded(topic, message.logged_ns, position, message.head)
                heappush(waiting, (message.logged_ns, count, recorded))
                count += 1
        while waiting:
            yield heappop(waiting)[2]

    def header(self, recorded: Recorded) -> Header | None:
        """Of a message whose type has one; None where it is damaged."""
        head, encoding = recorded.head, self._connection(recorded.position).encoding
        try:
            if encoding != "ros1" and head.startswith(ZSTD_MAGIC):
                head = self._cdr(recorded.position)
            return read_header(head, encoding)
        except DataError:
            self._damaged_messages.setdefault(recorded.topic, set()).add(recorded.position)
            return None

    def load(self, recorded: Recorded) -> Any | None:
        """The whole message; None where it is damaged. Raises DataError where its type is unknown."""
        store = self._store(self._connection(recorded.position))
        try:
            return self._deserialised(recorded.position, store)
        except DataError:
            self._damaged_messages.setdefault(recorded.topic, set()).add(recorded.position)
            return None

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, Any]]:
        """Topic, time of recording (ns) and message of everything on these topics, in order."""
        for recorded in self.find(topics, head_bytes=0):
            if (message := self.load(recorded)) is not None:
                yield recorded.topic, recorded.logged_ns, message

    def raw(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Topic, time of recording (ns) and message in CDR of everything on these topics, in order."""
        for recorded in self.find(topics, head_bytes=0):
            try:
                yield recorded.topic, recorded.logged_ns, self._cdr(recorded.position)
            except DataError:
                self._damaged_messages.setdefault(recorded.topic, set()).add(recorded.position)

    def message(self, topic: str, entry: Entry) -> Any:
        """One message. Where its header has no time, it gets that of the entry. Raises DataError."""
        self._opened()
        try:
            message = self._deserialised(entry.position, self._store(self._connection(entry.position)))
        except DataError as error:
            raise DataError(f"{self.path}: {topic} at {entry.stamp_ns} ns cannot be read: {error}") from error
        if not stamp_ns_of(message):
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(entry.stamp_ns, NS_PER_S)
        return message

    def _messages_of(
        self, file: int, part: int, wanted: Collection[int], head_bytes: int
    ) -> Iterator[Message]:
        try:
            if wanted:
                yield from self._files[file].messages(part, wanted, head_bytes)
        except (DataError, OSError):
            self._damaged_parts.add((file, part))

    def _cdr(self, position: Position) -> bytes:
        """A message as ROS 2 serialises it. Raises DataError where it is damaged."""
        connection = self._connection(position)
        try:
            data = self._files[position[0]].read(position[2:])
        except OSError as error:
            raise DataError(f"the file cannot be read: {error.strerror}") from error
        if connection.encoding == "ros1":
            store = self._store(connection)
            try:
                return bytes(store.ros1_to_cdr(data, connection.type))
            except Exception as error:  # Whatever the generated code of rosbags raises over bad bytes.
                raise DataError(f"no {connection.type}: {_line(error)}") from error
        if connection.encoding != "cdr":
            raise DataError(f"its encoding is '{connection.encoding}'; read are cdr and ros1")
        return unpack_message(data) if data.startswith(ZSTD_MAGIC) else data

    def _deserialised(self, position: Position, store: Typestore) -> Any:
        connection, data = self._connection(position), self._cdr(position)
        try:
            return store.deserialize_cdr(data, connection.type)
        except Exception as error:  # Whatever the generated code of rosbags raises over bad bytes.
            raise DataError(f"no {connection.type}: {_line(error)}") from error

    def _connection(self, position: Position) -> Connection:
        return self._files[position[0]].connections[position[1]]

    def _store(self, connection: Connection) -> Typestore:
        """Made when first asked for, so that unknown types disturb nobody else."""
        return typestore_of(connection, self._definitions)

    def _opened(self) -> Sequence[BagFile]:
        if self._process != os.getpid():
            try:
                for file in self._files:
                    file.reopen()
            except OSError as error:
                raise DataError(f"{self.path} cannot be opened again: {error.strerror}") from error
            self._process = os.getpid()
        return self._files

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_process": None}


def _open_files(paths: Sequence[Path], owner: object) -> tuple[list[BagFile], list[str]]:
    """Those that can be opened, and a line for each that is not whole; what is unpacked goes with `owner`.

    Raises DataError where none can be opened.
    """
    files: list[BagFile] = []
    problems = []
    for path in paths:
        try:
            content, whole = _unpacked(path, owner)
            files.append(open_bag_file(content))
            problem = files[-1].problem or ("" if whole else "its end is missing; what is before it is read")
        except (DataError, OSError) as error:
            problem = str(error)
            if len(paths) == 1:
                raise DataError(f"{path} cannot be read: {_line(error)}") from error
        problems += [f"{path.name}: {problem}"] if problem else []
    if not files:
        raise DataError(f"{paths[0].parent} has no file that can be read: {'; '.join(problems)}")
    return files, problems


def open_bag_file(path: Path) -> BagFile:
    """By what it begins with, since names are not to be trusted. Raises DataError where it is no bag."""
    with path.open("rb") as file:
        magic = file.read(16)
    if magic.startswith(sqlite_file.MAGIC):
        return sqlite_file.SqliteFile(path)
    if magic.startswith(mcap_file.MAGIC):
        return mcap_file.McapFile(path)
    if magic.startswith(b"#ROSBAG"):
        return ros1_file.Ros1File(path)
    raise DataError(f"it begins with {magic!r}, as no bag of ROS does" if magic else "it is empty")


def _unpacked(path: Path, owner: object) -> tuple[Path, bool]:
    """The file, or what is packed in it and whether that is whole; it is removed with its owner."""
    with path.open("rb") as file:
        if file.read(len(ZSTD_MAGIC)) != ZSTD_MAGIC:
            return path, True
    folder = Path(mkdtemp(prefix="clip2scene_"))
    weakref.finalize(owner, _remove, folder, os.getpid())
    target = folder / unpacked_name(path.name)
    return target, unpack_file(path, target)


def _remove(folder: Path, process: int) -> None:
    """Not in a fork, which uses it too."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
