"""When each point of a cloud was measured: the names, units and clocks of drivers, told apart by the values.

| driver | field | datatype | values |
|---|---|---|---|
| Velodyne | time | float32 | s after the stamp, or before it where the stamp is the end of the scan |
| Ouster | t | uint32 | ns after the stamp |
| Hesai | timestamp | float64 | s since the epoch |
| RoboSense | timestamp | float64 | s since the epoch, or after the stamp |
| Livox | timestamp | float64 | ns since the epoch |
| Livox, converted from its own message | offset_time | uint32 | ns after the stamp |
| Autoware and Nebula, PointXYZIRCAEDT | time_stamp | uint32 | ns after the stamp |
| Autoware before that, PointXYZIRADRT | time_stamp | float64 | s since the epoch |
| Seyond | timestamp | float64 | s or us since the epoch |
| SICK | time_offset_sec, time_offset_nanosec | float32, uint32 | as the name says |
| others | timestamp, time_us, ... | uint32, uint64 | us after the stamp or since the epoch |

The rule: times are in the unit that the name ends in, else in s, us or ns where they are floats, in us or ns
where they are integers; they count from the stamp or, where they have 64 bits, from the epoch of the stamp.
Such a reading is possible where the point farthest from the stamp is NEAREST_NS to FARTHEST_NS away. If one
reading is possible, it is taken; if none is, or several that differ, nothing is guessed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from clip2scene_core.errors import DataError
from clip2scene_core.stamps import NS_PER_S

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
"""Names that drivers give the field, best first, in lower case; a unit may follow."""

NEAREST_NS, FARTHEST_NS = NS_PER_S // 1000, NS_PER_S // 2
"""How near and how far the point farthest from the stamp can be: scans take some 20 to 200 ms."""

_UNITS_NS = {"s": NS_PER_S, "ms": 1_000_000, "us": 1000, "ns": 1}
_UNIT_OF_SUFFIX = {unit: unit for unit in _UNITS_NS} | {
    f"{prefix}{second}": unit
    for unit, prefixes in {"s": [""], "ms": ["m", "milli"], "us": ["u", "micro"], "ns": ["n", "nano"]}.items()
    for prefix in prefixes
    for second in ("sec", "second", "seconds")
}


def time_field(names: Iterable[str]) -> str | None:
    """Which of these fields holds the time of each point."""
    ranks = {name: TIME_NAMES.index(base) for name in names if (base := _parsed(name)[0]) in TIME_NAMES}
    return min(ranks, key=ranks.__getitem__, default=None)


def time_offsets_ns(name: str, values: np.ndarray, stamp_ns: int) -> np.ndarray:
    """(N,) int64, ns after the stamp, from the field `name` with values (N,) of any number type.

    0 where a point has no time: NaN or, among times since the epoch, 0. Raises DataError where the values
    cannot be the times of a scan, or may mean several things.
    """
    floating = values.dtype.kind == "f"
    unit = _parsed(name)[1]
    units = [unit] if unit else ["s", "us", "ns"] if floating else ["us", "ns"]
    times = values.astype(np.float64 if floating else np.int64)
    if not len(times):
        return times.astype(np.int64)
    span = times.min().item(), times.max().item()
    if not math.isfinite(sum(span)):
        times[~np.isfinite(times)] = 0
        span = times.min().item(), times.max().item()
    spans = {0: span}
    if values.dtype.itemsize == 8 and stamp_ns and span[1] > 0:
        spans[stamp_ns] = span if span[0] > 0 else (times[times > 0].min().item(), span[1])
    unit_ns, zero_ns = _reading(name, spans, units, stamp_ns)
    unset = times <= 0 if zero_ns and span[0] <= 0 else None
    offset_ns = _since_ns(times, unit_ns, zero_ns)
    if unset is not None:
        offset_ns[unset] = 0
    return offset_ns


def _since_ns(times: np.ndarray, unit_ns: int, zero_ns: int) -> np.ndarray:
    """(N,) int64: ns from `zero_ns` to `times`, which are used up."""
    # The difference of two float64 of today's time is exact; their product with a unit is not.
    start = times.dtype.type(zero_ns // unit_ns)
    if start:
        times -= start
    if unit_ns != 1:
        times *= unit_ns
    offset_ns = times if times.dtype.kind == "i" else np.rint(times, out=times).astype(np.int64)
    if remainder_ns := zero_ns - int(start) * unit_ns:
        offset_ns -= remainder_ns
    return offset_ns


def _reading(
    name: str, spans: Mapping[int, tuple[float, float]], units: Sequence[str], stamp_ns: int
) -> tuple[int, int]:
    """The only possible unit (ns) and zero (ns since the epoch; 0 for times after the stamp).

    `spans` has the least and the greatest time for each zero.
    """
    readings: dict[tuple[int, int], str] = {}
    for zero_ns, span in spans.items():
        for unit in units:
            farthest_ns = max(abs(end * _UNITS_NS[unit] - zero_ns) for end in span)
            if NEAREST_NS <= farthest_ns <= FARTHEST_NS:
                whence = "since the epoch" if zero_ns else "after the stamp"
                readings[_UNITS_NS[unit], zero_ns] = f"{unit} {whence}"
    if len(readings) == 1:
        return next(iter(readings))
    what = "field '{}' holds {:.10g} to {:.10g}".format(name, *spans[0])
    if readings:
        raise DataError(f"{what}, which may be {' or '.join(readings.values())}")
    raise DataError(
        f"{what}, no time of a scan in {' or '.join(units)}: its points are not "
        f"{NEAREST_NS / 1e6:g} to {FARTHEST_NS / 1e6:g} ms from the stamp {stamp_ns / NS_PER_S:.3f} s"
    )


def _parsed(name: str) -> tuple[str, str | None]:
    """A field's name in lower case without the unit that it ends in, and that unit."""
    base, _, suffix = name.lower().rpartition("_")
    unit = _UNIT_OF_SUFFIX.get(suffix) if base else None
    return (base, unit) if unit else (name.lower(), None)
