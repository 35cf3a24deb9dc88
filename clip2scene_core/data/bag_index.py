"""What a bag holds, found in one pass over it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clip2scene_core.data.bag_reader import BagReader, Entry
from clip2scene_core.data.ros_types import (
    CAMERA_INFO,
    CLOUD,
    COMPRESSED_IMAGE,
    IMAGE,
    LABEL_INFO,
    POSE,
    POSES,
    TRANSFORMS,
)
from clip2scene_core.data.tf_tree import StampedTransform, TfTree
from clip2scene_core.errors import DataError
from clip2scene_core.stamps import stamp_ns_of


@dataclass(slots=True, eq=False)
class Stream:
    """The messages of one topic with a header."""

    topic: str
    frame_id: str = ""
    """Of the first message."""
    points: int = 0
    """Of all clouds together."""
    entries: list[Entry] = field(default_factory=list)
    """In the order of their stamps."""

    def stamps_ns(self) -> np.ndarray:
        """(M,) int64."""
        return np.array([entry.stamp_ns for entry in self.entries], np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BagIndex:
    """Everything by topic; topics without a message are not here."""

    clouds: dict[str, Stream]
    images: dict[str, Stream]
    camera_infos: dict[str, Any]
    """The first CameraInfo."""
    label_infos: dict[str, Any]
    """The first LabelInfo."""
    tf: TfTree
    poses: dict[str, list[StampedTransform]]
    """Of topics that may tell where the robot is; `child` is empty where they do not say whose pose it is."""


def index_bag(
    bag: BagReader,
    *,
    points_topic: str | None = None,
    label_info_topic: str | None = None,
    with_images: bool = True,
) -> BagIndex:
    """Reads the bag once. Raises DataError where it lacks a topic that was named, or has no cloud."""
    clouds = _topics(bag, CLOUD, points_topic)
    if not clouds:
        raise DataError(f"{bag.path} has no PointCloud2; its topics are {', '.join(bag.types)}")
    images = _image_topics(bag) if with_images else []
    infos = bag.topics(CAMERA_INFO) if with_images else []
    labels = _topics(bag, LABEL_INFO, label_info_topic)
    streams = {topic: Stream(topic) for topic in [*clouds, *images]}
    first: dict[str, Any] = {}
    transforms: list[StampedTransform] = []
    poses: dict[str, list[StampedTransform]] = {}
    moving = [topic for kind in (TRANSFORMS, *POSES) for topic in bag.topics(kind)]
    for topic, logged_ns, message in bag.messages([*streams, *infos, *labels, *moving]):
        if topic in streams:
            stream = streams[topic]
            stream.frame_id = stream.frame_id or message.header.frame_id
            stream.entries.append(Entry(stamp_ns_of(message), logged_ns))
            stream.points += message.width * message.height if topic in clouds else 0
        elif bag.types[topic] == TRANSFORMS:
            transforms.extend(_stamped(message, static=topic.endswith("tf_static")))
        elif bag.types[topic] in POSES:
            poses.setdefault(topic, []).append(_stamped_pose(message, bag.types[topic]))
        else:
            first.setdefault(topic, message)
    for stream in streams.values():
        stream.entries.sort()
    return BagIndex(
        clouds={topic: streams[topic] for topic in clouds if streams[topic].entries},
        images={topic: streams[topic] for topic in images if streams[topic].entries},
        camera_infos={topic: first[topic] for topic in infos if topic in first},
        label_infos={topic: first[topic] for topic in labels if topic in first},
        tf=TfTree(transforms),
        poses=poses,
    )


def _topics(bag: BagReader, message_type: str, wanted: str | None) -> Sequence[str]:
    """The topics of a type, or only the one that was named."""
    present = bag.topics(message_type)
    if wanted is None:
        return present
    if wanted not in present:
        kind = message_type.rpartition("/")[2]
        raise DataError(f"{bag.path} has no {kind} topic '{wanted}'; it has {', '.join(present) or 'none'}")
    return [wanted]


def _image_topics(bag: BagReader) -> list[str]:
    """Topics of colour images; depth images are not."""
    topics = [*bag.topics(IMAGE), *bag.topics(COMPRESSED_IMAGE)]
    return [topic for topic in topics if "depth" not in topic.lower()]


def _stamped(message: Any, *, static: bool) -> Iterable[StampedTransform]:
    for transform in message.transforms:
        t, r = transform.transform.translation, transform.transform.rotation
        yield StampedTransform(
            transform.header.frame_id,
            transform.child_frame_id,
            stamp_ns_of(transform),
            (t.x, t.y, t.z),
            (r.x, r.y, r.z, r.w),
            static,
        )


def _stamped_pose(message: Any, message_type: str) -> StampedTransform:
    pose = message.pose if message_type == POSE else message.pose.pose
    t, r = pose.position, pose.orientation
    return StampedTransform(
        message.header.frame_id,
        getattr(message, "child_frame_id", ""),
        stamp_ns_of(message),
        (t.x, t.y, t.z),
        (r.x, r.y, r.z, r.w),
        False,
    )
