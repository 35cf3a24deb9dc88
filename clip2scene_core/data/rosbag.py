"""Bags of ROS 1 and ROS 2 as frames: clouds, images, camera models and TF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_core.data.bag_cameras import BagCamera, CameraFinder, read_pixels
from clip2scene_core.data.bag_index import Stream, index_bag
from clip2scene_core.data.bag_lidars import LidarReader
from clip2scene_core.data.bag_reader import BagReader
from clip2scene_core.data.calibration import read_calibration
from clip2scene_core.data.ego_motion import MotionFinder
from clip2scene_core.data.lidar_odometry import motion_from_scans
from clip2scene_core.data.ros_types import label_set_of
from clip2scene_core.data.tf_tree import EVER
from clip2scene_core.errors import CalibrationError, DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.pointcloud2 import scan_from, structured
from clip2scene_core.progress import Progress, silent
from clip2scene_core.trajectory import Trajectory
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
        ego_motion: str | None = None,
        calibration: Sequence[str] = (),
        truth_label_set: str | None = None,
        label_info_topic: str | None = None,
        image_slop_ms: float = 100.0,
        sweeps: int = 0,
        deskew: bool = True,
        lidar_slop_ms: float = 100.0,
        definitions: str | None = None,
        clock_offset_ms: Mapping[str, float] | None = None,
        align_clocks: bool = False,
        stretch: int = 0,
        all_topics: bool = False,
        progress: Progress = silent,
    ) -> None:
        """`root` is the bag's folder, or one .mcap, .db3 or .bag file. The bag is read once, to index it.

        `points_topic`: default the cloud topic with most points. Several, with commas between them, are
        merged by TF into scans of the first, with scans of the others up to `lidar_slop_ms` away. `deskew`
        takes out the motion during a scan where its points have times; it has to be false where the driver,
        or whoever recorded the bag, has done so and left the times. `cameras`: names or image topics, which
        then must be usable; None takes all that are. `fixed_frame`: default odom, map or the root of TF.
        `ego_motion` is tf, /TOPIC, kiss-icp or none; by default whichever of these first knows how the LiDAR
        moves, see MotionFinder. `progress` is told when KISS-ICP runs over the scans.
        `calibration` are YAML files that count more than TF and CameraInfo, see config/calibration.yaml.
        A field `label` is read with the label set named `truth_label_set`, or as the bag's LabelInfo
        says. Images farther than `image_slop_ms` from a scan do not belong to it. `sweeps` is how many
        scans before each are given with it. `definitions` is a .msg file, or a folder of them, for types
        that the bag does not define. `clock_offset_ms` by topic is added to the stamps of its headers;
        `align_clocks` does so for all topics whose clock is not that of the clouds. Of a bag in which time
        goes back, one `stretch` is read, counted from 1; 0 takes the longest. With `all_topics`, `contents`
        tells of topics that no frame needs, too.

        Raises DataError where the bag lacks something, CalibrationError where a named camera or
        `fixed_frame` cannot be related to the LiDAR or a named camera is not calibrated.
        """
        self.bag = BagReader(Path(root), definitions=definitions)
        self._sweeps = sweeps
        self.image_slop_ms = image_slop_ms
        """Images farther from a scan do not belong to it."""
        self._notes: list[str] = []
        topics = [topic.strip() for topic in (points_topic or "").split(",") if topic.strip()]
        contents = index_bag(
            self.bag,
            points_topic=topics[0] if len(topics) == 1 else None,
            label_info_topic=label_info_topic,
            with_images=cameras is None or len(cameras) > 0,
            clock_offset_ms=clock_offset_ms,
            align_clocks=align_clocks,
            stretch=stretch,
            all_topics=all_topics,
        )
        self._notes += [*self.bag.notes, *contents.notes]
        if calibration:
            contents, notes = read_calibration(map(Path, calibration)).applied_to(contents)
            self._notes += notes
        self.contents = contents
        """Of the whole bag, as `calibration` has it; it stays in the process that opened the bag."""
        self._tf = contents.tf
        self._scans, *others = self._choose_scans(contents.clouds, topics)
        from_scans = partial(motion_from_scans, self._scan, len(self), progress=progress)
        motion = MotionFinder(contents, self._scans, fixed_frame, from_scans)
        self.motion = motion.find(ego_motion)
        self._notes += motion.notes
        self._leave_out_scans_without_pose()
        self._lidars = LidarReader(
            self.bag, [self._scans, *others], self._motion_of, deskew=deskew, slop_ms=lidar_slop_ms
        )
        self.label_set = self._choose_label_set(contents.label_infos, truth_label_set)
        finder = CameraFinder(self.bag, contents, self._pose_known_ns, self._scans.stamps_ns(), image_slop_ms)
        self.cameras = finder.find(cameras)
        self.refused_cameras = finder.refused
        """Why a camera is left out, by image topic."""
        self.camera_names = tuple(camera.name for camera in self.cameras)
        self.notes = (*self._notes, *self._lidars.notes, *finder.notes)

    @property
    def points_topic(self) -> str:
        """The topic of the clouds, or of those of the main LiDAR."""
        return self._scans.topic

    @property
    def lidar_frame(self) -> str:
        """The frame of the clouds, or of those of the main LiDAR."""
        return self._scans.frame_id

    def stamps_ns(self) -> np.ndarray:
        """(F,) int64 of the scans."""
        return self._scans.stamps_ns()

    @property
    def image_topics(self) -> dict[str, str]:
        """The image topic of each camera."""
        return {camera.name: camera.images.topic for camera in self.cameras}

    @property
    def fixed_frame(self) -> str:
        """The frame in which poses are given."""
        return self.motion.fixed_frame

    @property
    def moves(self) -> bool:
        """Whether the recording tells how the LiDAR moves."""
        return self.motion.moves

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "contents"}

    def __len__(self) -> int:
        return len(self._scans.entries)

    def __getitem__(self, index: int) -> Frame:
        index = range(len(self))[index]
        earlier = range(index - 1, max(index - 1 - self._sweeps, -1), -1)
        scan, points = self._lidars.read(index)
        seeing = [camera for camera in self.cameras if camera.nearest[index] >= 0]
        images = {camera.name: self._image(camera, camera.nearest[index]) for camera in seeing}
        return Frame(
            scan=scan,
            world_from_lidar=self._pose(index),
            sweeps=tuple(self._lidars.read(i)[0] for i in earlier),
            sweeps_world_from_lidar=tuple(self._pose(i) for i in earlier),
            images=images,
            world_from_camera={
                camera.name: self._world_from_camera(camera, images[camera.name].stamp_ns)
                for camera in seeing
            },
            labels=self._labels(points),
        )

    def mounting(self, index: int) -> Mapping[str, SE3]:
        """In base_link where the LiDAR is fixed to one, else in the LiDAR's frame."""
        stamp_ns, lidar = self._scans.entries[range(len(self))[index]].stamp_ns, self._scans.frame_id
        base = "base_link" if "base_link" in self._tf.ancestors(lidar) else lidar
        if self._tf.coverage(base, lidar) != EVER:
            base = lidar
        cameras = {c.frame_id: self._camera_pose(c, base, stamp_ns) for c in self.cameras}
        return {lidar: self._tf.lookup(base, lidar, stamp_ns), **cameras}

    def _choose_scans(self, clouds: dict[str, Stream], wanted: Sequence[str]) -> list[Stream]:
        """Those that are wanted, else the one with most points."""
        if not clouds:
            raise DataError(f"{self.bag.path} has no message on its PointCloud2 topics")
        if silent := [topic for topic in wanted if topic not in clouds]:
            raise DataError(f"{self.bag.path} has no cloud on '{silent[0]}'; it has {', '.join(clouds)}")
        if wanted:
            return [clouds[topic] for topic in dict.fromkeys(wanted)]
        most = max(stream.points for stream in clouds.values())
        candidates = [stream for stream in clouds.values() if stream.points == most]
        if len(candidates) > 1:
            raise DataError(
                f"{self.bag.path} has several clouds with {most} points each: "
                f"{', '.join(s.topic for s in candidates)}; choose one with points_topic=NAME, "
                "or merge them with points_topic=NAME,NAME"
            )
        if len(clouds) > 1:
            self._notes.append(f"of {len(clouds)} PointCloud2 topics, {candidates[0].topic} has most points")
        return candidates

    def _leave_out_scans_without_pose(self) -> None:
        first_ns, last_ns = self.motion.coverage_ns
        known = [entry for entry in self._scans.entries if first_ns <= entry.stamp_ns <= last_ns]
        total, self._scans.entries = len(self._scans.entries), known
        lidar, fixed = self._scans.frame_id, self.fixed_frame
        what = f"scans lie outside the time at which the pose of '{lidar}' in '{fixed}' is known"
        reasons = "".join(f"; {note}" for note in self.contents.clock_notes.values())
        if not known:
            raise CalibrationError(
                f"{self.bag.path}: all {total} {what}; choose another fixed_frame or ego_motion{reasons}"
            )
        if len(known) < total:
            self._notes.append(f"{total - len(known)} of {total} {what} and are left out")

    def _pose_known_ns(self, frame: str) -> tuple[int, int]:
        """First and last time at which the pose of a sensor in the fixed frame is known."""
        known = self.motion.coverage_ns, self._tf.coverage(self._scans.frame_id, frame)
        return max(first for first, _ in known), min(last for _, last in known)

    def _choose_label_set(self, infos: dict[str, Any], truth_label_set: str | None) -> LabelSet | None:
        """None where the clouds have no field `label` or nothing says what it means."""
        names = structured(self._message(0), topic=self._scans.topic).dtype.names or ()
        if "label" not in names:
            return None
        if "probability" in names:
            self._notes.append(f"the labels of {self._scans.topic} are predictions, not ground truth")
        if truth_label_set is not None:
            return LabelSet.named(truth_label_set)
        if len(infos) > 1:
            raise DataError(
                f"{self.bag.path} has several LabelInfo topics: {', '.join(sorted(infos))}; "
                "choose one with label_info_topic=NAME"
            )
        for topic, info in infos.items():
            return label_set_of(info, topic=topic)
        self._notes.append("the clouds have a field `label` but no LabelInfo says what its values mean")
        return None

    def _message(self, index: int) -> Any:
        return self.bag.message(self._scans.topic, self._scans.entries[index])

    def _motion_of(self, frame_id: str) -> Trajectory:
        return self.motion.world_from_lidar @ self._tf.trajectory(self._scans.frame_id, frame_id)

    def _pose(self, index: int) -> SE3:
        return self.motion.world_from_lidar.pose(self._scans.entries[index].stamp_ns)

    def _scan(self, index: int) -> LidarScan:
        """As recorded, with the stamp of the index: another than the header's where clocks are aligned."""
        scan = scan_from(self._message(index), topic=self._scans.topic)
        return replace(scan, stamp_ns=self._scans.entries[index].stamp_ns)

    def _world_from_camera(self, camera: BagCamera, stamp_ns: int) -> SE3:
        world_from_lidar = self.motion.world_from_lidar.pose(stamp_ns)
        return world_from_lidar @ self._camera_pose(camera, self._scans.frame_id, stamp_ns)

    def _camera_pose(self, camera: BagCamera, frame: str, stamp_ns: int) -> SE3:
        """`frame_from_camera`."""
        lookup = self._tf.lookup(frame, camera.images.frame_id, stamp_ns)
        return lookup @ camera.calibration.frame_from_camera

    def _image(self, camera: BagCamera, index: int) -> CameraImage:
        topic, entry, model = camera.images.topic, camera.images.entries[index], camera.calibration.camera
        rgb, encoded = read_pixels(self.bag, topic, entry)
        if rgb.shape[:2] != (model.height, model.width):
            raise DataError(
                f"{topic}: the image has {rgb.shape[1]} x {rgb.shape[0]} pixels, "
                f"the first one has {model.width} x {model.height}"
            )
        return CameraImage(
            rgb=rgb,
            camera=model,
            stamp_ns=entry.stamp_ns,
            frame_id=camera.frame_id,
            encoded=encoded,
        )

    def _labels(self, clouds: Sequence[np.ndarray]) -> SemanticLabels | None:
        """Of the rows of all clouds; those of a cloud without labels are ignored."""
        labelled = ["label" in (points.dtype.names or ()) for points in clouds]
        if self.label_set is None or not labelled[0]:
            return None
        predicted = all("probability" in (points.dtype.names or ()) for points in clouds)
        ignored = self.label_set.ignore_id
        class_ids = [
            points["label"] if known else np.full(len(points), ignored)
            for points, known in zip(clouds, labelled, strict=True)
        ]
        return SemanticLabels(
            class_id=np.concatenate(class_ids, dtype=np.uint16, casting="unsafe"),
            probability=np.concatenate([p["probability"] for p in clouds], dtype=np.float32)
            if predicted
            else None,
        )
