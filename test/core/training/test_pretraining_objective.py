"""The losses of a batch, with a student that says what the test wants to hear."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from clip2scene_core.config import ObjectiveConfig, PairingConfig, SelfTrainingConfig, StudentConfig
from clip2scene_core.losses import agreed_labels, pooled, semantic_consistency
from clip2scene_core.training.clock import TrainingClock
from clip2scene_core.training.objective import Objective
from clip2scene_core.training.pretraining_batch import collate_pretraining
from clip2scene_core.training.pretraining_samples import PretrainingSamples

STUDENT = StudentConfig(voxel_m=0.5, range_m=50.0)
SWITCHED = SelfTrainingConfig(start=0.6, probability=1.0)
CLOCK = TrainingClock(torch.device("cpu"))
RED, PINK, GREEN, BLUE = range(4)


@pytest.fixture
def batch(drive):
    samples = PretrainingSamples(
        drive(2), STUDENT, PairingConfig(sweeps=2, sweep_window=1), 0, per_point=False
    )
    return collate_pretraining([samples[0, 0], samples[0, 1]])


class Told:
    """A learner whose two heads give what they were told, and an average that gives something else."""

    pixel_layer = None

    def __init__(self, rows, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.semantic, self.temporal = (
            normalize(torch.randn(rows, 16, generator=generator), dim=1).requires_grad_() for _ in range(2)
        )

    def __call__(self, features, grid, points, row, pixels=None):
        return self.semantic[row], self.temporal[row], pixels


def losses(config, teacher, learner, batch, done=0.0):
    objective = Objective(config=config, teacher=teacher, cache=None, per_point=False, clock=CLOCK)
    return objective.losses(learner, None, batch, None, done=done)


def test_the_label_of_a_pixel_is_the_word_for_its_colour(batch, colours):
    """Red below the horizon, which the camera of the test has in its middle row, and green above it."""
    _, count = losses(ObjectiveConfig(), colours, Told(len(batch.voxels.grid)), batch)
    objective = Objective(config=ObjectiveConfig(), teacher=colours, cache=None, per_point=False, clock=CLOCK)
    x, label = objective.pixel_text(objective.ask_teacher(batch), batch)
    height_m = (batch.voxels.coordinates[batch.pairs.row, 3] + 0.5) * STUDENT.voxel_m
    assert torch.equal(label, torch.where(height_m > -0.5, GREEN, RED))
    assert count.tolist() == [int((label == RED).sum()), int((label == GREEN).sum()), 0]
    torch.testing.assert_close(x.norm(dim=1), torch.ones(len(x)))


def test_both_heads_learn_each_from_its_own_loss(batch, colours):
    learner = Told(len(batch.voxels.grid))
    terms, _ = losses(ObjectiveConfig(), colours, learner, batch)
    semantic = torch.autograd.grad(terms["semantic"], [learner.semantic, learner.temporal], allow_unused=True)
    temporal = torch.autograd.grad(
        terms["spatial_temporal"], [learner.semantic, learner.temporal], allow_unused=True
    )
    paired = torch.zeros(len(learner.semantic), dtype=torch.bool).index_fill(0, batch.pairs.row, True)
    assert torch.equal(semantic[0].abs().sum(dim=1) > 0, paired) and semantic[1] is None
    assert temporal[1].abs().sum() > 0 and temporal[0] is None


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["semantic", "spatial_temporal"]),
        ({"semantic_loss": "kl"}, ["semantic", "spatial_temporal"]),
        ({"semantic_weight": 0.0}, ["spatial_temporal"]),
        ({"spatial_temporal_weight": 0.0}, ["semantic"]),
    ],
)
def test_losses_that_are_left_out(options, names, batch, colours):
    config = ObjectiveConfig(**options)
    terms, _ = losses(config, colours, Told(len(batch.voxels.grid)), batch)
    assert list(terms) == names
    assert (
        list(Objective(config=config, teacher=colours, cache=None, per_point=False, clock=CLOCK).weights)
        == names
    )


def expected_semantic(learner, batch, teacher, rows, label):
    text = teacher.text
    return semantic_consistency(learner.semantic[rows], text.embeddings, label, text.phrase_class, 3, tau=0.5)


@pytest.mark.parametrize("done", [0.59, 0.6])
def test_the_student_labels_itself_from_its_share_of_the_run_on(done, batch, colours):
    learner = Told(len(batch.voxels.grid))
    terms, _ = losses(ObjectiveConfig(self_training=SWITCHED), colours, learner, batch, done)
    rows = batch.pairs.row
    own = (learner.semantic[rows] @ colours.text.embeddings.T).argmax(dim=1)
    height_m = (batch.voxels.coordinates[rows, 3] + 0.5) * STUDENT.voxel_m
    label = torch.where(height_m > -0.5, GREEN, RED) if done < 0.6 else own
    torch.testing.assert_close(terms["semantic"], expected_semantic(learner, batch, colours, rows, label))


def test_points_that_no_camera_sees_may_label_themselves(batch, colours):
    learner = Told(len(batch.voxels.grid))
    switching = replace(SWITCHED, unpaired=True)
    terms, _ = losses(ObjectiveConfig(self_training=switching), colours, learner, batch, done=0.6)
    unseen = sorted(set(range(len(learner.semantic))) - set(batch.pairs.row.tolist()))
    assert unseen
    rows = torch.cat([batch.pairs.row, torch.tensor(unseen)])
    own = (learner.semantic[rows] @ colours.text.embeddings.T).argmax(dim=1)
    torch.testing.assert_close(terms["semantic"], expected_semantic(learner, batch, colours, rows, own))


def test_a_label_needs_the_agreement_of_its_cell():
    """Cells: two of three say road, in two phrases; one says each; one is alone with one without a label."""
    phrase = torch.tensor([RED, PINK, GREEN, RED, GREEN, BLUE, -1])
    cell = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    phrase_class = torch.tensor([0, 0, 1, 2])

    def agreed(least):
        return agreed_labels(phrase, cell, 3, phrase_class, 3, least=least).tolist()

    assert agreed(0.0) == phrase.tolist()
    assert agreed(0.6) == [RED, PINK, -1, -1, -1, BLUE, -1]
    assert agreed(0.5) == [RED, PINK, -1, RED, GREEN, BLUE, -1]
    assert agreed(1.0) == [-1, -1, -1, -1, -1, BLUE, -1]


def test_values_are_pooled_over_superpoints():
    values = torch.tensor([[0.5, 0.25], [0.0, 1.0], [0.25, 0.25]])
    expected = [[0.75, 0.5], [0.0, 1.0], [0.75, 0.5]]
    assert pooled(values, torch.tensor([2, 0, 2]), 3).tolist() == expected


def test_a_superpoint_has_one_label_that_of_most_of_its_pixels(batch, colours):
    objective = Objective(config=ObjectiveConfig(), teacher=colours, cache=None, per_point=False, clock=CLOCK)
    _, alone = objective.pixel_text(objective.ask_teacher(batch), batch)
    threes = torch.arange(len(batch.pairs)) // 3
    together = replace(
        batch, pairs=replace(batch.pairs, superpoint=threes), superpoints=int(threes.max()) + 1
    )
    _, label = objective.pixel_text(objective.ask_teacher(together), together)
    whole = len(label) // 3 * 3
    expected = alone[:whole].view(-1, 3).median(dim=1).values.repeat_interleave(3)
    assert torch.equal(label[:whole], expected) and not torch.equal(label, alone)
