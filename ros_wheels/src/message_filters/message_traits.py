"""The time of a message, whatever carries it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.logging import get_logger
from rclpy.time import Time

TimeGetter = Callable[[Any], Time | None]


def as_time(stamp: Any) -> Time:
    """An rclpy Time from a Time or from a builtin_interfaces/Time message."""
    return stamp if isinstance(stamp, Time) else Time.from_msg(stamp)


def get_time_from_message_header(msg: Any) -> Time | None:
    """The time in the header of `msg`; None without one."""
    stamp = getattr(getattr(msg, "header", None), "stamp", None)
    return None if stamp is None else as_time(stamp)


def warn_of_timeless(msg: Any, name: str) -> None:
    """Say in the log that a message is dropped for want of a time."""
    get_logger(f"message_filters_{name}").warning(
        f"{type(msg).__name__} has no header stamp and is dropped; allow_headerless=True would keep it"
    )
