"""The objects of the simulated town: size, class, stance, determinism, and what rays see of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation import (
    buildings,
    cars,
    fences,
    furniture,
    lorries,
    machines,
    people,
    poles,
    solids,
    two_wheelers,
    vegetation,
)
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.scene import Scene

SEEDS = range(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What every mesh of a factory must be."""

    build: Callable[..., Mesh]
    classes: str
    """Classes that must all appear over the seeds, separated by commas; no others may."""
    low: tuple[float, float, float]
    """Least extent in x, y and z of the bounding box, metres."""
    high: tuple[float, float, float]
    """Greatest extent."""
    arguments: tuple[float, ...] = ()
    below: float = 0.01
    """How far it may reach into the ground, metres."""
    closed: bool = True
    """Whether all its parts are closed solids, so that a ray from outside never meets a back side."""


EXPECTED = [
    Expected(build=cars.car, classes="car", low=(3.5, 1.65, 1.4), high=(5.1, 2.35, 2.1)),
    Expected(build=lorries.truck, classes="truck", low=(5.4, 1.9, 2.2), high=(16.6, 3.1, 4.05)),
    Expected(build=lorries.bus, classes="bus", low=(8.4, 2.4, 2.7), high=(13.3, 3.0, 4.1)),
    Expected(
        build=machines.construction_vehicle,
        classes="construction vehicle",
        low=(3.0, 1.7, 2.0),
        high=(9.5, 8.0, 6.0),
    ),
    Expected(build=two_wheelers.motorcycle, classes="motorcycle", low=(1.7, 0.6, 1.0), high=(2.4, 1.1, 1.45)),
    Expected(build=two_wheelers.bicycle, classes="bicycle", low=(1.5, 0.4, 0.8), high=(2.0, 0.95, 1.35)),
    Expected(build=people.pedestrian, classes="person", low=(0.2, 0.35, 1.0), high=(1.6, 1.3, 2.7)),
    Expected(build=people.bicyclist, classes="bicyclist", low=(1.5, 0.4, 1.4), high=(2.0, 0.95, 2.15)),
    Expected(build=people.motorcyclist, classes="motorcyclist", low=(1.7, 0.6, 1.4), high=(2.4, 1.1, 2.1)),
    Expected(
        build=vegetation.tree,
        classes="trunk,vegetation",
        low=(0.6, 0.6, 2.8),
        high=(22, 22, 19),
        below=0.4,
        closed=False,
    ),
    Expected(
        build=vegetation.bush,
        classes="vegetation",
        low=(0.4, 0.4, 0.4),
        high=(6, 6, 3.2),
        below=0.4,
        closed=False,
    ),
    Expected(
        build=vegetation.hedge,
        classes="vegetation",
        arguments=(7,),
        low=(6.8, 0.4, 0.5),
        high=(7.4, 2.6, 3.2),
        below=0.2,
        closed=False,
    ),
    Expected(
        build=vegetation.ivy,
        classes="vegetation",
        arguments=(7,),
        low=(6.8, 0.15, 0.9),
        high=(7.4, 1.2, 3.0),
        below=0.2,
        closed=False,
    ),
    Expected(
        build=vegetation.ground_cover,
        classes="vegetation",
        arguments=(4, 2),
        low=(3.8, 1.8, 0.1),
        high=(4.4, 2.4, 1.2),
        below=0.1,
        closed=False,
    ),
    Expected(
        build=vegetation.planted_bed,
        classes="sidewalk,terrain,vegetation,trunk",
        arguments=(2.2,),
        low=(2.2, 1.0, 0.4),
        high=(22, 22, 19),
        below=0.4,
        closed=False,
    ),
    Expected(
        build=vegetation.grass_tufts,
        classes="terrain,vegetation",
        arguments=(20,),
        low=(1, 1, 0.1),
        high=(4.6, 4.6, 1.0),
        closed=False,
    ),
    Expected(
        build=buildings.building,
        classes="building",
        arguments=(12, 10, 9),
        low=(12, 10, 10.4),
        high=(13.6, 12.4, 19),
        below=buildings.FOUNDATION_M + 0.01,
    ),
    Expected(
        build=buildings.wall,
        classes="fence",
        arguments=(7,),
        low=(7, 0.2, 0.5),
        high=(7.5, 0.5, 2.6),
        below=0.31,
    ),
    Expected(
        build=buildings.garage,
        classes="building",
        low=(2.8, 5, 3.7),
        high=(6.8, 7, 6),
        below=buildings.FOUNDATION_M + 0.01,
    ),
    Expected(build=buildings.garden_shed, classes="building", low=(1.8, 1.5, 1.9), high=(4.0, 3.4, 3.1)),
    Expected(build=poles.street_lamp, classes="pole", low=(0.1, 0.1, 3.6), high=(6.6, 0.6, 11), below=0.21),
    Expected(build=poles.traffic_light, classes="pole", low=(0.25, 0.3, 2.9), high=(6.5, 0.7, 7), below=0.21),
    Expected(
        build=poles.traffic_sign,
        classes="pole,traffic sign",
        low=(0.3, 0.05, 2),
        high=(2.7, 0.7, 3.8),
        below=0.21,
    ),
    Expected(
        build=poles.sign_gantry,
        classes="pole,traffic sign",
        arguments=(14,),
        low=(0.5, 14, 5.5),
        high=(1, 14.6, 8),
        below=0.21,
    ),
    Expected(build=poles.utility_pole, classes="pole", low=(0.2, 0.2, 7), high=(1, 2.5, 11.3), below=0.21),
    Expected(build=poles.bollard, classes="pole", low=(0.07, 0.07, 0.6), high=(0.4, 0.4, 1.15)),
    Expected(
        build=furniture.traffic_cone, classes="traffic cone", low=(0.15, 0.15, 0.3), high=(0.65, 0.65, 1.2)
    ),
    Expected(
        build=fences.jersey_barrier,
        classes="barrier",
        arguments=(9,),
        low=(8.9, 0.5, 0.75),
        high=(9, 1.0, 1.05),
    ),
    Expected(
        build=fences.barricade, classes="barrier", low=(0.5, 1.2, 0.85), high=(0.7, 2.6, 1.45), below=0.03
    ),
    Expected(
        build=fences.guard_rail,
        classes="fence",
        arguments=(9,),
        low=(9, 0.2, 0.9),
        high=(9, 0.3, 1.1),
        below=0.21,
    ),
    Expected(
        build=fences.fence,
        classes="fence,vegetation",
        arguments=(7,),
        low=(6.9, 0.05, 0.55),
        high=(7.4, 1.4, 2.5),
        below=0.15,
        closed=False,
    ),
    Expected(build=furniture.bench, classes="other object", low=(0.3, 1.2, 0.4), high=(0.7, 2.3, 1)),
    Expected(build=furniture.bin, classes="other object", low=(0.3, 0.3, 0.7), high=(0.8, 0.7, 1.15)),
    Expected(build=furniture.container, classes="other object", low=(0.8, 1, 1), high=(2.6, 6.1, 2.65)),
    Expected(
        build=furniture.bus_shelter,
        classes="other object",
        low=(1.3, 2.5, 2.4),
        high=(2.2, 5.4, 3),
        below=0.11,
    ),
    Expected(
        build=furniture.planter,
        classes="other object,vegetation",
        low=(0.4, 0.4, 0.5),
        high=(3, 5, 2.5),
        closed=False,
    ),
    Expected(build=furniture.mailbox, classes="other object", low=(0.28, 0.4, 1.0), high=(0.7, 0.7, 1.7)),
    Expected(build=furniture.cafe_table, classes="other object", low=(0.8, 0.5, 0.8), high=(2.7, 2.7, 2.7)),
    Expected(
        build=furniture.advertising_column, classes="other object", low=(0.2, 0.9, 1.9), high=(1.8, 1.8, 3.7)
    ),
    Expected(build=furniture.hydrant, classes="other object", low=(0.25, 0.3, 0.55), high=(0.6, 0.6, 1)),
    Expected(
        build=furniture.electric_cabinet, classes="other object", low=(0.3, 0.5, 0.7), high=(0.7, 2, 1.7)
    ),
]

