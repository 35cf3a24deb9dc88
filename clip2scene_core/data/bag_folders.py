"""Which bags lie in a folder: parts of one recording stay together, different recordings stay apart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from clip2scene_core.data.bag_file import RECORDING, counted, recordings_in
from clip2scene_core.data.bag_reader import open_bag_file
from clip2scene_core.errors import DataError
from clip2scene_core.stamps import NS_PER_S

PART = re.compile(r"(.*?)(?:\d{4}(?:-\d\d){5})?_(\d+)")
"""Name and number of a part of a recording; ROS 1 writes the time at which the part begins between them."""

LONGEST_PAUSE_S = 60.0
"""A part of a recording begins no later after the last messages of the part before. Where those are is known
to a thousand messages only."""


def find_bags(root: Path) -> list[Path]:
    """The bag at `root`, or those in it and in the folders below it, _2 before _10: folders or files.

    Files beside each other without metadata.yaml are one bag where their names count them and one was
    recorded right after the other. Raises DataError where there is no bag.
    """
    if not root.exists():
        raise DataError(f"{root} does not exist")
    if root.is_file():
        return [root]
    bags = [bag for folder in _folders(root) for bag in _bags_in(folder)]
    if not bags:
        raise DataError(f"{root} has no .mcap, .db3 or .bag file: not a bag, and no folder of bags")
    return bags


def _folders(root: Path) -> Iterator[Path]:
    """The folder and all below it but for hidden ones; links are followed, no folder comes twice."""
    seen = set()
    for folder, inside, _ in os.walk(root, followlinks=True):
        inside[:] = sorted((name for name in inside if not name.startswith(".")), key=counted)
        if (real := os.path.realpath(folder)) in seen:
            inside.clear()
        else:
            seen.add(real)
            yield Path(folder)


def _bags_in(folder: Path) -> list[Path]:
    """Of the files of one folder."""
    files = recordings_in(folder)
    kinds = {match[1] for file in files if (match := RECORDING.search(file.name))}
    if len(files) < 2 or len(kinds) > 1 or (folder / "metadata.yaml").is_file():
        return [folder] if files else []
    bags = [[files[0]]]
    for before, file in pairwise(files):
        if _goes_on(before, file):
            bags[-1].append(file)
        else:
            bags.append([file])
    if len(bags) == 1:
        return [folder]
    for first, *others in bags:
        if others:
            raise DataError(
                f"{folder} has several recordings, of which one is in {1 + len(others)} parts, {first.name} "
                "and those after it; give these a folder of their own"
            )
    return [file for (file,) in bags]


def _goes_on(before: Path, file: Path) -> bool:
    """Whether a file is the next part of the recording; of packed files only the names tell."""
    parts = [PART.fullmatch(RECORDING.sub("", path.name)) for path in (before, file)]
    if None in parts:
        return False
    (name, number), (next_name, next_number) = (part.groups() for part in parts if part)
    if name != next_name or int(next_number) != int(number) + 1:
        return False
    starts_ns, next_starts_ns = _starts_ns(before), _starts_ns(file)
    if not starts_ns or not next_starts_ns:
        return True
    return 0 < min(next_starts_ns) - max(starts_ns) <= LONGEST_PAUSE_S * NS_PER_S


def _starts_ns(file: Path) -> Sequence[int]:
    """When some of the messages were recorded; empty where that cannot be told at once."""
    try:
        return open_bag_file(file).starts_ns
    except (DataError, OSError):
        return ()
