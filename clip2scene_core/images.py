"""Pixels of sensor_msgs Image and CompressedImage as RGB.

Reads any object that has the attributes of the message: rclpy's, rosbags', or a stand-in. H x W pixels.
"""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from PIL import Image

from clip2scene_core.errors import DataError

CHANNELS: dict[str, tuple[int, tuple[int, int, int]]] = {
    "rgb": (3, (0, 1, 2)),
    "rgba": (4, (0, 1, 2)),
    "bgr": (3, (2, 1, 0)),
    "bgra": (4, (2, 1, 0)),
    "mono": (1, (0, 0, 0)),
    "uc1": (1, (0, 0, 0)),
    "uc3": (3, (2, 1, 0)),
    "uc4": (4, (2, 1, 0)),
}
"""How many samples a pixel has, and which of them are red, green and blue; OpenCV's generic types are
taken as BGR, as OpenCV does."""

LUMA_FIRST: dict[str, bool] = {
    "yuv422": False,
    "uyvy": False,
    "yuv422_yuy2": True,
    "yuyv": True,
}
"""4:2:2 encodings; whether a pair of pixels is stored as Y U Y V (True) or U Y V Y (False)."""


def image_rgb(message: Any, *, topic: str = "image") -> np.ndarray:
    """(H, W, 3) uint8 RGB of a sensor_msgs/Image; 16-bit samples keep their high byte.

    Raises DataError, naming `topic`, for an encoding without colours or too few bytes.
    """
    encoding = message.encoding.lower()
    if encoding in LUMA_FIRST:
        return _rgb_of_422(
            _samples(message, 2, np.dtype("u1"), topic), luma_first=LUMA_FIRST[encoding], topic=topic
        )
    kind, bits = _split(encoding)
    dtype = np.dtype("u1" if bits == 8 else ">u2" if message.is_bigendian else "<u2")
    if bits and kind in CHANNELS:
        per_pixel, channels = CHANNELS[kind]
        samples = _to_8_bit(_samples(message, per_pixel, dtype, topic))
        return np.ascontiguousarray(samples[:, :, channels])
    if bits and re.fullmatch("bayer_(rggb|bggr|gbrg|grbg)", kind):
        return _rgb_of_bayer(
            _to_8_bit(_samples(message, 1, dtype, topic))[:, :, 0], kind.removeprefix("bayer_")
        )
    known = ", ".join([*(f"{name}8" for name in list(CHANNELS)[:5]), "8UC3", "bayer_rggb8", *LUMA_FIRST])
    raise DataError(
        f"{topic}: encoding '{message.encoding}' holds no colours; readable are {known} and the like"
    )


def compressed_rgb(message: Any, *, topic: str = "image") -> np.ndarray:
    """(H, W, 3) uint8 RGB of a sensor_msgs/CompressedImage, whose `format` need not be right.

    Raises DataError, naming `topic`, where the bytes are no whole image.
    """
    try:
        with Image.open(io.BytesIO(bytes(message.data))) as image:
            if image.mode.startswith("I"):
                return np.repeat(_to_8_bit(np.asarray(image).astype(np.uint16))[:, :, None], 3, axis=2)
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{topic}: {len(message.data)} bytes of format '{message.format}' are no image: {error}"
        ) from error


def _split(encoding: str) -> tuple[str, int]:
    """Kind and bits of encodings like bgr8, 8uc3, bayer_rggb16; bits is 0 for others."""
    if match := re.fullmatch(r"(8|16)(uc[134])", encoding):
        return match[2], int(match[1])
    if match := re.fullmatch(r"([a-z_]+)(8|16)", encoding):
        return match[1], int(match[2])
    return encoding, 0


def _samples(message: Any, per_pixel: int, dtype: np.dtype, topic: str) -> np.ndarray:
    """(H, W, per_pixel) view of the bytes; rows may be padded."""
    height, width, row = message.height, message.width, message.width * per_pixel * dtype.itemsize
    data = np.frombuffer(message.data, np.uint8)
    if not height or not width:
        raise DataError(f"{topic}: the image is empty, {width} x {height} pixels")
    if message.step < row or len(data) < (height - 1) * message.step + row:
        raise DataError(
            f"{topic}: truncated: {len(data)} bytes with step {message.step} do not hold {width} x {height} "
            f"pixels of encoding '{message.encoding}'"
        )
    strides = (message.step, per_pixel * dtype.itemsize, dtype.itemsize)
    return np.ndarray((height, width, per_pixel), dtype, data, strides=strides)


def _to_8_bit(samples: np.ndarray) -> np.ndarray:
    return samples if samples.dtype.itemsize == 1 else (samples >> 8).astype(np.uint8)


def _rgb_of_bayer(mosaic: np.ndarray, pattern: str) -> np.ndarray:
    """Each 2 x 2 cell has one red, one blue and two green samples, of which the mean is taken."""
    height, width = mosaic.shape
    even = np.pad(mosaic, ((0, height % 2), (0, width % 2)), mode="reflect")
    cells = {"r": [], "g": [], "b": []}
    for position, colour in enumerate(pattern):
        cells[colour].append(even[position // 2 :: 2, position % 2 :: 2].astype(np.uint16))
    green = (cells["g"][0] + cells["g"][1]) // 2
    rgb = np.stack([cells["r"][0], green, cells["b"][0]], axis=2).astype(np.uint8)
    return rgb.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]


def _rgb_of_422(samples: np.ndarray, *, luma_first: bool, topic: str) -> np.ndarray:
    """ITU-R BT.601, video range: two neighbours share their chroma."""
    if samples.shape[1] % 2:
        raise DataError(f"{topic}: a 4:2:2 image must have an even width, got {samples.shape[1]}")
    luma, chroma = samples[:, :, 1 - luma_first], samples[:, :, int(luma_first)]
    y = 1.164 * (luma.astype(np.float32) - 16)
    u = chroma[:, 0::2].repeat(2, axis=1).astype(np.float32) - 128
    v = chroma[:, 1::2].repeat(2, axis=1).astype(np.float32) - 128
    rgb = np.stack([y + 1.596 * v, y - 0.813 * v - 0.391 * u, y + 2.018 * u], axis=2)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
