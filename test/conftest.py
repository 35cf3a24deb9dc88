"""What all tests share: where ROS writes its logs, and what happens without ROS."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec

WITHOUT_ROS = find_spec("rclpy") is None

os.environ.setdefault("ROS_LOG_DIR", os.path.join(tempfile.gettempdir(), "clip2scene_ros_test_log"))
collect_ignore_glob = ["ros/*"] if WITHOUT_ROS else []


def pytest_report_header() -> str:
    return "test/ros: not collected, rclpy is not installed" if WITHOUT_ROS else "test/ros: collected"
