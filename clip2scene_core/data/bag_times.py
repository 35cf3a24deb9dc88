"""When messages were stamped and recorded: stamps that are missing, clocks that differ, times that go back.

Shapes: M messages.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np

from clip2scene_core.errors import DataError

T = TypeVar("T")

REWIND_NS = 1_000_000_000
"""Messages may overtake each other; a stamp this much older than those before starts the time anew."""

LATE_NS = 500_000_000
"""Messages may be late; headers this much off against those of the LiDAR are of another clock."""

POST_DATED_NS = 2_000_000_000
"""The same for transforms: localisation dates them a second ahead, so that they hold until the next."""

LARGEST_SHARE_OFF = 0.05
"""Of the messages of a topic; more of them are no odd stamps, but a clock that jumps."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Track(Generic[T]):
    """Messages of one topic, or the transforms of one frame."""

    topic: str
    stamps_ns: np.ndarray
    """(M,) int64 of the headers, 0 where they have no time."""
    logged_ns: np.ndarray
    """(M,) int64 when they were recorded, never decreasing."""
    items: Sequence[T]
    """What else is known of each."""

    def selected(self, rows: np.ndarray) -> Track[T]:
        """The rows of a mask (M,), or with these numbers."""
        numbers = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            stamps_ns=self.stamps_ns[numbers],
            logged_ns=self.logged_ns[numbers],
            items=[self.items[number] for number in numbers.tolist()],
        )

    def shifted(self, offset_ns: int) -> Track[T]:
        """With later stamps."""
        return replace(self, stamps_ns=self.stamps_ns + offset_ns)

    @property
    def lead_ns(self) -> int:
        """Median of header minus time of recording, of at least one message; delays make it negative."""
        return int(np.median(self.stamps_ns - self.logged_ns))


@dataclass(slots=True, eq=False)
class TrackBuilder(Generic[T]):
    """A track that grows."""

    topic: str
    stamps_ns: array[int] = field(default_factory=lambda: array("q"))
    logged_ns: array[int] = field(default_factory=lambda: array("q"))
    items: list[T] = field(default_factory=list)

    def add(self, stamp_ns: int, logged_ns: int, item: T) -> None:
        """One message, in the order of recording."""
        self.stamps_ns.append(stamp_ns)
        self.logged_ns.append(logged_ns)
        self.items.append(item)

    def track(self) -> Track[T]:
        """What has been added."""
        return Track(
            topic=self.topic,
            stamps_ns=np.array(self.stamps_ns, np.int64),
            logged_ns=np.array(self.logged_ns, np.int64),
            items=self.items,
        )


def with_stamps(track: Track[T], name: str) -> tuple[Track[T], list[str]]:
    """Every message with a time: that of recording where no header has one. Notes say what was done."""
    missing = track.stamps_ns == 0
    if not missing.any():
        return track, []
    if missing.all():
        note = f"{name}: the headers have no time, that of recording is used"
        return replace(track, stamps_ns=track.logged_ns), [note]
    note = f"{name}: {missing.sum()} of {len(missing)} messages have no time in their header and are left out"
    return track.selected(~missing), [note]


def in_order(track: Track[T], name: str) -> tuple[Track[T], list[str]]:
    """In the order of stamps, one message each: of several with the same stamp the first one recorded."""
    _, first = np.unique(track.stamps_ns, return_index=True)
    repeated = len(track.stamps_ns) - len(first)
    notes = (
        [f"{name}: {repeated} messages have the stamp of another one and are left out"] if repeated else []
    )
    return track.selected(first), notes


