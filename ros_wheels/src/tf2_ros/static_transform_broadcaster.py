"""Publish the poses of frames that never move."""

from __future__ import annotations

from collections.abc import Iterable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage

from tf2_ros.qos import STATIC_BROADCASTER


class StaticTransformBroadcaster:
    """Publishes to /tf_static, latched: who comes late gets every frame that was ever sent."""

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        self.pub_tf = node.create_publisher(
            TFMessage, "/tf_static", STATIC_BROADCASTER if qos is None else qos
        )
        self.net_message = TFMessage()

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Publish one transform or several, with all sent before; the same child frame is replaced."""
        transforms = [transform] if isinstance(transform, TransformStamped) else list(transform)
        known = {known.child_frame_id: known for known in self.net_message.transforms}
        known.update({new.child_frame_id: new for new in transforms})
        self.net_message.transforms = list(known.values())
        self.pub_tf.publish(self.net_message)
