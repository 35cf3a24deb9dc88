"""What is known of one frame over time: its parent and its pose in it."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from tf2_py.exceptions import ExtrapolationException
from tf2_py.rigid import Rigid


class Link(NamedTuple):
    """A frame's parent, its pose in it (`parent_from_child`), when that was and who said so."""

    stamp_ns: int
    parent: str
    parent_from_child: Rigid
    authority: str


def seconds(time_ns: int) -> str:
    """A time for people: seconds with six decimals."""
    return f"{time_ns // 1_000_000_000}.{time_ns % 1_000_000_000 // 1000:06d}"


class StaticHistory:
    """A frame that never moves: one link holds for all time."""

    def __init__(self) -> None:
        self._link: Link | None = None

    def insert(self, link: Link) -> bool:
        """Replace the link; the stamp has no meaning."""
        self._link = link._replace(stamp_ns=0)
        return True

    def at(self, time_ns: int) -> Link:
        """The link, said to be of `time_ns`."""
        return self._link._replace(stamp_ns=time_ns)

    @property
    def latest(self) -> Link:
        """The link; its stamp is 0."""
        return self._link

    def span_ns(self) -> tuple[int, int, int]:
        """Oldest stamp, newest stamp, number of links."""
        return 0, 0, 1


class MovingHistory:
    """The links of a frame that moves, ordered by stamp and no older than `cache_ns` before the newest."""

    def __init__(self, cache_ns: int) -> None:
        self._cache_ns = cache_ns
        self._stamps: list[int] = []
        self._links: list[Link] = []

    def insert(self, link: Link) -> bool:
        """Keep a link; one of the same stamp is replaced, one that is too old is refused (False)."""
        if self._stamps and link.stamp_ns + self._cache_ns < self._stamps[-1]:
            return False
        position = bisect_left(self._stamps, link.stamp_ns)
        if position < len(self._stamps) and self._stamps[position] == link.stamp_ns:
            self._links[position] = link
        else:
            self._stamps.insert(position, link.stamp_ns)
            self._links.insert(position, link)
        expired = bisect_left(self._stamps, self._stamps[-1] - self._cache_ns)
        del self._stamps[:expired], self._links[:expired]
        return True

    def at(self, time_ns: int) -> Link:
        """The link at `time_ns`, interpolated between its neighbours; 0 means the newest.

        Where the frame changed its parent in between, the older link holds. Raises ExtrapolationException.
        """
        if time_ns == 0:
            return self._links[-1]
        after = bisect_left(self._stamps, time_ns)
        if after < len(self._stamps) and self._stamps[after] == time_ns:
            return self._links[after]
        if after in (0, len(self._stamps)):
            raise ExtrapolationException(self._outside(time_ns))
        older, newer = self._links[after - 1], self._links[after]
        if older.parent != newer.parent:
            return older._replace(stamp_ns=time_ns)
        ratio = (time_ns - older.stamp_ns) / (newer.stamp_ns - older.stamp_ns)
        pose = older.parent_from_child.interpolate(newer.parent_from_child, ratio)
        return older._replace(stamp_ns=time_ns, parent_from_child=pose)

    @property
    def latest(self) -> Link:
        """The newest link."""
        return self._links[-1]

    def span_ns(self) -> tuple[int, int, int]:
        """Oldest stamp, newest stamp, number of links."""
        return self._stamps[0], self._stamps[-1], len(self._stamps)

    def _outside(self, time_ns: int) -> str:
        oldest, newest = self._stamps[0], self._stamps[-1]
        if oldest == newest:
            return (
                f"Lookup would require extrapolation at time {seconds(time_ns)}, "
                f"but only time {seconds(oldest)} is in the buffer"
            )
        if time_ns > newest:
            return (
                "Lookup would require extrapolation into the future.  "
                f"Requested time {seconds(time_ns)} but the latest data is at time {seconds(newest)}"
            )
        return (
            "Lookup would require extrapolation into the past.  "
            f"Requested time {seconds(time_ns)} but the earliest data is at time {seconds(oldest)}"
        )
