"""Trajectories against SciPy and poses worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3
from clip2scene_core.trajectory import Trajectory


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=6, unique=True), st.integers(-50, 1050), st.data())
def test_trajectories_interpolate_as_scipy_does(stamps, at, data):
    small = st.tuples(*[st.floats(-0.8, 0.8)] * 3)
    vectors = np.array([data.draw(small) for _ in stamps])
    translations = np.array([data.draw(small) for _ in stamps])
    rotations = Rotation.from_rotvec(vectors)
    poses = [SE3.from_rotation_translation(*p) for p in zip(rotations.as_matrix(), translations, strict=True)]
    pose = Trajectory.from_poses(stamps, poses).pose(at)
    order = np.argsort(stamps)
    times = np.array(stamps)[order]
    clamped = np.clip(at, times[0], times[-1])
    expected = Slerp(times, rotations[order])(clamped)
    assert (Rotation.from_matrix(pose.rotation).inv() * expected).magnitude() < 1e-5
    for axis in range(3):
        assert pose.translation[axis] == pytest.approx(np.interp(clamped, times, translations[order, axis]))


def test_two_samples_of_one_time_are_no_division_by_zero():
    along_x = [SE3.from_yaw(0.0, np.array([x, 0.0, 0.0])) for x in (0, 1, 3, 4)]
    trajectory = Trajectory.from_poses([5, 5, 7, 7], along_x)
    assert [trajectory.pose(stamp).translation[0] for stamp in (4, 5, 6, 7, 8)] == [1, 1, 2.5, 4, 4]
    assert Trajectory.from_poses([5, 5], along_x[:2]).pose(5).translation[0] == 1


def test_poses_survive_the_way_through_a_trajectory():
    poses = [SE3.from_yaw(0.3, np.array([1.0, 2, 3])), SE3.from_yaw(-2.0, np.array([4.0, 5, 6]))]
    trajectory = Trajectory.from_poses([10, 20], poses)
    np.testing.assert_allclose(trajectory.pose(20).matrix, poses[1].matrix, atol=1e-12)
    assert (trajectory.first_ns, trajectory.last_ns) == (10, 20)


def test_what_is_mounted_moves_along():
    """A sensor 1 m ahead of a body that turns left by 90 degrees about itself."""
    body = Trajectory.from_poses([0, 10], [SE3.identity(), SE3.from_yaw(np.pi / 2, np.zeros(3))])
    sensor = body.mounted(SE3.from_yaw(0.0, np.array([1.0, 0.0, 0.0])))
    np.testing.assert_allclose(sensor.positions(np.array([0, 10])), [[1, 0, 0], [0, 1, 0]], atol=1e-12)


def test_a_motion_in_a_motion_is_known_when_both_are():
    """A train goes 1 m/s along x from 0 to 10 s and turns left by 90 degrees; within, from 5 to 20 s, one
    walks ahead 1 m/s."""
    train = Trajectory.from_poses([0, 10], [SE3.identity(), SE3.from_yaw(np.pi / 2, np.array([10.0, 0, 0]))])
    walk = Trajectory.from_poses([5, 20], [SE3.identity(), SE3.from_yaw(0.0, np.array([15.0, 0, 0]))])
    walker = train @ walk
    assert walker.stamps_ns.tolist() == [5, 10]
    np.testing.assert_allclose(walker.translations, [[5, 0, 0], [10, 5, 0]], atol=1e-12)
    back = walker.inverse() @ walker
    np.testing.assert_allclose(back.rotations, [np.eye(3)] * 2, atol=1e-12)
    np.testing.assert_allclose(back.translations, np.zeros((2, 3)), atol=1e-12)
    with pytest.raises(CalibrationError, match="known at different times"):
        train @ Trajectory.from_poses([11, 20], [SE3.identity()] * 2)


def test_what_stands_does_not_limit_when_a_motion_is_known():
    body = Trajectory.from_poses([0, 10], [SE3.identity(), SE3.from_yaw(np.pi / 2, np.zeros(3))])
    ahead = Trajectory.standing(SE3.from_yaw(0.0, np.array([1.0, 0.0, 0.0])))
    assert (body @ ahead).translations[1] == pytest.approx([0, 1, 0])
    assert (ahead @ body).translations[1] == pytest.approx([1, 0, 0])
    assert (ahead @ ahead).translations.tolist() == [[2, 0, 0]]
