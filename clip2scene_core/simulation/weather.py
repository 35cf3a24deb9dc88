"""The light in the town: sun, sky, clouds and haze, and what the weather and the season do to surfaces.

Light is linear: 1 is a white surface that faces the sun on a clear day. Shapes: N directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.patterns import octaves

_HORIZON_GLOW = np.array([1.0, 0.42, 0.14], np.float32)
_CLEAR_ZENITH = np.array([0.20, 0.42, 0.95], np.float32)
_CLEAR_HORIZON = np.array([0.90, 1.05, 1.20], np.float32)
_OVERCAST = np.array([0.92, 0.97, 1.04], np.float32)
_DUSK_ZENITH = np.array([0.10, 0.14, 0.30], np.float32)
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weather:
    """The light, the season, and in which colours the town is painted."""

    sun: np.ndarray
    """(3,) float64 unit vector of the world, towards the sun."""
    sunlight: float = 0.75
    """Share of the light that comes from the sun; the rest comes from the sky."""
    visibility_m: float = 350.0
    """Distance at which haze takes away 63 % of the contrast."""
    clouds: float = 0.0
    """Share of the sky that they cover."""
    wetness: float = 0.0
    """0 for a dry road, 1 for one with puddles."""
    season: float = 0.3
    """0 is spring, 0.3 summer, 0.7 autumn, 1 winter: the colours of leaves and grass."""
    paint_seed: int | None = None
    """Number of the colours that the town is painted in; None for those that its meshes have."""

    @classmethod
    def random(cls, rng: np.random.Generator) -> Weather:
        """From a clear noon to a grey evening, at any season, in any colours."""
        azimuth = rng.uniform(0, 2 * np.pi)
        elevation = np.deg2rad(rng.uniform(2, 12) if rng.random() < 0.15 else rng.uniform(12, 68))
        level = np.cos(elevation)
        kind = rng.choice(["clear", "fair", "grey"], p=[0.35, 0.35, 0.3])
        clouds = {"clear": (0.0, 0.25), "fair": (0.25, 0.65), "grey": (0.85, 1.0)}[kind]
        share = {"clear": (0.65, 0.82), "fair": (0.45, 0.75), "grey": (0.0, 0.12)}[kind]
        return cls(
            sun=np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)]),
            sunlight=rng.uniform(*share),
            visibility_m=float(np.exp(rng.uniform(np.log(150.0), np.log(1500.0)))),
            clouds=rng.uniform(*clouds),
            wetness=rng.uniform(0.3, 1.0) if rng.random() < (0.5 if kind == "grey" else 0.1) else 0.0,
            season=rng.random(),
            paint_seed=int(rng.integers(2**31)),
        )

    @property
    def day(self) -> float:
        """0 while the sun is at the horizon or below, 1 once it is well above it."""
        return float(np.clip(self.sun[2] / 0.25, 0.0, 1.0))

    @property
    def strength(self) -> float:
        """Of all the light together; dusk is a tenth of the day."""
        return 0.1 + 0.9 * self.day

    @property
    def sun_rgb(self) -> np.ndarray:
        """(3,) float32: light of the sun on a surface that faces it; redder the lower it stands."""
        reddened = np.array([1.0, 0.60 + 0.36 * self.day, 0.28 + 0.60 * self.day], np.float32)
        return np.float32(self.sunlight * self.strength) * reddened / (reddened @ _LUMINANCE)

    @property
    def sky_rgb(self) -> np.ndarray:
        """(3,) float32: light of the whole sky on a surface that faces up."""
        mean = 0.5 * self._zenith() + 0.5 * self._horizon()
        return np.float32((1 - self.sunlight) * self.strength) * mean / (mean @ _LUMINANCE)

    @property
    def haze_rgb(self) -> np.ndarray:
        """(3,) float32: what is seen of things behind much air."""
        return self._gradient(np.array([[1.0, 0.0, 0.02]], np.float32))[0]

    def sky(self, directions: np.ndarray) -> np.ndarray:
        """(N, 3) float32 light from directions (N, 3) of the world."""
        light = self._gradient(directions)
        towards_sun = np.clip(directions @ self.sun.astype(np.float32), 0, 1)
        low = 1 - self.day
        level = np.exp(-np.abs(directions[:, 2:]) * 6.0)
        glow = (0.35 * towards_sun**6 + 1.4 * towards_sun**60)[:, None] * (1 - 0.8 * self.clouds)
        warm = self.sun_rgb / max(self.sunlight, 0.05)
        light = light + np.float32(0.5) * glow * warm * self.sunlight
        light += (low * self.sunlight) * level * towards_sun[:, None] ** 2 * _HORIZON_GLOW
        light += ((towards_sun > 0.99985) * (1 - self.clouds))[:, None] * 40 * warm * self.sunlight
        return self._with_clouds(light, directions, towards_sun)

    def _with_clouds(self, light: np.ndarray, directions: np.ndarray, towards_sun: np.ndarray) -> np.ndarray:
        """The sky with clouds on a plane above it, brighter at their edges and around the sun."""
        if self.clouds == 0:
            return light
        up = np.maximum(directions[:, 2], 0.0) + np.float32(0.06)
        drift = 1000.0 * self.season
        x, y = directions[:, 0] / up + drift, directions[:, 1] / up - drift
        form = octaves(x, y, (4.0, 2.0, 1.0, 0.5, 0.25), 0.03 / up) * 1.6
        cover = np.clip((form + 2.6 * self.clouds - 1.2) / 0.7, 0, 1) * np.clip(directions[:, 2] * 12, 0, 1)
        grey = self.sky_rgb * (1.25 - 0.5 * np.clip(form, -0.5, 1)[:, None])
        lit = grey + self.sun_rgb * (0.45 + 0.5 * towards_sun[:, None] ** 8) * (1 - 0.7 * self.clouds)
        return light + (lit - light) * (0.92 * cover)[:, None]

    def _gradient(self, directions: np.ndarray) -> np.ndarray:
        """(N, 3): the sky without clouds and sun, scaled so that its light is `sky_rgb`."""
        up = np.clip(directions[:, 2:], 0, 1) ** np.float32(0.45)
        zenith, horizon = self._zenith(), self._horizon()
        level = (0.5 * zenith + 0.5 * horizon) @ _LUMINANCE
        return np.float32((1 - self.sunlight) * self.strength) / level * (horizon + (zenith - horizon) * up)

    def _zenith(self) -> np.ndarray:
        clear = _DUSK_ZENITH + (_CLEAR_ZENITH - _DUSK_ZENITH) * np.float32(self.day)
        return clear + (_OVERCAST - clear) * np.float32(self.clouds**2)

    def _horizon(self) -> np.ndarray:
        dusk = 0.5 * _HORIZON_GLOW + 0.5 * _CLEAR_HORIZON
        clear = dusk + (_CLEAR_HORIZON - dusk) * np.float32(self.day)
        return clear + (0.8 * _OVERCAST - clear) * np.float32(self.clouds**2)
