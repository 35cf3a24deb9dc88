"""What rays meet in the town: one static mesh and moving actors, traced with Embree.

Shapes: N rays, T times, F faces of all meshes together.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from clip2scene_core.simulation.meshes import Mesh
from clip2scene_core.simulation.motion import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Actor:
    """A rigid object that moves; its trajectory is world_from_object."""

    mesh: Mesh
    trajectory: Trajectory


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hits:
    """The nearest surface on each ray."""

    range_m: np.ndarray
    """(N,) float32, in multiples of the direction's length; inf where there is nothing."""
    face: np.ndarray
    """(N,) int64, row of the scene's face tables; -1 where there is nothing."""
    normal: np.ndarray
    """(N, 3) float32, unit normal in the world, towards the ray; zero where there is nothing."""


class Scene:
    """Answers which surface a ray meets first, at the time at which the ray is sent."""

    def __init__(self, static: Mesh, actors: tuple[Actor, ...] = ()) -> None:
        self.actors = actors
        self._static = _embree(static)
        self._models: dict[int, tuple[EmbreeScene, int]] = {}
        meshes, rows = [static], len(static.faces)
        for actor in actors:
            if id(actor.mesh) not in self._models:
                self._models[id(actor.mesh)] = (_embree(actor.mesh), rows)
                meshes.append(actor.mesh)
                rows += len(actor.mesh.faces)
        self.class_id = np.concatenate([m.class_id for m in meshes])
        """(F,) uint8, ids of the label set `town`."""
        self.material = np.concatenate([m.material for m in meshes])
        """(F,) uint8, values of Material."""
        self.colour = np.concatenate([m.colour for m in meshes])
        """(F, 3) uint8 RGB."""

    def keeping(self, actors: tuple[Actor, ...]) -> Scene:
        """The same scene with some of its actors only."""
        scene = copy(self)
        scene.actors = actors
        return scene

    def trace(
        self, origins: np.ndarray, directions: np.ndarray, times_ns: np.ndarray, time_index: np.ndarray
    ) -> Hits:
        """Rays from origins (N, 3) along unit directions (N, 3) of the world, sent at times_ns[time_index]."""
        origins = np.ascontiguousarray(origins, np.float32)
        directions = np.ascontiguousarray(directions, np.float32)
        range_m, face, normal = _run(self._static, origins, directions)
        for actor, near in self._near(origins, directions, times_ns):
            embree, first_face = self._models[id(actor.mesh)]
            world_from_object, translations = actor.trajectory.at(times_ns)
            rotation = world_from_object.astype(np.float32)[time_index[near]]
            offset = origins[near] - translations.astype(np.float32)[time_index[near]]
            found_m, found, found_normal = _run(
                embree,
                np.einsum("nji,nj->ni", rotation, offset),
                np.einsum("nji,nj->ni", rotation, directions[near]),
            )
            nearer = np.flatnonzero(found_m < range_m[near])
            rows = near[nearer]
            range_m[rows] = found_m[nearer]
            face[rows] = found[nearer] + first_face
            normal[rows] = np.einsum("nij,nj->ni", rotation[nearer], found_normal[nearer])
        return Hits(range_m=range_m, face=face, normal=normal)

    def _near(self, origins: np.ndarray, directions: np.ndarray, times_ns: np.ndarray):
        """Each actor with the rows of the rays that come near its bounding sphere at any of the times."""
        for actor in self.actors:
            rotations, positions = actor.trajectory.at(times_ns[[0, len(times_ns) // 2, -1]])
            low, high = actor.mesh.vertices.min(axis=0), actor.mesh.vertices.max(axis=0)
            centres = (rotations @ ((low + high) / 2) + positions).astype(np.float32)
            moved_m = np.linalg.norm(centres - centres[1], axis=1).max()
            radius_m = np.linalg.norm(high - low) / 2 + moved_m + 0.05
            to_centre = centres[1] - origins
            along = np.einsum("ni,ni->n", to_centre, directions)
            across2 = np.einsum("ni,ni->n", to_centre, to_centre) - along**2
            near = np.flatnonzero((along > -radius_m) & (across2 < radius_m**2))
            if len(near):
                yield actor, near


def _embree(mesh: Mesh) -> EmbreeScene:
    scene = EmbreeScene()
    TriangleMesh(
        scene, np.ascontiguousarray(mesh.vertices, np.float32), np.ascontiguousarray(mesh.faces, np.int32)
    )
    return scene


def _run(scene: EmbreeScene, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, ...]:
    """Range (inf where nothing), face (-1) and unit normal towards the ray, of each ray in the scene's frame."""
    result = scene.run(np.ascontiguousarray(origins), np.ascontiguousarray(directions), output=1)
    face = result["primID"].astype(np.int64)
    range_m = np.where(face >= 0, result["tfar"], np.float32(np.inf)).astype(np.float32)
    normal = result["Ng"]
    length = np.linalg.norm(normal, axis=1)
    facing = -np.sign(np.einsum("ni,ni->n", normal, directions))
    normal = normal * (facing / np.maximum(length, 1e-12))[:, None]
    return range_m, face, normal.astype(np.float32)
