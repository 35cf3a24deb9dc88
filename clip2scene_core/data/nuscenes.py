"""nuScenes and what resembles it: JSON tables, keyframes, sweeps and lidarseg labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from clip2scene_core.cameras import Camera
from clip2scene_core.data.files import read_class_ids, read_image, read_json, read_points
from clip2scene_core.errors import DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import CameraImage, Frame, LidarScan, SemanticLabels

VALIDATION_SCENES = (
    *(3, 12, 13, 14, 15, 16, 17, 18, 35, 36, 38, 39, *range(92, 111), 221, *range(268, 279)),
    *(*range(329, 333), 344, 345, 346, *range(519, 525), *range(552, 566), 625, 626, 627, 629, 630),
    *(*range(632, 639), 770, 771, 775, 777, 778, *range(780, 785), *range(794, 801), 802),
    *(*range(904, 918), *range(919, 932), 962, 963, *range(966, 970), 971, 972, *range(1059, 1074)),
)
"""Numbers of the 150 scenes of the official validation split; the other 700 of v1.0-trainval train."""

MINI_VALIDATION_SCENES = (103, 916)
"""Of v1.0-mini; its other eight scenes train."""


class NuscenesTables:
    """The tables of one version as dictionaries by token; each is read when it is first asked for."""

    def __init__(self, root: Path, version: str | None = None) -> None:
        """`version` is the name of the tables' folder, such as v1.0-mini; None if there is only one."""
        self.root = root
        present = sorted(path.parent.name for path in root.glob("*/sample_data.json"))
        if not present:
            raise DataError(f"{root} has no VERSION/sample_data.json: not the root of nuScenes?")
        if version is None and len(present) > 1:
            raise DataError(
                f"{root} has several versions: {', '.join(present)}; choose one with version=NAME"
            )
        if version is not None and version not in present:
            raise DataError(f"{root} has no version '{version}'; it has {', '.join(present)}")
        self.version = version or present[0]
        self._tables: dict[str, dict[str, dict]] = {}

    def has(self, name: str) -> bool:
        """Whether this version comes with the table."""
        return self._path(name).is_file()

    def table(self, name: str) -> dict[str, dict]:
        """Records by token."""
        if name not in self._tables:
            try:
                self._tables[name] = {record["token"]: record for record in read_json(self._path(name))}
            except (TypeError, KeyError) as error:
                raise DataError(f"{self._path(name)} is no list of records with a token") from error
        return self._tables[name]

    def get(self, name: str, token: str) -> dict:
        """One record. Raises DataError where the token points nowhere."""
        try:
            return self.table(name)[token]
        except KeyError as error:
            raise DataError(
                f"{self._path(name)} has no record '{token}': the tables are incomplete"
            ) from error

    def _path(self, name: str) -> Path:
        return self.root / self.version / f"{name}.json"

    @cached_property
    def channels(self) -> dict[str, str]:
        """Name of the sensor, such as CAM_FRONT, by token of calibrated_sensor."""
        return {
            token: self.get("sensor", record["sensor_token"])["channel"]
            for token, record in self.table("calibrated_sensor").items()
        }

    @cached_property
    def keyframes(self) -> dict[str, dict[str, dict]]:
        """Keyframe records of sample_data by channel, by token of sample."""
        samples: dict[str, dict[str, dict]] = {}
        for record in self.table("sample_data").values():
            if record["is_key_frame"]:
                channel = self.channels[record["calibrated_sensor_token"]]
                samples.setdefault(record["sample_token"], {})[channel] = record
        return samples

    def samples(self, scenes: Collection[str] | None = None) -> list[str]:
        """Tokens of the samples of scenes with these tokens, scene by scene, each in the order of time."""
        samples: dict[str, list[dict]] = {
            token: [] for token in self.table("scene") if scenes is None or token in scenes
        }
        for sample in self.table("sample").values():
            if sample["scene_token"] in samples:
                samples[sample["scene_token"]].append(sample)
        return [s["token"] for scene in samples.values() for s in sorted(scene, key=lambda s: s["timestamp"])]

    def base_from_sensor(self, record: dict) -> SE3:
        """Mounting of the sensor that took a sample_data record."""
        return _pose(self.get("calibrated_sensor", record["calibrated_sensor_token"]))

    def world_from_sensor(self, record: dict) -> SE3:
        """Pose of the sensor at the record's own time."""
        return _pose(self.get("ego_pose", record["ego_pose_token"])) @ self.base_from_sensor(record)


