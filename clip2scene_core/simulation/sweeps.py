"""Files of simulated sweeps to train on, one per town, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from clip2scene_core.errors import DataError
from clip2scene_core.parallel import spread
from clip2scene_core.progress import silent
from clip2scene_core.simulation.sampling import TrainingSweep, random_sweeps
from clip2scene_core.types import LidarScan, SemanticLabels
from clip2scene_core.writing import whole_file

_COLUMNS = ("start", "xyz", "intensity", "ring", "class_id", "sensor_height_m", "lidar")


def town_name(seed: int) -> str:
    """What files of the town of a seed are called."""
    return f"town_{seed:06d}"


def write_sweeps(
    folder: Path,
    seeds: Sequence[int],
    *,
    sweeps: int = 6,
    workers: int = 1,
    progress: Callable[[int], object] = silent,
) -> None:
    """Write `town_<seed>.npz` with `sweeps` sweeps for each seed, leaving the files that exist.

    `progress` is told the towns done.
    """
    spread(partial(_write_town, folder, sweeps), seeds, workers=workers, progress=progress)


def _write_town(folder: Path, count: int, seed: int, done: Callable[[], None]) -> None:
    path = folder / f"{town_name(seed)}.npz"
    if not path.exists():
        _write(path, list(random_sweeps(seed, count)))
    done()


def _write(path: Path, sweeps: list[TrainingSweep]) -> None:
    """Rows of all sweeps one after the other; `start` says where each begins."""
    sizes = [len(s.scan.xyz) for s in sweeps]
    with whole_file(path) as temporary:
        np.savez(
            temporary,
            start=np.cumsum([0, *sizes]),
            xyz=np.concatenate([s.scan.xyz for s in sweeps]),
            intensity=np.concatenate([s.scan.intensity for s in sweeps]).astype(np.float16),
            ring=np.concatenate([s.scan.ring for s in sweeps]).astype(np.uint8),
            class_id=np.concatenate([s.labels.class_id for s in sweeps]).astype(np.uint8),
            sensor_height_m=np.array([s.sensor_height_m for s in sweeps], np.float32),
            lidar=np.array([s.lidar for s in sweeps]),
        )


def read_sweeps(path: Path) -> list[TrainingSweep]:
    """The sweeps of one file; raises DataError where it is not one that write_sweeps made."""
    columns = read_columns(path, _COLUMNS)
    return [_sweep(columns, i) for i in range(len(columns["start"]) - 1)]


def count_sweeps(path: Path) -> int:
    """How many sweeps a file has; raises DataError where it is not one that write_sweeps made."""
    return len(read_columns(path, ("start",))["start"]) - 1


def read_columns(path: Path, names: Sequence[str], what: str = "sweeps") -> dict[str, np.ndarray]:
    """Arrays by name of one file of a town; raises DataError where it is none of simulated `what`."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in names}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DataError(
            f"{path} is no file of simulated {what} ({error}); delete it to write it anew"
        ) from error


def _sweep(columns: dict[str, np.ndarray], index: int) -> TrainingSweep:
    rows = slice(*columns["start"][index : index + 2])
    scan = LidarScan(
        xyz=columns["xyz"][rows],
        intensity=columns["intensity"][rows].astype(np.float32),
        ring=columns["ring"][rows].astype(np.uint16),
        stamp_ns=0,
        frame_id="lidar",
    )
    return TrainingSweep(
        scan=scan,
        labels=SemanticLabels(class_id=columns["class_id"][rows].astype(np.uint16)),
        sensor_height_m=float(columns["sensor_height_m"][index]),
        lidar=str(columns["lidar"][index]),
    )
