"""A buffer of transforms that can wait for those that have not come yet."""

from __future__ import annotations

import threading
import time as system
from collections.abc import Callable
from typing import Any

import tf2_py
from geometry_msgs.msg import TransformStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, JumpThreshold
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.task import Future
from tf2_msgs.srv import FrameGraph
from tf2_py.buffer_core import DEFAULT_CACHE_TIME, nanoseconds

from tf2_ros.buffer_interface import NO_TIMEOUT, BufferInterface

Check = Callable[[], tuple[bool, str]]

_JUMP_BACK = JumpThreshold(min_forward=None, min_backward=Duration(seconds=-1), on_clock_change=True)


class Buffer(tf2_py.BufferCore, BufferInterface):
    """Keeps `cache_time` (10 s) of transforms; with a `node` it also answers the service `tf2_frames`.

    It forgets what moves when the simulated time of the node jumps back, begins or ends. Waiting with a
    timeout needs another thread that takes the transforms in: a TransformListener with `spin_thread`, or a
    multi-threaded executor.
    """

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        tf2_py.BufferCore.__init__(self, DEFAULT_CACHE_TIME if cache_time is None else cache_time)
        BufferInterface.__init__(self)
        self._node = node
        self._news = threading.Condition()
        self._waiting: list[Callable[[], None]] = []
        self.clock = Clock() if node is None else node.get_clock()
        if node is not None:  # without one the time is the system's and never simulated
            self.srv = node.create_service(FrameGraph, "tf2_frames", self._tell_frames)
            self.jump_handle = self.clock.create_jump_callback(
                _JUMP_BACK, post_callback=self.time_jump_callback
            )

    def time_jump_callback(self, time_jump: Any) -> None:
        """Forget what moves: the clock jumped back or changed."""
        get_logger("tf2_buffer").warning("time jumped back or has another source: forgetting what moves")
        self.clear()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Take in the pose of a moving frame and wake who waits for it."""
        super().set_transform(transform, authority)
        self._tell()

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Take in the pose of a frame that never moves and wake who waits for it."""
        super().set_transform_static(transform, authority)
        self._tell()

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration = NO_TIMEOUT
    ) -> TransformStamped:
        """`target_from_source` at `time`, waiting up to `timeout`; raises as `lookup_transform_core` does."""
        if nanoseconds(timeout, "duration") > 0:
            self.can_transform(target_frame, source_frame, time, timeout)
        return self.lookup_transform_core(target_frame, source_frame, time)

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration = NO_TIMEOUT,
    ) -> TransformStamped:
        """The target frame at `target_time` from the source frame at `source_time`, as `lookup_transform`."""
        query = (target_frame, target_time, source_frame, source_time, fixed_frame)
        if nanoseconds(timeout, "duration") > 0:
            self.can_transform_full(*query, timeout)
        return self.lookup_transform_full_core(*query)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Any,
        timeout: Duration = NO_TIMEOUT,
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        """Whether `lookup_transform` would answer within `timeout`; with the reason where asked for."""
        answer = self._wait(lambda: self.can_transform_core(target_frame, source_frame, time), timeout)
        return answer if return_debug_tuple else answer[0]

    def can_transform_full(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration = NO_TIMEOUT,
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        """Whether `lookup_transform_full` would answer within `timeout`; with the reason where asked for."""
        query = (target_frame, target_time, source_frame, source_time, fixed_frame)
        answer = self._wait(lambda: self.can_transform_full_core(*query), timeout)
        return answer if return_debug_tuple else answer[0]

    async def lookup_transform_async(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration | None = None
    ) -> TransformStamped:
        """As `lookup_transform`, for coroutines; LookupException after `timeout`."""
        await self.wait_for_transform_async(target_frame, source_frame, time, timeout)
        return self.lookup_transform_core(target_frame, source_frame, time)

    async def lookup_transform_full_async(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration | None = None,
    ) -> TransformStamped:
        """As `lookup_transform_full`, for coroutines; LookupException after `timeout`."""
        query = (target_frame, target_time, source_frame, source_time, fixed_frame)
        await self.wait_for_transform_full_async(*query, timeout)
        return self.lookup_transform_full_core(*query)

    def wait_for_transform_async(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration | None = None
    ) -> Future:
        """A future of the transform; LookupException after `timeout`, which needs a buffer with a node."""
        query = (target_frame, source_frame, time)
        return self._future(
            lambda: self.can_transform_core(*query), lambda: self.lookup_transform_core(*query), timeout
        )

    def wait_for_transform_full_async(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration | None = None,
    ) -> Future:
        """As `wait_for_transform_async`, between two times."""
        query = (target_frame, target_time, source_frame, source_time, fixed_frame)
        return self._future(
            lambda: self.can_transform_full_core(*query),
            lambda: self.lookup_transform_full_core(*query),
            timeout,
        )

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()
            waiting = list(self._waiting)
        for check in waiting:
            check()

    def _wait(self, check: Check, timeout: Duration) -> tuple[bool, str]:
        deadline = system.monotonic() + nanoseconds(timeout) / 1e9
        with self._news:
            while True:
                answer = check()
                remaining = deadline - system.monotonic()
                if answer[0] or remaining <= 0.0:
                    return answer
                self._news.wait(remaining)

    def _future(
        self, check: Check, lookup: Callable[[], TransformStamped], timeout: Duration | None
    ) -> Future:
        future: Future = Future()

        def answer() -> None:
            if not check()[0] or not self._claim(answer):
                return
            try:
                future.set_result(lookup())
            except tf2_py.TransformException as error:  # cleared just now
                future.set_exception(error)

        with self._news:
            self._waiting.append(answer)
        future.add_done_callback(lambda _: self._claim(answer))
        answer()
        if timeout is not None and not future.done():
            self._expire(future, lambda: self._claim(answer), check, timeout)
        return future

    def _claim(self, answer: Callable[[], None]) -> bool:
        """Whether the caller is the first to end this wait; it is over then."""
        with self._news:
            if answer not in self._waiting:
                return False
            self._waiting.remove(answer)
            return True

    def _expire(self, future: Future, claim: Callable[[], bool], check: Check, timeout: Duration) -> None:
        """Fail the future after `timeout`, by a timer of the node."""
        node = self._node
        if node is None:
            future.cancel()
            raise tf2_py.InvalidArgumentException(
                "timeout: needs a buffer that was made with a node, got none"
            )

        def fail() -> None:
            timer.cancel()
            if claim():
                future.set_exception(tf2_py.LookupException(f"timed out: {check()[1]}"))

        # A group of its own: who awaits the future may hold the node's default group meanwhile.
        timer = node.create_timer(nanoseconds(timeout) / 1e9, fail, callback_group=ReentrantCallbackGroup())
        future.add_done_callback(lambda _: node.destroy_timer(timer))

    def _tell_frames(self, _: FrameGraph.Request, response: FrameGraph.Response) -> FrameGraph.Response:
        response.frame_yaml = self.all_frames_as_yaml()
        return response
