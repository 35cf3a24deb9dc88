"""Files of simulated sweeps as a source; the files are written here, column by column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip2scene_core.data import open_source
from clip2scene_core.data.sweeps import SweepFiles
from clip2scene_core.errors import DataError
from clip2scene_core.labels import LabelSet

TOWN = LabelSet.named("town")
ROAD, CAR = TOWN.id_of("road"), TOWN.id_of("car")


def write_town(path: Path, sizes: list[int]) -> np.ndarray:
    """A town whose sweeps have so many points; returns the points (N, 3) of all."""
    total = sum(sizes)
    xyz = np.random.default_rng(total).uniform(-20, 20, (total, 3)).astype(np.float32)
    np.savez(
        path,
        start=np.cumsum([0, *sizes]),
        xyz=xyz,
        intensity=np.linspace(0, 1, total).astype(np.float16),
        ring=np.arange(total).astype(np.uint8),
        class_id=np.where(np.arange(total) % 3, ROAD, CAR).astype(np.uint8),
        sensor_height_m=np.full(len(sizes), 1.8, np.float32),
        lidar=np.array(["VLP-16"] * len(sizes)),
    )
    return xyz


def test_sweeps_come_town_by_town(tmp_path):
    second = write_town(tmp_path / "town_000010.npz", [4])
    first = write_town(tmp_path / "town_000002.npz", [5, 7])
    (tmp_path / ".town_000011.99.npz").write_bytes(b"half a file of an interrupted run")
    source = SweepFiles(tmp_path)
    expected = [first[:5], first[5:], second]
    assert len(source) == 3
    for index, xyz in enumerate(expected):
        np.testing.assert_array_equal(source[index].scan.xyz, xyz)
    assert len(open_source("simulated", tmp_path)) == 3


def test_a_sweep_has_its_labels_and_stands_at_the_origin(tmp_path):
    write_town(tmp_path / "town_000000.npz", [2, 6])
    source = SweepFiles(tmp_path)
    frame = source[1]
    names = {c.id: c.name for c in source.label_set.classes}
    assert [names[id] for id in frame.labels.class_id] == ["road", "car", "road", "road", "car", "road"]
    assert frame.scan.ring.tolist() == [2, 3, 4, 5, 6, 7]
    np.testing.assert_allclose(frame.scan.intensity, np.linspace(0, 1, 8)[2:], atol=1e-3)
    np.testing.assert_array_equal(frame.world_from_lidar.matrix, np.eye(4))
    np.testing.assert_array_equal(source.mounting(1)[frame.scan.frame_id].matrix, np.eye(4))
    assert (source.camera_names, frame.images) == ((), {})


def test_folders_without_sweeps_say_how_to_get_some(tmp_path):
    with pytest.raises(DataError, match=r"nowhere has no town_\*\.npz; .*clip2scene simulate .*nowhere"):
        SweepFiles(tmp_path / "nowhere")


def test_files_that_are_none_are_named(tmp_path):
    write_town(tmp_path / "town_000000.npz", [3])
    whole = (tmp_path / "town_000000.npz").read_bytes()
    (tmp_path / "town_000001.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"town_000001\.npz is no file of simulated sweeps"):
        SweepFiles(tmp_path)
