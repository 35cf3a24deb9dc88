"""Ask a buffer in another process, through the action that a tf2 buffer server offers."""

from __future__ import annotations

import threading
import time as system
from typing import Any

import tf2_py
from builtin_interfaces.msg import Duration as DurationMessage
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import TransformStamped
from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.node import Node
from tf2_msgs.action import LookupTransform
from tf2_msgs.msg import TF2Error
from tf2_py.buffer_core import nanoseconds

from tf2_ros.buffer_interface import NO_TIMEOUT, BufferInterface

_EXCEPTIONS = {
    TF2Error.LOOKUP_ERROR: tf2_py.LookupException,
    TF2Error.CONNECTIVITY_ERROR: tf2_py.ConnectivityException,
    TF2Error.EXTRAPOLATION_ERROR: tf2_py.ExtrapolationException,
    TF2Error.INVALID_ARGUMENT_ERROR: tf2_py.InvalidArgumentException,
    TF2Error.TIMEOUT_ERROR: tf2_py.TimeoutException,
}


class BufferClient(BufferInterface):
    """Looks transforms up in the buffer server `ns`; another thread has to spin `node`.

    An answer is waited for up to the timeout of the call plus `timeout_padding` (a Duration or seconds), a
    server is looked for `check_frequency` times a second.
    """

    def __init__(
        self,
        node: Node,
        ns: str,
        check_frequency: float = 10.0,
        timeout_padding: Duration | float = Duration(seconds=2.0),  # noqa: B008, a Duration is immutable
    ) -> None:
        super().__init__()
        self.node = node
        self.action_client = ActionClient(node, LookupTransform, ns)
        self.goal_service = node.resolve_service_name(f"{ns}/_action/send_goal")
        self.check_frequency = check_frequency
        padded = isinstance(timeout_padding, Duration)
        self.timeout_padding = timeout_padding if padded else Duration(seconds=timeout_padding)

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration = NO_TIMEOUT
    ) -> TransformStamped:
        """`target_from_source` at `time`; raises what the server's buffer raised, or TimeoutException."""
        goal = LookupTransform.Goal(
            target_frame=target_frame,
            source_frame=source_frame,
            source_time=_time_message(time),
            timeout=_duration_message(timeout),
            advanced=False,
        )
        return self._ask(goal, timeout)

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
        goal = LookupTransform.Goal(
            target_frame=target_frame,
            source_frame=source_frame,
            source_time=_time_message(source_time),
            timeout=_duration_message(timeout),
            target_time=_time_message(target_time),
            fixed_frame=fixed_frame,
            advanced=True,
        )
        return self._ask(goal, timeout)

    def can_transform(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration = NO_TIMEOUT
    ) -> bool:
        """Whether `lookup_transform` answers."""
        try:
            self.lookup_transform(target_frame, source_frame, time, timeout)
        except tf2_py.TransformException:
            return False
        return True

    def can_transform_full(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration = NO_TIMEOUT,
    ) -> bool:
        """Whether `lookup_transform_full` answers."""
        query = (target_frame, target_time, source_frame, source_time, fixed_frame)
        try:
            self.lookup_transform_full(*query, timeout)
        except tf2_py.TransformException:
            return False
        return True

    def _ask(self, goal: LookupTransform.Goal, timeout: Duration) -> TransformStamped:
        limit_s = (timeout.nanoseconds + self.timeout_padding.nanoseconds) / 1e9
        self._wait_for_server(limit_s)
        handle = _result(self.action_client.send_goal_async(goal), limit_s)
        if not handle.accepted:
            raise tf2_py.TimeoutException("the buffer server refused the goal")
        answer = _result(handle.get_result_async(), limit_s).result
        if answer.error.error == TF2Error.NO_ERROR:
            return answer.transform
        raise _EXCEPTIONS.get(answer.error.error, tf2_py.TransformException)(answer.error.error_string)

    def _wait_for_server(self, limit_s: float) -> None:
        deadline = system.monotonic() + limit_s
        while not self.node.count_services(self.goal_service):
            if system.monotonic() > deadline:
                raise tf2_py.TimeoutException(
                    f"The BufferServer is not ready: nobody offers {self.goal_service} after {limit_s} s"
                )
            system.sleep(1.0 / self.check_frequency)


def _result(future: Any, limit_s: float) -> Any:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    if not done.wait(limit_s):
        raise tf2_py.TimeoutException(f"the buffer server did not answer within {limit_s} s")
    return future.result()


def _time_message(time: Any) -> TimeMessage:
    sec, nanosec = divmod(nanoseconds(time), 1_000_000_000)
    return TimeMessage(sec=sec, nanosec=nanosec)


def _duration_message(duration: Any) -> DurationMessage:
    sec, nanosec = divmod(nanoseconds(duration), 1_000_000_000)
    return DurationMessage(sec=sec, nanosec=nanosec)
