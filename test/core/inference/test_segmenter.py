"""The segmenter with a random student, and with students whose answer is known beforehand."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.build import restore_student
from clip2scene_core.config import InferenceConfig
from clip2scene_core.data.batch import collate
from clip2scene_core.errors import CheckpointError, ConfigError
from clip2scene_core.geometry import SE3
from clip2scene_core.inference import SemanticSegmenter, StageTimer, segmenter
from clip2scene_core.labels import LabelSet
from clip2scene_core.student import MinkUNet, use_scan_statistics
from clip2scene_core.types import LidarScan
from clip2scene_core.voxels import voxelise

STREET = LabelSet.named("street")


def street(seed=0, rows=400):
    """Points of a street: half of them ground, half of them in the air."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-12, 12, (rows, 3)) * (1, 1, 0.25)
    xyz[::2, 2] = -1.7
    return xyz.astype(np.float32)


def segment_with(checkpoint, frame, **settings):
    return SemanticSegmenter(checkpoint, InferenceConfig(device="cpu", engine="torch", **settings)).segment(
        frame
    )


@pytest.fixture(params=["tiny_checkpoint", "tiny_point_checkpoint"])
def checkpoint(request):
    """One with a student that answers for voxels, and one with a student that answers for points."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def segment(checkpoint):
    """Labels of a frame by a tiny student on the CPU."""
    return lambda frame, **settings: segment_with(checkpoint, frame, **settings)


@pytest.fixture
def network_runs(monkeypatch):
    """A list that grows by the number of voxels whenever a student is run."""
    runs, forward = [], MinkUNet.forward

    def counted(self, voxels, **settings):
        runs.append(len(voxels.features))
        return forward(self, voxels, **settings)

    monkeypatch.setattr(MinkUNet, "forward", counted)
    return runs


def always(checkpoint, phrase):
    """The checkpoint with a student that answers with the text embedding of one phrase, whatever it sees."""
    weights = dict(checkpoint.weights)
    weights["heads.semantic.weight"] = torch.zeros_like(weights["heads.semantic.weight"])
    weights["heads.semantic.bias"] = 3.0 * checkpoint.text_embeddings[phrase]
    return replace(checkpoint, weights=weights)


def test_the_answer_is_the_class_of_the_phrase_and_its_softmax(tiny_checkpoint, make_frame):
    """By hand: cosines of the phrases with phrase 17, the best of each class, over the temperature."""
    labels = segment_with(always(tiny_checkpoint, 17), make_frame(street()))
    text = tiny_checkpoint.text_embeddings.numpy().astype(np.float64)
    cosine = text @ text[17]
    best = np.array([max(cosine[c], cosine[c + 11]) for c in range(11)]) / tiny_checkpoint.student.temperature
    probability = np.exp(best[17 - 11]) / np.exp(best).sum()
    assert set(labels.class_id) == {STREET.classes[17 - 11].id}
    np.testing.assert_allclose(labels.probability, probability, rtol=1e-4)


def test_there_is_an_answer_for_every_row(segment, make_frame):
    labels = segment(make_frame(street()))
    assert labels.class_id.shape == labels.probability.shape == (400,)
    assert (labels.class_id.dtype, labels.probability.dtype) == (np.uint16, np.float32)
    assert set(labels.class_id) <= set(STREET.ids)
    assert len(set(labels.class_id)) >= 3, "a random student that says only one thing tests nothing"
    assert (labels.probability > 0).all()
    assert (labels.probability <= 1).all()


def test_rows_are_identity(segment, make_frame):
    xyz, order = street(), np.random.default_rng(1).permutation(400)
    labels, shuffled = segment(make_frame(xyz)), segment(make_frame(xyz[order]))
    np.testing.assert_array_equal(shuffled.class_id, labels.class_id[order])
    np.testing.assert_allclose(shuffled.probability, labels.probability[order], atol=1e-5)


def test_with_three_views_a_third_of_a_turn_changes_nothing(segment, make_frame):
    """The views of the turned scan are those of the scan; points that share no voxel are answered alike."""
    xyz = street()
    third = SE3.from_yaw(2 * np.pi / 3, np.zeros(3))
    turned = [xyz, third.apply(xyz), third.inverse().apply(xyz)]
    alone = np.ones(len(xyz), bool)
    for cloud in turned:
        _, voxel, count = np.unique(np.floor(cloud / 0.5), axis=0, return_inverse=True, return_counts=True)
        alone &= count[voxel.reshape(-1)] == 1
    one, three = ([segment(make_frame(cloud), views=views) for cloud in turned] for views in (1, 3))
    np.testing.assert_allclose(three[1].probability[alone], three[0].probability[alone], atol=1e-3)
    np.testing.assert_array_equal(three[2].class_id[alone], three[0].class_id[alone])
    assert alone.sum() > 100
    assert (one[1].class_id[alone] != one[0].class_id[alone]).any(), "else the test could not fail"


def test_rows_without_a_voxel_are_ignored_and_change_nothing(segment, make_frame):
    xyz = street()
    places = [0, 7, 7, 200, 400]
    dirt = [[np.nan] * 3, [0, 0, np.inf], [1, np.nan, 0], [500, 0, 0], [0, 0, 1e9]]
    clean, dirty = segment(make_frame(xyz)), segment(make_frame(np.insert(xyz, places, dirt, axis=0)))
    np.testing.assert_array_equal(dirty.class_id, np.insert(clean.class_id, places, STREET.ignore_id))
    np.testing.assert_allclose(dirty.probability, np.insert(clean.probability, places, 0.0), atol=1e-6)


@pytest.mark.parametrize("xyz", [np.zeros((0, 3)), np.full((6, 3), np.nan), np.full((3, 3), 1e4)])
@pytest.mark.parametrize("sweeps", [0, 2])
def test_clouds_without_a_usable_point(xyz, sweeps, segment, make_frame):
    earlier = LidarScan(xyz=street(), stamp_ns=-1, frame_id="lidar")
    frame = make_frame(xyz, sweeps=(earlier,), sweeps_world_from_lidar=(SE3.identity(),))
    labels = segment(frame, sweeps=sweeps)
    assert labels.class_id.tolist() == [STREET.ignore_id] * len(xyz)
    assert labels.probability.tolist() == [0.0] * len(xyz)
    assert labels.class_id.dtype == np.uint16


def test_one_point(segment, make_frame):
    labels = segment(make_frame([[3.0, 1.0, -1.5]]))
    assert labels.class_id.shape == (1,)
    assert labels.class_id[0] in STREET.ids
    assert 0 < labels.probability[0] <= 1


def test_the_scan_itself_is_left_alone(segment, make_frame):
    xyz = street()
    segment(make_frame(xyz), sweeps=2)
    np.testing.assert_array_equal(xyz, street())


def test_stages_are_timed(tiny_checkpoint, make_frame):
    timer = StageTimer()
    SemanticSegmenter(tiny_checkpoint, InferenceConfig(device="cpu")).segment(make_frame(street()), timer)
    assert list(timer.ms) == ["voxelise", "network", "classify"]
    assert all(ms > 0 for ms in timer.ms.values())


def only(checkpoint, names):
    return SemanticSegmenter(checkpoint, InferenceConfig(device="cpu", engine="torch")).with_words(names)


def test_fewer_classes_keep_their_ids(tiny_checkpoint, make_frame):
    restricted = only(tiny_checkpoint, ["person", "car", "road"])
    assert restricted.label_set.names == ("person", "car", "road")
    labels = restricted.segment(make_frame(street()))
    assert set(labels.class_id) <= {STREET.id_of(name) for name in ("person", "car", "road")}
    assert len(set(labels.class_id)) > 1


@pytest.mark.parametrize("phrase", range(22))
def test_fewer_classes_answer_with_the_nearest_that_is_left(phrase, tiny_checkpoint, make_frame):
    names = ["two-wheeler", "road", "building"]
    labels = only(always(tiny_checkpoint, phrase), names).segment(make_frame([[1, 2, 0]]))
    text = tiny_checkpoint.text_embeddings.numpy()
    left = {name: [STREET.names.index(name), STREET.names.index(name) + 11] for name in names}
    nearest = max(names, key=lambda name: (text[left[name]] @ text[phrase]).max())
    assert labels.class_id[0] == STREET.id_of(nearest)


def test_fewer_classes_of_a_label_set_with_maps_from_others(tiny_checkpoint):
    assert only(replace(tiny_checkpoint, label_set=STREET), ["car"]).label_set.names == ("car",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["car", "unicorn"], "'unicorn' is not in the checkpoint, and no CLIP taught it .* it knows road,"),
        ([], "label set words has no classes"),
        (["car", "road", "car"], "label set words: 'car' is given twice"),
    ],
)
def test_classes_that_cannot_be_had(names, message, tiny_checkpoint):
    with pytest.raises(ConfigError, match=message):
        only(tiny_checkpoint, names)


def drive(make_frame, count, sweeps, *, same=False):
    """Frames of a drive that stands still; each has the `sweeps` scans before it, newest first."""
    scans = [
        LidarScan(xyz=street(0 if same else i), stamp_ns=i, frame_id="lidar") for i in range(sweeps + count)
    ]
    frames = []
    for i in range(count):
        earlier, poses = tuple(reversed(scans[i : i + sweeps])), (SE3.identity(),) * sweeps
        frames.append(make_frame([], scan=scans[i + sweeps], sweeps=earlier, sweeps_world_from_lidar=poses))
    return frames


@pytest.mark.parametrize("sweeps", [1, 3])
def test_the_same_sweep_again_says_nothing_new(sweeps, tiny_checkpoint, make_frame):
    frame = drive(make_frame, 1, sweeps, same=True)[0]
    alone, fused = segment_with(tiny_checkpoint, frame), segment_with(tiny_checkpoint, frame, sweeps=sweeps)
    np.testing.assert_array_equal(fused.class_id, alone.class_id)
    np.testing.assert_allclose(fused.probability, alone.probability, atol=1e-4)


def test_other_sweeps_have_a_vote(segment, make_frame):
    frame = drive(make_frame, 1, 2)[0]
    assert (segment(frame, sweeps=2).class_id != segment(frame).class_id).any()


@pytest.mark.parametrize("x_m", [-100.0, 100.0])
def test_sweeps_of_another_place_have_none(x_m, tiny_checkpoint, make_frame):
    frame = drive(make_frame, 1, 1)[0]
    elsewhere = (SE3.from_yaw(0.0, np.array([x_m, 0.0, 0.0])),)
    fused = segment_with(tiny_checkpoint, replace(frame, sweeps_world_from_lidar=elsewhere), sweeps=1)
    alone = segment_with(tiny_checkpoint, frame)
    np.testing.assert_array_equal(fused.class_id, alone.class_id)
    np.testing.assert_allclose(fused.probability, alone.probability, atol=1e-4)


def test_points_of_a_voxel_have_answers_of_their_own(tiny_point_checkpoint, make_frame):
    """Until sweeps are fused: then they have that of the mean of their features, as a loop takes it here."""
    frame = drive(make_frame, 1, 1)[0]
    xyz = frame.scan.xyz
    cells = [tuple(cell) for cell in np.floor(xyz / 0.5).astype(int).tolist()]
    shared = [rows for cell in set(cells) if len(rows := [i for i, c in enumerate(cells) if c == cell]) > 1]
    assert len(shared) > 5
    alone = segment_with(tiny_point_checkpoint, frame).probability
    assert all(len(set(alone[rows].tolist())) > 1 for rows in shared)

    student = restore_student(tiny_point_checkpoint, engine="torch").eval()
    use_scan_statistics(student, InferenceConfig().scan_statistics)
    with torch.no_grad():
        features = student(collate([voxelise(xyz, size_m=0.5, range_m=80.0)])).semantic
    elsewhere = replace(frame, sweeps_world_from_lidar=(SE3.from_yaw(0.0, np.array([500.0, 0.0, 0.0])),))
    fused = segment_with(tiny_point_checkpoint, elsewhere, sweeps=1)
    text = tiny_point_checkpoint.text_embeddings
    for rows in shared:
        mean = torch.nn.functional.normalize(features[rows].mean(0), dim=0)
        best = (text @ mean).unflatten(0, (2, 11)).amax(0)
        assert set(fused.class_id[rows].tolist()) == {STREET.ids[int(best.argmax())]}


def test_each_sweep_goes_through_the_network_once(tiny_checkpoint, make_frame, network_runs):
    student = SemanticSegmenter(tiny_checkpoint, InferenceConfig(device="cpu", engine="torch", sweeps=2))
    runs = []
    for frame in drive(make_frame, 5, 2):
        before = len(network_runs)
        student.segment(frame)
        runs.append(len(network_runs) - before)
    assert runs == [3, 1, 1, 1, 1]


def test_remembered_features_are_those_that_would_be_computed(checkpoint, segment, make_frame):
    student = SemanticSegmenter(checkpoint, InferenceConfig(device="cpu", engine="torch", sweeps=2))
    for frame in drive(make_frame, 4, 2):
        warm, cold = student.segment(frame), segment(frame, sweeps=2)
        np.testing.assert_array_equal(warm.class_id, cold.class_id)
        np.testing.assert_array_equal(warm.probability, cold.probability)


def test_only_the_newest_sweeps_are_used(segment, make_frame, network_runs):
    three = drive(make_frame, 1, 3)[0]
    one = replace(three, sweeps=three.sweeps[:1], sweeps_world_from_lidar=three.sweeps_world_from_lidar[:1])
    used = segment(three, sweeps=1)
    assert len(network_runs) == 2
    np.testing.assert_array_equal(used.class_id, segment(one, sweeps=1).class_id)


def test_sweeps_are_registered_by_their_poses(segment, make_frame, monkeypatch):
    """The vehicle drove round a corner: the same places fall into the same cells.

    A quarter turn and a shift by whole voxels of 0.5 m map voxel centres onto voxel centres.
    """
    seen, fuse = [], segmenter.fuse

    def watched(features, cell, cells, text):
        seen.append((cell.clone(), cells))
        return fuse(features, cell, cells, text)

    monkeypatch.setattr(segmenter, "fuse", watched)
    xyz = street(3)
    world_from_now = SE3.from_yaw(0.3, np.array([100.0, -40.0, 2.0]))
    now_from_then = SE3.from_yaw(np.pi / 2, np.array([4.0, -2.5, 0.5]))
    then = now_from_then.inverse().apply(xyz)
    earlier = LidarScan(xyz=then.astype(np.float32), stamp_ns=-1, frame_id="lidar")
    frame = make_frame(
        xyz,
        world_from_lidar=world_from_now,
        sweeps=(earlier,),
        sweeps_world_from_lidar=(world_from_now @ now_from_then,),
    )
    segment(frame, sweeps=1)
    (cell, cells), *more = seen
    assert not more
    half = len(cell) // 2
    assert cells == half, "every cell of the scan is one of the sweep, and the other way round"
    assert cell[:half].sort().values.tolist() == cell[half:].sort().values.tolist() == list(range(cells))


@pytest.mark.parametrize(
    ("setting", "column", "name", "values"),
    [
        ("intensity", "intensity", "intensity", np.ones(400, np.float32)),
        ("colour", "rgb", "colours", np.ones((400, 3), np.uint8)),
    ],
)
def test_intensity_that_is_not_there(tiny_checkpoint, make_frame, setting, column, name, values):
    """Weights of zero for these inputs: where they are there, they change nothing."""
    stem, inputs = "stem.0.conv.weight", values.size // 400
    more = torch.cat([tiny_checkpoint.weights[stem], torch.zeros(27, inputs, 8)], dim=1)
    wants = replace(
        tiny_checkpoint,
        student=replace(tiny_checkpoint.student, **{setting: True}),
        weights={**tiny_checkpoint.weights, stem: more},
    )
    with pytest.raises(ConfigError, match=f"the checkpoint wants {name}, but the cloud has none"):
        segment_with(wants, make_frame(street()))
    frame = make_frame(street())
    bright = replace(frame, scan=replace(frame.scan, **{column: values}))
    np.testing.assert_array_equal(
        segment_with(wants, bright).class_id, segment_with(tiny_checkpoint, frame).class_id
    )


def test_statistics_of_the_scan_are_mixed_in(segment, make_frame):
    learnt, mixed = (segment(make_frame(street()), scan_statistics=share) for share in (0.0, 0.5))
    assert (learnt.probability != mixed.probability).any()


def test_the_path_of_the_call_wins_over_that_of_the_settings(tiny_checkpoint, tmp_path):
    checkpoints.save(tiny_checkpoint, tmp_path / "good.safetensors")
    good, absent = str(tmp_path / "good.safetensors"), str(tmp_path / "absent.safetensors")
    config = InferenceConfig(device="cpu", checkpoint=good)
    assert SemanticSegmenter.from_checkpoint(config=config).label_set.names == STREET.names
    with pytest.raises(CheckpointError, match="absent"):
        SemanticSegmenter.from_checkpoint(absent, config=config)


def test_threads_of_the_network(tiny_checkpoint):
    before = torch.get_num_threads()
    try:
        SemanticSegmenter(tiny_checkpoint, InferenceConfig(device="cpu", threads=before + 1))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_without_spconv_the_engine_is_torch(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "spconv"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "spconv", None)
    assert segmenter.choose_engine("auto", torch.device("cuda")) == "torch"
    assert segmenter.choose_engine("spconv", torch.device("cuda")) == "spconv", (
        "what was asked for is not replaced in silence"
    )


def test_engines_agree(checkpoint, make_frame):
    pytest.importorskip("spconv", reason="spconv is not installed")
    assert segmenter.choose_engine("auto", torch.device("cuda")) == "spconv"
    assert segmenter.choose_engine("auto", torch.device("cpu")) == "torch"
    frame = make_frame(street())
    one = segment_with(checkpoint, frame)
    config = InferenceConfig(device="cpu", engine="spconv")
    other = SemanticSegmenter(checkpoint, config).segment(frame)
    np.testing.assert_array_equal(one.class_id, other.class_id)
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-4)


def test_building_leaves_the_number_of_threads_as_it_was(tiny_checkpoint, monkeypatch):
    """And takes one: a second team of OpenMP threads would slow down the one that segments."""
    during = []
    restore = segmenter.restore_student

    def counting(*arguments, **options):
        during.append(torch.get_num_threads())
        return restore(*arguments, **options)

    monkeypatch.setattr(segmenter, "restore_student", counting)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        SemanticSegmenter(tiny_checkpoint)
        assert (during, torch.get_num_threads()) == ([1], 2)
        SemanticSegmenter(tiny_checkpoint, InferenceConfig(threads=3))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
