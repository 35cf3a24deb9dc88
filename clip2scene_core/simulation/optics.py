"""From light to the pixels of a picture: vignetting, blur, exposure, white balance, noise, tone, JPEG.

Shapes: H x W pixels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import correlate1d

_MIDDLE_GREY = 0.16
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_STEPS = 4096
"""Of the table of the tone curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """A lens, a sensor and what the camera does with its signal."""

    compensation_ev: float = 0.0
    """Added to the automatic exposure; +1 doubles it."""
    white_balance: tuple[float, float] = (1.0, 1.0)
    """Gains of red and blue."""
    contrast: float = 1.0
    """Slope of the tone curve at middle grey."""
    saturation: float = 1.0
    vignetting: float = 0.4
    """0 for an even picture, 1 for one that falls off with the fourth power of the cosine."""
    blur_px: float = 0.45
    """Standard deviation of the image of a point."""
    noise: float = 0.006
    """Standard deviation in middle grey, of full scale: mostly of the photons, a tenth of the electronics."""
    jpeg_quality: int | None = None
    """1..95; None for an uncompressed picture."""

    @classmethod
    def random(cls, rng: np.random.Generator) -> Optics:
        """A good camera or a cheap one."""
        warm = rng.normal(0.0, 0.07)
        return cls(
            compensation_ev=rng.normal(0.0, 0.45),
            white_balance=(float(np.exp(warm)), float(np.exp(rng.normal(0.0, 0.03) - warm))),
            contrast=rng.uniform(0.8, 1.35),
            saturation=rng.uniform(0.55, 1.25),
            vignetting=rng.uniform(0.0, 1.0),
            blur_px=rng.uniform(0.3, 0.8),
            noise=float(np.exp(rng.uniform(np.log(0.002), np.log(0.03)))),
            jpeg_quality=int(rng.integers(40, 95)) if rng.random() < 0.4 else None,
        )

    def develop(self, light: np.ndarray, cosine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) uint8 sRGB of linear light (H, W, 3) that arrives at `cosine` (H, W) of the optical axis.

        Pixels of cosine 0, which the lens does not reach, are black.
        """
        reached = cosine > 0
        falloff = 1 - np.float32(self.vignetting) * (1 - cosine**4)
        signal = self._blurred(light * (falloff * reached)[..., None])
        signal *= np.float32(_exposure(signal, reached) * 2.0**self.compensation_ev)
        spread = self.noise * np.sqrt(np.maximum(signal, 0) / _MIDDLE_GREY + np.float32(0.01))
        signal += spread * rng.standard_normal(signal.shape, np.float32)
        gains = np.array([self.white_balance[0], 1.0, self.white_balance[1]], np.float32)
        grey = (signal @ _LUMINANCE)[..., None]
        signal = (grey + (signal - grey) * np.float32(self.saturation)) * gains
        rgb = self._tone()[(np.clip(signal, 0, 4) * np.float32((_STEPS - 1) / 4)).astype(np.int32)]
        rgb = self._compressed(rgb)
        rgb[~reached] = 0
        return rgb

    def _blurred(self, light: np.ndarray) -> np.ndarray:
        if self.blur_px == 0:
            return light
        reach = int(np.ceil(2.5 * self.blur_px))
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / self.blur_px) ** 2)
        kernel = (kernel / kernel.sum()).astype(np.float32)
        across = correlate1d(light, kernel, axis=0, mode="nearest")
        return correlate1d(across, kernel, axis=1, mode="nearest")

    def _tone(self) -> np.ndarray:
        """(_STEPS,) uint8 for signals 0..4: contrast about middle grey, a soft shoulder, sRGB."""
        signal = np.linspace(0, 4, _STEPS)
        signal = _MIDDLE_GREY * (signal / _MIDDLE_GREY) ** self.contrast
        knee = 0.6
        over = np.maximum(signal - knee, 0) / (1 - knee)
        linear = np.where(signal < knee, signal, knee + (1 - knee) * (1 - np.exp(-over)))
        encoded = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        return np.round(255 * np.clip(encoded, 0, 1)).astype(np.uint8)

    def _compressed(self, rgb: np.ndarray) -> np.ndarray:
        if self.jpeg_quality is None:
            return rgb
        memory = io.BytesIO()
        Image.fromarray(rgb).save(memory, "JPEG", quality=self.jpeg_quality)
        return np.array(Image.open(memory))


def linear_of_srgb(rgb: np.ndarray) -> np.ndarray:
    """Linear float32 in 0..1 of sRGB values of any shape in 0..255."""
    share = np.asarray(rgb, np.float32) / 255
    return np.where(share < 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _exposure(signal: np.ndarray, reached: np.ndarray) -> float:
    """Gain that brings the geometric mean of the picture, lower half first, to middle grey."""
    rows = np.arange(signal.shape[0])[:, None] >= signal.shape[0] // 3
    grey = (signal @ _LUMINANCE)[reached & rows]
    if len(grey) == 0:
        return 1.0
    return float(_MIDDLE_GREY / np.exp(np.log(np.maximum(grey, 1e-4)).mean()))
