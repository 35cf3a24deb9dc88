"""From scans and the image messages of their time to a Frame: calibration and ego motion come from TF."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage

from clip2scene_core.camera_info import CameraCalibration, calibration_from_info
from clip2scene_core.errors import CalibrationError, DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.images import compressed_rgb, image_rgb
from clip2scene_core.inference import StageTimer
from clip2scene_core.stamps import NS_PER_S, stamp_ns_of
from clip2scene_core.types import CameraImage, Frame, LidarScan
from clip2scene_ros.lidars import together, without_motion
from clip2scene_ros.sweeps import SweepBuffer
from clip2scene_ros.transforms import Failure, TransformError, Transforms


@dataclass(frozen=True, slots=True, kw_only=True)
class Framed:
    """A frame and what is missing from it, one line each."""

    frame: Frame
    lidar: np.ndarray
    """(N,) uint8: which LiDAR each row of the scan is from; see lidars.Together."""
    notes: tuple[str, ...]


class Seen(NamedTuple):
    """An image and the calibration that it is used with."""

    image: CameraImage
    calibration: CameraCalibration


class Framer:
    """Puts frames together; remembers camera models and earlier sweeps."""

    def __init__(
        self,
        transforms: Transforms,
        *,
        fixed_frame: str,
        cameras: Sequence[str] = (),
        rectified: Collection[str] = (),
        lidars: Sequence[str] = (),
        sweeps: int = 0,
        sweep_age_s: float = 2.0,
        tolerance_s: float = 0.1,
    ) -> None:
        """`rectified`: the cameras whose images are rectified. `lidars`: those beside the main one.
        `tolerance_s`: how late transforms may be that nothing depends on, before it is worth a note.
        """
        self._transforms = transforms
        self._fixed_frame = fixed_frame
        self._cameras = tuple(cameras)
        self._rectified = frozenset(rectified)
        self._lidars = tuple(lidars)
        self._tolerance_s = tolerance_s
        self._camera_infos: dict[str, CameraInfo] = {}
        self._sweep_count = sweeps
        self._sweeps = SweepBuffer(sweeps, max_age_ns=int(sweep_age_s * NS_PER_S))

    def keep_camera_info(self, camera: str, info: CameraInfo) -> None:
        """Use this calibration for the images of `camera` from now on."""
        self._camera_infos[camera] = info

    def frame(
        self,
        scan: LidarScan,
        images: Mapping[str, Any],
        stages: StageTimer,
        *,
        others: Mapping[str, LidarScan] | None = None,
    ) -> Framed:
        """`others` are scans of the LiDARs beside the main one, by name; they become part of the scan.

        Scans whose points have times are freed of the motion during them. An image, a LiDAR or a motion that
        is unusable is left out, with a note. Transforms are awaited once, however many are missing.

        Raises TransformError where one is missing that the sweeps or an image need.
        """
        others = others or {}
        deadline_s = self._transforms.deadline_s()
        with stages("images"):
            seen, notes = self._seen(images)
        if any(s.time_offset_ns is not None for s in (scan, *others.values())):
            with stages("deskew"):
                scan, others = self._without_motion(scan, others, deadline_s, notes)
        with stages("transforms"):
            world, world_from_lidar, more_notes = self._pose(
                scan, needed=bool(seen), wanted=bool(seen or others), deadline_s=deadline_s
            )
            world_from_camera = {
                name: self._transforms.lookup(world, image.frame_id, image.stamp_ns, deadline_s=deadline_s)
                @ calibration.frame_from_camera
                for name, (image, calibration) in seen.items()
            }
            merged = together(
                scan,
                others,
                self._lidars,
                self._transforms,
                world=world,
                world_from_lidar=world_from_lidar,
                deadline_s=deadline_s,
            )
        sweeps, poses = self._sweeps.before(merged.scan)
        self._sweeps.add(merged.scan, world_from_lidar)
        frame = Frame(
            scan=merged.scan,
            world_from_lidar=world_from_lidar,
            sweeps=sweeps,
            sweeps_world_from_lidar=poses,
            images={name: image for name, (image, _) in seen.items()},
            world_from_camera=world_from_camera,
        )
        notes = (*_stamp_notes(scan), *notes, *more_notes, *merged.notes)
        return Framed(frame=frame, lidar=merged.lidar, notes=notes)

    def _without_motion(
        self, scan: LidarScan, others: Mapping[str, LidarScan], deadline_s: float, notes: list[str]
    ) -> tuple[LidarScan, dict[str, LidarScan]]:
        """Both free of the motion during them; `notes` grows."""
        still = {}
        for name, moving in {"": scan, **others}.items():
            still[name], more = without_motion(moving, self._transforms, self._fixed_frame, deadline_s)
            notes += [f"LiDAR '{name}': {note}" if name else note for note in more]
        return still.pop(""), still

    def _pose(
        self, scan: LidarScan, *, needed: bool, wanted: bool, deadline_s: float
    ) -> tuple[str, SE3, list[str]]:
        """The frame that serves as world, `world_from_lidar`, and notes.

        Sweeps need the fixed frame. Images and other LiDARs do with the calibration between the sensors where
        there is no fixed frame, LiDARs even where its transforms do not come. A lone scan needs no transform,
        but a broken TF tree is worth a note.
        """
        fixed, lidar = self._fixed_frame, scan.frame_id
        if self._sweep_count:
            return fixed, self._transforms.lookup(fixed, lidar, scan.stamp_ns, deadline_s=deadline_s), []
        if not self._transforms.knows(fixed):
            note = f"unknown frame '{fixed}' (fixed_frame): ego motion between sensors is ignored"
            return lidar, SE3.identity(), [note] if wanted else []
        try:
            pose = self._transforms.lookup(fixed, lidar, scan.stamp_ns, wait=wanted, deadline_s=deadline_s)
            return fixed, pose, []
        except TransformError as error:
            if needed:
                raise
            late = error.failure is Failure.IN_THE_FUTURE and error.ahead_s <= self._tolerance_s
            quiet = late and not wanted
            return lidar, SE3.identity(), [] if quiet else [f"labelled without ego motion: {error}"]

    def _seen(self, images: Mapping[str, Any]) -> tuple[dict[str, Seen], list[str]]:
        seen, notes = {}, []
        for name in self._cameras:
            if name not in images:
                notes.append(f"camera '{name}': no image within slop_ms of the scan")
            elif name not in self._camera_infos:
                notes.append(f"camera '{name}': no camera_info has arrived")
            else:
                try:
                    seen[name] = self._look(name, images[name])
                except (DataError, CalibrationError) as error:
                    notes.append(f"camera '{name}': {error}")
        notes += [f"camera '{name}': {c.note}" for name, (_, c) in seen.items() if c.note]
        return seen, notes

    def _look(self, name: str, message: Any) -> Seen:
        decode = compressed_rgb if isinstance(message, CompressedImage) else image_rgb
        rgb = decode(message, topic=f"image of '{name}'")
        height, width, _ = rgb.shape
        calibration = calibration_from_info(
            self._camera_infos[name], width, height, rectified=name in self._rectified
        )
        image = CameraImage(
            rgb=rgb,
            camera=calibration.camera,
            stamp_ns=stamp_ns_of(message),
            frame_id=message.header.frame_id,
        )
        return Seen(image, calibration)


def _stamp_notes(scan: LidarScan) -> list[str]:
    return [] if scan.stamp_ns else ["the stamp of the scan is zero: the newest transforms are used"]
