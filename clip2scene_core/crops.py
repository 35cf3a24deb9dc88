"""Crops of images, and the pixels of point-pixel pairs that follow them.

Shapes: M pixels, H x W image. Pixels are (column, row) and their centres are whole numbers, see cameras;
sizes are (rows, columns).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCrop:
    """A rectangle of an image, shown at another size and perhaps mirrored."""

    top: int
    """First row of the rectangle."""
    left: int
    """First column of the rectangle."""
    size: Size
    """That of the rectangle in the image."""
    shown_size: Size
    """That of what is made of it."""
    mirrored: bool = False
    """Whether left and right are swapped."""

    def pixels(self, pixels: np.ndarray) -> np.ndarray:
        """(M, 2) float32: where the crop shows what the image shows at pixels (M, 2)."""
        scale = np.divide(self.shown_size, self.size)[::-1]
        shown = (pixels + 0.5 - (self.left, self.top)) * scale - 0.5
        if self.mirrored:
            shown[:, 0] = self.shown_size[1] - 1 - shown[:, 0]
        return shown.astype(np.float32)

    def holds(self, pixels: np.ndarray) -> np.ndarray:
        """(M,) bool: which pixels (M, 2) of the image it shows."""
        column, row = self.pixels(pixels).T
        height, width = self.shown_size
        return (column > -0.5) & (column < width - 0.5) & (row > -0.5) & (row < height - 0.5)

    def image(self, rgb: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 of `shown_size`: the crop of an image (H, W, 3) uint8, without aliasing."""
        from PIL import Image

        (height, width), (shown_height, shown_width) = self.size, self.shown_size
        rectangle = rgb[self.top : self.top + height, self.left : self.left + width]
        shown = Image.fromarray(rectangle).resize((shown_width, shown_height), Image.Resampling.BILINEAR)
        return np.asarray(shown)[:, :: -1 if self.mirrored else 1]


def whole_image(size: Size, shown_size: Size) -> ImageCrop:
    """All of an image of `size`, stretched."""
    return ImageCrop(top=0, left=0, size=size, shown_size=shown_size)


def random_crop(
    rng: np.random.Generator, size: Size, shown_size: Size, *, least_area: float, ratio: tuple[float, float]
) -> ImageCrop:
    """A rectangle anywhere in an image of `size`, stretched.

    Its width / height is drawn within `ratio`, on a logarithmic scale, then its share of the image's area,
    from `least_area` to all that a rectangle so wide or narrow can take. If that is less, it takes that.
    """
    height, width = size
    aspect = np.exp(rng.uniform(*np.log(ratio)))
    most = min(width / (height * aspect), height * aspect / width)
    area = rng.uniform(min(least_area, most), most) * height * width
    rows = min(max(round(float(np.sqrt(area / aspect))), 1), height)
    columns = min(max(round(float(np.sqrt(area * aspect))), 1), width)
    return ImageCrop(
        top=int(rng.integers(height - rows + 1)),
        left=int(rng.integers(width - columns + 1)),
        size=(rows, columns),
        shown_size=shown_size,
    )
