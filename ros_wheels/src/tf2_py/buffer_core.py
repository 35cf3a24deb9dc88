"""The tree of coordinate frames: takes in transforms, answers between any two frames at any known time."""

from __future__ import annotations

import math
import threading
from typing import Any

from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.time import Time

from tf2_py import telling
from tf2_py.exceptions import InvalidArgumentException, LookupException, TransformException
from tf2_py.frame_history import Link, seconds
from tf2_py.frame_tree import FrameTree
from tf2_py.rigid import Rigid, Vector, add, cross, rotate, rotation_vector, scale, signed, subtract, unit

DEFAULT_CACHE_TIME = Duration(seconds=10)
QUATERNION_TOLERANCE = 10e-3  # of the squared norm, as in tf2's C++
UNKNOWN = "frame does not exist"


def nanoseconds(time: Any, what: str = "time") -> int:
    """The nanoseconds of an rclpy Time or Duration, or of a builtin_interfaces Time or Duration."""
    if hasattr(time, "sec") and hasattr(time, "nanosec"):
        return int(time.sec * 1_000_000_000 + time.nanosec)
    if hasattr(time, "nanoseconds"):
        return int(time.nanoseconds)
    raise TypeError(f"{what} must have sec and nanosec, or nanoseconds, got {type(time).__name__}")


