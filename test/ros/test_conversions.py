"""Labelled clouds, label names and legend as messages; sensor_msgs_py and hand-made bytes are the judges."""

from __future__ import annotations

import struct

import numpy as np
import pytest

pytest.importorskip("sensor_msgs_py", reason="ROS 2 is not installed")

from geometry_msgs.msg import Quaternion, Transform, Vector3
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from clip2scene_core.errors import CalibrationError
from clip2scene_core.labels import LabelSet
from clip2scene_core.pointcloud2 import structured
from clip2scene_core.types import SemanticLabels
from clip2scene_ros.conversions import cloud_of, label_info, labelled_cloud, legend, se3_from_transform

STREET = LabelSet.named("street")
HUGE_IDS = LabelSet.from_dict({"name": "huge", "classes": [{"id": 300, "name": "tree", "colour": [1, 2, 3]}]})


def header() -> Header:
    made = Header(frame_id="velodyne")
    made.stamp.sec, made.stamp.nanosec = 12, 345
    return made


def field(name: str, offset: int, datatype: int, count: int = 1) -> PointField:
    return PointField(name=name, offset=offset, datatype=datatype, count=count)


def labels(*pairs: tuple[int, float]) -> SemanticLabels:
    ids, chances = zip(*pairs, strict=True) if pairs else ((), ())
    return SemanticLabels(class_id=np.array(ids, np.uint16), probability=np.array(chances, np.float32))


def label(cloud: PointCloud2, answer: SemanticLabels, label_set: LabelSet = STREET) -> PointCloud2:
    return labelled_cloud(cloud, structured(cloud), answer, label_set)


def odd_cloud() -> PointCloud2:
    """2 x 2 points: padding before and within, z first, a double, a vector field, padded rows."""
    rows = b""
    for row in range(2):
        for column in range(2):
            k = 2 * row + column
            rows += struct.pack("<4xf2xffd3B3x", 30.0 + k, 10.0 + k, 20.0 + k, 0.5 + k, k, k + 1, k + 2)
        rows += b"\xee" * 5
    return PointCloud2(
        header=header(),
        height=2,
        width=2,
        fields=[
            field("z", 4, PointField.FLOAT32),
            field("x", 10, PointField.FLOAT32),
            field("y", 14, PointField.FLOAT32),
            field("t", 18, PointField.FLOAT64),
            field("colours", 26, PointField.UINT8, 3),
        ],
        point_step=32,
        row_step=69,
        is_dense=True,
        data=rows,
    )


