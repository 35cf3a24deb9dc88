"""KITTI raw recordings: DATE/DRIVE/{velodyne_points,image_02,oxts} with the calibration beside the drives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from clip2scene_core.data.files import read_image, read_numbers, read_points, read_text
from clip2scene_core.data.kitti_format import (
    camera_of,
    find_motion,
    matrix_of,
    read_calibration,
    read_poses,
    regular_stamps,
    rigid,
    sort_numbered,
    split_projection,
)
from clip2scene_core.data.lidar_odometry import motion_from_scans
from clip2scene_core.errors import DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.progress import Progress, silent
from clip2scene_core.trajectory import Trajectory
from clip2scene_core.types import CameraImage, Frame, LidarScan

LIDAR_FRAME = "velodyne"
EARTH_RADIUS_M = 6378137.0


class KittiRawSource:
    """One drive of KITTI raw; see FrameSource. The vehicle's frame is the LiDAR's."""

    label_set = None

    def __init__(
        self,
        root: Path | str,
        *,
        drive: str | None = None,
        cameras: Sequence[str] | None = None,
        sweeps: int = 0,
        poses: Path | str | None = None,
        ego_motion: str | None = None,
        progress: Progress = silent,
    ) -> None:
        """`root` holds DATE/DRIVE, or is DATE, or the drive itself; `drive` chooses one by its folder's name.

        `cameras` are folder names such as image_02, None for all; `sweeps` is how many scans before each
        are given with it. The file `poses`, with a `world_from_lidar` of twelve numbers a line, counts more
        than oxts. `ego_motion` is recorded, kiss-icp or none, see find_motion; `progress` is told when
        KISS-ICP runs over the scans. Raises DataError where something is missing.
        """
        self._drive = _find_drive(Path(root), drive)
        self._sweeps = sweeps
        self._scans = sort_numbered(self._drive / "velodyne_points" / "data", ".bin")
        self._stamps_ns = _stamps(self._drive / "velodyne_points", self._scans)
        self.camera_names = _cameras(self._drive, cameras)
        self._image_stamps_ns = {
            name: _stamps(self._drive / name, self._scans, default=self._stamps_ns)
            for name in self.camera_names
        }
        self._cameras = {name: _calibration(self._drive.parent, name) for name in self.camera_names}
        self._trajectory, self.notes = find_motion(
            ego_motion,
            partial(self._recorded_motion, poses),
            partial(motion_from_scans, self._scan, len(self), progress=progress),
            lack=f"{self._drive.name} has no oxts and no poses were given",
        )

    @property
    def moves(self) -> bool:
        """Whether poses are known."""
        return len(self._trajectory.stamps_ns) > 1

    def __len__(self) -> int:
        return len(self._scans)

    def __getitem__(self, index: int) -> Frame:
        index = range(len(self))[index]
        earlier = range(index - 1, max(index - 1 - self._sweeps, -1), -1)
        images = {name: self._image(name, index) for name in self.camera_names}
        return Frame(
            scan=self._scan(index),
            world_from_lidar=self._pose(index),
            sweeps=tuple(self._scan(i) for i in earlier),
            sweeps_world_from_lidar=tuple(self._pose(i) for i in earlier),
            images=images,
            world_from_camera={
                name: self._trajectory.pose(image.stamp_ns) @ self._cameras[name][1].inverse()
                for name, image in images.items()
            },
        )

    def mounting(self, index: int) -> Mapping[str, SE3]:
        cameras = {
            name: camera_from_lidar.inverse() for name, (_, camera_from_lidar) in self._cameras.items()
        }
        return {LIDAR_FRAME: SE3.identity(), **cameras}

    def _scan(self, index: int) -> LidarScan:
        points = read_points(self._scans[index], 4)
        return LidarScan(
            xyz=np.ascontiguousarray(points[:, :3]),
            intensity=np.ascontiguousarray(points[:, 3]),
            stamp_ns=int(self._stamps_ns[index]),
            frame_id=LIDAR_FRAME,
        )

    def _pose(self, index: int) -> SE3:
        return self._trajectory.pose(int(self._stamps_ns[index]))

    def _image(self, name: str, index: int) -> CameraImage:
        rgb, encoded = read_image(self._drive / name / "data" / f"{self._scans[index].stem}.png")
        return CameraImage(
            rgb=rgb,
            camera=camera_of(self._cameras[name][0], rgb),
            stamp_ns=int(self._image_stamps_ns[name][index]),
            frame_id=name,
            encoded=encoded,
        )

    def _recorded_motion(self, poses: Path | str | None) -> Trajectory | None:
        if poses is not None:
            return Trajectory.from_poses(self._stamps_ns.tolist(), read_poses(Path(poses), len(self)))
        return _oxts_trajectory(self._drive) if (self._drive / "oxts").is_dir() else None


def _find_drive(root: Path, drive: str | None) -> Path:
    """The folder that holds velodyne_points, at most two levels below the root."""
    found = [
        p.parent for pattern in ("", "*/", "*/*/") for p in sorted(root.glob(f"{pattern}velodyne_points"))
    ]
    if not found:
        raise DataError(f"{root} has no DATE/DRIVE/velodyne_points: not the root of a KITTI raw recording?")
    names = ", ".join(path.name for path in found)
    chosen = found if drive is None else [path for path in found if path.name == drive]
    if not chosen:
        raise DataError(f"{root} has no drive '{drive}'; it has {names}")
    if len(chosen) > 1:
        raise DataError(f"{root} has several drives: {names}; choose one with drive=NAME")
    return chosen[0]


def _cameras(drive: Path, wanted: Sequence[str] | None) -> tuple[str, ...]:
    present = tuple(sorted(path.name for path in drive.glob("image_0?") if path.is_dir()))
    if wanted is None:
        return present
    if unknown := sorted(set(wanted) - set(present)):
        raise DataError(f"{drive} has no camera '{unknown[0]}'; it has {', '.join(present) or 'none'}")
    return tuple(wanted)


def _calibration(date: Path, camera: str) -> tuple[np.ndarray, SE3]:
    """K of the rectified image and `camera_from_lidar` = [I | t] R_rect_00 [R T]."""
    lidar_path, camera_path = date / "calib_velo_to_cam.txt", date / "calib_cam_to_cam.txt"
    cameras = read_calibration(camera_path)
    number = camera.removeprefix("image_")
    matrix, camera_from_rectified = split_projection(
        matrix_of(cameras, f"P_rect_{number}", (3, 4), camera_path)
    )
    rectified_from_camera_0 = SE3.from_rotation_translation(
        matrix_of(cameras, "R_rect_00", (3, 3), camera_path), np.zeros(3)
    )
    return matrix, camera_from_rectified @ rectified_from_camera_0 @ _rotation_translation(lidar_path)


def _rotation_translation(path: Path) -> SE3:
    """Of a file with R and T."""
    calibration = read_calibration(path)
    rotation, translation = (matrix_of(calibration, key, (3, n), path) for key, n in (("R", 3), ("T", 1)))
    return rigid(np.hstack([rotation, translation]))


def _stamps(sensor: Path, scans: Sequence[Path], default: np.ndarray | None = None) -> np.ndarray:
    """(N,) int64 of each scan's line in timestamps.txt, which has a line for missing scans too."""
    path = sensor / "timestamps.txt"
    if not path.is_file():
        return regular_stamps(len(scans)) if default is None else default
    stamps, numbers = _read_timestamps(path), np.array([int(scan.stem) for scan in scans])
    if numbers.max() >= len(stamps):
        raise DataError(f"{path} has {len(stamps)} lines but there is a scan number {numbers.max()}")
    return stamps[numbers]


