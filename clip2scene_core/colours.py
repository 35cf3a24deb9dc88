"""What sensors deliver instead of RGB, as RGB: Bayer mosaics and luma with chroma. H x W pixels."""

from __future__ import annotations

import numpy as np


def rgb_of_bayer(mosaic: np.ndarray, pattern: str) -> np.ndarray:
    """(H, W, 3) uint8 of (H, W) uint8 samples; `pattern` names the colours of the first 2 x 2, as rggb.

    Bilinear: each colour that a pixel lacks is the mean of the nearest samples that have it, and at the
    edge the picture is mirrored. OpenCV names patterns by the 2 x 2 pixels from (1, 1) on: its BayerBG is
    this rggb.
    """
    height, width = mosaic.shape
    padded = np.pad(mosaic, 1, mode="reflect").astype(np.uint16)
    columns = padded[:-2] + padded[2:]
    rows = padded[1:-1, :-2] + padded[1:-1, 2:]
    corners = columns[:, :-2] + columns[:, 2:]
    columns = columns[:, 1:-1]
    cross = rows + columns
    rgb = np.empty((height, width, 3), np.uint8)
    red, blue = pattern.index("r"), pattern.index("b")
    for own, at, other in ((0, red, 2), (2, blue, 0)):
        row, column = divmod(at, 2)
        site = np.s_[row::2, column::2]
        rgb[..., own][site] = mosaic[site]
        rgb[..., 1][site] = (cross[site] + 2) >> 2
        rgb[..., other][site] = (corners[site] + 2) >> 2
        # Beside a red site, red is to both sides and blue is above and below; and the other way round.
        green = np.s_[row::2, 1 - column :: 2]
        rgb[..., own][green] = (rows[green] + 1) >> 1
        rgb[..., 1][green] = mosaic[green]
        rgb[..., other][green] = (columns[green] + 1) >> 1
    return rgb


def rgb_of_yuv(luma: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of luma (H, W) and chroma u and v, uint8, which blocks of pixels may share.

    ITU-R BT.601 in video range (16 to 235), which is what cameras send and OpenCV assumes.
    """
    down, across = luma.shape[0] // u.shape[0], luma.shape[1] // u.shape[1]
    # The half is for rounding.
    y = 1.164 * (np.maximum(luma, 16).astype(np.float32) - 16) + 0.5
    u, v = u.astype(np.float32) - 128, v.astype(np.float32) - 128
    rgb = np.empty((*luma.shape, 3), np.uint8)
    for channel, tint in enumerate((1.596 * v, -0.813 * v - 0.391 * u, 2.018 * u)):
        for row in range(down):
            for column in range(across):
                site = np.s_[row::down, column::across]
                rgb[..., channel][site] = np.clip(y[site] + tint, 0, 255)
    return rgb
