"""Rigid transforms from TF, awaited for a bounded time by the caller's thread; failures say which kind."""

from __future__ import annotations

import threading
import time
from enum import Enum

from rclpy.time import Time
from tf2_ros import Buffer, TransformException

from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3
from clip2scene_ros.conversions import se3_from_transform
from clip2scene_ros.synchronizer import NS_PER_S

_POLL_S = 0.002


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
            self._buffer.lookup_transform(frame, frame, Time())
        except TransformException:
            return False
        return True

    def lookup(self, target: str, source: str, stamp_ns: int, *, wait: bool = True) -> SE3:
        """`target_from_source` at `stamp_ns` (0: the newest there is), awaited for up to `timeout_s`.

        Raises TransformError.
        """
        stamp = Time(nanoseconds=stamp_ns)
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return se3_from_transform(self._buffer.lookup_transform(target, source, stamp).transform)
            except TransformException as error:
                failure = self._explain(target, source, stamp_ns, error)
            hopeless = failure.failure is Failure.TOO_OLD
            if hopeless or not wait or time.monotonic() > deadline or self._stop.wait(_POLL_S):
                raise failure

    def newest_ns(self, target: str, source: str) -> int | None:
        """Time of the newest transform between two frames (0: both are fixed); None where there is none."""
        try:
            return self._buffer.get_latest_common_time(target, source).nanoseconds
        except TransformException:
            return None

    def restart(self) -> None:
        """Forget every transform that moves."""
        self._buffer.clear()

    def _explain(self, target: str, source: str, stamp_ns: int, error: TransformException) -> TransformError:
        what = f"no transform from '{source}' to '{target}'"
        for frame in (target, source):
            if not self.knows(frame):
                return TransformError(
                    f"{what}: unknown frame '{frame}', nothing on /tf or /tf_static names it",
                    Failure.UNKNOWN_FRAME,
                )
        newest_ns = self.newest_ns(target, source)
        if newest_ns is None:
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
