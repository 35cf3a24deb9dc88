"""SemanticKITTI: sequences/NN/{velodyne,labels,image_2} with calib.txt, poses.txt and times.txt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from clip2scene_core.data.files import read_class_ids, read_image, read_numbers, read_points
from clip2scene_core.data.kitti_format import (
    START_NS,
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
from clip2scene_core.labels import LabelSet
from clip2scene_core.progress import Progress, silent
from clip2scene_core.trajectory import Trajectory
from clip2scene_core.types import CameraImage, Frame, LidarScan, SemanticLabels

LIDAR_FRAME = "velodyne"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sequence:
    """One drive."""

    folder: Path
    scans: list[Path]
    stamps_ns: np.ndarray
    """(F,) int64, of each scan."""
    trajectory: Trajectory
    """`world_from_lidar`; the world is the first scan's frame."""
    notes: tuple[str, ...]
    cameras: dict[str, tuple[np.ndarray, SE3]]
    """K and `camera_from_lidar` by folder name."""
    labelled: bool


class SemanticKittiSource:
    """The scans of one or several sequences, one after the other; see FrameSource."""

    def __init__(
        self,
        root: Path | str,
        *,
        sequences: Sequence[str] | None = None,
        cameras: Sequence[str] | None = None,
        sweeps: int = 0,
        ego_motion: str | None = None,
        progress: Progress = silent,
    ) -> None:
        """`root` holds sequences/NN, or dataset/sequences/NN; `sequences` such as ["08"], None for all.

        `cameras` are folder names such as image_2, None for all that are there; `sweeps` is how many
        scans before each are given with it. `ego_motion` is recorded (poses.txt), kiss-icp or none, see
        find_motion; `progress` is told when KISS-ICP runs over the scans of a sequence. Raises DataError
        where something is missing.
        """
        self._sequences = [
            _read_sequence(path, cameras, ego_motion, progress)
            for path in _find_sequences(Path(root), sequences)
        ]
        self._frames = [(sequence, i) for sequence in self._sequences for i in range(len(sequence.scans))]
        self._sweeps = sweeps
        labelled = any(sequence.labelled for sequence in self._sequences)
        self.label_set = LabelSet.named("semantic_kitti") if labelled else None
        self.camera_names = tuple(sorted({name for sequence in self._sequences for name in sequence.cameras}))
        self.notes = tuple(note for sequence in self._sequences for note in sequence.notes)

    @property
    def moves(self) -> bool:
        """Whether poses of all sequences are known."""
        return all(len(sequence.trajectory.stamps_ns) > 1 for sequence in self._sequences)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Frame:
        sequence, i = self._frames[range(len(self))[index]]
        earlier = range(i - 1, max(i - 1 - self._sweeps, -1), -1)
        scan = _scan(sequence.scans, sequence.stamps_ns, i)
        images = {name: _image(sequence, name, i) for name in sequence.cameras}
        pose = sequence.trajectory.pose(scan.stamp_ns)
        sweeps = tuple(_scan(sequence.scans, sequence.stamps_ns, j) for j in earlier)
        return Frame(
            scan=scan,
            world_from_lidar=pose,
            sweeps=sweeps,
            sweeps_world_from_lidar=tuple(sequence.trajectory.pose(sweep.stamp_ns) for sweep in sweeps),
            images=images,
            world_from_camera={name: pose @ sequence.cameras[name][1].inverse() for name in images},
            labels=self._labels(sequence, i, len(scan.xyz)),
        )

    def mounting(self, index: int) -> Mapping[str, SE3]:
        cameras = self._frames[range(len(self))[index]][0].cameras
        return {LIDAR_FRAME: SE3.identity(), **{name: pose.inverse() for name, (_, pose) in cameras.items()}}

    def _labels(self, sequence: _Sequence, index: int, points: int) -> SemanticLabels | None:
        if self.label_set is None or not sequence.labelled:
            return None
        path = sequence.folder / "labels" / f"{sequence.scans[index].stem}.label"
        raw = read_class_ids(path, "<u4", points) & 0xFFFF  # The upper half numbers the object.
        return SemanticLabels(class_id=self.label_set.from_raw(raw))