def test_every_field_row_and_the_header_are_kept() -> None:
    cloud = odd_cloud()
    out = label(cloud, labels((1, 0.5), (8, 0.25), (0, 0.0), (11, 1.0)))
    assert out.header == cloud.header and out.is_dense and not out.is_bigendian
    assert (out.height, out.width, out.row_step) == (2, 2, 2 * out.point_step)
    assert [f.name for f in out.fields] == ["z", "x", "y", "t", "colours", "label", "probability", "rgb"]
    read = point_cloud2.read_points(out)
    np.testing.assert_array_equal(read["x"], [10, 11, 12, 13])
    np.testing.assert_array_equal(read["z"], [30, 31, 32, 33])
    np.testing.assert_array_equal(read["t"], [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_array_equal(read["colours_2"], [2, 3, 4, 5])
    np.testing.assert_array_equal(read["label"], [1, 8, 0, 11])
    np.testing.assert_array_equal(read["probability"], np.float32([0.5, 0.25, 0.0, 1.0]))
    assert read["label"].dtype == np.uint8


def test_the_message_is_the_one_that_create_cloud_makes() -> None:
    points = point_cloud2.read_points(xyz_cloud([(1, 2, 3), (4, 5, 6)]))
    columns = {"label": np.array([7, 8], np.uint8), "probability": np.array([0.5, 0.25], np.float32)}
    made = cloud_of(header(), points, columns)
    rows = np.array(
        [(1, 2, 3, 7, 0.5), (4, 5, 6, 8, 0.25)], [*((n, "f4") for n in "xyz"), ("label", "u1"), ("p", "f4")]
    )
    rows = rows.view(point_cloud2.dtype_from_fields(made.fields))
    assert made == point_cloud2.create_cloud(header(), made.fields, rows)


def test_rgb_is_what_rviz_reads() -> None:
    out = label(odd_cloud(), labels((1, 1.0), (8, 1.0), (0, 0.0), (4, 1.0)))
    rgb = next(f for f in out.fields if f.name == "rgb")
    assert (rgb.datatype, rgb.count) == (PointField.FLOAT32, 1)
    # RViz reads four bytes, little endian: blue, green, red, unused.
    first = bytes(out.data[rgb.offset : rgb.offset + 4])
    assert tuple(first) == (128, 64, 128, 0)
    second = bytes(out.data[out.point_step + rgb.offset : out.point_step + rgb.offset + 4])
    assert tuple(second) == (220, 60, 0, 0)


def test_big_endian_input_becomes_native() -> None:
    data = struct.pack(">ffff", 1.5, -2.5, 3.5, 0.25)
    fields = [field(name, 4 * i, PointField.FLOAT32) for i, name in enumerate(("x", "y", "z", "intensity"))]
    cloud = PointCloud2(
        header=header(),
        height=1,
        width=1,
        fields=fields,
        point_step=16,
        row_step=16,
        is_bigendian=True,
        data=data,
    )
    read = point_cloud2.read_points(label(cloud, labels((5, 0.5))))
    assert [float(read[name][0]) for name in ("x", "y", "z", "intensity")] == [1.5, -2.5, 3.5, 0.25]


def xyz_cloud(xyz: list[tuple[float, float, float]]) -> PointCloud2:
    return point_cloud2.create_cloud_xyz32(header(), xyz)


def test_a_cloud_without_points_gets_the_fields_all_the_same() -> None:
    fields = [field(name, 4 * i, PointField.FLOAT32) for i, name in enumerate("xyz")]
    empty = PointCloud2(header=header(), height=1, width=0, fields=fields, point_step=12, row_step=0)
    out = label(empty, labels())
    assert (out.height, out.width, out.row_step, len(out.data)) == (1, 0, 0, 0)
    assert [f.name for f in out.fields] == ["x", "y", "z", "label", "probability", "rgb"]
    assert out.header == empty.header


def test_a_field_of_a_newer_datatype_is_kept() -> None:
    """PCL's INT64 is 9, which PointField of Jazzy does not name."""
    fields = [*(field(name, 4 * i, PointField.FLOAT32) for i, name in enumerate("xyz")), field("time", 12, 9)]
    data = struct.pack("<fffqfffq", 1, 2, 3, -(2**40), 4, 5, 6, 7)
    cloud = PointCloud2(
        header=header(), height=1, width=2, fields=fields, point_step=20, row_step=40, data=data
    )
    out = label(cloud, labels((1, 0.5), (8, 0.5)))
    assert [(f.name, f.datatype) for f in out.fields[:5]] == [
        ("x", 7), ("y", 7), ("z", 7), ("time", 9), ("label", 2),
    ]  # fmt: skip
    points = [struct.unpack_from("<fffqB", out.data, k * out.point_step) for k in range(2)]
    assert points == [(1, 2, 3, -(2**40), 1), (4, 5, 6, 7, 8)]


def test_ids_beyond_a_byte_get_two() -> None:
    out = label(xyz_cloud([(1, 2, 3)]), labels((300, 0.5)), HUGE_IDS)
    assert next(f.datatype for f in out.fields if f.name == "label") == PointField.UINT16
    assert point_cloud2.read_points(out)["label"][0] == 300


def test_a_labelled_cloud_can_be_labelled_again() -> None:
    once = label(xyz_cloud([(1, 2, 3)]), labels((1, 0.5)))
    twice = label(once, labels((8, 0.75)))
    assert sorted(f.name for f in twice.fields) == ["label", "probability", "rgb", "x", "y", "z"]
    read = point_cloud2.read_points(twice)
    assert (read["label"][0], read["probability"][0], read["x"][0]) == (8, 0.75, 1.0)


def test_label_info_names_every_id() -> None:
    info = label_info(STREET, header())
    names = {c.class_id: c.class_name for c in info.class_map}
    assert names[0] == "ignore" and names[1] == "road" and names[11] == "person" and len(names) == 12
    assert info.header == header()


def test_the_legend_has_a_square_in_its_colour_and_a_name_per_class() -> None:
    markers = legend(STREET, header()).markers
    assert markers[0].action == Marker.DELETEALL
    squares = [m for m in markers[1:] if m.type == Marker.CUBE]
    names = [m for m in markers[1:] if m.type == Marker.TEXT_VIEW_FACING]
    assert [m.text for m in names] == list(STREET.names) and len(squares) == len(names)
    for square, name, c in zip(squares, names, STREET.classes, strict=True):
        assert (square.color.r, square.color.g, square.color.b) == pytest.approx([v / 255 for v in c.colour])
        assert square.pose.position.x == name.pose.position.x and square.color.a == 1.0
    assert len({(m.ns, m.id) for m in markers[1:]}) == len(markers) - 1
    assert len({(m.pose.position.x, m.pose.position.y) for m in markers[1:]}) == len(markers) - 1


def test_a_transform_turns_and_moves() -> None:
    quarter = Transform(
        translation=Vector3(x=1.0, y=2.0, z=3.0), rotation=Quaternion(x=0.0, y=0.0, z=2**-0.5, w=2**-0.5)
    )
    moved = se3_from_transform(quarter).apply(np.array([[10.0, 0.0, 0.0]]))
    np.testing.assert_allclose(moved, [[1.0, 12.0, 3.0]], atol=1e-12)
    with pytest.raises(CalibrationError, match="is no rotation"):
        se3_from_transform(Transform(rotation=Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)))