LONG = [
    vegetation.hedge,
    vegetation.ivy,
    fences.fence,
    fences.guard_rail,
    fences.jersey_barrier,
    buildings.wall,
]

every_object = pytest.mark.parametrize("expected", EXPECTED, ids=lambda e: e.build.__name__)


def built(expected: Expected, seed: int) -> Mesh:
    return expected.build(np.random.default_rng(seed), *expected.arguments)


def first_faces(mesh: Mesh, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(N,) the face that each ray meets first, -1 for none."""
    rays = len(origins)
    return Scene(mesh).trace(origins, directions, np.zeros(1, np.int64), np.zeros(rays, np.int64)).face


def rays_around(mesh: Mesh, seed: int, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Rays (N, 3), (N, 3) from a sphere around the object, above ground, to points in its bounding box."""
    rng = np.random.default_rng(seed)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    outward = rng.normal(size=(count, 3))
    outward[:, 2] = np.abs(outward[:, 2])
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    origins = (low + high) / 2 + outward * (1.0 + np.linalg.norm(high - low))
    directions = rng.uniform(low, high, (count, 3)) - origins
    return origins, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def face_normals(mesh: Mesh) -> np.ndarray:
    """(F, 3) normals, length twice the face's area."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    return np.cross(b - a, c - a)


def signed_volume(mesh: Mesh) -> float:
    """Volume enclosed by outward faces, after the divergence theorem."""
    return float(np.sum(mesh.vertices[mesh.faces].astype(np.float64).mean(1) * face_normals(mesh)) / 6)


@every_object
def test_mesh_is_valid(expected: Expected) -> None:
    for seed in SEEDS:
        mesh = built(expected, seed)
        faces = len(mesh.faces)
        assert mesh.vertices.dtype == np.float32 and mesh.faces.dtype == np.int32
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices)
        assert mesh.class_id.shape == mesh.material.shape == (faces,)
        assert mesh.colour.shape == (faces, 3) and mesh.colour.dtype == np.uint8
        assert set(np.unique(mesh.material)) <= {int(m) for m in Material}
        assert 10 <= faces <= 3600
        flat = np.linalg.norm(face_normals(mesh), axis=1) < 1e-9
        assert flat.mean() < 0.03, f"{flat.sum()} of {faces} faces have no area"


@every_object
def test_same_seed_same_mesh_other_seed_other_mesh(expected: Expected) -> None:
    first, again, other = (built(expected, seed) for seed in (3, 3, 4))
    for name in ("vertices", "faces", "class_id", "material", "colour"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (
        first.vertices.shape != other.vertices.shape or np.abs(first.vertices - other.vertices).max() > 0.01
    )


@every_object
def test_size_and_stance(expected: Expected) -> None:
    extents = []
    for seed in SEEDS:
        vertices = built(expected, seed).vertices
        extents.append(np.ptp(vertices, axis=0))
        assert -expected.below <= vertices[:, 2].min() <= 0.01, f"seed {seed} floats or is sunk"
    assert (np.min(extents, 0) >= expected.low).all(), np.min(extents, 0)
    assert (np.max(extents, 0) <= expected.high).all(), np.max(extents, 0)


@every_object
def test_classes(expected: Expected) -> None:
    town = LabelSet.named("town")
    seen = set().union(*(np.unique(built(expected, seed).class_id).tolist() for seed in range(40)))
    assert seen == {town.id_of(name) for name in expected.classes.split(",")}


@pytest.mark.parametrize("expected", [e for e in EXPECTED if e.closed], ids=lambda e: e.build.__name__)
def test_rays_from_outside_meet_front_sides(expected: Expected) -> None:
    met = turned_away = 0
    for seed in SEEDS[:4]:
        mesh = built(expected, seed)
        origins, directions = rays_around(mesh, seed)
        face = first_faces(mesh, origins, directions)
        hit = face >= 0
        met += hit.sum()
        turned_away += np.sum(np.sum(face_normals(mesh)[face[hit]] * directions[hit], axis=1) > 0)
    assert met > 400
    assert turned_away <= 0.01 * met, (
        f"{turned_away} of {met} rays see the inside of the {expected.build.__name__}"
    )


@pytest.mark.parametrize("build", LONG, ids=lambda b: b.__name__)
@pytest.mark.parametrize("length", [0.9, 3.1, 12.0])
def test_long_objects_can_be_bent(build: Callable[..., Mesh], length: float) -> None:
    for seed in SEEDS:
        x = np.unique(build(np.random.default_rng(seed), length).vertices[:, 0])
        assert abs(x[0]) < 0.5 and abs(x[-1] - length) < 0.5
        assert np.diff(x).max() <= 2.25


@pytest.mark.parametrize("build", [cars.car, lorries.truck, lorries.bus], ids=lambda b: b.__name__)
def test_vehicles_stand_on_their_wheels(build: Callable[..., Mesh]) -> None:
    for seed in SEEDS:
        mesh = build(np.random.default_rng(seed))
        rubber = np.unique(mesh.faces[mesh.material == Material.RUBBER])
        touching = mesh.vertices[rubber][mesh.vertices[rubber, 2] < 0.005]
        x, y = touching[:, 0], touching[:, 1]
        for along in (x < 0, x > 0):
            for side in (y < 0, y > 0):
                assert (along & side).any(), f"seed {seed} lacks a wheel"
        rest = np.setdiff1d(np.unique(mesh.faces), rubber)
        assert mesh.vertices[rest, 2].min() > 0.1


def test_cars_show_a_retroreflecting_plate_to_who_follows() -> None:
    for seed in SEEDS:
        mesh = cars.car(np.random.default_rng(seed))
        y, z = np.meshgrid(np.linspace(-1, 1, 80), np.linspace(0.2, 1.2, 60))
        origins = np.stack([np.full(y.size, -8.0), y.ravel(), z.ravel()], 1)
        face = first_faces(mesh, origins, np.tile([1.0, 0, 0], (len(origins), 1)))
        hit = face[face >= 0]
        share = np.mean(mesh.material[hit] == Material.RETROREFLECTOR)
        assert 0.01 < share < 0.2


def test_signs_face_minus_y() -> None:
    for seed in SEEDS:
        mesh = poles.traffic_sign(np.random.default_rng(seed))
        bright = mesh.material == Material.RETROREFLECTOR
        assert face_normals(mesh)[bright][:, 1].max() < 0


def test_crowns_and_wire_let_rays_through_but_not_all() -> None:
    rng = np.random.default_rng(0)
    passed = []
    for seed in range(10):
        mesh = vegetation.tree(np.random.default_rng(seed))
        leaf = np.unique(mesh.faces[mesh.material == Material.LEAF])
        low, high = np.percentile(mesh.vertices[leaf], [25, 75], axis=0)
        target = rng.uniform(low, high, (500, 3))
        origins = target - (40, 0, 0)
        passed.append(np.mean(first_faces(mesh, origins, np.tile([1.0, 0, 0], (500, 1))) < 0))
    assert 0.02 < np.mean(passed) < 0.6

    thin = [m for m in (fences.fence(np.random.default_rng(s), 8.0) for s in range(40)) if _is_wire(m)]
    assert thin
    for mesh in thin:
        x, z = rng.uniform(0.5, 7.5, 2000), rng.uniform(0.1, 0.8, 2000)
        origins = np.stack([x, np.full(2000, -6.0), z], 1)
        blocked = np.mean(first_faces(mesh, origins, np.tile([0, 1.0, 0], (2000, 1))) >= 0)
        assert 0.02 < blocked < 0.4


def _is_wire(mesh: Mesh) -> bool:
    """A fence whose thinnest bars are below a centimetre, without leaves."""
    size = np.ptp(mesh.vertices[: len(mesh.vertices) // 8 * 8].reshape(-1, 8, 3), axis=1)
    return len(np.unique(mesh.class_id)) == 1 and size[:, :2].max(1).min() < 0.01


def test_a_porous_hedge_lets_beams_in_and_a_clipped_one_does_not() -> None:
    """Level beams from the front, at knee height: how many end in the back half of the hedge."""
    beams = 2000
    behind = []
    for seed in range(30):
        mesh = vegetation.hedge(np.random.default_rng(seed), 6.0)
        rng = np.random.default_rng(seed)
        origins = np.stack([rng.uniform(1, 5, beams), np.full(beams, -8.0), rng.uniform(0.2, 0.5, beams)], -1)
        face = first_faces(mesh, origins, np.tile([0.0, 1.0, 0.0], (beams, 1)))
        met = mesh.vertices[mesh.faces[face[face >= 0]]].mean(1)
        behind.append(np.mean(met[:, 1] > 0))
        assert np.mean(face >= 0) > 0.6
    enters = np.array(behind) > 0.1
    assert 2 <= enters.sum() <= 15
    assert max(np.array(behind)[~enters]) < 0.02


def test_the_front_of_a_building_is_its_plane() -> None:
    for seed in SEEDS:
        width, depth, height = 14.0, 11.0, 9.0
        vertices = buildings.building(np.random.default_rng(seed), width, depth, height).vertices
        below_eaves = vertices[(vertices[:, 2] < 0.8 * height) & (vertices[:, 2] > 0)]
        assert -1.75 < below_eaves[:, 1].min() <= 0.001
        assert abs(np.ptp(below_eaves[:, 0]) - width) < 1.5
        x, z = np.meshgrid(np.linspace(-0.49, 0.49, 50) * width, np.linspace(0.05, 0.95, 40) * height)
        origins = np.stack([x.ravel(), np.full(x.size, -30.0), z.ravel()], 1)
        mesh = buildings.building(np.random.default_rng(seed), width, depth, height)
        hits = Scene(mesh).trace(
            origins, np.tile([0, 1.0, 0], (x.size, 1)), np.zeros(1, np.int64), np.zeros(x.size, np.int64)
        )
        reached = hits.range_m - 30
        assert reached.max() < 1.8, "a hole in the front"
        assert np.mean(np.abs(reached) < 0.01) > 0.05
        assert np.mean(reached > 0.02) > 0.01, "nothing is recessed"


LOOK = solids.surface("building", Material.CONCRETE, (1, 2, 3))


def regular_area(sides: int, radius: float) -> float:
    """Area of a regular polygon."""
    return sides / 2 * np.sin(2 * np.pi / sides) * radius**2


SOLIDS = {
    "box": (solids.box((1, 2, 3), (5, -4, 1), LOOK), 6.0),
    "boxes": (solids.boxes([(0, 0, 0), (2, 0, 0)], [(1, 1, 1), (4, 1, 1)], LOOK), 3.0),
    "cylinder": (solids.cylinder(0.5, 2, (1, 1, 1), LOOK, sides=9), 2 * regular_area(9, 0.5)),
    "cone": (solids.revolve([(2, 0), (0, 3)], LOOK, sides=8), regular_area(8, 2)),
    "prism": (solids.prism([(0, 0), (2, 0), (2, 1)], -1, 2, LOOK), 3.0),
    "prism, other way round": (solids.prism([(0, 0), (2, 1), (2, 0)], -1, 2, LOOK), 3.0),
    **{
        f"tube along {d}": (
            solids.tube([(0, 0, 0), np.array(d) * 3.0], 0.2, LOOK, sides=7),
            3 * np.linalg.norm(d) * regular_area(7, 0.2),
        )
        for d in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1), (0.5, -0.3, -1))
    },
    "ellipsoid": (solids.ellipsoid((3, 2, 1), (1, 2, 0.5), LOOK, rings=60, sides=60), 4 / 3 * np.pi),
    "torus": (solids.torus(2, 0.3, LOOK, sides=96, tube_sides=96), 2 * np.pi**2 * 2 * 0.3**2),
    "placed": (solids.placed(solids.box((1, 2, 3), (0, 0, 0), LOOK), (1, 2, 3), yaw=1, pitch=2, roll=3), 6.0),
    "copies": (solids.copies(solids.box((1, 1, 1), (0, 0, 0), LOOK), [(0, 0, 0), (3, 0, 0), (0, 9, 0)]), 3.0),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_are_closed_and_face_outwards(name: str) -> None:
    mesh, volume = SOLIDS[name]
    assert signed_volume(mesh) == pytest.approx(volume, rel=0.01 if name in ("ellipsoid", "torus") else 1e-4)
    np.testing.assert_allclose(face_normals(mesh).sum(0), 0, atol=1e-5)


def test_frustum_volume() -> None:
    square = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    sections = [np.column_stack([s * square, np.full(4, z)]) for s, z in ((1.0, 0.0), (0.5, 3.0))]
    assert signed_volume(solids.loft(np.array(sections), LOOK)) == pytest.approx(3 / 3 * (4 + 1 + 2))


def test_relief_encloses_what_stands_out_less_what_is_recessed() -> None:
    depth = np.array([[0.0, 0.0, -0.2], [0.0, 0.5, 0.0]])
    x, z = np.array([0.0, 1.0, 3.0, 4.0]), np.array([0.0, 2.0, 3.0])
    mesh = solids.relief(solids.Cells(x, z, depth, np.zeros((2, 3), int)), [LOOK])
    wall = solids.sheet([(0, 0, 0), (0, 0, 3), (4, 0, 3), (4, 0, 0)], LOOK)
    assert face_normals(wall)[0, 1] > 0
    closed = Mesh.merge([mesh, wall])
    np.testing.assert_allclose(face_normals(closed).sum(0), 0, atol=1e-6)
    assert signed_volume(closed) == pytest.approx(0.2 * 1 * 2 - 0.5 * 2 * 1)


def test_reveals_of_a_window_are_wall() -> None:
    glass = solids.surface("building", Material.GLASS, (0, 0, 0))
    window = np.zeros((3, 3), int)
    window[1, 1] = 1
    mesh = solids.relief(solids.Cells(np.arange(4.0), np.arange(4.0), 0.3 * window, window), [LOOK, glass])
    pane = mesh.vertices[mesh.faces[mesh.material == Material.GLASS]]
    np.testing.assert_allclose(pane[..., 1], 0.3)
    assert pane[..., [0, 2]].min() == 1 and pane[..., [0, 2]].max() == 2
    normals = face_normals(mesh)
    reveals = np.abs(normals[:, 1]) < 1e-6
    assert reveals.sum() == 8 and (mesh.material[reveals] == Material.CONCRETE).all()


def test_painted_and_relabelled_leave_the_rest() -> None:
    mesh = solids.box((1, 1, 1), (0, 0, 0), LOOK)
    red = solids.surface("car", Material.CAR_PAINT, (300, -5, 7))
    changed = solids.painted(mesh, slice(0, 2), red)
    assert changed.colour[0].tolist() == [255, 0, 7]
    assert changed.material.tolist() == [Material.CAR_PAINT] * 2 + [Material.CONCRETE] * 10
    assert mesh.material.tolist() == [Material.CONCRETE] * 12
    assert set(solids.relabelled(changed, "bus").class_id) == {LabelSet.named("town").id_of("bus")}
