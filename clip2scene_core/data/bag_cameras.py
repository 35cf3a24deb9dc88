"""The cameras of a bag: their names, models and which image belongs to which scan."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_core.camera_info import CameraCalibration, calibration_from_info, is_rectified
from clip2scene_core.data.bag_index import BagIndex, Stream
from clip2scene_core.data.bag_reader import BagReader, Entry
from clip2scene_core.data.files import jpeg_or_png
from clip2scene_core.data.ros_types import IMAGE
from clip2scene_core.errors import CalibrationError, DataError
from clip2scene_core.images import compressed_rgb, image_rgb

VIDEO = re.compile(r"FFMPEGPacket|CompressedVideo|theora_image_transport")
"""Message types whose images need those before them."""


@dataclass(frozen=True, slots=True, eq=False)
class BagCamera:
    """One camera of a bag."""

    name: str
    images: Stream
    calibration: CameraCalibration
    nearest: np.ndarray
    """(F,) int64: index of the image for each scan, -1 where there is none."""

    @property
    def frame_id(self) -> str:
        """That of the images, or one of its own where their rectification turned the camera."""
        turned = not np.array_equal(self.calibration.frame_from_camera.matrix, np.eye(4))
        return f"{self.name}_rectified" if turned else self.images.frame_id


class CameraFinder:
    """Relates the images of a bag to its scans."""

    def __init__(
        self,
        bag: BagReader,
        index: BagIndex,
        pose_known_ns: Callable[[str], tuple[int, int]],
        scans_ns: np.ndarray,
        slop_ms: float,
    ) -> None:
        """`scans_ns` (F,) int64 are the stamps of the scans.

        `pose_known_ns` gives the first and last time at which the pose of a frame is known; it raises
        CalibrationError where it never is.
        """
        self._bag = bag
        self._index = index
        self._pose_known_ns = pose_known_ns
        self._scans_ns = scans_ns
        self._slop_ms = slop_ms
        self._names = camera_names(index.images)
        self._by_name = {self._names[topic]: index.images[topic] for topic in reversed(self._names)}
        self.notes: list[str] = []
        """What a user should know of the cameras found so far."""
        self.refused: dict[str, str] = {}
        """By image topic, why a camera is left out."""

    def find(self, wanted: Sequence[str] | None) -> tuple[BagCamera, ...]:
        """The cameras with these names or image topics; None finds all that are usable, notes tell of others.

        Raises DataError for one that is not there or whose first image is unreadable, CalibrationError for
        one without TF or a CameraInfo that fits its images.
        """
        if wanted is None:
            self.notes += [
                f"{topic} is left out: {kind} is video, which is not read; republish it as CompressedImage"
                for topic, kind in self._bag.types.items()
                if VIDEO.search(kind)
            ]
            return tuple(camera for name in sorted(self._by_name) if (camera := self._usable(name)))
        if unknown := [name for name in wanted if name not in self._by_name and name not in self._names]:
            present = ", ".join(sorted(self._by_name)) or "none"
            raise DataError(f"the bag has no camera '{unknown[0]}'; it has {present}")
        return tuple(
            self._camera(self._names[name], self._index.images[name])
            if name in self._names
            else self._camera(name, self._by_name[name])
            for name in wanted
        )

    def _usable(self, name: str) -> BagCamera | None:
        try:
            return self._camera(name, self._by_name[name])
        except (CalibrationError, DataError) as error:
            self.notes.append(f"camera {name} is left out: {error}")
            self.refused[self._by_name[name].topic] = str(error)
            return None

    def _camera(self, name: str, images: Stream) -> BagCamera:
        info_topic = camera_info_topic(images.topic)
        if info_topic not in self._index.camera_infos:
            raise CalibrationError(
                f"the bag has no message on {info_topic}, the camera model of {images.topic}"
            )
        known_ns = self._pose_known_ns(images.frame_id)
        nearest = nearest_in_time(self._scans_ns, images.stamps_ns(), known_ns, self._slop_ms)
        calibration = self._calibration(images, info_topic)
        if calibration.note:
            self.notes.append(f"camera {name}: {calibration.note}")
        if missing := int((nearest < 0).sum()):
            self.notes.append(
                f"camera {name}: no image within {self._slop_ms:g} ms and with a known pose "
                f"for {missing} of {len(nearest)} scans"
            )
        return BagCamera(name, images, calibration, nearest)

    def _calibration(self, images: Stream, info_topic: str) -> CameraCalibration:
        """For images of the size of the first one."""
        height, width, _ = read_pixels(self._bag, images.topic, images.entries[0])[0].shape
        info = self._index.camera_infos[info_topic]
        try:
            return calibration_from_info(info, width, height, rectified=is_rectified(images.topic))
        except CalibrationError as error:
            raise CalibrationError(f"{info_topic}: {error}") from error


def read_pixels(bag: BagReader, topic: str, entry: Entry) -> tuple[np.ndarray, bytes | None]:
    """(H, W, 3) uint8 RGB of one image, and the JPEG or PNG that it was recorded as.

    Raises DataError, naming `topic`, where it cannot be read.
    """
    message = bag.message(topic, entry)
    if bag.types[topic] == IMAGE:
        return image_rgb(message, topic=topic), None
    mosaic = "bayer" in message.format.lower()  # a file that says nothing of its colours
    return compressed_rgb(message, topic=topic), None if mosaic else jpeg_or_png(bytes(message.data))


def camera_info_topic(image_topic: str) -> str:
    """CameraInfo lies beside its image."""
    return f"{_image_base(image_topic).rpartition('/')[0]}/camera_info"


def _image_base(topic: str) -> str:
    """The topic without the suffix of a transport: /front/image_raw of /front/image_raw/compressed."""
    return topic.removesuffix("/compressed")


def camera_names(image_topics: Iterable[str]) -> dict[str, str]:
    """Name of the camera by topic, as much of the namespace as is needed; the best topics come first.

    Uncompressed ones are better, then those whose name promises colour.
    """
    topics = sorted(
        image_topics,
        key=lambda topic: (topic != _image_base(topic), "color" not in topic.rpartition("/")[2], topic),
    )
    namespaces = {topic: camera_info_topic(topic).rpartition("/")[0].strip("/") for topic in topics}
    last = Counter(namespace.rpartition("/")[2] for namespace in set(namespaces.values()))
    return {
        topic: (short if last[short := namespace.rpartition("/")[2]] == 1 else namespace.replace("/", "_"))
        or "camera"
        for topic, namespace in namespaces.items()
    }


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
