"""Where things stand in a town: claims on the ground, then heights, then one mesh."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.ground import Yard
from clip2scene_core.simulation.meshes import Mesh
from clip2scene_core.simulation.roads import RoadNetwork

_CELL_M = 0.5


class Surface:
    """Heights of a ground mesh."""

    def __init__(self, ground: Mesh) -> None:
        self._scene = EmbreeScene()
        TriangleMesh(self._scene, ground.vertices, ground.faces)
        self._class_id = ground.class_id

    def below(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Height (Q,) in metres and class id (Q,) of the ground at (Q, 2); zeros outside the town."""
        origins = np.column_stack([xy, np.full(len(xy), 200.0)]).astype(np.float32)
        down = np.tile(np.array([0, 0, -1], np.float32), (len(xy), 1))
        hits = self._scene.run(origins, down, output=1)
        found = hits["primID"] >= 0
        height = np.where(found, 200.0 - hits["tfar"].astype(np.float64), 0.0)
        return height, np.where(found, self._class_id[hits["primID"]], 0)


class Plan:
    """Objects with their places, before the ground is built; refuses overlaps."""

    def __init__(self, network: RoadNetwork, extent_m: float) -> None:
        self.network = network
        self.extent_m = extent_m
        self.yards: list[Yard] = []
        self.lowered: list[tuple[np.ndarray, float]] = []
        self._objects: list[tuple[Mesh, np.ndarray, float, str]] = []
        cells = int(2 * extent_m / _CELL_M)
        self._taken = np.zeros((cells, cells), bool)
        line = np.arange(-extent_m, extent_m + 2.0, 2.0)
        grid = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1)
        around = network.surroundings(grid.reshape(-1, 2))
        self._outside = around.outside_m.reshape(len(line), len(line))

    def outside_m(self, xy: np.ndarray) -> np.ndarray:
        """(Q,) distance to the nearest kerb, negative on the carriageway; nearest of a 2 m grid, bilinear."""
        at = np.clip((xy + self.extent_m) / 2.0, 0, len(self._outside) - 1.001)
        cell = at.astype(int)
        fx, fy = (at - cell).T
        i, j = cell.T
        low = self._outside[i, j] * (1 - fy) + self._outside[i, j + 1] * fy
        high = self._outside[i + 1, j] * (1 - fy) + self._outside[i + 1, j + 1] * fy
        return low * (1 - fx) + high * fx

    def claim(
        self, xy: np.ndarray, yaw: float, low: np.ndarray, high: np.ndarray, *, outside_m: float | None
    ) -> bool:
        """Take the rectangle low..high (2,) of an object's frame at a pose, if it is free.

        `outside_m` is the least distance to any kerb; None where it may stand on the carriageway.
        """
        x = np.arange(low[0], max(high[0], low[0] + 0.01), 0.4)
        y = np.arange(low[1], max(high[1], low[1] + 0.01), 0.4)
        points = np.stack(np.meshgrid(np.append(x, high[0]), np.append(y, high[1])), axis=-1).reshape(-1, 2)
        c, s = np.cos(yaw), np.sin(yaw)
        points = points @ np.array([[c, s], [-s, c]]) + xy
        if np.abs(points).max() > self.extent_m - 1:
            return False
        cells = ((points + self.extent_m) / _CELL_M).astype(int)
        if self._taken[cells[:, 0], cells[:, 1]].any():
            return False
        if outside_m is not None and self.outside_m(points).min() < outside_m:
            return False
        self._taken[cells[:, 0], cells[:, 1]] = True
        return True

    def free(self, xy: np.ndarray) -> np.ndarray:
        """(Q,) bool: nothing stands at (Q, 2)."""
        cells = np.clip(((xy + self.extent_m) / _CELL_M).astype(int), 0, len(self._taken) - 1)
        return ~self._taken[cells[:, 0], cells[:, 1]]

    def stand(
        self,
        mesh: Mesh,
        xy: np.ndarray,
        yaw: float,
        *,
        outside_m: float | None = 0.1,
        footprint_m: float | np.ndarray | None = None,
        fit: str = "tilted",
    ) -> bool:
        """Place an object if its footprint is free.

        `footprint_m` is the side of a square or low and high corner (2, 2); None for the bounds of the mesh.

        `fit`: `tilted` follows the slope, `upright` stands at the height below its middle, `sunk` at the
        lowest.
        """
        if footprint_m is None:
            low, high = mesh.vertices[:, :2].min(axis=0), mesh.vertices[:, :2].max(axis=0)
        elif isinstance(footprint_m, np.ndarray):
            low, high = footprint_m
        else:
            low, high = np.full(2, -footprint_m / 2), np.full(2, footprint_m / 2)
        if not self.claim(np.asarray(xy), yaw, low, high, outside_m=outside_m):
            return False
        self._objects.append((mesh, np.asarray(xy), yaw, fit))
        return True

    def line(
        self,
        build: Callable[[np.random.Generator, float], Mesh],
        seed: int,
        points: np.ndarray,
        *,
        outside_m: float | None = 0.05,
        width_m: float = 0.3,
    ) -> None:
        """Place a fence, hedge or rail along points (P, 2), one piece per free stretch, over the ground."""
        for a, b in pairwise(points):
            length = float(np.linalg.norm(b - a))
            yaw = float(np.arctan2(*(b - a)[::-1]))
            low, high = np.array([0.3, -width_m / 2]), np.array([length - 0.3, width_m / 2])
            if length > 0.8 and self.claim(a, yaw, low, high, outside_m=outside_m):
                self._objects.append((build(np.random.default_rng(seed), length), a, yaw, "draped"))

    def build(self, surface: Surface) -> list[Mesh]:
        """All objects in the world."""
        heights = self._heights(surface)
        return [_settled(item, h, surface) for item, h in zip(self._objects, heights, strict=True)]

    def _heights(self, surface: Surface) -> np.ndarray:
        """(O, 5) ground heights below each object's middle, front, back, left and right."""
        probes = []
        for mesh, xy, yaw, _ in self._objects:
            reach = 0.4 * (mesh.vertices[:, :2].max(axis=0) - mesh.vertices[:, :2].min(axis=0))
            ahead = reach[0] * np.array([np.cos(yaw), np.sin(yaw)])
            left = reach[1] * np.array([-np.sin(yaw), np.cos(yaw)])
            probes.append(np.stack([xy, xy + ahead, xy - ahead, xy + left, xy - left]))
        if not probes:
            return np.zeros((0, 5))
        return surface.below(np.concatenate(probes))[0].reshape(-1, 5)


def _settled(item: tuple[Mesh, np.ndarray, float, str], heights: np.ndarray, surface: Surface) -> Mesh:
    """An object on the ground, as its fit says."""
    mesh, xy, yaw, fit = item
    level = float(heights.min() if fit == "sunk" else heights[0])
    moved = mesh.moved(SE3.from_yaw(yaw, np.array([*xy, 0.0])))
    vertices = moved.vertices
    if fit == "draped":
        vertices[:, 2] += surface.below(vertices[:, :2])[0].astype(np.float32)
        return moved
    vertices[:, 2] += level
    if fit == "tilted":
        reach = 0.8 * (mesh.vertices[:, :2].max(axis=0) - mesh.vertices[:, :2].min(axis=0))
        slope = np.array([heights[1] - heights[2], heights[3] - heights[4]]) / np.maximum(reach, 0.2)
        vertices[:, 2] += mesh.vertices[:, :2] @ np.clip(slope, -0.15, 0.15).astype(np.float32)
    return moved
