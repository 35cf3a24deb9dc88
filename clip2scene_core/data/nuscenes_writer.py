"""Simulated drives as a data set in nuScenes' format with lidarseg, which its devkit loads.

A drive is a scene. Scans between keyframes are sweeps; images and truth are those of keyframes. Beside
lidarseg there is `imageseg`, which nuScenes lacks: the class of every pixel, in the same ids, as PNG.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from clip2scene_core.cameras import Camera
from clip2scene_core.data.files import read_json
from clip2scene_core.data.lidarseg import CATEGORIES, category_ids
from clip2scene_core.errors import ConfigError
from clip2scene_core.geometry import SE3
from clip2scene_core.simulation.drive import SimulatedDrive
from clip2scene_core.simulation.lidar import LidarModel
from clip2scene_core.simulation.rigs import Rig
from clip2scene_core.writing import whole_file, whole_folder

VERSION = "v1.0-sim"
KEYFRAMES_HZ = 2.0
LIDAR = "LIDAR_TOP"
SCENES = ".scenes"
"""Folder of the scenes that are whole; its content moves into the data set with `publish`."""
_MAP = "maps/none.png"
"""The devkit wants a picture; the town has no map."""
_TABLES = (
    *("log", "scene", "sample", "sample_data", "sensor", "calibrated_sensor", "ego_pose"),
    *("lidarseg", "imageseg", "attribute", "instance", "sample_annotation"),
)
"""Those that grow with the scenes, and those that stay empty."""


def scans_between_keyframes(lidar: LidarModel) -> int:
    """From one keyframe to the next."""
    return max(1, round(lidar.rate_hz / KEYFRAMES_HZ))


def check_writable(rig: Rig) -> None:
    """Raises ConfigError for cameras that nuScenes cannot describe."""
    models = {mounted.camera.model for mounted in rig.cameras.values()} - {"pinhole"}
    if models:
        raise ConfigError(
            f"images of nuScenes are rectified, a lens {models.pop()} has no place in it; write a bag instead"
        )


def write_scene(
    root: Path, drive: SimulatedDrive, name: str, *, done: Callable[[], None] = lambda: None
) -> None:
    """Writes one drive below SCENES of the data set at `root`, whole or not at all; `publish` shows it.

    The drive's scans must be compensated: the format has no times of points. `done` is called after each
    keyframe.
    """
    with whole_folder(root / SCENES / name) as folder:
        scene = _Scene(folder, drive, name)
        for index in range(drive.frames):
            scene.add(index)
            if index % scene.stride == 0:
                done()
        scene.save()


def publish(root: Path) -> None:
    """Moves the data of all scenes that are whole to where the tables of `root` say, and writes the tables.

    What an earlier call has moved stays; one that was interrupted is made up for.
    """
    scenes = sorted(path for path in (root / SCENES).glob("[!.]*") if path.is_dir())
    for scene in scenes:
        for path in [path for path in scene.glob("*/**/*") if path.is_file()]:
            target = root / path.relative_to(scene)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES}
    for scene in scenes:
        for table, records in read_json(scene / "tables.json").items():
            tables[table] += records
    tables["sensor"] = list({record["token"]: record for record in tables["sensor"]}.values())
    tables |= _common_tables([log["token"] for log in tables["log"]])
    _save_picture(root / _MAP, np.zeros((1, 1), np.uint8))
    for table, records in tables.items():
        with whole_file(root / VERSION / f"{table}.json") as temporary:
            temporary.write_text(json.dumps(records, indent=0))


def _common_tables(logs: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Those that do not grow with the scenes."""
    return {
        "category": [
            {"token": _token("category", name), "name": name, "index": index, "description": ""}
            for name, index in CATEGORIES.items()
        ],
        "visibility": [
            {"token": str(number), "level": f"v{level}", "description": f"{level} % visible"}
            for number, level in enumerate(("0-40", "40-60", "60-80", "80-100"), start=1)
        ],
        "map": [{"token": _token("map"), "category": "semantic_prior", "filename": _MAP, "log_tokens": logs}],
    }


