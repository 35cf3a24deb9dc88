"""Drives and training sweeps: consistent over time, between sensors, and from run to run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from clip2scene_core.cameras import in_image, project
from clip2scene_core.data.simulated import SimulatedSource
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.geometry import visible
from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation.drive import SimulatedDrive
from clip2scene_core.simulation.rigs import random_lidar
from clip2scene_core.simulation.sampling import random_sweeps
from clip2scene_core.simulation.sweeps import count_sweeps, read_sweeps, write_sweeps

TOWN = LabelSet.named("town")
FLAT = [TOWN.id_of(name) for name in ("road", "parking", "sidewalk", "terrain")]


@pytest.fixture(scope="module")
def drive() -> SimulatedDrive:
    return SimulatedDrive(4, frames=12, lidar="HDL-32E", cameras=2, image_size=(320, 180), compensated=True)


@pytest.fixture(scope="module")
def source() -> SimulatedSource:
    return SimulatedSource(seed=5, frames=6, lidar="VLP-16", sweeps=2)


def test_rows_of_a_scan_belong_together(drive: SimulatedDrive) -> None:
    scan, labels = drive.scan(3)
    assert len(scan.xyz) == len(labels.class_id) == len(scan.ring) > 15_000
    assert scan.xyz.dtype == np.float32 and np.isfinite(scan.xyz).all()
    assert set(np.unique(labels.class_id)) <= set(TOWN.ids.tolist())
    assert scan.ring.max() < 32 and scan.intensity.min() >= 0 and scan.intensity.max() <= 1


def test_a_drive_is_the_same_in_any_order_and_another_for_another_seed(drive: SimulatedDrive) -> None:
    again = SimulatedDrive(4, frames=12, lidar="HDL-32E", cameras=2, image_size=(320, 180), compensated=True)
    backwards = [again.scan(i)[0].xyz for i in (7, 2)]
    np.testing.assert_array_equal(backwards[0], drive.scan(7)[0].xyz)
    np.testing.assert_array_equal(backwards[1], drive.scan(2)[0].xyz)
    np.testing.assert_array_equal(
        again.rendering(2, "front").image.rgb, drive.rendering(2, "front").image.rgb
    )
    other = SimulatedDrive(6, frames=1, lidar="HDL-32E", cameras=0, style="village")
    assert len(other.scan(0)[0].xyz) != len(drive.scan(0)[0].xyz)


def test_standing_things_stay_where_they_are_in_the_world(drive: SimulatedDrive) -> None:
    """Poses, motion during the sweep and scans agree: facades of two scans lie on each other."""
    clouds = []
    for index in (0, 11):
        scan, labels = drive.scan(index)
        near = np.isin(labels.class_id, FLAT) & (np.linalg.norm(scan.xyz, axis=1) < 15)
        clouds.append(drive.world_from_lidar(index).apply(scan.xyz[near].astype(np.float64)))
    tree = cKDTree(clouds[0][:, :2])
    distance, index = tree.query(clouds[1][:, :2])
    close = distance < 0.1
    assert close.sum() > 200
    assert np.median(np.abs(clouds[1][close, 2] - clouds[0][index[close], 2])) < 0.04


@pytest.mark.parametrize("camera", ["front", "front_left"])
def test_lidar_points_fall_on_pixels_of_their_class(drive: SimulatedDrive, camera: str) -> None:
    agreed = total = 0
    for index in (1, 9):
        scan, labels = drive.scan(index)
        picture = drive.rendering(index, camera)
        camera_from_lidar = drive.world_from_camera(index, camera).inverse() @ drive.world_from_lidar(index)
        pixels, depth_m = project(picture.image.camera, camera_from_lidar.apply(scan.xyz))
        shown = in_image(picture.image.camera, pixels)
        shown[shown] = visible(pixels[shown], depth_m[shown])
        column, row = np.round(pixels[shown]).astype(int).T
        agreed += (picture.class_id[row, column] == labels.class_id[shown]).sum()
        total += shown.sum()
    assert total > 2000
    assert agreed / total > 0.9


def test_the_vehicle_goes_forward_on_the_ground_and_touches_nothing_that_moves(drive: SimulatedDrive) -> None:
    times = np.arange(drive.stamp_ns(0), drive.stamp_ns(11), 10**7)
    rotations, at = drive.world_from_base.at(times)
    steps = np.diff(at, axis=0)
    ahead = np.einsum("ti,ti->t", steps, rotations[:-1, :, 0])
    assert (ahead > -1e-6).all()
    assert (np.linalg.norm(steps - ahead[:, None] * rotations[:-1, :, 0], axis=1) < 0.02).all()
    height, class_id = drive.town.surface.below(at[:, :2])
    assert np.abs(height - at[:, 2]).max() < 0.15
    assert np.isin(class_id, FLAT[:2]).mean() > 0.95
    for actor in drive.actors:
        assert np.linalg.norm(actor.trajectory.positions(times) - at, axis=1).min() > 1.5


def test_frames_of_the_source(source: SimulatedSource) -> None:
    frame = source[3]
    assert len(source) == 6 and source.label_set.name == "town" and source.camera_names == ("front",)
    assert [s.stamp_ns for s in frame.sweeps] == [source[2].scan.stamp_ns, source[1].scan.stamp_ns]
    np.testing.assert_array_equal(frame.sweeps[0].xyz, source[2].scan.xyz)
    np.testing.assert_allclose(frame.sweeps_world_from_lidar[1].matrix, source[1].world_from_lidar.matrix)
    assert source[0].sweeps == () and len(source[1].sweeps) == 1
    assert frame.images["front"].rgb.std() > 10
    assert frame.scan.stamp_ns <= frame.images["front"].stamp_ns < source[4].scan.stamp_ns
    assert set(source.mounting(0)) == {frame.scan.frame_id, frame.images["front"].frame_id}
    with pytest.raises(IndexError):
        source[6]


def test_the_chain_of_mountings_is_that_of_the_poses(source: SimulatedSource) -> None:
    """Camera and LiDAR sit on one base: both poses give the same one, up to the way between the stamps."""
    frame, mounting = source[0], source.mounting(0)
    image = frame.images["front"]
    by_lidar = frame.world_from_lidar @ mounting["lidar"].inverse()
    by_camera = frame.world_from_camera["front"] @ mounting[image.frame_id].inverse()
    seconds = (image.stamp_ns - frame.scan.stamp_ns) * 1e-9
    assert np.linalg.norm(by_camera.translation - by_lidar.translation) < 25 * seconds + 1e-6
    ground = mounting["lidar"].translation[2]
    flat = np.isin(frame.labels.class_id, FLAT) & (np.linalg.norm(frame.scan.xyz[:, :2], axis=1) < 12)
    base = mounting["lidar"].apply(frame.scan.xyz[flat].astype(np.float64))
    assert 1.5 < ground < 2.2 and abs(np.median(base[:, 2])) < 0.35


def test_impossible_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="lidar 'radar' is unknown; known are HDL-32E"):
        SimulatedDrive(0, frames=1, lidar="radar")
    with pytest.raises(ConfigError, match="cameras must be nuscenes, kitti, none or a number 0"):
        SimulatedDrive(0, frames=1, cameras=9)
    with pytest.raises(ConfigError, match="frames must be at least 1, got 0"):
        SimulatedDrive(0, frames=0)


def test_random_lidars_differ_and_stay_affordable() -> None:
    models = [random_lidar(np.random.default_rng(seed)) for seed in range(60)]
    assert {m.name for m in models} == {"HDL-32E", "HDL-64E", "VLP-16", "VLS-128"}
    assert len({m.elevations_deg.tobytes() for m in models}) > 30
    step_deg = np.array([360 / m.azimuth_steps for m in models])
    assert step_deg.min() >= 0.079 and step_deg.max() > 0.3
    assert max(m.azimuth_steps * len(m.elevations_deg) for m in models) <= 160_000


def test_training_sweeps_have_the_true_sensor_height() -> None:
    for item in random_sweeps(21, 3):
        level = np.isin(item.labels.class_id, FLAT)
        ring = np.linalg.norm(item.scan.xyz[:, :2], axis=1)
        near = level & (ring < np.sort(ring[level])[200])
        a = np.column_stack([item.scan.xyz[near, :2], np.ones(near.sum())])
        height_at_origin = np.linalg.lstsq(a, item.scan.xyz[near, 2], rcond=None)[0][2]
        assert -height_at_origin == pytest.approx(item.sensor_height_m, abs=0.5)


def test_sweep_files_are_resumed_and_read_back(tmp_path: Path) -> None:
    done: list[int] = []
    write_sweeps(tmp_path, [3], sweeps=2, progress=done.append)
    path = tmp_path / "town_000003.npz"
    assert done == [1] and [p.name for p in tmp_path.iterdir()] == [path.name]
    written = path.stat().st_mtime_ns
    write_sweeps(tmp_path, [3], sweeps=2)
    assert path.stat().st_mtime_ns == written, "an existing file is not written again"
    truth, back = list(random_sweeps(3, 2)), read_sweeps(path)
    assert count_sweeps(path) == len(back) == 2
    for a, b in zip(truth, back, strict=True):
        np.testing.assert_array_equal(a.scan.xyz, b.scan.xyz)
        np.testing.assert_array_equal(a.labels.class_id, b.labels.class_id)
        assert (a.lidar, pytest.approx(a.sensor_height_m)) == (b.lidar, b.sensor_height_m)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"town_000003\.npz is no file of simulated sweeps .* delete it"):
        read_sweeps(path)
