"""The usual start of a chain of filters: a ROS subscription."""

from __future__ import annotations

from typing import Any

from message_filters.simple_filter import SimpleFilter


class Subscriber(SimpleFilter):
    """A filter that outputs what arrives on a topic.

    Every keyword that `rclpy.node.Node.create_subscription` takes is passed on to it, and the filter has
    every attribute of that subscription.
    """

    def __init__(self, node: Any, msg_type: type, topic: str, qos_profile: Any = 10, **kwargs: Any) -> None:
        super().__init__()
        self.node = node
        self.topic = topic
        self.sub = node.create_subscription(msg_type, topic, self.callback, qos_profile, **kwargs)

    def __getattr__(self, key: str) -> Any:
        if key == "sub":  # not made yet
            raise AttributeError(key)
        return getattr(self.sub, key)

    def callback(self, msg: Any) -> None:
        """Output one received message."""
        self.signalMessage(msg)

    def getTopic(self) -> str:
        """The topic as it was given, before remapping."""
        return self.topic