class Stretch:
    """The part of a bag between two moments at which time goes back, as when a bag was played in a loop."""

    def __init__(self, reference: Track[Any], wanted: int = 0) -> None:
        """`wanted` counts from 1, 0 is the longest. Raises DataError where there is no such stretch."""
        bounds = [0, *_rewinds(reference.stamps_ns), len(reference.stamps_ns)]
        lengths = np.diff(bounds)
        if wanted > len(lengths):
            raise DataError(
                f"stretch={wanted} is too large: time goes back {len(lengths) - 1} times on {reference.topic}"
            )
        chosen = wanted - 1 if wanted else int(lengths.argmax())
        self._reference = reference
        self._begin, self._end = bounds[chosen], bounds[chosen + 1]
        after_ns = reference.logged_ns[self._end :].tolist()
        self.end_ns = after_ns[0] if after_ns else sys.maxsize
        """When time had gone back, in the time of recording."""
        self.notes: list[str] = []
        if len(lengths) > 1:
            counts = ", ".join(map(str, lengths.tolist()))
            self.notes.append(
                f"time goes back on {reference.topic}, which splits the bag into {len(lengths)} stretches of "
                f"{counts} messages; number {chosen + 1} is read, choose another with stretch=NUMBER"
            )

    def of(self, track: Track[T]) -> Track[T]:
        """The messages of another track that belong to it."""
        kept = np.ones(len(track.stamps_ns), bool)
        if self._begin > 0:
            kept &= self._after_rewind(track, self._begin)
        if self._end < len(self._reference.stamps_ns):
            kept &= ~self._after_rewind(track, self._end)
        return track if kept.all() else track.selected(kept)

    def _after_rewind(self, track: Track[T], row: int) -> np.ndarray:
        """(M,) bool: recorded after the time went back before a row of the reference.

        In between two messages of the reference, the stamps tell.
        """
        stamps_ns, logged_ns = self._reference.stamps_ns, self._reference.logged_ns
        to_old = np.abs(track.stamps_ns - stamps_ns[row - 1])
        to_new = np.abs(track.stamps_ns - stamps_ns[row])
        between = (logged_ns[row - 1] < track.logged_ns) & (track.logged_ns < logged_ns[row])
        after: np.ndarray = (track.logged_ns >= logged_ns[row]) | between & (to_new < to_old)
        return after


def _rewinds(stamps_ns: np.ndarray) -> list[int]:
    """Rows that are much older than the median of the five before; a single odd stamp does not count."""
    if not len(stamps_ns):
        return []
    padded = np.concatenate([np.repeat(stamps_ns[:1], 5), stamps_ns[:-1]])
    before = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    older = np.concatenate([[False], stamps_ns < before - REWIND_NS, [False, False]])
    # After a true jump the median follows only with the fourth message.
    starts = ~older[:-3] & older[1:-2] & older[2:-1] & older[3:]
    return np.flatnonzero(starts).tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicTimes:
    """What a list of topics tells of one."""

    type: str
    count: int
    first_ns: int
    """Earliest stamp of a header, or time of recording where the type has none."""
    last_ns: int
    largest_gap_ns: int
    """Between a stamp and the next one."""
    lead_ns: int | None
    """Median of header minus time of recording; None where the type has no header."""
    frame_ids: tuple[str, ...]
    """All of its headers, sorted."""

    @property
    def rate_hz(self) -> float:
        """0 for fewer than two messages."""
        duration_ns = self.last_ns - self.first_ns
        return 0.0 if not duration_ns else (self.count - 1) * 1e9 / duration_ns

    @classmethod
    def of(cls, track: Track[Any], message_type: str, frame_ids: Iterable[str]) -> TopicTimes:
        """Of at least one message."""
        stamped = bool(track.stamps_ns.any())
        times_ns = np.sort(track.stamps_ns[track.stamps_ns != 0] if stamped else track.logged_ns)
        return cls(
            type=message_type,
            count=len(track.logged_ns),
            first_ns=int(times_ns[0]),
            last_ns=int(times_ns[-1]),
            largest_gap_ns=int(np.diff(times_ns).max(initial=0)),
            lead_ns=track.lead_ns if stamped else None,
            frame_ids=tuple(sorted(frame_ids)),
        )


def another_clock_ns(track: Track[Any], reference: Track[Any], tolerance_ns: int) -> int:
    """How far headers are ahead of those of the reference; 0 where it is not more than is tolerated."""
    ahead_ns = track.lead_ns - reference.lead_ns
    return ahead_ns if abs(ahead_ns) > tolerance_ns else 0


def share_off_clock(track: Track[Any], reference: Track[Any], tolerance_ns: int) -> float:
    """Share of the messages whose headers are more than that off against the reference as it then was.

    A recorder that was busy delays both.
    """
    lead_ns, reference_ns = (each.stamps_ns - each.logged_ns for each in (track, reference))
    then = np.searchsorted(reference.logged_ns, track.logged_ns).clip(max=len(reference_ns) - 1)
    return float((np.abs(lead_ns - reference_ns[then]) > tolerance_ns).mean())
