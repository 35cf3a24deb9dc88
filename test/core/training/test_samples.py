"""Which scans a step takes, and what becomes of them on the way to the student."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from clip2scene_core.config import AugmentConfig, StudentConfig, TrainingConfig
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.labels import LabelSet
from clip2scene_core.training.samples import (
    StepSampler,
    TrainingSamples,
    class_weights,
    collate_samples,
    load_batches,
)

STREET = LabelSet.named("street")
AS_IT_IS = AugmentConfig(rotate=False, scale=0, tilt_deg=0, wave_m=0, crown_m=0, jitter_m=0, drop=0)
STUDENT = StudentConfig(voxel_m=0.5, range_m=50.0)


def keys(frames, batch, steps, first_step=0, seed=0):
    return list(StepSampler(frames, batch=batch, first_step=first_step, steps=steps, seed=seed))


@pytest.mark.parametrize(
    ("frames", "batch", "steps"), [(7, 2, 21), (5, 5, 4), (3, 8, 9), (1, 4, 3), (10, 1, 30)]
)
def test_every_frame_comes_once_an_epoch(frames, batch, steps):
    taken = keys(frames, batch, steps)
    assert [len(step) for step in taken] == [batch] * steps
    assert all(step == number for number, group in enumerate(taken) for step, _ in group)
    order = [frame for group in taken for _, frame in group]
    for start in range(0, len(order) - frames + 1, frames):
        assert sorted(order[start : start + frames]) == list(range(frames))


def test_epochs_have_different_orders_and_seeds_too():
    order = [frame for group in keys(20, 20, 3) for _, frame in group]
    assert order[:20] != order[20:40] != order[40:]
    assert keys(20, 20, 3, seed=1) != keys(20, 20, 3)


@pytest.mark.parametrize("first_step", [0, 1, 3, 10, 21])
def test_a_resumed_run_takes_the_steps_that_are_left(first_step):
    assert keys(7, 2, 21, first_step) == keys(7, 2, 21)[first_step:]
    assert len(StepSampler(7, batch=2, first_step=first_step, steps=21, seed=0)) == 21 - first_step


def samples(source, vary=AS_IT_IS, per_point=False, **student):
    return TrainingSamples(source, STREET, replace(STUDENT, **student), vary, seed=4, per_point=per_point)


def test_the_class_of_a_voxel_is_that_of_its_points(streets):
    """Against a vote counted voxel by voxel, with the classes named (road, building and car
    are called so in both sets) instead of numbered."""
    source = streets(1)
    voxels, target = samples(source)[0, 0]
    frame = source[0]
    kitti_name = {c.id: c.name for c in source.label_set.classes}
    votes: dict[tuple, Counter] = {}
    for point, raw in zip(frame.scan.xyz.tolist(), frame.labels.class_id.tolist(), strict=True):
        if not np.isnan(point).any():
            vote = votes.setdefault(tuple(int(np.floor(v / 0.5)) for v in point), Counter())
            vote.update([kitti_name[raw]] if raw in kitti_name else [])
    assert {tuple(c) for c in voxels.coordinates.tolist()} == set(votes)
    undecided = 0
    for cell, c in zip(voxels.coordinates.tolist(), target.tolist(), strict=True):
        vote = votes[tuple(cell)].most_common()
        if not vote:
            assert c == -1
        elif len(vote) > 1 and vote[0][1] == vote[1][1]:
            undecided += 1
        else:
            assert STREET.classes[c].name == vote[0][0]
    assert undecided < 5
    assert (target == -1).any()


def test_points_have_their_own_class(streets):
    """Those that are in a voxel, found again by their place."""
    source = streets(1)
    voxels, target = samples(source, per_point=True, range_m=8.0)[0, 0]
    frame = source[0]
    near = np.hypot(*frame.scan.xyz[:, :2].T) < 8.0  # NaN is not near
    np.testing.assert_allclose(voxels.points * 0.5, frame.scan.xyz[near], atol=1e-6)
    kitti_name = {c.id: c.name for c in source.label_set.classes}
    names = [kitti_name.get(raw) for raw in frame.labels.class_id[near].tolist()]
    assert [STREET.classes[c].name if c >= 0 else None for c in target.tolist()] == names
    assert {None, "road", "building", "car"} == set(names)


def test_the_same_item_is_always_the_same_and_others_differ(streets):
    source = streets(2)
    made = samples(source, AugmentConfig())
    (one, target), (again, same_target) = made[3, 1], samples(source, AugmentConfig())[3, 1]
    np.testing.assert_array_equal(one.coordinates, again.coordinates)
    np.testing.assert_array_equal(one.features, again.features)
    np.testing.assert_array_equal(target, same_target)
    other_step, _ = made[4, 1]
    assert len(other_step.coordinates) != len(one.coordinates) or (other_step.features != one.features).any()


def test_frames_without_labels_teach_nothing(streets):
    source = streets(1)
    source.frames[0] = replace(source.frames[0], labels=None)
    voxels, target = samples(source)[0, 0]
    assert len(voxels.coordinates) > 100
    assert (target == -1).all()


def test_sources_that_cannot_teach(streets):
    with pytest.raises(DataError, match="no frames"):
        samples(streets(0))
    source = streets(1)
    source.label_set = None
    with pytest.raises(DataError, match="no labels"):
        samples(source)
    source.label_set = LabelSet.named("scannet")
    with pytest.raises(ConfigError, match="label set street has no map from scannet"):
        samples(source)[0, 0]


def test_intensity_goes_along_with_its_points(streets):
    source = streets(1)
    frame = source.frames[0]
    x = frame.scan.xyz[:, 0]
    source.frames[0] = replace(frame, scan=replace(frame.scan, intensity=x))
    voxels, _ = samples(source, replace(AS_IT_IS, drop=0.5), intensity=True)[1, 0]
    middle_x = (voxels.coordinates[:, 0] + 0.5 + voxels.features[:, 1]) * 0.5
    np.testing.assert_allclose(voxels.features[:, -1], middle_x, atol=1e-4)


def test_colours_go_along_with_their_points(streets):
    source = streets(1)
    frame = source.frames[0]
    below = np.floor(frame.scan.xyz / 0.5) % 2 == 0  # The same for all points of a voxel.
    source.frames[0] = replace(frame, scan=replace(frame.scan, rgb=255 * below.astype(np.uint8)))
    voxels, _ = samples(source, replace(AS_IT_IS, drop=0.5), colour=True)[1, 0]
    np.testing.assert_allclose(
        voxels.features[:, -3:], np.where(voxels.coordinates % 2 == 0, 1, -1), atol=1e-6
    )


def test_inputs_that_the_recording_does_not_have(streets):
    with pytest.raises(DataError, match="frame 0 has no intensity"):
        samples(streets(1), intensity=True)[0, 0]
    with pytest.raises(DataError, match="frame 0 has no colours"):
        samples(streets(1), colour=True)[0, 0]


def test_a_batch_keeps_points_and_classes_together(streets):
    made = samples(streets(3), per_point=True)
    items = [made[0, index] for index in range(3)]
    voxels, target = collate_samples(items)
    assert len(voxels.points) == len(target)
    for scan, (one, classes) in enumerate(items):
        rows = voxels.points.batch == scan
        np.testing.assert_array_equal(voxels.points.coordinates[rows, 1:], one.points)
        np.testing.assert_array_equal(target[rows], classes)


def test_a_batch_keeps_voxels_and_classes_together(streets):
    made = samples(streets(3))
    items = [made[0, index] for index in range(3)]
    voxels, target = collate_samples(items)
    assert len(voxels.features) == len(target) == sum(len(t) for _, t in items)
    for scan, (one, classes) in enumerate(items):
        rows = voxels.coordinates[:, 0] == scan
        np.testing.assert_array_equal(voxels.features[rows], one.features)
        np.testing.assert_array_equal(target[rows], classes)


def test_rare_classes_weigh_more(frame_list, make_frame):
    """90 points of road, 10 of car: with exponent 1/2 a car weighs three times a road."""
    ids = [STREET.id_of("road")] * 90 + [STREET.id_of("car")] * 10 + [STREET.ignore_id] * 50
    source = frame_list([make_frame(np.zeros((150, 3)), ids)], STREET)
    weights = dict(zip(STREET.names, class_weights(source, STREET, 0.5).tolist(), strict=True))
    assert weights["car"] / weights["road"] == pytest.approx(3.0, rel=1e-5)
    assert weights["person"] / weights["road"] == pytest.approx((0.9 / 1e-4) ** 0.5, rel=1e-5)
    assert sum(weights.values()) / len(weights) == pytest.approx(1.0)
    np.testing.assert_allclose(class_weights(source, STREET, 0.0), 1.0)


@pytest.mark.parametrize("loaders", [0, 1])
def test_a_frame_that_cannot_be_read_is_told_in_one_line_whichever_process_reads_it(streets, loaders):
    class Torn(type(streets(1))):
        def __getitem__(self, index):
            raise DataError("scan 3 is truncated")

    source = streets(1)
    source.__class__ = Torn
    settings = TrainingConfig(batch=1, steps=2, loaders=loaders)
    with pytest.raises(DataError) as error:
        next(load_batches(samples(source), collate_samples, settings, steps_done=0))
    assert str(error.value) == "scan 3 is truncated"
