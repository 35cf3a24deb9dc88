"""The codec against clouds packed byte by byte with `struct`."""

from __future__ import annotations

import array
import math
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_core import pointcloud2
from clip2scene_core.errors import DataError
from clip2scene_core.pointcloud2 import (
    Field,
    append_columns,
    fields_of,
    pack_rgb,
    scan_from,
    structured,
)
from clip2scene_core.types import LidarScan

FORMATS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}
INTEGER_RANGES = {
    1: (-128, 127),
    2: (0, 255),
    3: (-(2**15), 2**15 - 1),
    4: (0, 2**16 - 1),
    5: (-(2**31), 2**31 - 1),
    6: (0, 2**32 - 1),
}
FLOAT32, UINT8, UINT16, UINT32, FLOAT64 = 7, 2, 4, 6, 8


def message(
    fields,
    rows,
    *,
    width=None,
    point_step=None,
    row_padding=0,
    bigendian=False,
    stamp=(12, 500),
    container=None,
):
    """A PointCloud2 of `rows` (one tuple of values, or of tuples where count > 1, per point)."""
    width = len(rows) if width is None else width
    height = len(rows) // width if width else 1
    step = point_step or max(f.offset + f.count * struct.calcsize("<" + FORMATS[f.datatype]) for f in fields)
    row_step = width * step + row_padding
    data = bytearray(b"\xab" * (height * row_step))
    order = ">" if bigendian else "<"
    for index, row in enumerate(rows):
        start = (index // width) * row_step + (index % width) * step
        for field, value in zip(fields, row, strict=True):
            values = value if field.count > 1 else (value,)
            struct.pack_into(
                f"{order}{field.count}{FORMATS[field.datatype]}", data, start + field.offset, *values
            )
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=stamp[0], nanosec=stamp[1]), frame_id="lidar"),
        height=height,
        width=width,
        fields=list(fields),
        is_bigendian=bigendian,
        point_step=step,
        row_step=row_step,
        data=container(data) if container else bytes(data),
        is_dense=False,
    )


def xyz_fields(*more):
    """x, y, z as float32, then `more` as (name, datatype), packed."""
    fields = [Field(name, 4 * i, FLOAT32, 1) for i, name in enumerate("xyz")]
    offset = 12
    for name, datatype in more:
        fields.append(Field(name, offset, datatype, 1))
        offset += struct.calcsize("<" + FORMATS[datatype])
    return fields


def values(datatype):
    if datatype in INTEGER_RANGES:
        return st.integers(*INTEGER_RANGES[datatype])
    return st.floats(width=32 if datatype == FLOAT32 else 64)


@st.composite
def clouds(draw):
    """Fields in any order with gaps, any types, counts, byte order, organisation and row padding.

    One name occurs twice, and one field has none.
    """
    names = draw(st.permutations(["x", "y", "z", "intensity", "ring", "extra", "extra", "vector", ""]))
    fields, offset = [], 0
    for name in names:
        datatype = draw(st.sampled_from(sorted(FORMATS)))
        if name in "xyz":
            datatype = draw(st.sampled_from([FLOAT32, FLOAT64, 3, 5]))
        count = draw(st.integers(2, 5)) if name == "vector" else 1
        offset += draw(st.integers(0, 5))
        fields.append(Field(name, offset, datatype, count))
        offset += count * struct.calcsize("<" + FORMATS[datatype])
    height, width = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    row = st.tuples(
        *(st.tuples(*[values(f.datatype)] * f.count) if f.count > 1 else values(f.datatype) for f in fields)
    )
    rows = draw(st.lists(row, min_size=height * width, max_size=height * width))
    cloud = message(
        fields,
        rows,
        width=width,
        point_step=offset + draw(st.integers(0, 7)),
        row_padding=draw(st.integers(0, 9)),
        bigendian=draw(st.booleans()),
        container=draw(
            st.sampled_from(
                [bytes, lambda b: np.frombuffer(bytes(b), np.uint8), lambda b: array.array("B", b)]
            )
        ),
    )
    return fields, rows, cloud


