"""Fill a buffer from /tf_static alone."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile

from tf2_ros.buffer import Buffer
from tf2_ros.qos import STATIC_LISTENER
from tf2_ros.transform_listener import DEFAULT_STATIC_TF_TOPIC, Listener


class StaticTransformListener(Listener):
    """Subscribes to /tf_static; with `spin_thread` a thread of its own spins the node."""

    def __init__(
        self,
        buffer: Buffer,
        node: Node,
        *,
        spin_thread: bool = False,
        static_qos: QoSProfile | int | None = None,
        tf_static_topic: str = DEFAULT_STATIC_TF_TOPIC,
    ) -> None:
        super().__init__(buffer, node)
        self.tf_static_sub = self._subscribe(
            tf_static_topic, self.static_callback, STATIC_LISTENER if static_qos is None else static_qos
        )
        if spin_thread:
            self._spin()
