"""The time of a message, whatever carries it."""

from __future__ import annotations

from typing import Any

from rclpy.clock import ROSClock
from rclpy.logging import get_logger
from rclpy.time import Time


def as_time(stamp: Any) -> Time:
    """An rclpy Time from a Time or from a builtin_interfaces/Time message."""
    return stamp if isinstance(stamp, Time) else Time.from_msg(stamp)


def stamp_of(msg: Any, *, allow_headerless: bool, name: str) -> Time | None:
    """The time in the header of `msg`; without one the time of arrival where allowed, or None."""
    stamp = getattr(getattr(msg, "header", None), "stamp", None)
    if stamp is not None:
        return as_time(stamp)
    if allow_headerless:
        return ROSClock().now()
    get_logger(f"message_filters.{name}").warning(
        f"{type(msg).__name__} has no header stamp and is dropped; allow_headerless=True would keep it"
    )
    return None
