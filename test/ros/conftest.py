"""A ROS graph of its own for every test run, a stand-in for the network, and a robot to talk to the node."""

from __future__ import annotations

import os

# Before anything opens DDS: nothing of this run may meet another one, on this machine or elsewhere.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import pytest


@pytest.fixture
def ros_context():
    """An initialised rclpy context without signal handlers."""
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    context = rclpy.context.Context()
    rclpy.init(context=context, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def ros_node(ros_context):
    """A bare node."""
    import rclpy

    node = rclpy.create_node("test", context=ros_context)
    yield node
    node.destroy_node()
