"""How much light comes along rays: sun with shadows, sky as far as it is open, mirror images, haze.

Shapes: N rays, H x W pixels. Light is linear RGB, 1 is a white surface that faces the sun.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_core.simulation.meshes import Material
from clip2scene_core.simulation.paints import albedo
from clip2scene_core.simulation.scene import Hits, Scene
from clip2scene_core.simulation.textures import TEXTURES, spots_of, wetted
from clip2scene_core.simulation.weather import Weather

_OFF_M = np.float32(0.02)
"""How far above a surface rays start."""
_OPEN_M = 5.0
"""Surfaces farther away darken no corner."""
_FAR_M = np.float32(1e4)
"""Stands for the range where there is nothing."""
_CORNERS = 4
"""Width of the square of pixels that share what each of them sees of the sky in one direction."""
_TRANSLUCENT = np.float32(0.35)
"""Share of the sun's light that leaves let through."""
_MIRRORING = 0.03
"""Share from which on a mirror image is looked for."""
_SOAKED = (Material.ASPHALT, Material.LANE_MARKING, Material.PAVING, Material.CONCRETE)
_GROUND_ALBEDO = np.float32(0.18)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """The rays of the pixels of a picture."""

    origin: np.ndarray
    """(3,) float32, of all rays, in the world."""
    directions: np.ndarray
    """(N, 3) float32 unit vectors of the world, pixel by pixel, row by row."""
    angle: np.ndarray
    """(N,) float32 radians that each pixel is wide."""
    reached: np.ndarray
    """(H, W) bool: which pixels have a ray."""

    @property
    def origins(self) -> np.ndarray:
        """(N, 3) float32."""
        return np.broadcast_to(self.origin, self.directions.shape)

    def picture(self, values: np.ndarray, elsewhere: float) -> np.ndarray:
        """(H, W, ...) the values (N, ...) of rays in the places of their pixels."""
        whole = np.full((*self.reached.shape, *values.shape[1:]), elsewhere, values.dtype)
        whole[self.reached] = values
        return whole


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Surfaces:
    """What the rays have met; N rays that hit something."""

    albedo: np.ndarray
    """(N, 3) float32."""
    mirror: np.ndarray
    """(N,) float32."""
    glow: np.ndarray
    """(N, 3) float32."""


def light_along(scene: Scene, view: View, hits: Hits, weather: Weather) -> np.ndarray:
    """(N, 3) float32: the light that comes along the rays of a view, which meet `hits` in a frozen scene."""
    light = np.empty((len(view.directions), 3), np.float32)
    away = hits.face < 0
    light[away] = weather.sky(view.directions[away])
    rows = np.flatnonzero(~away)
    if not len(rows):
        return light
    directions, normal, range_m = view.directions[rows], hits.normal[rows], hits.range_m[rows]
    surfaces = _surfaces(scene, hits, rows, directions, view.angle[rows] * range_m, weather)
    at = view.origin + directions * range_m[:, None] + _OFF_M * normal
    leafy = scene.material[hits.face[rows]] == Material.LEAF
    arriving = _sunlight(scene, at, normal, leafy, weather)
    arriving += _skylight(normal, _open_sky(scene, view, hits, rows, at), weather)
    mirror = surfaces.mirror * (1 + 5 * _fresnel(-np.einsum("ni,ni->n", directions, normal)))
    mirror = np.minimum(mirror, 0.9)
    seen = surfaces.albedo * arriving + surfaces.glow
    seen += (_mirrored(scene, at, directions, normal, mirror, weather) - seen) * mirror[:, None]
    clear = np.exp(-range_m / np.float32(weather.visibility_m))[:, None]
    light[rows] = weather.haze_rgb + (seen - weather.haze_rgb) * clear
    return light


def _surfaces(
    scene: Scene, hits: Hits, rows: np.ndarray, directions: np.ndarray, width_m: np.ndarray, weather: Weather
) -> _Surfaces:
    """The texture of all that rays have met, material by material; pixels are `width_m` (N,) wide there."""
    colour = albedo(scene, hits.face[rows], weather)
    result = _Surfaces(
        albedo=np.empty((len(rows), 3), np.float32),
        mirror=np.empty(len(rows), np.float32),
        glow=np.zeros((len(rows), 3), np.float32),
    )
    material = scene.material[hits.face[rows]]
    order = np.argsort(material, kind="stable")
    ends = np.cumsum(np.bincount(material, minlength=len(Material)))
    for kind, texture in TEXTURES.items():
        own = order[ends[kind] - np.count_nonzero(material == kind) : ends[kind]]
        if not len(own):
            continue
        spots = spots_of(scene, hits, rows[own], directions[own], width_m[own], weather)
        finish = texture(spots, colour[own])
        if weather.wetness > 0 and kind in _SOAKED:
            finish = wetted(spots, finish, weather.wetness)
        result.albedo[own], result.mirror[own], result.glow[own] = finish.albedo, finish.mirror, finish.glow
    return result


