"""The bytes of a sensor_msgs/PointCloud2 as one structured NumPy array, and back.

Reads any object that has the attributes of the message: rclpy's, rosbags', or a stand-in. N points.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from clip2scene_core.errors import DataError
from clip2scene_core.labels import LabelSet
from clip2scene_core.stamps import stamp_ns_of
from clip2scene_core.types import LidarScan, SemanticLabels

DATATYPES: dict[int, np.dtype] = {
    1: np.dtype("i1"),
    2: np.dtype("u1"),
    3: np.dtype("<i2"),
    4: np.dtype("<u2"),
    5: np.dtype("<i4"),
    6: np.dtype("<u4"),
    7: np.dtype("<f4"),
    8: np.dtype("<f8"),
    9: np.dtype("<i8"),
    10: np.dtype("<u8"),
    11: np.dtype("?"),
}
"""sensor_msgs/PointField.datatype -> NumPy; 9 to 11 are PCL's and newer than ROS 2 Jazzy."""

INTENSITY_NAMES = ("intensity", "i", "intensities", "reflectivity", "reflectance", "remission", "signal")
RING_NAMES = ("ring", "channel", "line", "laser_id", "beam", "row")
TIME_NAMES = (
    "t",
    "time",
    "timestamp",
    "time_stamp",
    "offset_time",
    "time_offset",
    "timeoffset",
    "timestamps",
)
"""Names that drivers give these columns, best first; compared in lower case."""

LONGEST_SCAN_NS = 10_000_000_000
"""A per-point time beyond this is absolute, not relative to the scan's stamp."""


class Field(NamedTuple):
    """The values of one sensor_msgs/PointField."""

    name: str
    offset: int
    datatype: int
    count: int


class PointCloud2(Protocol):
    """The attributes of sensor_msgs/PointCloud2 that are read here."""

    header: object
    height: int
    width: int
    fields: list
    is_bigendian: bool
    point_step: int
    row_step: int
    data: object


def structured(message: PointCloud2, *, topic: str = "point cloud") -> np.ndarray:
    """(N,) view of the message's bytes, one field per PointField, in the byte order of the message.

    Organised clouds are read row by row; fields with count > 1 are sub-arrays. Nothing is copied
    unless rows are padded. Raises DataError, naming `topic`, where the bytes cannot be what the
    message says.
    """
    dtype = _dtype_of(message, topic)
    height, width, step = message.height, message.width, message.point_step
    data = np.frombuffer(message.data, np.uint8)
    row_step = message.row_step if height > 1 else max(message.row_step, width * step)
    if row_step < width * step:
        raise DataError(f"{topic}: row_step {row_step} is less than width {width} x point_step {step}")
    needed = (height - 1) * row_step + width * step if height else 0
    if not needed <= len(data) <= max(height * row_step, needed):
        what = "truncated: data" if len(data) < needed else "data"
        raise DataError(
            f"{topic}: {what} holds {len(data)} bytes, but {height} x {width} points of {step} bytes "
            f"with row_step {message.row_step} take {needed}"
        )
    if row_step == width * step:
        return data[:needed].view(dtype)
    return np.ndarray((height, width), dtype, data, strides=(row_step, step)).reshape(-1)


