"""A drive through the simulated town as a source of frames with exact ground truth."""

from __future__ import annotations

from collections.abc import Mapping

from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation.drive import SimulatedDrive
from clip2scene_core.types import Frame, LidarScan, SemanticLabels


class SimulatedSource:
    """A FrameSource over a SimulatedDrive; labels are of the set `town`."""

    notes: tuple[str, ...] = ("simulated: no real recording",)

    def __init__(
        self,
        *,
        seed: int = 0,
        frames: int = 100,
        lidar: str = "HDL-64E",
        cameras: int = 1,
        sweeps: int = 0,
        style: str | None = None,
        compensated: bool = True,
    ) -> None:
        """`sweeps` is how many earlier scans come with each; `style` is a name of STYLES, None for any.

        `compensated` scans are corrected for the motion during the sweep, others are as a driver gives them.
        Raises ConfigError where a setting is impossible.
        """
        self._drive = SimulatedDrive(
            seed, frames=frames, lidar=lidar, cameras=cameras, style=style, compensated=compensated
        )
        self._sweeps = sweeps
        self._recent: dict[int, tuple[LidarScan, SemanticLabels]] = {}
        self.label_set = LabelSet.named("town")
        self.camera_names = tuple(self._drive.base_from_camera)

    def __len__(self) -> int:
        return self._drive.frames

    def __getitem__(self, index: int) -> Frame:
        index = range(len(self))[index]
        earlier = range(index - 1, max(index - 1 - self._sweeps, -1), -1)
        scan, labels = self._scan(index)
        images = {name: self._drive.rendering(index, name).image for name in self.camera_names}
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
        cameras = {f"camera_{name}": pose for name, pose in self._drive.base_from_camera.items()}
        return {"lidar": self._drive.base_from_lidar, **cameras}

    def _scan(self, index: int) -> tuple[LidarScan, SemanticLabels]:
        """A scan with its labels; the last ones are kept, since the next frames ask for them again."""
        if index not in self._recent:
            while len(self._recent) > self._sweeps:
                del self._recent[next(iter(self._recent))]
            self._recent[index] = self._drive.scan(index)
        return self._recent[index]