def _scan(scans: Sequence[Path], stamps_ns: np.ndarray, index: int) -> LidarScan:
    points = read_points(scans[index], 4)
    return LidarScan(
        xyz=np.ascontiguousarray(points[:, :3]),
        intensity=np.ascontiguousarray(points[:, 3]),
        stamp_ns=int(stamps_ns[index]),
        frame_id=LIDAR_FRAME,
    )


def _image(sequence: _Sequence, name: str, index: int) -> CameraImage:
    rgb, encoded = read_image(sequence.folder / name / f"{sequence.scans[index].stem}.png")
    return CameraImage(
        rgb=rgb,
        camera=camera_of(sequence.cameras[name][0], rgb),
        stamp_ns=int(sequence.stamps_ns[index]),
        frame_id=name,
        encoded=encoded,
    )


def _find_sequences(root: Path, wanted: Sequence[str] | None) -> list[Path]:
    folders = [f for f in (root / "sequences", root / "dataset" / "sequences") if f.is_dir()]
    if not folders:
        raise DataError(f"{root} has no folder `sequences`: not the root of SemanticKITTI?")
    present = {path.name: path for path in sorted(folders[0].iterdir()) if (path / "velodyne").is_dir()}
    if unknown := [name for name in wanted or () if name not in present]:
        raise DataError(f"{folders[0]} has no sequence '{unknown[0]}'; it has {', '.join(present) or 'none'}")
    if not present:
        raise DataError(f"{folders[0]} has no NN/velodyne: not the root of SemanticKITTI?")
    return [present[name] for name in (present if wanted is None else wanted)]


def _read_sequence(
    folder: Path, wanted_cameras: Sequence[str] | None, ego_motion: str | None, progress: Progress
) -> _Sequence:
    scans = sort_numbered(folder / "velodyne", ".bin")
    calibration_path = folder / "calib.txt"
    present = sorted(path.name for path in folder.glob("image_?") if path.is_dir())
    names = present if wanted_cameras is None else wanted_cameras
    if unknown := [name for name in names if name not in present]:
        raise DataError(f"{folder} has no camera '{unknown[0]}'; it has {', '.join(present) or 'none'}")
    stamps_ns = _stamps(folder, len(scans))
    trajectory, notes = find_motion(
        ego_motion,
        partial(_recorded_motion, folder, stamps_ns),
        partial(motion_from_scans, partial(_scan, scans, stamps_ns), len(scans), progress=progress),
        lack=f"sequence {folder.name} has no poses.txt",
    )
    return _Sequence(
        folder=folder,
        scans=scans,
        stamps_ns=stamps_ns,
        trajectory=trajectory,
        notes=notes,
        cameras={name: _calibration(calibration_path, name) for name in names},
        labelled=(folder / "labels").is_dir(),
    )


def _calibration(path: Path, camera: str) -> tuple[np.ndarray, SE3]:
    """K and `camera_from_lidar` = [I | t] Tr, where P = K [I | t]."""
    calibration = read_calibration(path)
    projection = matrix_of(calibration, camera.replace("image_", "P"), (3, 4), path)
    matrix, camera_from_camera_0 = split_projection(projection)
    return matrix, camera_from_camera_0 @ rigid(matrix_of(calibration, "Tr", (3, 4), path))


def _recorded_motion(folder: Path, stamps_ns: np.ndarray) -> Trajectory | None:
    """poses.txt has `world_from_camera_0`; Tr is `camera_0_from_lidar`, and so it also turns the world."""
    path, calibration_path = folder / "poses.txt", folder / "calib.txt"
    if not path.is_file():
        return None
    camera_from_lidar = rigid(matrix_of(read_calibration(calibration_path), "Tr", (3, 4), calibration_path))
    lidar_from_camera = camera_from_lidar.inverse()
    poses = [lidar_from_camera @ pose @ camera_from_lidar for pose in read_poses(path, len(stamps_ns))]
    return Trajectory.from_poses(stamps_ns.tolist(), poses)


def _stamps(folder: Path, count: int) -> np.ndarray:
    """(count,) int64 from times.txt, seconds since the first scan; at 10 Hz where it is absent."""
    path = folder / "times.txt"
    if not path.is_file():
        return regular_stamps(count)
    seconds = read_numbers(path, 1)[:, 0]
    if len(seconds) != count:
        raise DataError(f"{path} has {len(seconds)} times but there are {count} scans")
    return START_NS + np.rint(seconds * 1e9).astype(np.int64)
