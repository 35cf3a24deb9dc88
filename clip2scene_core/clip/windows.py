"""Large images through a small view: windows on one grid of patches, blended without seams.

Shapes: B images, C channels, H x W pixels, h x w patches, n patches of one window along one axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

PATCHES_AT_ONCE = 16384
"""How many go through the encoder together: enough to keep a GPU busy, few enough for its memory."""


def window_starts(patches: int, window: int, stride: int) -> list[int]:
    """First patch of each window along an axis; the last window ends with the axis, whatever the stride."""
    last = max(patches - window, 0)
    return [*range(0, last, stride), last]


def blending_weights(
    patches: int, window: int, starts: Sequence[int], *, device: torch.device | str = "cpu"
) -> Tensor:
    """(windows, n) float32: how much each window says about each of its patches along an axis.

    They fall to the borders of a window as the square of a sine, and sum to one at every patch of the axis.
    """
    window = min(window, patches)
    taper = torch.sin(math.pi * (torch.arange(window, device=device) + 0.5) / window) ** 2
    total = torch.zeros(patches, device=device)
    for start in starts:
        total[start : start + window] += taper
    return torch.stack([taper / total[start : start + window] for start in starts])


def through_windows(
    encode: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    channels: int,
    patch_px: int,
    window: int,
    stride: int,
) -> Tensor:
    """(B, C, h, w) of what `encode` makes of (B, 3, H, W) images, seen in windows.

    encode: from (B, 3, H, W) to (B, C, h, w), where H and W are whole patches.
    window, stride: in patches; an axis that is shorter than the window is seen whole.
    """
    h, w = (side // patch_px for side in images.shape[2:])
    rows, columns = window_starts(h, window, stride), window_starts(w, window, stride)
    down = blending_weights(h, window, rows, device=images.device)
    across = blending_weights(w, window, columns, device=images.device)
    n, m = down.shape[1], across.shape[1]
    places = [
        (slice(y, y + n), slice(x, x + m), torch.outer(down[i], across[j]))
        for (i, y), (j, x) in product(enumerate(rows), enumerate(columns))
    ]
    at_once = max(1, PATCHES_AT_ONCE // (len(images) * n * m))
    blended = images.new_zeros((len(images), channels, h, w), dtype=torch.float32)
    for first in range(0, len(places), at_once):
        batch = places[first : first + at_once]
        seen = encode(torch.cat([_crop(images, y, x, patch_px) for y, x, _ in batch]))
        for (y, x, weight), features in zip(batch, seen.split(len(images)), strict=True):
            blended[:, :, y, x] += features * weight
    return blended.to(images.dtype)


def _crop(images: Tensor, rows: slice, columns: slice, patch_px: int) -> Tensor:
    """The pixels of these patches."""
    return images[
        :, :, rows.start * patch_px : rows.stop * patch_px, columns.start * patch_px : columns.stop * patch_px
    ]
