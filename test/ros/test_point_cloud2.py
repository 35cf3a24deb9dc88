"""sensor_msgs_py.point_cloud2: against bytes packed by hand, and in agreement with the core's own codec."""

from __future__ import annotations

import struct

import numpy as np
import pytest
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
        assert point_cloud2.read_points_list(cloud, skip_nans=True)[1].z == 5.0
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
        with pytest.raises(AssertionError, match="PointCloud2"):
            point_cloud2.read_points("a cloud")


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

    def test_no_points(self):
        cloud = point_cloud2.create_cloud_xyz32(HEADER, [])
        assert (cloud.width, cloud.height, len(cloud.data)) == (0, 1, 0)

    def test_duplicate_names_are_refused(self):
        with pytest.raises(AssertionError, match="duplicate"):
            point_cloud2.dtype_from_fields([XYZ[0], XYZ[0]])


@pytest.mark.parametrize("big_endian", [False, True])
def test_the_core_reads_the_same(big_endian):
    cloud = packed(XYZ, "fff", ROWS, big_endian=big_endian)
    ours, theirs = structured(cloud), point_cloud2.read_points(cloud)
    for name in "xyz":
        np.testing.assert_array_equal(ours[name], theirs[name])