def columns(fields):
    """Index, name and field of every column that is no padding; the second of a name gets a number."""
    seen = set()
    for column, field in enumerate(fields):
        if field.name:
            yield column, f"{field.name}_2" if field.name in seen else field.name, field
            seen.add(field.name)


def assert_columns(points, fields, rows):
    for column, name, field in columns(fields):
        expected = np.array([row[column] for row in rows], dtype=FORMATS[field.datatype])
        np.testing.assert_array_equal(points[name], expected)


@settings(deadline=None, max_examples=150)
@given(clouds())
def test_any_layout_gives_the_packed_values(cloud):
    fields, rows, packed = cloud
    assert_columns(structured(packed), fields, rows)


@settings(deadline=None, max_examples=100)
@given(clouds())
def test_scan_has_every_row_in_order(cloud):
    fields, rows, packed = cloud
    scan = scan_from(packed)
    at = {field.name: i for i, field in enumerate(fields)}
    with np.errstate(over="ignore"):
        for axis, name in enumerate("xyz"):
            expected = np.array([row[at[name]] for row in rows], np.float64).astype(np.float32)
            np.testing.assert_array_equal(scan.xyz[:, axis], expected)
    assert scan.stamp_ns == 12_000_000_500
    assert scan.frame_id == "lidar"


@settings(deadline=None, max_examples=100)
@given(clouds(), st.data())
def test_appended_columns_stand_beside_all_input_fields(cloud, data):
    fields, rows, packed = cloud
    label = np.array(
        data.draw(st.lists(st.integers(0, 255), min_size=len(rows), max_size=len(rows))), np.uint8
    )
    probability = np.linspace(0, 1, len(rows), dtype=np.float32)
    points = append_columns(structured(packed), label=label, probability=probability)
    described = fields_of(points.dtype)
    named = list(columns(fields))
    assert [f.name for f in described] == [name for _, name, _ in named] + ["label", "probability"]
    assert_columns(points, fields, rows)
    # Judged by struct, from the bytes and what is said of them.
    view = np.frombuffer(points.tobytes(), np.uint8).reshape(len(rows), points.dtype.itemsize)
    for (column, _, _), field in zip(named, described, strict=False):
        layout = f"<{field.count}{FORMATS[field.datatype]}"
        for row, values_of_row in enumerate(rows):
            got = struct.unpack_from(layout, view[row], field.offset)
            np.testing.assert_array_equal(np.array(got), np.ravel(values_of_row[column]))
    np.testing.assert_array_equal(points["label"], label)
    np.testing.assert_array_equal(points["probability"], probability)


def test_appending_keeps_the_first_bytes_of_little_endian_points():
    cloud = message(
        [Field("x", 0, FLOAT32, 1), Field("y", 8, FLOAT32, 1), Field("z", 16, FLOAT32, 1)],
        [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)],
        point_step=24,
    )
    points = append_columns(structured(cloud), label=np.array([7, 8], np.uint8))
    rows = np.frombuffer(points.tobytes(), np.uint8).reshape(2, 25)
    assert rows[:, :24].tobytes() == bytes(cloud.data)
    assert rows[:, 24].tolist() == [7, 8]


def test_appending_replaces_a_field_of_the_same_name():
    cloud = message(xyz_fields(("label", UINT32), ("ring", UINT8)), [(1, 2, 3, 40, 5), (1, 2, 3, 41, 6)])
    points = append_columns(structured(cloud), label=np.array([1, 2], np.uint16))
    assert points.dtype.names == ("x", "y", "z", "ring", "label")
    assert points["label"].tolist() == [1, 2]
    assert points["ring"].tolist() == [5, 6]


def test_appending_leaves_the_message_alone():
    cloud = message(xyz_fields(), [(1, 2, 3)])
    before = bytes(cloud.data)
    append_columns(structured(cloud), label=np.array([9], np.uint8))["x"] = 0
    assert bytes(cloud.data) == before


