"""Simulated sweeps from files, to train on: single scans without poses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clip2scene_core.errors import DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation.sweeps import count_sweeps, read_sweeps
from clip2scene_core.types import Frame


class SweepFiles:
    """A FrameSource over a folder that `clip2scene simulate` wrote."""

    camera_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ("sweeps stand alone: no poses, no images",)

    def __init__(self, folder: Path | str) -> None:
        """Raises DataError where `folder` has no sweeps."""
        self.label_set = LabelSet.named("town")
        paths = sorted(Path(folder).glob("town_*.npz"))
        self._places = [(path, index) for path in paths for index in range(count_sweeps(path))]
        if not self._places:
            raise DataError(f"{folder} has no town_*.npz; write some with: clip2scene simulate {folder}")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Frame:
        path, number = self._places[index]
        sweep = read_sweeps(path)[number]
        return Frame(scan=sweep.scan, world_from_lidar=SE3.identity(), labels=sweep.labels)

    def mounting(self, index: int) -> Mapping[str, SE3]:
        return {self[index].scan.frame_id: SE3.identity()}
