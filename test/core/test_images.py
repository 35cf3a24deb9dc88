"""Image messages become RGB, whatever their encoding; hand-computed pixels and Pillow are the judges."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from clip2scene_core.errors import DataError
from clip2scene_core.images import compressed_rgb, image_rgb

RED, GREEN, BLUE, GREY = (200, 10, 20), (30, 210, 40), (50, 60, 220), (90, 90, 90)
RGB = np.array([[RED, GREEN], [BLUE, GREY]], np.uint8)


def message(samples: np.ndarray, encoding: str, *, padding: int = 0, bigendian: bool = False):
    height, width = samples.shape[:2]
    rows = np.frombuffer(samples.tobytes(), np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        step=rows.shape[1],
        data=rows.tobytes(),
        is_bigendian=bigendian,
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "samples"),
    [
        ("rgb8", RGB),
        ("RGB8", RGB),
        ("bgr8", RGB[:, :, ::-1]),
        ("8UC3", RGB[:, :, ::-1]),
        ("rgba8", np.dstack([RGB, np.full((2, 2), 9, np.uint8)])),
        ("bgra8", np.dstack([RGB[:, :, ::-1], np.full((2, 2), 9, np.uint8)])),
        ("rgb16", RGB.astype("<u2") * 256 + 13),
    ],
)
def test_colour_encodings_give_the_same_picture(encoding, samples, padding) -> None:
    np.testing.assert_array_equal(image_rgb(message(samples, encoding, padding=padding)), RGB)


def test_sixteen_bits_follow_the_byte_order() -> None:
    grey = np.array([[0x1234, 0xFF00]], ">u2")
    np.testing.assert_array_equal(
        image_rgb(message(grey, "mono16", bigendian=True)), [[[0x12] * 3, [0xFF] * 3]]
    )


def test_grey_is_spread_to_three_channels() -> None:
    np.testing.assert_array_equal(image_rgb(message(np.array([[7]], np.uint8), "mono8")), [[[7, 7, 7]]])


@pytest.mark.parametrize(
    ("pattern", "mosaic"),
    [
        ("rggb", [[200, 100], [110, 50]]),
        ("bggr", [[50, 100], [110, 200]]),
        ("gbrg", [[100, 50], [200, 110]]),
        ("grbg", [[100, 200], [50, 110]]),
    ],
)
def test_bayer_cells_have_one_red_two_green_one_blue(pattern, mosaic) -> None:
    rgb = image_rgb(message(np.array(mosaic, np.uint8), f"bayer_{pattern}8"))
    np.testing.assert_array_equal(rgb, np.full((2, 2, 3), (200, 105, 50)))


def test_bayer_images_may_have_odd_sizes() -> None:
    assert image_rgb(message(np.full((3, 5), 80, np.uint8), "bayer_rggb8")).shape == (3, 5, 3)


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")]
)
def test_chroma_is_shared_by_two_pixels(encoding, order) -> None:
    # BT.601 in video range: white is Y 235 with neutral chroma, pure red is Y 81, U 90, V 240.
    for (y, u, v), expected in [((235, 128, 128), (255, 255, 255)), ((81, 90, 240), (254, 0, 0))]:
        pair = np.array([[{"y": y, "u": u, "v": v}[letter] for letter in order]], np.uint8)
        rgb = image_rgb(message(pair.reshape(1, 2, 2), encoding))
        np.testing.assert_allclose(rgb.astype(int), np.broadcast_to(expected, (1, 2, 3)), atol=1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"encoding": "32FC1"}, "encoding '32FC1' holds no colours"),
        ({"encoding": ""}, "encoding '' holds no colours"),
        ({"encoding": "mono"}, "encoding 'mono' holds no colours"),
        ({"data": b"123"}, "truncated: 3 bytes"),
        ({"step": 1}, "step 1 do not hold 2 x 2"),
        ({"width": 0}, "the image is empty"),
        ({"encoding": "uyvy", "width": 1}, "even width"),
    ],
)
def test_bad_images_are_named(change, text) -> None:
    bad = message(RGB, "rgb8")
    bad.__dict__.update(change)
    with pytest.raises(DataError, match=text) as caught:
        image_rgb(bad, topic="front/image")
    assert str(caught.value).startswith("front/image: ")


def encoded(picture: Image.Image, kind: str) -> SimpleNamespace:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return SimpleNamespace(data=buffer.getvalue(), format=f"rgb8; {kind} compressed bgr8")


def test_compressed_images_are_read_by_content() -> None:
    np.testing.assert_array_equal(compressed_rgb(encoded(Image.fromarray(RGB), "png")), RGB)
    smooth = np.full((16, 16, 3), RED, np.uint8)
    np.testing.assert_allclose(
        compressed_rgb(encoded(Image.fromarray(smooth), "jpeg")).astype(int), smooth, atol=4
    )


def test_sixteen_bit_png_keeps_its_high_byte() -> None:
    deep = Image.fromarray(np.array([[0x1234]], np.uint16))
    np.testing.assert_array_equal(compressed_rgb(encoded(deep, "png")), [[[0x12] * 3]])


def test_half_a_jpeg_is_an_error() -> None:
    whole = encoded(Image.fromarray(np.full((64, 64, 3), RED, np.uint8)), "jpeg")
    half = SimpleNamespace(data=whole.data[: len(whole.data) // 2], format="jpeg")
    for bad in (half, SimpleNamespace(data=b"", format="jpeg")):
        with pytest.raises(DataError, match=r"front: .* are no image"):
            compressed_rgb(bad, topic="front")