class _Scene:
    """A scene while it is written."""

    def __init__(self, folder: Path, drive: SimulatedDrive, name: str) -> None:
        check_writable(drive.rig)
        self.stride = scans_between_keyframes(drive.rig.lidar)
        self._folder, self._drive, self._name = folder, drive, name
        self._category = category_ids()
        self._tables: dict[str, list[dict[str, Any]]] = {}
        self._add_sensor(LIDAR, drive.rig.base_from_lidar)
        for camera, mounted in drive.rig.cameras.items():
            self._add_sensor(_channel(camera), mounted.base_from_camera, mounted.camera)

    def add(self, index: int) -> None:
        """One scan, with images and truth where it is a keyframe."""
        scan, labels = self._drive.scan(index)
        assert scan.intensity is not None and scan.ring is not None and scan.time_offset_ns is None
        record = self._add_data(LIDAR, index, scan.stamp_ns)
        points = np.column_stack([scan.xyz, np.rint(255.0 * scan.intensity), scan.ring])
        self._write(record["filename"], points.astype("<f4").tobytes())
        if index % self.stride:
            return
        self._add("sample", self._sample(index), timestamp=record["timestamp"], scene_token=self._scene)
        truth = self._add_truth("lidarseg", record, "bin")
        self._write(truth["filename"], self._category[labels.class_id].tobytes())
        for camera in self._drive.rig.cameras:
            picture = self._drive.rendering(index, camera)
            record = self._add_data(_channel(camera), index, picture.image.stamp_ns, picture.image.camera)
            _save_picture(self._folder / record["filename"], picture.image.rgb)
            truth = self._add_truth("imageseg", record, "png")
            _save_picture(self._folder / truth["filename"], self._category[picture.class_id])

    def save(self) -> None:
        """Writes the tables of the scene."""
        samples = self._tables["sample"]
        _link(samples)
        for sensor in self._tables["calibrated_sensor"]:
            _link([r for r in self._tables["sample_data"] if r["calibrated_sensor_token"] == sensor["token"]])
        log = self._add(
            "log",
            self._own("log"),
            logfile=self._name,
            vehicle="simulated",
            date_captured="",
            location="town",
        )
        self._add(
            "scene",
            self._scene,
            name=self._name,
            description=f"{self._drive.town.style.name}, {self._drive.rig.lidar.name}",
            log_token=log["token"],
            nbr_samples=len(samples),
            first_sample_token=samples[0]["token"],
            last_sample_token=samples[-1]["token"],
        )
        (self._folder / "tables.json").write_text(json.dumps(self._tables))

    @property
    def _scene(self) -> str:
        return self._own("scene")

    def _sample(self, index: int) -> str:
        """Token of the keyframe to which a scan belongs: itself, or the next one."""
        return self._own("sample", -(-index // self.stride))

    def _own(self, *what: object) -> str:
        return _token(self._name, *what)

    def _add(self, table: str, token: str, **values: Any) -> dict[str, Any]:
        record = {"token": token, **values}
        self._tables.setdefault(table, []).append(record)
        return record

    def _add_sensor(self, channel: str, base_from_sensor: SE3, camera: Camera | None = None) -> None:
        token = _token("sensor", channel)
        self._add("sensor", token, channel=channel, modality="camera" if camera else "lidar")
        self._add(
            "calibrated_sensor",
            self._own("calibrated_sensor", channel),
            sensor_token=token,
            camera_intrinsic=camera.matrix.tolist() if camera else [],
            **_pose(base_from_sensor),
        )

    def _add_data(
        self, channel: str, index: int, stamp_ns: int, camera: Camera | None = None
    ) -> dict[str, Any]:
        """The record of a file, and the pose of the vehicle at its time."""
        token, stamp_us = self._own("sample_data", channel, index), stamp_ns // 1000
        pose = _pose(self._drive.world_from_base.pose(stamp_ns))
        self._add("ego_pose", token, timestamp=stamp_us, **pose)
        keyframe = index % self.stride == 0
        folder, suffix = "samples" if keyframe else "sweeps", "jpg" if camera else "pcd.bin"
        return self._add(
            "sample_data",
            token,
            sample_token=self._sample(index),
            ego_pose_token=token,
            calibrated_sensor_token=self._own("calibrated_sensor", channel),
            timestamp=stamp_us,
            fileformat="jpg" if camera else "pcd",
            is_key_frame=keyframe,
            width=camera.width if camera else 0,
            height=camera.height if camera else 0,
            filename=f"{folder}/{channel}/{self._name}__{channel}__{stamp_us}.{suffix}",
        )

    def _add_truth(self, table: str, data: dict[str, Any], suffix: str) -> dict[str, Any]:
        token = data["token"]
        filename = f"{table}/{VERSION}/{token}_{table}.{suffix}"
        return self._add(table, token, sample_data_token=token, filename=filename)

    def _write(self, filename: str, content: bytes) -> None:
        path = self._folder / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _channel(camera: str) -> str:
    return f"CAM_{camera.upper()}"


def _link(records: Iterable[dict[str, Any]]) -> None:
    """Each record to the one before and after, in the order of time."""
    records = list(records)
    for record in records:
        record |= {"prev": "", "next": ""}
    for before, after in pairwise(records):
        before["next"], after["prev"] = after["token"], before["token"]


def _pose(target_from_source: SE3) -> dict[str, list[float]]:
    """Metres, and a quaternion in the order w, x, y, z."""
    x, y, z, w = target_from_source.quaternion_xyzw().tolist()
    return {"translation": target_from_source.translation.tolist(), "rotation": [w, x, y, z]}


def _save_picture(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=92)


def _token(*what: object) -> str:
    return uuid5(NAMESPACE_OID, " ".join(map(str, what))).hex
