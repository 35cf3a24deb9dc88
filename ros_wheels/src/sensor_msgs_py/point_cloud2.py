"""Read and write sensor_msgs/PointCloud2 through structured NumPy arrays."""

from __future__ import annotations

import array
import sys
from collections import namedtuple
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

DUMMY_FIELD_PREFIX = "unnamed_field"

_DATATYPES = {
    PointField.INT8: np.dtype(np.int8),
    PointField.UINT8: np.dtype(np.uint8),
    PointField.INT16: np.dtype(np.int16),
    PointField.UINT16: np.dtype(np.uint16),
    PointField.INT32: np.dtype(np.int32),
    PointField.UINT32: np.dtype(np.uint32),
    PointField.FLOAT32: np.dtype(np.float32),
    PointField.FLOAT64: np.dtype(np.float64),
}


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype:
    """The structured dtype of one point, `point_step` bytes long where that is given.

    A field of count n becomes `name_0` .. `name_n-1`, a field without a name `unnamed_field_<index>`.
    """
    names, formats, offsets = [], [], []
    for index, field in enumerate(fields):
        assert field.count > 0, f"field {field.name!r}: count is 0, expected at least 1"
        scalar = _DATATYPES[field.datatype]
        name = field.name or f"{DUMMY_FIELD_PREFIX}_{index}"
        for element in range(field.count):
            names.append(f"{name}_{element}" if field.count > 1 else name)
            formats.append(scalar)
            offsets.append(field.offset + element * scalar.itemsize)
    assert len(set(names)) == len(names), f"duplicate field names: {names}"
    layout = {"names": names, "formats": formats, "offsets": offsets}
    if point_step is not None:
        layout["itemsize"] = point_step
    return np.dtype(layout)


def read_points(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """The points as a structured array, one row a point.

    `field_names` keeps these fields only; `skip_nans` leaves out points with a NaN in a kept field, unless
    the cloud says that it is dense; `uvs` keeps the points of these indices; `reshape_organized_cloud` gives
    a cloud of more than one row the shape (width, height), as the distribution's package does.
    """
    assert isinstance(cloud, PointCloud2), (
        f"cloud: expected sensor_msgs/PointCloud2, got {type(cloud).__name__}"
    )
    points = _view(cloud)
    if field_names is not None:
        missing = [name for name in field_names if name not in points.dtype.names]
        assert not missing, f"fields {missing} are not in the cloud, which has {list(points.dtype.names)}"
        points = points[list(field_names)]
    if bool(cloud.is_bigendian) != (sys.byteorder == "big"):
        points = points.byteswap()
    if skip_nans and not cloud.is_dense:
        points = points[_complete(points)]
    if uvs is not None:
        points = points[uvs if isinstance(uvs, np.ndarray) else np.fromiter(uvs, int)]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.width, cloud.height)
    return points


def read_points_numpy(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """The points as a plain array, one column a field; the fields read must have one datatype.

    The parameters are those of `read_points`.
    """
    points = read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud)
    types = {points.dtype[name] for name in points.dtype.names}
    assert len(types) == 1, f"fields of several datatypes do not fit one array: {sorted(map(str, types))}"
    return structured_to_unstructured(points)


def read_points_list(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
) -> list[NamedTuple]:
    """The points as named tuples `Point`, for small clouds; the parameters are those of `read_points`."""
    points = read_points(cloud, field_names, skip_nans, uvs)
    point = namedtuple("Point", points.dtype.names)
    return [point._make(row) for row in points]


def create_cloud(
    header: Header,
    fields: Iterable[PointField],
    points: Iterable,
    point_step: int | None = None,
) -> PointCloud2:
    """A cloud from points of shape (N,) or (width, height): structured, a column a field, or iterables.

    A structured array has to have the dtype of `fields` and `point_step`; without `point_step` a point ends
    with its last field.
    """
    fields = list(fields)
    points = _structured(fields, points, point_step)
    assert points.ndim <= 2, f"points: expected shape (N,) or (width, height), got {points.shape}"
    height = points.shape[1] if points.ndim == 2 else 1
    width = points.shape[0]
    data = array.array("B")
    data.frombytes(
        memoryview(np.ascontiguousarray(points).view(np.uint8).reshape(-1)) if points.size else b""
    )
    return PointCloud2(
        header=header,
        height=height,
        width=width,
        is_dense=False,
        is_bigendian=sys.byteorder == "big",
        fields=fields,
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * width,
        data=data,
    )


def create_cloud_xyz32(header: Header, points: Iterable) -> PointCloud2:
    """A cloud of float32 x, y, z."""
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate("xyz")
    ]
    return create_cloud(header, fields, points)


def _view(cloud: PointCloud2) -> np.ndarray:
    """The points (N,) in the memory of the message; rows that are padded are copied together."""
    rows = np.ndarray(
        shape=(cloud.height, cloud.width),
        dtype=dtype_from_fields(cloud.fields, cloud.point_step),
        buffer=cloud.data,
        strides=(max(cloud.row_step, cloud.width * cloud.point_step), cloud.point_step),
    )
    return rows.reshape(-1)


def _complete(points: np.ndarray) -> np.ndarray:
    """True where no field is NaN."""
    complete = np.ones(points.shape, dtype=bool)
    for name in points.dtype.names:
        complete &= ~np.isnan(points[name])
    return complete


def _structured(fields: list[PointField], points: Iterable, point_step: int | None) -> np.ndarray:
    dtype = dtype_from_fields(fields, point_step)
    if isinstance(points, np.ndarray) and points.dtype.names is not None:
        assert points.dtype == dtype, f"points: expected dtype {dtype} of the fields, got {points.dtype}"
        return points
    if isinstance(points, np.ndarray):
        types = {field.datatype for field in fields}
        assert len(types) == 1, "a plain array needs fields of one datatype, pass a structured array"
        return unstructured_to_structured(points, dtype=dtype)
    return np.array([tuple(point) for point in points], dtype=dtype)
