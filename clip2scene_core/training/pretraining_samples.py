"""Frames to samples of pre-training: sweeps, point-pixel pairs, temporal grid and augmentation.

Shapes: N points of all sweeps of a frame, M pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import Dataset

from clip2scene_core import augment
from clip2scene_core.clip.feature_cache import FeatureCache
from clip2scene_core.config import CropConfig, PairingConfig, StudentConfig
from clip2scene_core.crops import ImageCrop, Size, random_crop, whole_image
from clip2scene_core.data.source import FrameSource
from clip2scene_core.errors import CalibrationError, ConfigError, DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.merging import MergedScan, merge
from clip2scene_core.pairing import point_pixel_pairs
from clip2scene_core.superpoints import superpoints
from clip2scene_core.training.pretraining_batch import BatchPairs, PretrainingSample
from clip2scene_core.training.samples import student_input
from clip2scene_core.types import Frame, LidarScan
from clip2scene_core.voxels import Voxels, occupied

NOTHING = Frame(
    scan=LidarScan(
        xyz=np.empty((0, 3), np.float32),
        intensity=np.empty(0, np.float32),
        rgb=np.empty((0, 3), np.uint8),
        stamp_ns=0,
        frame_id="",
    ),
    world_from_lidar=SE3.identity(),
)
"""Stands for a frame that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _View:
    """What one camera shows of a frame."""

    camera: str
    crop: ImageCrop
    point: np.ndarray
    """(M,) int64: rows of the stitched cloud."""
    pixel: np.ndarray
    """(M, 2) float32: where what the teacher is given, crop or whole image, shows the points."""


