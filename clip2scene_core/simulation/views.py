"""Pictures of towns from anywhere in their streets, with the class of every pixel, in one file per town."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy.spatial.transform import Rotation

from clip2scene_core.errors import DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.camera import Weather, pinhole, render
from clip2scene_core.simulation.drive import clear_of, mounted_camera
from clip2scene_core.simulation.sampling import random_place, short_way
from clip2scene_core.simulation.town import Town
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
        tilt = Rotation.from_euler("zx", rng.normal(0.0, np.deg2rad((1.5, 3.0)))).as_matrix()
        base_from_camera = mounted_camera(rng.uniform(-180, 180), rng.uniform(1.0, 2.4))
        rendering = render(
            scene.keeping(clear_of(town.actors, ego, np.array([stamp_ns]))),
            pinhole(*size, rng.uniform(55.0, 110.0)),
            ego.pose(stamp_ns) @ base_from_camera @ SE3.from_rotation_translation(tilt, np.zeros(3)),
            stamp_ns,
            Weather.random(rng),
        )
        yield StreetView(rgb=rendering.image.rgb, class_id=rendering.class_id)


def write_views(
    folder: Path,
    seeds: Sequence[int],
    *,
    views: int = 12,
    size: tuple[int, int] = (400, 225),
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write `views_<seed>.npz` with `views` pictures for each seed, skipping the files that exist."""
    for done, seed in enumerate(seeds, start=1):
        path = folder / f"views_{seed:06d}.npz"
        if not path.exists():
            pictures = list(random_views(seed, views, size=size))
            with whole_file(path) as temporary:
                np.savez(
                    temporary,
                    rgb=np.stack([each.rgb for each in pictures]),
                    class_id=np.stack([each.class_id for each in pictures]),
                )
        if progress is not None:
            progress(done)


def read_views(path: Path) -> list[StreetView]:
    """The pictures of one file; raises DataError where it is not one that write_views made."""
    try:
        with np.load(path, allow_pickle=False) as content:
            columns = content["rgb"], content["class_id"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DataError(
            f"{path} is no file of simulated views ({error}); delete it to write it anew"
        ) from error
    return [StreetView(rgb=rgb, class_id=class_id) for rgb, class_id in zip(*columns, strict=True)]
