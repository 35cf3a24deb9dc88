"""From the name of a format and a folder to a source of frames."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from clip2scene_core.data.bag_folders import find_bags
from clip2scene_core.data.joined import JoinedDrives, short_names
from clip2scene_core.data.source import FrameSource
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.progress import Progress, silent

SOURCES: dict[str, tuple[str, str]] = {
    "nuscenes": ("nuscenes", "NuscenesSource"),
    "t4": ("t4", "T4Source"),
    "kitti-raw": ("kitti_raw", "KittiRawSource"),
    "semantic-kitti": ("semantic_kitti", "SemanticKittiSource"),
    "scannet": ("scannet", "ScannetSource"),
    "rosbag": ("rosbag", "RosbagSource"),
}
"""Module and class by kind."""


Roots = Path | str | Sequence[Path | str]


def open_source(
    kind: str, root: Roots | None = None, progress: Progress = silent, /, **options: Any
) -> FrameSource:
    """The recording at `root`; `options` are those of the kind's class; `progress` is told what takes long.

    `simulated` without a root, or with `-` for it, are drives made on the fly; else a folder of simulated
    sweeps. Several roots, and the bags in a folder of a `rosbag`, are joined, see JoinedDrives. Raises
    ConfigError for an unknown kind or option, DataError where a recording is not what the kind promises.
    """
    if root is None or (isinstance(root, Path | str) and _folder(root) is None):
        return open_recording(kind, None, progress, **options)
    drives = {
        name: open_recording(kind, path, progress, **options)
        for name, path in find_recordings(kind, root).items()
    }
    return JoinedDrives(drives) if len(drives) > 1 else next(iter(drives.values()))


def find_recordings(kind: str, root: Roots) -> dict[str, Path]:
    """What is joined to one source, by names that tell them apart; each recording comes once.

    Raises DataError where there is none.
    """
    roots = [Path(root)] if isinstance(root, Path | str) else [Path(each) for each in root]
    if not roots:
        raise DataError(f"source {kind} needs a root, got none")
    if kind == "rosbag":
        roots = [bag for each in roots for bag in find_bags(each)]
    return short_names(list({path.resolve(): path for path in roots}.values()))


def open_recording(
    kind: str, root: Path | str | None, progress: Progress = silent, /, **options: Any
) -> FrameSource:
    """As open_source, of one recording."""
    build, folder = _builder(kind, root), _folder(root)
    positional = () if folder is None else (folder,)
    known = _options(build)[len(positional) :]
    if unknown := [name for name in options if name not in known]:
        raise ConfigError(f"source {kind} has no option '{unknown[0]}'; it has {', '.join(known) or 'none'}")
    reports = {"progress": progress} if "progress" in inspect.signature(build).parameters else {}
    return build(*positional, **options, **reports)


def known_options(kind: str, root: Path | str | None) -> list[str]:
    """Names of the options that open_source takes for this kind, and the root's where there is one."""
    return _options(_builder(kind, root))


def parse_options(kind: str, root: Path | str | None, settings: Iterable[str]) -> dict[str, Any]:
    """Options for open_source from `key=value` texts; the items of a list are separated by commas.
    A mapping is `key:value` texts in a list.

    Texts stay what they are (a sequence 00 is no number); an unknown key is left for open_source to refuse.
    Raises ConfigError for a text without `=`, or no number where one is expected.
    """
    known = inspect.signature(_builder(kind, root)).parameters
    options = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            raise ConfigError(f"option '{setting}' must read key=value, such as sweeps=2")
        expected = str(known[key].annotation) if key in known else "str"
        try:
            options[key] = _typed(text.strip(), expected)
        except (ValueError, KeyError) as error:
            raise ConfigError(f"option {key} of {kind} must be of type {expected}, got '{text}'") from error
    return options


def _options(build: Callable[..., FrameSource]) -> list[str]:
    """What a user may set."""
    return [name for name in inspect.signature(build).parameters if name != "progress"]


def _typed(text: str, expected: str) -> Any:
    if expected.startswith("Sequence"):
        return [item for part in text.strip("[]").split(",") if (item := part.strip())]
    if expected.startswith("Mapping"):
        pairs = (part.rpartition(":") for part in text.split(",") if part.strip())
        return {key.strip(): float(value) for key, _, value in pairs}
    if expected == "bool":
        return {"true": True, "false": False}[text.lower()]
    return {"int": int, "float": float}.get(expected.removesuffix(" | None"), str)(text)


def _folder(root: Path | str | None) -> Path | None:
    return None if root is None or str(root) == "-" else Path(root)


def _builder(kind: str, root: Path | str | None) -> Callable[..., FrameSource]:
    folder = _folder(root)
    if kind == "simulated":
        module, name = ("simulated", "SimulatedSource") if folder is None else ("sweeps", "SweepFiles")
    elif kind not in SOURCES:
        raise ConfigError(f"source '{kind}' is unknown; known are {', '.join([*SOURCES, 'simulated'])}")
    elif folder is None:
        raise ConfigError(f"source {kind} needs a root, the folder of the recording")
    elif not folder.exists():
        raise DataError(f"{root} does not exist")
    else:
        module, name = SOURCES[kind]
    return getattr(import_module(f"clip2scene_core.data.{module}"), name)
