"""The cameras of a bag: their names, models and which image belongs to which scan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip2scene_core.data.bag_index import BagIndex, Stream
from clip2scene_core.errors import CalibrationError, DataError
from clip2scene_core.geometry import Camera
from clip2scene_core.images import camera_from_info


@dataclass(frozen=True, slots=True, eq=False)
class BagCamera:
    """One camera of a bag."""

    name: str
    images: Stream
    camera: Camera
    nearest: np.ndarray
    """(F,) int64: index of the image for each scan, -1 where there is none."""


class CameraFinder:
    """Relates the images of a bag to its scans."""

    def __init__(self, index: BagIndex, fixed_frame: str, scans_ns: np.ndarray, slop_ms: float) -> None:
        """`scans_ns` (F,) int64 are the stamps of the scans."""
        self._index = index
        self._fixed_frame = fixed_frame
        self._scans_ns = scans_ns
        self._slop_ms = slop_ms
        self._names = camera_names(index.images)
        self._by_name = {self._names[topic]: index.images[topic] for topic in reversed(self._names)}
        self.notes: list[str] = []
        """What a user should know of the cameras found so far."""

    def find(self, wanted: Sequence[str] | None) -> tuple[BagCamera, ...]:
        """The cameras with these names or image topics; None finds all that can be related to the scans.

        Raises DataError for one that is not there, CalibrationError for one that was asked for without
        CameraInfo or TF and for any that is not calibrated.
        """
        if wanted is None:
            usable = [name for name in sorted(self._by_name) if self._is_usable(name)]
            return tuple(self._camera(name, self._by_name[name]) for name in usable)
        if unknown := [name for name in wanted if name not in self._by_name and name not in self._names]:
            present = ", ".join(sorted(self._by_name)) or "none"
            raise DataError(f"the bag has no camera '{unknown[0]}'; it has {present}")
        return tuple(
            self._camera(self._names[name], self._index.images[name])
            if name in self._names
            else self._camera(name, self._by_name[name])
            for name in wanted
        )

    def _is_usable(self, name: str) -> bool:
        """Whether there is CameraInfo and TF; a note says what is missing."""
        images = self._by_name[name]
        try:
            self._camera_info(images)
            self._index.tf.coverage(self._fixed_frame, images.frame_id)
        except CalibrationError as error:
            self.notes.append(f"camera {name} is left out: {error}")
            return False
        return True

    def _camera(self, name: str, images: Stream) -> BagCamera:
        camera = _camera_of(self._camera_info(images), images.topic)
        coverage = self._index.tf.coverage(self._fixed_frame, images.frame_id)
        nearest = nearest_in_time(self._scans_ns, images.stamps_ns(), coverage, self._slop_ms)
        if missing := int((nearest < 0).sum()):
            self.notes.append(
                f"camera {name}: no image within {self._slop_ms:g} ms and TF "
                f"for {missing} of {len(nearest)} scans"
            )
        return BagCamera(name, images, camera, nearest)

    def _camera_info(self, images: Stream) -> Any:
        topic = camera_info_topic(images.topic)
        if topic not in self._index.camera_infos:
            raise CalibrationError(f"the bag has no message on {topic}, the camera model of {images.topic}")
        return self._index.camera_infos[topic]


def camera_info_topic(image_topic: str) -> str:
    """CameraInfo lies beside its image."""
    return f"{_image_base(image_topic).rpartition('/')[0]}/camera_info"


def _image_base(topic: str) -> str:
    """The topic without the suffix of a transport: /front/image_raw of /front/image_raw/compressed."""
    return topic.removesuffix("/compressed")


def camera_names(image_topics: Iterable[str]) -> dict[str, str]:
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


def nearest_in_time(
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
