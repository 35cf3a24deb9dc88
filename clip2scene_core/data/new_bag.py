"""Bags of any format while they are written: whole at the end, or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from clip2scene_core.data.bag_file import is_bag
from clip2scene_core.data.ros_types import VISION_MSGS, typestore
from clip2scene_core.errors import DataError

if TYPE_CHECKING:
    from rosbags import rosbag1, rosbag2
    from rosbags.interfaces import Connection, Qos
    from rosbags.typesys.store import Typestore


class BagFormat(str, Enum):
    """Folders of rosbag2 with one or the other storage, or a single file of ROS 1."""

    MCAP = "mcap"
    SQLITE3 = "sqlite3"
    ROS1 = "ros1"


class NewBag(Protocol):
    """Takes messages as ROS 2 serialises them."""

    def write(
        self, topic: str, message_type: str, logged_ns: int, cdr: bytes | memoryview, *, latched: bool = False
    ) -> None:
        """One message; what was said of a topic first tells its type, and whether it is latched."""
        ...


@contextmanager
def new_bag(
    path: Path, *, format: BagFormat = BagFormat.MCAP, compress: bool = False, overwrite: bool = False
) -> Iterator[NewBag]:
    """A bag which is at `path` once the block ended well, and else nowhere.

    `compress` packs MCAP's chunks and SQLite's messages with zstd, ROS 1's chunks with lz4. Raises
    DataError where `path` exists and not `overwrite`, where it is something else than a bag, or is not
    named like one of the format.
    """
    if (path.suffix == ".bag") != (format == BagFormat.ROS1):
        what = "one file; name it NAME.bag" if format == BagFormat.ROS1 else "a folder; name it without .bag"
        raise DataError(f"{path} cannot be a bag of format {format.value}, which is {what}")
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists; remove it or choose another name")
    if path.exists() and not is_bag(path):
        raise DataError(f"{path} is no bag, so it is not replaced; remove it or choose another name")
    hidden = path.parent / f".{path.name}.{os.getpid()}"
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        hidden.mkdir(parents=True)
        writer = _ros1_writer if format == BagFormat.ROS1 else _ros2_writer
        with writer(hidden / path.name, format, compress) as bag:
            yield bag
        if path.exists():
            path.rename(hidden / "old")
        (hidden / path.name).rename(path)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def _ros2_writer(path: Path, format: BagFormat, compress: bool) -> Iterator[NewBag]:
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    # Version 8 of the metadata is what both Humble and Jazzy read.
    writer = Writer(path, version=8, storage_plugin=StoragePlugin[format.name])
    if compress:
        mode = CompressionMode.STORAGE if format == BagFormat.MCAP else CompressionMode.MESSAGE
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        yield _Ros2Bag(writer)


@contextmanager
def _ros1_writer(path: Path, format: BagFormat, compress: bool) -> Iterator[NewBag]:
    from rosbags.rosbag1 import Writer

    writer = Writer(path)
    if compress:
        writer.set_compression(Writer.CompressionFormat.LZ4)
    with writer:
        yield _Ros1Bag(writer)


class _Ros2Bag:
    def __init__(self, writer: rosbag2.Writer) -> None:
        self._writer = writer
        self._connections: dict[str, Connection] = {}

    def write(
        self, topic: str, message_type: str, logged_ns: int, cdr: bytes | memoryview, *, latched: bool = False
    ) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, message_type, typestore=typestore(), offered_qos_profiles=[_qos(latched=latched)]
            )
        self._writer.write(self._connections[topic], logged_ns, cdr)


class _Ros1Bag:
    def __init__(self, writer: rosbag1.Writer) -> None:
        self._writer = writer
        self._connections: dict[str, Connection] = {}

    def write(
        self, topic: str, message_type: str, logged_ns: int, cdr: bytes | memoryview, *, latched: bool = False
    ) -> None:
        if topic not in self._connections:
            definition, md5 = _ros1_typestore().generate_msgdef(message_type)
            self._connections[topic] = self._writer.add_connection(
                topic,
                message_type,
                msgdef=definition,
                md5sum=md5,
                callerid="/clip2scene",
                latching=int(latched),
            )
        # The store of ROS 2, whose headers have no `seq`: rosbags puts it in.
        self._writer.write(self._connections[topic], logged_ns, typestore().cdr_to_ros1(cdr, message_type))


@cache
def _ros1_typestore() -> Typestore:
    """The messages of ROS 1 Noetic with those of TF and class names."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    transforms = {"tf2_msgs/msg/TFMessage": "geometry_msgs/TransformStamped[] transforms\n"}
    for name, text in (transforms | VISION_MSGS).items():
        store.register(get_types_from_msg(text, name))
    return store


def _qos(*, latched: bool) -> Qos:
    """Reliable; what a latched topic said last reaches those who come later."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    never = QosTime(9_223_372_036, 854_775_807)  # RMW_DURATION_INFINITE
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=never,
        lifespan=never,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=never,
        avoid_ros_namespace_conventions=False,
    )
