"""Spinning LiDARs: beam tables, motion during the sweep, range noise, drop-out and intensity.

Shapes: B beams, W azimuth steps, N returns. The sensor frame is x forward, y left, z up. All beams of a
column are taken to fire at once: within a column a vehicle moves less than a millimetre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clip2scene_core.simulation.meshes import Material
from clip2scene_core.simulation.scene import Hits, Scene
from clip2scene_core.trajectory import Trajectory
from clip2scene_core.types import LidarScan, SemanticLabels

_SECOND_NS = 1_000_000_000

REFLECTIVITY = {
    Material.ASPHALT: 0.16,
    Material.LANE_MARKING: 0.55,
    Material.PAVING: 0.26,
    Material.CONCRETE: 0.30,
    Material.GRASS: 0.34,
    Material.SOIL: 0.22,
    Material.BRICK: 0.30,
    Material.PLASTER: 0.42,
    Material.GLASS: 0.06,
    Material.ROOF_TILE: 0.25,
    Material.WOOD: 0.34,
    Material.BARK: 0.25,
    Material.LEAF: 0.38,
    Material.CAR_PAINT: 0.35,
    Material.RUBBER: 0.07,
    Material.METAL: 0.40,
    Material.RETROREFLECTOR: 6.0,
    Material.CLOTH: 0.30,
    Material.SKIN: 0.45,
    Material.PLASTIC: 0.35,
    Material.HAIR: 0.30,
}
"""Share of near-infrared light that a surface sends back, of even brightness; a retro-reflector exceeds 1."""

_GLOSSY = np.isin(np.arange(len(Material)), [Material.GLASS, Material.CAR_PAINT, Material.METAL])
_REFLECTIVITY = np.array([REFLECTIVITY[m] for m in Material], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LidarModel:
    """A spinning LiDAR as its data sheet describes it."""

    name: str
    elevations_deg: np.ndarray
    """(B,) float64, of each beam, top beam first."""
    azimuth_offsets_deg: np.ndarray
    """(B,) float64, of each beam against the head."""
    azimuth_steps: int
    """W, columns a turn."""
    rate_hz: float
    """Turns a second, clockwise seen from above."""
    min_range_m: float
    max_range_m: float
    range_noise_m: float
    """Standard deviation."""
    beam_bias_m: np.ndarray | None = None
    """(B,) what each beam measures too far: its imperfect calibration; None for none."""
    reach_m: float
    """Range at which a surface that sends back 10 % is lost half of the time."""
    random_loss: float = 0.01
    """Probability that a return is lost for no visible reason."""
    glass_transmission: float = 0.25
    """Probability that a pulse goes through glass and returns from what lies behind."""
    gloss_threshold: float = 0.06
    """Echo below which glossy surfaces (paint, metal, glass) mirror the pulse away: the holes in cars."""
    intensity_gain: float = 1.0
    """Intensity that is given for a whole echo, before it is cut at 1."""

    @property
    def period_ns(self) -> int:
        """Duration of a turn."""
        return round(_SECOND_NS / self.rate_hz)

    def column_offsets_ns(self) -> np.ndarray:
        """(W,) int64: firing time of each column after the start of the turn."""
        return (np.arange(self.azimuth_steps) * self.period_ns) // self.azimuth_steps

    def directions(self) -> np.ndarray:
        """(W, B, 3) float32: unit vectors in the sensor frame; the turn starts behind the sensor."""
        head_deg = 180.0 - np.arange(self.azimuth_steps) * (360.0 / self.azimuth_steps)
        azimuth = np.deg2rad(head_deg[:, None] + self.azimuth_offsets_deg)
        elevation = np.deg2rad(self.elevations_deg)
        level = np.cos(elevation)
        up = np.broadcast_to(np.sin(elevation), azimuth.shape)
        return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), up], axis=-1).astype(np.float32)


def _model(
    name: str, elevations_deg: np.ndarray, *, azimuth_offsets_deg: np.ndarray | None = None, **settings: Any
) -> LidarModel:
    """Its beams lie above each other where no offsets are given."""
    offsets = np.zeros(len(elevations_deg)) if azimuth_offsets_deg is None else azimuth_offsets_deg
    return LidarModel(name=name, elevations_deg=elevations_deg, azimuth_offsets_deg=offsets, **settings)


def _hdl64_elevations_deg() -> np.ndarray:
    """Two blocks of 32 beams, a third and half of a degree apart, each beam a little off."""
    upper = 2.0 - np.arange(32) / 3.0
    lower = -8.83 - np.arange(32) * 0.5097
    nominal = np.concatenate([upper, lower])
    off = 0.06 * np.sin(np.arange(64) * 2.4) * np.where(np.arange(64) < 32, 1.0, 1.4)
    return np.clip(nominal + off, -24.9, 2.1)


def _vls128_elevations_deg() -> np.ndarray:
    """A dense band around the horizon, wider apart towards +15 and -25 degrees."""
    band = np.linspace(2.0, -6.0, 73)
    above = 2.0 + 13.0 * np.linspace(1.0, 0.0, 20, endpoint=False) ** 1.7
    below = -6.0 - 19.0 * np.linspace(0.0, 1.0, 36)[1:] ** 1.6
    return np.concatenate([above, band, below])


LIDARS: dict[str, LidarModel] = {
    model.name: model
    for model in (
        _model(
            "HDL-32E",
            10.67 - np.arange(32) * (41.34 / 31),
            azimuth_steps=1084,
            rate_hz=20.0,
            min_range_m=1.0,
            max_range_m=100.0,
            range_noise_m=0.015,
            reach_m=55.0,
        ),
        _model(
            "HDL-64E",
            _hdl64_elevations_deg(),
            azimuth_offsets_deg=np.where(np.arange(64) % 2, 2.6, -2.6),
            azimuth_steps=2083,
            rate_hz=10.0,
            min_range_m=1.5,
            max_range_m=120.0,
            range_noise_m=0.015,
            reach_m=75.0,
        ),
        _model(
            "VLP-16",
            15.0 - np.arange(16) * 2.0,
            azimuth_steps=1800,
            rate_hz=10.0,
            min_range_m=0.5,
            max_range_m=100.0,
            range_noise_m=0.015,
            reach_m=50.0,
        ),
        _model(
            "VLS-128",
            _vls128_elevations_deg(),
            azimuth_steps=1800,
            rate_hz=10.0,
            min_range_m=0.5,
            max_range_m=200.0,
            range_noise_m=0.015,
            reach_m=100.0,
        ),
    )
}
"""By name: beams and rates of the data sheets; the table of the 128-beam is a smooth likeness."""


def sweep(
    model: LidarModel,
    scene: Scene,
    sensor: Trajectory,
    stamp_ns: int,
    rng: np.random.Generator,
    *,
    frame_id: str = "lidar",
    compensated: bool = False,
) -> tuple[LidarScan, SemanticLabels]:
    """One turn that starts at `stamp_ns`, with the exact class (label set `town`) of every return.

    `sensor` is world_from_sensor over time. Points are in the sensor frame at their own firing time, as
    a driver gives them, or, where `compensated`, in the sensor frame at `stamp_ns` and without times.
    """
    directions = model.directions()
    columns, beams = directions.shape[:2]
    column = np.repeat(np.arange(columns), beams)
    offsets_ns = model.column_offsets_ns()
    rotations, positions = sensor.at(stamp_ns + offsets_ns)
    rays = np.einsum("wij,wbj->wbi", rotations.astype(np.float32), directions).reshape(-1, 3)
    origins = positions.astype(np.float32)[column]
    hits = _through_glass(model, scene, origins, rays, stamp_ns + offsets_ns, column, rng)

    signal, intensity = _signal(model, scene, hits, rays)
    heard = signal * rng.lognormal(0.0, 0.4, len(signal)) > 1.0
    heard &= rng.random(len(signal)) > model.random_loss
    heard &= (hits.range_m >= model.min_range_m) & (hits.range_m <= model.max_range_m)
    rows = np.flatnonzero(heard)

    range_m = hits.range_m[rows] - _into_grass(scene, hits, rays, rng)[rows]
    range_m += rng.normal(0.0, model.range_noise_m, len(rows)).astype(np.float32)
    if model.beam_bias_m is not None:
        range_m += model.beam_bias_m.astype(np.float32)[rows % beams]
    if compensated:
        xyz_world = origins[rows] + rays[rows] * range_m[:, None]
        xyz = sensor.pose(stamp_ns).inverse().apply(xyz_world)
    else:
        xyz = directions.reshape(-1, 3)[rows] * range_m[:, None]
    scan = LidarScan(
        xyz=xyz.astype(np.float32),
        intensity=intensity[rows],
        ring=(rows % beams).astype(np.uint16),
        time_offset_ns=None if compensated else offsets_ns[column[rows]],
        stamp_ns=stamp_ns,
        frame_id=frame_id,
    )
    return scan, SemanticLabels(class_id=scene.class_id[hits.face[rows]].astype(np.uint16))


def _into_grass(scene: Scene, hits: Hits, rays: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) float32 metres before the ground at which a blade of grass or a clod of soil sends a ray back."""
    height = np.zeros(len(Material), np.float32)
    height[Material.GRASS], height[Material.SOIL] = scene.grass_m, 0.3 * scene.grass_m
    above = height[scene.material[hits.face]] * rng.random(len(rays), np.float32)
    cosine = np.abs(np.einsum("ni,ni->n", hits.normal, rays))
    return np.minimum(above / np.maximum(cosine, 0.1), 0.5 * hits.range_m)