def _sunlight(
    scene: Scene, at: np.ndarray, normal: np.ndarray, leafy: np.ndarray, weather: Weather
) -> np.ndarray:
    """(N, 3) light of the sun on surfaces at (N, 3); leaves let some through from behind."""
    sun = weather.sun.astype(np.float32)
    slant = normal @ sun
    share = np.where(leafy, 0.75 * np.maximum(slant, 0) + _TRANSLUCENT * np.abs(slant), np.maximum(slant, 0))
    rows = np.flatnonzero(share > 0) if weather.sunlight > 0 and sun[2] > 0 else np.zeros(0, np.int64)
    behind = (slant[rows] < 0)[:, None]
    start = at[rows] - 2 * _OFF_M * normal[rows] * behind
    towards = np.broadcast_to(sun, start.shape)
    lit = np.zeros(len(at), np.float32)
    lit[rows] = share[rows] * ~scene.blocked(start, towards, np.full(len(rows), _FAR_M))
    return lit[:, None] * weather.sun_rgb


def _skylight(normal: np.ndarray, open_share: np.ndarray, weather: Weather) -> np.ndarray:
    """(N, 3) light of the sky and what the ground and close surfaces scatter of it and of the sun."""
    up = (0.5 + 0.5 * normal[:, 2:]) * open_share[:, None]
    scattered = _GROUND_ALBEDO * (weather.sky_rgb + weather.sun_rgb * max(float(weather.sun[2]), 0.0))
    return up * weather.sky_rgb + (1 - up) * scattered


def _open_sky(scene: Scene, view: View, hits: Hits, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(N,) how much around each surface is open: one ray each, the mean over neighbours at like distance."""
    line, column = np.nonzero(view.reached)
    outwards = hits.normal[rows] + _DIRECTIONS[(line % _CORNERS * _CORNERS + column % _CORNERS)[rows]]
    outwards /= np.sqrt(np.einsum("ni,ni->n", outwards, outwards))[:, None]
    share = np.zeros(len(hits.face), np.float32)
    share[rows] = ~scene.blocked(at, outwards, np.full(len(rows), _OPEN_M))
    range_m = np.minimum(hits.range_m, _FAR_M)
    return _evened(view.picture(share, 0.0), view.picture(range_m, float(_FAR_M)))[view.reached][rows]


def _evened(values: np.ndarray, range_m: np.ndarray) -> np.ndarray:
    """(H, W) means over squares of pixels, of those pixels whose range is nearly that of the middle."""
    for axis in (0, 1):
        total, weight = np.zeros_like(values), np.zeros_like(values)
        pad = [(0, 0), (0, 0)]
        pad[axis] = (_CORNERS // 2, _CORNERS // 2 - 1)
        padded, ranges = np.pad(values, pad, "reflect"), np.pad(range_m, pad, "reflect")
        for shift in range(_CORNERS):
            window = (slice(None),) * axis + (slice(shift, shift + values.shape[axis]),)
            near = np.abs(ranges[window] - range_m) < 0.08 * range_m
            total += padded[window] * near
            weight += near
        values = total / np.maximum(weight, 1)
    return values


def _sphere(count: int) -> np.ndarray:
    """(count, 3) float32 unit vectors that cover the sphere evenly, in an order without pattern."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    level = np.sqrt(1 - z * z)
    points = np.stack([level * np.cos(turn), level * np.sin(turn), z], axis=1).astype(np.float32)
    return points[np.random.default_rng(4).permutation(count)] * np.float32(0.98)


_DIRECTIONS = _sphere(_CORNERS**2)
"""Added to a normal and made a unit vector, they follow the cosine law."""


def _fresnel(cosine: np.ndarray) -> np.ndarray:
    """(N,) how much more a surface mirrors the more it is seen from the side: Schlick's power law."""
    return (1 - np.clip(cosine, 0, 1)) ** 5


def _mirrored(
    scene: Scene,
    at: np.ndarray,
    directions: np.ndarray,
    normal: np.ndarray,
    mirror: np.ndarray,
    weather: Weather,
) -> np.ndarray:
    """(N, 3) what surfaces mirror: the sky, or things without texture in even light."""
    light = np.zeros((len(at), 3), np.float32)
    rows = np.flatnonzero(mirror > _MIRRORING)
    slant = np.einsum("ni,ni->n", directions[rows], normal[rows])
    away = directions[rows] - 2 * slant[:, None] * normal[rows]
    hits = scene.trace(at[rows], away, np.zeros(1, np.int64), np.zeros(len(rows), np.int64))
    open_rays, met = np.flatnonzero(hits.face < 0), np.flatnonzero(hits.face >= 0)
    light[rows[open_rays]] = weather.sky(away[open_rays])
    sunny = np.clip(hits.normal[met] @ weather.sun.astype(np.float32), 0, 1)[:, None] * weather.sun_rgb
    even = 0.6 * weather.sky_rgb + 0.6 * sunny
    light[rows[met]] = albedo(scene, hits.face[met], weather) * even
    return light
