"""The time of ROS messages, which the project counts in whole nanoseconds."""

from __future__ import annotations

from typing import Any

NS_PER_S = 1_000_000_000


def stamp_ns_of(message: Any) -> int:
    """The time in the header of a message, rclpy's or rosbags'."""
    stamp = message.header.stamp
    return stamp.sec * NS_PER_S + stamp.nanosec