def _through_glass(
    model: LidarModel,
    scene: Scene,
    origins: np.ndarray,
    rays: np.ndarray,
    times_ns: np.ndarray,
    column: np.ndarray,
    rng: np.random.Generator,
) -> Hits:
    """The surface that answers: the first one, or the next one where the pulse goes through a pane."""
    hits = scene.trace(origins, rays, times_ns, column)
    glass = (hits.face >= 0) & (scene.material[hits.face] == Material.GLASS)
    through = np.flatnonzero(glass & (rng.random(len(glass)) < model.glass_transmission))
    if len(through) == 0:
        return hits
    passed_m = hits.range_m[through] + np.float32(0.03)
    start = origins[through] + rays[through] * passed_m[:, None]
    behind = scene.trace(start, rays[through], times_ns, column[through])
    hits.range_m[through] = passed_m + behind.range_m
    hits.face[through] = behind.face
    hits.normal[through] = behind.normal
    hits.weights[through] = behind.weights
    return hits


def _signal(model: LidarModel, scene: Scene, hits: Hits, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strength of the echo against the threshold, and intensity 0..1; zero where nothing was hit.

    The echo falls with the square of the range and with the cosine of incidence: with its root on rough
    surfaces, with its square on glossy ones.
    """
    hit = hits.face >= 0
    material = scene.material[hits.face]
    brightness = scene.colour[hits.face].astype(np.float32).mean(axis=1) / 255.0
    reflectivity = _REFLECTIVITY[material] * (0.35 + 1.3 * brightness)
    cosine = np.abs(np.einsum("ni,ni->n", hits.normal, rays))
    glossy = _GLOSSY[material]
    echo = np.where(hit, reflectivity * np.where(glossy, cosine**2, np.sqrt(cosine)), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        signal = np.where(hit, echo / 0.1 * (model.reach_m / hits.range_m) ** 2, 0.0)
    mirrored = glossy & (model.gloss_threshold > 0)
    signal = np.where(mirrored, np.minimum(signal, echo / max(model.gloss_threshold, 1e-9)), signal)
    # Sensors correct the intensity for range.
    return signal, np.clip(model.intensity_gain * echo, 0.0, 1.0).astype(np.float32)
