"""The cache: whatever happens while it is filled, it ends up the same, and says what is wrong with it."""

from __future__ import annotations

import errno
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from clip2scene_core.cameras import Camera
from clip2scene_core.clip.dense import DensePatches
from clip2scene_core.clip.feature_cache import FeatureCache, bytes_per_frame, fill_cache
from clip2scene_core.errors import CalibrationError, ConfigError, DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.types import CameraImage, Frame, LidarScan

KEY = {"teacher": "ViT-B-16/openai maskclip", "recording": "kitti_raw 2011_09_26"}
SIZES = {"front": (8, 16), "roof/left ü": (12, 8)}
PATCH_PX = 4


def picture(frame, camera):
    height, width = SIZES[camera]
    rgb = np.random.default_rng((frame, len(camera))).integers(0, 256, (height, width, 3), np.uint8)
    model = Camera(width=width, height=height, matrix=np.eye(3))
    return CameraImage(rgb=rgb, camera=model, stamp_ns=frame, frame_id=camera)


class Recording:
    """Five frames: the second has no image on the left, the fourth cannot be read."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        if index == 3:
            raise DataError("000003.jpg is no whole image: it ends early")
        scan = LidarScan(xyz=np.zeros((0, 3), np.float32), stamp_ns=index, frame_id="lidar")
        cameras = ["front"] if index == 1 else [*SIZES]
        images = {name: picture(index, name) for name in cameras}
        return Frame(scan=scan, world_from_lidar=SE3.identity(), images=images)


def patches_of(rgb, *, keys=False):
    """Mean colours of the patches, (1, 3, h, w), and their negatives as keys."""
    blocks = torch.from_numpy(rgb).float().unfold(0, PATCH_PX, PATCH_PX).unfold(1, PATCH_PX, PATCH_PX)
    features = blocks.mean(dim=(3, 4)).permute(2, 0, 1)[None]
    return DensePatches(
        features=features, keys=-features if keys else None, patch_px=PATCH_PX, image_size=rgb.shape[:2]
    )


def teacher(images):
    return {name: patches_of(image.rgb, keys=name == "front") for name, image in images.items()}


def fill(folder, taught=teacher, key=KEY, **options):
    return fill_cache(folder, Recording(), taught, key, **{"frames_per_shard": 2} | options)


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A cache filled in one pass; not to be changed."""
    folder = tmp_path_factory.mktemp("cache") / "whole"
    fill(folder)
    return folder