def _read_timestamps(path: Path) -> np.ndarray:
    """(T,) int64 of lines like `2011-09-26 13:02:25.594360375`."""
    lines = [line.strip().replace(" ", "T") for line in read_text(path).splitlines() if line.strip()]
    try:
        return np.array(lines, "datetime64[ns]").astype(np.int64)
    except ValueError as error:
        raise DataError(f"{path} has a line that is no date and time: {error}") from error


def _oxts_trajectory(drive: Path) -> Trajectory:
    """`world_from_lidar` from GPS and inertial measurements; the world is where the first one was taken.

    Mercator projection scaled at the first latitude, as the recording's development kit describes it.
    """
    files = sort_numbered(drive / "oxts" / "data", ".txt")
    rows = np.array([_oxts_row(path) for path in files])
    latitude, longitude, altitude, roll, pitch, yaw = rows.T
    scale = np.cos(np.radians(latitude[0])) * EARTH_RADIUS_M
    east_m = scale * np.radians(longitude)
    north_m = scale * np.log(np.tan(np.pi / 4 + np.radians(latitude) / 2))
    translations = np.column_stack([east_m, north_m, altitude])
    world_from_imu = [
        SE3.from_rotation_translation(_rotation(*angles), translation)
        for angles, translation in zip(zip(roll, pitch, yaw, strict=True), translations, strict=True)
    ]
    imu_from_lidar = _rotation_translation(drive.parent / "calib_imu_to_velo.txt").inverse()
    first = (world_from_imu[0] @ imu_from_lidar).inverse()
    return Trajectory.from_poses(
        _stamps(drive / "oxts", files), [first @ world_from @ imu_from_lidar for world_from in world_from_imu]
    )


def _oxts_row(path: Path) -> np.ndarray:
    """Latitude, longitude (degrees), altitude (m), roll, pitch, yaw (rad): the first six of 30 numbers."""
    return read_numbers(path, 30)[0, :6]


def _rotation(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Rz(yaw) Ry(pitch) Rx(roll)."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_matrix()
