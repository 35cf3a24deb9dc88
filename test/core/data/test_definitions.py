"""Types that a bag defines, does not define, or defines in ways nobody understands."""

from __future__ import annotations

import pytest
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from test_bag_reader import old_sqlite, rosbag2_writer
from test_rosbag import START, STORE, drive, header

from clip2scene_core.data.bag_reader import BagReader
from clip2scene_core.data.rosbag import RosbagSource
from clip2scene_core.errors import DataError

ODD = "my_msgs/msg/Odd"
ODD_TEXT = "std_msgs/Header header\nPart[] parts\n"
PART_TEXT = "float64 weight\nstring name\n"
ODD_IDL = """module my_msgs { module msg {
struct Odd { std_msgs::msg::Header header; sequence<my_msgs::msg::Part> parts; };
}; };
"""
PART_IDL = """module my_msgs { module msg { struct Part { double weight; string name; }; }; };
"""
HEADER_IDL = """module std_msgs { module msg {
struct Header { builtin_interfaces::msg::Time stamp; string frame_id; };
}; };
"""
TIME_IDL = """module builtin_interfaces { module msg { struct Time { int32 sec; uint32 nanosec; }; }; };
"""
OWN = get_typestore(Stores.ROS2_HUMBLE)
OWN.register(get_types_from_msg(PART_TEXT, "my_msgs/msg/Part") | get_types_from_msg(ODD_TEXT, ODD))
STORE.register(get_types_from_msg(PART_TEXT, "my_msgs/msg/Part") | get_types_from_msg(ODD_TEXT, ODD))


def odd():
    part = OWN.types["my_msgs/msg/Part"](weight=2.5, name="wheel")
    return OWN.types[ODD](header=header(START, "base"), parts=[part])


def weights(reader):
    return [[(part.weight, part.name) for part in m.parts] for _, _, m in reader.messages(["/odd"])]


@pytest.fixture
def definitions(tmp_path):
    """A folder as in the source of a package."""
    folder = tmp_path / "src/my_msgs/msg"
    folder.mkdir(parents=True)
    (folder / "Odd.msg").write_text(ODD_TEXT)
    (folder / "Part.msg").write_text(PART_TEXT)
    return tmp_path / "src"


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_bag_brings_its_own_types(tmp_path, storage):
    reader = BagReader(rosbag2_writer(storage)(tmp_path / "bag", [("/odd", START, odd())]))
    assert weights(reader) == [[(2.5, "wheel")]]
    assert reader.has_header("/odd")


def test_types_that_a_bag_does_not_bring_come_from_the_user(tmp_path, definitions):
    path = old_sqlite(tmp_path / "bag", [*drive(2), ("/odd", START, odd())])
    assert len(RosbagSource(path)) == 2, "the other topics are usable"
    with pytest.raises(DataError, match=f"/odd: type {ODD} is unknown; give its .msg file with definitions="):
        weights(BagReader(path))
    assert not BagReader(path).has_header("/odd")
    assert weights(BagReader(path, definitions=definitions)) == [[(2.5, "wheel")]]
    assert len(RosbagSource(path, definitions=str(definitions))) == 2
    with pytest.raises(DataError, match="type my_msgs/msg/Part is unknown"):
        weights(BagReader(path, definitions=definitions / "my_msgs/msg/Odd.msg"))


def mcap_of(path, encoding, text, message_encoding="cdr"):
    with path.open("wb") as file:
        writer = McapWriter(file)
        writer.start("ros2")
        schema = writer.register_schema(ODD, encoding, text.encode())
        channel = writer.register_channel("/odd", message_encoding, schema)
        writer.add_message(channel, START, bytes(OWN.serialize_cdr(odd(), ODD)), START)
        for topic, logged_ns, message in drive(2):
            name = message.__msgtype__
            schema = writer.register_schema(
                name, "ros2msg", STORE.generate_msgdef(name, ros_version=2)[0].encode()
            )
            channel = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channel, logged_ns, bytes(STORE.serialize_cdr(message, name)), logged_ns)
        writer.finish()
    return path


def test_types_may_be_defined_in_idl(tmp_path):
    line = "=" * 80 + "\n"
    sections = {ODD: ODD_IDL, "my_msgs/msg/Part": PART_IDL, "std_msgs/msg/Header": HEADER_IDL}
    sections["builtin_interfaces/msg/Time"] = TIME_IDL
    text = "".join(f"{line}IDL: {name}\n{idl}" for name, idl in sections.items())
    assert weights(BagReader(mcap_of(tmp_path / "bag.mcap", "ros2idl", text))) == [[(2.5, "wheel")]]


@pytest.mark.parametrize(
    ("encoding", "text", "message_encoding"),
    [
        ("ros2msg", "!!! ((", "cdr"),
        ("protobuf", "\x12\x34", "protobuf"),
        ("jsonschema", "{}", "json"),
        ("", "", "cdr"),
    ],
)
def test_a_topic_that_nobody_understands_disturbs_no_other(tmp_path, encoding, text, message_encoding):
    path = mcap_of(tmp_path / "bag.mcap", encoding, text, message_encoding)
    source = RosbagSource(path)
    assert (len(source), source.notes) == (2, ())
    with pytest.raises(DataError, match="/odd: type my_msgs/msg/Odd is unknown"):
        weights(BagReader(path))


def test_definitions_that_are_none_are_named(tmp_path):
    path = rosbag2_writer(StoragePlugin.MCAP)(tmp_path / "bag", drive(1))
    with pytest.raises(DataError, match=r"bag has no .msg file"):
        BagReader(path, definitions=path)
    (tmp_path / "Bad.msg").write_text("float64\n")
    with pytest.raises(DataError, match=r"Bad.msg is no definition of a message") as error:
        BagReader(path, definitions=tmp_path / "Bad.msg")
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="nowhere is no definition of a message"):
        BagReader(path, definitions=tmp_path / "nowhere")
