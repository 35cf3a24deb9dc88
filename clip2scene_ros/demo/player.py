"""Plays a bag to the node `segment`: every message goes out as the bytes that were recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from clip2scene_core.data.bag_cameras import camera_info_topic
from clip2scene_core.data.bag_reader import BagReader
from clip2scene_core.data.ros_types import CAMERA_INFO, CLOUD, COMPRESSED_IMAGE, IMAGE, TRANSFORMS
from clip2scene_core.data.rosbag import RosbagSource

SCAN_DELAY_NS = 50_000_000
"""Clouds are played so much later than they were stamped: a driver sends a sweep when it is complete."""

TYPES = {
    CLOUD: PointCloud2,
    IMAGE: Image,
    COMPRESSED_IMAGE: CompressedImage,
    CAMERA_INFO: CameraInfo,
    TRANSFORMS: TFMessage,
}


class Recorded(NamedTuple):
    """One message of the bag."""

    topic: str
    logged_ns: int
    raw: bytes
    """Serialised, as DDS sends it."""
    due_ns: int
    """When it is to be played, on the clock of the bag."""


class Drive:
    """What of a bag the node needs."""

    def __init__(self, path: Path, *, cameras: Sequence[str] | None = None) -> None:
        """`cameras` None takes all that are usable. Raises DataError or CalibrationError as RosbagSource."""
        self.source = RosbagSource(path, cameras=cameras, ego_motion="tf")  # all that the node hears of
        self.bag = BagReader(path)
        self.points_topic = self.source.points_topic
        self.image_topics = self._of_one_transport(self.source.image_topics)
        self.tf_topics = [t for t in self.bag.topics(TRANSFORMS) if not t.endswith("tf_static")]
        self.static_topics = [t for t in self.bag.topics(TRANSFORMS) if t.endswith("tf_static")]

    @property
    def image_transport(self) -> str:
        """raw or compressed, as the node's parameter has it."""
        kinds = {self.bag.types[topic] for topic in self.image_topics.values()}
        return "compressed" if kinds == {COMPRESSED_IMAGE} else "raw"

    def played_topics(self) -> dict[str, str]:
        """Topic of the bag -> topic of the node."""
        suffix = "image/compressed" if self.image_transport == "compressed" else "image"
        topics = {self.points_topic: "/segment/input/points"}
        for name, topic in self.image_topics.items():
            topics[topic] = f"/segment/input/{name}/{suffix}"
            topics[camera_info_topic(topic)] = f"/segment/input/{name}/camera_info"
        return topics | dict.fromkeys(self.tf_topics, "/tf")

    def static_transforms(self) -> list[Recorded]:
        """What is latched and so must be said first."""
        return [
            Recorded(topic, logged_ns, bytes(raw), logged_ns)
            for topic, logged_ns, raw in self.bag.raw(self.static_topics)
        ]

    def messages(self) -> Iterator[Recorded]:
        """All others in the order in which they are due."""
        return delayed(self.bag.raw(self.played_topics()), self.points_topic, SCAN_DELAY_NS)

    def _of_one_transport(self, topics: dict[str, str]) -> dict[str, str]:
        """The node takes either raw or compressed images: the kind that more cameras have."""
        compressed = {n: t for n, t in topics.items() if t.endswith("/compressed")}
        raw = {n: t for n, t in topics.items() if n not in compressed}
        return max(compressed, raw, key=len)


def delayed(messages: Iterable[tuple[str, int, bytes]], topic: str, delay_ns: int) -> Iterator[Recorded]:
    """Messages in the order of time, those of `topic` later by `delay_ns` and after all that are due then."""
    held: deque[Recorded] = deque()
    for name, logged_ns, raw in messages:
        while held and held[0].due_ns < logged_ns:
            yield held.popleft()
        if name == topic:
            held.append(Recorded(name, logged_ns, bytes(raw), logged_ns + delay_ns))
        else:
            yield Recorded(name, logged_ns, bytes(raw), logged_ns)
    yield from held


class Player:
    """Publishers for every topic of a drive."""

    def __init__(self, node: Node, drive: Drive) -> None:
        self._static = drive.static_transforms()
        latched = QoSProfile(depth=max(len(self._static), 1), durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._tf_static = node.create_publisher(TFMessage, "/tf_static", latched)
        topics = drive.played_topics()
        played = {
            name: node.create_publisher(TYPES[drive.bag.types[topic]], name, QoSProfile(depth=10))
            for topic, name in topics.items()
        }
        self._publishers = {topic: played[name] for topic, name in topics.items()}

    def connected(self) -> bool:
        """Whether somebody listens to every topic."""
        return all(p.get_subscription_count() for p in (self._tf_static, *self._publishers.values()))

    def publish_static(self) -> None:
        for message in self._static:
            self._tf_static.publish(message.raw)

    def publish(self, message: Recorded) -> None:
        self._publishers[message.topic].publish(message.raw)
