"""The manifest of a feature cache: what it was filled with, and which of its files are done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clip2scene_core.errors import ConfigError, DataError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """A file that is done."""

    size_bytes: int
    sha256: str
    skipped: Mapping[str, str]
    """Of `frame 3`, or of one image, `frame 3 front`: why the file has nothing of it."""

    def to_dict(self) -> dict[str, object]:
        """What the manifest keeps of it."""
        return {"size_bytes": self.size_bytes, "sha256": self.sha256, "skipped": self.skipped}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Nothing here tells when, where or in how many sessions a cache was filled."""

    key: Mapping[str, str]
    """What determines the features, see fill_cache, and the number of `frames`."""
    frames: int
    frames_per_shard: int
    shards: tuple[ShardRecord | None, ...]
    """None where the file is still to be written."""

    @classmethod
    def of_nothing(cls, key: Mapping[str, str], *, frames: int, frames_per_shard: int) -> Manifest:
        """That of a cache without files."""
        shards = (None,) * -(-frames // frames_per_shard)
        key = {**key, "frames": str(frames)}
        return cls(key=key, frames=frames, frames_per_shard=frames_per_shard, shards=shards)

    def frames_of(self, shard: int) -> range:
        """Those in one file."""
        first = shard * self.frames_per_shard
        return range(first, min(first + self.frames_per_shard, self.frames))

    def with_shard(self, shard: int, record: ShardRecord) -> Manifest:
        """The same, but that one file is done."""
        return replace(self, shards=(*self.shards[:shard], record, *self.shards[shard + 1 :]))

    def check_key(self, folder: Path, expected: Mapping[str, str]) -> None:
        """Raises ConfigError that names the first entry not as expected, which may leave out `frames`."""
        expected = {"frames": self.key["frames"], **expected}
        for name in sorted({*expected, *self.key}):
            if expected.get(name) != self.key.get(name):
                want, got = (f"'{key[name]}'" if name in key else "nothing" for key in (expected, self.key))
                raise ConfigError(
                    f"feature cache {folder}: {name} expected {want}, got {got}; "
                    "name another folder, or delete this one"
                )

    def to_bytes(self) -> bytes:
        """The content of the file, in one line: it is made anew for every shard, and so 20 times as fast."""
        content = {
            "format_version": FORMAT_VERSION,
            "key": self.key,
            "frames": self.frames,
            "frames_per_shard": self.frames_per_shard,
            "shards": [record and record.to_dict() for record in self.shards],
        }
        return json.dumps(content, sort_keys=True).encode()


def read_manifest(folder: Path) -> Manifest | None:
    """That of a cache, None where there is none. Raises DataError where it cannot be read."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        version = content.pop("format_version")
        if version == FORMAT_VERSION:
            shards = tuple(record and ShardRecord(**record) for record in content.pop("shards"))
            return Manifest(**content, shards=shards)
    except FileNotFoundError:
        return None
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is no manifest of a feature cache: {type(error).__name__} {error}; "
            "delete its folder and fill it again"
        ) from error
    raise DataError(
        f"{path}: format_version expected {FORMAT_VERSION}, got {version}; "
        "delete its folder and fill it again"
    )
