"""What every recording looks like to the rest of the project: a sequence of frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import Frame


class FrameSource(Protocol):
    """The frames of one or several drives, each drive in the order of time."""

    @property
    def label_set(self) -> LabelSet | None:
        """The vocabulary of `Frame.labels`; None where the recording has no ground truth."""
        ...

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Keys that `Frame.images` may have."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """One line each: what a user should know about this recording, such as missing ego motion."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame:
        """Frame `index`, read now. Raises IndexError past the end, DataError where a file is bad."""
        ...

    def mounting(self, index: int) -> Mapping[str, SE3]:
        """`base_from_sensor` by frame id (scan and images) for frame `index`: the vehicle's calibration."""
        ...


def tells_motion(source: FrameSource) -> bool:
    """Whether poses of different scans tell how the LiDAR moved, so that sweeps can be registered.

    Sources that may lack ego motion say so by an attribute `moves`; all others have it.
    """
    return bool(getattr(source, "moves", True))


class SomeFrames:
    """Some frames of another source, in a row or each so-manyth."""

    def __init__(self, source: FrameSource, chosen: range) -> None:
        """`chosen` are indices of frames that the source has."""
        self._source = source
        self._chosen = chosen
        self.label_set = source.label_set
        self.camera_names = source.camera_names
        self.notes = source.notes
        self.moves = tells_motion(source)

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> Frame:
        return self._source[self._chosen[index]]

    def mounting(self, index: int) -> Mapping[str, SE3]:
        return self._source.mounting(self._chosen[index])


def first_frames(source: FrameSource, count: int) -> FrameSource:
    """The first `count` frames of a source, or all of it where it has no more or `count` is 0."""
    return SomeFrames(source, range(count)) if 0 < count < len(source) else source
