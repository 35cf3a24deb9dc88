"""The qualities of service of the two transform topics."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile

MOVING = QoSProfile(depth=100, history=HistoryPolicy.KEEP_LAST, durability=DurabilityPolicy.VOLATILE)
STATIC_LISTENER = QoSProfile(
    depth=100, history=HistoryPolicy.KEEP_LAST, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
STATIC_BROADCASTER = QoSProfile(
    depth=1, history=HistoryPolicy.KEEP_LAST, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
