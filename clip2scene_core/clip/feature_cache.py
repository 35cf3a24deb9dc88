"""The teacher's output for a whole recording: computed once, stored, and read as it is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from clip2scene_core.clip.dense import DensePatches
from clip2scene_core.clip.feature_manifest import MANIFEST, Manifest, ShardRecord, read_manifest
from clip2scene_core.clip.feature_shards import FeatureShard, as_stored, damage, damaged, shard_bytes
from clip2scene_core.errors import CalibrationError, ConfigError, DataError
from clip2scene_core.locking import only_writer
from clip2scene_core.progress import Progress, silent
from clip2scene_core.types import CameraImage, Frame
from clip2scene_core.writing import whole_file

FRAMES_PER_SHARD = 4
"""Writing takes three times a shard in memory, and an interruption costs the frames since the last one. Six
images of 1600 x 900 with 512 dimensions a patch of 16 pixels are 35 MB a frame."""
MAPPED_SHARDS = 16
"""How many a reader keeps open."""
UNFINISHED = (".manifest.*.json", ".shard_*.safetensors")
"""What is left of files that were being written when their process was killed, see writing."""

Teacher = Callable[[Mapping[str, CameraImage]], Mapping[str, DensePatches]]
"""From the images of a frame to their patches (B = 1 each), both by camera."""


class Frames(Protocol):
    """A FrameSource, or a list of frames."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FillReport:
    """What came of filling a cache."""

    computed: int
    """Frames computed this time."""
    reused: int
    """Frames that were there."""
    skipped: Mapping[str, str]
    """Of `frame 3`, or of one image, `frame 3 front`: why the cache has nothing of it."""


class FeatureCache:
    """Reads a cache in any order, memory-mapped; its length is the number of frames."""

    def __init__(
        self, folder: Path | str, key: Mapping[str, str] | None = None, *, verify: bool = False
    ) -> None:
        """`key` has to be the one that the cache was filled with; None for any.

        The sizes of all files are compared with the manifest, with `verify` every byte of them. Raises
        DataError where the cache is missing, unfinished or damaged, ConfigError where its key is another one.
        """
        self.folder = Path(folder)
        manifest = read_manifest(self.folder)
        if manifest is None:
            raise DataError(f"{self.folder} is no feature cache: it has no {MANIFEST}")
        if key is not None:
            manifest.check_key(self.folder, key)
        for number, record in enumerate(manifest.shards):
            if record is None:
                raise DataError(
                    f"feature cache {self.folder} is unfinished: {manifest.shards.count(None)} of "
                    f"{len(manifest.shards)} files are missing; fill it again, which goes on"
                )
            path = _path(self.folder, number)
            if what := damage(path, record.size_bytes, record.sha256 if verify else None):
                raise damaged(path, what)
        self._manifest = manifest
        self._mapped: dict[int, FeatureShard] = {}

    def __reduce__(self) -> tuple[type[FeatureCache], tuple[Path]]:
        """Another process maps the files itself."""
        return FeatureCache, (self.folder,)

    def __len__(self) -> int:
        return self._manifest.frames

    @property
    def key(self) -> Mapping[str, str]:
        """What it was filled with."""
        return self._manifest.key

    def patches(self, frame: int, camera: str) -> DensePatches | None:
        """Patches (B = 1) in float16; None where the frame has no usable image of the camera.

        Raises IndexError for a frame that the recording does not have, DataError for a damaged file.
        """
        if not 0 <= frame < len(self):
            raise IndexError(f"frame {frame} of {len(self)}")
        number = frame // self._manifest.frames_per_shard
        if number not in self._mapped:
            if len(self._mapped) == MAPPED_SHARDS:
                del self._mapped[next(iter(self._mapped))]
            self._mapped[number] = FeatureShard(_path(self.folder, number))
        return self._mapped[number].patches(frame, camera)


def fill_cache(
    folder: Path | str,
    frames: Frames,
    teacher: Teacher,
    key: Mapping[str, str],
    *,
    frames_per_shard: int = FRAMES_PER_SHARD,
    progress: Progress = silent,
) -> FillReport:
    """Makes a cache or completes it: what is there and undamaged is kept, which takes reading it.

    key: what determines the features: the identity of the teacher, how it is shown images, the recording.
    frames_per_shard: of a new cache; one that is there keeps its own.

    May be interrupted anywhere, also by a kill. The files depend on key, frames and teacher only: after
    however many interruptions and repairs they are, byte for byte, those of one pass. Frames that cannot be
    read and images whose features are not finite are skipped and reported.

    Raises ConfigError where the cache is one of another key, DataError where another process is filling it,
    or where it cannot be written, as on a full disk.
    """
    folder = Path(folder)
    if frames_per_shard < 1:
        raise ConfigError(f"frames_per_shard must be at least 1, got {frames_per_shard}")
    with only_writer(folder):
        for path in [path for pattern in UNFINISHED for path in folder.glob(pattern)]:
            path.unlink()
        manifest = read_manifest(folder)
        if manifest is None:
            manifest = Manifest.of_nothing(key, frames=len(frames), frames_per_shard=frames_per_shard)
            _write(folder / MANIFEST, manifest.to_bytes())
        manifest.check_key(folder, {**key, "frames": str(len(frames))})
        reused = 0
        for number, record in enumerate(manifest.shards):
            members, path = manifest.frames_of(number), _path(folder, number)
            if record and not damage(path, record.size_bytes, record.sha256):
                reused += len(members)
                progress(members.stop, total=len(frames), text="checked")
                continue
            record = _write_shard(path, frames, members, teacher, progress)
            manifest = manifest.with_shard(number, record)
            _write(folder / MANIFEST, manifest.to_bytes())
    skipped = {name: why for record in manifest.shards if record for name, why in record.skipped.items()}
    return FillReport(computed=len(frames) - reused, reused=reused, skipped=skipped)


def bytes_per_frame(patches: Mapping[str, DensePatches]) -> int:
    """What a cache takes on the disk for a frame with such patches by camera, all but a header."""
    stored = [as_stored(dense) for dense in patches.values()]
    return sum(
        values.nbytes for dense in stored for values in (dense.features, dense.keys) if values is not None
    )


def _write_shard(
    path: Path, frames: Frames, members: range, teacher: Teacher, progress: Progress
) -> ShardRecord:
    """Computes these frames; gives what the manifest says of the file."""
    patches: dict[tuple[int, str], DensePatches] = {}
    skipped: dict[str, str] = {}
    for index in members:
        try:
            of_frame = teacher(frames[index].images)
        except (CalibrationError, DataError) as error:
            of_frame = {}
            skipped[f"frame {index}"] = str(error)
        for camera, dense in of_frame.items():
            stored = as_stored(dense)
            # One that is not finite makes the sum so, which is had five times as fast.
            if stored.features.sum(dtype=torch.float32).isfinite():
                patches[index, camera] = stored
            else:
                skipped[f"frame {index} {camera}"] = "its features are not finite in half precision"
        progress(index + 1, total=len(frames), text="computed")
    content = shard_bytes(patches)
    _write(path, content)
    digest = hashlib.sha256(content).hexdigest()
    return ShardRecord(size_bytes=len(content), sha256=digest, skipped=skipped)


def _path(folder: Path, shard: int) -> Path:
    return folder / f"shard_{shard:05d}.safetensors"


def _write(path: Path, content: bytes) -> None:
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror}; make room and fill the cache again, which goes on here"
        ) from error
