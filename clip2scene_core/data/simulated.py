"""Drives through the simulated town as a source of frames with exact ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clip2scene_core.errors import ConfigError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation.drive import SimulatedDrive
from clip2scene_core.simulation.rigs import parse_size
from clip2scene_core.types import Frame, LidarScan, SemanticLabels


class DriveSource:
    """A FrameSource over one SimulatedDrive; labels are of the set `town`."""

    notes: tuple[str, ...] = ("simulated: no real recording",)

    def __init__(self, drive: SimulatedDrive, *, sweeps: int = 0, images_every: int = 1) -> None:
        """`sweeps` is how many earlier scans come with each; the last of each `images_every` has images."""
        self._drive = drive
        self._sweeps = sweeps
        self._images_every = images_every
        self._recent: dict[int, tuple[LidarScan, SemanticLabels]] = {}
        self.label_set = LabelSet.named("town")
        self.camera_names = tuple(drive.rig.cameras)

    def __len__(self) -> int:
        return self._drive.frames

    def __getitem__(self, index: int) -> Frame:
        index = range(len(self))[index]
        earlier = range(index - 1, max(index - 1 - self._sweeps, -1), -1)
        scan, labels = self._scan(index)
        seeing = self.camera_names if (index + 1) % self._images_every == 0 else ()
        images = {name: self._drive.rendering(index, name).image for name in seeing}
        return Frame(
            scan=scan,
            world_from_lidar=self._drive.world_from_lidar(index),
            sweeps=tuple(self._scan(i)[0] for i in earlier),
            sweeps_world_from_lidar=tuple(self._drive.world_from_lidar(i) for i in earlier),
            images=images,
            world_from_camera={name: self._drive.world_from_camera(index, name) for name in images},
            labels=labels,
        )

    def mounting(self, index: int) -> Mapping[str, SE3]:
        """`base_from_sensor` by frame id; the same for all frames."""
        rig = self._drive.rig
        cameras = {f"camera_{name}": mounted.base_from_camera for name, mounted in rig.cameras.items()}
        return {"lidar": rig.base_from_lidar, **cameras}

    def _scan(self, index: int) -> tuple[LidarScan, SemanticLabels]:
        """A scan with its labels; the last ones are kept, since the next frames ask for them again."""
        if index not in self._recent:
            while len(self._recent) > self._sweeps:
                del self._recent[next(iter(self._recent))]
            self._recent[index] = self._drive.scan(index)
        return self._recent[index]


class SimulatedSource:
    """A FrameSource over drives of consecutive seeds, one after the other.

    A town takes seconds to build and the last one is kept: frames are best read in order. For training, which
    jumps, write the drives first: `clip2scene simulate OUT --as nuscenes`.
    """

    notes = DriveSource.notes

    def __init__(
        self,
        *,
        seed: int = 0,
        drives: int = 1,
        frames: int = 100,
        lidar: str | None = None,
        cameras: str = "1",
        size: str | None = None,
        lens: str = "pinhole",
        sweeps: int = 0,
        style: str | None = None,
        compensated: bool = True,
    ) -> None:
        """Seeds are `seed` and the `drives` - 1 after it; each of the `frames` of a drive comes with `sweeps`
        earlier scans.

        `lidar`, `cameras` and `lens` are those of rigs.make_rig, `size` is a text such as 400x225; `style` is
        a name of STYLES, None for any. `compensated` scans are corrected for the motion during the sweep,
        others are as a driver gives them. Raises ConfigError where a setting is impossible.
        """
        if drives < 1:
            raise ConfigError(f"drives must be at least 1, got {drives}")
        self._seeds = range(seed, seed + drives)
        self._sweeps = sweeps
        self._settings: dict[str, Any] = {
            "frames": frames,
            "lidar": lidar,
            "cameras": cameras,
            "image_size": parse_size(size) if size else None,
            "lens": lens,
            "style": style,
            "compensated": compensated,
        }
        self._latest: tuple[int, DriveSource] | None = None
        self._frames = frames
        first = self._drive(seed)
        self.label_set = first.label_set
        self.camera_names = first.camera_names

    def __getstate__(self) -> dict[str, Any]:
        """The town stays in the process that built it: what traces rays in it cannot be sent."""
        return self.__dict__ | {"_latest": None}

    def __len__(self) -> int:
        return len(self._seeds) * self._frames

    def __getitem__(self, index: int) -> Frame:
        number, frame = divmod(range(len(self))[index], self._frames)
        return self._drive(self._seeds[number])[frame]

    def mounting(self, index: int) -> Mapping[str, SE3]:
        """`base_from_sensor` by frame id; the same for all frames of a drive."""
        number, frame = divmod(range(len(self))[index], self._frames)
        return self._drive(self._seeds[number]).mounting(frame)

    def _drive(self, seed: int) -> DriveSource:
        if self._latest is None or self._latest[0] != seed:
            self._latest = None  # two towns need not be held at once
            drive = SimulatedDrive(seed, **self._settings)
            self._latest = seed, DriveSource(drive, sweeps=self._sweeps)
        return self._latest[1]
