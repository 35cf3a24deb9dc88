"""Fill a buffer from /tf and /tf_static."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from tf2_msgs.msg import TFMessage

from tf2_ros.buffer import Buffer
from tf2_ros.qos import MOVING, STATIC_LISTENER

AUTHORITY = "default_authority"  # ROS 2 does not tell a subscriber who published
DEFAULT_TF_TOPIC = "/tf"
DEFAULT_STATIC_TF_TOPIC = "/tf_static"


class TransformListener:
    """Subscribes to both topics, or to /tf_static alone where `static_only`.

    With `spin_thread` a thread of its own spins the node; without a node it makes one.
    """

    def __init__(
        self,
        buffer: Buffer,
        node: Node | None,
        *,
        spin_thread: bool = False,
        qos: QoSProfile | int | None = None,
        static_qos: QoSProfile | int | None = None,
        tf_topic: str = DEFAULT_TF_TOPIC,
        tf_static_topic: str = DEFAULT_STATIC_TF_TOPIC,
        static_only: bool = False,
    ) -> None:
        self.buffer = buffer
        self.executor: SingleThreadedExecutor | None = None
        self._subscriptions: list[Subscription] = []
        self._owns_node = node is None
        self.node = _quiet_node(f"transform_listener_impl_{id(self):x}") if node is None else node
        # Reentrant: a callback of the same node may wait for a transform in a multi-threaded executor.
        self.group = ReentrantCallbackGroup()
        if not static_only:
            self.tf_sub = self._subscribe(tf_topic, self.callback, MOVING if qos is None else qos)
        self.tf_static_sub = self._subscribe(
            tf_static_topic, self.static_callback, STATIC_LISTENER if static_qos is None else static_qos
        )
        if spin_thread:
            self._spin()

    def __del__(self) -> None:
        self.unregister()

    def unregister(self) -> None:
        """Stop listening, and end the thread and the node of its own where there is one."""
        if self.executor is not None:
            self._stop.set()
            self.dedicated_listener_thread.join(timeout=1.0)
            self.executor.shutdown()
            self.executor = None
        while self._subscriptions:
            self.node.destroy_subscription(self._subscriptions.pop())
        if self._owns_node:
            self.node.destroy_node()
            self._owns_node = False

    def callback(self, data: TFMessage) -> None:
        """Take in what was said on /tf."""
        for transform in data.transforms:
            self.buffer.set_transform(transform, AUTHORITY)

    def static_callback(self, data: TFMessage) -> None:
        """Take in what was said on /tf_static."""
        for transform in data.transforms:
            self.buffer.set_transform_static(transform, AUTHORITY)

    def _subscribe(
        self, topic: str, callback: Callable[[TFMessage], None], qos: QoSProfile | int
    ) -> Subscription:
        subscription = self.node.create_subscription(
            TFMessage, topic, callback, qos, callback_group=self.group
        )
        self._subscriptions.append(subscription)
        return subscription

    def _spin(self) -> None:
        self.executor = SingleThreadedExecutor(context=self.node.context)
        self.executor.add_node(self.node)
        self._stop = Event()
        self.dedicated_listener_thread = Thread(target=_run, args=(self.executor, self._stop), daemon=True)
        self.dedicated_listener_thread.start()


def _quiet_node(name: str) -> Node:
    """A node that does nothing but listen; simulated time means nothing to it."""
    return Node(
        name,
        enable_rosout=False,
        start_parameter_services=False,
        parameter_overrides=[Parameter("use_sim_time", value=False)],
    )


def _run(executor: SingleThreadedExecutor, stop: Event) -> None:
    """Spin until told to stop; `executor.spin` would trip over its own shutdown from another thread."""
    with suppress(ExternalShutdownException):
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)