def test_structured_is_a_view_and_a_padded_organised_cloud_is_read_by_rows():
    rows = [(i, 10 * i, 100 * i) for i in range(6)]
    flat = message(xyz_fields(), rows, container=lambda b: np.frombuffer(bytes(b), np.uint8))
    assert np.shares_memory(structured(flat), flat.data)
    organised = message(xyz_fields(), rows, width=3, row_padding=8)
    assert organised.height == 2
    assert structured(organised)["y"].tolist() == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize(
    ("order", "step"), [("xyz", 12), ("xyz", 22), ("zyx", 16)], ids=["packed", "unaligned", "reversed"]
)
def test_float32_coordinates_are_read_where_they_lie(order, step):
    fields = [Field(name, 4 * i, FLOAT32, 1) for i, name in enumerate(order)]
    rows = [(1.5, 2.5, 3.5), (4.5, 5.5, 6.5)]
    cloud = message(fields, rows, point_step=step, container=lambda b: array.array("B", b))
    xyz = scan_from(cloud).xyz
    assert xyz.tolist() == [[row[order.index(axis)] for axis in "xyz"] for row in rows]
    assert np.shares_memory(xyz, np.frombuffer(cloud.data, np.uint8)) and not xyz.flags.writeable


def test_integer_coordinates_are_taken_as_they_are():
    fields = [Field(name, 2 * i, 3, 1) for i, name in enumerate("xyz")]
    assert scan_from(message(fields, [(-32768, 0, 32767)])).xyz.tolist() == [[-32768, 0, 32767]]


@pytest.mark.parametrize(("width", "row_step"), [(6, 0), (6, 7), (6, 10_000), (3, 0), (3, 72), (3, 37)])
def test_a_wrong_row_step_of_packed_points_does_no_harm(width, row_step):
    cloud = message(xyz_fields(), [(i, 10 * i, 100 * i) for i in range(6)], width=width)
    cloud.row_step = row_step
    assert structured(cloud)["y"].tolist() == [0, 10, 20, 30, 40, 50]


def test_the_first_field_of_a_name_is_the_one_that_counts():
    fields = [*xyz_fields(("intensity", UINT8), ("intensity", UINT8)), Field("intensity_2", 12, UINT8, 1)]
    cloud = message(fields, [(1, 2, 3, 50, 60, 50)])
    points = structured(cloud)
    assert points.dtype.names == ("x", "y", "z", "intensity", "intensity_2", "intensity_2_2")
    assert (points["intensity"][0], points["intensity_2"][0]) == (50, 60)
    assert scan_from(cloud).intensity.tolist() == [50]


def test_a_padded_column_of_points():
    """Rows of one point each, 12 bytes, and 4 more to the next row."""
    cloud = message(xyz_fields(), [(1, 2, 3)], width=1)
    cloud.height, cloud.row_step = 2, 16
    cloud.data = struct.pack("<3f4x3f4x", 1, 2, 3, 4, 5, 6)
    assert scan_from(cloud).xyz.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_nan_rows_stay():
    scan = scan_from(message(xyz_fields(), [(1, 2, 3), (math.nan,) * 3, (4, 5, 6)]))
    assert len(scan.xyz) == 3
    assert np.isnan(scan.xyz[1]).all()
    assert scan.xyz[2].tolist() == [4, 5, 6]


def test_empty_clouds_have_no_rows():
    assert len(structured(message(xyz_fields(), [], width=0))) == 0
    fields = xyz_fields(("intensity", FLOAT32), ("time", FLOAT32), ("rgb", FLOAT32))
    scan = scan_from(message(fields, [], width=0))
    assert scan.xyz.shape == scan.rgb.shape == (0, 3)
    assert scan.time_offset_ns.shape == (0,)
    assert append_columns(
        structured(message(xyz_fields(), [], width=0)), label=np.zeros(0, np.uint8)
    ).shape == (0,)


@pytest.mark.parametrize("name", ["intensity", "i", "reflectivity", "Intensity"])
def test_intensity_under_usual_names(name):
    scan = scan_from(message(xyz_fields((name, UINT16)), [(0, 0, 0, 300)]))
    assert scan.intensity.dtype == np.float32
    assert scan.intensity.tolist() == [300]


