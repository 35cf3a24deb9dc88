"""Roads, ground and town against plane geometry, and towns against what a town must have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clip2scene_core.errors import ConfigError
from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation.ground import Relief, Waves, Yard, build_ground
from clip2scene_core.simulation.lots import SURFACES
from clip2scene_core.simulation.meshes import Material, Mesh
from clip2scene_core.simulation.plan import Plan, Surface
from clip2scene_core.simulation.roads import Curve, Road, RoadNetwork, RoadSide
from clip2scene_core.simulation.styles import STYLES
from clip2scene_core.simulation.town import Town

ROAD, PARKING, SIDEWALK, TERRAIN = 1, 2, 3, 4
SIDE = RoadSide(parking="parallel", parking_m=2.0, verge_m=1.5, sidewalk_m=2.5)
BARE = RoadSide(parking="none", parking_m=0.0, verge_m=0.0, sidewalk_m=2.0)


def straight(start: tuple, heading: float, length: int, side: RoadSide = SIDE) -> Road:
    curve = Curve.bending(np.array(start, float), heading, np.zeros(length))
    return Road(curve=curve, lanes=1, lane_m=3.0, median_m=0.0, kerb_m=0.12, left=side, right=side)


def flat_relief(crown: float = 0.0) -> Relief:
    none = Waves(wave_numbers=np.zeros((1, 2)), phases=np.zeros(1), amplitudes_m=np.zeros(1))
    return Relief(hills=none, knolls=none, tussocks=none, settling=none, crown=crown, sidewalk_rise=0.02)


def ground_of(network: RoadNetwork, yards: list[Yard] | None = None, extent_m: float = 40.0) -> Mesh:
    return build_ground(
        network,
        flat_relief(),
        yards or [],
        [],
        extent_m=extent_m,
        beyond=SURFACES["grass"],
        verge=SURFACES["grass"],
        sidewalk=Material.PAVING,
        tint=np.random.default_rng(0),
    )


def test_a_curve_of_constant_curvature_is_a_circle() -> None:
    curve = Curve.bending(np.zeros(2), 0.0, np.full(150, 1 / 50))
    inner, heading = curve.at(np.array([10.0, 60.0]), 5.0)
    np.testing.assert_allclose(np.linalg.norm(inner - [0, 50], axis=1), 45.0, atol=0.6)
    np.testing.assert_allclose(heading, np.array([10, 60]) / 50, atol=0.03)
    station, lateral = curve.locate(inner)
    np.testing.assert_allclose(station, [10, 60], atol=0.6)
    np.testing.assert_allclose(lateral, 5.0, atol=0.05)


def test_corners_of_a_junction_are_arcs() -> None:
    network = RoadNetwork(
        [straight((-100, 0), 0.0, 200, BARE), straight((0, 0), np.pi / 2, 100, BARE)],
        corner_m=6.0,
        islands=[],
    )
    # Kerbs at x = 3 and y = 3 meet in an arc of 6 m around (9, 9).
    on_arc = 9.0 - 6.0 * np.array([[np.cos(a), np.sin(a)] for a in np.deg2rad([20, 45, 70])])
    np.testing.assert_allclose(network.surroundings(on_arc).outside_m, 0.0, atol=0.02)
    along = np.array([[40.0, 5.0], [40.0, 1.0], [40.0, -7.0]])
    np.testing.assert_allclose(network.surroundings(along).outside_m, [2.0, -2.0, 4.0], atol=1e-6)


def test_ground_has_each_surface_where_the_cross_section_says() -> None:
    network = RoadNetwork([straight((-80, 0), 0.0, 160)], corner_m=5.0, islands=[])
    ground = ground_of(network)
    lateral = np.array([0.0, 2.9, 3.1, 4.9, 5.1, 6.4, 6.6, 8.9, 9.1, 20.0])
    expected = [ROAD, ROAD, PARKING, PARKING, TERRAIN, TERRAIN, SIDEWALK, SIDEWALK, TERRAIN, TERRAIN]
    for sign in (1, -1):
        height, class_id = Surface(ground).below(np.column_stack([np.full(10, 7.3), sign * lateral]))
        assert class_id.tolist() == expected
        np.testing.assert_allclose(height[:4], 0.0, atol=1e-4)
        outside = np.clip(lateral[4:] - 5.0, 0, 4)
        np.testing.assert_allclose(height[4:], 0.12 + 0.02 * outside, atol=1e-4)


@pytest.mark.parametrize(("bay_m", "sidewalk_m"), [(0.05, 0.12), (0.15, 0.15)])
def test_a_raised_bay_lies_between_lanes_and_sidewalk(bay_m: float, sidewalk_m: float) -> None:
    """By hand: lanes end at 3 m, the bay's edge is 0.12 m wide, the sidewalk is never lower than the bay."""
    road = straight((-80, 0), 0.0, 160, replace(SIDE, bay_m=bay_m))
    ground = ground_of(RoadNetwork([road], corner_m=5.0, islands=[]))
    lateral = np.array([0.0, 2.95, 3.06, 3.15, 4.95, 5.0001])
    height, _ = Surface(ground).below(np.column_stack([np.full(6, 7.3), lateral]))
    np.testing.assert_allclose(height, [0, 0, bay_m / 2, bay_m, bay_m, sidewalk_m], atol=1e-4)


