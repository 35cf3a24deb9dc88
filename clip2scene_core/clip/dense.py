"""CLIP's image encoder as a dense one: a feature of the joint image-text space for every patch.

Shapes: B images, H x W pixels, h x w patches, D joint embedding, K width of the encoder, M pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clip2scene_core.clip.attention import MODES, DenseMode
from clip2scene_core.clip.towers import take_apart
from clip2scene_core.clip.weights import LoadedClip
from clip2scene_core.clip.windows import through_windows
from clip2scene_core.errors import ConfigError, DataError

REVISION = 1
"""Raised whenever the same images come to give other features, so that stored ones are known to be old."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DensePatches:
    """What a dense CLIP sees in images, patch by patch."""

    features: Tensor
    """(B, D, h, w) floating, in the joint space, of any length."""
    keys: Tensor | None
    """(B, K, h, w) floating, the keys of the last block; None if not asked for."""
    patch_px: int
    """Side of a patch."""
    image_size: tuple[float, float]
    """Height and width, in pixels of the image, of what the patches cover: it, continued to whole patches."""


class DenseClip(nn.Module):
    """A frozen CLIP that answers for every patch of an image of any size.

    An image whose sides are not whole patches is continued on the right and at the bottom by its last pixels:
    pixels keep their place. `sample_features` reads the result at pixels.
    """

    def __init__(
        self,
        clip: LoadedClip,
        *,
        mode: DenseMode = "maskclip",
        height_px: int | None = None,
        window_px: int | None = None,
        stride_px: int | None = None,
        compile: bool = False,
    ) -> None:
        """Raises ConfigError for an encoder without patches, an unknown mode or impossible windows.

        height_px: what images are scaled to, with their width; None leaves them as they are.
        window_px: side of the windows through which larger images are seen, best the size the model was
            trained at; None shows it images whole.
        stride_px: from one window to the next; half a window where it is None.
        compile: whether torch.compile makes the encoder faster, after a first call that takes minutes.
        """
        super().__init__()
        self._scale: Tensor
        self._shift: Tensor
        if mode not in MODES:
            raise ConfigError(f"mode expected one of {', '.join(MODES)}, got '{mode}'")
        self.visual = clip.model.visual
        self._tower = take_apart(self.visual)
        self.mode, self.patch_px = mode, self._tower.patch_px
        self.embedding_dim = self._tower.embedding_dim
        self._height = height_px
        self._window, self._stride = _in_patches(window_px, stride_px, self.patch_px)
        mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (clip.mean, clip.std))
        self.register_buffer("_scale", (1 / (255 * std)).to(clip.device), persistent=False)
        self.register_buffer("_shift", (-mean / std).to(clip.device), persistent=False)
        self._encoder = torch.compile(self._encode) if compile else self._encode
        self._clip = clip
        self.eval()

    @property
    def identity(self) -> dict[str, str]:
        """All that decides on the output, for the keys of caches."""
        return {
            **self._clip.identity,
            "mode": self.mode,
            "height_px": str(self._height),
            "window_px": str(self._window * self.patch_px),
            "stride_px": str(self._stride * self.patch_px),
            "revision": str(REVISION),
        }

    def train(self, mode: bool = True) -> DenseClip:
        """Refuses: a teacher that learns is none. Raises RuntimeError unless `mode` is False."""
        if mode:
            raise RuntimeError("DenseClip is frozen: it stays in evaluation mode")
        return super().train(False)

    @torch.no_grad()
    def forward(self, rgb: np.ndarray | Tensor, *, keys: bool = False) -> DensePatches:
        """Features, and keys if asked for, of images (B, H, W, 3) uint8 RGB; raises DataError for others."""
        images = self._scaled(self._normalised(rgb))
        shown = images.shape[2:]
        images = F.pad(images, [0, -shown[1] % self.patch_px, 0, -shown[0] % self.patch_px], mode="replicate")
        if self._window:
            seen = through_windows(
                lambda crops: self._encoder(crops, keys),
                images,
                channels=self.embedding_dim + (self._tower.last_block.qkv_weight.shape[1] if keys else 0),
                patch_px=self.patch_px,
                window=self._window,
                stride=self._stride,
            )
        else:
            seen = self._encoder(images, keys)
        height, width = (
            side * covered / of
            for side, covered, of in zip(rgb.shape[1:3], images.shape[2:], shown, strict=True)
        )
        return DensePatches(
            features=seen[:, : self.embedding_dim],
            keys=seen[:, self.embedding_dim :] if keys else None,
            patch_px=self.patch_px,
            image_size=(height, width),
        )

    def _normalised(self, rgb: np.ndarray | Tensor) -> Tensor:
        """(B, 3, H, W) in the numbers that the encoder knows."""
        if rgb.ndim != 4 or rgb.shape[3] != 3 or 0 in rgb.shape or rgb.dtype not in (np.uint8, torch.uint8):
            raise DataError(f"images expected (B, H, W, 3) uint8, got {tuple(rgb.shape)} {rgb.dtype}")
        if isinstance(rgb, np.ndarray):
            rgb = torch.from_numpy(np.require(rgb, requirements=("C", "W")))
        images = rgb.to(self._scale.device, non_blocking=True).permute(0, 3, 1, 2)
        return torch.addcmul(self._shift, images, self._scale).to(self._clip.dtype)

    def _scaled(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) as high as wanted; averaged over what becomes one pixel, against moire."""
        height, width = images.shape[2:]
        if self._height is None or self._height == height:
            return images
        size = self._height, max(round(width * self._height / height), 1)
        return F.interpolate(images, size, mode="bilinear", antialias=True)

    def _encode(self, images: Tensor, keys: bool) -> Tensor:
        """(B, D, h, w), or (B, D + K, h, w) with keys, of normalised images."""
        tower = self._tower
        grid = images.shape[2] // self.patch_px, images.shape[3] // self.patch_px
        tokens = tower.embed(images)
        for block in tower.blocks:
            tokens = block(tokens)
        patches = MODES[self.mode](tower.last_block, tokens, grid)[:, tower.prefix_tokens :]
        seen = tower.read_out(patches)
        if keys:
            of_patches = tokens[:, tower.prefix_tokens :]
            key = tower.last_block.k(tower.last_block.norm(of_patches))
            seen = torch.cat([seen, key.transpose(1, 2).flatten(2)], dim=2)
        return seen.mT.unflatten(2, grid)


def sample_features(features: Tensor, pixels: Tensor, image_size: tuple[float, float]) -> Tensor:
    """(M, D) features (D, h, w) at pixels (M, 2), bilinear between the centres of patches.

    pixels: u right and v down, pixel centres at whole numbers; outside the centres of the outermost patches,
        these answer. They have to be finite.
    image_size: height and width that the patches cover, `DensePatches.image_size`.
    """
    h, w = features.shape[1:]
    left, right, rightness = _between(pixels[:, 0], w, image_size[1])
    upper, lower, lowness = _between(pixels[:, 1], h, image_size[0])
    corners = [upper * w + left, upper * w + right, lower * w + left, lower * w + right]
    weights = [
        (1 - lowness) * (1 - rightness),
        (1 - lowness) * rightness,
        lowness * (1 - rightness),
        lowness * rightness,
    ]
    return F.embedding_bag(
        torch.stack(corners, dim=1),
        features.flatten(1).T,
        mode="sum",
        per_sample_weights=torch.stack(weights, dim=1).to(features.dtype),
    )


def _between(pixel: Tensor, patches: int, side: float) -> tuple[Tensor, Tensor, Tensor]:
    """Along one axis: the patches before and after each pixel, and how far it is on the way between them."""
    place = ((pixel + 0.5) * (patches / side) - 0.5).clamp(0, patches - 1)
    before = place.long()
    return before, (before + 1).clamp(max=patches - 1), place - before


def side_in_patches(clip: LoadedClip) -> int:
    """Pixels of the side that an image encoder was trained at, without what is no whole patch of it."""
    side = clip.image_size[0]
    return side - side % take_apart(clip.model.visual).patch_px


def _in_patches(window_px: int | None, stride_px: int | None, patch_px: int) -> tuple[int, int]:
    """Window and stride in patches; 0, 0 without windows."""
    if window_px is None:
        if stride_px is not None:
            raise ConfigError(f"stride_px expected none without window_px, got {stride_px}")
        return 0, 0
    if window_px < patch_px or window_px % patch_px:
        raise ConfigError(f"window_px expected a multiple of the patch, {patch_px}, got {window_px}")
    window = window_px // patch_px
    if stride_px is None:
        return window, max(window // 2, 1)
    if not patch_px <= stride_px <= window_px or stride_px % patch_px:
        raise ConfigError(
            f"stride_px expected a multiple of the patch, {patch_px}, up to {window_px}, got {stride_px}"
        )
    return window, stride_px // patch_px
