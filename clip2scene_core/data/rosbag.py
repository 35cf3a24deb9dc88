"""rosbag2 recordings (MCAP or SQLite) as frames: clouds, images, camera models and TF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_core.data.bag_reader import BagReader, Entry, stamp_of
from clip2scene_core.data.ros_types import label_set_of
from clip2scene_core.data.tf_tree import EVER, StampedTransform, TfTree
from clip2scene_core.errors import CalibrationError, DataError
from clip2scene_core.geometry import SE3, Camera
from clip2scene_core.images import camera_from_info, compressed_rgb, image_rgb
from clip2scene_core.labels import LabelSet
from clip2scene_core.pointcloud2 import scan_from, structured
from clip2scene_core.types import CameraImage, Frame, SemanticLabels

CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
LABEL_INFO = "vision_msgs/msg/LabelInfo"


@dataclass(slots=True, eq=False)
class _Stream:
    """The messages of one topic, in the order of their stamps once `sort` was called."""

    topic: str
    frame_id: str = ""
    points: int = 0
    """Of all clouds together."""
    entries: list[Entry] = field(default_factory=list)

    def add(self, message: Any, logged_ns: int) -> None:
        if not self.entries:
            self.frame_id = message.header.frame_id
        self.entries.append(Entry(stamp_of(message), logged_ns))

    def sort(self) -> None:
        self.entries.sort()

    def stamps_ns(self) -> np.ndarray:
        """(M,) int64."""
        return np.array([entry.stamp_ns for entry in self.entries], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _BagCamera:
    """One camera and which of its images belongs to which scan."""

    name: str
    images: _Stream
    camera: Camera
    nearest: np.ndarray
    """(F,) int64: index of the image for each scan, -1 where there is none."""


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
    ) -> None:
        """`root` is the bag's folder, or one .mcap or .db3 file. The bag is read once, to index it.

        `points_topic`: default the cloud topic with most points. `cameras`: names or image topics, which
        then must be usable; None takes all that are. `fixed_frame`: default odom, map or the root of TF.
        A field `label` is read with the label set named `truth_label_set`, or as the bag's LabelInfo
        says. Images farther than `image_slop_ms` from a scan do not belong to it. `sweeps` is how many
        scans before each are given with it.

        Raises DataError where the bag lacks something, CalibrationError where a named camera or
        `fixed_frame` cannot be related to the LiDAR or a camera is not calibrated.
        """
        self._bag = BagReader(Path(root))
        self._sweeps = sweeps
        self._notes: list[str] = []
        streams, infos, self._tf, label_infos = self._index(points_topic, cameras, label_info_topic)
        self._scans = self._choose_scans(streams, points_topic)
        self._fixed_frame = self._choose_fixed_frame(fixed_frame)
        self._leave_out_scans_without_pose()
        self.label_set = self._choose_label_set(label_infos, truth_label_set)
        self._cameras = self._find_cameras(streams, infos, cameras, image_slop_ms)
        self.camera_names = tuple(camera.name for camera in self._cameras)
        self.notes = tuple(self._notes)

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
            scan=scan_from(message, topic=self._scans.topic),
            world_from_lidar=self._pose(index),
            sweeps=tuple(scan_from(self._message(i), topic=self._scans.topic) for i in earlier),
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

    def _index(
        self, points_topic: str | None, cameras: Sequence[str] | None, label_info_topic: str | None
    ) -> tuple[dict[str, _Stream], dict[str, Any], TfTree, dict[str, Any]]:
        """Streams by topic, first CameraInfo and LabelInfo by topic, and TF: one pass over the bag."""
        clouds = self._bag.topics(CLOUD)
        if points_topic is not None:
            if points_topic not in clouds:
                raise DataError(
                    f"{self._bag.path} has no PointCloud2 topic '{points_topic}'; "
                    f"it has {', '.join(clouds) or 'none'}"
                )
            clouds = [points_topic]
        if not clouds:
            raise DataError(
                f"{self._bag.path} has no PointCloud2; its topics are {', '.join(self._bag.types)}"
            )
        images = [] if cameras == () or cameras == [] else _image_topics(self._bag)
        streams = {topic: _Stream(topic) for topic in [*clouds, *images]}
        calibrations = set(self._bag.topics(CAMERA_INFO)) if images else set()
        labels = set(self._bag.topics(LABEL_INFO)) if label_info_topic is None else {label_info_topic}
        first: dict[str, Any] = {}
        transforms: list[StampedTransform] = []
        wanted = {*streams, *calibrations, *labels, *self._bag.topics(TRANSFORMS)}
        for topic, logged_ns, message in self._bag.messages(wanted):
            if topic in streams:
                streams[topic].add(message, logged_ns)
                if topic in clouds:
                    streams[topic].points += message.width * message.height
            elif topic in calibrations or topic in labels:
                first.setdefault(topic, message)
            else:
                transforms.extend(_stamped(message, static=topic.endswith("tf_static")))
        for stream in streams.values():
            stream.sort()
        return (
            streams,
            {topic: first[topic] for topic in calibrations if topic in first},
            TfTree(transforms),
            {topic: first[topic] for topic in labels if topic in first},
        )

    def _choose_scans(self, streams: dict[str, _Stream], points_topic: str | None) -> _Stream:
        clouds = [s for s in streams.values() if self._bag.types[s.topic] == CLOUD and s.entries]
        if not clouds:
            raise DataError(f"{self._bag.path} has no message on {points_topic or 'its PointCloud2 topics'}")
        most = max(stream.points for stream in clouds)
        candidates = [stream for stream in clouds if stream.points == most]
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
        if not known:
            raise CalibrationError(f"{self._bag.path}: all {total} {what}; choose another fixed_frame")
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

    def _find_cameras(
        self,
        streams: dict[str, _Stream],
        infos: dict[str, Any],
        wanted: Sequence[str] | None,
        slop_ms: float,
    ) -> list[_BagCamera]:
        """The cameras asked for, any fault of which is an error, or all without fault."""
        images = [s for s in streams.values() if self._bag.types[s.topic] != CLOUD and s.entries]
        names = _camera_names(stream.topic for stream in images)
        by_name = {names[topic]: streams[topic] for topic in reversed(names)}
        if wanted is None:
            cameras = [self._camera_or_note(name, by_name[name], infos, slop_ms) for name in sorted(by_name)]
            return [camera for camera in cameras if camera is not None]
        if unknown := [name for name in wanted if name not in by_name and name not in names]:
            present = ", ".join(sorted(by_name)) or "none"
            raise DataError(f"{self._bag.path} has no camera '{unknown[0]}'; it has {present}")
        chosen = {names.get(name, name): streams[name] if name in names else by_name[name] for name in wanted}
        return [self._camera(name, stream, infos, slop_ms) for name, stream in chosen.items()]

    def _camera_or_note(
        self, name: str, images: _Stream, infos: dict[str, Any], slop_ms: float
    ) -> _BagCamera | None:
        """Without CameraInfo or TF a camera that nobody asked for is left out; a wrong one is an error."""
        try:
            self._require_info(images, infos)
            self._tf.coverage(self._fixed_frame, images.frame_id)
        except CalibrationError as error:
            self._notes.append(f"camera {name} is left out: {error}")
            return None
        return self._camera(name, images, infos, slop_ms)

    def _camera(self, name: str, images: _Stream, infos: dict[str, Any], slop_ms: float) -> _BagCamera:
        camera = _camera_of(self._require_info(images, infos), images.topic)
        coverage = self._tf.coverage(self._fixed_frame, images.frame_id)
        nearest = _nearest(self._scans.stamps_ns(), images.stamps_ns(), coverage, slop_ms)
        if missing := int((nearest < 0).sum()):
            self._notes.append(
                f"camera {name}: no image within {slop_ms:g} ms and TF for {missing} of {len(nearest)} scans"
            )
        return _BagCamera(name, images, camera, nearest)

    def _require_info(self, images: _Stream, infos: dict[str, Any]) -> Any:
        topic = camera_info_topic(images.topic)
        if topic not in infos:
            raise CalibrationError(
                f"{self._bag.path} has no message on {topic}, the camera model of {images.topic}"
            )
        return infos[topic]

    def _message(self, index: int) -> Any:
        return self._bag.message(self._scans.topic, self._scans.entries[index])

    def _pose(self, index: int) -> SE3:
        return self._tf.lookup(self._fixed_frame, self._scans.frame_id, self._scans.entries[index].stamp_ns)

    def _image(self, camera: _BagCamera, index: int) -> CameraImage:
        topic, entry = camera.images.topic, camera.images.entries[index]
        decode = image_rgb if self._bag.types[topic] == IMAGE else compressed_rgb
        rgb = decode(self._bag.message(topic, entry), topic=topic)
        if rgb.shape[:2] != (camera.camera.height, camera.camera.width):
            raise DataError(
                f"{topic}: the image has {rgb.shape[1]} x {rgb.shape[0]} pixels, "
                f"{camera_info_topic(topic)} says {camera.camera.width} x {camera.camera.height}"
            )
        return CameraImage(
            rgb=rgb, camera=camera.camera, stamp_ns=entry.stamp_ns, frame_id=camera.images.frame_id
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


def _image_topics(bag: BagReader) -> list[str]:
    """Topics of colour images; depth images are not."""
    topics = [*bag.topics(IMAGE), *bag.topics(COMPRESSED_IMAGE)]
    return [topic for topic in topics if "depth" not in topic.lower()]


def _image_base(topic: str) -> str:
    """The topic without the suffix of a transport: /front/image_raw of /front/image_raw/compressed."""
    return topic.removesuffix("/compressed")


def camera_info_topic(image_topic: str) -> str:
    """CameraInfo lies beside its image."""
    return f"{_image_base(image_topic).rpartition('/')[0]}/camera_info"


def _camera_names(image_topics: Iterable[str]) -> dict[str, str]:
    """Name of the camera by topic, uncompressed topics first; as much of the namespace as is needed."""
    topics = sorted(image_topics, key=lambda topic: (topic != _image_base(topic), topic))
    namespaces = {topic: camera_info_topic(topic).rpartition("/")[0].strip("/") for topic in topics}
    last = Counter(namespace.rpartition("/")[2] for namespace in set(namespaces.values()))
    return {
        topic: (short if last[short := namespace.rpartition("/")[2]] == 1 else namespace.replace("/", "_"))
        or "camera"
        for topic, namespace in namespaces.items()
    }


def _camera_of(info: Any, image_topic: str) -> Camera:
    """The model of the raw image, or for topics like image_rect of the rectified one."""
    topic = camera_info_topic(image_topic)
    try:
        if "rect" in _image_base(image_topic).rpartition("/")[2]:
            matrix = np.asarray(info.p, np.float64).reshape(3, 4)[:, :3]
            return Camera(width=info.width, height=info.height, matrix=matrix)
        return camera_from_info(info)
    except CalibrationError as error:
        raise CalibrationError(f"{topic}: {error}") from error


def _nearest(
    scans_ns: np.ndarray, images_ns: np.ndarray, coverage_ns: tuple[int, int], slop_ms: float
) -> np.ndarray:
    """(F,) int64: index of the image nearest to each scan; -1 where it is too far or has no pose."""
    after = np.searchsorted(images_ns, scans_ns).clip(1, max(len(images_ns) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(images_ns) - 1)
    nearest = np.where(scans_ns - images_ns[before] <= images_ns[after] - scans_ns, before, after)
    nearest = np.where(np.abs(images_ns[nearest] - scans_ns) <= slop_ms * 1e6, nearest, -1)
    known = (images_ns[nearest] >= coverage_ns[0]) & (images_ns[nearest] <= coverage_ns[1])
    return np.where(known, nearest, -1)


def _stamped(message: Any, *, static: bool) -> Iterable[StampedTransform]:
    for transform in message.transforms:
        t, r = transform.transform.translation, transform.transform.rotation
        yield StampedTransform(
            transform.header.frame_id,
            transform.child_frame_id,
            stamp_of(transform),
            (t.x, t.y, t.z),
            (r.x, r.y, r.z, r.w),
            static,
        )
