"""ROS message types for rosbags, and what LabelInfo says about a label set."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from clip2scene_core.errors import DataError
from clip2scene_core.labels import IGNORE, LabelSet
from clip2scene_core.palette import distinct_colours

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
LABEL_INFO = "vision_msgs/msg/LabelInfo"
ODOMETRY = "nav_msgs/msg/Odometry"
POSE = "geometry_msgs/msg/PoseStamped"
POSE_WITH_COVARIANCE = "geometry_msgs/msg/PoseWithCovarianceStamped"
POSES = (ODOMETRY, POSE, POSE_WITH_COVARIANCE)
"""Types that may tell where the robot is."""

VISION_MSGS = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    "vision_msgs/msg/LabelInfo": (
        "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n"
    ),
}
"""Definitions of vision_msgs, which rosbags does not ship."""


@cache
def typestore() -> Typestore:
    """The messages of ROS 2 Jazzy with the two of vision_msgs that name classes."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in VISION_MSGS.items():
        store.register(get_types_from_msg(text, name))
    return store


def class_map(label_set: LabelSet) -> list[tuple[int, str]]:
    """Id and name of everything that a field `label` may hold, `ignore` among them."""
    return sorted([(label_set.ignore_id, IGNORE), *((c.id, c.name) for c in label_set.classes)])


def label_set_of(info: Any, *, topic: str) -> LabelSet:
    """The label set that a vision_msgs/LabelInfo describes: a shipped one where ids and names agree.

    Raises DataError where the message names no class.
    """
    pairs = sorted((int(c.class_id), c.class_name) for c in info.class_map)
    for name in LabelSet.shipped():
        if class_map(shipped := LabelSet.named(name)) == pairs:
            return shipped
    classes = [(id, name) for id, name in pairs if name != IGNORE]
    if not classes:
        raise DataError(f"{topic}: the message names no class")
    used = {id for id, _ in classes}
    ignored = next((id for id, name in pairs if name == IGNORE), None)
    return LabelSet.from_dict(
        {
            "name": topic,
            "ignore_id": next(id for id in (0, 255, 65535) if id not in used) if ignored is None else ignored,
            "classes": [
                {"id": id, "name": name, "colour": colour}
                for (id, name), colour in zip(classes, distinct_colours(len(classes)), strict=True)
            ],
        }
    )
