#!/usr/bin/env python3
"""Times reading and writing of PointCloud2 beside sensor_msgs_py, in turns, on the layouts of drivers.

    python scripts/benchmark_pointcloud2.py [--points 35000 230000] [--repeats 31]

| column | here | sensor_msgs_py, called by somebody who knows the driver |
|---|---|---|
| fields | structured: all fields | read_points |
| scan | decode without times: coordinates, intensity and beams as numbers of one type | the same columns |
| times | decode: with ns after the stamp | the same columns |
| labelled | labelled_cloud | create_cloud of an array that the labels were added to |

Each is the median of both in ms and how many times faster it is here. Nothing is copied that need not be, on
either side.
"""

from __future__ import annotations

import argparse
import array
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from clip2scene_core.labels import LabelSet
from clip2scene_core.pointcloud2 import decode, fields_of, pack_rgb, structured
from clip2scene_core.types import LidarScan, SemanticLabels
from clip2scene_ros.conversions import labelled_cloud

STAMP_S = 1_700_000_000
SCAN_S = 0.1
LABEL_SET = LabelSet.named("street")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a driver lays out a point, and what its times mean."""

    name: str
    fields: str
    """name:format@offset of each field."""
    step: int
    intensity: str = ""
    ring: str = ""
    time: str = ""
    time_unit_s: float = 1.0
    since_epoch: bool = False
    rows: int = 1
    big_endian: bool = False

    def dtype(self) -> np.dtype:
        parsed = [field.replace("@", ":").split(":") for field in self.fields.split()]
        return np.dtype(
            {
                "names": [name for name, _, _ in parsed],
                "formats": [f"{'>' if self.big_endian else '<'}{kind}" for _, kind, _ in parsed],
                "offsets": [int(offset) for _, _, offset in parsed],
                "itemsize": self.step,
            }
        )


XYZ = "x:f4@0 y:f4@4 z:f4@8"
XYZI = f"{XYZ} intensity:f4@12"
LAYOUTS = (
    Layout(name="x y z intensity", fields=XYZI, step=16, intensity="intensity"),
    Layout(
        name="Velodyne",
        fields=f"{XYZI} ring:u2@16 time:f4@18",
        step=22,
        intensity="intensity",
        ring="ring",
        time="time",
    ),
    Layout(
        name="Velodyne, big-endian",
        fields=f"{XYZI} ring:u2@16 time:f4@18",
        step=22,
        intensity="intensity",
        ring="ring",
        time="time",
        big_endian=True,
    ),
    Layout(
        name="Ouster",
        fields=f"{XYZ} intensity:f4@16 t:u4@20 reflectivity:u2@24 ring:u2@26 ambient:u2@28 range:u4@32",
        step=48,
        intensity="intensity",
        ring="ring",
        time="t",
        time_unit_s=1e-9,
        rows=10,
    ),
    Layout(
        name="Hesai",
        fields=f"{XYZI} ring:u2@16 timestamp:f8@18",
        step=26,
        intensity="intensity",
        ring="ring",
        time="timestamp",
        since_epoch=True,
    ),
    Layout(
        name="Livox",
        fields=f"{XYZI} tag:u1@16 line:u1@17 timestamp:f8@18",
        step=26,
        intensity="intensity",
        ring="line",
        time="timestamp",
        time_unit_s=1e-9,
        since_epoch=True,
    ),
    Layout(
        name="Autoware XYZIRC",
        fields=f"{XYZ} intensity:u1@12 return_type:u1@13 channel:u2@14",
        step=16,
        intensity="intensity",
        ring="channel",
    ),
    Layout(
        name="Autoware XYZIRCAEDT",
        fields=f"{XYZ} intensity:u1@12 return_type:u1@13 channel:u2@14 azimuth:f4@16 elevation:f4@20 "
        "distance:f4@24 time_stamp:u4@28",
        step=32,
        intensity="intensity",
        ring="channel",
        time="time_stamp",
        time_unit_s=1e-9,
    ),
    Layout(
        name="float64 coordinates",
        fields="x:f8@0 y:f8@8 z:f8@16 intensity:f4@24",
        step=28,
        intensity="intensity",
    ),
)


def cloud_of(layout: Layout, count: int) -> PointCloud2:
    """A scan of random points with the times of a turn."""
    rng, dtype = np.random.default_rng(0), layout.dtype()
    points = np.zeros(count, dtype)
    for name in dtype.names:
        points[name] = rng.uniform(-50, 50, count) if name in "xyz" else rng.integers(0, 100, count)
    if layout.time:
        since_s = np.linspace(0, SCAN_S, count) + (STAMP_S if layout.since_epoch else 0)
        points[layout.time] = since_s / layout.time_unit_s
    data = array.array("B")
    data.frombytes(points.tobytes())
    fields = [PointField(**field._asdict()) for field in fields_of(dtype)]
    cloud = PointCloud2(
        header=Header(frame_id="lidar"),
        height=layout.rows,
        width=count // layout.rows,
        fields=fields,
        is_bigendian=layout.big_endian,
        point_step=layout.step,
        row_step=layout.step * (count // layout.rows),
        data=data,
    )
    cloud.header.stamp.sec = STAMP_S
    return cloud


def columns_of(scan: LidarScan) -> list[np.ndarray]:
    columns = (scan.xyz, scan.intensity, scan.ring, scan.time_offset_ns)
    return [column for column in columns if column is not None]


def columns_by_hand(cloud: PointCloud2, layout: Layout, *, timed: bool) -> list[np.ndarray]:
    points = point_cloud2.read_points(cloud)
    coordinates = structured_to_unstructured(points[["x", "y", "z"]])  # as read_points_numpy does
    columns = [coordinates.astype(np.float32, copy=False)]
    if layout.intensity:
        columns.append(points[layout.intensity].astype(np.float32, copy=False))
    if layout.ring:
        columns.append(points[layout.ring].astype(np.uint16, copy=False))
    if layout.time and timed:
        since_ns = points[layout.time].astype(np.float64) * (layout.time_unit_s * 1e9)
        columns.append(np.rint(since_ns).astype(np.int64) - STAMP_S * 10**9 * layout.since_epoch)
    return columns


def labelled_by_sensor_msgs_py(cloud: PointCloud2, labels: SemanticLabels) -> PointCloud2:
    """The same bytes as labelled_cloud, built as the examples of sensor_msgs_py do."""
    points = point_cloud2.read_points(cloud)
    native = point_cloud2.dtype_from_fields(cloud.fields, cloud.point_step)
    fields = [*cloud.fields]
    for name, datatype in (("label", 2), ("probability", 7), ("rgb", 7)):
        offset = cloud.point_step + {"label": 0, "probability": 1, "rgb": 5}[name]
        fields.append(PointField(name=name, offset=offset, datatype=datatype, count=1))
    rows = np.empty(len(points), point_cloud2.dtype_from_fields(fields, cloud.point_step + 9))
    for name in native.names:
        rows[name] = points[name]
    rows["label"], rows["probability"] = labels.class_id, labels.probability
    rows["rgb"] = pack_rgb(LABEL_SET.palette()[labels.class_id])
    return point_cloud2.create_cloud(cloud.header, fields, rows, cloud.point_step + 9)


def compare(here: Callable[[], object], there: Callable[[], object], repeats: int) -> str:
    """Medians of both in ms, and their ratio."""
    times_ms: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 2):
        for function, times in zip((here, there), times_ms, strict=True):
            start = time.perf_counter()
            function()
            if turn >= 2:  # the first ones warm up
                times.append(1e3 * (time.perf_counter() - start))
    ours, theirs = map(median, times_ms)
    return f"{ours:.3f} / {theirs:.3f} = {theirs / ours:.1f}x"


def row_of(layout: Layout, count: int, repeats: int) -> str:
    cloud = cloud_of(layout, count)
    points, rng = structured(cloud), np.random.default_rng(1)
    labels = SemanticLabels(
        class_id=rng.choice(LABEL_SET.ids, count), probability=rng.random(count, np.float32)
    )
    columns = zip(columns_of(decode(cloud).scan), columns_by_hand(cloud, layout, timed=True), strict=True)
    assert all(np.allclose(ours, theirs, rtol=0, atol=1000) for ours, theirs in columns)
    cells = (
        compare(lambda: structured(cloud), lambda: point_cloud2.read_points(cloud), repeats),
        compare(
            lambda: decode(cloud, timed=False), lambda: columns_by_hand(cloud, layout, timed=False), repeats
        ),
        compare(lambda: decode(cloud), lambda: columns_by_hand(cloud, layout, timed=True), repeats),
        compare(
            lambda: labelled_cloud(cloud, points, labels, LABEL_SET),
            lambda: labelled_by_sensor_msgs_py(cloud, labels),
            repeats,
        ),
    )
    return f"| {layout.name} | {count:,} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[35_000, 230_000], help="points of a scan")
    parser.add_argument("--repeats", type=int, default=31, help="times that each is measured")
    arguments = parser.parse_args()
    print("| layout | points | fields | scan | times | labelled |\n|---|---|---|---|---|---|")
    for layout in LAYOUTS:
        for count in arguments.points:
            print(row_of(layout, count, arguments.repeats), flush=True)


if __name__ == "__main__":
    main()
