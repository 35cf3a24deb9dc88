"""Clouds as the drivers of LiDARs lay them out, packed by hand; and times that could mean anything."""

from __future__ import annotations

import math
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_core.errors import DataError
from clip2scene_core.point_times import time_field, time_offsets_ns
from clip2scene_core.pointcloud2 import Field, decode

UINT8, UINT16, INT32, UINT32, FLOAT32, FLOAT64, UINT64 = 2, 4, 5, 6, 7, 8, 10
STAMP_S = 1_700_000_000
"""Seconds at which a float64 resolves 238 ns."""
STAMP_NS = STAMP_S * 10**9

XYZ = (("x", 0, FLOAT32), ("y", 4, FLOAT32), ("z", 8, FLOAT32))
XYZI = (*XYZ, ("intensity", 12, FLOAT32))
PCL_XYZI = (*XYZ, ("intensity", 16, FLOAT32))

DRIVERS = {
    # driver: (a point for struct, fields, two points after x y z, (intensity, ring, ns after the stamp))
    "Velodyne, stamp at the end": (
        "<3ffHf",
        (*XYZI, ("ring", 16, UINT16), ("time", 18, FLOAT32)),
        [(7.0, 3, -0.0625), (200.0, 15, 0.0)],
        ([7, 200], [3, 15], [-62_500_000, 0]),
    ),
    "Ouster": (
        "<3f4xfIHHH2xI12x",
        (
            *PCL_XYZI,
            *(("t", 20, UINT32), ("reflectivity", 24, UINT16), ("ring", 26, UINT16)),
            *(("ambient", 28, UINT16), ("range", 32, UINT32)),
        ),
        [(7.0, 0, 1, 3, 5, 6), (200.0, 99_902_343, 2, 127, 5, 6)],
        ([7, 200], [3, 127], [0, 99_902_343]),
    ),
    "Hesai": (
        "<3ffHd",
        (*XYZI, ("ring", 16, UINT16), ("timestamp", 18, FLOAT64)),
        [(7.0, 3, STAMP_S + 0.015625), (200.0, 15, STAMP_S + 0.09375)],
        ([7, 200], [3, 15], [15_625_000, 93_750_000]),
    ),
    "RoboSense, stamp at the end, one point without return": (
        "<3f4xB1xH4xd",
        (*XYZ, ("intensity", 16, UINT8), ("ring", 18, UINT16), ("timestamp", 24, FLOAT64)),
        [(7, 3, 0.0), (200, 15, STAMP_S - 0.09375)],
        ([7, 200], [3, 15], [0, -93_750_000]),
    ),
    "RoboSense, relative": (
        "<3ffHd",
        (*XYZI, ("ring", 16, UINT16), ("timestamp", 18, FLOAT64)),
        [(7.0, 3, 0.0), (200.0, 15, 0.09375)],
        ([7, 200], [3, 15], [0, 93_750_000]),
    ),
    "Livox": (
        "<3ffBBd",
        (*XYZI, ("tag", 16, UINT8), ("line", 17, UINT8), ("timestamp", 18, FLOAT64)),
        [(7.0, 16, 3, STAMP_NS + 256.0), (200.0, 0, 1, STAMP_NS + 2.0**26)],
        ([7, 200], [3, 1], [256, 2**26]),
    ),
    "Livox, its own message converted": (
        "<3fBBBxI",
        (
            *(*XYZ, ("reflectivity", 12, UINT8), ("tag", 13, UINT8), ("line", 14, UINT8)),
            ("offset_time", 16, UINT32),
        ),
        [(7, 16, 3, 1), (200, 0, 1, 99_999_999)],
        ([7, 200], [3, 1], [1, 99_999_999]),
    ),
    "Autoware XYZIRC": (
        "<3fBBH",
        (*XYZ, ("intensity", 12, UINT8), ("return_type", 13, UINT8), ("channel", 14, UINT16)),
        [(7, 1, 3), (200, 2, 127)],
        ([7, 200], [3, 127], None),
    ),
    "Autoware XYZIRCAEDT": (
        "<3fBBHfffI",
        (
            *(*XYZ, ("intensity", 12, UINT8), ("return_type", 13, UINT8), ("channel", 14, UINT16)),
            *(("azimuth", 16, FLOAT32), ("elevation", 20, FLOAT32), ("distance", 24, FLOAT32)),
            ("time_stamp", 28, UINT32),
        ),
        [(7, 1, 3, 0.5, 0.1, 9.0, 0), (200, 2, 127, 0.6, 0.1, 9.0, 100_000_000)],
        ([7, 200], [3, 127], [0, 100_000_000]),
    ),
    "Autoware XYZIRADRT": (
        "<3f4xfHxxffBxxxxxxxd",
        (
            *(*PCL_XYZI, ("ring", 20, UINT16), ("azimuth", 24, FLOAT32), ("distance", 28, FLOAT32)),
            *(("return_type", 32, UINT8), ("time_stamp", 40, FLOAT64)),
        ),
        [(7.0, 3, 0.5, 9.0, 1, STAMP_S), (200.0, 15, 0.6, 9.0, 1, STAMP_S + 0.09375)],
        ([7, 200], [3, 15], [0, 93_750_000]),
    ),
    "Seyond, microseconds since the epoch": (
        "<3f4xdB7x",
        (*XYZ, ("timestamp", 16, FLOAT64), ("intensity", 24, UINT8)),
        [(STAMP_S * 1e6, 7), (STAMP_S * 1e6 + 50_000, 200)],
        ([7, 200], None, [0, 50_000_000]),
    ),
    "microseconds after the stamp": (
        "<3fHI",
        (*XYZ, ("intensity", 12, UINT16), ("timestamp", 14, UINT32)),
        [(7, 0), (200, 99_900)],
        ([7, 200], None, [0, 99_900_000]),
    ),
    "microseconds since the epoch": (
        "<3fQ",
        (*XYZ, ("timestamp", 12, UINT64)),
        [(STAMP_S * 10**6,), (STAMP_S * 10**6 + 20_000,)],
        (None, None, [0, 20_000_000]),
    ),
    "SICK": (
        "<3ffbI",
        (*XYZ, ("i", 12, FLOAT32), ("ring", 16, 1), ("time_offset_nanosec", 17, UINT32)),
        [(7.0, 3, 500), (200.0, 15, 50_000_000)],
        ([7, 200], [3, 15], [500, 50_000_000]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_clouds_of_drivers_are_understood(driver, big_endian):
    layout, fields, rest, (intensity, ring, offset_ns) = DRIVERS[driver]
    layout = layout.replace("<", ">") if big_endian else layout
    coordinates = [(1.0, -2.0, 3.5), (math.nan, math.nan, math.nan)]
    step = struct.calcsize(layout)
    cloud = SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=STAMP_S, nanosec=0), frame_id="lidar"),
        height=1,
        width=2,
        fields=[Field(*field, 1) for field in fields],
        is_bigendian=big_endian,
        point_step=step,
        row_step=2 * step,
        data=b"".join(struct.pack(layout, *xyz, *more) for xyz, more in zip(coordinates, rest, strict=True)),
    )
    decoded = decode(cloud)
    scan = decoded.scan
    np.testing.assert_array_equal(scan.xyz, np.array(coordinates, np.float32))
    assert decoded.notes == ()
    for got, expected in ((scan.intensity, intensity), (scan.ring, ring)):
        assert (None if got is None else got.tolist()) == expected
    if offset_ns is None:
        assert scan.time_offset_ns is None
    else:
        assert scan.time_offset_ns.dtype == np.int64
        np.testing.assert_allclose(scan.time_offset_ns, offset_ns, rtol=0, atol=0)
    assert decode(cloud, timed=False).scan.time_offset_ns is None


