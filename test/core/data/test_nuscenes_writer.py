"""Drives in nuScenes' format against the simulator's truth and the official devkit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip2scene_core.data.drives import write_nuscenes
from clip2scene_core.data.lidarseg import CATEGORIES, CATEGORY_OF, category_ids
from clip2scene_core.data.nuscenes import NuscenesSource
from clip2scene_core.errors import ConfigError
from clip2scene_core.labels import LabelSet
from clip2scene_core.pairing import point_pixel_pairs
from clip2scene_core.simulation.drive import SimulatedDrive

SETTINGS = {
    "frames": 2,
    "lidar": "VLP-16",
    "cameras": "nuscenes",
    "image_size": (64, 36),
    "lens": "pinhole",
    "style": None,
}
SEEDS = (2, 4)


@pytest.fixture(scope="module")
def data_set(small_towns, tmp_path_factory) -> Path:
    """Two scenes of two keyframes each, four sweeps between them."""
    root = tmp_path_factory.mktemp("simulated")
    write_nuscenes(root, SEEDS, SETTINGS)
    return root


@pytest.fixture(scope="module")
def drive(small_towns) -> SimulatedDrive:
    """The one that the second scene shows, at 10 Hz from keyframe to keyframe."""
    return SimulatedDrive(SEEDS[1], **{**SETTINGS, "frames": 6}, compensated=True)


@pytest.fixture
def tables(data_set):
    devkit = pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    return devkit.NuScenes("v1.0-sim", str(data_set), verbose=False)


def test_the_reader_gives_back_the_drive_with_its_truth(data_set, drive):
    source = NuscenesSource(data_set, scenes=["town_000004"], sweeps=2)
    assert [frame.scan.stamp_ns for frame in source] == [1_000_000_000, 1_500_000_000]
    frame, (scan, labels) = source[1], drive.scan(5)
    np.testing.assert_array_equal(frame.scan.xyz, scan.xyz)
    np.testing.assert_allclose(frame.scan.intensity, 255 * scan.intensity, atol=0.5)
    np.testing.assert_array_equal(frame.scan.ring, scan.ring)
    truth = LabelSet.named("nuscenes").from_set(LabelSet.named("town"), labels.class_id)
    np.testing.assert_array_equal(frame.labels.class_id, truth)
    assert len(np.unique(truth)) > 3
    np.testing.assert_allclose(frame.world_from_lidar.matrix, drive.world_from_lidar(5).matrix, atol=1e-9)
    for number, sweep in enumerate(frame.sweeps):
        np.testing.assert_array_equal(sweep.xyz, drive.scan(4 - number)[0].xyz)
        pose = frame.sweeps_world_from_lidar[number]
        np.testing.assert_allclose(pose.matrix, drive.world_from_lidar(4 - number).matrix, atol=1e-9)


def test_the_reader_gives_back_the_cameras(data_set, drive):
    frame = NuscenesSource(data_set, scenes=["town_000004"])[1]
    assert {name.removeprefix("CAM_").lower() for name in frame.images} == set(drive.rig.cameras)
    for name, mounted in drive.rig.cameras.items():
        image = frame.images[f"CAM_{name.upper()}"]
        assert image.stamp_ns == drive.image_stamp_ns(5, name)
        np.testing.assert_array_equal(image.camera.matrix, mounted.camera.matrix)
        pose = frame.world_from_camera[f"CAM_{name.upper()}"]
        np.testing.assert_allclose(pose.matrix, drive.world_from_camera(5, name).matrix, atol=1e-9)
        difference = image.rgb.astype(float) - drive.rendering(5, name).image.rgb
        assert np.abs(difference).mean() < 12, "but for what JPEG takes"
    steps = [pose.translation for pose in (frame.world_from_lidar, drive.world_from_lidar(0))]
    assert np.linalg.norm(steps[0] - steps[1]) > 1, "the car drives: poses at wrong times would be seen"


def test_the_devkit_walks_through_the_scenes(tables, data_set):
    assert [scene["name"] for scene in tables.scene] == ["town_000002", "town_000004"]
    for scene in tables.scene:
        sample = tables.get("sample", scene["first_sample_token"])
        assert sample["prev"] == "" and tables.get("sample", sample["next"])["next"] == ""
        assert sample["next"] == scene["last_sample_token"] and scene["nbr_samples"] == 2
        assert len(sample["data"]) == 7
        record, scans = tables.get("sample_data", sample["data"]["LIDAR_TOP"]), []
        while record["next"]:
            scans.append(record)
            record = tables.get("sample_data", record["next"])
        assert [r["is_key_frame"] for r in [*scans, record]] == [True, *[False] * 4, True]
        assert {r["sample_token"] for r in scans[1:]} == {sample["next"]}, "the one that follows"
    for record in tables.sample_data:
        assert (data_set / record["filename"]).is_file()
        assert tables.get("ego_pose", record["ego_pose_token"])["timestamp"] == record["timestamp"]


def test_the_devkit_draws_points_where_they_are_paired(tables, data_set):
    """It leaves out a border of a pixel, and keeps hidden points."""
    frame, sample = NuscenesSource(data_set)[3], tables.sample[3]
    for camera, token in sample["data"].items():
        if camera == "LIDAR_TOP":
            continue
        drawn, _, _ = tables.explorer.map_pointcloud_to_image(sample["data"]["LIDAR_TOP"], token)
        pairs = point_pixel_pairs(frame, camera, occlusion=False)
        within = ((pairs.pixel > 1) & (pairs.pixel < np.array([64, 36]) - 1)).all(axis=1)
        np.testing.assert_allclose(pairs.pixel[within], drawn[:2].T, atol=2e-3)
        assert within.sum() > 50


def test_categories_are_those_of_the_devkit(tables, data_set, drive):
    from nuscenes.utils.color_map import get_colormap

    assert list(CATEGORIES) == list(get_colormap()) == [c["name"] for c in tables.category]
    sample = tables.sample[3]["data"]["LIDAR_TOP"]
    raw = np.fromfile(data_set / tables.get("lidarseg", sample)["filename"], np.uint8)
    named = {c.id: CATEGORY_OF[c.name] for c in LabelSet.named("town").classes}
    expected = [named[id] for id in drive.scan(5)[1].class_id.tolist()]
    assert [tables.lidarseg_idx2name_mapping[id] for id in raw.tolist()] == expected


def test_categories_agree_with_the_map_from_the_town_to_the_16_classes():
    town, label_set = LabelSet.named("town"), LabelSet.named("nuscenes")
    by_category = label_set.from_raw(category_ids()[town.ids])
    np.testing.assert_array_equal(by_category, label_set.from_set(town, town.ids))


def test_every_pixel_has_its_class_beside_the_image(tables, data_set, drive):
    token = tables.sample[3]["data"]["CAM_BACK"]
    path = data_set / f"imageseg/v1.0-sim/{token}_imageseg.png"
    with Image.open(path) as image:
        np.testing.assert_array_equal(image, category_ids()[drive.rendering(5, "back").class_id])


def test_a_bent_lens_has_no_place_in_the_format(tmp_path):
    with pytest.raises(ConfigError, match=r"a lens plumb_bob has no place in it; write a bag instead"):
        write_nuscenes(tmp_path / "new", [0], {**SETTINGS, "lens": "plumb_bob"})
    assert not (tmp_path / "new").exists()
