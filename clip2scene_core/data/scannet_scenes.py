"""What lies in a folder of ScanNet v2: scenes with their meshes, labels, frames and splits.

Shapes: N vertices.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from clip2scene_core.data.files import read_json, read_text
from clip2scene_core.data.ply import read_vertices
from clip2scene_core.data.rgbd import RgbdFolder, RgbdFrames
from clip2scene_core.data.sens_file import SensFile
from clip2scene_core.errors import DataError
from clip2scene_core.geometry import SE3

MESH = "_vh_clean_2.ply"
LABELLED_MESH = "_vh_clean_2.labels.ply"
SEGMENTS = "_vh_clean_2.0.010000.segs.json"
AGGREGATION = ".aggregation.json"
LABEL_NAMES = "scannetv2-labels.combined.tsv"
FRAME_FOLDERS = ("frames_square", "scannet_frames_25k", "tasks/scannet_frames_25k")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One scan of one place."""

    folder: Path
    frames: Path | None
    """A .sens file, or the folder that holds color/; None where the scene has neither."""
    label_names: Path
    """The file that says what the names in an aggregation stand for."""

    @property
    def name(self) -> str:
        """Such as scene0000_00."""
        return self.folder.name

    @property
    def labelled(self) -> bool:
        """Whether there is ground truth."""
        return self._file(LABELLED_MESH).is_file() or self._file(AGGREGATION).is_file()

    def vertices(self) -> np.ndarray:
        """(N,) structured, with x, y, z in metres and red, green, blue."""
        return read_vertices(self._file(MESH), "x", "y", "z", "red", "green", "blue")

    def nyu40_ids(self) -> np.ndarray:
        """(N,) int64 class of each vertex of a labelled scene; 0 stands for none."""
        mesh = self._file(LABELLED_MESH)
        return (
            read_vertices(mesh, "label")["label"].astype(np.int64) if mesh.is_file() else self._aggregated()
        )

    def aligned_from_scene(self) -> SE3:
        """Turns walls to the axes; the identity where SCENE.txt, as that of test scenes, has no alignment."""
        matrix = self._description().get("axisAlignment", np.eye(4))
        if matrix.size != 16:
            raise DataError(f"{self._file('.txt')}: axisAlignment must have 16 numbers, got {matrix.size}")
        return SE3(matrix.reshape(4, 4))

    def open_frames(self) -> RgbdFrames:
        """Raises DataError where there are none."""
        if self.frames is None:
            raise DataError(f"{self.folder} has neither {self.name}.sens nor color/")
        if self.frames.suffix == ".sens":
            return SensFile(self.frames)
        return RgbdFolder(self.frames, self._description())

    def _file(self, suffix: str) -> Path:
        return self.folder / f"{self.name}{suffix}"

    def _description(self) -> dict[str, np.ndarray]:
        """The lines `name = numbers` of SCENE.txt; none where it is absent."""
        path, values = self._file(".txt"), {}
        for line in read_text(path).splitlines() if path.is_file() else ():
            key, _, text = line.partition("=")
            try:
                values[key.strip()] = np.array(text.split(), np.float64)
            except ValueError:
                continue  # The type of the scene.
        return values

    def _aggregated(self) -> np.ndarray:
        """From the segments of the mesh and the names of their groups."""
        ids = _nyu40_ids(self.label_names)
        segments, aggregation = self._file(SEGMENTS), self._file(AGGREGATION)
        try:
            segment = np.array(read_json(segments)["segIndices"], np.int64)
            groups = read_json(aggregation)["segGroups"]
            id_of = {number: ids.get(group["label"], 0) for group in groups for number in group["segments"]}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{segments} or {aggregation.name} is of another format: {error}") from error
        numbers, position = np.unique(segment, return_inverse=True)
        return np.array([id_of.get(number, 0) for number in numbers.tolist()], np.int64)[position]


def find_scenes(root: Path) -> dict[str, Scene]:
    """Those at the root, in it, in scans/ or in scans_test/, by name. Raises DataError for none."""
    folders = [root, *(path for top in (root, root / "scans", root / "scans_test") for path in top.glob("*"))]
    found = sorted(path for path in folders if (path / f"{path.name}{MESH}").is_file())
    if not found:
        raise DataError(f"{root} has no [scans/]SCENE/SCENE{MESH}: not the root of ScanNet v2?")
    exported = [_beside(root, name) for name in FRAME_FOLDERS]
    label_names = _beside(root, LABEL_NAMES)
    return {
        path.name: Scene(folder=path, frames=_find_frames(path, exported), label_names=label_names)
        for path in found
    }


def choose_scenes(
    root: Path, present: Sequence[str], split: str | None, wanted: Sequence[str] | None
) -> list[str]:
    """Names of the scenes of a split, or of those `present`; only the `wanted` ones, None for all.

    Some of a split may be absent. Raises DataError where all are, for a split that does not exist, and for
    a wanted scene that is absent.
    """
    if unknown := [name for name in wanted or () if name not in present]:
        raise DataError(f"{root} has no scene '{unknown[0]}'; it has {present[0]} to {present[-1]}")
    if split is None:
        return list(present if wanted is None else wanted)
    names = _read_split(root, split)
    if not set(names) & set(present):
        raise DataError(f"{root} has none of the {len(names)} scenes of split {split}")
    return [name for name in names if wanted is None or name in wanted]


def _read_split(root: Path, split: str) -> list[str]:
    path = _beside(root, f"scannetv2_{split}.txt") if split in SPLITS else Path(split)
    if path.is_file():
        return read_text(path).split()
    remedy = "put it there, it comes with ScanNet's code in Tasks/Benchmark"
    if split not in SPLITS:
        remedy = f"split must be {', '.join(SPLITS)} or a file with the name of a scene a line"
    raise DataError(f"{path} does not exist: {remedy}")


def _find_frames(folder: Path, exported: Sequence[Path]) -> Path | None:
    for path in (folder, *(path / folder.name for path in exported)):
        if (path / "color").is_dir():
            return path
    sens = folder / f"{folder.name}.sens"
    return sens if sens.is_file() else None


def _beside(root: Path, name: str) -> Path:
    """What lies beside scans/: at the root, or above one that is scans/ or a scene; else where it should."""
    places = [folder / name for folder in (root, *root.parents[:2])]
    return next((place for place in places if place.exists()), places[0])


@lru_cache(maxsize=4)
def _nyu40_ids(path: Path) -> dict[str, int]:
    """By the name that annotators gave."""
    rows = csv.DictReader(read_text(path).splitlines(), delimiter="\t")
    try:
        return {row["raw_category"]: int(row["nyu40id"]) for row in rows}
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is no table with raw_category and nyu40id: {error}") from error