class Keyframes:
    """Keyframes of tables in the manner of nuScenes; see FrameSource."""

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        tables: NuscenesTables,
        samples: Sequence[str],
        *,
        lidar: str,
        label_set: LabelSet,
        cameras: Sequence[str] | None,
        sweeps: int,
    ) -> None:
        """`samples` are tokens in the order in which they are read; `lidar` is the channel of the scans.

        `label_set` is that of lidarseg, by its raw ids. Raises DataError for a camera that is not there.
        """
        self._tables = tables
        self._samples = samples
        self._lidar = lidar
        self._sweeps = sweeps
        self._lidarseg = self._read_lidarseg()
        self.label_set = label_set if self._lidarseg else None
        present = tuple(sorted({c for c in tables.channels.values() if c.startswith("CAM_")}))
        if unknown := sorted(set(cameras or ()) - set(present)):
            raise DataError(
                f"{tables.root} has no camera '{unknown[0]}'; it has {', '.join(present) or 'none'}"
            )
        self.camera_names = present if cameras is None else tuple(cameras)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Frame:
        records = self._keyframe(index)
        lidar = records[self._lidar]
        cameras = {name: r for name in self.camera_names if (r := records.get(name)) and is_valid(r)}
        earlier = self._earlier(lidar)
        scan = self._scan(lidar)
        return Frame(
            scan=scan,
            world_from_lidar=self._tables.world_from_sensor(lidar),
            sweeps=tuple(self._scan(record) for record in earlier),
            sweeps_world_from_lidar=tuple(self._tables.world_from_sensor(record) for record in earlier),
            images={name: self._image(name, record) for name, record in cameras.items()},
            world_from_camera={name: self._tables.world_from_sensor(r) for name, r in cameras.items()},
            labels=self._labels(lidar, len(scan.xyz)),
        )

    def mounting(self, index: int) -> Mapping[str, SE3]:
        records = self._keyframe(index)
        names = [self._lidar, *(name for name in self.camera_names if name in records)]
        return {name: self._tables.base_from_sensor(records[name]) for name in names}

    def _keyframe(self, index: int) -> dict[str, dict]:
        token = self._samples[range(len(self))[index]]
        records = self._tables.keyframes.get(token, {})
        if self._lidar not in records:
            raise DataError(f"sample {token} of {self._tables.root} has no keyframe of {self._lidar}")
        return records

    def _earlier(self, record: dict) -> list[dict]:
        """Up to `sweeps` records of the same sensor before this one, newest first."""
        earlier: list[dict] = []
        while len(earlier) < self._sweeps and record.get("prev"):
            record = self._tables.get("sample_data", record["prev"])
            if is_valid(record):
                earlier.append(record)
        return earlier

    def _scan(self, record: dict) -> LidarScan:
        points = read_points(self._tables.root / record["filename"], self._columns(record))
        return LidarScan(
            xyz=np.ascontiguousarray(points[:, :3]),
            intensity=np.ascontiguousarray(points[:, 3]),
            ring=None if (points[:, 4] < 0).any() else points[:, 4].astype(np.uint16),
            stamp_ns=_stamp_ns(record),
            frame_id=self._lidar,
        )

    def _columns(self, record: dict) -> int:
        """Of the file of a scan: x, y, z, intensity, ring (-1 in T4) and what else T4 says there is."""
        if record["filename"].endswith(".pcd"):
            raise DataError(
                f"{self._tables.root / record['filename']} is a PCD file; only .pcd.bin and .bin can be read"
            )
        path = self._tables.root / (record.get("info_filename") or "")
        return read_json(path).get("num_pts_feats", 5) if path.is_file() else 5

    def _image(self, name: str, record: dict) -> CameraImage:
        calibrated = self._tables.get("calibrated_sensor", record["calibrated_sensor_token"])
        rgb, encoded = read_image(self._tables.root / record["filename"])
        return CameraImage(
            rgb=rgb,
            camera=_camera(calibrated, record["width"] or rgb.shape[1], record["height"] or rgb.shape[0]),
            stamp_ns=_stamp_ns(record),
            frame_id=name,
            encoded=encoded,
        )

    def _read_lidarseg(self) -> dict[str, Path]:
        """File of the labels by token of sample_data; empty where lidarseg is not installed."""
        if not self._tables.has("lidarseg"):
            return {}
        records = self._tables.table("lidarseg").values()
        return {record["sample_data_token"]: self._tables.root / record["filename"] for record in records}

    def _labels(self, lidar: dict, points: int) -> SemanticLabels | None:
        path = self._lidarseg.get(lidar["token"])
        if path is None or self.label_set is None:
            return None
        return SemanticLabels(class_id=self.label_set.from_raw(read_class_ids(path, "u1", points)))


