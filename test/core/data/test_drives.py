"""Many drives as files: whole or not there, the same however they were written."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from clip2scene_core.data import nuscenes_writer, open_source
from clip2scene_core.data.drives import write_bags, write_nuscenes
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.simulation.drive import SimulatedDrive

SETTINGS = {
    "frames": 2,
    "lidar": "VLP-16",
    "cameras": "kitti",
    "image_size": (64, 20),
    "lens": "plumb_bob",
    "style": None,
}
PINHOLE = {**SETTINGS, "lens": "pinhole"}
pytestmark = pytest.mark.usefixtures("small_towns")


def content(folder: Path) -> dict[str, bytes]:
    """All files that a user sees, by path."""
    paths = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file()]
    return {
        str(p): (folder / p).read_bytes() for p in paths if not any(part.startswith(".") for part in p.parts)
    }


def test_a_bag_gives_back_the_drive_with_its_truth_and_its_lens(tmp_path):
    write_bags(tmp_path, [4], SETTINGS)
    drive = SimulatedDrive(4, **SETTINGS, compensated=True)
    source = open_source("rosbag", tmp_path / "town_000004")
    assert len(source) == 2 and source.label_set.name == "town"
    frame, (scan, labels) = source[1], drive.scan(1)
    np.testing.assert_array_equal(frame.scan.xyz, scan.xyz)
    np.testing.assert_array_equal(frame.labels.class_id, labels.class_id)
    camera, expected = frame.images["front"].camera, drive.rig.cameras["front"].camera
    assert camera.model == "plumb_bob"
    np.testing.assert_array_equal(camera.distortion, expected.distortion)
    camera_from_lidar = drive.world_from_camera(1, "front").inverse() @ drive.world_from_lidar(1)
    np.testing.assert_allclose(frame.camera_from_lidar("front").matrix, camera_from_lidar.matrix, atol=1e-6)


def test_images_come_with_the_last_scan_of_each_stride(tmp_path):
    """The scans between are whole: with truth, and with poses that tell how the vehicle moved."""
    settings = {**SETTINGS, "frames": 4}
    write_bags(tmp_path, [4], settings, images_every=2)
    drive, source = SimulatedDrive(4, **settings, compensated=True), open_source("rosbag", tmp_path, sweeps=1)
    images = {source[i].images["front"].stamp_ns for i in range(4) if source[i].images}
    assert images == {drive.image_stamp_ns(i, "front") for i in (1, 3)}
    (sweep,) = source[3].sweeps
    np.testing.assert_array_equal(sweep.xyz, drive.scan(2)[0].xyz)
    np.testing.assert_allclose(
        source[3].sweeps_world_from_lidar[0].matrix, drive.world_from_lidar(2).matrix, atol=1e-6
    )
    with pytest.raises(DataError, match="holds drives with images_every 2, got 1; name another folder"):
        write_bags(tmp_path, [4], settings)


def test_drives_that_are_there_are_left(tmp_path):
    told, settings = [], {**SETTINGS, "frames": 1}
    write_bags(tmp_path, [2], settings)
    before = {path: path.stat() for path in tmp_path.rglob("*.mcap")}
    write_bags(tmp_path, [2, 4], settings, progress=lambda done, **fields: told.append((done, fields)))
    assert told == [(0, {"total": 1, "text": "1 of 2 drives were there"}), (1, {})]
    assert {path: path.stat() for path in before} == before
    assert {path.name for path in tmp_path.glob("town_*")} == {"town_000002", "town_000004"}


def test_an_interrupted_drive_is_not_seen_and_made_up_for(tmp_path, monkeypatch):
    settings = {**PINHOLE, "frames": 1}
    write_nuscenes(tmp_path / "at once", [2, 4], settings)
    folder, rendering, rendered = tmp_path / "resumed", SimulatedDrive.rendering, []
    leftover = folder / ".scenes" / ".town_000002.1"

    def interrupted(drive, index, camera):
        rendered.append(index)
        if len(rendered) == 2:  # of the second drive, whose scan is written
            leftover.mkdir()  # as if another process had been killed
            raise KeyboardInterrupt
        return rendering(drive, index, camera)

    monkeypatch.setattr(SimulatedDrive, "rendering", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_nuscenes(folder, [2, 4], settings)
    scenes = json.loads((folder / "v1.0-sim/scene.json").read_text())
    assert [scene["name"] for scene in scenes] == ["town_000002"]
    assert len(open_source("nuscenes", folder)) == 1
    assert all("town_000004" not in path for path in content(folder))
    write_nuscenes(folder, [2, 4], settings)
    assert content(folder) == content(tmp_path / "at once")
    assert not leftover.exists()


def test_scenes_are_shown_by_the_next_call_where_the_last_one_was_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(nuscenes_writer, "publish", lambda root: None)
    settings = {**PINHOLE, "frames": 1, "cameras": "none"}
    write_nuscenes(tmp_path, [2], settings)
    assert not (tmp_path / "v1.0-sim").exists()
    monkeypatch.undo()
    write_nuscenes(tmp_path, [2], settings)
    assert len(open_source("nuscenes", tmp_path)) == 1


def test_drives_of_other_settings_are_kept_out(tmp_path):
    (tmp_path / "drives.json").write_text(json.dumps({"as": "bag", **SETTINGS, "frames": 9}))
    (tmp_path / "town_000000").mkdir()
    with pytest.raises(DataError, match="holds drives with frames 9, got 2; name another folder"):
        write_bags(tmp_path, [2], SETTINGS)
    with pytest.raises(DataError, match="holds drives with as bag, got nuscenes; name another folder"):
        write_nuscenes(tmp_path, [2], PINHOLE)


def test_settings_of_which_no_drive_was_written_do_not_count(tmp_path):
    with pytest.raises(ConfigError, match="frames must be at least 1, got 0"):
        write_bags(tmp_path, [2], {**SETTINGS, "frames": 0})
    write_bags(tmp_path, [2], {**SETTINGS, "frames": 1, "cameras": "none"})
    assert json.loads((tmp_path / "drives.json").read_text())["frames"] == 1


def test_what_is_not_possible_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="lidar 'radar' is unknown; known are HDL-32E"):
        write_bags(tmp_path / "new", [0], {**SETTINGS, "lidar": "radar"})
    assert not (tmp_path / "new").exists()


def test_several_drives_are_one_source_after_the_other():
    options = {"frames": 2, "lidar": "VLP-16", "cameras": "none"}
    source = open_source("simulated", "-", seed=3, drives=2, **options)
    assert len(source) == 4
    second = open_source("simulated", None, seed=4, **options)
    np.testing.assert_array_equal(source[3].scan.xyz, second[1].scan.xyz)
    np.testing.assert_array_equal(source[0].scan.xyz, open_source("simulated", seed=3, **options)[0].scan.xyz)
    assert (source.mounting(1)["lidar"].matrix != source.mounting(2)["lidar"].matrix).any()
    sent = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(sent[3].scan.xyz, second[1].scan.xyz)
    with pytest.raises(ConfigError, match="drives must be at least 1, got 0"):
        open_source("simulated", None, drives=0)
