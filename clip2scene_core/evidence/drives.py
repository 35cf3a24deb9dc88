"""The drives of the evidence: bags with the exact class of every point, read frame by frame.

Frames are a stride of scans apart, so that they differ; the scans between have no images and are sweeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clip2scene_core.config import DrivesConfig
from clip2scene_core.data.drives import write_bags
from clip2scene_core.data.open import open_source
from clip2scene_core.data.source import FrameSource, SomeFrames
from clip2scene_core.progress import Progress, silent
from clip2scene_core.simulation.rigs import parse_size
from clip2scene_core.simulation.sweeps import town_name

TRAINING, HELD_OUT = "training", "held_out"


def seeds_of(config: DrivesConfig, part: str) -> range:
    """The towns of the drives that are learnt from, or held out."""
    first, count = (
        (config.training_seed, config.training)
        if part == TRAINING
        else (config.held_out_seed, config.held_out)
    )
    return range(first, first + count)


def write_drives(
    config: DrivesConfig, folder: Path, part: str, *, workers: int = 1, progress: Progress = silent
) -> None:
    """Writes those of `part` that are not there yet into `folder`/`part`; see write_bags."""
    write_bags(
        folder / part,
        seeds_of(config, part),
        _settings(config),
        images_every=config.stride,
        workers=workers,
        progress=progress,
    )


def open_drives(config: DrivesConfig, folder: Path, part: str, *, sweeps: int = 0) -> FrameSource:
    """All frames of `part`, each with up to `sweeps` scans before it; raises DataError where one is missing.

    The first frame of a drive has `stride` - 1 scans before it.
    """
    bags = [folder / part / town_name(seed) for seed in seeds_of(config, part)]
    scans = open_source("rosbag", bags, sweeps=sweeps)
    return SomeFrames(scans, range(config.stride - 1, len(scans), config.stride))


def recording_name(config: DrivesConfig, part: str) -> str:
    """What determines the images of each frame, for features that are kept."""
    seeds = seeds_of(config, part)
    settings = {**_settings(config), "stride": config.stride}
    return f"towns {seeds[0]} to {seeds[-1]}, " + ", ".join(f"{k} {v}" for k, v in settings.items())


def _settings(config: DrivesConfig) -> Mapping[str, Any]:
    return {
        "frames": config.frames * config.stride,
        "lidar": config.lidar,
        "cameras": config.cameras,
        "image_size": parse_size(config.size),
        "lens": "pinhole",
        "style": config.style or None,
    }
