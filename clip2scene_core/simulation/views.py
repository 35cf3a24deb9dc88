"""Pictures of towns from anywhere in their streets, with the class of every pixel, in one file per town."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from clip2scene_core.geometry import SE3
from clip2scene_core.parallel import spread
from clip2scene_core.progress import silent
from clip2scene_core.simulation.camera import pinhole, render
from clip2scene_core.simulation.drive import clear_of
from clip2scene_core.simulation.optics import Optics
from clip2scene_core.simulation.rigs import OPTICAL_AXES
from clip2scene_core.simulation.sampling import random_place, short_way
from clip2scene_core.simulation.sweeps import read_columns, town_name
from clip2scene_core.simulation.town import Town
from clip2scene_core.simulation.weather import Weather
from clip2scene_core.writing import whole_file

SKY = "sky"
"""What pixels of class 0 show."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreetView:
    """A picture, and what is on it."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    class_id: np.ndarray
    """(H, W) uint8, ids of the label set `town`; 0 for the sky."""


def random_views(seed: int, count: int, *, size: tuple[int, int] = (400, 225)) -> Iterator[StreetView]:
    """`count` pictures of `size` (width, height) of one town, each with another place, camera and weather."""
    town = Town.generate(seed)
    scene = town.scene()
    for index in range(count):
        rng = np.random.default_rng([seed, 4, index])
        xy, heading = random_place(town, rng)
        start_s = rng.uniform(1.0, town.duration_s - 2.0)
        ego = short_way(town, xy, heading, 0.0, 0.0, start_s)
        stamp_ns = int(start_s * 1e9)
        turn = Rotation.from_euler(
            "ZYX", (rng.uniform(-180, 180), *rng.normal(0.0, (3.0, 1.5))), degrees=True
        )
        base_from_camera = SE3.from_rotation_translation(
            turn.as_matrix() @ OPTICAL_AXES, np.array([0.0, 0.0, rng.uniform(1.0, 2.4)])
        )
        rendering = render(
            scene.keeping(clear_of(town.actors, ego, np.array([stamp_ns]))),
            pinhole(*size, rng.uniform(55.0, 110.0)),
            ego.pose(stamp_ns) @ base_from_camera,
            stamp_ns,
            Weather.random(rng),
            optics=Optics.random(rng),
            rng=rng,
        )
        yield StreetView(rgb=rendering.image.rgb, class_id=rendering.class_id)


def write_views(
    folder: Path,
    seeds: Sequence[int],
    *,
    views: int = 12,
    size: tuple[int, int] = (400, 225),
    workers: int = 1,
    progress: Callable[[int], object] = silent,
) -> None:
    """Write `town_<seed>_views.npz` with `views` pictures for each seed, leaving the files that exist.

    `progress` is told the towns done.
    """
    spread(partial(_write_town, folder, views, size), seeds, workers=workers, progress=progress)


def _write_town(folder: Path, count: int, size: tuple[int, int], seed: int, done: Callable[[], None]) -> None:
    path = folder / f"{town_name(seed)}_views.npz"
    if not path.exists():
        views = list(random_views(seed, count, size=size))
        with whole_file(path) as temporary:
            np.savez(
                temporary,
                rgb=np.stack([view.rgb for view in views]),
                class_id=np.stack([view.class_id for view in views]),
            )
    done()


def read_views(path: Path) -> list[StreetView]:
    """The pictures of one file; raises DataError where it is not one that write_views made."""
    columns = read_columns(path, ("rgb", "class_id"), "views")
    return [StreetView(rgb=rgb, class_id=class_id) for rgb, class_id in zip(*columns.values(), strict=True)]
