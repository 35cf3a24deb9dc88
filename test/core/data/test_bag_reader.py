"""Files of every kind, whole and broken, written with rosbags, with mcap or with SQLite itself."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbags import rosbag1, rosbag2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from test_rosbag import (
    MS,
    START,
    STORE,
    camera_info,
    cloud,
    compressed,
    drive,
    rgb_of,
    xyz_of,
)

from clip2scene_core.data.bag_reader import BagReader
from clip2scene_core.data.ros_types import CLOUD
from clip2scene_core.data.rosbag import RosbagSource
from clip2scene_core.errors import Clip2SceneError, DataError

ROS1 = get_typestore(Stores.ROS1_NOETIC)
ROS1.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf/msg/tfMessage"))
ROS1.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage"))

SCANS = 12


def messages():
    """A drive with a camera, longer than a chunk, in the order of recording."""
    recorded = list(drive(SCANS))
    for i in range(SCANS):
        stamp_ns = START + 100 * i * MS
        recorded += [
            ("/front/image_raw/compressed", stamp_ns + MS, compressed(stamp_ns, rgb_of(i), "png")),
            ("/front/camera_info", stamp_ns + MS, camera_info(7, 5, "plumb_bob", [0.1, 0.2, 0, 0, 0.3])),
        ]
    return sorted(recorded, key=lambda message: message[1])


def as_ros1(message):
    """The same values in the classes of ROS 1: with `seq` in headers and D, K, R, P in CameraInfo."""
    if isinstance(message, list):
        return [as_ros1(item) for item in message]
    if not hasattr(message, "__msgtype__"):
        return message
    fields = {name: as_ros1(value) for name, value in vars(message).items()}
    if message.__msgtype__ == "std_msgs/msg/Header":
        fields["seq"] = 7
    if message.__msgtype__ == "sensor_msgs/msg/CameraInfo":
        fields = {name.upper() if name in "dkrp" else name: value for name, value in fields.items()}
    return ROS1.types[message.__msgtype__](**fields)


def rosbag2_writer(storage: StoragePlugin, mode: CompressionMode = CompressionMode.NONE):
    def write(path: Path, recorded) -> Path:
        writer = rosbag2.Writer(path, version=8, storage_plugin=storage)
        writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            connections = {}
            for topic, logged_ns, message in recorded:
                kind = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
                writer.write(connections[topic], logged_ns, STORE.serialize_cdr(message, kind))
        return path

    return write


def ros1_writer(compression: str = ""):
    def write(path: Path, recorded) -> Path:
        path = path.with_suffix(".bag")
        writer = rosbag1.Writer(path)
        writer.chunk_threshold = 2000
        if compression:
            writer.set_compression(rosbag1.Writer.CompressionFormat[compression])
        with writer:
            connections = {}
            for topic, logged_ns, message in recorded:
                kind = "tf/msg/tfMessage" if topic == "/tf" else message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=ROS1)
                writer.write(connections[topic], logged_ns, ROS1.serialize_ros1(as_ros1(message), kind))
        return path

    return write


def mcap_writer(compression=CompressionType.NONE, *, encoding="cdr", chunk_size=2000, **options):
    """As the library of the format itself writes it."""

    def write(path: Path, recorded) -> Path:
        path = path.with_suffix(".mcap")
        with path.open("wb") as file:
            writer = McapWriter(file, chunk_size=chunk_size, compression=compression, **options)
            writer.start("ros2" if encoding == "cdr" else "ros1")
            channels = {}
            for topic, logged_ns, message in recorded:
                kind = message.__msgtype__
                if topic not in channels:
                    store, version, name = (
                        (STORE, 2, kind) if encoding == "cdr" else (ROS1, 1, kind.replace("/msg", ""))
                    )
                    text, _ = store.generate_msgdef(kind, ros_version=version)
                    schema = writer.register_schema(name, f"ros{version}msg", text.encode())
                    channels[topic] = writer.register_channel(topic, encoding, schema)
                data = (
                    STORE.serialize_cdr(message, kind)
                    if encoding == "cdr"
                    else ROS1.serialize_ros1(as_ros1(message), kind)
                )
                writer.add_message(channels[topic], logged_ns, bytes(data), logged_ns)
            writer.finish()
        return path

    return write


def old_sqlite(path: Path, recorded) -> Path:
    """The tables of Foxy: no definitions; one .db3 file without a folder."""
    rosbag2_writer(StoragePlugin.SQLITE3)(path, recorded)
    shutil.move(path / f"{path.name}.db3", file := path.with_suffix(".db3"))
    with sqlite3.connect(file) as database:
        for table in ("schema", "metadata", "message_definitions"):
            database.execute(f"DROP TABLE {table}")
        database.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    database.close()
    return file


def split(write: Callable[[Path, Iterator], Path], parts: int = 12):
    """A recording in several files, of which _10 comes after _9."""

    def write_parts(path: Path, recorded) -> Path:
        recorded = sorted(recorded, key=lambda message: message[1])
        path.mkdir()
        for part in range(parts):
            written = write(
                path / f"part_{part}",
                recorded[part::parts]
                if parts == 1
                else recorded[part * len(recorded) // parts : (part + 1) * len(recorded) // parts],
            )
            if written.is_dir():
                (file,) = written.glob("part_*")
                file.rename(path / file.name)
                shutil.rmtree(written)
        return path

    return write_parts


KINDS = {
    "mcap": mcap_writer(),
    "mcap zstd": mcap_writer(CompressionType.ZSTD),
    "mcap lz4": mcap_writer(CompressionType.LZ4),
    "mcap without chunks": mcap_writer(use_chunking=False),
    "mcap without an index": mcap_writer(CompressionType.ZSTD, index_types=IndexType.NONE),
    "mcap without a summary of channels": mcap_writer(repeat_channels=False, repeat_schemas=False),
    "mcap of ROS 1": mcap_writer(CompressionType.ZSTD, encoding="ros1"),
    "mcap in a folder": rosbag2_writer(StoragePlugin.MCAP),
    "mcap with packed messages": rosbag2_writer(StoragePlugin.MCAP, CompressionMode.MESSAGE),
    "mcap packed": rosbag2_writer(StoragePlugin.MCAP, CompressionMode.FILE),
    "sqlite": rosbag2_writer(StoragePlugin.SQLITE3),
    "sqlite with packed messages": rosbag2_writer(StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    "sqlite packed": rosbag2_writer(StoragePlugin.SQLITE3, CompressionMode.FILE),
    "sqlite of Foxy": old_sqlite,
    "ROS 1": ros1_writer(),
    "ROS 1 bz2": ros1_writer("BZ2"),
    "ROS 1 lz4": ros1_writer("LZ4"),
    "ROS 1 split": split(ros1_writer()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_same_drive(tmp_path, kind):
    path = KINDS[kind](tmp_path / "bag", messages())
    reader = BagReader(path)
    expected = sorted((logged_ns, topic) for topic, logged_ns, _ in messages())
    assert [logged_ns for _, logged_ns, _ in reader.raw(reader.types)] == [ns for ns, _ in expected]
    assert sorted((ns, topic) for topic, ns, _ in reader.messages(reader.types)) == expected
    source = RosbagSource(path)
    assert source.notes == ((f"{path}: its 12 files are read as one bag",) if "split" in kind else ())
    assert len(source) == SCANS
    in_process = pickle.loads(pickle.dumps(source))  # As it goes to the process of a data loader.
    for i in (7, *range(SCANS)):
        frame = in_process[i]
        np.testing.assert_array_equal(frame.scan.xyz, xyz_of(i).astype(np.float32))
        np.testing.assert_allclose(frame.world_from_lidar.translation, [i + 1, 0, 2], atol=1e-9)
        np.testing.assert_array_equal(frame.images["front"].rgb, rgb_of(i))
        assert frame.images["front"].camera.distortion.tolist() == [0.1, 0.2, 0, 0, 0.3]


def test_split_files_without_metadata_are_one_bag(tmp_path):
    path = split(rosbag2_writer(StoragePlugin.MCAP))(tmp_path / "bag", drive(SCANS))
    source = RosbagSource(path)
    assert source.notes == (
        f"{path}: it has no metadata.yaml, as when a recorder is killed; its 12 files are read as one bag",
    )
    assert [frame.scan.stamp_ns for frame in source] == [START + 100 * i * MS for i in range(SCANS)]
    np.testing.assert_array_equal(source[10].scan.xyz, xyz_of(10).astype(np.float32))


def test_metadata_says_which_files_belong_to_a_bag(tmp_path):
    write = rosbag2_writer(StoragePlugin.MCAP)
    path = write(tmp_path / "bag", drive(3))
    later = [(topic, ns + 10**9, message) for topic, ns, message in drive(2)]
    shutil.copy(write(tmp_path / "other", later) / "other.mcap", path)
    assert len(RosbagSource(path)) == 3
    metadata = yaml.safe_load((path / "metadata.yaml").read_text())
    metadata["rosbag2_bagfile_information"]["relative_file_paths"].append("bag_1.mcap")
    (path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    assert RosbagSource(path).notes == (f"{path}: bag_1.mcap of metadata.yaml is missing",)
    (path / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    assert "metadata.yaml is damaged; every file beside it is read" in RosbagSource(path).notes[0]


def test_a_folder_that_is_no_bag_says_what_is_in_it(tmp_path):
    with pytest.raises(DataError, match=r"has no .mcap, .db3 or .bag file: not a bag"):
        BagReader(tmp_path)
    rosbag2_writer(StoragePlugin.MCAP)(tmp_path / "monday", drive(1))
    ros1_writer()(tmp_path / "monday/old", drive(1))
    (tmp_path / "monday/metadata.yaml").unlink()
    with pytest.raises(DataError, match="name one of the bags in it: monday"):
        BagReader(tmp_path)
    with pytest.raises(DataError, match=r"several kinds \(bag, mcap\); name one of its files"):
        BagReader(tmp_path / "monday")
    assert BagReader(tmp_path / "monday/old.bag").types["/tf"] == "tf2_msgs/msg/TFMessage"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "it is empty"),
        (b"\x1f\x8b\x08 something", "it begins with .* as no bag of ROS does"),
        (b"#ROSBAG V1.2\n", "not begin like a bag of ROS 1, format 2.0"),
        (b"SQLite format 3\0" + bytes(100), "cannot be read"),
        (b"\x28\xb5\x2f\xfd no frame", "cannot be read"),
    ],
)
def test_what_is_no_bag_is_named(tmp_path, content, error):
    path = tmp_path / "file.mcap"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path} cannot be read: .*{error}|{path} {error}") as raised:
        BagReader(path)
    assert "\n" not in str(raised.value)


CUT = {
    "mcap": (mcap_writer(), "its end is missing"),
    "mcap zstd": (mcap_writer(CompressionType.ZSTD), "its end is missing"),
    "mcap without chunks": (mcap_writer(use_chunking=False), "its end is missing"),
    "ROS 1": (ros1_writer(), "its index is missing"),
    "ROS 1 bz2": (ros1_writer("BZ2"), "its index is missing"),
}


def only_file(path: Path) -> Path:
    return path if path.is_file() else next(f for f in path.iterdir() if f.name != "metadata.yaml")


@pytest.mark.parametrize("kind", CUT)
def test_of_a_cut_file_the_beginning_is_read(tmp_path, kind):
    write, note = CUT[kind]
    file = only_file(write(tmp_path / "bag", messages()))
    data = file.read_bytes()
    file.write_bytes(data[: int(0.6 * len(data))])
    source = RosbagSource(file)
    assert 2 <= len(source) < SCANS
    assert len(source.notes) == 1 or "no image within" in source.notes[-1], source.notes
    assert f"{file.name.removesuffix('.zstd')}" in source.notes[0] and note in source.notes[0]
    for i in range(len(source)):
        np.testing.assert_array_equal(source[i].scan.xyz, xyz_of(i).astype(np.float32))


def ros1_record(data: bytes, **fields: bytes) -> bytes:
    header = b"".join(
        struct.pack("<I", len(name) + 1 + len(value)) + name.encode() + b"=" + value
        for name, value in fields.items()
    )
    return struct.pack("<I", len(header)) + header + struct.pack("<I", len(data)) + data


def test_a_bag_of_ros_1_that_is_still_active_is_read(tmp_path):
    """By hand, as a killed rosbag leaves it: no index, and a last chunk that does not know its size."""
    zero, kind = bytes(4), "sensor_msgs/msg/PointCloud2"
    definition, md5 = ROS1.generate_msgdef(kind)
    texts = {"topic": "/points", "type": "sensor_msgs/PointCloud2", "md5sum": md5}
    texts["message_definition"] = definition
    about = ros1_record(b"", **{name: text.encode() for name, text in texts.items()})[4:-4]
    clouds = [
        ros1_record(
            bytes(ROS1.serialize_ros1(as_ros1(cloud(START + i * MS, xyz_of(i))), kind)),
            op=b"\x02",
            conn=zero,
            time=struct.pack("<II", START // 10**9, i * MS),
        )
        for i in range(3)
    ]
    path = tmp_path / "drive.bag.active"
    path.write_bytes(
        b"#ROSBAG V2.0\n"
        + ros1_record(b" " * 4000, op=b"\x03", index_pos=bytes(8), conn_count=zero, chunk_count=zero)
        + ros1_record(b"", op=b"\x05", compression=b"none", size=zero)
        + ros1_record(about, op=b"\x07", conn=zero, topic=b"/points")
        + b"".join(clouds)[:-7]
    )
    source = RosbagSource(path)
    assert "its index is missing" in source.notes[0]
    assert [frame.scan.stamp_ns for frame in source] == [START, START + MS]
    np.testing.assert_array_equal(source[1].scan.xyz, xyz_of(1).astype(np.float32))


@pytest.mark.parametrize(("journal", "expected"), [("WAL", 9), ("DELETE", 5)])
def test_a_database_that_was_never_closed_has_all_that_was_committed(tmp_path, journal, expected):
    """Copied while a recorder writes, which leaves the files that a killed one does."""
    path = old_sqlite(tmp_path / "bag", drive(5))
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute(f"PRAGMA journal_mode={journal}")
        database.execute("PRAGMA cache_size=2")
        ((topic,),) = database.execute("SELECT id FROM topics WHERE name = '/points'")
        database.execute("BEGIN")
        for i in range(5, 9):
            raw = bytes(STORE.serialize_cdr(cloud(START + 100 * i * MS, xyz_of(i, 400)), CLOUD))
            values = (topic, START + 100 * i * MS, raw)
            database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", values)
        if journal == "WAL":
            database.execute("COMMIT")
        killed = tmp_path / "killed.db3"
        for suffix in ("", "-wal", "-journal"):
            if (file := Path(f"{path}{suffix}")).exists():
                shutil.copy(file, f"{killed}{suffix}")
    database.close()
    reader = BagReader(killed)
    assert len(list(reader.find(["/points"]))) == expected
    unfinished = ("killed.db3: its last transaction was not finished and is left out",)
    assert reader.notes == (unfinished if journal == "DELETE" else ())


def test_a_cut_database_has_the_rows_before_the_cut(tmp_path):
    big = [("/points", START + i, cloud(START + i, xyz_of(i, 1000))) for i in range(40)]
    file = only_file(rosbag2_writer(StoragePlugin.SQLITE3)(tmp_path / "bag", big))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    reader = BagReader(file)
    stamps = [message.header.stamp.nanosec for _, _, message in reader.messages(["/points"])]
    assert 15 < len(stamps) < 25
    assert stamps == list(range(len(stamps)))
    assert "bag.db3: its end is missing" in reader.notes[0]


def test_damage_in_the_middle_costs_one_chunk(tmp_path):
    path = mcap_writer(CompressionType.ZSTD, chunk_size=400)(tmp_path / "bag", messages())
    data = bytearray(path.read_bytes())
    data[data.index(b"zstd", len(data) // 3) + 40] ^= 255
    path.write_bytes(data)
    source = RosbagSource(path)
    assert SCANS - 4 <= len(source) <= SCANS
    assert any("parts of" in note and "are damaged" in note for note in source.notes)


BROKEN = {
    "mcap": mcap_writer(chunk_size=600),
    "mcap zstd": mcap_writer(CompressionType.ZSTD, chunk_size=600),
    "mcap lz4": mcap_writer(CompressionType.LZ4, chunk_size=600),
    "mcap without chunks": mcap_writer(use_chunking=False),
    "mcap with packed messages": rosbag2_writer(StoragePlugin.MCAP, CompressionMode.MESSAGE),
    "mcap packed": rosbag2_writer(StoragePlugin.MCAP, CompressionMode.FILE),
    "sqlite": rosbag2_writer(StoragePlugin.SQLITE3),
    "ROS 1": ros1_writer(),
    "ROS 1 bz2": ros1_writer("BZ2"),
}
BREAKS = int(os.environ.get("CLIP2SCENE_FUZZ", "4"))
"""How often each kind of file is cut, and how often bytes of it are flipped."""


@pytest.mark.parametrize("kind", BROKEN)
def test_whatever_is_broken_there_is_a_partial_read_or_an_error_of_ours(tmp_path, kind):
    file = only_file(BROKEN[kind](tmp_path / "bag", islice(messages(), 24)))
    data = file.read_bytes()
    broken = tmp_path / f"broken{file.suffix}"
    rng = random.Random(f"{kind} {BREAKS}")
    for attempt in range(2 * BREAKS):
        changed = bytearray(data)
        if attempt % 2:
            del changed[rng.randrange(len(data)) :]
        else:
            for _ in range(rng.choice((1, 4, 30))):
                changed[rng.randrange(len(data))] = rng.randrange(256)
        broken.write_bytes(changed)
        try:
            reader = BagReader(broken)
            list(reader.raw(reader.types))
            source = RosbagSource(broken)
            assert len([source[i] for i in range(len(source))]) <= 24
        except Clip2SceneError as error:
            assert "\n" not in str(error), error