@pytest.mark.parametrize("name", ["ring", "channel", "line"])
def test_ring_under_usual_names(name):
    scan = scan_from(message(xyz_fields((name, UINT8)), [(0, 0, 0, 63)]))
    assert scan.ring.dtype == np.uint16
    assert scan.ring.tolist() == [63]


def test_intensity_proper_comes_before_reflectivity():
    scan = scan_from(
        message(xyz_fields(("reflectivity", UINT16), ("intensity", FLOAT32)), [(0, 0, 0, 9, 2.5)])
    )
    assert scan.intensity.tolist() == [2.5]


@pytest.mark.parametrize("bigendian", [False, True], ids=["little", "big"])
@pytest.mark.parametrize(("name", "datatype"), [("rgb", FLOAT32), ("rgba", UINT32), ("RGB", 5)])
def test_packed_colours_are_the_bits_of_pcl(name, datatype, bigendian):
    """0xAARRGGBB, as PointXYZRGB and PointXYZRGBA have it; an alpha of 255 makes a NaN of a float."""
    packed = [0xFF010203, 0x00FF8000, 0x7FC00000]
    kind = FORMATS[datatype]
    rows = [(0, 0, 0, struct.unpack(f"<{kind}", struct.pack("<I", bits))[0]) for bits in packed]
    fields = xyz_fields((name, datatype))
    rgb = scan_from(message(fields, rows, point_step=32, bigendian=bigendian)).rgb
    assert rgb.dtype == np.uint8 and not rgb.flags.writeable
    assert rgb.tolist() == [[1, 2, 3], [255, 128, 0], [0xC0, 0, 0]]


@pytest.mark.parametrize(
    ("names", "datatype", "rows", "expected"),
    [
        ("rgb", UINT8, [(1, 2, 3), (255, 0, 9)], [[1, 2, 3], [255, 0, 9]]),
        (("red", "green", "blue"), UINT8, [(1, 2, 3)], [[1, 2, 3]]),
        ("bgr", UINT8, [(3, 2, 1)], [[1, 2, 3]]),
        ("RGB", FLOAT32, [(0, 0.5, 1), (math.nan, 0.1, -1)], [[0, 128, 255], [0, 26, 0]]),
        ("rgb", FLOAT64, [(0, 127.6, 300), (1, 1, 1)], [[0, 128, 255], [1, 1, 1]]),
    ],
)
def test_colours_by_channel(names, datatype, rows, expected):
    fields = xyz_fields(*((name, datatype) for name in names))
    assert scan_from(message(fields, [(0, 0, 0, *row) for row in rows])).rgb.tolist() == expected


@pytest.mark.parametrize(
    "more",
    [
        [("label", UINT8), ("probability", FLOAT32), ("rgb", FLOAT32)],
        [("rgb", UINT8)],
        [("r", UINT8), ("g", UINT8)],
        [("r", UINT16), ("g", UINT16), ("b", UINT16)],
    ],
    ids=["of classes", "one byte", "no blue", "two bytes"],
)
def test_what_is_no_colour_of_a_point(more):
    assert scan_from(message(xyz_fields(*more), [(0, 0, 0, *(1 for _ in more))])).rgb is None


def test_columns_that_are_absent_are_none():
    scan = scan_from(message(xyz_fields(), [(0, 0, 0)]))
    assert scan.intensity is None
    assert scan.ring is None
    assert scan.time_offset_ns is None
    assert scan.rgb is None


def test_count_zero_of_old_drivers_means_one():
    cloud = message(xyz_fields(), [(1, 2, 3)])
    cloud.fields = [field._replace(count=0) for field in cloud.fields]
    assert scan_from(cloud).xyz.tolist() == [[1, 2, 3]]


def test_padding_fields_are_skipped():
    cloud = message(xyz_fields(), [(1, 2, 3)], point_step=20)
    cloud.fields = [*cloud.fields, Field("_", 12, UINT8, 4), Field("_", 16, UINT8, 4)]
    assert structured(cloud).dtype.names == ("x", "y", "z")


