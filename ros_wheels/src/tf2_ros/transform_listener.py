"""Fill a buffer from /tf and /tf_static."""

from __future__ import annotations

from threading import Thread

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage

from tf2_ros.buffer import Buffer
from tf2_ros.qos import MOVING, STATIC_LISTENER

AUTHORITY = "default_authority"  # ROS 2 does not tell a subscriber who published
DEFAULT_TF_TOPIC = "/tf"
DEFAULT_STATIC_TF_TOPIC = "/tf_static"


class TransformListener:
    """Subscribes to both topics; with `spin_thread` a thread of its own spins the node."""

    def __init__(
        self,
        buffer: Buffer,
        node: Node,
        *,
        spin_thread: bool = False,
        qos: QoSProfile | int | None = None,
        static_qos: QoSProfile | int | None = None,
        tf_topic: str = DEFAULT_TF_TOPIC,
        tf_static_topic: str = DEFAULT_STATIC_TF_TOPIC,
    ) -> None:
        self.buffer = buffer
        self.node = node
        # Reentrant: a callback of the same node may wait for a transform in a multi-threaded executor.
        self.group = ReentrantCallbackGroup()
        self.tf_sub = node.create_subscription(
            TFMessage, tf_topic, self.callback, MOVING if qos is None else qos, callback_group=self.group
        )
        self.tf_static_sub = node.create_subscription(
            TFMessage,
            tf_static_topic,
            self.static_callback,
            STATIC_LISTENER if static_qos is None else static_qos,
            callback_group=self.group,
        )
        if spin_thread:
            self._spin()

    def _spin(self) -> None:
        self.executor = SingleThreadedExecutor(context=self.node.context)
        self.executor.add_node(self.node)
        self.dedicated_listener_thread = Thread(target=self.executor.spin, daemon=True)
        self.dedicated_listener_thread.start()

    def __del__(self) -> None:
        self.unregister()

    def unregister(self) -> None:
        """Stop listening, and end the thread where there is one."""
        executor = self.__dict__.pop("executor", None)
        if executor is not None:
            executor.shutdown()
            self.dedicated_listener_thread.join(timeout=1.0)
        for name in ("tf_sub", "tf_static_sub"):
            subscription = self.__dict__.pop(name, None)
            if subscription is not None:
                self.node.destroy_subscription(subscription)

    def callback(self, data: TFMessage) -> None:
        """Take in what was said on /tf."""
        for transform in data.transforms:
            self.buffer.set_transform(transform, AUTHORITY)

    def static_callback(self, data: TFMessage) -> None:
        """Take in what was said on /tf_static."""
        for transform in data.transforms:
            self.buffer.set_transform_static(transform, AUTHORITY)
