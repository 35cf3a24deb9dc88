"""The TF tree against chains worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_core.data.tf_tree import EVER, StampedTransform, TfTree
from clip2scene_core.errors import CalibrationError

NO_TURN = (0.0, 0.0, 0.0, 1.0)
QUARTER_LEFT = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))
S = 1_000_000_000


def static(parent, child, translation, quaternion=NO_TURN):
    return StampedTransform(parent, child, 0, translation, quaternion, True)


def moving(parent, child, stamp_ns, translation, quaternion=NO_TURN):
    return StampedTransform(parent, child, stamp_ns, translation, quaternion, False)


@pytest.fixture
def vehicle() -> TfTree:
    """From 10 to 20 s it drives 10 m along x of odom, turning left by 90 degrees; odom is 5 m up in map."""
    return TfTree(
        [
            moving("odom", "base_link", 20 * S, (10, 0, 0), QUARTER_LEFT),
            static("base_link", "lidar", (1, 0, 2)),
            static("base_link", "camera", (0, 1, 0), QUARTER_LEFT),
            moving("odom", "base_link", 10 * S, (0, 0, 0)),
            static("map", "odom", (0, 0, 5)),
        ]
    )


def test_static_siblings(vehicle):
    """The camera is 1 m left of the base and looks left; the lidar, 1 m ahead and 2 m up, is right of it."""
    np.testing.assert_allclose(vehicle.lookup("camera", "lidar", 0).translation, [-1, -1, 2], atol=1e-12)
    assert vehicle.coverage("camera", "lidar") == EVER


def test_a_chain_over_the_moving_base_is_interpolated(vehicle):
    """Half way it is 5 m along and turned by 45 degrees."""
    pose = vehicle.lookup("odom", "lidar", 15 * S)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(pose.translation, [5 + half, half, 2], atol=1e-9)
    np.testing.assert_allclose(vehicle.lookup("map", "lidar", 10 * S).translation, [1, 0, 7], atol=1e-12)
    back = vehicle.lookup("lidar", "odom", 15 * S) @ pose
    np.testing.assert_allclose(back.matrix, np.eye(4), atol=1e-9)
    assert vehicle.coverage("map", "camera") == (10 * S, 20 * S)


def test_ancestors_lead_to_the_root(vehicle):
    assert vehicle.ancestors("/lidar") == ["lidar", "base_link", "odom", "map"]
    assert vehicle.ancestors("elsewhere") == ["elsewhere"]
    assert vehicle.frames == ("base_link", "camera", "lidar", "map", "odom")
    np.testing.assert_array_equal(vehicle.lookup("elsewhere", "elsewhere", 0).matrix, np.eye(4))


@pytest.mark.parametrize("stamp_ns", [10 * S - 1, 20 * S + 1])
def test_nothing_is_extrapolated(vehicle, stamp_ns):
    with pytest.raises(CalibrationError) as error:
        vehicle.lookup("odom", "lidar", stamp_ns)
    text = str(error.value)
    assert "'lidar'" in text
    assert "'odom'" in text
    assert "from 10.000 s to 20.000 s" in text


def test_frames_that_are_unknown_or_apart_are_named(vehicle):
    with pytest.raises(
        CalibrationError, match=r"from 'lidar' to 'radar'.*'radar' is not in the tree; it has base_link"
    ):
        vehicle.lookup("radar", "lidar", 0)
    apart = TfTree([static("map", "lidar", (0, 0, 0)), static("world", "camera", (0, 0, 0))])
    with pytest.raises(CalibrationError, match="not connected, the roots"):
        apart.lookup("camera", "lidar", 0)


def test_impossible_trees_are_named():
    loop = TfTree([static("a", "b", (0, 0, 0)), static("b", "a", (0, 0, 0))])
    with pytest.raises(CalibrationError, match="a -> b -> a form a loop"):
        loop.lookup("b", "a", 0)
    two = TfTree([static("a", "c", (0, 0, 0)), static("b", "c", (0, 0, 0))])
    with pytest.raises(CalibrationError, match="'c' has several parents: a, b"):
        two.lookup("a", "c", 0)
    zero = TfTree([static("a", "b", (0, 0, 0), (0.0, 0.0, 0.0, 0.0)), static("a", "c", (1, 0, 0))])
    assert zero.lookup("a", "c", 0).translation.tolist() == [1, 0, 0]
    with pytest.raises(CalibrationError, match=r"transform of 'b': quaternion .* is no rotation"):
        zero.lookup("a", "b", 0)


def test_a_trajectory_is_the_lookup_at_every_time_at_which_something_moved(vehicle):
    """The LiDAR, 1 m ahead of the base, goes from (1, 0) to (10, 1) while the base turns left."""
    seen = vehicle.trajectory("odom", "/lidar")
    assert seen.stamps_ns.tolist() == [10 * S, 20 * S]
    np.testing.assert_allclose(seen.translations, [[1, 0, 2], [10, 1, 2]], atol=1e-12)
    back = vehicle.trajectory("lidar", "map")
    np.testing.assert_allclose(back.translations[1], vehicle.lookup("lidar", "map", 20 * S).translation)
    assert len(vehicle.trajectory("camera", "lidar").stamps_ns) == 1
    early = moving("lidar", "arm", 5 * S, (1, 0, 0)), moving("lidar", "arm", 6 * S, (2, 0, 0))
    tree = vehicle.remounted(early)
    with pytest.raises(CalibrationError, match=r"from 'arm' to 'odom': .* at different times"):
        tree.trajectory("odom", "arm")


def test_a_frame_that_is_remounted_forgets_where_it_was(vehicle):
    tree = vehicle.remounted([static("camera", "/lidar", (0, 0, 1)), static("world", "base_link", (0, 0, 9))])
    np.testing.assert_allclose(tree.lookup("base_link", "lidar", 0).translation, [0, 1, 1], atol=1e-12)
    assert tree.ancestors("lidar") == ["lidar", "camera", "base_link", "world"]
    assert tree.coverage("world", "lidar") == EVER
    assert vehicle.ancestors("lidar") == ["lidar", "base_link", "odom", "map"]
