"""KITTI raw against its published projection formula and drives worked out by hand."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from conftest import (
    KITTI_PROJECTION,
    KITTI_RECTIFICATION,
    KITTI_ROTATION,
    KITTI_TRANSLATION,
    hall_points,
    kitti_points,
    numbers,
    write_points,
    write_text,
)

from clip2scene_core.cameras import project
from clip2scene_core.data.kitti_raw import KittiRawSource
from clip2scene_core.errors import ConfigError, DataError

DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"


def formula_pixels(xyz: np.ndarray) -> np.ndarray:
    """pixel = P_rect_02 R_rect_00 [R T] xyz, as the data set's paper has it."""
    in_camera_0 = xyz @ KITTI_ROTATION.T + KITTI_TRANSLATION
    rectified = in_camera_0 @ KITTI_RECTIFICATION.T
    homogeneous = np.column_stack([rectified, np.ones(len(xyz))]) @ KITTI_PROJECTION.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


def test_scans_images_and_times(kitti_raw):
    source = KittiRawSource(kitti_raw)
    assert len(source) == 3
    assert source.camera_names == ("image_02",)
    assert source.label_set is None
    for index, frame in enumerate(source):
        np.testing.assert_array_equal(frame.scan.xyz, kitti_points(index)[:, :3])
        np.testing.assert_array_equal(frame.scan.intensity, kitti_points(index)[:, 3])
        assert frame.images["image_02"].rgb[0, 0].tolist() == [index, 100, 200]
    assert [frame.scan.stamp_ns for frame in source] == [1_000_000_000, 1_100_000_000, 1_200_000_000]


def test_projection_is_the_published_formula(kitti_raw):
    frame = KittiRawSource(kitti_raw)[2]
    camera = frame.images["image_02"].camera
    pixels, _ = project(camera, frame.camera_from_lidar("image_02").apply(frame.scan.xyz.astype(np.float64)))
    np.testing.assert_allclose(pixels, formula_pixels(frame.scan.xyz), atol=1e-6)


def test_mounting_and_poses_make_the_same_chain(kitti_raw):
    source = KittiRawSource(kitti_raw)
    mounting = source.mounting(0)
    chain = mounting["image_02"].inverse() @ mounting["velodyne"]
    np.testing.assert_allclose(chain.matrix, source[0].camera_from_lidar("image_02").matrix, atol=1e-12)


def test_timestamps_have_a_line_for_missing_scans_too(kitti_raw):
    velodyne = kitti_raw / DRIVE / "velodyne_points"
    (velodyne / "data/0000000001.bin").unlink()
    lines = [f"2011-09-26 13:02:25.{nanoseconds:09d}\n" for nanoseconds in (5, 100_000_123, 900_000_001)]
    write_text(velodyne / "timestamps.txt", "".join(lines))
    stamps = [frame.scan.stamp_ns for frame in KittiRawSource(kitti_raw)]
    assert stamps == [1_317_042_145_000_000_005, 1_317_042_145_900_000_001]


def test_without_oxts_the_vehicle_stands_still_and_a_note_says_so(kitti_raw):
    source = KittiRawSource(kitti_raw)
    np.testing.assert_array_equal(source[2].world_from_lidar.matrix, np.eye(4))
    assert "no oxts" in source.notes[0]


def test_without_oxts_scans_tell_how_the_vehicle_moves(kitti_raw):
    """1 m ahead from scan to scan."""
    pytest.importorskip("kiss_icp", reason="kiss-icp is not installed")
    for frame in range(3):
        xyz = hall_points(frame) - (frame, 0, 0)
        write_points(
            kitti_raw / DRIVE / f"velodyne_points/data/{frame:010d}.bin", np.insert(xyz, 3, 0.0, axis=1)
        )
    source = KittiRawSource(kitti_raw)
    np.testing.assert_allclose(source[2].world_from_lidar.matrix[:3, 3], [2, 0, 0], atol=0.05)
    assert "no oxts and no poses were given: ego motion by KISS-ICP, 2." in source.notes[0]
    still = KittiRawSource(kitti_raw, ego_motion="none")
    np.testing.assert_array_equal(still[2].world_from_lidar.matrix, np.eye(4))
    assert still.notes == ("as asked for, all scans have the same pose",)


