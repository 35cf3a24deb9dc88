"""The bytes of a sensor_msgs/PointCloud2 as one structured NumPy array, and back.

Reads any object that has the attributes of the message: rclpy's, rosbags', or a stand-in. N points.
"""

from __future__ import annotations

import array
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain, count
from typing import Any, NamedTuple, Protocol

import numpy as np

from clip2scene_core.errors import DataError
from clip2scene_core.labels import LabelSet
from clip2scene_core.point_times import time_field, time_offsets_ns
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

LARGEST_POINT = 1 << 20
"""Bytes; descriptors of points have some thousands, NumPy takes no more than 2^31."""

INTENSITY_NAMES = ("intensity", "i", "intensities", "reflectivity", "reflectance", "remission", "signal")
RING_NAMES = ("ring", "channel", "line", "laser_id", "beam", "row")
RGB_NAMES = ("rgb", "rgba")
CHANNEL_NAMES = (("r", "g", "b"), ("red", "green", "blue"))
"""Names that drivers give these columns, best first; compared in lower case."""


class Field(NamedTuple):
    """The values of one sensor_msgs/PointField."""

    name: str
    offset: int
    datatype: int
    count: int  # type: ignore[assignment]  # PointField calls it so; tuple.count is not used


class PointCloud2(Protocol):
    """The attributes of sensor_msgs/PointCloud2 that are read here."""

    header: Any
    height: int
    width: int
    fields: list
    is_bigendian: bool
    point_step: int
    row_step: int
    data: Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedCloud:
    """What a message holds."""

    points: np.ndarray
    """(N,) structured, all fields, in the memory of the message; see `structured`."""
    scan: LidarScan
    """Where the message has them so, its columns lie in the memory of the message too, read-only."""
    notes: tuple[str, ...]
    """One line for each thing in the message that has no meaning."""


def decode(message: PointCloud2, *, topic: str = "point cloud", timed: bool = True) -> DecodedCloud:
    """The points of a message, row for row; NaN points stay. Raises DataError as `structured` does.

    Intensity, ring, colour and, if `timed`, the time of each point are found by their usual names. Times that
    cannot be understood (see point_times) are left out, with a note; so are the colours of a labelled cloud,
    which are those of its classes.
    """
    layout = _layout_of(message, topic)
    points, stamp_ns, notes = _structured(message, layout.dtype, topic), stamp_ns_of(message), []
    offset_ns = None
    if timed and layout.time is not None:
        try:
            offset_ns = time_offsets_ns(layout.time, points[layout.time], stamp_ns)
        except DataError as error:
            notes.append(f"{topic}: {error}")
    with np.errstate(over="ignore", invalid="ignore"):  # Drivers leave anything in rows without a return.
        scan = LidarScan(
            xyz=_xyz(points, layout),
            intensity=_column(points, layout.intensity, np.float32),
            ring=_column(points, layout.ring, np.uint16),
            rgb=_rgb(points, layout.rgb),
            time_offset_ns=offset_ns,
            stamp_ns=stamp_ns,
            frame_id=message.header.frame_id,
        )
    return DecodedCloud(points=points, scan=scan, notes=tuple(notes))


def scan_from(message: PointCloud2, *, topic: str = "point cloud") -> LidarScan:
    """The scan that `decode` finds in a message."""
    return decode(message, topic=topic).scan


def structured(message: PointCloud2, *, topic: str = "point cloud") -> np.ndarray:
    """(N,) view of the message's bytes, one field per PointField, in the byte order of the message.

    Organised clouds are read row by row; fields with count > 1 are sub-arrays. Of several fields with one
    name the first has it, the others become name_2, name_3; a field without a name is padding. Nothing is
    copied unless rows are padded. Raises DataError, naming `topic`, where the bytes cannot be what the
    message says.
    """
    return _structured(message, _layout_of(message, topic).dtype, topic)


