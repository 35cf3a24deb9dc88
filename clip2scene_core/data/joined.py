"""Several recordings as one source of frames."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from clip2scene_core.data.source import FrameSource, tells_motion
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import Frame


class JoinedDrives:
    """A FrameSource of recordings one behind the other; frames are counted through.

    Each drive keeps its own times, poses, mountings and cameras; earlier sweeps of a frame are of its drive.
    """

    def __init__(self, drives: Mapping[str, FrameSource]) -> None:
        """`drives` by the name that notes give them. Labels of different label sets are left out."""
        self._drives = tuple(drives.values())
        self._ends = tuple(accumulate(len(drive) for drive in self._drives))
        self.camera_names = tuple(
            dict.fromkeys(name for drive in self._drives for name in drive.camera_names)
        )
        self.moves = all(tells_motion(drive) for drive in self._drives)
        self.label_set, self.notes = _common_label_set(self._drives), _joined_notes(drives)
        if self.label_set is None and any(drive.label_set for drive in self._drives):
            self.notes += ("the recordings are labelled with different label sets, so labels are left out",)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Frame:
        drive, number = self._place(index)
        frame = drive[number]
        return frame if self.label_set else replace(frame, labels=None)

    def mounting(self, index: int) -> Mapping[str, SE3]:
        drive, number = self._place(index)
        return drive.mounting(number)

    def _place(self, index: int) -> tuple[FrameSource, int]:
        """A drive, and the number of the frame in it."""
        index = range(len(self))[index]
        which = bisect_right(self._ends, index)
        return self._drives[which], index - (self._ends[which - 1] if which else 0)


def short_names(paths: Sequence[Path]) -> dict[str, Path]:
    """By the last parts of each path, as many as tell them apart; paths have to differ."""
    whole = [path.resolve() for path in paths]
    for count in range(1, max(len(path.parts) for path in whole)):
        names = [Path(*path.parts[-count:]).as_posix() for path in whole]
        if len(set(names)) == len(paths):
            return dict(zip(names, paths, strict=True))
    return dict(zip(map(str, whole), paths, strict=True))


def _common_label_set(drives: Sequence[FrameSource]) -> LabelSet | None:
    """That of all drives that have one."""
    found = [drive.label_set for drive in drives if drive.label_set]
    return found[0] if found and all(other == found[0] for other in found) else None


def _joined_notes(drives: Mapping[str, FrameSource]) -> tuple[str, ...]:
    """What holds for all drives once, the rest with the name of its drive."""
    common = set.intersection(*(set(drive.notes) for drive in drives.values()))
    each = (
        note if note in common else f"{name}: {note}"
        for name, drive in drives.items()
        for note in drive.notes
    )
    return tuple(dict.fromkeys(each))