@pytest.fixture
def cache(whole, tmp_path) -> Path:
    """A copy of it."""
    for name, data in content(whole).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_what_was_computed_is_read_back_in_any_order(whole):
    cache = FeatureCache(whole, KEY, verify=True)
    assert (len(cache), cache.key["teacher"]) == (5, KEY["teacher"])
    for frame in (4, 0, 2, 0):
        for camera, size in SIZES.items():
            rgb = picture(frame, camera).rgb
            read = cache.patches(frame, camera)
            assert (read.image_size, read.patch_px) == (size, PATCH_PX)
            assert read.features.dtype == torch.float16
            mean = rgb.reshape(size[0] // 4, 4, size[1] // 4, 4, 3).mean(axis=(1, 3))
            np.testing.assert_allclose(read.features[0].permute(1, 2, 0), mean, rtol=5e-4)
            if camera == "front":
                torch.testing.assert_close(read.keys, -read.features)
            else:
                assert read.keys is None


def test_images_that_are_not_there_are_none(whole):
    cache = FeatureCache(whole)
    assert cache.patches(1, "front") is not None
    assert cache.patches(1, "roof/left ü") is None
    assert cache.patches(3, "front") is None
    assert cache.patches(0, "back") is None
    for frame in (-1, 5):
        with pytest.raises(IndexError):
            cache.patches(frame, "front")


def test_a_second_pass_computes_nothing_and_still_tells_what_is_lacking(cache):
    before, told = content(cache), []
    report = fill(cache, None, progress=lambda done, **fields: told.append((done, fields["total"])))
    assert (report.computed, report.reused) == (0, 5)
    assert report.skipped == {"frame 3": "000003.jpg is no whole image: it ends early"}
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert content(cache) == before


def test_every_frame_is_progress(tmp_path):
    told = []
    fill(tmp_path, progress=lambda done, **fields: told.append((done, fields["total"])))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize("error", [CalibrationError("no transform"), DataError("too small")])
def test_frames_that_the_teacher_refuses_are_skipped(tmp_path, error):
    def refuse(images):
        if "roof/left ü" not in images:
            raise error
        return teacher(images)

    report = fill(tmp_path, refuse)
    assert report.skipped["frame 1"] == str(error)
    assert FeatureCache(tmp_path).patches(0, "front") is not None


def test_features_out_of_range_of_half_precision_are_skipped(tmp_path):
    report = fill(tmp_path, lambda images: {"front": patches_of(images["front"].rgb * np.float32(1000))})
    assert report.skipped["frame 0 front"] == "its features are not finite in half precision"
    assert FeatureCache(tmp_path).patches(0, "front") is None


def test_the_size_is_known_beforehand(whole):
    """Float16: 3 colours in 2 x 4 patches, twice because of the keys, and in 3 x 2 patches."""
    expected = 2 * (2 * 3 * 2 * 4 + 3 * 3 * 2)
    assert bytes_per_frame(teacher(Recording()[0].images)) == expected
    header = 1000
    assert (whole / "shard_00002.safetensors").stat().st_size < expected + header


def killed_while_filling(folder, event, number):
    """Whether a process that fills the cache was killed, as it is when something happens that many times."""
    if child := os.fork():
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    happened, write_bytes, replace = [], Path.write_bytes, Path.replace

    def happen(what):
        happened.append(what)
        if happened.count(event) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(path, data):
        write_bytes(path, data[: len(data) // 2])
        happen("half written")
        write_bytes(path, data)

    def rename(path, target):
        happen("before renaming")
        replace(path, target)
        happen("after renaming")

    def compute(images):
        happen("computing")
        return teacher(images)

    try:
        Path.write_bytes, Path.replace = write, rename
        fill(folder, compute)
    finally:
        os._exit(0)


@pytest.mark.parametrize(
    "moments",
    [
        [("computing", 1), ("computing", 2), ("half written", 1)],
        [("half written", 2), ("before renaming", 3), ("after renaming", 1)],
        [("after renaming", 2), ("computing", 3), ("after renaming", 3)],
    ],
)
def test_after_kills_at_any_point_the_cache_is_that_of_one_pass(whole, tmp_path, moments):
    """Each process goes on where the one before it died, and counts from 1."""
    for event, number in moments:
        assert killed_while_filling(tmp_path, event, number)
        assert content(tmp_path) != content(whole)
        with pytest.raises(DataError, match=r"is no feature cache|is unfinished: \d of 3 files"):
            FeatureCache(tmp_path)
    fill(tmp_path)
    assert content(tmp_path) == content(whole)


def test_the_order_of_the_cameras_does_not_matter(whole, tmp_path):
    fill(tmp_path, lambda images: dict(reversed(teacher(images).items())))
    assert content(tmp_path) == content(whole)


def test_an_interruption_keeps_the_shards_that_are_done(whole, tmp_path):
    def interrupted(images):
        if images["front"].stamp_ns == 4:
            raise KeyboardInterrupt
        return teacher(images)

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, interrupted)
    report = fill(tmp_path)
    assert (report.computed, report.reused) == (1, 4)
    assert content(tmp_path) == content(whole)


def flip(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("hurt", [flip, truncate, Path.unlink])
def test_a_damaged_shard_is_detected_and_only_it_is_computed_again(whole, cache, hurt):
    hurt(cache / "shard_00001.safetensors")
    with pytest.raises(DataError, match=r"shard_00001\.safetensors is damaged: .*fill the cache again"):
        FeatureCache(cache, verify=True)
    report = fill(cache)
    assert (report.computed, report.reused) == (2, 3)
    assert content(cache) == content(whole)


@pytest.mark.parametrize("hurt", [truncate, Path.unlink])
def test_files_that_lack_something_are_noticed_without_reading_them(cache, hurt):
    opened = FeatureCache(cache)
    hurt(cache / "shard_00001.safetensors")
    with pytest.raises(DataError, match="is damaged"):
        FeatureCache(cache)
    assert opened.patches(0, "front") is not None
    with pytest.raises(DataError, match="is damaged"):
        opened.patches(2, "front")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no manifest of a feature cache"),
        ("[]", "is no manifest of a feature cache"),
        ('{"format_version": 1}', "is no manifest of a feature cache"),
        ('{"format_version": 99}', "format_version expected 1, got 99"),
    ],
)
def test_a_manifest_that_is_none_is_named(cache, text, message):
    (cache / "manifest.json").write_text(text)
    for use in (FeatureCache, fill):
        with pytest.raises(DataError, match=message):
            use(cache)


def test_a_folder_without_a_cache_is_named(tmp_path):
    with pytest.raises(DataError, match=r"is no feature cache: it has no manifest\.json"):
        FeatureCache(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            KEY | {"teacher": "other"},
            f"teacher expected 'other', got '{KEY['teacher']}'; name another folder",
        ),
        (KEY | {"window": "224"}, "window expected '224', got nothing"),
        ({"teacher": KEY["teacher"]}, f"recording expected nothing, got '{KEY['recording']}'"),
        ({"teacher": "a", "recording": "b"}, "recording expected 'b'"),
    ],
)
def test_another_key_is_an_error_that_names_what_differs(cache, key, message):
    before = content(cache)
    for use in (fill, FeatureCache):
        with pytest.raises(ConfigError, match=message):
            use(cache, key=key)
    assert content(cache) == before


