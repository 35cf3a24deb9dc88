"""Image messages become RGB, whatever their encoding, as worked out by hand or as OpenCV and Pillow say."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
        ("8UC4", np.dstack([RGB[:, :, ::-1], np.full((2, 2), 9, np.uint8)])),
        ("rgb16", RGB.astype("<u2") * 256 + 13),
        ("rgba16", np.dstack([RGB, RGB[:, :, :1]]).astype("<u2") * 256 + 13),
        ("bgr16", RGB[:, :, ::-1].astype("<u2") * 256),
        ("bgra16", np.dstack([RGB[:, :, ::-1], RGB[:, :, :1]]).astype("<u2") * 256 + 255),
        ("16UC3", RGB[:, :, ::-1].astype("<u2") * 256 + 13),
        ("16UC4", np.dstack([RGB[:, :, ::-1], RGB[:, :, :1]]).astype("<u2") * 256),
    ],
)
def test_colour_encodings_give_the_same_picture(encoding, samples, padding) -> None:
    np.testing.assert_array_equal(image_rgb(message(samples, encoding, padding=padding)), RGB)


def test_sixteen_bits_follow_the_byte_order() -> None:
    grey = np.array([[0x1234, 0xFF00]], ">u2")
    np.testing.assert_array_equal(
        image_rgb(message(grey, "mono16", bigendian=True)), [[[0x12] * 3, [0xFF] * 3]]
    )


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_is_spread_to_three_channels(encoding) -> None:
    np.testing.assert_array_equal(image_rgb(message(np.array([[7]], np.uint8), encoding)), [[[7, 7, 7]]])


def noise(height: int, width: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, *channels), dtype=np.uint8)


PATTERNS = ["rggb", "bggr", "gbrg", "grbg"]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", [(8, 12), (9, 11)])
def test_bayer_mosaics_become_what_opencv_makes_of_them(pattern, size) -> None:
    mosaic = noise(*size)
    expected = cv2.cvtColor(mosaic, getattr(cv2, f"COLOR_Bayer{pattern.upper()}2RGB"))[1:-1, 1:-1]
    for samples, bits in ((mosaic, 8), (mosaic.astype("<u2") * 256 + 77, 16)):
        rgb = image_rgb(message(samples, f"bayer_{pattern}{bits}", padding=3))
        np.testing.assert_array_equal(rgb[1:-1, 1:-1], expected)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (3, 5)])
def test_an_evenly_coloured_mosaic_has_its_colour_up_to_the_edge(pattern, size) -> None:
    row, column = np.indices(size)
    colour = np.array([RED["rgb".index(letter)] for letter in pattern], np.uint8)
    rgb = image_rgb(message(colour[2 * (row % 2) + column % 2], f"bayer_{pattern}8"))
    assert rgb.shape == (*size, 3)
    if min(size) > 1:  # A line does not have all colours.
        np.testing.assert_array_equal(rgb, np.broadcast_to(np.array(RED, np.uint8), rgb.shape))


@pytest.mark.parametrize(
    ("encoding", "code"),
    [
        ("yuv422", cv2.COLOR_YUV2RGB_UYVY),
        ("uyvy", cv2.COLOR_YUV2RGB_UYVY),
        ("yuv422_yuy2", cv2.COLOR_YUV2RGB_YUYV),
        ("yuyv", cv2.COLOR_YUV2RGB_YUYV),
    ],
)
def test_packed_yuv_becomes_what_opencv_makes_of_it(encoding, code) -> None:
    """To one grey level: OpenCV rounds its coefficients to 20 bits."""
    samples = noise(16, 18, 2)
    rgb = image_rgb(message(samples, encoding, padding=6))
    np.testing.assert_allclose(rgb.astype(int), cv2.cvtColor(samples, code), atol=1)


@pytest.mark.parametrize(
    ("encoding", "code"), [("nv12", cv2.COLOR_YUV2RGB_NV12), ("nv21", cv2.COLOR_YUV2RGB_NV21)]
)
@pytest.mark.parametrize("padding", [0, 6])
def test_planar_yuv_becomes_what_opencv_makes_of_it(encoding, code, padding) -> None:
    planes = noise(12 + 6, 16)
    planar = message(planes, encoding, padding=padding)
    planar.height = 12
    np.testing.assert_allclose(image_rgb(planar).astype(int), cv2.cvtColor(planes, code), atol=1)


def test_nv24_has_a_chroma_of_its_own_for_every_pixel() -> None:
    """Luma in rows of 4, then u and v by turns in rows of 8."""
    yuv = noise(3, 4, 3)
    data = yuv[:, :, 0].tobytes() + yuv[:, :, 1:].tobytes()
    planar = SimpleNamespace(encoding="nv24", height=3, width=4, step=4, data=data, is_bigendian=False)
    for row, column in np.ndindex(3, 4):
        y, u, v = yuv[row, column]
        pair = cv2.cvtColor(np.array([[[u, y], [v, y]]], np.uint8), cv2.COLOR_YUV2RGB_UYVY)
        np.testing.assert_allclose(image_rgb(planar)[row, column].astype(int), pair[0, 0], atol=1)


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
        ({"encoding": "32FC1"}, "encoding '32FC1' holds no colours; readable are rgb8, rgba8"),
        ({"encoding": "8SC3"}, "encoding '8SC3' holds no colours"),
        ({"encoding": "8UC2"}, "encoding '8UC2' holds no colours"),
        ({"encoding": ""}, "encoding '' holds no colours"),
        ({"encoding": "mono"}, "encoding 'mono' holds no colours"),
        ({"encoding": "bayer_rgbg8"}, "encoding 'bayer_rgbg8' holds no colours"),
        ({"data": b"123"}, "truncated: 3 bytes"),
        ({"step": 1}, "step 1 do not hold 2 x 2"),
        ({"width": 0}, "the image is empty"),
        ({"encoding": "uyvy", "width": 1}, "even width"),
        ({"encoding": "nv12", "height": 1}, "even sides"),
        ({"encoding": "nv24", "step": 4}, "truncated: 12 bytes"),
    ],
)
def test_bad_images_are_named(change, text) -> None:
    bad = message(RGB, "rgb8")
    bad.__dict__.update(change)
    with pytest.raises(DataError, match=text) as caught:
        image_rgb(bad, topic="front/image")
    assert str(caught.value).startswith("front/image: ")


def encoded(picture: Image.Image, kind: str, format: str | None = None, **options) -> SimpleNamespace:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    format = f"rgb8; {kind} compressed bgr8" if format is None else format
    return SimpleNamespace(data=buffer.getvalue(), format=format)


@pytest.mark.parametrize("format", ["png", "rgb8; png compressed bgr8", "mjpeg", "nonsense", ""])
def test_compressed_images_are_read_by_content(format) -> None:
    np.testing.assert_array_equal(compressed_rgb(encoded(Image.fromarray(RGB), "png", format)), RGB)


def test_a_jpeg_has_the_pixels_that_opencv_reads() -> None:
    smooth = cv2.GaussianBlur(noise(48, 64, 3), (0, 0), 3)
    jpeg = encoded(Image.fromarray(smooth), "jpeg", "rgb8; jpeg compressed bgr8")
    expected = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    # The decoders may round the inverse cosine transform differently.
    np.testing.assert_allclose(compressed_rgb(jpeg).astype(int), expected, atol=2)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(RGB).convert("RGBA"), RGB),
        (Image.fromarray(RGB).quantize(4), RGB),
        (Image.fromarray(RGB[:, :, 0]), RGB[:, :, [0, 0, 0]]),
        (Image.fromarray(RGB[:, :, 0]).convert("LA"), RGB[:, :, [0, 0, 0]]),
        (Image.fromarray(RGB[:, :, 0] > 60), np.where(RGB[:, :, [0, 0, 0]] > 60, 255, 0)),
    ],
    ids=["alpha", "palette", "grey", "grey with alpha", "black and white"],
)
def test_a_png_may_have_any_layout(picture, expected) -> None:
    np.testing.assert_array_equal(compressed_rgb(encoded(picture, "png")), expected)


@pytest.mark.parametrize("channels", [(0,), (2, 1, 0), (2, 1, 0, 0)], ids=["grey", "colour", "alpha"])
def test_sixteen_bit_png_keeps_its_high_byte(channels) -> None:
    deep = RGB[:, :, channels].astype(np.uint16) * 256 + 77
    png = SimpleNamespace(data=cv2.imencode(".png", deep)[1].tobytes(), format="rgb16; png compressed bgr16")
    expected = RGB if len(channels) > 1 else RGB[:, :, [0, 0, 0]]
    np.testing.assert_array_equal(compressed_rgb(png), expected)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_compressed_bayer_mosaics_are_coloured(kind) -> None:
    """image_transport compresses them as grey pictures."""
    mosaic = noise(8, 12)
    deep = mosaic if kind is np.uint8 else mosaic.astype(np.uint16) * 256
    png = encoded(Image.fromarray(deep), "png", "bayer_grbg8; png compressed ")
    np.testing.assert_array_equal(compressed_rgb(png), image_rgb(message(mosaic, "bayer_grbg8")))


def test_the_orientation_in_exif_is_not_applied() -> None:
    """It would turn the picture away from its calibration."""
    picture = Image.fromarray(np.repeat(np.repeat(RGB, 8, axis=0), 16, axis=1))
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by a quarter.
    turned = encoded(picture, "jpeg", exif=exif)
    assert cv2.imdecode(np.frombuffer(turned.data, np.uint8), cv2.IMREAD_COLOR).shape == (32, 16, 3)
    assert compressed_rgb(turned).shape == (16, 32, 3)


JPEG = encoded(Image.fromarray(np.full((64, 64, 3), RED, np.uint8)), "jpeg").data
PNG_16 = encoded(Image.fromarray(np.full((8, 8), 2000, np.uint16)), "png").data


@pytest.mark.parametrize(
    ("data", "format", "text"),
    [
        (JPEG[:-20], "jpeg", "are no image: image file is truncated"),
        (b"", "jpeg", "0 bytes of format 'jpeg' are no image: none of JPEG, PNG, WEBP"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n" + b" " * 500, "jpeg", "none of JPEG, PNG, WEBP"),
        (
            bytes(12) + PNG_16,
            "16UC1; compressedDepth png",
            "compressedDepth png' holds distances, no colours",
        ),
        (b"\0\0\0\1\x67\x64", "", "is video, whose packets need those before them"),
        (b"\0\0\1\x09", "h264", "'h264' is video"),
    ],
    ids=["half", "empty", "PostScript", "depth", "Annex B", "H.264"],
)
def test_bytes_that_are_no_picture_are_named(data, format, text) -> None:
    with pytest.raises(DataError, match=re.escape(text)) as caught:
        compressed_rgb(SimpleNamespace(data=data, format=format), topic="front")
    assert str(caught.value).startswith("front: ") and "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.data(), st.sampled_from([(JPEG, JPEG.index(b"\xff\xc0") + 9), (PNG_16, 24)]))
def test_damaged_bytes_are_a_picture_or_an_error(data, picture) -> None:
    whole, behind_its_size = picture
    damaged = bytearray(whole)
    for _ in range(3):
        position = data.draw(st.integers(behind_its_size, len(whole) - 1))
        damaged[position] = data.draw(st.integers(0, 255))
    try:
        rgb = compressed_rgb(SimpleNamespace(data=bytes(damaged), format="jpeg"))
    except DataError:
        return
    assert rgb.dtype == np.uint8 and rgb.shape[2:] == (3,)
