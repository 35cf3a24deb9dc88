"""Triangle meshes with a class and a material per face: what the simulated town is made of.

Every object is built in its own frame: origin on the ground below its centre, x forward, y left, z up,
metres.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from clip2scene_core.geometry import SE3


class Material(IntEnum):
    """What a face is made of: it decides how much of a pulse a LiDAR gets back (lidar.REFLECTIVITY)."""

    ASPHALT = 0
    LANE_MARKING = 1
    PAVING = 2
    CONCRETE = 3
    GRASS = 4
    SOIL = 5
    BRICK = 6
    PLASTER = 7
    GLASS = 8
    ROOF_TILE = 9
    WOOD = 10
    BARK = 11
    LEAF = 12
    CAR_PAINT = 13
    RUBBER = 14
    METAL = 15
    RETROREFLECTOR = 16
    CLOTH = 17
    SKIN = 18
    PLASTIC = 19
    HAIR = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mesh:
    """Triangles in one frame."""

    vertices: np.ndarray
    """(V, 3) float32, metres."""
    faces: np.ndarray
    """(F, 3) int32, counter-clockwise seen from outside."""
    class_id: np.ndarray
    """(F,) uint8, ids of the label set `town`."""
    material: np.ndarray
    """(F,) uint8, values of Material."""
    colour: np.ndarray
    """(F, 3) uint8 RGB, what a camera sees in even light."""

    @classmethod
    def uniform(
        cls,
        vertices: np.ndarray,
        faces: np.ndarray,
        class_id: int,
        material: Material,
        colour: tuple[int, int, int],
    ) -> Mesh:
        """All faces of one class, material and colour."""
        count = len(faces)
        return cls(
            vertices=np.asarray(vertices, np.float32),
            faces=np.asarray(faces, np.int32),
            class_id=np.full(count, class_id, np.uint8),
            material=np.full(count, material, np.uint8),
            colour=np.tile(np.asarray(colour, np.uint8), (count, 1)),
        )

    @classmethod
    def merge(cls, meshes: Iterable[Mesh]) -> Mesh:
        """One mesh with the faces of all; raises ValueError for none."""
        meshes = list(meshes)
        offsets = np.cumsum([0, *(len(m.vertices) for m in meshes[:-1])])
        return cls(
            vertices=np.concatenate([m.vertices for m in meshes]),
            faces=np.concatenate([m.faces + np.int32(o) for m, o in zip(meshes, offsets, strict=True)]),
            class_id=np.concatenate([m.class_id for m in meshes]),
            material=np.concatenate([m.material for m in meshes]),
            colour=np.concatenate([m.colour for m in meshes]),
        )

    def moved(self, target_from_object: SE3) -> Mesh:
        """The same mesh in another frame."""
        return replace(self, vertices=target_from_object.apply(self.vertices))
