"""What all tests share: where ROS writes its logs, what happens without ROS, and a CLIP in a folder."""

from __future__ import annotations

import json
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

WITHOUT_ROS = find_spec("rclpy") is None

os.environ.setdefault("ROS_LOG_DIR", os.path.join(tempfile.gettempdir(), "clip2scene_ros_test_log"))
collect_ignore_glob = ["ros/*"] if WITHOUT_ROS else []


def pytest_report_header() -> str:
    return "test/ros: not collected, rclpy is not installed" if WITHOUT_ROS else "test/ros: collected"


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory) -> Path:
    """The folder of a tiny random CLIP, as open_clip publishes its models; patches of 8 pixels."""
    open_clip = pytest.importorskip(
        "open_clip", reason="open_clip is not installed: pip install 'clip2scene_ros[clip]'"
    )
    architecture = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
    }
    folder = tmp_path_factory.mktemp("clip")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.CLIP(**architecture)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": architecture, "preprocess_cfg": {}})
    )
    return folder
