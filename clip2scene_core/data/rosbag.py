"""Bags of ROS 1 and ROS 2 as frames: clouds, images, camera models and TF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_core.data.bag_cameras import BagCamera, CameraFinder, camera_info_topic
from clip2scene_core.data.bag_index import Stream, index_bag
from clip2scene_core.data.bag_reader import BagReader
from clip2scene_core.data.files import jpeg_or_png
from clip2scene_core.data.ros_types import IMAGE, label_set_of
from clip2scene_core.data.tf_tree import EVER
from clip2scene_core.errors import CalibrationError, DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.images import compressed_rgb, image_rgb
from clip2scene_core.labels import LabelSet
from clip2scene_core.pointcloud2 import scan_from, structured
from clip2scene_core.types import CameraImage, Frame, LidarScan, SemanticLabels


class RosbagSource:
    """One frame per message of a point cloud topic; see FrameSource."""

    def __init__(
        self,
        root: Path | str,
        *,
        points_topic: str | None = None,
        cameras: Sequence[str] | None = None,
        fixed_frame: str | None = None,
        truth_label_set: str | None = None,
        label_info_topic: str | None = None,
        image_slop_ms: float = 100.0,
        sweeps: int = 0,
        definitions: str | None = None,
        clock_offset_ms: Mapping[str, float] | None = None,
        align_clocks: bool = False,
        stretch: int = 0,
    ) -> None:
        """`root` is the bag's folder, or one .mcap, .db3 or .bag file. The bag is read once, to index it.

        `points_topic`: default the cloud topic with most points. `cameras`: names or image topics, which
        then must be usable; None takes all that are. `fixed_frame`: default odom, map or the root of TF.
        A field `label` is read with the label set named `truth_label_set`, or as the bag's LabelInfo
        says. Images farther than `image_slop_ms` from a scan do not belong to it. `sweeps` is how many
        scans before each are given with it. `definitions` is a .msg file, or a folder of them, for types
        that the bag does not define. `clock_offset_ms` by topic is added to the stamps of its headers;
        `align_clocks` does so for all topics whose clock is not that of the clouds. Of a bag in which time
        goes back, one `stretch` is read, counted from 1; 0 takes the longest.

        Raises DataError where the bag lacks something, CalibrationError where a named camera or
        `fixed_frame` cannot be related to the LiDAR or a camera is not calibrated.
        """
        self._bag = BagReader(Path(root), definitions=definitions)
        self._sweeps = sweeps
        self._notes: list[str] = []
        contents = index_bag(
            self._bag,
            points_topic=points_topic,
            label_info_topic=label_info_topic,
            with_images=cameras is None or len(cameras) > 0,
            clock_offset_ms=clock_offset_ms,
            align_clocks=align_clocks,
            stretch=stretch,
        )
        self._notes += [*self._bag.notes, *contents.notes]
        self._clock_notes = contents.clock_notes
        self._tf = contents.tf
        self._scans = self._choose_scans(contents.clouds)
        self._fixed_frame = self._choose_fixed_frame(fixed_frame)
        self._leave_out_scans_without_pose()
        self.label_set = self._choose_label_set(contents.label_infos, truth_label_set)
        finder = CameraFinder(contents, self._fixed_frame, self._scans.stamps_ns(), image_slop_ms)
        self._cameras = finder.find(cameras)
        self.camera_names = tuple(camera.name for camera in self._cameras)
        self.notes = (*self._notes, *finder.notes)

    @property
    def points_topic(self) -> str:
        """The topic of the clouds."""
        return self._scans.topic

    @property
    def image_topics(self) -> dict[str, str]:
        """The image topic of each camera."""
        return {camera.name: camera.images.topic for camera in self._cameras}

    @property
    def fixed_frame(self) -> str:
        """The frame in which poses are given."""
        return self._fixed_frame

    def __len__(self) -> int:
        return len(self._scans.entries)

    def __getitem__(self, index: int) -> Frame:
        index = range(len(self))[index]
        earlier = range(index - 1, max(index - 1 - self._sweeps, -1), -1)
        message = self._message(index)
        images = {
            camera.name: self._image(camera, camera.nearest[index])
            for camera in self._cameras
            if camera.nearest[index] >= 0
        }
        return Frame(
            scan=self._scan(index, message),
            world_from_lidar=self._pose(index),
            sweeps=tuple(self._scan(i, self._message(i)) for i in earlier),
            sweeps_world_from_lidar=tuple(self._pose(i) for i in earlier),
            images=images,
            world_from_camera={
                name: self._tf.lookup(self._fixed_frame, image.frame_id, image.stamp_ns)
                for name, image in images.items()
            },
            labels=self._labels(message),
        )

    def mounting(self, index: int) -> Mapping[str, SE3]:
        """In base_link where the LiDAR is fixed to one, else in the LiDAR's frame."""
        stamp_ns, lidar = self._scans.entries[range(len(self))[index]].stamp_ns, self._scans.frame_id
        base = "base_link" if "base_link" in self._tf.ancestors(lidar) else lidar
        if self._tf.coverage(base, lidar) != EVER:
            base = lidar
        frames = [lidar, *(camera.images.frame_id for camera in self._cameras)]
        return {frame: self._tf.lookup(base, frame, stamp_ns) for frame in frames}

    def _choose_scans(self, clouds: dict[str, Stream]) -> Stream:
        if not clouds:
            raise DataError(f"{self._bag.path} has no message on its PointCloud2 topics")
        most = max(stream.points for stream in clouds.values())
        candidates = [stream for stream in clouds.values() if stream.points == most]
        if len(candidates) > 1:
            raise DataError(
                f"{self._bag.path} has several clouds with {most} points each: "
                f"{', '.join(s.topic for s in candidates)}; choose one with points_topic=NAME"
            )
        if len(clouds) > 1:
            self._notes.append(f"of {len(clouds)} PointCloud2 topics, {candidates[0].topic} has most points")
        return candidates[0]

    def _choose_fixed_frame(self, wanted: str | None) -> str:
        lidar = self._scans.frame_id
        chain = self._tf.ancestors(lidar)
        fixed = wanted or next((frame for frame in ("odom", "map") if frame in chain), chain[-1])
        if self._tf.coverage(fixed, lidar) == EVER:
            self._notes.append(
                f"TF does not say how '{lidar}' moves: all scans have the same pose in '{fixed}'"
            )
        return fixed

    def _leave_out_scans_without_pose(self) -> None:
        first_ns, last_ns = self._tf.coverage(self._fixed_frame, self._scans.frame_id)
        known = [entry for entry in self._scans.entries if first_ns <= entry.stamp_ns <= last_ns]
        total, self._scans.entries = len(self._scans.entries), known
        lidar, fixed = self._scans.frame_id, self._fixed_frame
        what = f"scans lie outside the time of the transforms from '{lidar}' to '{fixed}'"
        reasons = "".join(f"; {note}" for note in self._clock_notes)
        if not known:
            raise CalibrationError(
                f"{self._bag.path}: all {total} {what}; choose another fixed_frame{reasons}"
            )
        if len(known) < total:
            self._notes.append(f"{total - len(known)} of {total} {what} and are left out")

    def _choose_label_set(self, infos: dict[str, Any], truth_label_set: str | None) -> LabelSet | None:
        """None where the clouds have no field `label` or nothing says what it means."""
        names = structured(self._message(0), topic=self._scans.topic).dtype.names
        if "label" not in names:
            return None
        if "probability" in names:
            self._notes.append(f"the labels of {self._scans.topic} are predictions, not ground truth")
        if truth_label_set is not None:
            return LabelSet.named(truth_label_set)
        if len(infos) > 1:
            raise DataError(
                f"{self._bag.path} has several LabelInfo topics: {', '.join(sorted(infos))}; "
                "choose one with label_info_topic=NAME"
            )
        for topic, info in infos.items():
            return label_set_of(info, topic=topic)
        self._notes.append("the clouds have a field `label` but no LabelInfo says what its values mean")
        return None

    def _message(self, index: int) -> Any:
        return self._bag.message(self._scans.topic, self._scans.entries[index])

    def _scan(self, index: int, message: Any) -> LidarScan:
        """With the stamp of the index, which is another than that of the header where clocks are aligned."""
        scan = scan_from(message, topic=self._scans.topic)
        return replace(scan, stamp_ns=self._scans.entries[index].stamp_ns)

    def _pose(self, index: int) -> SE3:
        return self._tf.lookup(self._fixed_frame, self._scans.frame_id, self._scans.entries[index].stamp_ns)

    def _image(self, camera: BagCamera, index: int) -> CameraImage:
        topic, entry = camera.images.topic, camera.images.entries[index]
        message, raw = self._bag.message(topic, entry), self._bag.types[topic] == IMAGE
        rgb = image_rgb(message, topic=topic) if raw else compressed_rgb(message, topic=topic)
        if rgb.shape[:2] != (camera.camera.height, camera.camera.width):
            raise DataError(
                f"{topic}: the image has {rgb.shape[1]} x {rgb.shape[0]} pixels, "
                f"{camera_info_topic(topic)} says {camera.camera.width} x {camera.camera.height}"
            )
        return CameraImage(
            rgb=rgb,
            camera=camera.camera,
            stamp_ns=entry.stamp_ns,
            frame_id=camera.images.frame_id,
            encoded=None if raw else jpeg_or_png(bytes(message.data)),
        )

    def _labels(self, message: Any) -> SemanticLabels | None:
        points = structured(message, topic=self._scans.topic)
        if self.label_set is None or "label" not in points.dtype.names:
            return None
        predicted = "probability" in points.dtype.names
        return SemanticLabels(
            class_id=points["label"].astype(np.uint16),
            probability=points["probability"].astype(np.float32) if predicted else None,
        )
