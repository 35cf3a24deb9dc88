"""From frames to batches of pre-training: rows of the student, pixels and cells belong together."""

from __future__ import annotations

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch.utils.data import DataLoader

from clip2scene_core.build import build_student
from clip2scene_core.cameras import Camera
from clip2scene_core.clip.dense import DensePatches
from clip2scene_core.clip.feature_cache import FeatureCache, fill_cache
from clip2scene_core.config import CropConfig, PairingConfig, StudentConfig
from clip2scene_core.data.kitti_raw import KittiRawSource
from clip2scene_core.data.nuscenes import NuscenesSource
from clip2scene_core.errors import CalibrationError, ConfigError, DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.superpoints import superpoints
from clip2scene_core.training.pretraining_batch import collate_pretraining, sample_teacher
from clip2scene_core.training.pretraining_samples import (
    PretrainingSamples,
    drawn_cells,
    drawn_crop,
    with_drawn_sweeps,
)
from clip2scene_core.training.samples import StepSampler
from clip2scene_core.types import CameraImage, Frame, LidarScan

HEIGHT, WIDTH = 120, 240
CAMERA = Camera(width=WIDTH, height=HEIGHT, matrix=np.array([[100.0, 0, 120], [0, 100, 60], [0, 0, 1]]))
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
PLACES = np.stack([COLUMNS, ROWS, 0 * ROWS], axis=2).astype(np.uint8)
"""An image whose red is the column and whose green is the row."""
LOOKING_AHEAD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""Camera axes in those of a LiDAR whose x looks ahead."""
PLACE = np.array([500.0, 900.0, 40.0])
WHOLE = CropConfig(height=HEIGHT, width=WIDTH, tries=0, mirror=False)
AS_IT_IS = PairingConfig(sweeps=2, sweep_window=1, rotate=False, occlusion=False, crop=WHOLE)
VARIED = PairingConfig(sweep_window=2, occlusion=False, crop=CropConfig(height=100, width=180, pairs=20))
STUDENT = StudentConfig(voxel_m=0.5, range_m=60.0)


def scan(xyz):
    return LidarScan(xyz=np.asarray(xyz, np.float32).reshape(-1, 3), stamp_ns=0, frame_id="lidar")


def image(rgb=PLACES, camera=CAMERA):
    return CameraImage(rgb=rgb, camera=camera, stamp_ns=0, frame_id="camera")


def pose(x, y, z, rotation=None):
    return SE3.from_rotation_translation(np.eye(3) if rotation is None else rotation, [x, y, z])


def made_frame(seed, *, points=400, earlier=2):
    """A car that turns and rolls among random points up to 30 m around it, with two cameras."""
    rng = np.random.default_rng(seed)
    rotations = Rotation.from_rotvec(rng.normal(0, [0.05, 0.05, 1.0], (1 + earlier, 3))).as_matrix()
    poses = [pose(*(PLACE + rng.normal(0, 1, 3)), rotation) for rotation in rotations]
    xyz_world = PLACE + rng.uniform([-30, -30, -2], [30, 30, 6], (1 + earlier, points, 3))
    scans = [scan(p.inverse().apply(xyz)) for p, xyz in zip(poses, xyz_world, strict=True)]
    front, left = (poses[0] @ SE3.from_yaw(yaw, rng.normal(0, 0.5, 3)) for yaw in (0, np.pi / 2))
    return Frame(
        scan=scans[0],
        world_from_lidar=poses[0],
        sweeps=tuple(scans[1:]),
        sweeps_world_from_lidar=tuple(poses[1:]),
        images={"front": image(), "left": image()},
        world_from_camera={
            "front": front @ pose(0, 0, 0, LOOKING_AHEAD),
            "left": left @ pose(0, 0, 0, LOOKING_AHEAD),
        },
    )


@pytest.fixture
def samples(frame_list):
    """Makes samples of frames, which may be exceptions instead."""

    class Source(frame_list):
        camera_names = ("front", "left")

        def __getitem__(self, index):
            if isinstance(self.frames[index], Exception):
                raise self.frames[index]
            return self.frames[index]

    def make(*frames, pairing=VARIED, student=STUDENT, seed=4, per_point=True, cache=None):
        source = Source(frames, None)
        return PretrainingSamples(source, student, pairing, seed, per_point=per_point, cache=cache)

    return make


def points_of_pairs(sample):
    """(M, 3) metres: what the student sees where the rows of the pairs say it is."""
    points = np.concatenate([voxels.points for voxels in sample.clouds])
    return points[sample.pairs.row.numpy()] * STUDENT.voxel_m


def shown(crop, pixels):
    """Column and row (M, 2) that a crop of PLACES shows at pixels (M, 2); (M,) whether that is sharp.

    At its edges it shows means of what lies inwards.
    """
    height, width = crop.shape[:2]
    place = cv2.remap(crop.numpy().astype(np.float32), pixels.numpy()[:, None], None, cv2.INTER_LINEAR)
    inner = (pixels > 3) & (pixels < torch.tensor([width - 4, height - 4]))
    return place[:, 0, :2], inner.all(dim=1).numpy()


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("per_point", [False, True])
def test_three_points_of_a_moving_car(samples, merged, per_point):
    """The LiDAR was at x = 100 m and 2 m farther back before; the camera fired at x = 101 m, 0.5 m lower.

    The scan has a point 10 m before the camera and one 20 m, 2 m to the left and 1 m up. The earlier sweep
    has the first place again, at another x, and a point of the vehicle.
    """
    frame = Frame(
        scan=scan([[11, 0, -0.5], [21, 2, 0.5], [-11, 0, 0], [np.nan] * 3]),
        world_from_lidar=pose(100, 50, 2),
        sweeps=(scan([[0.9, -0.9, 0], [13, 0, -0.5]]),),
        sweeps_world_from_lidar=(pose(98, 50, 2),),
        images={"front": image()},
        world_from_camera={"front": pose(101, 50, 1.5, LOOKING_AHEAD)},
    )
    sample = samples(frame, pairing=replace(AS_IT_IS, merged=merged), per_point=per_point)[0, 0]
    assert sample.image_keys == ((0, "front"),)
    assert (sample.images[0].numpy() == PLACES).all()
    np.testing.assert_allclose(sample.pairs.pixel, [[120, 60], [110, 55], [120, 60]], atol=1e-4)
    assert sample.pairs.sweep.tolist() == [0, 0, 1]
    first, second, again = sample.pairs.cell.tolist()
    assert first == again != second
    assert {first, second} == {0, 1}
    # Voxels are in ascending order, and the point behind comes before the others; points keep theirs.
    rows = {
        (False, False): [1, 2, 3],
        (False, True): [0, 1, 3],
        (True, False): [1, 2, 1],
        (True, True): [0, 1, 3],
    }[merged, per_point]
    assert sample.pairs.row.tolist() == rows
    assert sample.rows == {(True, False): 3}.get((merged, per_point), 4)
    assert len(sample.clouds) == (1 if merged else 2)


def sweeps_of(frame):
    """Scan and pose of each sweep, the scan (N, 3) without the points of the vehicle."""
    scans = [s.xyz[~(np.abs(s.xyz[:, :2]) < 1).all(axis=1)] for s in (frame.scan, *frame.sweeps)]
    scans = [xyz.astype(np.float64) for xyz in scans]
    return zip(scans, (frame.world_from_lidar, *frame.sweeps_world_from_lidar), strict=True)


def turn_of(before, after):
    """The (3, 3) matrix that made points (N, 3) of others, checked to be a turn about z or a mirroring."""
    turn, *_ = np.linalg.lstsq(before, after, rcond=None)
    np.testing.assert_allclose(before @ turn, after, atol=1e-4)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-4)
    np.testing.assert_allclose(turn[2], [0, 0, 1], atol=1e-4)
    return turn


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans(), st.sampled_from([0, 9]))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pixel_shows_the_point_of_its_pair_after_crop_flip_and_rotation(
    samples, seed, merged, mirror, tries
):
    """Found from what the student sees: turn of each cloud, from all its points, undone, then projected."""
    frame = made_frame(seed)
    crop = replace(VARIED.crop, mirror=mirror, tries=tries)
    sample = samples(frame, pairing=replace(VARIED, merged=merged, crop=crop), seed=seed)[1, 0]
    pairs, sweeps = sample.pairs, list(sweeps_of(frame))
    if merged:
        stitched = [frame.world_from_lidar.inverse().apply(lidar.apply(xyz)) for xyz, lidar in sweeps]
        sweeps = [(np.concatenate(stitched), frame.world_from_lidar)]
    xyz_world = []
    for (xyz, lidar), voxels in zip(sweeps, sample.clouds, strict=True):
        seen = voxels.points.astype(np.float64) * STUDENT.voxel_m
        xyz_world.append(lidar.apply(seen @ turn_of(xyz, seen).T))
    xyz_world = np.concatenate(xyz_world)[pairs.row.numpy()]
    assert len(pairs) > 10
    assert (pairs.pixel > -0.5).all() and (pairs.pixel < torch.tensor([179.5, 99.5])).all()
    for number, (_, camera) in enumerate(sample.image_keys):
        own = (pairs.image == number).numpy()
        xyz_camera = frame.world_from_camera[camera].inverse().apply(xyz_world[own])
        expected = xyz_camera[:, :2] / xyz_camera[:, 2:] * 100 + [120, 60]
        place, inner = shown(sample.images[number], pairs.pixel[own])
        np.testing.assert_allclose(place[inner], expected[inner], atol=1.6)


def test_clouds_are_turned_and_mirrored_each_in_its_own_way(samples):
    frame, turns = made_frame(0), []
    for step in range(12):
        clouds = samples(frame)[step, 0].clouds
        for (xyz, _), voxels in zip(sweeps_of(frame), clouds, strict=True):
            turns.append(turn_of(xyz, voxels.points * STUDENT.voxel_m))
    assert len({round(np.degrees(np.arctan2(turn[0, 1], turn[0, 0]))) for turn in turns}) > 25
    assert 8 < sum(np.linalg.det(turn) < 0 for turn in turns) < 28


def test_merged_sweeps_have_the_same_pairs_in_one_cloud(samples):
    one, many = (samples(made_frame(1), pairing=replace(VARIED, merged=m))[2, 0] for m in (True, False))
    assert (len(one.clouds), len(many.clouds)) == (1, 3)
    for field in fields(one.pairs):
        assert torch.equal(getattr(one.pairs, field.name), getattr(many.pairs, field.name)), field.name
    assert torch.equal(one.images, many.images)


def patches_of(height, width, offset=0):
    """Patches of 4 pixels whose two features are the column and the row of their centres, plus an offset."""
    column, row = np.meshgrid(np.arange(width // 4) * 4 + 1.5, np.arange(height // 4) * 4 + 1.5)
    features = torch.from_numpy(np.stack([column, row])[None] + offset).float()
    return DensePatches(features=features, keys=None, patch_px=4, image_size=(height, width))


def test_with_cached_features_the_pairs_are_the_same_in_the_pixels_of_the_whole_image(samples, tmp_path):
    frame = made_frame(2)
    whole = patches_of(HEIGHT, WIDTH)
    fill_cache(tmp_path, [frame], lambda images: dict.fromkeys(images, whole), {})
    plain, cache = samples(frame)[0, 0], FeatureCache(tmp_path)
    batch = collate_pretraining([samples(frame, cache=cache)[0, 0]])
    assert batch.images is None
    assert batch.image_keys == plain.image_keys == ((0, "front"), (0, "left"))
    for name in ("row", "image", "sweep", "cell"):
        assert torch.equal(getattr(batch.pairs, name), getattr(plain.pairs, name)), name
    x = sample_teacher([cache.patches(*key) for key in batch.image_keys], batch, embedding_dim=2)
    for number, crop in enumerate(plain.images):
        own = plain.pairs.image == number
        place, inner = shown(crop, plain.pairs.pixel[own])
        np.testing.assert_allclose(place[inner], batch.pairs.pixel[own][inner], atol=1.6)
        np.testing.assert_allclose(x[own][inner], batch.pairs.pixel[own][inner], atol=0.5)


def test_an_image_without_cached_features_is_left_out(samples, tmp_path):
    frame = made_frame(2)
    fill_cache(tmp_path, [frame], lambda images: {"left": patches_of(HEIGHT, WIDTH)}, {})
    batch = collate_pretraining([samples(frame, cache=FeatureCache(tmp_path))[0, 0]])
    assert batch.image_keys == ((0, "left"),)
    assert (len(batch.image_pairs), batch.images_without_pairs) == (1, 1)
    assert len(batch.pairs) > 10


def test_a_cell_is_a_cube_of_the_place_in_the_frame_of_the_scan(samples):
    """However the clouds were turned: against cubes counted one by one."""
    frame = made_frame(3)
    pairing = replace(AS_IT_IS, sweeps=3, sweep_window=2, cell_voxels=4.0)
    plain, turned = (
        samples(frame, pairing=replace(pairing, rotate=rotate))[0, 0] for rotate in (False, True)
    )
    assert {*plain.pairs.sweep.tolist()} == {0, 1, 2}
    poses = (frame.world_from_lidar, *frame.sweeps_world_from_lidar)
    cubes = {}
    for xyz, sweep, cell in zip(
        points_of_pairs(plain).astype(np.float64), plain.pairs.sweep, plain.pairs.cell.tolist(), strict=True
    ):
        stitched = (poses[0].inverse() @ poses[sweep]).apply(xyz)
        if (np.abs(stitched / 2 - np.round(stitched / 2)) > 1e-4).all():
            cubes.setdefault(tuple(np.floor(stitched / 2)), set()).add(cell)
    assert all(len(cells) == 1 for cells in cubes.values())
    assert len(set.union(*cubes.values())) == len(cubes) < len(plain.pairs)
    np.testing.assert_array_equal(plain.pairs.cell, turned.pairs.cell)


def test_superpoints_are_those_of_all_points_with_pixels(samples):
    pairing = replace(AS_IT_IS, sweeps=1, superpoints=True)
    every, some = (
        samples(made_frame(3), pairing=replace(pairing, max_pairs=most))[0, 0] for most in (100_000, 40)
    )
    expected = superpoints(points_of_pairs(every).astype(np.float32))
    np.testing.assert_array_equal(every.pairs.superpoint, expected)
    of_pixel = dict(zip(map(tuple, every.pairs.pixel.tolist()), expected.tolist(), strict=True))
    assert [of_pixel[tuple(pixel)] for pixel in some.pairs.pixel.tolist()] == some.pairs.superpoint.tolist()
    batch = collate_pretraining([some, every])
    apart = [set(batch.pairs.superpoint[batch.pairs.frame == number].tolist()) for number in (0, 1)]
    assert apart[0].isdisjoint(apart[1]) and max(apart[1]) == batch.superpoints - 1
    without = collate_pretraining([samples(made_frame(3))[0, 0]] * 2)
    assert without.superpoints == 0 and set(without.pairs.superpoint.tolist()) == {-1}


@pytest.mark.parametrize("per_point", [False, True])
def test_points_beyond_the_students_range_are_not_paired(samples, per_point):
    near = replace(STUDENT, range_m=15.0)
    pairing = replace(AS_IT_IS, max_pairs=100_000)
    far_too, sample = (
        samples(made_frame(0), pairing=pairing, student=student, per_point=per_point)[0, 0]
        for student in (STUDENT, near)
    )
    assert 0 < len(sample.pairs) < 0.7 * len(far_too.pairs)
    assert (sample.pairs.row >= 0).all() and (sample.pairs.row < sample.rows).all()
    if per_point:
        assert (np.hypot(*points_of_pairs(sample)[:, :2].T) < 15).all()


def test_too_many_pairs_leave_whole_cells(samples):
    xyz = np.random.default_rng(0).uniform(0, 4, (1000, 3)).astype(np.float32)
    taken, cell = drawn_cells(xyz, 1.0, 300, np.random.default_rng(1))
    assert len(taken) == len(set(taken)) == len(cell) == 300
    assert (np.diff(taken) > 0).all()
    cubes = np.floor(xyz).astype(int) @ [16, 4, 1]
    assert set(cell) == set(range(cell.max() + 1))
    pairs = set(zip(cell.tolist(), cubes[taken].tolist(), strict=True))
    assert len(pairs) == len({c for c, _ in pairs}) == len({c for _, c in pairs})
    cut = [cube for _, cube in pairs if (cubes == cube).sum() > (cubes[taken] == cube).sum()]
    assert len(cut) <= 1
    sample = samples(made_frame(0), pairing=replace(VARIED, max_pairs=7))[0, 0]
    assert len(sample.pairs) == 7
    assert set(sample.pairs.cell.tolist()) == set(range(sample.cells))


def test_a_crop_keeps_many_pairs_or_most_of_them_or_is_the_whole_image():
    rng = np.random.default_rng(0)
    corner = rng.uniform([0, 0], [40, 30], (50, 2))
    few = CropConfig(height=10, width=20, pairs=1024, share=0.75, tries=3)
    crops = [drawn_crop((HEIGHT, WIDTH), corner, few, rng) for _ in range(100)]
    whole = [crop.size == (HEIGHT, WIDTH) for crop in crops]
    assert 5 < sum(whole) < 95
    assert all(w or crop.holds(corner).sum() > 37.5 for w, crop in zip(whole, crops, strict=True))
    assert 30 < sum(crop.mirrored for crop in crops) < 70
    everywhere = rng.uniform([0, 0], [WIDTH, HEIGHT], (8000, 2))
    crops = [drawn_crop((HEIGHT, WIDTH), everywhere, replace(few, tries=1), rng) for _ in range(50)]
    assert all(crop.size != (HEIGHT, WIDTH) and crop.holds(everywhere).sum() > 1024 for crop in crops)


def test_earlier_sweeps_are_drawn_from_the_window_newest_first():
    """Each sweep has its own number of points, and is where that many metres tell."""
    sweeps = tuple(scan(np.zeros((number, 3))) for number in range(8))
    poses = tuple(pose(number, 0, 0) for number in range(8))
    frame = replace(made_frame(0), sweeps=sweeps, sweeps_world_from_lidar=poses)
    rng, drawn = np.random.default_rng(0), set()
    for _ in range(100):
        taken = with_drawn_sweeps(frame, 2, 5, rng)
        drawn.add(tuple(len(s.xyz) for s in taken.sweeps))
        assert [p.translation[0] for p in taken.sweeps_world_from_lidar] == [len(s.xyz) for s in taken.sweeps]
    assert drawn == {(a, b) for a in range(5) for b in range(5) if a < b}


def test_the_first_frames_of_a_drive_have_fewer_sweeps(samples):
    sample = samples(made_frame(0, earlier=1))[0, 0]
    assert len(sample.clouds) == 2
    assert set(sample.pairs.sweep.tolist()) == {0, 1}


def test_the_same_item_is_always_the_same_also_in_another_process(samples):
    frames = [made_frame(seed) for seed in range(3)]
    order = StepSampler(3, batch=2, first_step=5, steps=8, seed=0)
    here = [collate_pretraining([samples(*frames)[key] for key in keys]) for keys in order]
    loader = DataLoader(samples(*frames), batch_sampler=order, num_workers=1, collate_fn=collate_pretraining)
    for one, other in zip(here, loader, strict=True):
        assert one.image_keys == other.image_keys
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.voxels.features, other.voxels.features)
        assert torch.equal(one.voxels.points.coordinates, other.voxels.points.coordinates)
        for field in fields(one.pairs):
            assert torch.equal(getattr(one.pairs, field.name), getattr(other.pairs, field.name))
    again, step, seed = samples(*frames)[0, 1], samples(*frames)[1, 1], samples(*frames, seed=5)[0, 1]
    assert not torch.equal(again.images, step.images)
    assert not torch.equal(again.images, seed.images)


@pytest.mark.parametrize("per_point", [False, True])
def test_a_batch_keeps_rows_images_and_cells_of_its_frames_apart(samples, per_point):
    frames = [
        made_frame(5),
        replace(made_frame(6), images={}),
        DataError("bad.png is no image"),
        made_frame(7),
    ]
    made = samples(*frames, per_point=per_point)
    items = [made[0, index] for index in range(4)]
    batch = collate_pretraining(items)
    rows = batch.voxels.points.coordinates[:, 1:] if per_point else batch.voxels.features
    assert len(rows) == sum(item.rows for item in items)
    assert batch.cells == items[0].cells + items[3].cells
    assert batch.image_keys == ((0, "front"), (0, "left"), (3, "front"), (3, "left"))
    assert batch.image_pairs == tuple(torch.bincount(batch.pairs.image).tolist())
    assert (batch.pairs.image.diff() >= 0).all()
    for number, item in enumerate(items):
        own = batch.pairs.frame == number
        clouds = [voxels.points if per_point else voxels.features for voxels in item.clouds]
        np.testing.assert_array_equal(
            rows[batch.pairs.row[own]], np.concatenate(clouds)[item.pairs.row.numpy()]
        )
        np.testing.assert_array_equal(batch.pairs.pixel[own], item.pairs.pixel)
        keys = [batch.image_keys[i] for i in batch.pairs.image[own]]
        assert keys == [item.image_keys[i] for i in item.pairs.image]
        for image_index in batch.pairs.image[own].unique():
            assert any(torch.equal(batch.images[image_index], one) for one in item.images)
    apart = [set(batch.pairs.cell[batch.pairs.frame == number].tolist()) for number in (0, 3)]
    assert apart[0].isdisjoint(apart[1])
    assert set.union(*apart) == set(range(batch.cells))
    assert batch.unreadable == ("frame 2: bad.png is no image",)
    assert (batch.frames_without_pairs, batch.images_without_pairs) == (1, 0)


@pytest.mark.parametrize("column", ["intensity", "colour"])
def test_a_student_that_reads_more_bears_a_frame_that_cannot_be_read(samples, column):
    student = replace(STUDENT, **{column: True})
    sample = samples(DataError("cut off"), student=student, per_point=False)[0, 0]
    assert (sample.rows, sample.unreadable) == (0, "frame 0: cut off")


def behind(frame):
    """The frame with all its points behind its only camera."""
    shy = scan(np.random.default_rng(0).uniform([-30, -9, -2], [-2, 9, 4], (50, 3)))
    return replace(
        frame,
        scan=shy,
        sweeps=(shy,),
        sweeps_world_from_lidar=(frame.world_from_lidar,),
        images={"front": image()},
        world_from_camera={"front": frame.world_from_lidar @ pose(0, 0, 0, LOOKING_AHEAD)},
    )


@pytest.mark.parametrize("architecture", ["minkunet", "spvcnn"])
@pytest.mark.parametrize(
    ("change", "counted"),
    [
        (behind, (1, 1, 0)),
        (lambda frame: replace(frame, images={}, world_from_camera={}), (1, 0, 0)),
        (lambda frame: replace(frame, scan=scan(np.full((9, 3), np.nan)), sweeps=()), (1, 2, 0)),
        (lambda frame: replace(frame, scan=scan([]), sweeps=()), (1, 2, 0)),
        (lambda frame: replace(frame, scan=scan([[np.inf, 0, 0], [3, -np.inf, 1]]), sweeps=()), (1, 2, 0)),
        (lambda frame: CalibrationError("no transform from lidar to front"), (0, 0, 1)),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_frames_without_pairs_are_counted_and_the_student_bears_them(samples, architecture, change, counted):
    student = replace(STUDENT, architecture=architecture, variant=14, width=0.05, embedding_dim=8)
    network = build_student(student, engine="torch").eval()
    made = samples(change(made_frame(8)), student=student, per_point=network.per_point)
    batch = collate_pretraining([made[0, 0]]).to("cpu")
    assert (batch.frames_without_pairs, batch.images_without_pairs, len(batch.unreadable)) == counted
    assert (len(batch.pairs), batch.cells, batch.image_pairs, len(batch.images)) == (0, 0, (), 0)
    answer = network(batch.voxels).temporal[batch.pairs.row]
    assert answer.shape == sample_teacher([], batch, embedding_dim=8).shape == (0, 8)


def test_the_teacher_is_read_in_the_image_of_each_pair(samples):
    """Several images at a time, as the teacher gives them, or one by one and of several sizes, as a cache."""
    batch = collate_pretraining([samples(made_frame(seed))[0, 0] for seed in (0, 1)])
    images = len(batch.image_keys)
    one_by_one = [patches_of(100, 180, 1000 * number) for number in range(images)]
    at_once = replace(one_by_one[0], features=torch.cat([p.features for p in one_by_one]))
    x = sample_teacher([at_once], batch, embedding_dim=2)
    inner = ((batch.pairs.pixel > 2) & (batch.pairs.pixel < torch.tensor([177, 97]))).all(1)
    expected = batch.pairs.pixel + 1000 * batch.pairs.image[:, None]
    assert inner.sum() > 0.8 * len(inner)
    np.testing.assert_allclose(x[inner], expected[inner], atol=1e-2)
    taller = [*one_by_one[:-1], patches_of(104, 180, 1000 * (images - 1))]
    np.testing.assert_allclose(
        sample_teacher(taller, batch, embedding_dim=2)[inner], expected[inner], atol=1e-2
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_batch_on_a_gpu_is_the_batch(samples):
    batch = collate_pretraining([samples(made_frame(seed))[0, 0] for seed in (0, 1)])
    moved = batch.to("cuda")
    for field in fields(batch.pairs):
        assert getattr(moved.pairs, field.name).is_cuda
        assert torch.equal(getattr(moved.pairs, field.name).cpu(), getattr(batch.pairs, field.name))
    assert moved.voxels.features.is_cuda and moved.images.is_cuda
    assert moved.image_pairs == batch.image_pairs


def test_sources_and_settings_that_cannot_teach(samples, frame_list):
    with pytest.raises(DataError, match="no frames to learn from"):
        samples()
    with pytest.raises(DataError, match="no cameras to learn from"):
        PretrainingSamples(frame_list([made_frame(0)], None), STUDENT, VARIED, 0, per_point=True)
    with pytest.raises(ConfigError, match="'sweep_window' must be at least sweeps - 1 = 2, got 1"):
        samples(made_frame(0), pairing=replace(VARIED, sweep_window=1))
    with pytest.raises(DataError, match="frame 0 has no intensity"):
        samples(made_frame(0), student=replace(STUDENT, intensity=True))[0, 0]


def test_real_keyframes_of_nuscenes_have_pairs_in_all_six_images(real_recordings):
    source = NuscenesSource(real_recordings / "nuscenes_keyframe")
    pairing = PairingConfig(max_pairs=100_000)
    sample = PretrainingSamples(source, StudentConfig(), pairing, 0, per_point=False)[0, 0]
    assert len(sample.image_keys) == 6 and sample.images.shape == (6, 224, 416, 3)
    per_image = torch.bincount(sample.pairs.image)
    assert (per_image > 600).all() and (per_image < 5000).all()
    assert 0.2 < len(sample.pairs) / len(source[0].scan.xyz) < 0.8
    assert 1.0 < len(sample.pairs) / sample.cells < 2.0


def test_real_sweeps_of_kitti_meet_in_the_cells_of_the_grid(real_recordings):
    """A tenth of a second apart, in slow traffic."""
    source = KittiRawSource(real_recordings / "kitti_raw", sweeps=2, ego_motion="none")
    pairing = PairingConfig(sweep_window=2)
    sample = PretrainingSamples(source, StudentConfig(), pairing, 0, per_point=True)[0, 15]
    assert len(sample.pairs) == 10_000
    assert (torch.bincount(sample.pairs.sweep) > 2500).all()
    together = np.zeros((sample.cells, 3), bool)
    together[sample.pairs.cell, sample.pairs.sweep] = True
    assert 0.2 < (together.sum(axis=1) > 1).mean() < 0.6
