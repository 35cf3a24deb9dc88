"""Frames and the links between them over time, and the walk from one frame to another."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from tf2_py import telling
from tf2_py.exceptions import ConnectivityException, ExtrapolationException, LookupException
from tf2_py.frame_history import History, Link, MovingHistory, StaticHistory
from tf2_py.rigid import Rigid

MAX_GRAPH_DEPTH = 1000  # longer chains are taken for loops


class Way(NamedTuple):
    """The poses of source and target in their ancestors, each from itself up to `meeting` or beyond."""

    from_source: dict[str, Rigid]
    from_target: dict[str, Rigid]
    meeting: str


class FrameTree:
    """The histories of all frames. Names are valid and times are nanoseconds, 0 for the newest."""

    def __init__(self, cache_ns: int) -> None:
        self._cache_ns = cache_ns
        self.frames: dict[str, History | None] = {}
        """Every name ever seen, in order; None for frames that were never a child."""

    def insert(self, child: str, link: Link, authority: str, *, is_static: bool) -> bool:
        """Keep a link of `child`; False for one that is too old.

        A frame is static or moves, as it was told last; what was told before of the other kind is forgotten.
        """
        history = self.frames.get(child)
        if history is None or isinstance(history, StaticHistory) != is_static:
            history = StaticHistory() if is_static else MovingHistory(self._cache_ns)
            self.frames[child] = history
        self.frames.setdefault(link.parent, None)
        kept = history.insert(link)
        if kept:
            history.authority = authority
        return kept

    def clear(self) -> None:
        """Forget every pose that moves; names and static frames stay."""
        for history in self.frames.values():
            if history is not None:
                history.clear()

    def lookup(self, target: str, source: str, time_ns: int) -> tuple[int, Rigid]:
        """The time found and `target_from_source`; any frame has itself, known or not.

        Raises ConnectivityException, ExtrapolationException and LookupException (a loop).
        """
        time_ns = time_ns or self.latest_common_ns(target, source)
        if target == source:
            return time_ns, Rigid()
        way = self._way(target, source, time_ns)
        target_from_meeting = way.from_target[way.meeting].inverse()
        return time_ns, target_from_meeting.compose(way.from_source[way.meeting])

    def path(self, target: str, source: str, time_ns: int) -> list[str]:
        """The frames from source to target, both included; raises as `lookup`."""
        if target == source:
            return [source]
        way = self._way(target, source, time_ns or self.latest_common_ns(target, source))
        up, down = list(way.from_source), list(way.from_target)
        return up[: up.index(way.meeting)] + down[::-1]

    def latest_common_ns(self, target: str, source: str) -> int:
        """The newest time that all links between the two know; 0 where all are static.

        Raises ConnectivityException and LookupException (a loop).
        """
        if target == source:
            newest = self._newest(source)
            return newest.stamp_ns if newest else 0
        from_source = self._newest_stamps(source, stop_at={target})
        from_target = self._newest_stamps(target, stop_at=from_source.keys())
        meeting = next(reversed(from_target))
        if meeting not in from_source:
            raise _unconnected(target, source)
        above_source = list(from_source)[: list(from_source).index(meeting) + 1]
        stamps = [from_source[frame] for frame in above_source] + list(from_target.values())
        return min(filter(None, stamps), default=0)

    def _newest(self, frame: str) -> Link | None:
        history = self.frames.get(frame)
        return history.newest if history is not None else None

    def _newest_stamps(self, frame: str, stop_at: Container[str]) -> dict[str, int]:
        """Ancestor -> stamp of the newest link that leads to it; 0 for the frame itself and static links."""
        stamps = {frame: 0}
        while frame not in stop_at and (link := self._newest(frame)) is not None:
            frame = link.parent
            self._refuse_loops(frame, stamps)
            stamps[frame] = link.stamp_ns
        return stamps

    def _way(self, target: str, source: str, time_ns: int) -> Way:
        from_source, _, gap = self._climb(source, time_ns, stop_at={target})
        from_target, meeting, target_gap = self._climb(target, time_ns, stop_at=from_source.keys())
        if meeting in from_source:
            return Way(from_source, from_target, meeting)
        gap = target_gap or gap
        if gap is None:
            raise _unconnected(target, source)
        raise ExtrapolationException(
            f"{gap}, when looking up transform from frame [{source}] to frame [{target}]"
        )

    def _climb(
        self, frame: str, time_ns: int, stop_at: Container[str]
    ) -> tuple[dict[str, Rigid], str, ExtrapolationException | None]:
        """The poses of `frame` in itself and its ancestors, up to one of `stop_at`, a root or a gap in time.

        Returns ancestor -> `ancestor_from_frame` in order, the last ancestor, and the gap where there is one.
        """
        poses, current, pose = {frame: Rigid()}, frame, Rigid()
        while current not in stop_at and (history := self.frames.get(current)) is not None:
            try:
                link = history.at(time_ns)
            except ExtrapolationException as gap:
                return poses, current, gap
            pose = link.parent_from_child.compose(pose)
            current = link.parent
            self._refuse_loops(current, poses)
            poses[current] = pose
        return poses, current, None

    def _refuse_loops(self, frame: str, seen: dict[str, Rigid] | dict[str, int]) -> None:
        if frame in seen or len(seen) > MAX_GRAPH_DEPTH:
            tree = telling.as_string(self.frames)
            raise LookupException(f"The tf tree is invalid because it contains a loop.\n{tree}\n")


def _unconnected(target: str, source: str) -> ConnectivityException:
    return ConnectivityException(
        f"Could not find a connection between '{target}' and '{source}' because they are not part of the "
        "same tree.Tf has two or more unconnected trees."
    )
