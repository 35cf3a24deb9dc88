"""Transforms as messages and as matrices, and buffers of them."""

from __future__ import annotations

import math

import numpy as np
import tf2_ros
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

X90 = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))
Z90 = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))


def transform(parent, child, seconds=0.0, xyz=(0.0, 0.0, 0.0), xyzw=(0.0, 0.0, 0.0, 1.0)) -> TransformStamped:
    message = TransformStamped(header=Header(frame_id=parent, stamp=at(seconds).to_msg()))
    message.child_frame_id = child
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = map(float, xyz)
    q.x, q.y, q.z, q.w = map(float, xyzw)
    return message


def matrix(message: TransformStamped) -> np.ndarray:
    t, q = message.transform.translation, message.transform.rotation
    result = np.eye(4)
    result[:3, :3] = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
    result[:3, 3] = t.x, t.y, t.z
    return result


def buffer_of(*transforms: TransformStamped, static: bool = False, **kwargs) -> tf2_ros.Buffer:
    buffer = tf2_ros.Buffer(**kwargs)
    for message in transforms:
        (buffer.set_transform_static if static else buffer.set_transform)(message, "test")
    return buffer


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))
