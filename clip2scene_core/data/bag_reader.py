"""A rosbag2 recording opened for random access: one pass indexes it, later reads seek."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clip2scene_core.data.ros_types import typestore
from clip2scene_core.errors import DataError
from clip2scene_core.stamps import stamp_ns_of

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import Connection


class Entry(NamedTuple):
    """Where one message of a topic is."""

    stamp_ns: int
    """Of its header."""
    logged_ns: int
    """When it was recorded, which is what bags are sorted by."""


class BagReader:
    """Messages of one bag; reopens itself in another process, so that data loaders may fork."""

    def __init__(self, path: Path) -> None:
        """`path` is the bag's folder, or one .mcap or .db3 file. Raises DataError where it is no bag."""
        if path.suffix == ".bag":
            raise DataError(
                f"{path} is a ROS 1 bag; convert it with: rosbags-convert --src {path} --dst FOLDER"
            )
        if path.is_dir() and not (path / "metadata.yaml").is_file():
            raise DataError(f"{path} has no metadata.yaml: no bag, or cut off; try: ros2 bag reindex {path}")
        self.path = path
        self._process: int | None = None
        self._reader: AnyReader | None = None
        self.types: dict[str, str] = {c.topic: c.msgtype for c in self._open().connections}
        """Message type by topic."""

    def topics(self, message_type: str) -> list[str]:
        """Those of this message type, in alphabetical order."""
        return sorted(topic for topic, found in self.types.items() if found == message_type)

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, Any]]:
        """Topic, time of recording (ns) and message of everything on these topics, in order."""
        reader = self._open()
        for topic, logged_ns, raw in self.raw(topics):
            with _naming(self.path):
                message = reader.deserialize(raw, self.types[topic])
            yield topic, logged_ns, message

    def raw(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Topic, time of recording (ns) and serialised message of everything on these topics, in order."""
        if not topics:
            return
        reader = self._open()
        with _naming(self.path):
            for connection, logged_ns, raw in reader.messages(_connections(reader, topics)):
                yield connection.topic, logged_ns, raw

    def message(self, topic: str, entry: Entry) -> Any:
        """One message that `messages` gave before."""
        reader = self._open()
        with _naming(self.path):
            near = reader.messages(
                _connections(reader, [topic]), start=entry.logged_ns, stop=entry.logged_ns + 1
            )
            for connection, _, raw in near:
                message = reader.deserialize(raw, connection.msgtype)
                if stamp_ns_of(message) == entry.stamp_ns:
                    return message
        raise DataError(
            f"{self.path}: {topic} has no message at {entry.stamp_ns} ns any more: changed meanwhile?"
        )

    def _open(self) -> AnyReader:
        from rosbags.highlevel import AnyReader

        if self._process != os.getpid():
            with _naming(self.path):
                self._reader = AnyReader([self.path], default_typestore=typestore())
                self._reader.open()
            self._process = os.getpid()
        return self._reader

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_process": None, "_reader": None}


def _connections(reader: AnyReader, topics: Collection[str]) -> list[Connection]:
    return [connection for connection in reader.connections if connection.topic in topics]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Whatever rosbags and its decompressors raise over bad bytes becomes a DataError that names the bag."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is no readable bag: {reason}") from error
