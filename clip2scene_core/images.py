"""Pixels of sensor_msgs Image and CompressedImage as RGB.

Reads any object that has the attributes of the message: rclpy's, rosbags', or a stand-in. H x W pixels.
Of 16-bit samples the high byte is kept, as cv_bridge does: a sensor whose driver leaves its 10 or 12 bits
at the lower end gives dark pictures. No scale is guessed from the pixels, which would let the brightness
change with the scene.
"""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from clip2scene_core.colours import rgb_of_bayer, rgb_of_yuv
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

PACKED_YUV = {"yuv422": 1, "uyvy": 1, "yuv422_yuy2": 0, "yuyv": 0}
"""4:2:2, two bytes a pixel; which of them is the luma. The other is u or v by turns."""

PLANAR_YUV = {"nv12": (2, 0), "nv21": (2, 1), "nv24": (1, 0)}
"""Luma, then chroma; how many pixels share their chroma along each axis, and which byte of it is u."""

READABLE = (
    "rgb8, rgba8, bgr8, bgra8, mono8, bayer_rggb8, the like with 16, "
    f"8UC1, 8UC3, 8UC4, 16UC1, 16UC3, 16UC4, {', '.join((*PACKED_YUV, *PLANAR_YUV))}"
)
COMPRESSIONS = ("JPEG", "PNG", "WEBP")
"""Pillow knows more, some of which start other programs."""

_BAYER = re.compile("bayer_(rggb|bggr|gbrg|grbg)")
_VIDEO = re.compile(r"h\.?26[45]|hevc|avc|av1|vp[89]|mpeg")


def image_rgb(message: Any, *, topic: str = "image") -> np.ndarray:
    """(H, W, 3) uint8 RGB of a sensor_msgs/Image.

    Raises DataError, naming `topic`, for an encoding without colours or too few bytes.
    """
    encoding = message.encoding.lower()
    if encoding in PACKED_YUV:
        return _rgb_of_packed(message, PACKED_YUV[encoding], topic)
    if encoding in PLANAR_YUV:
        return _rgb_of_planes(message, *PLANAR_YUV[encoding], topic)
    kind, size = _split(encoding)
    if kind in CHANNELS:
        per_pixel, channels = CHANNELS[kind]
        samples = _plane(message, topic, per_pixel, size)
        # Three strided copies are several times as fast as one of reordered triples.
        rgb = np.empty((*samples.shape[:2], 3), np.uint8)
        for colour, channel in enumerate(channels):
            rgb[:, :, colour] = samples[:, :, channel]
        return rgb
    if bayer := _BAYER.fullmatch(kind):
        mosaic = _plane(message, topic, 1, size)[:, :, 0]
        return rgb_of_bayer(mosaic, bayer[1])
    raise DataError(f"{topic}: encoding '{message.encoding}' holds no colours; readable are {READABLE}")


def compressed_rgb(message: Any, *, topic: str = "image") -> np.ndarray:
    """(H, W, 3) uint8 RGB of a sensor_msgs/CompressedImage, as the sensor saw it.

    The bytes tell how they are compressed; `format` need not be right, but for a Bayer pattern. The
    orientation in Exif is not applied: calibrations are those of the sensor.
    Raises DataError, naming `topic`, where the bytes are no whole picture.
    """
    format, data = message.format.lower(), bytes(message.data)
    if "compresseddepth" in format:
        raise DataError(f"{topic}: '{message.format}' holds distances, no colours; give a topic of pictures")
    if _VIDEO.search(format) or data.startswith(b"\0\0\0\1"):
        raise DataError(
            f"{topic}: '{message.format}' is video, whose packets need those before them; "
            "republish it as JPEG"
        )
    try:
        with Image.open(io.BytesIO(data), formats=COMPRESSIONS) as image:
            return _rgb_of_picture(image, _BAYER.match(format))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        known = f"none of {', '.join(COMPRESSIONS)}"
        why = known if isinstance(error, UnidentifiedImageError) else error
        raise DataError(
            f"{topic}: {len(data)} bytes of format '{message.format}' are no image: {why}"
        ) from error


def _rgb_of_picture(image: Image.Image, bayer: re.Match[str] | None) -> np.ndarray:
    """Grey pictures may be Bayer mosaics: image_transport compresses them as they are."""
    if image.mode == "L":
        grey = np.asarray(image)
    elif image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
    else:
        return np.array(image.convert("RGB"))
    return rgb_of_bayer(grey, bayer[1]) if bayer else np.repeat(grey[:, :, None], 3, axis=2)


def _split(encoding: str) -> tuple[str, int]:
    """Kind and bytes a sample of encodings like bgr8, 8uc3, bayer_rggb16; of others the kind is ''."""
    if match := re.fullmatch(r"(8|16)(uc[134])", encoding):
        return match[2], int(match[1]) // 8
    if match := re.fullmatch(r"([a-z_]+)(8|16)", encoding):
        return match[1], int(match[2]) // 8
    return "", 0


def _plane(
    message: Any,
    topic: str,
    per_pixel: int,
    size: int = 1,
    *,
    shared: int = 1,
    step: int = 0,
    offset: int = 0,
) -> np.ndarray:
    """(H, W, per_pixel) uint8 view of samples of `size` bytes, of which it has the highest.

    `shared` pixels along each axis have one sample; rows begin `step` bytes apart (0: as the message
    says), the first one at byte `offset`.
    """
    height, width, step = message.height // shared, message.width // shared, step or message.step
    row = width * per_pixel * size
    data = np.frombuffer(message.data, np.uint8)
    if not height or not width:
        raise DataError(f"{topic}: the image is empty, {message.width} x {message.height} pixels")
    if step < row or len(data) < offset + (height - 1) * step + row:
        raise DataError(
            f"{topic}: truncated: {len(data)} bytes with step {message.step} do not hold {message.width} x "
            f"{message.height} pixels of encoding '{message.encoding}'"
        )
    first = offset + (0 if message.is_bigendian else size - 1)
    return np.ndarray((height, width, per_pixel), np.uint8, data, first, (step, per_pixel * size, size))


def _rgb_of_packed(message: Any, luma: int, topic: str) -> np.ndarray:
    if message.width % 2:
        raise DataError(f"{topic}: a 4:2:2 image must have an even width, got {message.width}")
    samples = _plane(message, topic, 2)
    chroma = samples[:, :, 1 - luma]
    return rgb_of_yuv(samples[:, :, luma], chroma[:, 0::2], chroma[:, 1::2])


def _rgb_of_planes(message: Any, shared: int, u: int, topic: str) -> np.ndarray:
    if message.width % shared or message.height % shared:
        raise DataError(
            f"{topic}: a 4:2:0 image must have even sides, got {message.width} x {message.height}"
        )
    luma = _plane(message, topic, 1)[:, :, 0]
    step, offset = 2 * message.step // shared, message.height * message.step
    chroma = _plane(message, topic, 2, shared=shared, step=step, offset=offset)
    return rgb_of_yuv(luma, chroma[:, :, u], chroma[:, :, 1 - u])
