"""Tiny recordings written by the tests."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation


def write_points(path: Path, points: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(points.astype("<f4").tobytes())


def write_image(path: Path, width: int, height: int, colour=(10, 20, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), colour, np.uint8)).save(path)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


KITTI_PROJECTION = np.array([[50.0, 0, 20, 5], [0, 50, 10, -2], [0, 0, 1, 0.004]])
KITTI_RECTIFICATION = Rotation.from_euler("xyz", [0.3, -0.5, 1.0], degrees=True).as_matrix()
KITTI_ROTATION = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
KITTI_TRANSLATION = np.array([0.01, -0.08, -0.27])


def numbers(values) -> str:
    return " ".join(f"{value:.12e}" for value in np.ravel(values))


def kitti_points(frame: int) -> np.ndarray:
    """(4 + frame, 4): ahead of the LiDAR, with the frame's number as reflectance."""
    rng = np.random.default_rng(frame)
    xyz = rng.uniform([5, -3, -1], [30, 3, 1], (4 + frame, 3))
    return np.column_stack([xyz, np.full(4 + frame, frame)]).astype(np.float32)


@pytest.fixture
def kitti_raw(tmp_path) -> Path:
    """Three frames, one camera, no oxts."""
    date = tmp_path / "2011_09_26"
    drive = date / "2011_09_26_drive_0001_sync"
    write_text(
        date / "calib_velo_to_cam.txt",
        f"calib_time: 15-Mar-2012 11:37:16\nR: {numbers(KITTI_ROTATION)}\nT: {numbers(KITTI_TRANSLATION)}\n",
    )
    write_text(
        date / "calib_cam_to_cam.txt",
        f"corner_dist: 9.95e-02\nR_rect_00: {numbers(KITTI_RECTIFICATION)}\n"
        f"P_rect_02: {numbers(KITTI_PROJECTION)}\n",
    )
    for frame in range(3):
        write_points(drive / f"velodyne_points/data/{frame:010d}.bin", kitti_points(frame))
        write_image(drive / f"image_02/data/{frame:010d}.png", 40, 20, (frame, 100, 200))
    return tmp_path


@pytest.fixture
def semantic_kitti(tmp_path) -> Path:
    """Sequence 00 with three labelled scans, 11 with two scans and no labels."""
    for name, count in (("00", 3), ("11", 2)):
        folder = tmp_path / "sequences" / name
        tr = np.column_stack([KITTI_ROTATION, KITTI_TRANSLATION])
        write_text(folder / "calib.txt", f"P2: {numbers(KITTI_PROJECTION)}\nTr: {numbers(tr)}\n")
        for frame in range(count):
            write_points(folder / f"velodyne/{frame:06d}.bin", kitti_points(frame))
            write_image(folder / f"image_2/{frame:06d}.png", 40, 20)
            if name == "00":
                raw = np.array([10, 40, 252, 0, 99, 80][: 4 + frame], "<u4") | np.uint32(7 << 16)
                (folder / "labels").mkdir(exist_ok=True)
                (folder / f"labels/{frame:06d}.label").write_bytes(raw.tobytes())
    return tmp_path


def nuscenes_points(stamp_us: int) -> np.ndarray:
    """(6, 5) with a ring column."""
    rng = np.random.default_rng(stamp_us % 1000)
    return np.column_stack([rng.uniform(-20, 20, (6, 3)), np.arange(6) * 10, np.arange(6)]).astype(np.float32)


class NuscenesTree:
    """Writes nuScenes tables record by record."""

    def __init__(self, root: Path) -> None:
        self.root = root
        names = "sensor calibrated_sensor ego_pose log scene sample sample_data lidarseg category map"
        self.tables = {name: [] for name in [*names.split(), "attribute", "visibility", "instance"]}
        self.tables["sample_annotation"] = []

    def add(self, table: str, token: str, **values) -> str:
        self.tables[table].append({"token": token, **values})
        return token

    def save(self, version: str = "v1.0-mini") -> None:
        for name, records in self.tables.items():
            write_text(self.root / version / f"{name}.json", json.dumps(records))


