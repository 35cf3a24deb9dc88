"""Settings from YAML and the command line: what is accepted, what is refused and in which words."""

from __future__ import annotations

import dataclasses
import math

import pytest
import yaml

from clip2scene_core.config import (
    EvidenceConfig,
    InferenceConfig,
    PretrainConfig,
    RunConfig,
    StudentConfig,
    TeacherConfig,
    TrainingConfig,
    from_dict,
    load,
    setting,
    to_dict,
)
from clip2scene_core.errors import ConfigError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A group of settings with a list, as the ROS parameters have."""

    names: tuple[str, ...] = setting((), "some names")


def test_defaults_without_a_file():
    assert load(RunConfig, None) == RunConfig()


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "label_set: nuscenes\nstudent: {voxel_m: 0.2}\ntraining: {augment: {drop: 0}, steps: 5}\n"
    )
    expected = to_dict(RunConfig())
    expected["label_set"] = "nuscenes"
    expected["student"]["voxel_m"] = 0.2
    expected["training"]["steps"] = 5
    expected["training"]["augment"]["drop"] = 0.0
    assert to_dict(load(RunConfig, path)) == expected


@pytest.mark.parametrize("config", [RunConfig(), InferenceConfig(device="cpu", sweeps=2)])
def test_yaml_round_trip(config, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(to_dict(config)))
    assert load(type(config), path) == config


def test_a_group_that_is_given_in_part_keeps_what_its_tree_wants():
    """The teacher of pre-training is shown crops at their size, that of pictures scales them."""
    run = from_dict(PretrainConfig, {"teacher": {"mode": "naclip"}, "student": {"width": 0.5}})
    assert (run.teacher.mode, run.teacher.height_px) == ("naclip", 0)
    assert (run.student.architecture, run.student.width) == ("spvcnn", 0.5)
    assert TeacherConfig().height_px == -1


def test_lists_survive_the_round_trip():
    names = Listed(names=("car", "person"))
    assert from_dict(Listed, yaml.safe_load(yaml.safe_dump(to_dict(names)))) == names


def test_later_overrides_win_over_earlier_ones_and_over_the_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("training: {steps: 7, batch: 2}\n")
    config = load(RunConfig, path, ["training.steps=9", "training.augment.rotate=false", "training.steps=11"])
    assert (config.training.steps, config.training.batch, config.training.augment.rotate) == (11, 2, False)


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "training:\n  # nothing here yet\n"])
def test_empty_groups_keep_their_defaults_and_take_overrides(content, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    assert load(RunConfig, path) == RunConfig()
    assert load(RunConfig, path, ["training.steps=3"]).training == TrainingConfig(steps=3)


@pytest.mark.parametrize(("text", "variant"), [("14", 14), ("'14'", "14"), ("14A", "14A")])
def test_a_variant_is_a_number_or_has_a_letter(text, variant):
    assert load(RunConfig, None, [f"student.variant={text}"]).student.variant == variant


def test_whole_numbers_and_exponents_are_numbers():
    """YAML 1.1 reads 2e-3 as text for want of a dot; nobody who types it means text."""
    config = load(RunConfig, None, ["training.learning_rate=2e-3", "training.weight_decay=0"])
    assert config.training.learning_rate == pytest.approx(0.002)
    assert isinstance(config.training.weight_decay, float)


def test_off_is_a_word():
    """YAML 1.1 reads it as false."""
    config = load(PretrainConfig, None, ["objective.self_training.switch=off"])
    assert config.objective.self_training.switch == "off"
    with pytest.raises(ConfigError, match="must be one of adamw, sgd, got False"):
        load(RunConfig, None, ["training.optimizer=off"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"trainng": {}}, "unknown setting 'trainng'; did you mean 'training'?"),
        ({"training": {"step": 1}}, "unknown setting 'training.step'; did you mean 'steps'?"),
        ({"student": {"voxelsize_m": 1}}, "'student.voxelsize_m'; did you mean 'voxel_m'?"),
        ({"zzz": 1}, "unknown setting 'zzz'; known are label_set, start, student, teacher, training"),
        ({3: 1}, "unknown setting '3'; known are label_set, start, student, teacher, training"),
    ],
)
def test_unknown_keys_name_the_nearest_known_one(content, message):
    with pytest.raises(ConfigError) as caught:
        from_dict(RunConfig, content)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.steps=many", "setting 'training.steps' must be int, got 'many'"),
        ("training.steps=1.5", "setting 'training.steps' must be int, got 1.5"),
        ("training.steps=true", "setting 'training.steps' must be int, got True"),
        ("training.precision=half", "'training.precision' must be one of 32-true, 16-mixed, bf16-mixed, "),
        ("training.precision=16", "64-true, got 16"),
        ("training.learning_rate=false", "setting 'training.learning_rate' must be float, got False"),
        ("training.learning_rate=fast", "setting 'training.learning_rate' must be float, got 'fast'"),
        ("student.variant=1.5", "setting 'student.variant' must be int | str, got 1.5"),
        ("student.variant=true", "setting 'student.variant' must be int | str, got True"),
        ("student.intensity=1", "setting 'student.intensity' must be bool, got 1"),
        ("label_set=3", "setting 'label_set' must be str, got 3"),
        ("label_set=null", "setting 'label_set' must be str, got None"),
        ("training=5", "training must be a mapping of settings, got 5"),
        ("training=0", "training must be a mapping of settings, got 0"),
        ("training=[]", "training must be a mapping of settings, got []"),
        ("training.steps", "override 'training.steps' must read key=value"),
        ("label_set.name=x", "setting 'label_set' must be str, got {'name': 'x'}"),
        ("training.steps=[", "override 'training.steps=[' is no YAML"),
    ],
)
def test_values_of_the_wrong_type(override, message):
    with pytest.raises(ConfigError) as caught:
        load(RunConfig, None, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_word_is_no_list_of_names():
    with pytest.raises(ConfigError, match="setting 'names' must be a list, got 'car'"):
        from_dict(Listed, {"names": "car"})
    with pytest.raises(ConfigError, match="setting 'names' must be str, got 7"):
        from_dict(Listed, {"names": ["car", 7]})


@pytest.mark.parametrize(
    ("cls", "key", "value", "limits"),
    [
        (StudentConfig, "voxel_m", 0.0, "at least 0.01"),
        (StudentConfig, "voxel_m", math.nan, "at least 0.01"),
        (StudentConfig, "range_m", 1e9, "between 1.0 and 1000.0"),
        (TrainingConfig, "batch", 0, "at least 1"),
        (TrainingConfig, "warmup", 1.5, "between 0.0 and 1.0"),
        (InferenceConfig, "sweeps", -1, "between 0 and 50"),
        (InferenceConfig, "scan_statistics", 2.0, "between 0.0 and 1.0"),
    ],
)
def test_impossible_numbers(cls, key, value, limits):
    with pytest.raises(ConfigError) as caught:
        from_dict(cls, {key: value})
    assert str(caught.value) == f"setting '{key}' must be {limits}, got {value}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- list\n", "must be a mapping of settings"),
        (b"0", "must be a mapping of settings"),
        (b"training: {steps: ]\n", "is no YAML"),
        (b"\xff\xfe\x00", "cannot read configuration"),
        (b"!!python/object/apply:os.system ['true']", "is no YAML"),
    ],
)
def test_files_that_are_no_configuration(content, message, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load(RunConfig, path, ["training.steps=3"])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        load(RunConfig, tmp_path / "absent.yaml")


def test_overriding_into_a_value_is_refused(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("training: 5\n")
    with pytest.raises(ConfigError, match="'training' is a value, not a group of settings"):
        load(RunConfig, path, ["training.steps=3"])


@pytest.mark.parametrize("cls", [RunConfig, PretrainConfig, InferenceConfig, EvidenceConfig])
def test_every_setting_says_what_it_is_and_has_a_default_inside_its_limits(cls):
    assert from_dict(cls, to_dict(cls())) == cls()
    groups = [cls()]
    for group in groups:
        for f in dataclasses.fields(group):
            assert f.metadata["help"], f.name
            value = getattr(group, f.name)
            groups += [value] if dataclasses.is_dataclass(value) else []