def _structured(message: PointCloud2, dtype: np.dtype, topic: str) -> np.ndarray:
    height, width, step = message.height, message.width, message.point_step
    data = np.frombuffer(message.data, np.uint8)
    if len(data) == height * width * step:  # packed, whatever row_step says
        return data.view(dtype)
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
    rows: np.ndarray = np.ndarray((height, width), dtype, data, strides=(row_step, step))
    return np.ascontiguousarray(rows).reshape(-1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layout:
    """What a point consists of."""

    dtype: np.dtype
    """Structured; padding has no field."""
    xyz: tuple[int, int] | None
    """Offset of x and the distance from x to y to z, where these are float32 of this machine."""
    intensity: str | None
    ring: str | None
    time: str | None
    rgb: tuple[str, ...]
    """Field with all channels packed, or those of red, green and blue; none where points have no colours."""


def _layout_of(message: PointCloud2, topic: str) -> _Layout:
    fields = tuple(Field(f.name, f.offset, f.datatype, f.count) for f in message.fields)
    return _layout(fields, message.point_step, bool(message.is_bigendian), topic)


@lru_cache(maxsize=64)  # all clouds of a driver have the same
def _layout(fields: tuple[Field, ...], point_step: int, big_endian: bool, topic: str) -> _Layout:
    """Raises DataError where the fields cannot be those of a cloud."""
    if point_step > LARGEST_POINT:
        raise DataError(
            f"{topic}: point_step {point_step} is more than the {LARGEST_POINT} bytes of any point"
        )
    columns = _columns(fields, point_step, big_endian, topic)
    dtype = np.dtype(
        {
            "names": list(columns),
            "formats": [column for column, _ in columns.values()],
            "offsets": [offset for _, offset in columns.values()],
            "itemsize": point_step,
        }
    )
    x, y, z = (columns[name][1] for name in "xyz")
    evenly = y - x == z - y and all(dtype[name] == np.float32 for name in "xyz")
    scalars = [name for name, (column, _) in columns.items() if not column.shape]
    return _Layout(
        dtype=dtype,
        xyz=(x, y - x) if evenly else None,
        intensity=_first(scalars, INTENSITY_NAMES),
        ring=_first(scalars, RING_NAMES),
        time=time_field(scalars),
        rgb=_colour_fields(dtype, scalars),
    )


def _columns(
    fields: tuple[Field, ...], point_step: int, big_endian: bool, topic: str
) -> dict[str, tuple[np.dtype, int]]:
    """Type and offset of each field, by its name."""
    columns: dict[str, tuple[np.dtype, int]] = {}
    for field in fields:
        if field.name in ("", "_"):
            continue
        if field.datatype not in DATATYPES:
            raise DataError(
                f"{topic}: field '{field.name}' has unknown datatype {field.datatype}; "
                f"known are 1 to {max(DATATYPES)}"
            )
        scalar = DATATYPES[field.datatype].newbyteorder(">" if big_endian else "<")
        values = max(field.count, 1)  # Drivers older than the `count` of PointField leave it at 0.
        end = field.offset + values * scalar.itemsize
        if end > point_step:
            raise DataError(
                f"{topic}: field '{field.name}' ends at byte {end}, beyond point_step {point_step}"
            )
        column = scalar if values == 1 else np.dtype((scalar, (values,)))
        columns[_unused(field.name, columns)] = column, field.offset
    if missing := [name for name in "xyz" if name not in columns]:
        present = ", ".join(columns) or "none"
        raise DataError(f"{topic}: the cloud has no field {', '.join(missing)}; it has {present}")
    if vectors := [name for name in "xyz" if columns[name][0].shape]:
        raise DataError(f"{topic}: field '{vectors[0]}' must have count 1")
    return columns


def _unused(name: str, taken: Container[str]) -> str:
    numbered = (f"{name}_{number}" for number in count(2))
    return next(candidate for candidate in chain([name], numbered) if candidate not in taken)


def _first(present: Iterable[str], names: tuple[str, ...]) -> str | None:
    """The field with the first of `names` that is present; of several in other cases of letters the first."""
    by_name = {name.lower(): name for name in reversed(list(present))}
    return next((by_name[name] for name in names if name in by_name), None)


def _xyz(points: np.ndarray, layout: _Layout) -> np.ndarray:
    """(N, 3) float32: a view of `points` where that can be, else a copy."""
    count = len(points)
    if layout.xyz is not None and count:
        first, apart = layout.xyz
        strides = points.itemsize, apart
        xyz: np.ndarray = np.ndarray((count, 3), np.float32, points.view(np.uint8), first, strides)
    else:
        xyz = np.empty((count, 3), np.float32)
        for column, name in enumerate("xyz"):
            xyz[:, column] = points[name]
    xyz.flags.writeable = False
    return xyz


def _column(points: np.ndarray, name: str | None, dtype: type) -> np.ndarray | None:
    """(N,) a view of `points` where the field has the dtype, else a copy; None without a name."""
    if name is None:
        return None
    column: np.ndarray = points[name].astype(dtype, copy=False)
    column.flags.writeable = False
    return column


def _colour_fields(dtype: np.dtype, scalars: Iterable[str]) -> tuple[str, ...]:
    """Those of the colours of points, among fields with one value a point."""
    scalars = list(scalars)
    if {"label", "probability"} <= set(scalars):
        return ()
    packed = _first([name for name in scalars if dtype[name].itemsize == 4], RGB_NAMES)
    if packed is not None:
        return (packed,)
    known = [name for name in scalars if dtype[name].kind == "f" or dtype[name] == np.uint8]
    for names in CHANNEL_NAMES:
        found = tuple(name for channel in names if (name := _first(known, (channel,))) is not None)
        if len(found) == 3:
            return found
    return ()


def _rgb(points: np.ndarray, names: tuple[str, ...]) -> np.ndarray | None:
    """(N, 3) uint8: of packed colours, 0xAARRGGBB whatever the type, a view of `points`; None without names.

    Channels that are no bytes are 0..1, or 0..255 where one of them is more than 1.
    """
    if not names:
        return None
    if len(names) == 1 and len(points):
        field, offset = points.dtype.fields[names[0]][:2]  # type: ignore[index]  # it is structured
        step = points.itemsize
        raw: np.ndarray = np.ndarray((len(points), 4), np.uint8, points.view(np.uint8), offset, (step, 1))
        rgb = raw[:, 1:] if field.str.startswith(">") else raw[:, 2::-1]
    else:
        rgb = np.column_stack([points[name] for name in names * (3 // len(names))])
        if rgb.dtype != np.uint8:
            rgb = np.nan_to_num(rgb, nan=0.0)
            scale = 255.0 if rgb.max(initial=0) <= 1 else 1.0
            rgb = np.rint(np.clip(rgb * scale, 0, 255)).astype(np.uint8)
    rgb.flags.writeable = False
    return rgb


def append_columns(points: np.ndarray, **columns: np.ndarray) -> np.ndarray:
    """A copy of `points` (N,) in the machine's byte order with more columns (each (N,)) at its end.

    The first bytes of every point stay as they are, padding too, so that readers that rely on offsets
    still work. A column that `points` already has is replaced.
    """
    return pack_into(array.array("B"), points, columns)


def pack_into(data: array.array[int], points: np.ndarray, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """What `append_columns` returns, in the memory of `data`, which has to be empty: that of a message."""
    dtype = _extended(points.dtype.newbyteorder("="), columns)
    data.append(0)
    data *= len(points) * dtype.itemsize
    packed = np.frombuffer(data, dtype)
    # Whole points at once: field by field takes ten times as long.
    raw = np.dtype((np.void, points.itemsize))
    np.ndarray(len(points), raw, data, strides=(dtype.itemsize,))[:] = points.view(raw)
    if not points.dtype.isnative:
        for name in points.dtype.names or ():
            if name not in columns:
                packed[name] = points[name]
    for name, column in columns.items():
        packed[name] = column
    return packed


def _extended(dtype: np.dtype, columns: Mapping[str, np.ndarray]) -> np.dtype:
    """The structured dtype with these columns in place of its own of those names, and at its end."""
    present: Mapping[str, Any] = dtype.fields or {}
    kept = [name for name in present if name not in columns]
    added = [column.dtype.newbyteorder("=") for column in columns.values()]
    ends = list(accumulate((column.itemsize for column in added), initial=dtype.itemsize))
    layout: Any = {
        "names": [*kept, *columns],
        "formats": [*(present[name][0] for name in kept), *added],
        "offsets": [*(present[name][1] for name in kept), *ends[:-1]],
        "itemsize": ends[-1],
    }
    return np.dtype(layout)


def append_labels(points: np.ndarray, labels: SemanticLabels, label_set: LabelSet) -> np.ndarray:
    """`points` (N,) with the columns of their labels."""
    return append_columns(points, **label_columns(labels, label_set))


def label_columns(labels: SemanticLabels, label_set: LabelSet) -> dict[str, np.ndarray]:
    """`label` (uint8, or uint16 where ids need it); of predictions also `probability` float32 and `rgb`,
    the colours of the classes."""
    largest = max(label_set.ignore_id, int(label_set.ids.max()))
    columns = {"label": labels.class_id.astype(np.uint8 if largest <= 255 else np.uint16)}
    if labels.probability is not None:
        columns["probability"] = labels.probability.astype(np.float32, copy=False)
        used = labels.class_id.max(initial=0) + 1  # of 65536 colours: packing them all would take longer
        columns["rgb"] = pack_rgb(label_set.palette()[:used])[labels.class_id]
    return columns


def fields_of(dtype: np.dtype) -> tuple[Field, ...]:
    """The PointFields of a structured dtype. Raises DataError where PointField has no such type."""
    codes = {scalar: code for code, scalar in DATATYPES.items()}
    fields = []
    for name, (column, offset, *_) in (dtype.fields or {}).items():
        scalar = column.base.newbyteorder("<")
        if scalar not in codes:
            raise DataError(
                f"point cloud: field '{name}' has type {column.base}, which PointField cannot hold"
            )
        fields.append(Field(name, offset, codes[scalar], int(np.prod(column.shape, dtype=int))))
    return tuple(fields)


def pack_rgb(rgb: np.ndarray) -> np.ndarray:
    """(N,) float32 whose bits are 0x00RRGGBB, as RViz and PCL expect, from (N, 3) uint8."""
    wide = rgb.astype(np.uint32)
    return (wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]).view(np.float32)


def points_of(scan: LidarScan) -> np.ndarray:
    """(N,) structured points of a scan: x, y, z, intensity, ring, t (ns after the stamp) and rgb where known.

    Raises DataError where a time is farther from the stamp than the 2.1 s that int32 holds.
    """
    if scan.time_offset_ns is not None:
        farthest_ns = np.abs(scan.time_offset_ns).max(initial=0)
        if farthest_ns >= 2**31:
            raise DataError(
                f"scan at {scan.stamp_ns} ns has a point {farthest_ns / 1e9:.1f} s from its stamp: "
                "a time of another clock?"
            )
    columns = {
        "intensity": (scan.intensity, "<f4"),
        "ring": (scan.ring, "<u2"),
        "t": (scan.time_offset_ns, "<i4"),
        "rgb": (None if scan.rgb is None else pack_rgb(scan.rgb), "<f4"),
    }
    present = {name: column for name, column in columns.items() if column[0] is not None}
    dtype = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), *((name, kind) for name, (_, kind) in present.items())]
    points = np.empty(len(scan.xyz), dtype)
    for column, name in enumerate("xyz"):
        points[name] = scan.xyz[:, column]
    for name, (values, _) in present.items():
        points[name] = values
    return points
