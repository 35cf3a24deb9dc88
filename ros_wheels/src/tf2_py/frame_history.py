"""What is known of one frame over time: its parent and its pose in it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from tf2_py.exceptions import ExtrapolationException
from tf2_py.rigid import Rigid


class Link(NamedTuple):
    """A frame's parent, its pose in it (`parent_from_child`) and when that was."""

    stamp_ns: int
    parent: str
    parent_from_child: Rigid


class Span(NamedTuple):
    """Oldest and newest stamp of a history, and the number of its links."""

    oldest_ns: int
    newest_ns: int
    count: int


def seconds(time_ns: int) -> str:
    """A time for people: seconds with six decimals."""
    whole, rest = divmod(time_ns, 1_000_000_000)
    return f"{whole + rest * 1e-9:.6f}"


class StaticHistory:
    """A frame that never moves: one link holds for all time."""

    authority = ""

    def __init__(self) -> None:
        self._link: Link | None = None

    def insert(self, link: Link) -> bool:
        """Replace the link; its stamp has no meaning."""
        self._link = link._replace(stamp_ns=0)
        return True

    def at(self, time_ns: int) -> Link:
        """The link, said to be of `time_ns`."""
        assert self._link is not None
        return self._link._replace(stamp_ns=time_ns)

    @property
    def newest(self) -> Link | None:
        """The link; its stamp is 0."""
        return self._link

    @property
    def span(self) -> Span:
        """One link of time 0."""
        return Span(0, 0, 1)

    def clear(self) -> None:
        """Keep the link: it holds for all time."""


class MovingHistory:
    """The links of a frame that moves, ordered by stamp.

    As in tf2, an insertion first drops what is more than `cache_ns` older than the newest link so far.
    """

    authority = ""

    def __init__(self, cache_ns: int) -> None:
        self._cache_ns = cache_ns
        self.clear()

    def clear(self) -> None:
        """Forget every link."""
        self._stamps: list[int] = []
        self._links: list[Link] = []
        self._first = 0  # of those that have not expired

    def insert(self, link: Link) -> bool:
        """Keep a link; the same once more changes nothing, one that is too old is refused (False).

        A link with the stamp of another is kept beside it and wins.
        """
        if self._links and not self._expire(link):
            return False
        end = bisect_right(self._stamps, link.stamp_ns, self._first)
        start = bisect_left(self._stamps, link.stamp_ns, self._first, end)
        if link not in self._links[start:end]:
            self._stamps.insert(end, link.stamp_ns)
            self._links.insert(end, link)
        return True

    def _expire(self, link: Link) -> bool:
        """Drop what is too old; whether `link` is not."""
        oldest_allowed_ns = self._stamps[-1] - self._cache_ns
        self._first = bisect_left(self._stamps, oldest_allowed_ns, self._first)
        if self._first > len(self._stamps) // 2:  # seldom, so that an insertion costs the same in any cache
            del self._stamps[: self._first], self._links[: self._first]
            self._first = 0
        return link.stamp_ns >= oldest_allowed_ns

    def at(self, time_ns: int) -> Link:
        """The link at `time_ns`, interpolated between its neighbours; 0 means the newest.

        Where the frame changed its parent in between, the older link holds. Raises ExtrapolationException.
        """
        if not self._links:
            raise ExtrapolationException  # tf2, too, gives no reason after `clear`
        oldest, newest = self._links[self._first], self._links[-1]
        if time_ns in (0, newest.stamp_ns):
            return newest
        if time_ns == oldest.stamp_ns:
            return oldest
        if not oldest.stamp_ns < time_ns < newest.stamp_ns:
            raise ExtrapolationException(self._outside(time_ns))
        after = bisect_right(self._stamps, time_ns, self._first)
        older, newer = self._links[after - 1], self._links[after]
        if older.parent != newer.parent:
            return older._replace(stamp_ns=time_ns)
        ratio = (time_ns - older.stamp_ns) / (newer.stamp_ns - older.stamp_ns)
        pose = older.parent_from_child.interpolate(newer.parent_from_child, ratio)
        return Link(time_ns, older.parent, pose)

    @property
    def newest(self) -> Link | None:
        """The newest link; None after `clear`."""
        return self._links[-1] if self._links else None

    @property
    def span(self) -> Span:
        """What the links cover; there has to be one."""
        return Span(self._stamps[self._first], self._stamps[-1], len(self._stamps) - self._first)

    def _outside(self, time_ns: int) -> str:
        oldest_ns, newest_ns, count = self.span
        if count == 1:
            return (
                f"Lookup would require extrapolation at time {seconds(time_ns)}, "
                f"but only time {seconds(oldest_ns)} is in the buffer"
            )
        if time_ns > newest_ns:
            return (
                "Lookup would require extrapolation into the future.  "
                f"Requested time {seconds(time_ns)} but the latest data is at time {seconds(newest_ns)}"
            )
        return (
            "Lookup would require extrapolation into the past.  "
            f"Requested time {seconds(time_ns)} but the earliest data is at time {seconds(oldest_ns)}"
        )


History = StaticHistory | MovingHistory
