"""Any recording as a bag that other ROS tools can play."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_core.cameras import Camera
from clip2scene_core.data.files import PNG_MAGIC
from clip2scene_core.data.new_bag import BagFormat, NewBag, new_bag
from clip2scene_core.data.ros_types import class_map, typestore
from clip2scene_core.data.source import FrameSource
from clip2scene_core.errors import DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.pointcloud2 import append_labels, fields_of, points_of
from clip2scene_core.stamps import NS_PER_S
from clip2scene_core.types import CameraImage, Frame

WORLD_FRAME = "odom"
BASE_FRAME = "base_link"
POINTS_TOPIC = "/lidar/points"
LABEL_INFO_TOPIC = "/lidar/label_info"
"""Images are /CAMERA/image/compressed or /CAMERA/image, beside /CAMERA/camera_info."""


class ImageFormat(str, Enum):
    """How images are written; those that the recording has compressed itself only where this is RAW."""

    JPEG = "jpeg"
    PNG = "png"
    RAW = "raw"


def write_bag(
    source: FrameSource,
    path: Path | str,
    *,
    format: BagFormat = BagFormat.MCAP,
    compress: bool = False,
    images: ImageFormat = ImageFormat.JPEG,
    jpeg_quality: int = 92,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Writes every frame of one drive: clouds with labels, images, camera models, TF and LabelInfo.

    Images are the very bytes of the recording where it has them as JPEG or PNG, unless `images` is raw.
    Messages are recorded at their own stamps. TF has odom -> base_link at every stamp and the mounting
    of each sensor in /tf_static; that and LabelInfo are latched. The bag appears under its name when it is
    whole. `progress` is told the number of frames done. Raises DataError as new_bag does, or where the
    frames are not of one drive: times go back or a sensor has moved.
    """
    if not len(source):
        raise DataError(f"there are no frames to write to {path}")
    with new_bag(Path(path), format=format, compress=compress, overwrite=overwrite) as bag:
        drive = _Drive(bag, images, jpeg_quality)
        for index in range(len(source)):
            drive.add(source[index], source.mounting(index), source.label_set)
            progress(index + 1)


