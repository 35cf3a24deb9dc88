"""T4 data sets written by the test as the format is documented: nuScenes' tables, with differences."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import NuscenesTree, write_image, write_points, write_text

from clip2scene_core.cameras import project
from clip2scene_core.data import open_source
from clip2scene_core.data.t4 import T4Source
from clip2scene_core.errors import DataError

MATRIX = [[50.0, 0, 20], [0, 50.0, 10], [0, 0, 1]]
DISTORTION = [-0.2, 0.05, 0.001, -0.002, 0.01]
CATEGORIES = {"unpainted": 0, "drivable_surface": 5, "vehicle.car": 7, "pedestrian": 2, "dragon": 9}
STEP_US = 100_000


def points(number: int, columns: int = 5) -> np.ndarray:
    """(5, columns) in base_link, without rings."""
    xyz = np.random.default_rng(number).uniform([5, -3, 0], [30, 3, 2], (5, 3))
    return np.hstack([xyz, [[20.0]] * 5, -np.ones((5, 1)), np.zeros((5, columns - 5))]).astype(np.float32)


def write_t4(folder: Path, *, scans=3, lidar="LIDAR_CONCAT", lidarseg=True, **of_last_scan) -> Path:
    """10 Hz, 1 m a scan along x of map; the camera, 1 m ahead and 1.5 m up, fires 50 ms later."""
    tree = NuscenesTree(folder)
    if not lidarseg:
        del tree.tables["lidarseg"]
    for name, index in CATEGORIES.items():
        tree.add("category", name, name=name, description="", index=index if lidarseg else None)
    for channel, modality in ((lidar, "lidar"), ("CAM_FRONT", "camera")):
        tree.add("sensor", f"s-{channel}", channel=channel, modality=modality)
    lidar_pose = {"translation": [0.0, 0, 0], "rotation": [1.0, 0, 0, 0]}
    camera_pose = {"translation": [1.0, 0, 1.5], "rotation": [0.5, -0.5, 0.5, -0.5]}
    intrinsics = {"camera_intrinsic": MATRIX, "camera_distortion": DISTORTION}
    none = {"camera_intrinsic": [], "camera_distortion": []}
    tree.add("calibrated_sensor", f"c-{lidar}", sensor_token=f"s-{lidar}", **lidar_pose, **none)
    tree.add("calibrated_sensor", "c-CAM_FRONT", sensor_token="s-CAM_FRONT", **camera_pose, **intrinsics)
    tree.add("scene", "scene", name="project_scene", description="", log_token="", nbr_samples=scans)
    for i in range(scans):
        stamp_us = 1_700_000_000_000_000 + i * STEP_US
        tree.add("sample", f"sample-{i}", timestamp=stamp_us, scene_token="scene", prev="", next="")
        for channel, late_us, suffix in ((lidar, 0, "pcd.bin"), ("CAM_FRONT", STEP_US // 2, "jpg")):
            is_image = suffix == "jpg"
            record = {
                "sample_token": f"sample-{i}",
                "ego_pose_token": f"e-{channel}-{i}",
                "calibrated_sensor_token": f"c-{channel}",
                "filename": f"data/{channel}/{i:05d}.{suffix}",
                "fileformat": suffix,
                "width": 40 if is_image else 0,
                "height": 20 if is_image else 0,
                "timestamp": stamp_us + late_us,
                "is_key_frame": True,
                "prev": f"{channel}-{i - 1}" if i else "",
                "next": f"{channel}-{i + 1}" if i < scans - 1 else "",
                "is_valid": True,
            }
            if not is_image and i == scans - 1:
                record |= of_last_scan
            tree.add("sample_data", f"{channel}-{i}", **record)
            x_m = (i * STEP_US + late_us) / STEP_US
            pose = {"translation": [x_m, 0, 0], "rotation": [1.0, 0, 0, 0], "twist": None}
            tree.add("ego_pose", f"e-{channel}-{i}", timestamp=stamp_us + late_us, **pose)
            if is_image:
                write_image(folder / record["filename"], 40, 20)
            else:
                write_points(folder / record["filename"], points(i))
        if lidarseg:
            path = f"lidarseg/annotation/{i}.bin"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(bytes([5, 7, 2, 0, 9]))
            tree.add("lidarseg", f"l-{i}", sample_data_token=f"{lidar}-{i}", filename=path)
    tree.save("annotation")
    return folder


def test_scans_are_given_in_base_link_with_sweeps_and_motion(tmp_path):
    source = open_source("t4", write_t4(tmp_path / "id"), sweeps=2)
    frame = source[2]
    np.testing.assert_array_equal(frame.scan.xyz, points(2)[:, :3])
    assert (frame.scan.frame_id, frame.scan.ring, frame.scan.intensity[0]) == ("LIDAR_CONCAT", None, 20)
    assert frame.scan.stamp_ns == 1_700_000_000_200_000_000
    assert frame.world_from_lidar.translation.tolist() == [2, 0, 0]
    assert [pose.translation[0] for pose in frame.sweeps_world_from_lidar] == [1, 0]
    np.testing.assert_array_equal(source.mounting(0)["LIDAR_CONCAT"].matrix, np.eye(4))


def test_cameras_are_distorted_as_opencv_distorts(tmp_path):
    """Half a metre further than at the scan and 1 m ahead of the base: 8.5 m before a point at 10 m."""
    frame = T4Source(write_t4(tmp_path / "id"))[0]
    camera = frame.images["CAM_FRONT"].camera
    assert (camera.model, camera.width, camera.height) == ("plumb_bob", 40, 20)
    xyz_camera = frame.camera_from_lidar("CAM_FRONT").apply(np.array([[10.0, 0.5, 1.2], [10, -1, 2]]))
    np.testing.assert_allclose(xyz_camera, [[-0.5, 0.3, 8.5], [1, -0.5, 8.5]], atol=1e-9)
    expected, _ = cv2.projectPoints(
        xyz_camera, np.zeros(3), np.zeros(3), np.array(MATRIX), np.array(DISTORTION)
    )
    np.testing.assert_allclose(project(camera, xyz_camera)[0], expected[:, 0], atol=1e-6)


def test_labels_follow_the_names_of_the_data_set(tmp_path):
    source = T4Source(write_t4(tmp_path / "id"))
    assert source.label_set.name == "t4"
    names = [source.label_set.names[i - 1] if i else "" for i in source[0].labels.class_id]
    assert names == ["drivable surface", "car", "pedestrian", "", ""]
    assert source.notes == ("id: the labels dragon are ignored",)
    unlabelled = T4Source(write_t4(tmp_path / "bare", lidarseg=False))
    assert (unlabelled.label_set, unlabelled[0].labels, unlabelled.notes) == (None, None, ())


def test_data_that_is_not_valid_is_left_out(tmp_path):
    source = T4Source(write_t4(tmp_path / "id", lidarseg=False, is_valid=False))
    assert len(source) == 2
    assert source.notes == ("id: 1 of 3 samples have no valid scan: left out",)
    path = tmp_path / "id/annotation/sample_data.json"
    records = [
        r | {"is_valid": r["token"] not in ("CAM_FRONT-1", "LIDAR_CONCAT-1")}
        for r in json.loads(path.read_text())
    ]
    path.write_text(json.dumps(records))
    source = T4Source(tmp_path / "id", sweeps=2)
    assert [list(frame.images) for frame in source] == [["CAM_FRONT"], ["CAM_FRONT"]]
    assert [sweep.stamp_ns for sweep in source[1].sweeps] == [1_700_000_000_000_000_000]


def test_points_may_have_more_columns(tmp_path):
    folder = write_t4(tmp_path / "id", info_filename="data/LIDAR_CONCAT_INFO/00002.json")
    write_text(folder / "data/LIDAR_CONCAT_INFO/00002.json", '{"num_pts_feats": 7, "sources": []}')
    write_points(folder / "data/LIDAR_CONCAT/00002.pcd.bin", points(2, columns=7))
    np.testing.assert_array_equal(T4Source(folder)[2].scan.xyz, points(2)[:, :3])


def test_a_folder_of_data_sets_gives_the_latest_version_of_each(tmp_path):
    write_t4(tmp_path / "db/b", scans=2, lidar="LIDAR_TOP", lidarseg=False)
    write_t4(tmp_path / "db/a/9", scans=1)
    write_t4(tmp_path / "db/a/10", scans=3)
    for root in (tmp_path, tmp_path / "db"):
        source = T4Source(root)
        assert [frame.scan.frame_id for frame in source] == ["LIDAR_CONCAT"] * 3 + ["LIDAR_TOP"] * 2
        assert set(source.mounting(3)) == {"LIDAR_TOP", "CAM_FRONT"}
    assert len(T4Source(tmp_path, scenes=["b"])) == 2
    assert len(T4Source(tmp_path / "db/a")) == 3
    assert len(T4Source(tmp_path / "db/a/9")) == 1
    with pytest.raises(DataError, match="no scene 'c'; it has a, b"):
        T4Source(tmp_path, scenes=["c"])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "annotation/sample_data.json").unlink(), "not T4, or one level off"),
        (
            lambda f: (f / "annotation/sensor.json").write_text("[]"),
            "sensor.json has no record 's-LIDAR_CONCAT'",
        ),
        (lambda f: (f / "annotation/category.json").write_text("[]"), "category.json gives no index"),
        (
            lambda f: (f / "data/LIDAR_CONCAT/00000.pcd.bin").write_bytes(bytes(21)),
            "no whole number of points",
        ),
        (
            lambda f: (f / "lidarseg/annotation/0.bin").write_bytes(bytes(4)),
            "4 labels but its scan has 5 points",
        ),
    ],
)
def test_damaged_data_sets_are_named(tmp_path, damage, words):
    folder = write_t4(tmp_path / "id")
    damage(folder)
    with pytest.raises(DataError, match=words) as error:
        T4Source(folder)[0]
    assert str(folder) in str(error.value)


def test_pcd_files_are_named(tmp_path):
    folder = write_t4(tmp_path / "id", scans=1, filename="data/LIDAR_CONCAT/00000.pcd")
    with pytest.raises(DataError, match=r"00000.pcd is a PCD file; only .pcd.bin and .bin can be read"):
        T4Source(folder)[0]