def test_the_source_of_motion_can_be_asked_for(kitti_raw):
    poses = kitti_raw / "poses.txt"
    write_text(poses, "".join(f"1 0 0 {i} 0 1 0 0 0 0 1 0\n" for i in range(3)))
    recorded = KittiRawSource(kitti_raw, poses=poses, ego_motion="recorded")
    assert recorded[2].world_from_lidar.translation[0] == 2
    assert KittiRawSource(kitti_raw, poses=poses, ego_motion="none")[2].world_from_lidar.translation[0] == 0
    with pytest.raises(DataError, match="has no oxts and no poses were given; choose another ego_motion"):
        KittiRawSource(kitti_raw, ego_motion="recorded")
    with pytest.raises(ConfigError, match="must be recorded, kiss-icp or none, got 'oxts'"):
        KittiRawSource(kitti_raw, ego_motion="oxts")


def test_poses_from_a_file_and_sweeps_newest_first(kitti_raw):
    poses = kitti_raw / "poses.txt"
    write_text(poses, "".join(f"1 0 0 {i} 0 1 0 0 0 0 1 0\n" for i in range(3)))
    frame = KittiRawSource(kitti_raw, poses=poses, sweeps=5)[2]
    assert frame.world_from_lidar.translation.tolist() == [2, 0, 0]
    assert [pose.translation[0] for pose in frame.sweeps_world_from_lidar] == [1, 0]
    np.testing.assert_array_equal(frame.sweeps[0].xyz, kitti_points(1)[:, :3])
    assert KittiRawSource(kitti_raw, poses=poses, sweeps=5)[0].sweeps == ()


def test_oxts_give_the_path_of_the_vehicle(kitti_raw):
    """One arc second of latitude at the earth's radius is 30.92 m; heading north is a yaw of 90 degrees.

    The IMU sits 0.8 m behind the LiDAR and turns left by 90 degrees in the last frame, so the LiDAR ends
    0.8 m west of the IMU instead of north of it.
    """
    write_text(kitti_raw / "2011_09_26/calib_imu_to_velo.txt", "R: 1 0 0 0 1 0 0 0 1\nT: -0.8 0 0\n")
    arc_second = 1 / 3600
    for i, (latitude, yaw) in enumerate([(49, 90), (49 + arc_second, 90), (49 + arc_second, 180)]):
        row = [latitude, 8.4, 110 + i, 0, 0, np.radians(yaw), *[0] * 24]
        write_text(kitti_raw / DRIVE / f"oxts/data/{i:010d}.txt", " ".join(map(str, row)) + "\n")
    poses = [frame.world_from_lidar for frame in KittiRawSource(kitti_raw)]
    np.testing.assert_allclose(poses[0].matrix, np.eye(4), atol=1e-6)
    # Mercator's scale differs from the true one by the change of latitude within the drive.
    np.testing.assert_allclose(poses[1].translation, [30.92, 0, 1], atol=0.01)
    np.testing.assert_allclose(poses[2].translation, [30.92 - 0.8, 0.8, 2], atol=0.01)
    np.testing.assert_allclose(poses[2].rotation, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-6)


def test_oxts_poses_are_taken_at_the_time_of_each_sensor(kitti_raw):
    drive = kitti_raw / DRIVE
    write_text(kitti_raw / "2011_09_26/calib_imu_to_velo.txt", "R: 1 0 0 0 1 0 0 0 1\nT: 0 0 0\n")
    for i in range(3):
        row = [49, 8.4, 100 + i, *[0] * 27]
        write_text(drive / f"oxts/data/{i:010d}.txt", " ".join(map(str, row)))
    for sensor, late_ms in (("oxts", 0), ("velodyne_points", 20), ("image_02", 50)):
        lines = [f"2011-09-26 13:02:25.{i}{late_ms:02d}000000\n" for i in range(3)]
        write_text(drive / sensor / "timestamps.txt", "".join(lines))
    frame = KittiRawSource(kitti_raw)[1]
    assert frame.world_from_lidar.translation[2] == pytest.approx(1.2)
    moved = frame.world_from_camera["image_02"] @ KittiRawSource(kitti_raw).mounting(1)["image_02"].inverse()
    assert moved.translation[2] == pytest.approx(1.5)


