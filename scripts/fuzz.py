#!/usr/bin/env python3
"""Feeds broken clouds and bags to the readers, guided by the coverage of their code, until one of them fails.

    pip install atheris
    python scripts/fuzz.py cloud -max_total_time=300
    python scripts/fuzz.py bag FOLDER -max_total_time=300 -max_len=20000

`bag` starts from the files of FOLDER (bags of any kind, small ones) and mixes them. All other arguments are
libFuzzer's. Errors of the project are what broken inputs deserve; anything else ends the run with the input.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import atheris
import numpy as np

with atheris.instrument_imports(include=["clip2scene_core"]):
    from clip2scene_core.data.rosbag import RosbagSource
    from clip2scene_core.deskew import deskew
    from clip2scene_core.errors import Clip2SceneError
    from clip2scene_core.geometry import SE3
    from clip2scene_core.labels import LabelSet
    from clip2scene_core.pointcloud2 import append_labels, decode
    from clip2scene_core.trajectory import Trajectory
    from clip2scene_core.types import SemanticLabels

STREET = LabelSet.named("street")
NAMES = ("x", "y", "z", "intensity", "ring", "t", "time", "timestamp", "label", "rgb", "")
SIZES = (0, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 1)
"""Bytes of each datatype of PointField."""
MOTION = Trajectory.from_poses(
    [0, 1_000_000_000], [SE3.identity(), SE3.from_yaw(0.5, np.array([10.0, 0.0, 0.0]))]
)


def read_cloud(data: bytes) -> None:
    """Most clouds are nearly right, so that the fuzzer gets past the first check."""
    given = atheris.FuzzedDataProvider(data)
    fields, end = [], 0
    for name in (
        "x",
        "y",
        "z",
        *(NAMES[given.ConsumeIntInRange(0, 10)] for _ in range(given.ConsumeIntInRange(0, 6))),
    ):
        datatype = given.ConsumeIntInRange(0, 11) if given.ConsumeProbability() > 0.5 else 7
        count = given.ConsumeIntInRange(0, 3) if given.ConsumeProbability() > 0.8 else 1
        offset = given.ConsumeIntInRange(0, 60) if given.ConsumeProbability() > 0.8 else end
        fields.append(SimpleNamespace(name=name, offset=offset, datatype=datatype, count=count))
        end = max(end, offset + SIZES[datatype] * max(count, 1))
    step = given.ConsumeIntInRange(0, 100) if given.ConsumeProbability() > 0.8 else end
    height, width = given.ConsumeIntInRange(0, 4), given.ConsumeIntInRange(0, 9)
    row = given.ConsumeIntInRange(0, 1000) if given.ConsumeProbability() > 0.8 else width * step
    size = given.ConsumeIntInRange(0, 2000) if given.ConsumeProbability() > 0.8 else height * row
    stamp = SimpleNamespace(sec=given.ConsumeInt(4), nanosec=given.ConsumeUInt(4))
    message = SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id="lidar"),
        height=height,
        width=width,
        fields=fields,
        is_bigendian=given.ConsumeBool(),
        point_step=step,
        row_step=row,
        data=given.ConsumeBytes(size).ljust(size, b"\x7f"),
    )
    try:
        cloud = decode(message)
    except Clip2SceneError:
        return
    rows = height * width
    assert cloud.points.shape == (rows,) and cloud.scan.xyz.shape == (rows, 3)
    assert deskew(cloud.scan, MOTION).xyz.shape == (rows, 3)
    labels = SemanticLabels(class_id=np.ones(rows, np.uint16), probability=np.ones(rows, np.float32))
    assert append_labels(cloud.points, labels, STREET)["label"].shape == (rows,)


def read_bag(data: bytes) -> None:
    """The first bytes tell what kind of file it claims to be."""
    suffix = ".mcap" if data.startswith(b"\x89MCAP") else ".bag" if data.startswith(b"#ROS") else ".db3"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"broken{suffix}"
        path.write_bytes(data)
        try:
            source = RosbagSource(path)
            for index in range(min(len(source), 3)):
                source[index]
        except Clip2SceneError as error:
            assert "\n" not in str(error), error


if __name__ == "__main__":
    target = {"cloud": read_cloud, "bag": read_bag}[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