class BufferCore:
    """Transforms of the last `cache_time` (10 s) and of all static frames; safe with several threads."""

    def __init__(self, cache_time: Any = DEFAULT_CACHE_TIME) -> None:
        self._tree = FrameTree(nanoseconds(cache_time, "duration"))
        self._data_lock = threading.Lock()

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
            self._tree.clear()

    def _insert(self, transform: TransformStamped, authority: str, *, is_static: bool) -> None:
        parent = transform.header.frame_id.removeprefix("/")
        child = transform.child_frame_id.removeprefix("/")
        pose = _pose(transform)
        problem = _problem(parent, child, pose)
        if problem:
            get_logger("tf2").error(f"{problem}, from authority {authority!r}: transform ignored")
            return
        pose = pose._replace(rotation=signed(unit(pose.rotation)))
        link = Link(nanoseconds(transform.header.stamp), parent, pose)
        with self._data_lock:
            kept = self._tree.insert(child, link, authority, is_static=is_static)
        if not kept:
            get_logger("tf2").warning(
                f"TF_OLD_DATA: {child!r} at time {seconds(link.stamp_ns)}, from authority {authority!r}, "
                "is older than the buffer: transform ignored"
            )

    # Answering

    def lookup_transform_core(self, target_frame: str, source_frame: str, time: Any) -> TransformStamped:
        """`target_from_source` at `time`; time 0 is the newest that all frames between know.

        Any frame has itself, known or not. Raises InvalidArgumentException, LookupException (no such frame),
        ConnectivityException (separate trees) and ExtrapolationException (time not covered); the texts name
        frames and times.
        """
        time_ns = nanoseconds(time)
        with self._data_lock:
            stamp_ns, pose = self._lookup(target_frame, source_frame, time_ns)
        return _message(target_frame, source_frame, stamp_ns, pose)

    def lookup_transform_full_core(
        self, target_frame: str, target_time: Any, source_frame: str, source_time: Any, fixed_frame: str
    ) -> TransformStamped:
        """The target at `target_time` from the source at `source_time`; `fixed_frame` stands still.

        Raises as `lookup_transform_core` does.
        """
        target_ns, source_ns = nanoseconds(target_time), nanoseconds(source_time)
        with self._data_lock:
            self._require("lookupTransform argument target_frame", target_frame)
            self._require("lookupTransform argument source_frame", source_frame)
            self._require("lookupTransform argument fixed_frame", fixed_frame)
            _, fixed_from_source = self._tree.lookup(fixed_frame, source_frame, source_ns)
            stamp_ns, target_from_fixed = self._tree.lookup(target_frame, fixed_frame, target_ns)
        return _message(target_frame, source_frame, stamp_ns, target_from_fixed.compose(fixed_from_source))

    def can_transform_core(self, target_frame: str, source_frame: str, time: Any) -> tuple[bool, str]:
        """Whether `lookup_transform_core` would answer, and if not, why."""
        time_ns = nanoseconds(time)
        if target_frame == source_frame:
            return True, ""
        frames = {"target_frame": target_frame, "source_frame": source_frame}
        return self._can(frames, (target_frame, source_frame, time_ns))

    def can_transform_full_core(
        self, target_frame: str, target_time: Any, source_frame: str, source_time: Any, fixed_frame: str
    ) -> tuple[bool, str]:
        """Whether `lookup_transform_full_core` would answer, and if not, why."""
        frames = {"target_frame": target_frame, "source_frame": source_frame, "fixed_frame": fixed_frame}
        return self._can(
            frames,
            (target_frame, fixed_frame, nanoseconds(target_time)),
            (fixed_frame, source_frame, nanoseconds(source_time)),
        )

    def get_latest_common_time(self, target_frame: str, source_frame: str) -> Time:
        """The newest time that every frame between the two knows; 0 where all are static.

        Raises InvalidArgumentException, LookupException (no such frame) and, of no narrower kind,
        TransformException (no way from one to the other).
        """
        with self._data_lock:
            self._require("get_latest_common_time", target_frame)
            self._require("get_latest_common_time", source_frame)
            try:
                return Time(nanoseconds=self._tree.latest_common_ns(target_frame, source_frame))
            except TransformException as error:
                raise TransformException(str(error)) from error

    def _lookup(self, target: str, source: str, time_ns: int) -> tuple[int, Rigid]:
        if target != source:
            self._require("lookupTransform argument target_frame", target)
            self._require("lookupTransform argument source_frame", source)
        return self._tree.lookup(target, source, time_ns)

    def _can(self, frames: dict[str, str], *lookups: tuple[str, str, int]) -> tuple[bool, str]:
        with self._data_lock:
            for argument, frame in frames.items():
                if fault := self._fault(frame):
                    place = f"canTransform argument {argument}"
                    return False, f'Invalid frame ID "{frame}" passed to {place} - {fault}'
            try:
                for lookup in lookups:
                    self._tree.lookup(*lookup)
            except TransformException as error:
                return False, str(error)
        return True, ""

    def _require(self, place: str, frame: str) -> None:
        fault = self._fault(frame)
        if fault == UNKNOWN:
            raise LookupException(f'"{frame}" passed to {place} does not exist. ')
        if fault:
            raise InvalidArgumentException(f'Invalid argument "{frame}" passed to {place} - {fault}')

    def _fault(self, frame: str) -> str | None:
        """Why a name names no frame."""
        if not frame:
            return "in tf2 frame_ids cannot be empty"
        if frame.startswith("/"):
            return "in tf2 frame_ids cannot start with a '/'"
        return None if frame in self._tree.frames else UNKNOWN

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
        interval_ns = nanoseconds(averaging_interval, "duration")
        with self._data_lock:
            latest_ns, _ = self._lookup(observation_frame, tracking_frame, 0)
            time_ns = nanoseconds(time) or latest_ns
            end_ns = min(time_ns + interval_ns // 2, latest_ns)
            start_ns = max(end_ns - interval_ns, 10_000)  # 0 would mean the newest
            if latest_ns and end_ns <= start_ns:
                raise InvalidArgumentException(
                    f"averaging_interval: expected over 0 before {seconds(latest_ns)}, got {interval_ns} ns"
                )
            _, start = self._lookup(observation_frame, tracking_frame, start_ns)
            _, end = self._lookup(observation_frame, tracking_frame, end_ns)
            _, reference_from_observation = self._lookup(reference_frame, observation_frame, time_ns)
            _, reference_from_tracking = self._lookup(reference_frame, tracking_frame, time_ns)
            _, reference_from_point = self._lookup(reference_frame, reference_point_frame, time_ns)
        per_second = 1e9 / (end_ns - start_ns)
        turned = start.inverse().compose(end).rotation
        spin = scale(rotate(start.rotation, rotation_vector(turned)), per_second)
        drift = scale(subtract(end.translation, start.translation), per_second)
        spin = rotate(reference_from_observation.rotation, spin)
        drift = rotate(reference_from_observation.rotation, drift)
        arm = subtract(reference_from_point.apply(reference_point), reference_from_tracking.translation)
        return add(drift, cross(spin, arm)), spin

    # Telling

    def all_frames_as_string(self) -> str:
        """One line a frame that was ever given a parent."""
        with self._data_lock:
            return telling.as_string(self._tree.frames)

    def all_frames_as_yaml(self, *_: Any) -> str:
        """Parent, broadcaster, rate and times of each frame; arguments are ignored, as tf2 does."""
        with self._data_lock:
            return telling.as_yaml(self._tree.frames)

    def _allFramesAsDot(self, time: Any = TimeMessage()) -> str:  # noqa: B008, never changed
        with self._data_lock:
            return telling.as_dot(self._tree.frames, nanoseconds(time))

    def _chain(
        self, target_frame: str, target_time: Any, source_frame: str, source_time: Any, fixed_frame: str
    ) -> list[str]:
        """The frames from source to target as the advanced lookup goes, without a way there and back."""
        with self._data_lock:
            for frame in (target_frame, source_frame, fixed_frame):
                self._require("_chain", frame)
            there = self._tree.path(fixed_frame, source_frame, nanoseconds(source_time))
            on = self._tree.path(target_frame, fixed_frame, nanoseconds(target_time))
        while len(there) > 1 and len(on) > 1 and there[-2] == on[1]:
            there.pop()
            on.pop(0)
        return there + on[1:]

    def _frameExists(self, frame_id: str) -> bool:
        with self._data_lock:
            return frame_id in self._tree.frames

    def _getFrameStrings(self) -> list[str]:
        with self._data_lock:
            return list(self._tree.frames)


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
    if any(math.isnan(value) for value in (*pose.translation, *pose.rotation)):
        return f"TF_NAN_INPUT: the pose of {child!r} has a NaN: {tuple(pose)}"
    if not abs(sum(value * value for value in pose.rotation) - 1.0) < QUATERNION_TOLERANCE:
        return (
            f"TF_DENORMALIZED_QUATERNION: the rotation of {child!r} is not a unit quaternion: {pose.rotation}"
        )
    return None


def _message(target: str, source: str, stamp_ns: int, pose: Rigid) -> TransformStamped:
    message = TransformStamped()
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    message.header.stamp = TimeMessage(sec=sec, nanosec=nanosec)
    message.header.frame_id = target
    message.child_frame_id = source
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = map(float, pose.translation)
    rotation.x, rotation.y, rotation.z, rotation.w = map(float, signed(pose.rotation))
    return message