def _dtype_of(message: PointCloud2, topic: str) -> np.dtype:
    """The structured dtype of one point; padding has no field."""
    order = ">" if message.is_bigendian else "<"
    fields: dict[str, tuple[np.dtype | tuple, int]] = {}
    for field in message.fields:
        if field.name in ("", "_"):
            continue
        if field.datatype not in DATATYPES:
            raise DataError(
                f"{topic}: field '{field.name}' has unknown datatype {field.datatype}; "
                f"known are 1 to {max(DATATYPES)}"
            )
        if field.name in fields:
            raise DataError(f"{topic}: field '{field.name}' occurs twice")
        scalar = DATATYPES[field.datatype].newbyteorder(order)
        count = max(field.count, 1)  # Drivers older than the `count` of PointField leave it at 0.
        end = field.offset + count * scalar.itemsize
        if end > message.point_step:
            raise DataError(
                f"{topic}: field '{field.name}' ends at byte {end}, beyond point_step {message.point_step}"
            )
        fields[field.name] = (scalar if count == 1 else np.dtype((scalar, (count,))), field.offset)
    if missing := [name for name in "xyz" if name not in fields]:
        present = ", ".join(fields) or "none"
        raise DataError(f"{topic}: the cloud has no field {', '.join(missing)}; it has {present}")
    if vectors := [name for name in "xyz" if fields[name][0].shape]:
        raise DataError(f"{topic}: field '{vectors[0]}' must have count 1")
    return np.dtype(
        {
            "names": list(fields),
            "formats": [dtype for dtype, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": message.point_step,
        }
    )


def scan_from(message: PointCloud2, *, topic: str = "point cloud") -> LidarScan:
    """The scan in a message, row for row; NaN points stay. Raises DataError as `structured` does.

    Intensity, ring and time are found by their usual names. Time may be relative to the stamp or
    absolute, integers in nanoseconds, floats in seconds (or, beyond 1e14, nanoseconds); a clock
    that is not the stamp's counts from the first return.
    """
    points = structured(message, topic=topic)
    stamp_ns = stamp_ns_of(message)
    xyz = np.empty((len(points), 3), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # Drivers leave anything in rows without a return.
        for column, name in enumerate("xyz"):
            xyz[:, column] = points[name]
        intensity = _first_column(points, INTENSITY_NAMES, np.float32)
        ring = _first_column(points, RING_NAMES, np.uint16)
    time = _first_column(points, TIME_NAMES)
    return LidarScan(
        xyz=xyz,
        intensity=intensity,
        ring=ring,
        time_offset_ns=None if time is None else _time_offset_ns(time, stamp_ns),
        stamp_ns=stamp_ns,
        frame_id=message.header.frame_id,
    )


def _first_column(points: np.ndarray, names: tuple[str, ...], dtype: type | None = None) -> np.ndarray | None:
    """(N,) copy of the column with the first of `names` that occurs; columns with count > 1 do not."""
    by_name = {name.lower(): name for name in points.dtype.names if not points.dtype[name].shape}
    for name in names:
        if name in by_name:
            column = points[by_name[name]]
            return column.astype(dtype or column.dtype)
    return None


def _time_offset_ns(time: np.ndarray, stamp_ns: int) -> np.ndarray:
    """(N,) int64: per-point time relative to the stamp; 0 where it is not finite."""
    if time.dtype.kind == "f":
        finite = np.isfinite(time)
        seconds = time.astype(np.float64) if finite.all() else np.where(finite, time, 0.0).astype(np.float64)
        in_nanoseconds = _largest(seconds) > 1e14
        offset_ns = np.rint(seconds if in_nanoseconds else seconds * 1e9).astype(np.int64)
    else:
        offset_ns = time.astype(np.int64)
    if _largest(offset_ns) <= LONGEST_SCAN_NS:
        return offset_ns
    known = offset_ns != 0
    since_stamp = np.where(known, offset_ns - stamp_ns, 0)
    if _largest(since_stamp) <= LONGEST_SCAN_NS:
        return since_stamp
    return np.where(known, offset_ns - offset_ns[known].min(), 0)


def _largest(values: np.ndarray) -> float:
    """The largest absolute value, 0 for none; without a temporary array."""
    return max(values.max(initial=0), -values.min(initial=0))


def append_columns(points: np.ndarray, **columns: np.ndarray) -> np.ndarray:
    """A copy of `points` (N,) in the machine's byte order with more columns (each (N,)) at its end.

    The first bytes of every point stay as they are, padding too, so that readers that rely on
    offsets still work. A column that `points` already has is replaced.
    """
    native = points.dtype.newbyteorder("=")
    kept = [name for name in native.names if name not in columns]
    offsets = [native.fields[name][1] for name in kept]
    step = native.itemsize
    for column in columns.values():
        offsets.append(step)
        step += column.dtype.itemsize
    dtype = np.dtype(
        {
            "names": [*kept, *columns],
            "formats": [
                *(native[name] for name in kept),
                *(c.dtype.newbyteorder("=") for c in columns.values()),
            ],
            "offsets": offsets,
            "itemsize": step,
        }
    )
    source = np.ascontiguousarray(points.astype(native, copy=False))
    rows = np.empty((len(points), step), np.uint8)
    rows[:, : native.itemsize] = source.view(np.uint8).reshape(len(points), native.itemsize)
    extended = rows.reshape(-1).view(dtype)
    for name, column in columns.items():
        extended[name] = column
    return extended


def append_labels(points: np.ndarray, labels: SemanticLabels, label_set: LabelSet) -> np.ndarray:
    """`points` (N,) with `label` (uint8, or uint16 where ids need it); predictions also with
    `probability` float32 and `rgb`, the colours of the classes."""
    largest = max(label_set.ignore_id, int(label_set.ids.max()))
    columns = {"label": labels.class_id.astype(np.uint8 if largest <= 255 else np.uint16)}
    if labels.probability is not None:
        columns["probability"] = labels.probability.astype(np.float32)
        columns["rgb"] = pack_rgb(label_set.palette()[labels.class_id])
    return append_columns(points, **columns)


def fields_of(dtype: np.dtype) -> tuple[Field, ...]:
    """The PointFields of a structured dtype. Raises DataError where PointField has no such type."""
    codes = {scalar: code for code, scalar in DATATYPES.items()}
    fields = []
    for name in dtype.names:
        column, offset = dtype.fields[name][:2]
        scalar = column.base.newbyteorder("<")
        if scalar not in codes:
            raise DataError(
                f"point cloud: field '{name}' has type {column.base}, which PointField cannot hold"
            )
        fields.append(Field(name, offset, codes[scalar], int(np.prod(column.shape, dtype=int))))
    return tuple(fields)


def pack_rgb(rgb: np.ndarray) -> np.ndarray:
    """(N,) float32 whose bits are 0x00RRGGBB, as RViz and PCL expect, from (N, 3) uint8."""
    r, g, b = rgb.astype(np.uint32).T
    return (r << 16 | g << 8 | b).view(np.float32)


def points_of(scan: LidarScan) -> np.ndarray:
    """(N,) structured points of a scan: x, y, z, intensity, ring and t (ns after the stamp) where known.

    Raises DataError where a time is farther from the stamp than the 2.1 s that int32 holds.
    """
    if scan.time_offset_ns is not None and (farthest_ns := _largest(scan.time_offset_ns)) >= 2**31:
        raise DataError(
            f"scan at {scan.stamp_ns} ns has a point {farthest_ns / 1e9:.1f} s from its stamp: "
            "a time of another clock?"
        )
    columns = {
        "intensity": (scan.intensity, "<f4"),
        "ring": (scan.ring, "<u2"),
        "t": (scan.time_offset_ns, "<i4"),
    }
    present = {name: column for name, column in columns.items() if column[0] is not None}
    dtype = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), *((name, kind) for name, (_, kind) in present.items())]
    points = np.empty(len(scan.xyz), dtype)
    for column, name in enumerate("xyz"):
        points[name] = scan.xyz[:, column]
    for name, (values, _) in present.items():
        points[name] = values
    return points