def test_a_recording_that_has_grown_is_another_one(cache):
    with pytest.raises(ConfigError, match="frames expected '6', got '5'"):
        fill_cache(cache, [None] * 6, teacher, KEY)


def test_two_at_once_is_an_error_that_names_the_other(tmp_path):
    errors = []

    def intrude(images):
        with pytest.raises(DataError) as caught:
            fill(tmp_path)
        errors.append(str(caught.value))
        return teacher(images)

    fill(tmp_path, intrude)
    assert set(errors) == {
        f"process {os.getpid()} is writing to {tmp_path}; wait for its end, or name another folder"
    }


def test_a_full_disk_is_an_error_and_leaves_nothing_half_written(whole, tmp_path, monkeypatch):
    written = []

    def out_of_space(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2 if len(written) == 3 else None])
        written.append(path)
        if len(written) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", out_of_space)
        with pytest.raises(DataError, match="No space left on device; make room and fill the cache again"):
            fill(tmp_path)
    assert sorted(content(tmp_path)) == [".lock", "manifest.json", "shard_00000.safetensors"]
    assert fill(tmp_path).reused == 2
    assert content(tmp_path) == content(whole)


def test_readers_are_mapped_and_go_to_other_processes(whole, monkeypatch):
    monkeypatch.setattr("clip2scene_core.clip.feature_cache.MAPPED_SHARDS", 1)
    cache = pickle.loads(pickle.dumps(FeatureCache(whole)))
    first = cache.patches(0, "front").features
    expected = first.clone()
    mapped = Path("/proc/self/maps").read_text()
    assert "shard_00000" in mapped
    cache.patches(4, "front")
    torch.testing.assert_close(first, expected)


@pytest.mark.parametrize("frames", [0, 1])
def test_recordings_of_any_length(tmp_path, frames):
    fill_cache(tmp_path, [Recording()[0]] * frames, teacher, KEY)
    assert len(FeatureCache(tmp_path, verify=True)) == frames


def test_shards_have_frames(tmp_path):
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        fill(tmp_path, frames_per_shard=0)
