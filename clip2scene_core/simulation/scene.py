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
from clip2scene_core.trajectory import Trajectory

_FARTHEST_M = 1e30
"""What Embree gets instead of infinity."""


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
    weights: np.ndarray
    """(N, 2) float32, barycentric weights of the second and third corner of the face."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Model:
    """A mesh that actors share."""

    embree: EmbreeScene
    faces: np.ndarray
    """(G,) int64, the rows of its G faces in the face tables of the scene."""
    middle: np.ndarray
    """(3,) metres, in its own frame."""
    radius_m: float
    """Of a sphere about `middle` that holds it."""

    @classmethod
    def of(cls, mesh: Mesh, faces: np.ndarray) -> _Model:
        middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
        radius = np.linalg.norm(mesh.vertices - middle, axis=1).max()
        return cls(embree=_embree(mesh), faces=faces, middle=middle, radius_m=float(radius))

    def sphere(self, trajectory: Trajectory, times_ns: np.ndarray) -> tuple[np.ndarray, float]:
        """Centre (3,) and radius of a sphere that holds it at all of the times, however it is turned."""
        at = trajectory.positions(times_ns[[0, len(times_ns) // 2, -1]])
        moved_m = np.linalg.norm(at - at[1], axis=1).max()
        height = np.array([0.0, 0.0, self.middle[2]])
        aside_m = float(np.hypot(*self.middle[:2])) + 0.1 * self.middle[2]
        return (at[1] + height).astype(np.float32), self.radius_m + aside_m + float(moved_m) + 0.05


class Scene:
    """Answers which surface a ray meets first, at the time at which the ray is sent."""

    def __init__(
        self,
        static: Mesh,
        actors: tuple[Actor, ...] = (),
        *,
        grass_m: float = 0.0,
        object_id: np.ndarray | None = None,
    ) -> None:
        """`grass_m` is how high the grass stands on faces of Material.GRASS.

        `object_id` numbers the objects that the faces of `static` belong to, one object after the other; None
        where it is one object.
        """
        self.actors = actors
        self.grass_m = grass_m
        self._layers = [(_embree(static), np.arange(len(static.faces)))]
        self._models: dict[int, _Model] = {}
        meshes, rows = [static], len(static.faces)
        objects = [np.zeros(rows, np.int64) if object_id is None else object_id]
        for actor in actors:
            if id(actor.mesh) not in self._models:
                count = len(actor.mesh.faces)
                self._models[id(actor.mesh)] = _Model.of(actor.mesh, np.arange(rows, rows + count))
                meshes.append(actor.mesh)
                objects.append(np.full(count, objects[-1].max(initial=0) + 1))
                rows += count
        self.class_id = np.concatenate([m.class_id for m in meshes])
        """(F,) uint8, ids of the label set `town`."""
        self.material = np.concatenate([m.material for m in meshes])
        """(F,) uint8, values of Material."""
        self.colour = np.concatenate([m.colour for m in meshes])
        """(F, 3) uint8 RGB."""
        self.object_id = np.concatenate(objects)
        """(F,) int64, ascending: which object a face belongs to; actors of one mesh share their number."""
        offsets = np.cumsum([0, *(len(m.vertices) for m in meshes[:-1])])
        self._vertices = np.concatenate([m.vertices for m in meshes])
        self._corners = np.concatenate([m.faces + o for m, o in zip(meshes, offsets, strict=True)])
        first = np.flatnonzero(np.diff(self.object_id, prepend=-1))
        lowest = self._vertices[:, 2][self._corners].min(axis=1)
        self._foot_m = np.repeat(np.minimum.reduceat(lowest, first), np.diff(first, append=len(lowest)))

    def corners(self, face: np.ndarray) -> np.ndarray:
        """(N, 3, 3) float32 metres: the corners of faces (N,), in the frame of their mesh."""
        return self._vertices[self._corners[face]]

    def foot_m(self, face: np.ndarray) -> np.ndarray:
        """(N,) float32: z of the lowest vertex of the object that each face belongs to, in its frame."""
        return self._foot_m[face]

    def keeping(self, actors: tuple[Actor, ...]) -> Scene:
        """The same scene with some of its actors only."""
        scene = copy(self)
        scene.actors = actors
        return scene

    def in_cone(
        self, time_ns: int, apex: np.ndarray, axis: np.ndarray, opening_rad: float, margin_m: float
    ) -> Scene:
        """The same scene with the actors that come within `margin_m` of a cone at one time.

        `apex` (3,) and the unit vector `axis` (3,) are of the world, `opening_rad` is half of its aperture.
        """
        kept = []
        for actor in self.actors:
            model = self._models[id(actor.mesh)]
            offset = actor.trajectory.positions(np.array([time_ns]))[0] - apex
            distance = float(np.linalg.norm(offset))
            reach = model.radius_m + float(np.linalg.norm(model.middle)) + margin_m
            off_axis = np.arccos(np.clip(offset @ axis / max(distance, 1e-6), -1.0, 1.0))
            if distance < reach or off_axis - np.arcsin(reach / distance) < opening_rad:
                kept.append(actor)
        return self.keeping(tuple(kept))

    def blocked(self, origins: np.ndarray, directions: np.ndarray, reach_m: np.ndarray) -> np.ndarray:
        """(N,) bool: whether a frozen scene has a surface within `reach_m` (N,) on each ray."""
        assert not self.actors, "only frozen scenes"
        origins = np.ascontiguousarray(origins, np.float32)
        directions = np.ascontiguousarray(directions, np.float32)
        reach_m = np.ascontiguousarray(reach_m, np.float32)
        found = np.zeros(len(origins), bool)
        for embree, _ in self._layers:
            open_rays = np.flatnonzero(~found)
            answer = embree.run(
                origins[open_rays], directions[open_rays], dists=reach_m[open_rays], query="OCCLUDED"
            )
            found[open_rays] = answer >= 0
        return found

    def frozen(self, time_ns: int) -> Scene:
        """The same scene with its actors standing where they are at one time: faster for many rays."""
        if not self.actors:
            return self
        meshes = Mesh.merge([a.mesh.moved(a.trajectory.pose(time_ns)) for a in self.actors])
        faces = np.concatenate([self._models[id(a.mesh)].faces for a in self.actors])
        scene = self.keeping(())
        scene._layers = [*self._layers, (_embree(meshes), faces)]
        return scene

    def trace(
        self, origins: np.ndarray, directions: np.ndarray, times_ns: np.ndarray, time_index: np.ndarray
    ) -> Hits:
        """Rays from origins (N, 3) along unit directions (N, 3) of the world.

        Ray n is sent at times_ns[time_index[n]]; `times_ns` (T,) are ascending.
        """
        origins = np.ascontiguousarray(origins, np.float32)
        directions = np.ascontiguousarray(directions, np.float32)
        hits = Hits(
            range_m=np.full(len(origins), np.inf, np.float32),
            face=np.full(len(origins), -1, np.int64),
            normal=np.zeros((len(origins), 3), np.float32),
            weights=np.zeros((len(origins), 2), np.float32),
        )
        everywhere = np.arange(len(origins))
        for embree, faces in self._layers:
            _meet(hits, everywhere, embree, faces, origins, directions)
        blocks = _Blocks(origins, directions) if self.actors else None
        for actor in self.actors:
            assert blocks
            model = self._models[id(actor.mesh)]
            near = blocks.near(*model.sphere(actor.trajectory, times_ns), hits.range_m)
            if len(near) == 0:
                continue
            rotations, translations = actor.trajectory.at(times_ns)
            rotation = rotations.astype(np.float32)[time_index[near]]
            offset = origins[near] - translations.astype(np.float32)[time_index[near]]
            _meet(
                hits,
                near,
                model.embree,
                model.faces,
                np.einsum("nji,nj->ni", rotation, offset),
                np.einsum("nji,nj->ni", rotation, directions[near]),
                rotation,
            )
        return hits


class _Blocks:
    """Rays in blocks of neighbours, so that few have to be asked whether they pass near a sphere."""

    _SIZE = 64

    def __init__(self, origins: np.ndarray, directions: np.ndarray) -> None:
        self._origins, self._directions = origins, directions
        count = -(-len(origins) // self._SIZE)
        self._row = np.minimum(np.arange(count * self._SIZE), max(len(origins) - 1, 0)).reshape(
            count, self._SIZE
        )
        block = directions[self._row]
        axis = block.sum(axis=1)
        self._axis = axis / np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-6)
        cosine = np.einsum("kbi,ki->kb", block, self._axis).min(axis=1, initial=1.0)
        self._opening = np.arccos(np.clip(cosine, -1.0, 1.0))
        places = origins[self._row]
        self._centre = places.mean(axis=1)
        self._spread_m = np.linalg.norm(places - self._centre[:, None], axis=2).max(axis=1, initial=0.0)

    def near(self, centre: np.ndarray, radius_m: float, range_m: np.ndarray) -> np.ndarray:
        """Rows of the rays that may meet the sphere before `range_m` (N,)."""
        to_centre = centre - self._centre
        distance = np.maximum(np.linalg.norm(to_centre, axis=1), 1e-6)
        sine = np.clip((radius_m + self._spread_m) / distance, 0.0, 1.0)
        cosine = np.einsum("ki,ki->k", to_centre, self._axis) / distance
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
        close = (angle <= self._opening + np.arcsin(sine)) | (distance <= radius_m + self._spread_m)
        rows = self._row[close].ravel()
        offset = centre - self._origins[rows]
        along = np.einsum("ni,ni->n", offset, self._directions[rows])
        across2 = np.einsum("ni,ni->n", offset, offset) - along**2
        return rows[(along > -radius_m) & (along - radius_m < range_m[rows]) & (across2 < radius_m**2)]


def _meet(
    hits: Hits,
    rows: np.ndarray,
    embree: EmbreeScene,
    faces: np.ndarray,
    origins: np.ndarray,
    directions: np.ndarray,
    rotation: np.ndarray | None = None,
) -> None:
    """Put into `rows` of the hits what the rays (M, 3) meet in one mesh nearer than what they hold.

    `faces` maps the faces of the mesh to the scene's, `rotation` (M, 3, 3) its frame to the world.
    """
    reach_m = np.minimum(hits.range_m[rows], np.float32(_FARTHEST_M))
    result = embree.run(
        np.ascontiguousarray(origins), np.ascontiguousarray(directions), dists=reach_m, output=1
    )
    found = np.flatnonzero(result["primID"] >= 0)
    rows = rows[found]
    normal, directions = result["Ng"][found], directions[found]
    # Embree's normals are as long as twice the area of the face.
    facing = -np.sign(np.einsum("ni,ni->n", normal, directions))
    normal *= (facing / np.sqrt(np.maximum(np.einsum("ni,ni->n", normal, normal), 1e-24)))[:, None]
    hits.range_m[rows] = result["tfar"][found]
    hits.face[rows] = faces[result["primID"][found]]
    hits.normal[rows] = normal if rotation is None else np.einsum("nij,nj->ni", rotation[found], normal)
    hits.weights[rows, 0], hits.weights[rows, 1] = result["u"][found], result["v"][found]


def _embree(mesh: Mesh) -> EmbreeScene:
    scene = EmbreeScene()
    TriangleMesh(
        scene, np.ascontiguousarray(mesh.vertices, np.float32), np.ascontiguousarray(mesh.faces, np.int32)
    )
    return scene