class PretrainingSamples(Dataset):
    """Samples of the frames of a source with images; the item (step, frame) is always the same.

    The sweeps of a frame are its own scan and random ones of those before it; each is registered to the first
    by its pose, and paired with the frame's images by the full chain of poses. What moved since an earlier
    sweep is thus paired with pixels that show where it was: draw from a small `sweep_window` where that
    matters. The temporal grid lies over the stitched cloud as it was measured; only what the student sees is
    turned and mirrored, each cloud in its own way.

    A frame that cannot be read gives a sample of nothing that says why.
    """

    def __init__(
        self,
        source: FrameSource,
        student: StudentConfig,
        pairing: PairingConfig,
        seed: int,
        *,
        per_point: bool,
        cache: FeatureCache | None = None,
    ) -> None:
        """`source` gives the scans of `sweep_window` with each frame; `per_point` is that of the student.

        With `cache`, which holds the teacher's features of whole images, samples have no images: crops choose
        pairs, whose pixels stay those of the whole image. Images that it lacks have no pairs. Raises
        ConfigError for a window too small for the sweeps, DataError where there is nothing to learn from.
        """
        if pairing.sweep_window < pairing.sweeps - 1:
            raise ConfigError(
                f"setting 'sweep_window' must be at least sweeps - 1 = {pairing.sweeps - 1}, "
                f"got {pairing.sweep_window}"
            )
        if not len(source):
            raise DataError("the source has no frames to learn from")
        if not source.camera_names:
            raise DataError("the source has no cameras to learn from: CLIP sees images")
        self._source = source
        self._student = student
        self._pairing = pairing
        self._seed = seed
        self._per_point = per_point
        self._cache = cache

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, key: tuple[int, int]) -> PretrainingSample:
        step, index = key
        streams = np.random.SeedSequence((self._seed, step, index)).spawn(3)
        sweep_rng, cloud_rng, pair_rng = map(np.random.default_rng, streams)
        frame, unreadable = self._frame(index, sweep_rng)
        scans = (frame.scan, *frame.sweeps)
        stitched = merge(scans, (frame.world_from_lidar, *frame.sweeps_world_from_lidar))
        seen = (stitched.scan,) if self._pairing.merged else scans
        clouds = tuple(self._cloud(scan, index, cloud_rng) for scan in seen)
        output_row, rows = output_rows(clouds, per_point=self._per_point)
        views = self._views(frame, index, stitched, output_row, pair_rng)
        pairs, views = self._pairs(views, stitched, output_row, pair_rng)
        shown = [view.camera for view in views]
        return PretrainingSample(
            clouds=clouds,
            rows=rows,
            pairs=pairs,
            image_keys=tuple((index, camera) for camera in shown),
            images=self._images(frame, views) if self._cache is None else None,
            without_pairs=tuple(camera for camera in frame.images if camera not in shown),
            unreadable=unreadable,
        )

    def _frame(self, index: int, rng: np.random.Generator) -> tuple[Frame, str | None]:
        """The frame with the sweeps that are taken, without the vehicle; and why there is nothing in it."""
        try:
            frame, unreadable = self._source[index], None
        except (CalibrationError, DataError) as error:
            frame, unreadable = NOTHING, f"frame {index}: {error}"
        frame = with_drawn_sweeps(frame, self._pairing.sweeps - 1, self._pairing.sweep_window, rng)
        scan, *sweeps = (without_vehicle(s, self._pairing.ego_box_m) for s in (frame.scan, *frame.sweeps))
        return replace(frame, scan=scan, sweeps=tuple(sweeps)), unreadable

    def _cloud(self, scan: LidarScan, index: int, rng: np.random.Generator) -> Voxels:
        """What the student is given of a scan; a turn and flips of x and y come to a turn and one flip."""
        with np.errstate(invalid="ignore"):  # rows without a return may hold infinities
            xyz = augment.rotated(scan.xyz, rng) if self._pairing.rotate else scan.xyz
        return student_input(xyz, scan.intensity, scan.rgb, self._student, frame=index)

    def _views(
        self,
        frame: Frame,
        index: int,
        stitched: MergedScan,
        output_row: np.ndarray,
        rng: np.random.Generator,
    ) -> list[_View]:
        """Of each camera that the teacher has something of, with all pairs in its crop."""
        views = []
        for camera in frame.images:
            if self._cache is not None and self._cache.patches(index, camera) is None:
                continue
            point, pixel = self._seen(frame, camera, stitched)
            inside = output_row[point] >= 0
            point, pixel = point[inside], pixel[inside]
            model = frame.images[camera].camera
            crop = drawn_crop((model.height, model.width), pixel, self._pairing.crop, rng)
            shown = crop.holds(pixel)
            point, pixel = point[shown], pixel[shown]
            pixel = crop.pixels(pixel) if self._cache is None else pixel
            views.append(_View(camera=camera, crop=crop, point=point, pixel=pixel))
        return views

    def _seen(self, frame: Frame, camera: str, stitched: MergedScan) -> tuple[np.ndarray, np.ndarray]:
        """Rows (M,) of the stitched cloud and pixels (M, 2) of the points that a camera sees."""
        each = [
            point_pixel_pairs(
                frame,
                camera,
                sweep=sweep,
                min_depth_m=self._pairing.min_depth_m,
                occlusion=self._pairing.occlusion,
            )
            for sweep in (None, *range(len(frame.sweeps)))
        ]
        rows = [start + pairs.row for start, pairs in zip(stitched.starts[:-1], each, strict=True)]
        return np.concatenate(rows), np.concatenate([pairs.pixel for pairs in each])

    def _pairs(
        self, views: list[_View], stitched: MergedScan, output_row: np.ndarray, rng: np.random.Generator
    ) -> tuple[BatchPairs, list[_View]]:
        """The pairs that are taken, and the views that they are in."""
        point = np.concatenate([np.empty(0, np.int64), *(view.point for view in views)])
        pixel = np.concatenate([np.empty((0, 2), np.float32), *(view.pixel for view in views)])
        view = np.repeat(np.arange(len(views)), np.array([len(view.point) for view in views], np.int64))
        size_m = self._student.voxel_m * self._pairing.cell_voxels
        xyz = stitched.scan.xyz[point]
        taken, cell = drawn_cells(xyz, size_m, self._pairing.max_pairs, rng)
        superpoint = superpoints(xyz)[taken] if self._pairing.superpoints else np.full(len(taken), -1)
        point = point[taken]
        shown, image = np.unique(view[taken], return_inverse=True)
        pairs = BatchPairs(
            row=torch.from_numpy(output_row[point]),
            pixel=torch.from_numpy(pixel[taken]),
            image=torch.from_numpy(image),
            sweep=torch.from_numpy(np.searchsorted(stitched.starts, point, side="right") - 1),
            cell=torch.from_numpy(cell),
            frame=torch.zeros(len(taken), dtype=torch.int64),
            superpoint=torch.from_numpy(superpoint),
        )
        return pairs, [views[i] for i in shown]

    def _images(self, frame: Frame, views: list[_View]) -> torch.Tensor:
        """(I, H, W, 3) uint8 crops."""
        size = (self._pairing.crop.height, self._pairing.crop.width)
        crops = [view.crop.image(frame.images[view.camera].rgb) for view in views]
        return torch.from_numpy(np.array(crops, np.uint8).reshape(-1, *size, 3))


