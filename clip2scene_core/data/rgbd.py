"""RGB-D frames: a picture, the depth of what it shows, and where the camera was.

Shapes: H x W pixels of the picture, H' x W' pixels of the depths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from clip2scene_core.cameras import Camera, resized
from clip2scene_core.data.files import read_depth, read_image, read_numbers
from clip2scene_core.errors import CalibrationError, DataError

PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RgbdFrame:
    """What a colour and a depth camera in one place saw at one time."""

    world_from_camera: np.ndarray
    """(4, 4) float64, metres; not finite where the pose is unknown."""
    colour_camera: Camera
    depth_camera: Camera
    read_rgb: Callable[[], tuple[np.ndarray, bytes | None]]
    """(H, W, 3) uint8, and the JPEG or PNG that it comes from. Raises DataError where that is damaged."""
    read_depth_m: Callable[[], np.ndarray]
    """(H', W') float32, NaN where nothing was measured. Raises DataError as `read_rgb` does."""


class RgbdFrames(Protocol):
    """The frames of one scan in the order of time."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> RgbdFrame:
        """Raises DataError where the frame has no pose at all."""
        ...


class RgbdFolder:
    """Frames as files: color/N.jpg, depth/N.png in millimetres and pose/N.txt; see RgbdFrames."""

    def __init__(self, path: Path, description: Mapping[str, np.ndarray]) -> None:
        """Intrinsics are those of intrinsic[s]_color.txt and ..._depth.txt, here or in intrinsic[s]/.

        The `description` of a scan says which size they are for (colorWidth, colorHeight, depthWidth,
        depthHeight), since pictures may have been shrunk; without it that is the size of the first one.
        Without intrinsics of its own the depth camera has those of the colour camera, and that has the fx_,
        fy_, mx_ and my_color of the description. Raises DataError where something is missing,
        CalibrationError where intrinsics do not fit their pictures.
        """
        found = (path / "color").iterdir()
        pictures = [file for file in found if file.suffix in PICTURES and file.stem.isdigit()]
        if not pictures:
            raise DataError(f"{path / 'color'} has no numbered pictures")
        self._path = path
        self._pictures = sorted(pictures, key=lambda picture: int(picture.stem))
        height, width, _ = read_image(self._pictures[0])[0].shape
        colour = self._intrinsics("color", description, width, height)
        if colour is None:
            raise DataError(f"{path} has no intrinsic_color.txt, and the description of its scan no fx_color")
        self._colour_camera = colour
        height, width = _read_depth_m(self._depth_path(self._pictures[0])).shape
        depth = self._intrinsics("depth", description, width, height)
        self._depth_camera = resized(colour, width, height) if depth is None else depth

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> RgbdFrame:
        picture = self._pictures[index]
        return RgbdFrame(
            world_from_camera=_read_matrix(self._path / "pose" / f"{picture.stem}.txt"),
            colour_camera=self._colour_camera,
            depth_camera=self._depth_camera,
            read_rgb=partial(read_image, picture),
            read_depth_m=partial(_read_depth_m, self._depth_path(picture)),
        )

    def _depth_path(self, picture: Path) -> Path:
        return self._path / "depth" / f"{picture.stem}.png"

    def _intrinsics(
        self, kind: str, description: Mapping[str, np.ndarray], width: int, height: int
    ) -> Camera | None:
        """Of the camera of pictures of this size; None where nothing is known."""
        patterns = (f"intrinsic*_{kind}.txt", f"intrinsic*/intrinsic*_{kind}.txt")
        file = next((file for pattern in patterns for file in self._path.glob(pattern)), None)
        names = [f"{name}_color" for name in ("fx", "fy", "mx", "my")]
        if file is not None:
            matrix = _read_matrix(file)[:3, :3]
        elif kind == "color" and all(name in description for name in names):
            fx, fy, cx, cy = (description[name][0] for name in names)
            matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        else:
            return None
        camera = camera_of(
            matrix,
            int(description.get(f"{kind}Width", [width])[0]),
            int(description.get(f"{kind}Height", [height])[0]),
            file or self._path,
        )
        return resized(camera, width, height)


def camera_of(matrix: np.ndarray, width: int, height: int, path: Path) -> Camera:
    """Raises CalibrationError, which names the file `path`, where intrinsics are not of such pictures."""
    try:
        camera = Camera(width=width, height=height, matrix=matrix)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    off_x, off_y = matrix[0, 2] - width / 2, matrix[1, 2] - height / 2
    if not (abs(off_x) < width / 4 and abs(off_y) < height / 4):
        raise CalibrationError(
            f"{path}: principal point ({matrix[0, 2]:g}, {matrix[1, 2]:g}) is far from the centre of "
            f"{width} x {height} pixels: intrinsics of another size?"
        )
    return camera


def _read_matrix(path: Path) -> np.ndarray:
    matrix = read_numbers(path, 4)
    if len(matrix) != 4:
        raise DataError(f"{path} has {len(matrix)} lines of 4 numbers, expected 4")
    return matrix


def _read_depth_m(path: Path) -> np.ndarray:
    return metres(read_depth(path), 1000.0)


def metres(depth: np.ndarray, units_a_metre: float) -> np.ndarray:
    """(H', W') float32 from integers, of which 0 stands for nothing measured."""
    return np.where(depth > 0, depth.astype(np.float32) / np.float32(units_a_metre), np.float32(np.nan))
