"""nuScenes against tables written by the test and against the official devkit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import nuscenes_points

from clip2scene_core.data.nuscenes import VALIDATION_SCENES, NuscenesSource
from clip2scene_core.errors import DataError


def test_keyframes_scene_by_scene(nuscenes):
    source = NuscenesSource(nuscenes)
    assert [frame.scan.stamp_ns for frame in source] == [1_000_000_000, 2_000_000_000, 9_000_000_000]
    assert source.camera_names == ("CAM_FRONT",)
    expected = nuscenes_points(2_000_000)
    scan = source[1].scan
    np.testing.assert_array_equal(scan.xyz, expected[:, :3])
    np.testing.assert_array_equal(scan.intensity, expected[:, 3])
    assert scan.ring.tolist() == [0, 1, 2, 3, 4, 5]


def test_scenes_and_splits(nuscenes):
    stamps = lambda source: [frame.scan.stamp_ns // 10**9 for frame in source]  # noqa: E731
    assert stamps(NuscenesSource(nuscenes, scenes=["scene-0103"])) == [9]
    assert stamps(NuscenesSource(nuscenes, split="mini_train")) == [1, 2]
    assert stamps(NuscenesSource(nuscenes, split="mini_val")) == [9]
    assert stamps(NuscenesSource(nuscenes, split="val")) == [9]
    with pytest.raises(DataError, match="no scene 'scene-9999'"):
        NuscenesSource(nuscenes, scenes=["scene-9999"])
    with pytest.raises(DataError, match="no split 'test'; choose train, val"):
        NuscenesSource(nuscenes, split="test")


def test_the_chain_accounts_for_the_motion_between_camera_and_lidar(nuscenes):
    """At 10 m/s the car was 0.2 m back when the camera fired, 20 ms earlier.

    The LiDAR is 1 m ahead and 2 m above the car's origin with x to the car's right; the camera 1.5 m
    ahead and 1.5 m above it, looking ahead. A point 10 m ahead of the LiDAR (its y) is then
    10 + 1 + 0.2 - 1.5 = 9.7 m before the camera and 0.5 m above it.
    """
    frame = NuscenesSource(nuscenes)[0]
    point = frame.camera_from_lidar("CAM_FRONT").apply(np.array([0.0, 10.0, 0.0]))
    np.testing.assert_allclose(point, [0, -0.5, 9.7], atol=1e-9)
    np.testing.assert_allclose(frame.world_from_lidar.translation, [11, 500, 2], atol=1e-9)


def test_mounting_is_the_calibration_of_the_vehicle(nuscenes):
    mounting = NuscenesSource(nuscenes).mounting(0)
    assert set(mounting) == {"LIDAR_TOP", "CAM_FRONT"}
    assert mounting["CAM_FRONT"].translation.tolist() == [1.5, 0, 1.5]
    np.testing.assert_allclose(mounting["LIDAR_TOP"].rotation @ [0, 1, 0], [1, 0, 0], atol=1e-12)


def test_sweeps_are_the_scans_before_newest_first(nuscenes):
    source = NuscenesSource(nuscenes, sweeps=2)
    frame = source[1]
    assert [sweep.stamp_ns for sweep in frame.sweeps] == [1_100_000_000, 1_050_000_000]
    np.testing.assert_array_equal(frame.sweeps[0].xyz, nuscenes_points(1_100_000)[:, :3])
    np.testing.assert_allclose([p.translation[0] for p in frame.sweeps_world_from_lidar], [12, 11.5])
    assert len(NuscenesSource(nuscenes, sweeps=10)[1].sweeps) == 3
    assert source[0].sweeps == ()


def test_lidarseg_labels_are_mapped_to_the_16_classes(nuscenes):
    source = NuscenesSource(nuscenes)
    assert source.label_set.name == "nuscenes"
    # 17 car, 24 driveable surface, 0 noise, 31 ego vehicle, 3 child, 30 vegetation.
    assert source[0].labels.class_id.tolist() == [4, 11, 0, 0, 7, 16]
    assert source[2].labels is None
    (nuscenes / "v1.0-mini/lidarseg.json").unlink()
    assert NuscenesSource(nuscenes).label_set is None


def test_any_version_is_found_and_several_are_named(nuscenes):
    (nuscenes / "v1.0-mini").rename(nuscenes / "my-recording")
    assert len(NuscenesSource(nuscenes)) == 3
    (nuscenes / "other").mkdir()
    (nuscenes / "other/sample_data.json").write_text("[]")
    with pytest.raises(DataError, match="several versions: my-recording, other; choose one"):
        NuscenesSource(nuscenes)
    with pytest.raises(DataError, match=r"no version 'v1\.0-mini'; it has"):
        NuscenesSource(nuscenes, version="v1.0-mini")
    assert len(NuscenesSource(nuscenes, version="my-recording")) == 3


def test_cameras_can_be_left_out(nuscenes):
    frame = NuscenesSource(nuscenes, cameras=())[0]
    assert frame.images == {}
    assert frame.world_from_camera == {}
    with pytest.raises(DataError, match="no camera 'CAM_BACK'; it has CAM_FRONT"):
        NuscenesSource(nuscenes, cameras=["CAM_BACK"])


def replace_in_table(root, table, change):
    path = root / "v1.0-mini" / f"{table}.json"
    records = json.loads(path.read_text())
    path.write_text(json.dumps(change(records)))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda root: next(root.glob("samples/LIDAR_TOP/*")).write_bytes(bytes(19)),
            "19 bytes, no whole number of points of 5 float32",
        ),
        (lambda root: [p.unlink() for p in root.glob("samples/LIDAR_TOP/*")], "pcd.bin does not exist"),
        (lambda root: [p.write_bytes(b"x") for p in root.glob("samples/CAM_FRONT/*")], "is no whole image"),
        (
            lambda root: [p.write_bytes(bytes(5)) for p in root.glob("lidarseg/*/*")],
            "5 labels but its scan has 6",
        ),
        (lambda root: (root / "v1.0-mini/ego_pose.json").unlink(), "ego_pose.json does not exist"),
        (lambda root: (root / "v1.0-mini/ego_pose.json").write_text("[{"), "ego_pose.json is no JSON file"),
        (lambda root: (root / "v1.0-mini/sensor.json").write_text("[{}]"), "no list of records with a token"),
        (
            lambda root: replace_in_table(root, "ego_pose", lambda records: records[-1:]),
            "ego_pose.json has no record 'e-scene-0061-LIDAR_TOP-1000'",
        ),
        (
            lambda root: replace_in_table(root, "sample_data", lambda records: records[:1]),
            "has no keyframe of LIDAR_TOP",
        ),
    ],
)
def test_damaged_recordings_are_named(nuscenes, damage, words):
    damage(nuscenes)
    with pytest.raises(DataError, match=words) as error:
        list(NuscenesSource(nuscenes))
    assert "\n" not in str(error.value)


def test_other_folders_are_not_nuscenes(tmp_path):
    with pytest.raises(DataError, match="not the root of nuScenes"):
        NuscenesSource(tmp_path)


def test_tables_agree_with_the_devkit(nuscenes):
    devkit = pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    from nuscenes.utils.geometry_utils import transform_matrix
    from pyquaternion import Quaternion

    tables = devkit.NuScenes("v1.0-mini", str(nuscenes), verbose=False)

    def pose(record):
        return transform_matrix(record["translation"], Quaternion(record["rotation"]))

    def world_from(record):
        ego = tables.get("ego_pose", record["ego_pose_token"])
        sensor = tables.get("calibrated_sensor", record["calibrated_sensor_token"])
        return pose(ego) @ pose(sensor)

    frames = list(NuscenesSource(nuscenes, sweeps=5))
    assert len(frames) == len(tables.sample)
    for frame, sample in zip(frames, tables.sample, strict=True):
        lidar = tables.get("sample_data", sample["data"]["LIDAR_TOP"])
        camera = tables.get("sample_data", sample["data"]["CAM_FRONT"])
        np.testing.assert_allclose(frame.world_from_lidar.matrix, world_from(lidar), atol=1e-9)
        np.testing.assert_allclose(frame.world_from_camera["CAM_FRONT"].matrix, world_from(camera), atol=1e-9)
        for pose_of_sweep in frame.sweeps_world_from_lidar:
            lidar = tables.get("sample_data", lidar["prev"])
            np.testing.assert_allclose(pose_of_sweep.matrix, world_from(lidar), atol=1e-9)
        assert lidar["prev"] == ""


def test_validation_scenes_are_those_of_the_devkit():
    assert len(set(VALIDATION_SCENES)) == 150
    splits = pytest.importorskip("nuscenes.utils.splits", reason="nuscenes-devkit is not installed")
    assert {f"scene-{number:04d}" for number in VALIDATION_SCENES} == set(splits.val)


def test_the_real_keyframe(real_recordings):
    source = NuscenesSource(real_recordings / "nuscenes_keyframe")
    assert len(source) == 1
    assert source.label_set is None
    frame = source[0]
    assert frame.scan.xyz.shape == (34_688, 3)
    assert frame.scan.ring.max() == 31
    assert len(frame.images) == 6
