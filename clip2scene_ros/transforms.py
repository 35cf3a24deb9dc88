"""Rigid transforms from TF, awaited for a bounded time by the caller's thread; failures say which kind."""

from __future__ import annotations

import threading
import time
from enum import Enum

from geometry_msgs.msg import TransformStamped
from rclpy.logging import get_logger
from rclpy.time import Time
from tf2_ros import Buffer, TransformException

from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3
from clip2scene_core.stamps import NS_PER_S, stamp_ns_of
from clip2scene_core.trajectory import Trajectory
from clip2scene_ros.conversions import se3_from_transform

_POLL_S = 0.002

_STEP_NS = NS_PER_S // 100

_TIME_JUMP_NS = NS_PER_S
"""A frame whose transforms are older than the one before by more than this is in a bag that started again."""


class Failure(Enum):
    """Why TF has no transform at the time asked for."""

    UNKNOWN_FRAME = "unknown frame"
    NOT_CONNECTED = "not connected"
    TOO_OLD = "too old"
    IN_THE_FUTURE = "in the future"


class TransformError(CalibrationError):
    """A transform that is not to be had; names both frames and the kind of failure."""

    def __init__(self, text: str, failure: Failure, ahead_s: float = 0.0) -> None:
        super().__init__(text)
        self.failure = failure
        self.ahead_s = ahead_s
        """How far the time asked for lies beyond the newest transform; 0 unless IN_THE_FUTURE."""


class RestartableBuffer(Buffer):
    """A tf2 buffer for bags that start again, whose transforms tf2 would refuse as too old.

    It forgets all that moves when the stamps of some frame jump back. (tf2 does that on its own only
    for simulated time.)
    """

    def __init__(self) -> None:
        super().__init__()
        self._last_ns: dict[str, int] = {}

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Take in what was said on /tf."""
        child, time_ns = transform.child_frame_id, stamp_ns_of(transform)
        if time_ns < self._last_ns.get(child, 0) - _TIME_JUMP_NS:
            get_logger("segment").info(f"time jumped back for frame '{child}': transforms are forgotten")
            self.clear()
            self._last_ns.clear()
        self._last_ns[child] = time_ns
        super().set_transform(transform, authority)


class Transforms:
    """Looks up transforms in a tf2 buffer that another thread fills.

    `stop` ends a wait early. Waits are measured on the wall clock, so a paused simulation cannot make
    them endless.
    """

    def __init__(self, buffer: Buffer, *, timeout_s: float, stop: threading.Event) -> None:
        self._buffer = buffer
        self._timeout_s = timeout_s
        self._stop = stop

    def knows(self, frame: str) -> bool:
        """Whether any transform has named this frame."""
        try:
            self._buffer.get_latest_common_time(frame, frame)
        except TransformException:
            return False
        return True

    def deadline_s(self) -> float:
        """Until when (time.monotonic) to wait from now on; for several lookups that wait together."""
        return time.monotonic() + self._timeout_s

    def trajectory(
        self, target: str, source: str, first_ns: int, last_ns: int, *, deadline_s: float | None = None
    ) -> Trajectory:
        """`target_from_source` from one time to another, in steps of up to 10 ms; else as `lookup`."""
        newest = self.lookup(target, source, last_ns, deadline_s=deadline_s)
        steps = range(first_ns, last_ns, _STEP_NS)
        earlier = [self.lookup(target, source, stamp_ns, wait=False) for stamp_ns in steps]
        return Trajectory.from_poses([*steps, last_ns], [*earlier, newest])

    def lookup(
        self,
        target: str,
        source: str,
        stamp_ns: int,
        *,
        wait: bool = True,
        deadline_s: float | None = None,
    ) -> SE3:
        """`target_from_source` at `stamp_ns` (0: the newest there is).

        What is not there yet is awaited, for `timeout_s` or until `deadline_s`. Raises TransformError.
        """
        stamp = Time(nanoseconds=stamp_ns)
        if deadline_s is None:
            deadline_s = self.deadline_s()
        while True:
            try:
                return se3_from_transform(self._buffer.lookup_transform(target, source, stamp).transform)
            except TransformException as error:
                failure = self._explain(target, source, stamp_ns, error)
            hopeless = failure.failure is Failure.TOO_OLD
            if hopeless or not wait or time.monotonic() > deadline_s or self._stop.wait(_POLL_S):
                raise failure

    def _explain(self, target: str, source: str, stamp_ns: int, error: TransformException) -> TransformError:
        what = f"no transform from '{source}' to '{target}'"
        for frame in (target, source):
            if not self.knows(frame):
                return TransformError(
                    f"{what}: unknown frame '{frame}', nothing on /tf or /tf_static names it",
                    Failure.UNKNOWN_FRAME,
                )
        try:
            newest_ns = self._buffer.get_latest_common_time(target, source).nanoseconds
        except TransformException:
            return TransformError(
                f"{what}: the two frames are not connected in the TF tree", Failure.NOT_CONNECTED
            )
        if stamp_ns > newest_ns:
            ahead_s = (stamp_ns - newest_ns) / NS_PER_S
            text = f"{what}: the stamp is {ahead_s:.3f} s in the future of the newest transform"
            return TransformError(text, Failure.IN_THE_FUTURE, ahead_s)
        behind_s = (newest_ns - stamp_ns) / NS_PER_S
        text = f"{what}: the stamp is too old, {behind_s:.3f} s before the newest transform ({error})"
        return TransformError(" ".join(text.split()), Failure.TOO_OLD)
