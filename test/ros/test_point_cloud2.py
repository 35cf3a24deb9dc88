"""sensor_msgs_py.point_cloud2: against bytes packed by hand, and in agreement with the core's own codec."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from clip2scene_core.pointcloud2 import structured

HEADER = Header(frame_id="lidar")
XYZ = [
    PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
    for index, name in enumerate("xyz")
]
ROWS = [(0.0, 0.5, 1.0), (1.5, float("nan"), 2.0), (3.0, 4.0, 5.0), (6.0, 7.0, 8.0)]


def packed(fields, form: str, rows, *, height=1, big_endian=False, dense=False, row_padding=0) -> PointCloud2:
    """A cloud whose bytes come from `struct`."""
    order = ">" if big_endian else "<"
    step = struct.calcsize(order + form)
    width = len(rows) // height
    points = [struct.pack(order + form, *row) for row in rows]
    data = b"".join(
        b"".join(points[start : start + width]) + b"\xff" * row_padding
        for start in range(0, len(rows), width)
    )
    return PointCloud2(
        header=HEADER, height=height, width=width, fields=fields, is_bigendian=big_endian, is_dense=dense,
        point_step=step, row_step=step * width + row_padding, data=data,
    )  # fmt: skip


MIXED = [
    PointField(name="ring", offset=0, datatype=PointField.UINT16, count=1),
    PointField(name="t", offset=4, datatype=PointField.FLOAT64, count=1),
    PointField(name="v", offset=12, datatype=PointField.INT8, count=2),
    PointField(name="", offset=16, datatype=PointField.UINT32, count=1),
]
MIXED_FORM = "H2xd2b2xI3x"
MIXED_ROWS = [(1, 2.5, -3, 4, 5), (65535, -1e300, 127, -128, 4_000_000_000)]


class TestReading:
    @pytest.mark.parametrize("big_endian", [False, True])
    def test_any_datatype_offset_count_and_byte_order(self, big_endian):
        cloud = packed(MIXED, MIXED_FORM, MIXED_ROWS, big_endian=big_endian)
        before = bytes(cloud.data)
        points = point_cloud2.read_points(cloud)
        assert points.dtype.names == ("ring", "t", "v_0", "v_1", "unnamed_field_3")
        assert points.tolist() == MIXED_ROWS
        assert bytes(cloud.data) == before

    def test_foreign_byte_order_of_chosen_fields_without_nans(self):
        cloud = packed(XYZ, "fff", ROWS, big_endian=True)
        points = point_cloud2.read_points(cloud, ["y", "x"], skip_nans=True, uvs=[0, 2])
        assert points.tolist() == [(0.5, 0.0), (7.0, 6.0)]

    def test_chosen_fields_in_the_order_asked_for(self):
        points = point_cloud2.read_points(packed(XYZ, "fff", ROWS), field_names=("z", "x"))
        assert points.dtype.names == ("z", "x")
        assert points.tolist() == [(row[2], row[0]) for row in ROWS]
        with pytest.raises(AssertionError, match="intensity"):
            point_cloud2.read_points(packed(XYZ, "fff", ROWS), field_names=["intensity"])

    def test_nans_are_skipped_in_the_fields_read_unless_the_cloud_is_dense(self):
        cloud = packed(XYZ, "fff", ROWS)
        assert len(point_cloud2.read_points(cloud, skip_nans=True)) == 3
        assert len(point_cloud2.read_points(cloud, ["x", "z"], skip_nans=True)) == 4
        assert len(point_cloud2.read_points(packed(XYZ, "fff", ROWS, dense=True), skip_nans=True)) == 4

    def test_chosen_points(self):
        cloud = packed(XYZ, "fff", ROWS)
        for uvs in ([3, 0], iter([3, 0]), np.array([3, 0])):
            assert point_cloud2.read_points(cloud, uvs=uvs).tolist() == [ROWS[3], ROWS[0]]

    def test_organised_clouds(self):
        cloud = packed(XYZ, "fff", ROWS, height=2)
        assert point_cloud2.read_points(cloud).shape == (4,)
        assert point_cloud2.read_points(cloud, reshape_organized_cloud=True).shape == (2, 2)
        padded = packed(XYZ, "fff", ROWS, height=2, row_padding=7)
        np.testing.assert_array_equal(point_cloud2.read_points_numpy(padded), np.array(ROWS, np.float32))

    def test_as_plain_array_and_as_named_tuples(self):
        cloud = packed(XYZ, "fff", ROWS)
        np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), np.array(ROWS, np.float32))
        named = point_cloud2.read_points_list(cloud, ("z", "x"), skip_nans=True, uvs=[1])
        assert named == [(2.0, 1.5)] and type(named[0]).__name__ == "Point"
        assert type(named[0].x) is np.float32
        assert point_cloud2.read_points_list(packed(MIXED, MIXED_FORM, MIXED_ROWS))[0].v_1 == 4
        mixed = packed(MIXED, MIXED_FORM, MIXED_ROWS)
        assert point_cloud2.read_points_numpy(mixed, ["v_0", "v_1"]).tolist() == [[-3, 4], [127, -128]]
        with pytest.raises(AssertionError, match="datatypes"):
            point_cloud2.read_points_numpy(mixed)

    def test_an_empty_cloud(self):
        cloud = packed(XYZ, "fff", [(0, 0, 0)])
        cloud.width, cloud.row_step, cloud.data = 0, 0, b""
        assert point_cloud2.read_points(cloud).shape == (0,)
        assert point_cloud2.read_points_numpy(cloud).shape == (0, 3)

    def test_only_clouds(self):
        for read in (point_cloud2.read_points, point_cloud2.read_points_list):
            with pytest.raises(AssertionError, match="PointCloud2"):
                read("a cloud")


class TestWriting:
    def test_the_bytes_are_those_of_struct(self):
        expected = packed(XYZ, "fff", ROWS)
        for points in (ROWS, iter(ROWS), np.array(ROWS), np.array(ROWS, np.float32)):
            assert point_cloud2.create_cloud_xyz32(HEADER, points) == expected

    def test_padding_is_kept_where_the_point_step_says_so(self):
        dtype = point_cloud2.dtype_from_fields(XYZ, point_step=20)
        points = np.array(ROWS, dtype)
        assert point_cloud2.create_cloud(HEADER, XYZ, points, 20).point_step == 20
        with pytest.raises(AssertionError, match="dtype"):
            point_cloud2.create_cloud(HEADER, XYZ, points)

    def test_mixed_datatypes_there_and_back(self):
        cloud = packed(MIXED, MIXED_FORM, MIXED_ROWS)
        again = point_cloud2.create_cloud(HEADER, MIXED, point_cloud2.read_points(cloud), cloud.point_step)
        assert point_cloud2.read_points(again).tolist() == MIXED_ROWS
        assert (again.point_step, again.row_step, again.height, again.width) == (23, 46, 1, 2)

    def test_organised_arrays(self):
        points = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
        cloud = point_cloud2.create_cloud_xyz32(HEADER, points)
        assert (cloud.width, cloud.height, cloud.row_step) == (2, 3, 24)
        np.testing.assert_array_equal(
            point_cloud2.read_points(cloud, ["y"], reshape_organized_cloud=True)["y"], points[..., 1]
        )

    def test_strided_arrays(self):
        points = np.arange(24, dtype=np.float64).reshape(2, 4, 3)[:, ::2, ::-1]
        cloud = point_cloud2.create_cloud_xyz32(HEADER, points)
        np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), points.reshape(4, 3))

    @pytest.mark.parametrize("points", [[], np.empty((0, 3))])
    def test_no_points(self, points):
        cloud = point_cloud2.create_cloud_xyz32(HEADER, points)
        assert (cloud.width, cloud.height, len(cloud.data)) == (0, 1, 0)

    def test_plain_arrays_are_for_fields_of_one_datatype(self):
        with pytest.raises(AssertionError, match="one datatype"):
            point_cloud2.create_cloud(HEADER, MIXED, np.zeros((2, 5)))

    def test_clouds_have_two_dimensions_at_most(self):
        with pytest.raises(AssertionError, match="points: expected shape"):
            point_cloud2.create_cloud_xyz32(HEADER, np.zeros((2, 2, 2, 3)))

    def test_fields_of_no_elements_are_refused(self):
        with pytest.raises(AssertionError, match="count is 0"):
            point_cloud2.dtype_from_fields([PointField(name="x", datatype=PointField.FLOAT32, count=0)])

    def test_duplicate_names_are_refused(self):
        with pytest.raises(AssertionError, match="duplicate"):
            point_cloud2.dtype_from_fields([XYZ[0], XYZ[0]])


FORMS = dict(zip(sorted(point_cloud2._DATATYPES), "bBhHiIfd", strict=True))  # INT8 is 1, FLOAT64 is 8


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_what_struct_packs_is_read_and_written_again(data):
    kinds = data.draw(
        st.lists(st.tuples(st.sampled_from(list(FORMS)), st.integers(1, 3)), min_size=1, max_size=5)
    )
    gaps = data.draw(st.lists(st.integers(0, 3), min_size=len(kinds), max_size=len(kinds)))
    fields, form = [], ""
    for index, ((datatype, count), gap) in enumerate(zip(kinds, gaps, strict=True)):
        form += f"{gap}x"
        offset = struct.calcsize("<" + form)
        fields.append(PointField(name=f"f{index}", offset=offset, datatype=datatype, count=count))
        form += f"{count}{FORMS[datatype]}"
    numbers = st.integers(0, 127)
    row = st.tuples(*[numbers] * sum(count for _, count in kinds))
    width, height = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    rows = data.draw(st.lists(row, min_size=width * height, max_size=width * height))
    big_endian, row_padding = data.draw(st.booleans()), data.draw(st.integers(0, 5))
    cloud = packed(fields, form, rows, height=height, big_endian=big_endian, row_padding=row_padding)
    points = point_cloud2.read_points(cloud)
    assert points.tolist() == rows
    again = point_cloud2.create_cloud(HEADER, fields, points, cloud.point_step)
    assert point_cloud2.read_points(again).tolist() == rows


@pytest.mark.parametrize("big_endian", [False, True])
def test_the_core_reads_the_same(big_endian):
    cloud = packed(XYZ, "fff", ROWS, big_endian=big_endian)
    ours, theirs = structured(cloud), point_cloud2.read_points(cloud)
    for name in "xyz":
        np.testing.assert_array_equal(ours[name], theirs[name])
