"""ScanNet's .sens files, version 4: the RGB-D frames of one scan, packed.

Little-endian: u32 version, u64 length and letters of the sensor's name; intrinsics and extrinsics of the
colour camera, then of the depth camera, float32 (4, 4) each; i32 compression of colours and of depths; u32
width and height of colours, then of depths; float32 units of depth a metre; u64 number of frames. A frame is
float32 (4, 4) world_from_camera, u64 times of colours and of depths, u64 bytes of colours and of depths, and
these bytes. What the inertial sensor measured follows and is not read.
"""

from __future__ import annotations

import os
import zlib
from functools import partial
from pathlib import Path
from struct import Struct
from typing import BinaryIO

import numpy as np

from clip2scene_core.cameras import Camera
from clip2scene_core.data.files import decode_image, opened
from clip2scene_core.data.rgbd import RgbdFrame, camera_of, metres
from clip2scene_core.errors import DataError

START = Struct("<IQ")
HEADER = Struct("<64f2i4IfQ")
FRAME = Struct("<16f4Q")
VERSION = 4
PNG, JPEG = 1, 2
RAW_DEPTH, ZLIB_DEPTH = 0, 1


class SensFile:
    """The frames of one file; see RgbdFrames."""

    def __init__(self, path: Path) -> None:
        """Reads what stands before each frame. Raises DataError where the file ends early or is another."""
        self._path = path
        with opened(path) as file:
            self._size = os.fstat(file.fileno()).st_size
            version, letters = self._unpack(file, START)
            if version != VERSION:
                raise DataError(f"{path} is no .sens file of version {VERSION}: it starts with {version}")
            self._skip(file, letters)
            *matrices, colours, depths, width, height, depth_width, depth_height, shift, count = self._unpack(
                file, HEADER
            )
            if colours not in (PNG, JPEG) or depths not in (RAW_DEPTH, ZLIB_DEPTH) or not shift > 0:
                raise DataError(
                    f"{path} has colours of kind {colours} and depths of kind {depths}, {shift:g} a metre; "
                    f"known are {PNG} (PNG) and {JPEG} (JPEG), {RAW_DEPTH} (raw) and {ZLIB_DEPTH} (zlib)"
                )
            self._starts = self._index(file, count)
        # The extrinsics do not count: depths are given as the colour camera sees them.
        colour, _, depth, _ = np.array(matrices).reshape(4, 4, 4)[:, :3, :3]
        self._colour_camera = camera_of(colour, width, height, path)
        self._depth_camera = camera_of(depth, depth_width, depth_height, path)
        self._compressed = depths == ZLIB_DEPTH
        self._units_a_metre = shift

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> RgbdFrame:
        with opened(self._path) as file:
            file.seek(self._starts[index])
            *pose, _, _, rgb_size, depth_size = self._unpack(file, FRAME)
            start = file.tell()
        name = f"{self._path} frame {range(len(self))[index]}"
        return RgbdFrame(
            world_from_camera=np.array(pose).reshape(4, 4),
            colour_camera=self._colour_camera,
            depth_camera=self._depth_camera,
            read_rgb=partial(_read_rgb, self._path, start, rgb_size, name),
            read_depth_m=partial(
                _read_depth_m,
                self._path,
                start + rgb_size,
                depth_size,
                name,
                camera=self._depth_camera,
                compressed=self._compressed,
                units_a_metre=self._units_a_metre,
            ),
        )

    def _index(self, file: BinaryIO, count: int) -> list[int]:
        """Where each frame starts."""
        starts: list[int] = []
        for _ in range(count):
            starts.append(file.tell())
            *_, rgb_size, depth_size = self._unpack(file, FRAME)
            self._skip(file, rgb_size + depth_size)
        return starts

    def _unpack(self, file: BinaryIO, layout: Struct) -> tuple:
        data = file.read(layout.size)
        if len(data) < layout.size:
            raise self._ends_early()
        return layout.unpack(data)

    def _skip(self, file: BinaryIO, count: int) -> None:
        if count > self._size - file.tell():
            raise self._ends_early()
        file.seek(count, os.SEEK_CUR)

    def _ends_early(self) -> DataError:
        return DataError(f"{self._path} ends before its last frame: not wholly copied?")


def _read(path: Path, start: int, size: int) -> bytes:
    with opened(path) as file:
        file.seek(start)
        return file.read(size)


def _read_rgb(path: Path, start: int, size: int, name: str) -> tuple[np.ndarray, bytes | None]:
    return decode_image(_read(path, start, size), name)


def _read_depth_m(
    path: Path, start: int, size: int, name: str, *, camera: Camera, compressed: bool, units_a_metre: float
) -> np.ndarray:
    data, expected = _read(path, start, size), 2 * camera.width * camera.height
    if compressed:
        try:
            data = zlib.decompressobj().decompress(data, expected + 1)
        except zlib.error as error:
            raise DataError(f"{name} has damaged depths: {error}") from error
    if len(data) != expected:
        raise DataError(f"{name} does not hold {camera.width} x {camera.height} depths of 16 bits")
    return metres(np.frombuffer(data, "<u2").reshape(camera.height, camera.width), units_a_metre)
