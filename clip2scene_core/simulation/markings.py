"""Paint on the road: lines between lanes, zebra crossings and stop lines, as thin quads over the asphalt."""

from __future__ import annotations

import numpy as np

from clip2scene_core.simulation.ground import ROAD
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.plan import Surface
from clip2scene_core.simulation.roads import Road, RoadNetwork

_THICKNESS_M = 0.008


def paint(network: RoadNetwork, surface: Surface, rng: np.random.Generator) -> list[Mesh]:
    """The markings of the roads in the world, as at most one mesh."""
    quads = []
    for road in network.roads:
        if rng.random() < 0.75:
            quads += _lines(network, road, rng)
        if rng.random() < 0.6:
            quads += _crossings(network, road, rng)
    if not quads:
        return []
    corners = np.concatenate(quads)
    height, class_id = surface.below(corners.reshape(-1, 2))
    flat = (class_id.reshape(-1, 4) == ROAD).all(axis=1)
    vertices = np.concatenate([corners[flat], height.reshape(-1, 4, 1)[flat] + _THICKNESS_M], axis=2)
    first = 4 * np.arange(len(vertices))[:, None]
    faces = np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])])
    shade = int(rng.integers(190, 240))
    white = (shade, shade, shade)
    return [Mesh.uniform(vertices.reshape(-1, 3), faces, ROAD, Material.LANE_MARKING, white)]


def _lines(network: RoadNetwork, road: Road, rng: np.random.Generator) -> list[np.ndarray]:
    """Lines between the lanes (dashed), in the middle and along the edges, broken at junctions."""
    dash = rng.uniform(1.5, 6.0)
    laterals = [(0.0, rng.random() < 0.5)] if road.median_m == 0 else []
    for side in (1, -1):
        between = [road.median_m / 2 + lane * road.lane_m for lane in range(1, road.lanes)]
        laterals += [(side * lateral, True) for lateral in between]
        if rng.random() < 0.5:
            laterals.append((side * (road.lanes_edge_m - 0.15), False))
    quads = []
    for lateral, dashed in laterals:
        length = dash if dashed else 2.0
        start = np.arange(0.0, road.curve.length_m - length, 2.5 * dash if dashed else length)
        quads.append(_strip(network, road, start, start + length, lateral, rng.uniform(0.1, 0.2)))
    return quads


def _crossings(network: RoadNetwork, road: Road, rng: np.random.Generator) -> list[np.ndarray]:
    """Zebra crossings somewhere along the road."""
    quads = []
    for station in rng.uniform(0.1, 0.9, 2) * road.curve.length_m:
        across = np.arange(-road.edge_m(-1) + 0.5, road.edge_m(1) - 0.5, 1.0)
        width = rng.uniform(2.5, 4.0)
        for lateral in across.tolist():
            quads.append(
                _strip(network, road, np.array([station]), np.array([station + width]), lateral, 0.5)
            )
    return quads


def _strip(
    network: RoadNetwork, road: Road, start_m: np.ndarray, end_m: np.ndarray, lateral_m: float, width_m: float
) -> np.ndarray:
    """(P, 4, 2) quads along a road, without those that lie on another road."""
    right, left = lateral_m - width_m / 2, lateral_m + width_m / 2
    corners = ((start_m, right), (end_m, right), (end_m, left), (start_m, left))
    quads = np.stack([road.curve.at(station, lateral)[0] for station, lateral in corners], axis=1)
    clear = network.distance_to_others(quads.mean(axis=1), road) > 2.0
    return quads[clear]
