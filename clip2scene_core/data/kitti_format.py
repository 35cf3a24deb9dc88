"""What KITTI raw and KITTI odometry (SemanticKITTI) share: calibration, projections, poses, motion, times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from clip2scene_core.cameras import Camera
from clip2scene_core.data.files import read_numbers, read_text
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.trajectory import Trajectory

PERIOD_NS = 100_000_000
"""KITTI's LiDAR turns at 10 Hz."""

START_NS = 1_000_000_000
"""Stamp of the first scan of a recording without times: not 0, which means `latest` to TF."""


def read_calibration(path: Path) -> dict[str, np.ndarray]:
    """The numbers behind each `key:` of a calibration file; lines that are not numbers are left out."""
    values = {}
    for line in read_text(path).splitlines():
        key, _, text = line.partition(":")
        try:
            values[key.strip()] = np.array(text.split(), np.float64)
        except ValueError:
            continue  # Dates and the like.
    return values


def matrix_of(calibration: dict[str, np.ndarray], key: str, shape: tuple[int, int], path: Path) -> np.ndarray:
    """The matrix under `key`. Raises DataError where it is absent or of another size."""
    if key not in calibration:
        raise DataError(f"{path} has no entry '{key}'; it has {', '.join(calibration) or 'none'}")
    if calibration[key].size != shape[0] * shape[1]:
        raise DataError(
            f"{path}: '{key}' must have {shape[0] * shape[1]} numbers, got {calibration[key].size}"
        )
    return calibration[key].reshape(shape)


def rigid(matrix: np.ndarray) -> SE3:
    """From the upper three rows (3, 4) of a homogeneous matrix."""
    return SE3(np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]]))


def split_projection(projection: np.ndarray) -> tuple[np.ndarray, SE3]:
    """K (3, 3) and `camera_from_rectified` of P = K [I | t], (3, 4)."""
    matrix = projection[:, :3]
    translation = np.linalg.solve(matrix, projection[:, 3])
    return matrix, SE3.from_rotation_translation(np.eye(3), translation)


def camera_of(matrix: np.ndarray, rgb: np.ndarray) -> Camera:
    """KITTI's images are rectified."""
    return Camera(width=rgb.shape[1], height=rgb.shape[0], matrix=matrix)


def read_poses(path: Path, count: int) -> list[SE3]:
    """One pose a line, twelve numbers each, for each of `count` scans."""
    rows = read_numbers(path, 12)
    if len(rows) != count:
        raise DataError(f"{path} has {len(rows)} poses but there are {count} scans")
    return [rigid(row.reshape(3, 4)) for row in rows]


def find_motion(
    wanted: str | None,
    recorded: Callable[[], Trajectory | None],
    from_scans: Callable[..., tuple[Trajectory, str]],
    *,
    lack: str,
) -> tuple[Trajectory, tuple[str, ...]]:
    """`world_from_lidar` as an `ego_motion` of recorded, kiss-icp or none says, and notes for the user.

    None is what was recorded, else KISS-ICP. `lack` says what is missing where `recorded` gives None;
    `from_scans` is motion_from_scans, still to be told `because` and `wanted`. Raises ConfigError for another
    `wanted`, DataError where `recorded` is wanted and is not there, and what motion_from_scans raises.
    """
    if wanted not in (None, "recorded", "kiss-icp", "none"):
        raise ConfigError(f"ego_motion must be recorded, kiss-icp or none, got '{wanted}'")
    if wanted == "none":
        return Trajectory.standing(SE3.identity()), ("as asked for, all scans have the same pose",)
    if wanted == "kiss-icp":
        motion, note = from_scans(because="as asked for", wanted=True)
        return motion, (note,)
    if (known := recorded()) is not None:
        return known, ()
    if wanted == "recorded":
        raise DataError(f"{lack}; choose another ego_motion")
    motion, note = from_scans(because=lack, wanted=False)
    return motion, (note,)


def regular_stamps(count: int) -> np.ndarray:
    """(count,) int64 stamps at 10 Hz for a recording that has no times."""
    return START_NS + PERIOD_NS * np.arange(count, dtype=np.int64)


def sort_numbered(folder: Path, suffix: str) -> list[Path]:
    """The files of a folder whose names are frame numbers, in order. Raises DataError for none."""
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist: not the root of a KITTI recording?")
    files = sorted(path for path in folder.iterdir() if path.suffix == suffix and path.stem.isdigit())
    if not files:
        raise DataError(f"{folder} has no numbered {suffix} files")
    return files
