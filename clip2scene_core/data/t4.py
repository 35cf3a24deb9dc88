"""T4, the format of TIER IV and the Autoware community: nuScenes' tables, one scene in each data set.

ID/[VERSION/]{annotation/*.json, data/LIDAR_CONCAT, data/CAM_*, lidarseg}; points are given in base_link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from clip2scene_core.data.nuscenes import Keyframes, NuscenesTables, is_valid
from clip2scene_core.errors import DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import Frame

TABLES = "annotation"
LIDARS = ("LIDAR_CONCAT", "LIDAR_TOP")
DEEPEST = 3
"""Levels of folders between the root and data sets: database, id, version."""


class T4Source:
    """The keyframes of one or several T4 data sets, one after the other; see FrameSource."""

    def __init__(
        self,
        root: Path | str,
        *,
        scenes: Sequence[str] | None = None,
        cameras: Sequence[str] | None = None,
        sweeps: int = 0,
    ) -> None:
        """`root` is a data set, or a folder of data sets, of which the latest versions count.

        `scenes` are their ids, the names of their folders, None for all; `cameras` such as CAM_FRONT, None
        for all; `sweeps` is how many scans before each keyframe are given with it. Raises DataError where
        something is missing.
        """
        present = {_id_of(path): path for path in _find(Path(root), DEEPEST)}
        if not present:
            raise DataError(
                f"{root} has no [ID/][VERSION/]{TABLES}/sample_data.json: not T4, or one level off?"
            )
        if unknown := [name for name in scenes or () if name not in present]:
            raise DataError(f"{root} has no scene '{unknown[0]}'; it has {', '.join(present)}")
        chosen = {name: present[name] for name in (present if scenes is None else scenes)}
        read = {name: _read_scene(path, cameras, sweeps) for name, path in chosen.items()}
        self._frames = [(scene, i) for scene, _ in read.values() for i in range(len(scene))]
        self.label_set = LabelSet.named("t4") if any(scene.label_set for scene, _ in read.values()) else None
        self.camera_names = tuple(sorted({name for scene, _ in read.values() for name in scene.camera_names}))
        self.notes = tuple(f"{name}: {note}" for name, (_, notes) in read.items() for note in notes)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Frame:
        scene, i = self._frames[range(len(self))[index]]
        return scene[i]

    def mounting(self, index: int) -> Mapping[str, SE3]:
        scene, i = self._frames[range(len(self))[index]]
        return scene.mounting(i)


def _find(folder: Path, depth: int) -> list[Path]:
    """Data sets at most so many levels below a folder; of the versions of one, the latest."""
    if (folder / TABLES / "sample_data.json").is_file():
        return [folder]
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if depth else []
    found = {path: _find(path, depth - 1) for path in folders}
    versions = [path for path in folders if path.name.isdigit() and found[path] == [path]]
    if versions:
        return [max(versions, key=lambda path: int(path.name))]
    return [path for paths in found.values() for path in paths]


def _id_of(path: Path) -> str:
    path = path.resolve()
    return path.parent.name if path.name.isdigit() else path.name


def _read_scene(path: Path, cameras: Sequence[str] | None, sweeps: int) -> tuple[Keyframes, list[str]]:
    """A data set, and notes for the user."""
    tables = NuscenesTables(path, TABLES)
    lidar = next((name for name in LIDARS if name in tables.channels.values()), None)
    if lidar is None:
        raise DataError(f"{path} has none of the sensors {', '.join(LIDARS)}")
    samples = tables.samples()
    scans = {token: tables.keyframes.get(token, {}).get(lidar) for token in samples}
    usable = [token for token, scan in scans.items() if scan is not None and is_valid(scan)]
    labelled = tables.has("lidarseg") and tables.table("lidarseg")
    label_set, notes = _read_categories(tables) if labelled else (LabelSet.named("t4"), [])
    if len(usable) < len(samples):
        notes.append(f"{len(samples) - len(usable)} of {len(samples)} samples have no valid scan: left out")
    scene = Keyframes(tables, usable, lidar=lidar, label_set=label_set, cameras=cameras, sweeps=sweeps)
    return scene, notes


def _read_categories(tables: NuscenesTables) -> tuple[LabelSet, list[str]]:
    """The label set with the raw ids of this data set."""
    names = {
        record["index"]: record["name"].rpartition(".")[2].lower()
        for record in tables.table("category").values()
        if record.get("index") is not None
    }
    if not names:
        raise DataError(f"{tables.root} has lidarseg.json but its category.json gives no index")
    label_set = LabelSet.named("t4").numbered(names)
    unknown = sorted(name for name in names.values() if name not in label_set.raw_names)
    return label_set, [f"the labels {', '.join(unknown)} are ignored"] if unknown else []
