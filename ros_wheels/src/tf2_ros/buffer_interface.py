"""What every source of transforms offers, and the registry of functions that apply one to a message type."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, ClassVar

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from std_msgs.msg import Header

NO_TIMEOUT = Duration()


class TypeException(Exception):
    """No function is registered for a type."""

    def __init__(self, errstr: str) -> None:
        super().__init__(errstr)
        self.errstr = errstr


class NotImplementedException(Exception):
    """A source of transforms lacks a method."""

    def __init__(self) -> None:
        super().__init__("CanTransform or LookupTransform not implemented")
        self.errstr = str(self)


class BufferInterface:
    """Lookup of transforms, and `transform` on top of it for every registered type."""

    def __init__(self) -> None:
        self.registration = TransformRegistration()

    def transform(
        self,
        object_stamped: Any,
        target_frame: str,
        timeout: Duration = NO_TIMEOUT,
        new_type: type | None = None,
    ) -> Any:
        """The object in `target_frame` at its own time, converted to `new_type` where given.

        Raises TypeException for a type without a registered function, and as `lookup_transform` does.
        """
        do_transform = self.registration.get(type(object_stamped))
        header = object_stamped.header
        transform = self.lookup_transform(target_frame, header.frame_id, header.stamp, timeout)
        moved = do_transform(object_stamped, transform)
        return moved if new_type is None else convert(moved, new_type)

    def transform_full(
        self,
        object_stamped: Any,
        target_frame: str,
        target_time: Any,
        fixed_frame: str,
        timeout: Duration = NO_TIMEOUT,
        new_type: type | None = None,
    ) -> Any:
        """The object in `target_frame` at `target_time`, where `fixed_frame` stands still in between."""
        do_transform = self.registration.get(type(object_stamped))
        header = object_stamped.header
        transform = self.lookup_transform_full(
            target_frame, target_time, header.frame_id, header.stamp, fixed_frame, timeout
        )
        moved = do_transform(object_stamped, transform)
        return moved if new_type is None else convert(moved, new_type)

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration = NO_TIMEOUT
    ) -> TransformStamped:
        """`target_from_source` at `time`; subclasses define it."""
        raise NotImplementedException

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration = NO_TIMEOUT,
    ) -> TransformStamped:
        """The target frame at `target_time` from the source frame at `source_time`; subclasses define it."""
        raise NotImplementedException

    def can_transform(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration = NO_TIMEOUT
    ) -> bool:
        """Whether `lookup_transform` would answer; subclasses define it."""
        raise NotImplementedException

    def can_transform_full(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration = NO_TIMEOUT,
    ) -> bool:
        """Whether `lookup_transform_full` would answer; subclasses define it."""
        raise NotImplementedException


class TransformRegistration:
    """Message type -> function (object, TransformStamped) -> object; one registry for the whole process."""

    _functions: ClassVar[dict[type, Callable]] = {}

    def print_me(self) -> None:
        """Print what is registered."""
        print(self._functions)

    def add(self, key: type, callback: Callable[[Any, TransformStamped], Any]) -> None:
        """Register the function that transforms objects of type `key`."""
        self._functions[key] = callback

    def get(self, key: type) -> Callable[[Any, TransformStamped], Any]:
        """The function for `key`; TypeException where there is none."""
        return _find(self._functions, key)


class ConvertRegistration:
    """Conversions between types, direct or by way of a message; one registry for the whole process."""

    _to_msg: ClassVar[dict[type, Callable]] = {}
    _from_msg: ClassVar[dict[type, Callable]] = {}
    _direct: ClassVar[dict[tuple[type, type], Callable]] = {}

    def add_to_msg(self, key: type, callback: Callable) -> None:
        """Register how to make a message of a `key`."""
        self._to_msg[key] = callback

    def add_from_msg(self, key: type, callback: Callable) -> None:
        """Register how to make a `key` of a message."""
        self._from_msg[key] = callback

    def add_convert(self, key: tuple[type, type], callback: Callable) -> None:
        """Register how to make the second type of the first."""
        self._direct[key] = callback

    def get_to_msg(self, key: type) -> Callable:
        """The function from `key` to a message; TypeException where there is none."""
        return _find(self._to_msg, key)

    def get_from_msg(self, key: type) -> Callable:
        """The function from a message to `key`; TypeException where there is none."""
        return _find(self._from_msg, key)

    def get_convert(self, key: tuple[type, type]) -> Callable:
        """The function between two types; TypeException where there is none."""
        return _find(self._direct, key)


def convert(a: Any, b_type: type) -> Any:
    """`a` as a `b_type`: a copy, a direct conversion, or one by way of a message. Raises TypeException."""
    registration = ConvertRegistration()
    try:
        return registration.get_convert((type(a), b_type))(a)
    except TypeException:
        if type(a) is b_type:
            return deepcopy(a)
        return registration.get_from_msg(b_type)(registration.get_to_msg(type(a))(a))


def Stamped(obj: Any, stamp: Any, frame_id: str) -> Any:
    """Give any object a header."""
    obj.header = Header(frame_id=frame_id, stamp=stamp)
    return obj


def _find(functions: dict, key: Any) -> Callable:
    if key not in functions:
        raise TypeException(f"Type {key} is not loaded or supported")
    return functions[key]