@pytest.fixture
def nuscenes(tmp_path) -> Path:
    """Scenes 0061 (two keyframes, two sweeps between them, labels) and 0103 (one keyframe, none)."""
    tree = NuscenesTree(tmp_path)
    tree.add("log", "log", logfile="l", vehicle="n", date_captured="2018", location="here")
    tree.add("map", "map", category="semantic_prior", filename="maps/m.png", log_tokens=["log"])
    write_image(tmp_path / "maps/m.png", 2, 2)
    tree.add("category", "category", name="vehicle.car", description="", index=17)
    for channel, modality in (("CAM_FRONT", "camera"), ("LIDAR_TOP", "lidar")):
        tree.add("sensor", f"s-{channel}", channel=channel, modality=modality)
    tree.add(
        "calibrated_sensor",
        "c-LIDAR_TOP",
        sensor_token="s-LIDAR_TOP",
        translation=[1.0, 0.0, 2.0],
        rotation=[np.sqrt(0.5), 0.0, 0.0, -np.sqrt(0.5)],
        camera_intrinsic=[],
    )
    tree.add(
        "calibrated_sensor",
        "c-CAM_FRONT",
        sensor_token="s-CAM_FRONT",
        translation=[1.5, 0.0, 1.5],
        rotation=[0.5, -0.5, 0.5, -0.5],
        camera_intrinsic=[[50.0, 0, 20], [0, 50.0, 10], [0, 0, 1]],
    )
    for scene, stamps in (("scene-0061", [1000, 2000]), ("scene-0103", [9000])):
        _add_scene(tree, scene, stamps)
    tree.save()
    return tmp_path


def _add_scene(tree: NuscenesTree, name: str, stamps_ms: list[int]) -> None:
    """Keyframes, two sweeps 50 and 100 ms after each but the last; the car drives 10 m/s along x."""
    tree.add("scene", name, log_token="log", nbr_samples=len(stamps_ms), name=name, description="")
    previous, lidar = None, []
    for number, stamp_ms in enumerate(stamps_ms):
        following = stamps_ms[number + 1 :]
        sample = f"{name}-{stamp_ms}"
        tree.add(
            "sample",
            sample,
            timestamp=stamp_ms * 1000,
            scene_token=name,
            prev=previous or "",
            next=f"{name}-{following[0]}" if following else "",
        )
        previous = sample
        lidar += [(stamp_ms, sample, True)]
        lidar += [(stamp_ms + late, f"{name}-{following[0]}", False) for late in (50, 100) if following]
        camera = _add_data(tree, name, "CAM_FRONT", stamp_ms - 20, sample, True, "jpg")
        write_image(tree.root / camera["filename"], 40, 20)
    records = [_add_data(tree, name, "LIDAR_TOP", *entry, "pcd") for entry in lidar]
    for before, after in pairwise(records):
        before["next"], after["prev"] = after["token"], before["token"]
    for record in records:
        write_points(tree.root / record["filename"], nuscenes_points(record["timestamp"]))
        if name == "scene-0061" and record["is_key_frame"]:
            path = f"lidarseg/v1.0-mini/{record['token']}_lidarseg.bin"
            (tree.root / path).parent.mkdir(parents=True, exist_ok=True)
            (tree.root / path).write_bytes(bytes([17, 24, 0, 31, 3, 30]))
            tree.add("lidarseg", f"l-{record['token']}", sample_data_token=record["token"], filename=path)


def _add_data(tree, scene, channel, stamp_ms, sample, keyframe, suffix) -> dict:
    token = f"{scene}-{channel}-{stamp_ms}"
    tree.add(
        "ego_pose",
        f"e-{token}",
        timestamp=stamp_ms * 1000,
        translation=[stamp_ms / 100, 500.0, 0.0],
        rotation=[1.0, 0.0, 0.0, 0.0],
    )
    image = suffix == "jpg"
    tree.add(
        "sample_data",
        token,
        sample_token=sample,
        ego_pose_token=f"e-{token}",
        calibrated_sensor_token=f"c-{channel}",
        timestamp=stamp_ms * 1000,
        fileformat=suffix,
        is_key_frame=keyframe,
        height=20 if image else 0,
        width=40 if image else 0,
        filename=f"{'samples' if keyframe else 'sweeps'}/{channel}/{token}.{'jpg' if image else 'pcd.bin'}",
        prev="",
        next="",
    )
    return tree.tables["sample_data"][-1]


HALL_M = np.array([12.0, 7.0, 3.0])
PILLAR_M = np.array([0.5, 0.6, 3.0])


def hall_points(number: int, count: int = 3000) -> np.ndarray:
    """(count, 3) points on the walls of a hall, HALL_M from its centre, and on two pillars."""
    rng = np.random.default_rng(number)
    halves = np.where(rng.random((count, 1)) < 0.8, HALL_M, PILLAR_M)
    points = rng.uniform(-1, 1, (count, 3)) * halves
    side, rows = rng.integers(0, 3, count), np.arange(count)
    points[rows, side] = np.copysign(halves[rows, side], points[rows, side])
    in_pillar = halves[:, 0] < 1
    points[in_pillar, :2] += np.where(rng.random((in_pillar.sum(), 1)) < 0.5, (5.0, 3.0), (-4.0, -2.0))
    return points