@pytest.mark.parametrize("depth", ["", "2011_09_26", DRIVE])
def test_the_root_may_be_the_date_or_the_drive(kitti_raw, depth):
    assert len(KittiRawSource(kitti_raw / depth)) == 3


def test_one_of_several_drives_is_chosen_by_name(kitti_raw):
    shutil.copytree(kitti_raw / DRIVE, kitti_raw / "2011_09_26/other")
    with pytest.raises(DataError, match="several drives: 2011_09_26_drive_0001_sync, other; choose one"):
        KittiRawSource(kitti_raw)
    assert len(KittiRawSource(kitti_raw, drive="other")) == 3
    with pytest.raises(DataError, match="no drive 'third'; it has"):
        KittiRawSource(kitti_raw, drive="third")


def test_cameras_can_be_left_out(kitti_raw):
    assert KittiRawSource(kitti_raw, cameras=())[0].images == {}
    with pytest.raises(DataError, match="no camera 'image_03'; it has image_02"):
        KittiRawSource(kitti_raw, cameras=["image_03"])


def damage(root, name, change):
    path = root / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("velodyne_points/data/0000000001.bin", lambda b: b[:-3], "bytes, no whole number of points"),
        ("image_02/data/0000000001.png", lambda b: b[: len(b) // 2], "is no whole image"),
        ("image_02/data/0000000001.png", None, "does not exist"),
        ("../calib_velo_to_cam.txt", None, "calib_velo_to_cam.txt does not exist"),
        ("../calib_velo_to_cam.txt", lambda b: b.replace(b"T:", b"X:"), "has no entry 'T'"),
        (
            "../calib_cam_to_cam.txt",
            lambda b: b.replace(b"R_rect_00: ", b"R_rect_00: 1 "),
            "9 numbers, got 10",
        ),
    ],
)
def test_damaged_recordings_are_named(kitti_raw, name, change, words):
    damage(kitti_raw / DRIVE, name, change)
    with pytest.raises(DataError, match=words) as error:
        KittiRawSource(kitti_raw)[1]
    assert name.rpartition("/")[2] in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_numbers_of_poses_and_times_are_named(kitti_raw):
    poses = kitti_raw / "poses.txt"
    write_text(poses, numbers(np.eye(4)[:3]) + "\n")
    with pytest.raises(DataError, match="has 1 poses but there are 3 scans"):
        KittiRawSource(kitti_raw, poses=poses)
    write_text(poses, "1 2 3\n")
    with pytest.raises(DataError, match="line 1 has 3 numbers, expected 12"):
        KittiRawSource(kitti_raw, poses=poses)
    write_text(kitti_raw / DRIVE / "velodyne_points/timestamps.txt", "2011-09-26 13:02:25.5\n")
    with pytest.raises(DataError, match="has 1 lines but there is a scan number 2"):
        KittiRawSource(kitti_raw)


def test_other_folders_are_not_kitti(tmp_path):
    with pytest.raises(DataError, match="not the root of a KITTI raw recording"):
        KittiRawSource(tmp_path)


def test_indices_past_the_end(kitti_raw):
    source = KittiRawSource(kitti_raw)
    with pytest.raises(IndexError):
        source[3]
    assert source[-1].scan.stamp_ns == source[2].scan.stamp_ns


def test_the_real_recording(real_recordings):
    source = KittiRawSource(real_recordings / "kitti_raw", ego_motion="none")
    assert len(source) == 30
    frame = source[0]
    camera = frame.images["image_02"].camera
    assert (camera.width, camera.height) == (1242, 375)
    assert 110_000 < len(frame.scan.xyz) < 125_000
    assert 0 <= frame.scan.intensity.min() <= frame.scan.intensity.max() <= 1
