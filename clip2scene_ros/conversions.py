"""Between ROS messages and the values of clip2scene_core; the header of the input is never changed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from geometry_msgs.msg import Transform
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import LabelInfo, VisionClass
from visualization_msgs.msg import Marker, MarkerArray

from clip2scene_core.data.ros_types import class_map
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.pointcloud2 import fields_of, label_columns, pack_into, points_of
from clip2scene_core.types import LidarScan, SemanticLabels

LEGEND_HEIGHT_M = 1.0
"""Height of the letters of the legend."""


def se3_from_transform(transform: Transform) -> SE3:
    """Raises CalibrationError where the rotation is no quaternion."""
    r, t = transform.rotation, transform.translation
    return SE3.from_quaternion(np.array([r.x, r.y, r.z, r.w]), np.array([t.x, t.y, t.z]))


def labelled_cloud(
    cloud: PointCloud2, points: np.ndarray, labels: SemanticLabels, label_set: LabelSet
) -> PointCloud2:
    """The input cloud with `label`, `probability` and `rgb` appended to every point.

    `points` (N,) are those of `cloud` as clip2scene_core.pointcloud2.structured gives them. Header,
    height, width, order of rows and fields stay; fields of those three names are replaced.
    """
    labelled = cloud_of(cloud.header, points, label_columns(labels, label_set))
    labelled.height, labelled.width = cloud.height, cloud.width
    labelled.row_step = cloud.width * labelled.point_step
    labelled.is_dense = cloud.is_dense
    return labelled


def merged_cloud(
    header: Header, scan: LidarScan, lidar: np.ndarray, labels: SemanticLabels, label_set: LabelSet
) -> PointCloud2:
    """The rows of a scan of several LiDARs with their labels and `lidar` (N,), which says whose they are."""
    points = points_of(replace(scan, ring=None, time_offset_ns=None))
    return cloud_of(header, points, {**label_columns(labels, label_set), "lidar": lidar})


def cloud_of(header: Header, points: np.ndarray, columns: Mapping[str, np.ndarray]) -> PointCloud2:
    """The message that sensor_msgs_py's create_cloud makes of points (N,) with more columns.

    The bytes are written in the message's own memory, once; rclpy would copy an array that it is given.
    """
    cloud = PointCloud2(header=header, height=1, width=len(points), is_bigendian=sys.byteorder == "big")
    packed = pack_into(cloud.data, points, columns)
    cloud.fields = [PointField(**field._asdict()) for field in fields_of(packed.dtype)]
    cloud.point_step, cloud.row_step = packed.itemsize, packed.nbytes
    return cloud


def label_info(label_set: LabelSet, header: Header) -> LabelInfo:
    """Name of every id that can occur in the field `label`, the ignore id among them."""
    classes = [VisionClass(class_id=id, class_name=name) for id, name in class_map(label_set)]
    return LabelInfo(header=header, class_map=classes, threshold=0.0)


def legend(label_set: LabelSet, header: Header) -> MarkerArray:
    """A column of coloured squares and class names to the left of the sensor; clears the old one first."""
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for row, c in enumerate(label_set.classes):
        square = _legend_marker(header, "colour", row, left_m=20.0)
        square.type = Marker.CUBE
        square.scale.x = square.scale.y = square.scale.z = LEGEND_HEIGHT_M
        red, green, blue = (value / 255 for value in c.colour)
        square.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
        name = _legend_marker(header, "name", row, left_m=25.0)
        name.type = Marker.TEXT_VIEW_FACING
        name.text = c.name
        name.scale.z = LEGEND_HEIGHT_M
        name.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        markers += [square, name]
    return MarkerArray(markers=markers)


def _legend_marker(header: Header, namespace: str, row: int, *, left_m: float) -> Marker:
    marker = Marker(header=header, ns=namespace, id=row, action=Marker.ADD, frame_locked=True)
    marker.pose.position.x = 10.0 - 1.5 * LEGEND_HEIGHT_M * row
    marker.pose.position.y = left_m
    marker.pose.orientation.w = 1.0
    return marker
