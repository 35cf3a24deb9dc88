"""The tree of coordinate frames: takes in transforms, answers between any two frames at any known time."""

from __future__ import annotations

import math
import threading
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.time import Time

from tf2_py.exceptions import (
    ConnectivityException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_py.frame_history import Link, MovingHistory, StaticHistory, seconds
from tf2_py.rigid import Rigid, Vector, cross, rotate, rotation_vector, scale, subtract

DEFAULT_CACHE_TIME = Duration(seconds=10)
MAX_GRAPH_DEPTH = 1000  # longer chains are taken for loops
QUATERNION_TOLERANCE = 10e-3  # of the squared norm, as in tf2's C++
LOOKUP, CAN = "lookupTransform", "canTransform"


def nanoseconds(time: Any) -> int:
    """The nanoseconds of an rclpy Time or Duration, or of a builtin_interfaces Time or Duration."""
    if hasattr(time, "nanoseconds"):
        return time.nanoseconds
    if hasattr(time, "nanosec"):
        return time.sec * 1_000_000_000 + time.nanosec
    raise TypeError(f"time: expected rclpy Time or builtin_interfaces/Time, got {type(time).__name__}")


class BufferCore:
    """Transforms of the last `cache_time` (10 s) and of all static frames; safe with several threads."""

    def __init__(self, cache_time: Duration | None = None) -> None:
        self._cache_ns = nanoseconds(DEFAULT_CACHE_TIME if cache_time is None else cache_time)
        self._histories: dict[str, StaticHistory | MovingHistory] = {}
        self._frames: dict[str, None] = {}  # every name ever seen, in order
        self._data_lock = threading.RLock()

    # Taking in

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Take in the pose of a moving frame; what makes no sense is logged and ignored."""
        self._insert(transform, authority, is_static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Take in the pose of a frame that never moves."""
        self._insert(transform, authority, is_static=True)

    def clear(self) -> None:
        """Forget every pose that moves; names and static frames stay."""
        with self._data_lock:
            self._histories = {
                frame: history
                for frame, history in self._histories.items()
                if isinstance(history, StaticHistory)
            }

    def _insert(self, transform: TransformStamped, authority: str, *, is_static: bool) -> None:
        parent = transform.header.frame_id.removeprefix("/")
        child = transform.child_frame_id.removeprefix("/")
        pose = _pose(transform)
        problem = _problem(parent, child, pose)
        if problem:
            get_logger("tf2").error(f"{problem}, from authority {authority!r}: transform ignored")
            return
        link = Link(nanoseconds(transform.header.stamp), parent, pose, authority)
        with self._data_lock:
            history = self._histories.get(child)
            if history is None or isinstance(history, StaticHistory) != is_static:
                history = StaticHistory() if is_static else MovingHistory(self._cache_ns)
            if not history.insert(link):
                get_logger("tf2").warning(
                    f"TF_OLD_DATA: {child!r} at time {seconds(link.stamp_ns)}, from authority {authority!r}, "
                    "is older than the buffer: transform ignored"
                )
                return
            self._histories[child] = history
            self._frames.setdefault(child)
            self._frames.setdefault(parent)

    # Answering

    def lookup_transform_core(self, target_frame: str, source_frame: str, time: Any) -> TransformStamped:
        """`target_from_source` at `time`; time 0 is the newest that all frames between know.

        Raises InvalidArgumentException, LookupException (no such frame), ConnectivityException (separate
        trees) and ExtrapolationException (time not covered); the texts name frames and times.
        """
        with self._data_lock:
            self._check_frame(target_frame, LOOKUP, "target_frame")
            self._check_frame(source_frame, LOOKUP, "source_frame")
            stamp_ns, pose = self._lookup(target_frame, source_frame, nanoseconds(time))
        return _message(target_frame, source_frame, stamp_ns, pose)

    def lookup_transform_full_core(
        self, target_frame: str, target_time: Any, source_frame: str, source_time: Any, fixed_frame: str
    ) -> TransformStamped:
        """The target at `target_time` from the source at `source_time`; `fixed_frame` stands still.

        Raises as `lookup_transform_core` does.
        """
        with self._data_lock:
            self._check_frame(target_frame, LOOKUP, "target_frame")
            self._check_frame(source_frame, LOOKUP, "source_frame")
            self._check_frame(fixed_frame, LOOKUP, "fixed_frame")
            _, fixed_from_source = self._lookup(fixed_frame, source_frame, nanoseconds(source_time))
            stamp_ns, target_from_fixed = self._lookup(target_frame, fixed_frame, nanoseconds(target_time))
        return _message(target_frame, source_frame, stamp_ns, target_from_fixed.compose(fixed_from_source))

    def can_transform_core(self, target_frame: str, source_frame: str, time: Any) -> tuple[bool, str]:
        """Whether `lookup_transform_core` would answer, and if not, why; a frame always has itself."""
        if target_frame == source_frame:
            return True, ""
        with self._data_lock:
            try:
                self._check_frame(target_frame, CAN, "target_frame")
                self._check_frame(source_frame, CAN, "source_frame")
                self._lookup(target_frame, source_frame, nanoseconds(time))
            except TransformException as error:
                return False, str(error)
        return True, ""

    def can_transform_full_core(
        self, target_frame: str, target_time: Any, source_frame: str, source_time: Any, fixed_frame: str
    ) -> tuple[bool, str]:
        """Whether `lookup_transform_full_core` would answer, and if not, why."""
        with self._data_lock:
            try:
                self._check_frame(target_frame, CAN, "target_frame")
                self._check_frame(source_frame, CAN, "source_frame")
                self._check_frame(fixed_frame, CAN, "fixed_frame")
                self._lookup(fixed_frame, source_frame, nanoseconds(source_time))
                self._lookup(target_frame, fixed_frame, nanoseconds(target_time))
            except TransformException as error:
                return False, str(error)
        return True, ""

    def get_latest_common_time(self, target_frame: str, source_frame: str) -> Time:
        """The newest time that every frame between the two knows; 0 where all are static.

        Raises LookupException and ConnectivityException.
        """
        with self._data_lock:
            self._check_frame(target_frame, LOOKUP, "target_frame")
            self._check_frame(source_frame, LOOKUP, "source_frame")
            return Time(nanoseconds=self._latest_common_ns(target_frame, source_frame))

    # Velocities

    def lookupVelocityCore(
        self, tracking_frame: str, observation_frame: str, time: Any, averaging_interval: Any
    ) -> tuple[Vector, Vector]:
        """Linear (m/s) and angular (rad/s) velocity of `tracking_frame`, seen from `observation_frame`."""
        return self.lookupVelocityFullCore(
            tracking_frame,
            observation_frame,
            observation_frame,
            (0.0, 0.0, 0.0),
            tracking_frame,
            time,
            averaging_interval,
        )

    def lookupVelocityFullCore(
        self,
        tracking_frame: str,
        observation_frame: str,
        reference_frame: str,
        reference_point: Vector,
        reference_point_frame: str,
        time: Any,
        averaging_interval: Any,
    ) -> tuple[Vector, Vector]:
        """Velocities of a point of `tracking_frame`, seen from `observation_frame`, in `reference_frame`.

        The point is `reference_point` (m) in `reference_point_frame` at `time`. The mean over
        `averaging_interval` around `time` is taken, or over as much of it as is known; time 0 is the newest.
        """
        with self._data_lock:
            latest_ns = nanoseconds(self.get_latest_common_time(observation_frame, tracking_frame))
            time_ns = nanoseconds(time) or latest_ns
            interval_ns = nanoseconds(averaging_interval)
            end_ns = min(time_ns + interval_ns // 2, latest_ns)
            start_ns = max(end_ns - interval_ns, 10_000)  # 0 would mean the newest
            if end_ns <= start_ns:
                raise InvalidArgumentException(
                    f"averaging_interval: expected over 0 before {seconds(latest_ns)}, got {interval_ns} ns"
                )
            start = self._lookup(observation_frame, tracking_frame, start_ns)[1]
            end = self._lookup(observation_frame, tracking_frame, end_ns)[1]
            reference_from_observation = self._lookup(reference_frame, observation_frame, time_ns)[1]
            reference_from_tracking = self._lookup(reference_frame, tracking_frame, time_ns)[1]
            reference_from_point = self._lookup(reference_frame, reference_point_frame, time_ns)[1]
        per_second = 1e9 / (end_ns - start_ns)
        turned = start.inverse().compose(end).rotation
        spin = scale(rotate(start.rotation, rotation_vector(turned)), per_second)
        drift = scale(subtract(end.translation, start.translation), per_second)
        spin = rotate(reference_from_observation.rotation, spin)
        drift = rotate(reference_from_observation.rotation, drift)
        arm = subtract(reference_from_point.apply(reference_point), reference_from_tracking.translation)
        turning = cross(spin, arm)
        return (drift[0] + turning[0], drift[1] + turning[1], drift[2] + turning[2]), spin

    # Telling

    def all_frames_as_string(self) -> str:
        """One line a frame that has a parent."""
        with self._data_lock:
            return "".join(
                f"Frame {frame} exists with parent {history.latest.parent}.\n"
                for frame, history in self._histories.items()
            )

    def all_frames_as_yaml(self, time: Any = None) -> str:
        """YAML: parent, broadcaster, rate and times of each frame, and its delay at `time` where given."""
        with self._data_lock:
            entries = [self._yaml(frame, time) for frame in self._histories]
        return "".join(entries) or "{}"

    def _frameExists(self, frame_id: str) -> bool:
        return frame_id in self._frames

    def _getFrameStrings(self) -> list[str]:
        return list(self._frames)

    def _yaml(self, frame: str, time: Any) -> str:
        history = self._histories[frame]
        oldest_ns, newest_ns, count = history.span_ns()
        rate = count / max((newest_ns - oldest_ns) / 1e9, 1e-4)
        lines = [
            f"{frame}: ",
            f"  parent: '{history.latest.parent}'",
            f"  broadcaster: '{history.latest.authority}'",
            f"  rate: {rate:.3f}",
            f"  most_recent_transform: {seconds(newest_ns)}",
            f"  oldest_transform: {seconds(oldest_ns)}",
        ]
        if time is not None:
            lines.append(f"  transform_delay: {(nanoseconds(time) - newest_ns) / 1e9:.6f}")
        lines.append(f"  buffer_length: {(newest_ns - oldest_ns) / 1e9:.3f}")
        return "\n".join(lines) + "\n"

    # The walk through the tree

    def _check_frame(self, frame: str, function: str, argument: str) -> None:
        place = f"{function} argument {argument}"
        if not frame:
            raise InvalidArgumentException(
                f"Invalid argument passed to {place} in tf2 frame_ids cannot be empty"
            )
        if frame.startswith("/"):
            raise InvalidArgumentException(
                f"Invalid argument \"{frame}\" passed to {place} in tf2 frame_ids cannot start with a '/'"
            )
        if frame in self._frames:
            return
        if function == CAN:
            raise LookupException(f'Invalid frame ID "{frame}" passed to {place} - frame does not exist')
        raise LookupException(f'"{frame}" passed to {place} does not exist. ')

    def _lookup(self, target: str, source: str, time_ns: int) -> tuple[int, Rigid]:
        """Stamp in nanoseconds and `target_from_source`."""
        if time_ns == 0:
            time_ns = self._latest_common_ns(target, source)
        if target == source:
            return time_ns, Rigid()
        from_source, _, problem = self._climb(source, time_ns, stop_at={target})
        from_target, meeting, target_problem = self._climb(target, time_ns, stop_at=from_source.keys())
        if meeting not in from_source:
            problem = target_problem or problem
            if problem is None:
                raise self._unconnected(target, source)
            raise type(problem)(
                f"{problem}, when looking up transform from frame [{source}] to frame [{target}]"
            )
        return time_ns, from_target[meeting].inverse().compose(from_source[meeting])

    def _climb(self, frame: str, time_ns: int, stop_at: Any) -> tuple[dict, str, TransformException | None]:
        """The poses of `frame` in itself and its ancestors, up to one of `stop_at`, a root or a gap in time.

        Returns ancestor -> `ancestor_from_frame` in order, the last ancestor, and the gap where there is one.
        """
        poses, current, pose = {frame: Rigid()}, frame, Rigid()
        while current not in stop_at and current in self._histories:
            try:
                link = self._histories[current].at(time_ns)
            except TransformException as problem:
                return poses, current, problem
            pose = link.parent_from_child.compose(pose)
            current = link.parent
            if current in poses or len(poses) > MAX_GRAPH_DEPTH:
                raise _loop(self)
            poses[current] = pose
        return poses, current, None

    def _latest_common_ns(self, target: str, source: str) -> int:
        if target == source:
            return self._histories[source].latest.stamp_ns if source in self._histories else 0
        from_source = self._newest_stamps(source, stop_at={target})
        from_target = self._newest_stamps(target, stop_at=from_source.keys())
        meeting = next(reversed(from_target))
        if meeting not in from_source:
            raise self._unconnected(target, source)
        stamps = [
            stamp for stamps in (from_source, from_target) for stamp in _until(stamps, meeting) if stamp
        ]
        return min(stamps, default=0)

    def _newest_stamps(self, frame: str, stop_at: Any) -> dict[str, int]:
        """Ancestor -> stamp of the newest link that leads to it; 0 for the frame itself and static links."""
        stamps = {frame: 0}
        while frame not in stop_at and frame in self._histories:
            link = self._histories[frame].latest
            frame = link.parent
            if frame in stamps or len(stamps) > MAX_GRAPH_DEPTH:
                raise _loop(self)
            stamps[frame] = link.stamp_ns
        return stamps

    @staticmethod
    def _unconnected(target: str, source: str) -> ConnectivityException:
        return ConnectivityException(
            f"Could not find a connection between '{target}' and '{source}' because they are not part of the "
            "same tree.Tf has two or more unconnected trees."
        )


def _until(stamps: dict[str, int], last: str) -> list[int]:
    return list(stamps.values())[: list(stamps).index(last) + 1]


def _loop(buffer: BufferCore) -> LookupException:
    return LookupException(
        f"The tf tree is invalid because it contains a loop.\n{buffer.all_frames_as_string()}"
    )


def _pose(transform: TransformStamped) -> Rigid:
    t, q = transform.transform.translation, transform.transform.rotation
    return Rigid((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))


def _problem(parent: str, child: str, pose: Rigid) -> str | None:
    """What makes a transform unusable."""
    if not child:
        return "TF_NO_CHILD_FRAME_ID: child_frame_id is empty"
    if not parent:
        return f"TF_NO_FRAME_ID: header.frame_id of {child!r} is empty"
    if parent == child:
        return f"TF_SELF_TRANSFORM: {child!r} is its own parent"
    if not all(math.isfinite(value) for value in (*pose.translation, *pose.rotation)):
        return f"TF_NAN_INPUT: the pose of {child!r} is not finite: {tuple(pose)}"
    if abs(sum(value * value for value in pose.rotation) - 1.0) > QUATERNION_TOLERANCE:
        return (
            f"TF_DENORMALIZED_QUATERNION: the rotation of {child!r} is not a unit quaternion: {pose.rotation}"
        )
    return None


def _message(target: str, source: str, stamp_ns: int, pose: Rigid) -> TransformStamped:
    message = TransformStamped()
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    message.header.frame_id = target
    message.child_frame_id = source
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = map(float, pose.translation)
    rotation.x, rotation.y, rotation.z, rotation.w = map(float, pose.rotation)
    return message
