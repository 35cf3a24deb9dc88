"""Sensor rigs: what they see, how they differ, and when their cameras look."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from clip2scene_core.cameras import Camera
from clip2scene_core.errors import ConfigError
from clip2scene_core.simulation.drive import SimulatedDrive
from clip2scene_core.simulation.rigs import MountedCamera, make_rig, parse_size


def yaw_deg(mounted: MountedCamera) -> float:
    """Of the optical axis in the base frame."""
    x, y = mounted.base_from_camera.rotation[:2, 2]
    return float(np.rad2deg(np.arctan2(y, x)))


def pixel(camera: Camera, azimuth_deg: float) -> np.ndarray:
    """Where OpenCV sees a point to the right of the optical axis, by an angle."""
    angle = np.deg2rad(azimuth_deg)
    point = np.array([[[np.sin(angle), 0.0, np.cos(angle)]]])
    module = cv2.fisheye if camera.model == "equidistant" else cv2
    distortion = camera.distortion if len(camera.distortion) else None
    return module.projectPoints(point, np.zeros(3), np.zeros(3), camera.matrix, distortion)[0].ravel()


@pytest.mark.parametrize("lens", ["pinhole", "plumb_bob", "equidistant"])
def test_every_lens_sees_what_the_rig_promises_at_any_size(lens: str) -> None:
    """Up to the 2 % of focal length and of the principal point by which cameras of one kind differ."""
    for size in ((800, 450), (80, 45)):
        rig = make_rig("nuscenes", 7, size=size, lens=lens)
        for name, mounted in rig.cameras.items():
            assert (mounted.camera.width, mounted.camera.height, mounted.camera.model) == (*size, lens)
            half_deg = 45.0 if name == "back" else 32.5
            right, left = (pixel(mounted.camera, side * half_deg)[0] for side in (1, -1))
            assert right == pytest.approx(size[0] - 0.5, abs=0.032 * size[0])
            assert left == pytest.approx(-0.5, abs=0.032 * size[0])


def test_the_cameras_of_nuscenes_see_all_around() -> None:
    for seed in range(5):
        spans = []
        for name, mounted in make_rig("nuscenes", seed).cameras.items():
            half = 44.0 if name == "back" else 31.5
            spans.append((yaw_deg(mounted) - half, yaw_deg(mounted) + half))
        for azimuth in range(-180, 180):
            assert any((azimuth - low) % 360 <= high - low for low, high in spans), azimuth


def test_rigs_of_one_kind_differ_a_little_and_stay_the_same_for_a_seed() -> None:
    rigs = [make_rig("kitti", seed) for seed in (*range(30), 0)]
    heights_m = np.array([rig.base_from_lidar.translation[2] for rig in rigs])
    assert 1.65 <= heights_m.min() < 1.68 and 1.77 < heights_m.max() <= 1.8
    pitches_deg = [np.rad2deg(np.arcsin(r.cameras["front"].base_from_camera.rotation[2, 2])) for r in rigs]
    assert 1.0 < np.abs(pitches_deg).max() < 1.6
    poses = [rig.cameras["front"].base_from_camera.matrix for rig in rigs]
    np.testing.assert_array_equal(poses[-1], poses[0])
    assert np.ptp([pose[2, 3] for pose in poses]) > 0.1
    assert rigs[0].cameras["front"].camera.width == 1242


def test_a_ring_of_cameras_is_the_same_on_every_vehicle() -> None:
    rigs = [make_rig(3, seed) for seed in (1, 2)]
    assert [round(yaw_deg(m)) for m in rigs[0].cameras.values()] == [0, 55, -55]
    for name, mounted in rigs[0].cameras.items():
        other = rigs[1].cameras[name]
        np.testing.assert_array_equal(mounted.base_from_camera.matrix, other.base_from_camera.matrix)
        np.testing.assert_array_equal(mounted.camera.matrix, other.camera.matrix)
    assert make_rig("none", 1).cameras == {}


def test_random_lidars_sit_anywhere_on_the_roof() -> None:
    rigs = [make_rig("nuscenes", seed, lidar="random") for seed in range(40)]
    assert {len(rig.lidar.elevations_deg) for rig in rigs} == {16, 32, 64, 128}
    heights_m = [rig.base_from_lidar.translation[2] for rig in rigs]
    assert 1.5 <= min(heights_m) < 1.7 and 2.2 < max(heights_m) <= 2.4
    gains = [rig.lidar.intensity_gain for rig in rigs]
    assert min(gains) < 0.7 and max(gains) > 1.5
    again = make_rig("nuscenes", 3, lidar="random")
    np.testing.assert_array_equal(again.base_from_lidar.matrix, rigs[3].base_from_lidar.matrix)


@pytest.mark.parametrize("settings", [{}, {"lidar": "random"}, {"cameras": 6}])
@pytest.mark.usefixtures("small_towns")
def test_a_camera_looks_when_the_lidar_looks_there(settings: dict[str, object]) -> None:
    """The points of a scan that were measured at the stamp of an image lie on its optical axis."""
    drive = SimulatedDrive(2, frames=1, **{"lidar": "VLP-16", "cameras": "nuscenes", **settings})
    scan, _ = drive.scan(0)
    azimuth_deg = np.rad2deg(np.arctan2(*drive.rig.base_from_lidar.apply(scan.xyz)[:, 1::-1].T))
    for name, mounted in drive.rig.cameras.items():
        late_ns = drive.image_stamp_ns(0, name) - scan.stamp_ns
        assert late_ns % 1000 == 0 and 0 <= late_ns < drive.rig.lidar.period_ns
        off_deg = (azimuth_deg - yaw_deg(mounted) + 180) % 360 - 180
        then = np.abs(scan.time_offset_ns - late_ns) < 0.002 * drive.rig.lidar.period_ns
        assert then.sum() > 3 and np.abs(np.median(off_deg[then])) < 6


def test_impossible_rigs_are_named() -> None:
    with pytest.raises(ConfigError, match="cameras must be nuscenes, kitti, none or a number 0"):
        make_rig(9, 0)
    with pytest.raises(ConfigError, match="lidar 'radar' is unknown; known are HDL-32E"):
        make_rig("none", 0, lidar="radar")
    with pytest.raises(ConfigError, match="lens 'cup' is unknown; known are pinhole, plumb_bob, equidistant"):
        make_rig("kitti", 0, lens="cup")
    with pytest.raises(ConfigError, match="images must have 8 to 4096 pixels a side, got 4x4"):
        make_rig("kitti", 0, size=(4, 4))


def test_sizes_are_read() -> None:
    assert parse_size("400x225") == (400, 225)
    for text in ("400", "400x", "x225", "400x-2", "4.5x3", "axb"):
        with pytest.raises(ConfigError, match=rf"size must read WIDTHxHEIGHT, such as 400x225, got '{text}'"):
            parse_size(text)
