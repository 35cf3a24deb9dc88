"""Recordings for rerun, read back by rerun's own command."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from clip2scene_core.cameras import Camera
from clip2scene_core.errors import MissingExtraError
from clip2scene_core.evaluation.viewer import Viewer
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import CameraImage

STREET = LabelSet.named("street")
CAMERA = Camera(width=40, height=24, matrix=np.array([[20.0, 0, 20], [0, 20.0, 12], [0, 0, 1]]))
FORWARD = SE3.from_rotation_translation(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.zeros(3))


@pytest.fixture
def frames(make_frame):
    """Two frames 0.1 s apart; of three points one is NaN and one behind the camera."""
    image = CameraImage(rgb=np.zeros((24, 40, 3), np.uint8), camera=CAMERA, stamp_ns=0, frame_id="front")
    first = make_frame(
        [[10, 0, 0], [-10, 0, 0], [np.nan] * 3], images={"front": image}, world_from_camera={"front": FORWARD}
    )
    return [first, replace(first, scan=replace(first.scan, stamp_ns=100_000_000))]


def rerun(*arguments):
    """What the command says."""
    command = [sys.executable, "-m", "rerun", "rrd", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_holds_every_frame_whole_or_not_at_all(frames, tmp_path):
    pytest.importorskip("rerun", reason="rerun is not installed: pip install 'clip2scene_ros[viz]'")
    file, ids = tmp_path / "drive.rrd", np.array([1, 2, 3], np.uint16)
    with Viewer(STREET, file) as viewer:
        for frame in frames:
            viewer.show(frame, ids)
        assert not file.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["drive.rrd"]
    rerun("verify", file)
    said = rerun("print", "-vvv", file)
    for entity in ("/world/lidar", "/world/front", "/world/front/points"):
        assert re.search(rf"with 2 rows .* - {entity} ", said), said
    with pytest.raises(RuntimeError, match="stop"), Viewer(STREET, tmp_path / "other.rrd") as viewer:
        viewer.show(frames[0], ids)
        raise RuntimeError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["drive.rrd"]


def test_without_rerun_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(MissingExtraError, match=r"clip2scene_ros\[viz\]"):
        Viewer(STREET)