class _Drive:
    """The bag while it is written."""

    def __init__(self, bag: NewBag, images: ImageFormat, jpeg_quality: int) -> None:
        self._bag = bag
        self._images = images
        self._jpeg_quality = jpeg_quality
        self._types = typestore().types
        self._mounting: dict[str, SE3] = {}
        self._last_scan_ns = -1
        self._last_image_ns: dict[str, int] = {}
        self._label_info_written = False

    def add(self, frame: Frame, mounting: Mapping[str, SE3], label_set: LabelSet | None) -> None:
        """Writes one frame. Images that the frame before had too are not written again."""
        scan = frame.scan
        if scan.stamp_ns <= self._last_scan_ns:
            raise DataError(
                f"scan at {scan.stamp_ns} ns comes after one at {self._last_scan_ns} ns: "
                "a bag holds one drive, choose a scene, sequence or drive of the recording"
            )
        self._last_scan_ns = scan.stamp_ns
        new = {n: i for n, i in frame.images.items() if i.stamp_ns > self._last_image_ns.get(n, -1)}
        self._last_image_ns |= {name: image.stamp_ns for name, image in new.items()}
        start_ns = min([scan.stamp_ns, *(image.stamp_ns for image in new.values())])
        self._write_mounting(mounting, start_ns)
        if label_set is not None and not self._label_info_written:
            self._write_label_info(label_set, scan.frame_id, start_ns)
        self._write_poses(frame, new)
        for name, image in new.items():
            self._write_image(name, image)
        self._write_points(frame, label_set)

    def _write_mounting(self, mounting: Mapping[str, SE3], stamp_ns: int) -> None:
        """All that is known so far, whenever there is something new: the last message is the latched one."""
        for frame_id, pose in mounting.items():
            before = self._mounting.get(frame_id, pose)
            if not np.allclose(before.matrix, pose.matrix, rtol=0, atol=1e-6):
                raise DataError(
                    f"'{frame_id}' is mounted elsewhere at {stamp_ns} ns than before: "
                    "a bag holds one drive, choose a scene, sequence or drive of the recording"
                )
        if set(mounting) <= set(self._mounting):
            return
        self._mounting = {**mounting, **self._mounting}
        transforms = [
            self._transform(BASE_FRAME, frame_id, pose, stamp_ns)
            for frame_id, pose in self._mounting.items()
            if frame_id != BASE_FRAME
        ]
        message = self._message("tf2_msgs/msg/TFMessage", transforms=transforms)
        self._put("/tf_static", message, stamp_ns, latched=True)

    def _write_poses(self, frame: Frame, images: Mapping[str, CameraImage]) -> None:
        """odom -> base_link at the stamp of the scan and of each image."""
        poses = {
            image.stamp_ns: frame.world_from_camera[name] @ self._mounting[image.frame_id].inverse()
            for name, image in images.items()
        }
        poses[frame.scan.stamp_ns] = frame.world_from_lidar @ self._mounting[frame.scan.frame_id].inverse()
        for stamp_ns, pose in sorted(poses.items(), key=lambda item: item[0]):
            transform = self._transform(WORLD_FRAME, BASE_FRAME, pose, stamp_ns)
            self._put("/tf", self._message("tf2_msgs/msg/TFMessage", transforms=[transform]), stamp_ns)

    def _write_points(self, frame: Frame, label_set: LabelSet | None) -> None:
        points = points_of(frame.scan)
        if frame.labels is not None and label_set is not None:
            points = append_labels(points, frame.labels, label_set)
        fields = [
            self._message("sensor_msgs/msg/PointField", **field._asdict())
            for field in fields_of(points.dtype)
        ]
        message = self._message(
            "sensor_msgs/msg/PointCloud2",
            header=self._header(frame.scan.stamp_ns, frame.scan.frame_id),
            height=1,
            width=len(points),
            fields=fields,
            is_bigendian=False,
            point_step=points.dtype.itemsize,
            row_step=points.nbytes,
            data=points.view(np.uint8),
            is_dense=bool(np.isfinite(frame.scan.xyz).all()),
        )
        self._put(POINTS_TOPIC, message, frame.scan.stamp_ns)

    def _write_image(self, name: str, image: CameraImage) -> None:
        header = self._header(image.stamp_ns, image.frame_id)
        if self._images is not ImageFormat.RAW:
            data = image.encoded or _encoded(image.rgb, self._images, self._jpeg_quality)
            message = self._message(
                "sensor_msgs/msg/CompressedImage",
                header=header,
                format="png" if data.startswith(PNG_MAGIC) else "jpeg",
                data=np.frombuffer(data, np.uint8),
            )
            self._put(f"/{name}/image/compressed", message, image.stamp_ns)
        else:
            message = self._message(
                "sensor_msgs/msg/Image",
                header=header,
                height=image.rgb.shape[0],
                width=image.rgb.shape[1],
                encoding="rgb8",
                is_bigendian=0,
                step=3 * image.rgb.shape[1],
                data=np.ascontiguousarray(image.rgb).reshape(-1),
            )
            self._put(f"/{name}/image", message, image.stamp_ns)
        self._put(f"/{name}/camera_info", self._camera_info(image.camera, header), image.stamp_ns)

    def _camera_info(self, camera: Camera, header: Any) -> Any:
        pinhole = camera.model == "pinhole"
        return self._message(
            "sensor_msgs/msg/CameraInfo",
            header=header,
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob" if pinhole else camera.model,
            d=np.zeros(5) if pinhole else camera.distortion.astype(np.float64),
            k=camera.matrix.astype(np.float64).reshape(9),
            r=np.eye(3).reshape(9),
            p=np.hstack([camera.matrix, np.zeros((3, 1))]).reshape(12),
            binning_x=0,
            binning_y=0,
            roi=self._message(
                "sensor_msgs/msg/RegionOfInterest",
                x_offset=0,
                y_offset=0,
                height=0,
                width=0,
                do_rectify=False,
            ),
        )

    def _write_label_info(self, label_set: LabelSet, frame_id: str, stamp_ns: int) -> None:
        classes = [
            self._message("vision_msgs/msg/VisionClass", class_id=id, class_name=name)
            for id, name in class_map(label_set)
        ]
        message = self._message(
            "vision_msgs/msg/LabelInfo",
            header=self._header(stamp_ns, frame_id),
            class_map=classes,
            threshold=0.0,
        )
        self._put(LABEL_INFO_TOPIC, message, stamp_ns, latched=True)
        self._label_info_written = True

    def _transform(self, parent: str, child: str, pose: SE3, stamp_ns: int) -> Any:
        x, y, z, w = pose.quaternion_xyzw().tolist()
        translation = dict(zip("xyz", pose.translation.tolist(), strict=True))
        return self._message(
            "geometry_msgs/msg/TransformStamped",
            header=self._header(stamp_ns, parent),
            child_frame_id=child,
            transform=self._message(
                "geometry_msgs/msg/Transform",
                translation=self._message("geometry_msgs/msg/Vector3", **translation),
                rotation=self._message("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
            ),
        )

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, NS_PER_S)
        stamp = self._message("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
        return self._message("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def _message(self, message_type: str, **values: Any) -> Any:
        return self._types[message_type](**values)

    def _put(self, topic: str, message: Any, stamp_ns: int, *, latched: bool = False) -> None:
        cdr = typestore().serialize_cdr(message, message.__msgtype__)
        self._bag.write(topic, message.__msgtype__, stamp_ns, cdr, latched=latched)


def _encoded(rgb: np.ndarray, kind: ImageFormat, jpeg_quality: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind.value, quality=jpeg_quality)
    return buffer.getvalue()