class NuscenesSource(Keyframes):
    """The keyframes of nuScenes, scene by scene; see FrameSource."""

    def __init__(
        self,
        root: Path | str,
        *,
        version: str | None = None,
        scenes: Sequence[str] | None = None,
        split: str | None = None,
        cameras: Sequence[str] | None = None,
        sweeps: int = 0,
    ) -> None:
        """`scenes` are names such as scene-0061, `split` is train or val; None for all scenes.

        `cameras` such as CAM_FRONT, None for all; `sweeps` is how many scans before each keyframe,
        20 a second, are given with it. Raises DataError where something is missing.
        """
        tables = NuscenesTables(Path(root), version)
        super().__init__(
            tables,
            tables.samples(_scene_tokens(tables, scenes, split)),
            lidar="LIDAR_TOP",
            label_set=LabelSet.named("nuscenes"),
            cameras=cameras,
            sweeps=sweeps,
        )


def _scene_tokens(tables: NuscenesTables, names: Sequence[str] | None, split: str | None) -> set[str]:
    scenes = {record["name"]: token for token, record in tables.table("scene").items()}
    if unknown := sorted(set(names or ()) - set(scenes)):
        raise DataError(f"{tables.root} {tables.version} has no scene '{unknown[0]}'")
    return {scenes[name] for name in _in_split(scenes if names is None else names, split)}


def _in_split(names: Sequence[str] | Mapping[str, str], split: str | None) -> list[str]:
    """The names that belong to an official split of v1.0-trainval or v1.0-mini."""
    if split is None:
        return list(names)
    validation = {f"scene-{n:04d}" for n in VALIDATION_SCENES}
    mini_validation = {f"scene-{n:04d}" for n in MINI_VALIDATION_SCENES}
    rules = {
        "train": lambda name: name not in validation,
        "val": lambda name: name in validation,
        "mini_train": lambda name: name not in mini_validation,
        "mini_val": lambda name: name in mini_validation,
    }
    if split not in rules:
        raise DataError(f"nuScenes has no split '{split}'; choose {', '.join(rules)}")
    return [name for name in names if rules[split](name)]


def is_valid(record: dict) -> bool:
    """Whether a sample_data record may be used; T4 keeps records of data that is broken."""
    return bool(record.get("is_valid", True))


def _camera(calibrated: dict, width: int, height: int) -> Camera:
    """nuScenes' images are rectified; T4's have coefficients in the order of OpenCV, zero if rectified."""
    distortion = np.array(calibrated.get("camera_distortion") or [], np.float64)
    model: str = "pinhole"
    if distortion.any():
        model = "plumb_bob" if len(distortion) <= 5 else "rational_polynomial"
    return Camera(
        width=width,
        height=height,
        matrix=np.array(calibrated["camera_intrinsic"], np.float64),
        model=model,
        distortion=np.zeros(0) if model == "pinhole" else distortion,
    )


def _stamp_ns(record: dict) -> int:
    """nuScenes counts microseconds."""
    return record["timestamp"] * 1000


def _pose(record: dict) -> SE3:
    """From a translation in metres and a quaternion in the order w, x, y, z."""
    w, x, y, z = record["rotation"]
    return SE3.from_quaternion(np.array([x, y, z, w]), np.array(record["translation"]))
