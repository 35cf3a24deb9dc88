"""SemanticKITTI against scans, labels and poses written by the test, and the totals of the real ones."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import (
    KITTI_PROJECTION,
    KITTI_ROTATION,
    KITTI_TRANSLATION,
    hall_points,
    kitti_points,
    write_points,
    write_text,
)

from clip2scene_core.cameras import project
from clip2scene_core.data.semantic_kitti import SemanticKittiSource
from clip2scene_core.errors import DataError


def test_sequences_follow_one_another(semantic_kitti):
    source = SemanticKittiSource(semantic_kitti)
    assert [len(frame.scan.xyz) for frame in source] == [4, 5, 6, 4, 5]
    np.testing.assert_array_equal(source[1].scan.xyz, kitti_points(1)[:, :3])
    assert len(SemanticKittiSource(semantic_kitti, sequences=["11"])) == 2


def test_labels_are_the_low_16_bits_mapped_to_the_19_classes(semantic_kitti):
    source = SemanticKittiSource(semantic_kitti)
    assert source.label_set.name == "semantic_kitti"
    # 10 car, 40 road, 252 moving car, 0 unlabelled, 99 other object (ignored), 80 pole; each of object 7.
    assert source[2].labels.class_id.tolist() == [1, 9, 1, 0, 0, 18]
    assert source[2].labels.probability is None
    assert source[3].labels is None
    assert SemanticKittiSource(semantic_kitti, sequences=["11"]).label_set is None


def test_projection_is_p2_tr(semantic_kitti):
    frame = SemanticKittiSource(semantic_kitti)[0]
    xyz = frame.scan.xyz.astype(np.float64)
    in_camera_0 = xyz @ KITTI_ROTATION.T + KITTI_TRANSLATION
    homogeneous = np.column_stack([in_camera_0, np.ones(4)]) @ KITTI_PROJECTION.T
    pixels, _ = project(frame.images["image_2"].camera, frame.camera_from_lidar("image_2").apply(xyz))
    np.testing.assert_allclose(pixels, homogeneous[:, :2] / homogeneous[:, 2:], atol=1e-6)


def test_poses_of_the_camera_become_poses_of_the_lidar(semantic_kitti):
    """Camera 0 moves 5 m along its own z, forward: the LiDAR moves 5 m along its x."""
    path = semantic_kitti / "sequences/00/poses.txt"
    write_text(path, "".join(f"1 0 0 0 0 1 0 0 0 0 1 {5 * i}\n" for i in range(3)))
    source = SemanticKittiSource(semantic_kitti, sequences=["00"], sweeps=2)
    frame = source[2]
    np.testing.assert_allclose(frame.world_from_lidar.translation, [10, 0, 0], atol=1e-9)
    np.testing.assert_allclose(
        [pose.translation for pose in frame.sweeps_world_from_lidar], [[5, 0, 0], [0, 0, 0]], atol=1e-9
    )
    np.testing.assert_array_equal(frame.sweeps[0].xyz, kitti_points(1)[:, :3])
    assert source.notes == ()


def test_sweeps_do_not_cross_sequences(semantic_kitti):
    source = SemanticKittiSource(semantic_kitti, sweeps=3)
    assert len(source[3].sweeps) == 0
    assert len(source[4].sweeps) == 1
    assert any("sequence 11 has no poses.txt" in note for note in source.notes)


def test_without_poses_scans_tell_how_the_vehicle_moves(semantic_kitti):
    """1 m ahead from scan to scan."""
    pytest.importorskip("kiss_icp", reason="kiss-icp is not installed")
    for frame in range(2):
        xyz = hall_points(frame) - (frame, 0, 0)
        path = semantic_kitti / f"sequences/11/velodyne/{frame:06d}.bin"
        write_points(path, np.insert(xyz, 3, 0.0, axis=1))
    source = SemanticKittiSource(semantic_kitti, sequences=["11"])
    np.testing.assert_allclose(source[1].world_from_lidar.matrix[:3, 3], [1, 0, 0], atol=0.05)
    assert [frame.scan.stamp_ns for frame in source] == [1_000_000_000, 1_100_000_000]
    assert source.notes[0].startswith("sequence 11 has no poses.txt: ego motion by KISS-ICP, 1.0 m in 0.1 s")


def test_times_are_seconds_since_the_first_scan(semantic_kitti):
    write_text(semantic_kitti / "sequences/00/times.txt", "0.000000e+00\n1.037875e-01\n2.070000e-01\n")
    stamps = [frame.scan.stamp_ns for frame in SemanticKittiSource(semantic_kitti, sequences=["00"])]
    assert np.diff(stamps).tolist() == [103_787_500, 103_212_500]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("labels/000001.label", lambda b: b[:-4], "4 labels but its scan has 5 points"),
        ("labels/000001.label", lambda b: b[:-1], "no whole number of uint32 labels"),
        ("labels/000001.label", None, "does not exist"),
        ("velodyne/000001.bin", lambda b: b[:-1], "no whole number of points of 4 float32"),
        ("calib.txt", None, "does not exist"),
        ("calib.txt", lambda b: b.replace(b"Tr:", b"Rt:"), "has no entry 'Tr'; it has P2, Rt"),
    ],
)
def test_damaged_recordings_are_named(semantic_kitti, name, change, words):
    path = semantic_kitti / "sequences/00" / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=words) as error:
        SemanticKittiSource(semantic_kitti)[1]
    assert name.rpartition("/")[2] in str(error.value)


def test_missing_sequences_and_roots_are_named(semantic_kitti, tmp_path):
    with pytest.raises(DataError, match="no sequence '08'; it has 00, 11"):
        SemanticKittiSource(semantic_kitti, sequences=["08"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="not the root of SemanticKITTI"):
        SemanticKittiSource(tmp_path / "empty")


def test_the_real_labels_have_their_published_totals(real_recordings):
    source = SemanticKittiSource(real_recordings / "semantic_kitti", ego_motion="none")
    totals = sum(np.bincount(frame.labels.class_id, minlength=20) for frame in source)
    expected = {
        "road": 267_079,
        "vegetation": 218_079,
        "building": 190_324,
        "sidewalk": 163_462,
        "parking": 79_176,
        "car": 69_419,
        "ignore": 32_095,
        "trunk": 19_665,
        "pole": 6_769,
        "motorcyclist": 645,
        "person": 5,
    }
    assert {name: totals[source.label_set.id_of(name)] for name in expected} == expected