@pytest.mark.parametrize(
    ("name", "dtype", "column", "expected_ns"),
    [
        ("time", "f4", [math.nan, 0.0625], [0, 62_500_000]),
        ("timestamp", "f8", [math.nan, math.inf, STAMP_S - 0.25], [0, 0, -250_000_000]),
        ("timestamp", "i8", [0, STAMP_NS + 5_000_000], [0, 5_000_000]),
        ("time_ms", "f4", [0.0, 62.5], [0, 62_500_000]),
        ("T_us", "u4", [0, 1_500], [0, 1_500_000]),
        ("t", "u4", [], []),
    ],
)
def test_points_without_a_time_and_units_in_names(name, dtype, column, expected_ns):
    offset_ns = time_offsets_ns(name, np.array(column, dtype), STAMP_NS)
    assert offset_ns.tolist() == expected_ns


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(
        [("f8", 1e9), ("f8", 1e3), ("f8", 1), ("f4", 1e9), ("u8", 1e3), ("i8", 1), ("u4", 1e3), ("i4", 1)]
    ),
    st.booleans(),
    st.integers(-200_000_000, 200_000_000),
    st.integers(20_000_000, 200_000_000),
    st.lists(st.floats(0, 1), max_size=20),
)  # fmt: skip
def test_any_unit_and_clock_is_told_by_its_values(kind, since_epoch, start_ns, lasts_ns, shares):
    """A scan of 20 to 200 ms that begins or ends within 200 ms of its stamp."""
    dtype, unit_ns = kind
    if np.dtype(dtype).itemsize < 8:
        since_epoch = False
    if dtype[0] == "u" and not since_epoch:
        start_ns = abs(start_ns)
    offset_ns = start_ns + (np.array([0, 1, *shares]) * lasts_ns).astype(np.int64)
    zero_ns = STAMP_NS if since_epoch else 0
    if dtype[0] == "f":
        values = ((offset_ns + zero_ns).astype(np.float64) / unit_ns).astype(dtype)
    else:
        values = ((offset_ns + zero_ns) // int(unit_ns)).astype(dtype)
    got = time_offsets_ns("timestamp", values, STAMP_NS)
    np.testing.assert_allclose(got, offset_ns, rtol=0, atol=1000)


@pytest.mark.parametrize(
    ("name", "dtype", "column", "stamp_ns", "text"),
    [
        ("t", "u4", [0, 0, 0], STAMP_NS, "field 't' holds 0 to 0, no time of a scan in us or ns"),
        ("timestamp", "f8", [523.25, 523.5], STAMP_NS, "holds 523.25 to 523.5, no time of a scan"),
        ("timestamp", "f8", [STAMP_S - 0.7], STAMP_NS, "not 1 to 500 ms from the stamp 1700000000.000 s"),
        ("time", "f4", [0.0, 3.0], STAMP_NS, "'time' holds 0 to 3, no time of a scan in s or us or ns"),
        ("time_ns", "u4", [0, 50_000], STAMP_NS, "'time_ns' holds 0 to 50000, no time of a scan in ns"),
        ("time", "f8", [0.1, 0.2], 50_000_000, "which may be s after the stamp or s since the epoch"),
        ("t", "u8", [2**64 - 1, 0], STAMP_NS, "no time of a scan"),
        ("t", "i4", [-(2**31), 5], STAMP_NS, "no time of a scan"),
        ("t", "f4", [math.nan, math.nan], STAMP_NS, "holds 0 to 0, no time of a scan"),
    ],
)  # fmt: skip
def test_times_that_cannot_be_understood_are_refused(name, dtype, column, stamp_ns, text):
    with pytest.raises(DataError) as error:
        time_offsets_ns(name, np.array(column, dtype), stamp_ns)
    assert text in str(error.value) and "\n" not in str(error.value)


def test_the_name_tells_which_field_is_the_time():
    assert time_field(["x", "timestamp", "Time_Offset_us", "t"]) == "t"
    assert time_field(["x", "time_stamp", "offset_time_ns", "TIME"]) == "TIME"
    assert time_field(["x", "y", "return_time_code", "lifetime", "_s", "ts"]) is None
