"""The files of a bag: which they are, and what the formats have in common."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import yaml

from clip2scene_core.data.packing import unpacked_name
from clip2scene_core.data.ros_types import TRANSFORMS
from clip2scene_core.errors import DataError

Position = tuple[int, ...]
"""Where a message lies in its file; only the file's reader knows what the numbers mean."""


class Connection(NamedTuple):
    """The messages of one kind that one file holds under one topic."""

    topic: str
    type: str
    """As ROS 2 writes it: package/msg/Name."""
    encoding: str
    """cdr (ROS 2), ros1, or something that is not ROS."""
    definition: str = ""
    """Of the type and of those that it is made of; empty where the file does not say."""
    definition_format: str = ""
    """ros1msg, ros2msg or ros2idl."""


class Message(NamedTuple):
    """A message that was found, and its beginning."""

    logged_ns: int
    """When it was recorded."""
    connection: int
    position: Position
    head: bytes


class BagFile(Protocol):
    """One file of a bag, whose messages come in parts, each small enough for memory."""

    @property
    def connections(self) -> Mapping[int, Connection]:
        """What is recorded, by the number that messages refer to."""
        ...

    @property
    def starts_ns(self) -> Sequence[int]:
        """Of each part: no message of it was recorded earlier."""
        ...

    @property
    def problem(self) -> str:
        """What is wrong with the file though it can be read; empty where nothing is."""
        ...

    def messages(self, part: int, wanted: Collection[int], head_bytes: int) -> Iterator[Message]:
        """Those of some connections in one part, in any order. Raises DataError where it is damaged."""
        ...

    def read(self, position: Position) -> bytes:
        """All bytes of a message. Raises DataError where they are damaged."""
        ...

    def reopen(self) -> None:
        """Has to be called in another process before anything else."""
        ...


RECORDING = re.compile(r"(?<!\.orig)\.(mcap|db3|bag)(\.active)?(\.zstd|\.zst)?$")
"""Names of files with messages; rosbag reindex keeps what it was given as .orig."""


def is_bag(path: Path) -> bool:
    """Whether this is a file with messages, or a folder of such."""
    return bool(recordings_in(path)) if path.is_dir() else bool(RECORDING.search(path.name))


def normalised_type(name: str) -> str:
    """package/msg/Name, from that or the package/Name of ROS 1; types that were only renamed are one."""
    package, separator, rest = name.partition("/")
    full = f"{package}/msg/{rest}" if separator and "/" not in rest else name
    return {"tf/msg/tfMessage": TRANSFORMS}.get(full, full)


def find_files(path: Path) -> tuple[list[Path], tuple[str, ...]]:
    """The files of the bag `path` (a folder, or one file), and what is odd about them, a line each.

    Raises DataError where there are none, or where they are of several kinds.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if path.is_file():
        return [path], ()
    present = recordings_in(path)
    listed, notes = _listed(path, present)
    files = listed or present
    if not files:
        inside = [
            folder.name for folder in sorted(path.iterdir()) if folder.is_dir() and recordings_in(folder)
        ]
        hint = f"; name one of the bags in it: {', '.join(inside)}" if inside else ": not a bag"
        raise DataError(f"{path} has no .mcap, .db3 or .bag file{hint}")
    kinds = sorted({match[1] for file in files if (match := RECORDING.search(file.name))})
    if len(kinds) > 1:
        raise DataError(
            f"{path} has recordings of several kinds ({', '.join(kinds)}); name one of its files instead"
        )
    return files, notes


def recordings_in(folder: Path) -> list[Path]:
    """Files of a folder that hold messages, _2 before _10."""
    found = [
        file
        for file in folder.iterdir()
        if RECORDING.search(file.name) and not file.name.startswith(".") and file.is_file()
    ]
    return sorted(found, key=lambda file: counted(file.name))


def counted(name: str) -> list[str]:
    """By this, names are sorted with _2 before _10."""
    return [part.zfill(20) if part.isdigit() else part for part in re.findall(r"\d+|\D+", name)]


def _listed(folder: Path, present: Sequence[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """The files that metadata.yaml names, as far as they are there; none where it is of no use."""
    path = folder / "metadata.yaml"
    if not path.is_file():
        doubts = [f"its {len(present)} files are read as one bag"] if len(present) > 1 else []
        if any(".bag" not in file.suffixes for file in present):  # Bags of ROS 1 never have it.
            doubts.insert(0, "it has no metadata.yaml, as when a recorder is killed")
        return [], (f"{folder}: {'; '.join(doubts)}",) if doubts else ()
    try:
        information = yaml.safe_load(path.read_text())["rosbag2_bagfile_information"]
        names = [Path(name).name for name in information["relative_file_paths"]]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return [], (f"{path} is damaged; every file beside it is read",)
    # A packed file is listed with or without its suffix, depending on the version of rosbag2.
    by_name = {name: file for file in present for name in (unpacked_name(file.name), file.name)}
    missing = [name for name in names if name not in by_name]
    if len(missing) == len(names):
        return [], (f"no file that {path} names is there; every file beside it is read",) if present else ()
    notes = (f"{folder}: {', '.join(missing)} of metadata.yaml is missing",) if missing else ()
    return [by_name[name] for name in names if name in by_name], notes