def with_drawn_sweeps(frame: Frame, count: int, window: int, rng: np.random.Generator) -> Frame:
    """The frame with up to `count` of the newest `window` sweeps before it, still newest first."""
    taken = np.sort(rng.permutation(min(window, len(frame.sweeps)))[:count])
    return replace(
        frame,
        sweeps=tuple(frame.sweeps[i] for i in taken),
        sweeps_world_from_lidar=tuple(frame.sweeps_world_from_lidar[i] for i in taken),
    )


def without_vehicle(scan: LidarScan, ego_box_m: float) -> LidarScan:
    """The scan with NaN where a point is nearer than `ego_box_m` to the sensor along both x and y."""
    near = (np.abs(scan.xyz[:, :2]) < ego_box_m).all(axis=1)
    return replace(scan, xyz=np.where(near[:, None], np.float32(np.nan), scan.xyz))


def output_rows(clouds: Sequence[Voxels], *, per_point: bool) -> tuple[np.ndarray, int]:
    """(N,) int64: row of the student's output for each point of some clouds, -1 for none; and how many rows.

    A student answers for points in voxels, or for voxels.
    """
    found, rows = [], 0
    for voxels in clouds:
        row = voxels.row_of_point if per_point else voxels.voxel_of_point
        found.append(np.where(row >= 0, row + rows, -1))
        rows += len(voxels.points if per_point else voxels.coordinates)
    return np.concatenate(found), rows


def drawn_crop(size: Size, pixels: np.ndarray, settings: CropConfig, rng: np.random.Generator) -> ImageCrop:
    """A crop of an image of `size` that keeps enough of its pairs' pixels (M, 2), or all of it."""
    enough = min(settings.pairs, settings.share * len(pixels))
    shown_size = (settings.height, settings.width)
    crop, ratio = whole_image(size, shown_size), (settings.narrowest, settings.widest)
    for _ in range(settings.tries):
        drawn = random_crop(rng, size, shown_size, least_area=settings.least_area, ratio=ratio)
        if np.count_nonzero(drawn.holds(pixels)) > enough:
            crop = drawn
            break
    return replace(crop, mirrored=settings.mirror and bool(rng.integers(2)))


def drawn_cells(
    xyz: np.ndarray, size_m: float, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Up to `most` of the points (N, 3): their rows (M,), ascending, and cells (M,), from 0 without gaps.

    Cells are taken whole in random order, but for the last one: points drawn one by one would leave few cells
    with points of several sweeps.
    """
    cells, cell = occupied(xyz, size_m)
    rank = rng.permutation(len(cells))[cell]
    order = rng.permutation(len(cell))  # so that what is left of the last cell is random too
    taken = np.sort(order[np.argsort(rank[order], kind="stable")[:most]])
    return taken, rank[taken]
