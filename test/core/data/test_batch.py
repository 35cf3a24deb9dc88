"""Scans side by side in a batch, and the class of a voxel."""

from __future__ import annotations

import numpy as np

from clip2scene_core.data.batch import collate, voxel_classes
from clip2scene_core.voxels import Voxels, voxelise


def voxels_of(voxel_of_point, count):
    return Voxels(
        coordinates=np.zeros((count, 3), np.int32),
        voxel_of_point=np.array(voxel_of_point, np.int64),
        features=np.zeros((count, 5), np.float32),
        points=np.zeros((0, 3), np.float32),
    )


def test_the_majority_names_the_voxel():
    voxels = voxels_of([0, 0, 0, 1, 1, 1, 2, 2, 3, -1, -1], 5)
    classes = np.array([2, 1, 2, -1, 0, -1, -1, -1, 1, 1, -1])
    # 2 beats 1; a single vote beats two points without a class; no vote; one vote; a voxel without points
    assert voxel_classes(voxels, classes, 3).tolist() == [2, 0, -1, 1, -1]


def test_points_in_no_voxel_have_no_vote():
    assert voxel_classes(voxels_of([-1, -1, 0], 1), np.array([1, 1, 0]), 2).tolist() == [0]


def test_no_points():
    assert voxel_classes(voxels_of([], 0), np.zeros(0, np.int64), 3).tolist() == []


def test_scans_keep_their_order_and_their_number():
    rng = np.random.default_rng(0)
    scans = [rng.uniform(-5, 5, (rows, 3)).astype(np.float32) for rows in (40, 0, 30)]
    voxels = [voxelise(xyz, size_m=1.0, range_m=50.0) for xyz in scans]
    batch = collate(voxels)
    for number, one in enumerate(voxels):
        rows = batch.coordinates[:, 0].numpy() == number
        np.testing.assert_array_equal(batch.coordinates[rows, 1:], one.coordinates)
        np.testing.assert_array_equal(batch.features[rows], one.features)
        points = batch.points.batch.numpy() == number
        np.testing.assert_array_equal(batch.points.coordinates[points, 1:], one.points)
        np.testing.assert_array_equal(batch.points.row[points] - rows.argmax(), one.voxel_of_point)
    assert batch.coordinates[:, 0].unique().tolist() == [0, 2]
    assert (batch.coordinates[:, 0].diff() >= 0).all()
