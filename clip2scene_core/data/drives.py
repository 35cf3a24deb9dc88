"""Many simulated drives as files: bags, or scenes of one data set in nuScenes' format.

A drive is there when it is whole; one that was interrupted is begun anew, with the same result.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from clip2scene_core.data import nuscenes_writer
from clip2scene_core.data.bag_writer import write_bag
from clip2scene_core.data.files import read_json
from clip2scene_core.data.simulated import DriveSource
from clip2scene_core.errors import DataError
from clip2scene_core.locking import only_writer
from clip2scene_core.parallel import spread
from clip2scene_core.progress import Progress, silent
from clip2scene_core.simulation.drive import SimulatedDrive
from clip2scene_core.simulation.rigs import Rig, make_rig
from clip2scene_core.simulation.sweeps import town_name
from clip2scene_core.writing import write_json

RECORD = "drives.json"
"""File of the settings that all drives of a folder share."""

Settings = Mapping[str, Any]
"""`frames`, `lidar`, `cameras`, `image_size`, `lens` and `style` of SimulatedDrive."""


def write_bags(
    folder: Path,
    seeds: Sequence[int],
    settings: Settings,
    *,
    images_every: int = 1,
    workers: int = 1,
    progress: Progress = silent,
) -> None:
    """Writes the bag folder/town_SEED, with images, truth and TF, for each seed; those that exist are left.

    `frames` of the settings are scans; the last of each `images_every` has images. `progress` is told the
    frames done of those that were missing. Raises ConfigError for settings that are not possible, DataError
    where the folder has drives with others.
    """
    _rig(settings, seeds[0])
    with _alike(folder, {"as": "bag", **settings, "images_every": images_every}):
        missing = [seed for seed in seeds if not (folder / town_name(seed)).exists()]
        progress(0, total=len(missing) * settings["frames"], text=_there(seeds, missing))
        write = partial(_write_bag, folder, settings, images_every)
        spread(write, missing, workers=workers, progress=progress)


def write_nuscenes(
    folder: Path, seeds: Sequence[int], settings: Settings, *, workers: int = 1, progress: Progress = silent
) -> None:
    """Adds the scene town_SEED for each seed to the data set `folder`, see nuscenes_writer.

    `frames` of the settings are keyframes. Otherwise as `write_bags`.
    """
    nuscenes_writer.check_writable(_rig(settings, seeds[0]))
    scenes = folder / nuscenes_writer.SCENES
    with _alike(folder, {"as": "nuscenes", **settings}):
        missing = [seed for seed in seeds if not (scenes / town_name(seed)).exists()]
        progress(0, total=len(missing) * settings["frames"], text=_there(seeds, missing))
        try:
            spread(partial(_write_scene, folder, settings), missing, workers=workers, progress=progress)
        finally:
            nuscenes_writer.publish(folder)


def _write_bag(
    folder: Path, settings: Settings, images_every: int, seed: int, done: Callable[[], None]
) -> None:
    source = DriveSource(SimulatedDrive(seed, **settings, compensated=True), images_every=images_every)
    write_bag(source, folder / town_name(seed), progress=lambda _: done())


def _write_scene(folder: Path, settings: Settings, seed: int, done: Callable[[], None]) -> None:
    stride = nuscenes_writer.scans_between_keyframes(_rig(settings, seed).lidar)
    scans = (settings["frames"] - 1) * stride + 1
    drive = SimulatedDrive(seed, **{**settings, "frames": scans}, compensated=True)
    nuscenes_writer.write_scene(folder, drive, town_name(seed), done=done)


def _rig(settings: Settings, seed: int) -> Rig:
    """Of the drive of a seed; made before the town, which takes seconds, it says what is not possible."""
    return make_rig(
        settings["cameras"],
        seed,
        lidar=settings["lidar"],
        size=settings["image_size"],
        lens=settings["lens"],
    )


@contextmanager
def _alike(folder: Path, settings: Settings) -> Iterator[None]:
    """Keeps others from writing to `folder`, and drives with other settings out of it.

    Removes what killed processes have left there.
    """
    wanted = json.loads(json.dumps(settings))
    with only_writer(folder):
        places, path = (folder, folder / nuscenes_writer.SCENES), folder / RECORD
        has_drives = any(any(place.glob("town_*")) for place in places)
        kept = {"images_every": 1, **read_json(path)} if has_drives and path.exists() else wanted
        for name, value in wanted.items():
            if kept.get(name) != value:
                raise DataError(
                    f"{folder} holds drives with {name} {kept.get(name)}, got {value}; name another folder"
                )
        write_json(path, wanted)
        for unfinished in [left for place in places for left in place.glob(".town_*")]:
            shutil.rmtree(unfinished)
        yield


def _there(seeds: Sequence[int], missing: Sequence[int]) -> str:
    there = len(seeds) - len(missing)
    return f"{there} of {len(seeds)} drives were there" if there else ""