def test_a_median_has_no_bays_along_it() -> None:
    road = replace(straight((-80, 0), 0.0, 160, replace(SIDE, bay_m=0.05)), median_m=4.0)
    around = RoadNetwork([road], corner_m=5.0, islands=[]).surroundings(np.array([[7.3, 0.0], [7.3, 5.5]]))
    np.testing.assert_allclose(around.outside_m, [2.0, -1.5])
    np.testing.assert_allclose(around.parking_m, [0.0, 2.0])


def test_ground_has_no_holes_and_no_overlaps() -> None:
    network = RoadNetwork([straight((-80, 3), 0.3, 160), straight((0, 5), 1.9, 80)], corner_m=5.0, islands=[])
    yard = Yard(
        centre=np.array([12.0, -10.0]),
        yaw=0.4,
        length_m=9,
        width_m=6,
        class_id=SIDEWALK,
        material=Material.PAVING,
    )
    ground = ground_of(network, [yard])
    a, b, c = (ground.vertices[ground.faces[:, i], :2].astype(float) for i in range(3))
    area = 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    side = np.ptp(ground.vertices[:, 0])
    assert area.min() > -1e-4
    assert area.sum() == pytest.approx(side**2, rel=1e-5)
    xy = np.random.default_rng(0).uniform(-38, 38, (5000, 2))
    assert (Surface(ground).below(xy)[1] > 0).all()
    inside = yard.inside_m(xy)
    classes = Surface(ground).below(xy)[1]
    lawn = network.surroundings(xy).outside_m > 6
    assert (classes[(inside > 0.05) & lawn] == SIDEWALK).all()
    assert (classes[(inside < -0.05) & lawn] == TERRAIN).all()
    assert ((inside > 0.05) & lawn).sum() > 20


def test_a_place_is_given_once() -> None:
    plan = Plan(RoadNetwork([straight((-80, 0), 0.0, 160)], corner_m=5.0, islands=[]), 40.0)
    box = Mesh.uniform(
        np.array([[-2, -1, 0], [2, -1, 0], [0, 1, 1]]),
        np.array([[0, 1, 2]]),
        13,
        Material.CAR_PAINT,
        (9, 9, 9),
    )
    assert not plan.stand(box, np.array([0.0, 4.0]), 0.0), "on the carriageway"
    assert plan.stand(box, np.array([0.0, 4.0]), 0.0, outside_m=None)
    assert not plan.stand(box, np.array([1.0, 4.5]), 0.5, outside_m=None), "taken"
    assert plan.stand(box, np.array([0.0, 15.0]), 1.0)
    assert not plan.stand(box, np.array([39.0, 15.0]), 1.0), "outside of the town"


@pytest.fixture(scope="module")
def towns() -> list[Town]:
    return [Town.generate(seed, style, extent_m=60.0) for seed, style in enumerate(STYLES)]


def test_all_street_classes_occur(towns: list[Town]) -> None:
    street, town_set = LabelSet.named("street"), LabelSet.named("town")
    faces = np.concatenate(
        [t.static.class_id for t in towns] + [a.mesh.class_id for t in towns for a in t.actors]
    )
    assert set(np.unique(faces)) <= set(town_set.ids.tolist())
    present = set(np.unique(street.from_set(town_set, faces.astype(np.uint16))))
    assert present >= set(street.ids.tolist())


def test_styles_differ_and_are_populated(towns: list[Town]) -> None:
    for town in towns:
        classes = LabelSet.named("town")
        movers = {int(a.mesh.class_id[0]) for a in town.actors}
        assert len(town.actors) >= 5 and movers & {classes.id_of("car"), classes.id_of("person")}
        assert len(town.static.faces) > 30_000
    assert len({len(t.static.faces) for t in towns}) == len(towns)


def test_what_moves_stays_on_the_ground(towns: list[Town]) -> None:
    for town in towns:
        for actor in town.actors:
            at = actor.trajectory.translations
            inside = np.abs(at[:, :2]).max(axis=1) < town.extent_m - 4
            height, _ = town.surface.below(at[inside, :2])
            assert np.abs(height - at[inside, 2]).max(initial=0.0) < 0.25
            np.testing.assert_allclose(np.linalg.det(actor.trajectory.rotations), 1.0, atol=1e-9)


def test_paint_lies_on_the_road(towns: list[Town]) -> None:
    painted = 0
    for town in towns:
        faces = town.static.faces[
            (town.static.material == Material.LANE_MARKING) & (town.static.class_id == ROAD)
        ]
        corners = town.static.vertices[faces].reshape(-1, 3).astype(float)
        height, class_id = town.surface.below(corners[:, :2])
        on_ground = np.abs(corners[:, 2] - height) < 0.012
        assert (class_id[on_ground] == ROAD).mean() > 0.999 and on_ground.all()
        painted += len(faces)
    assert painted > 500


def test_the_same_seed_gives_the_same_town_and_another_seed_another(towns: list[Town]) -> None:
    again = Town.generate(0, next(iter(STYLES)), extent_m=60.0)
    np.testing.assert_array_equal(again.static.vertices, towns[0].static.vertices)
    np.testing.assert_array_equal(again.static.class_id, towns[0].static.class_id)
    assert len(again.actors) == len(towns[0].actors)
    for a, b in zip(again.actors, towns[0].actors, strict=True):
        np.testing.assert_array_equal(a.trajectory.translations, b.trajectory.translations)
    other = Town.generate(99, next(iter(STYLES)), extent_m=60.0)
    assert len(other.static.vertices) != len(again.static.vertices)


def test_an_unknown_style_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'atlantis' is unknown; known are residential"):
        Town.generate(0, "atlantis")
