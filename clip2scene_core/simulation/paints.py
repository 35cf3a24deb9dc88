"""In which colours a town is painted: the same meshes, with other colours for each number.

The colours of classes overlap on purpose: there are green cars, grey bushes, red roads and brown lawns, so
that nobody learns a class from its colour. Shapes: N pixels, F faces.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from clip2scene_core.simulation.meshes import Material
from clip2scene_core.simulation.optics import linear_of_srgb
from clip2scene_core.simulation.patterns import random
from clip2scene_core.simulation.scene import Scene
from clip2scene_core.simulation.solids import CLASS_IDS
from clip2scene_core.simulation.weather import Weather

_GREYS = "#2b2c2e #47494b #626466 #808284 #9b9c9c #b9b8b4 #d6d4ce"
_STONES = "#6d6a66 #8b8680 #a39b8f #b8ad9b #c9c1b2 #9a7b68 #8c5a48 #7d8489 #55575a #cbb48c"
_WALLS = (
    "#efe9dc #e2d2b0 #d8b98a #c99b6b #b9714f #a34c3c #8e3b36 #e3b7a0 #d9a3a8 #b7c3a5 #8fa58b #6d8f7a #a9bccb "
    "#7f9bb4 #5b7896 #e7d279 #d9b23f #f4f3ef #bdbbb6 #8b8a88 #5d5c5c #3b3c40 #7a5c48 #54402f"
)
_VIVID = (
    "#f2f1ee #d9dadb #aeb1b4 #7b7f83 #4c4f53 #1d1e21 #16284f #2f5fa3 #6fa3cf #9b1b22 #c8383a #5a1420 #21452f "
    "#4c7a46 #8fa864 #b79e6c #8a6a3f #4f3524 #d98a1e #e8c52c #c4622d #6d3f72 #2f8f93 #d8c9a6 #a9855a"
)
_PALETTES = {
    "road": "#3a3a3d #4d4d50 #626263 #767574 #8c8a86 #a3a09a #6e5a50 #7d4f45 #6a6256 #8a7a66 #525c63 #59604f",
    "paving": _STONES + " #b5553f #c8a46a #6f7d6a",
    "paint": "#e9e8e2 #d8d6cd #e6c64a #f2f2f0 #c4c2ba",
    "grass": "#4f7a2c #6c8f3b #8aa04d #a7a355 #b79f5d #9a8a4d #3e5f2b #7b7a3e #5f6f4a #8f7d55 #6c6a55",
    "soil": "#6b543d #8a6b4a #a98a62 #c0a67c #7d7267 #9b938a #8c5138 #574a40 #b7b0a4",
    "spring": "#7fa53c #94b648 #6d9440 #a9bd62 #d7b5c0 #e4dcd3 #8a9a55",
    "summer": "#3f6428 #4f7a2e #62873a #2e4f26 #6a7a3c #4a5b3a #7d8f52 #5a2f36 #6f7f6a #34533f",
    "autumn": "#c78f28 #d6a93c #b5642a #9c3b22 #7f2c24 #a88742 #6b6a32 #8a5a2e #c9b25a #5e4a2c",
    "winter": "#6b5a48 #7d6f5e #8b7a62 #5b5448 #4b5a3c #3c4f36 #98907f #6f6552",
    "brick": "#9a4a38 #7d3a30 #b06a4a #c79a6c #d8c39a #e6e0d4 #8a8580 #5d5552 #46342c #a3705c #6e3f3a",
    "wall": _WALLS,
    "roof": "#9c4a34 #7a3a2e #5d4a42 #4b4c50 #6c6e72 #38393c #8a7a66 #5e6f62 #47607a #a3674a #8c8f92",
    "bark": "#5d4a3a #7a6650 #8f8272 #a9a196 #4a443c #6c6a58 #c4c0b6 #6f4a36 #545c48",
    "wood": "#8a6a48 #a98659 #6b4a30 #c4a378 #e2ddd2 #7d8078 #4f5a48 #5d2f28 #54626c #3a332c #b5b0a6 #5c7d5f",
    "metal": _GREYS + " #2f4a38 #4f6b5a #6b3a2e #8a6a50 #e0dfda #384a63 #9a9f8c #7c7a3c",
    "vivid": _VIVID,
    "cloth": _VIVID + " #b55a78 #e2b8c0 #37506b #7c8a5c #5c4a63 #3a2f2a",
}
_OF_MATERIAL = {
    Material.ASPHALT: "road",
    Material.LANE_MARKING: "paint",
    Material.PAVING: "paving",
    Material.CONCRETE: "paving",
    Material.GRASS: "grass",
    Material.SOIL: "soil",
    Material.BRICK: "brick",
    Material.PLASTER: "wall",
    Material.ROOF_TILE: "roof",
    Material.WOOD: "wood",
    Material.BARK: "bark",
    Material.CAR_PAINT: "vivid",
    Material.METAL: "metal",
    Material.CLOTH: "cloth",
}
_SEASONS = ("spring", "summer", "autumn", "winter")
_MIXED = 105.0
"""Brightness of the mesh colours of leaves, about which they vary."""


@cache
def _table() -> tuple[np.ndarray, dict[str, tuple[int, int]]]:
    """All colours (K, 3), linear, and the first row and number of rows of each palette."""
    colours: list[list[int]] = []
    where = {}
    for name, text in _PALETTES.items():
        words = text.split()
        where[name] = (len(colours), len(words))
        colours += [[int(word[k : k + 2], 16) for k in (1, 3, 5)] for word in words]
    return linear_of_srgb(np.array(colours)), where


def albedo(scene: Scene, face: np.ndarray, weather: Weather) -> np.ndarray:
    """(N, 3) float32: linear colours of faces (N,) before their texture."""
    colour = scene.colour[face]
    if weather.paint_seed is None:
        return _LINEAR[colour]
    material, class_id = scene.material[face], scene.class_id[face]
    # Faces of one surface differ in brightness at most: the differences of channels tell surfaces apart.
    # Those of a hedge or fence are the same on all of its pieces, which are objects of their own.
    red, green, blue = colour.astype(np.int32).T
    leaf = _LEAFY[material]
    owner = np.where(leaf | np.isin(class_id, _IN_PIECES), 0, scene.object_id[face])
    town = random(weather.paint_seed, material, class_id)
    surface = random(weather.paint_seed, owner, material, red - green, np.where(leaf, 0, green - blue))
    ground = _GROUND[material]
    draw = np.where(ground, town, surface)
    first, count = _palette_rows(material, class_id, surface, weather)
    row = first + (draw * np.maximum(count, 1)).astype(np.int32)
    key = (draw * 2**24).astype(np.int32)
    tint = [random(key, weather.paint_seed, channel) for channel in range(4)]
    brightness = np.exp(1.1 * (tint[3] - np.float32(0.5)))[:, None]
    hue = np.exp(0.24 * (np.stack(tint[:3], axis=1) - np.float32(0.5)))
    painted = _table()[0][row] * brightness * hue
    if leaf.any():
        grey = (0.3 * red + 0.6 * green + 0.1 * blue) / np.float32(_MIXED)
        painted = np.where(leaf[:, None], painted * np.clip(grey, 0.4, 1.8)[:, None], painted)
    return np.where((count > 0)[:, None], np.minimum(painted, 0.9), _LINEAR[colour]).astype(np.float32)


def _palette_rows(
    material: np.ndarray, class_id: np.ndarray, draw: np.ndarray, weather: Weather
) -> tuple[np.ndarray, ...]:
    """First row (N,) and number of rows (N,) of the palette of each face; 0 rows where it keeps its colour.

    `draw` (N,) tells which plants are green all the year round.
    """
    where = _table()[1]
    spans = np.zeros((len(Material), 2), np.int32)
    for kind, name in _OF_MATERIAL.items():
        spans[kind] = where[name]
    spans[Material.LEAF] = where[_SEASONS[int(weather.season * 4) % 4]]
    first, count = spans[material].T
    evergreen = _LEAFY[material] & (np.mod(draw * 64, 1) < 0.3)
    clad = _CLAD[material] & (class_id == CLASS_IDS["building"])
    for chosen, name in ((evergreen, "summer"), (clad, "wall")):
        first = np.where(chosen, where[name][0], first)
        count = np.where(chosen, where[name][1], count)
    return first, count


_IN_PIECES = (CLASS_IDS["fence"], CLASS_IDS["barrier"])
_LINEAR = linear_of_srgb(np.arange(256))
_GROUND = np.isin(
    np.arange(len(Material)),
    [Material.ASPHALT, Material.PAVING, Material.GRASS, Material.SOIL, Material.LANE_MARKING],
)
_LEAFY = np.arange(len(Material)) == Material.LEAF
_CLAD = np.isin(np.arange(len(Material)), [Material.METAL, Material.CONCRETE, Material.PLASTIC])
