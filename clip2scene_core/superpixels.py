"""Superpixels of an image: regions of like colour, which SLidR compares instead of pixels."""

from __future__ import annotations

import numpy as np

from clip2scene_core.errors import MissingExtraError


def superpixels(rgb: np.ndarray, *, segments: int = 150, compactness: float = 6.0) -> np.ndarray:
    """(H, W) int64: the region of each pixel of rgb (H, W, 3) uint8, numbered from 0, by SLIC.

    There are about `segments` of them. These numbers, and smoothing by 3 pixels, are those of SLidR. Raises
    MissingExtraError without scikit-image.
    """
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise MissingExtraError("scikit-image", "train") from error
    regions: np.ndarray = slic(rgb, n_segments=segments, compactness=compactness, sigma=3.0, start_label=0)
    return regions.astype(np.int64)