def broken(change):
    cloud = message(xyz_fields(("intensity", FLOAT32)), [(1, 2, 3, 4)] * 6, width=3)
    change(cloud)
    return cloud


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.fields.pop(2), ["no field z", "x, y, intensity"]),
        (lambda c: setattr(c, "data", c.data[:-1]), ["truncated", "95", "96"]),
        (lambda c: setattr(c, "data", c.data + b"\0"), ["97", "2 x 3"]),
        (lambda c: setattr(c, "height", 3), ["truncated", "3 x 3"]),
        (lambda c: setattr(c, "width", 4), ["row_step 48", "width 4"]),
        (lambda c: setattr(c, "point_step", 15), ["intensity", "16", "point_step 15"]),
        (lambda c: setattr(c, "point_step", 2**31), ["point_step 2147483648", "more than"]),
        (lambda c: c.fields.append(Field("odd", 0, 42, 1)), ["odd", "unknown datatype 42"]),
        (lambda c: c.fields.__setitem__(0, Field("x", 0, FLOAT32, 2)), ["'x'", "count 1"]),
    ],
)
def test_clouds_that_contradict_themselves_are_named(change, words):
    with pytest.raises(DataError) as error:
        scan_from(broken(change), topic="/velodyne_points")
    text = str(error.value)
    assert text.startswith("/velodyne_points: ")
    assert "\n" not in text
    assert all(word in text for word in words), text


def test_types_that_a_point_field_cannot_hold_are_named():
    with pytest.raises(DataError, match="'name'"):
        fields_of(np.dtype([("x", "<f4"), ("name", "S4")]))


def test_rgb_is_packed_as_pcl_does():
    packed = pack_rgb(np.array([[1, 2, 3], [255, 128, 0]], np.uint8))
    assert packed.dtype == np.float32
    assert packed.tobytes() == struct.pack("<II", 0x00010203, 0x00FF8000)


def test_points_of_a_scan_decode_to_the_same_scan():
    cloud = message(
        xyz_fields(("intensity", FLOAT32), ("ring", UINT16), ("t", 5), ("rgb", FLOAT32)),
        [(1.5, 2.5, 3.5, 0.5, 7, -1000, 1e-40), (math.nan, 1, 2, 9, 8, 100_000_000, 2.3e-38)],
    )
    points = pointcloud2.points_of(scan_from(cloud))
    assert points.tobytes() == bytes(cloud.data)
    assert fields_of(points.dtype) == tuple(cloud.fields)


def test_times_that_int32_cannot_hold_are_an_error():
    scan = LidarScan(
        xyz=np.zeros((1, 3), np.float32), time_offset_ns=np.array([2**31]), stamp_ns=0, frame_id="lidar"
    )
    with pytest.raises(DataError, match=r"2\.1 s from its stamp"):
        pointcloud2.points_of(scan)


def test_agrees_with_sensor_msgs_py():
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2")
    messages = pytest.importorskip("sensor_msgs.msg")
    header = pytest.importorskip("std_msgs.msg").Header(frame_id="lidar")
    rows = [(1.0, 2.0, 3.0, 4, 5.5), (-1.0, math.nan, 0.0, 6, 7.5)]
    fields = [
        messages.PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=1)
        for f in xyz_fields(("ring", UINT16), ("intensity", FLOAT64))
    ]
    cloud = point_cloud2.create_cloud(header, fields, rows)
    theirs = point_cloud2.read_points(cloud)
    ours = structured(cloud)
    for name in theirs.dtype.names:
        np.testing.assert_array_equal(ours[name], theirs[name])
    extended = append_columns(ours, label=np.array([1, 2], np.uint8), rgb=pack_rgb(np.ones((2, 3), np.uint8)))
    described = [
        messages.PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=f.count)
        for f in fields_of(extended.dtype)
    ]
    again = point_cloud2.create_cloud(header, described, extended)
    assert bytes(again.data) == extended.tobytes()
    assert again.point_step == extended.dtype.itemsize
