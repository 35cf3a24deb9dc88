"""The rows are the paper's, and each changes what it says and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip2scene_core.config import EvidenceConfig, from_dict, load
from clip2scene_core.errors import ConfigError
from clip2scene_core.evidence.rows import FIRST, ROWS, chosen_rows
from clip2scene_core.evidence.settings import flat, pretraining, settings_of, with_changes

CONFIG = Path(__file__).parents[3] / "config"
PAPER = {
    "full": 20.8,
    "semantic_only": 15.1,
    "without_spatial_temporal": 19.8,
    "without_semantic": 16.8,
    "without_self_training": 18.8,
    "self_training_only": 10.1,
    "kl": 0.0,
    "one_sweep": 18.7,
    "five_sweeps": 20.6,
    "merged_input": 18.6,
}
"""Annotation-free mIoU on nuScenes: the ablation table of CLIP2Scene."""


@pytest.fixture(params=["evidence.yaml", "evidence_small.yaml"])
def base(request: pytest.FixtureRequest) -> EvidenceConfig:
    return load(EvidenceConfig, CONFIG / request.param)


def differences(first: object, second: object) -> dict[str, object]:
    before, after = flat(first), flat(second)
    return {name: after[name] for name in before if before[name] != after[name]}


def test_the_numbers_are_the_papers():
    assert {name: row.paper for name, row in ROWS.items() if row.paper is not None} == PAPER
    assert {name for name, row in ROWS.items() if row.group == "paper"} == PAPER.keys()


@pytest.mark.parametrize("name", ROWS)
def test_a_row_differs_from_the_base_in_what_it_says_only(base, name):
    row = ROWS[name]
    of = ROWS[row.student_of] if row.student_of else row
    said = {f"pretrain.{setting.partition('=')[0]}" for setting in of.change}
    said |= {f"inference.{setting.partition('=')[0]}" for setting in row.inference}
    assert differences(base, with_changes(base, row)).keys() == said


def test_every_row_does_something_that_no_other_does(base):
    done = [(flat(with_changes(base, row)), row.answers) for row in ROWS.values()]
    assert not [name for i, name in enumerate(ROWS) if done[i] in done[:i]]


def test_rows_are_what_the_paper_did():
    base = EvidenceConfig()

    def run(name):
        return pretraining(base, ROWS[name], 3)

    alone = run("semantic_only")
    assert (alone.objective.semantic_weight, alone.objective.spatial_temporal_weight) == (1.0, 0.0)
    assert (alone.objective.semantic_loss, alone.objective.tau) == ("infonce", 0.5)
    assert (alone.objective.self_training.switch, alone.pairing.sweeps) == ("off", 1)
    assert alone.training.seed == 3
    assert run("without_semantic").objective.semantic_weight == 0.0
    assert ROWS["without_semantic"].answers == "temporal head"
    assert run("full").objective.self_training.probability == 0.5
    assert run("self_training_only").objective.self_training.probability == 1.0
    assert [run(name).pairing.sweeps for name in ("one_sweep", "full", "five_sweeps")] == [1, 3, 5]
    assert run("merged_input").pairing.merged and not run("full").pairing.merged
    assert run("kl").objective.semantic_loss == "kl"


def test_all_sweeps_fit_into_what_lies_between_frames(base):
    for row in ROWS.values():
        pairing = with_changes(base, row).pretrain.pairing
        assert pairing.sweeps - 1 <= pairing.sweep_window <= base.drives.stride - 1


def test_what_the_claims_need_comes_first():
    assert [row.name for row in chosen_rows(())][:3] == list(FIRST) == ["full", "semantic_only", "teacher"]
    assert len(chosen_rows(())) == len(ROWS)
    assert [row.name for row in chosen_rows(["kl", "teacher"])] == ["teacher", "kl"]
    with pytest.raises(ConfigError, match="no row 'ful'; did you mean 'full'"):
        chosen_rows(["ful"])


def test_the_small_evidence_has_the_rows_that_it_claims_to_order():
    small = load(EvidenceConfig, CONFIG / "evidence_small.yaml")
    assert set(small.order) == set(FIRST) < set(small.rows)
    assert (
        small.seeds == 1
        and small.drives.training < load(EvidenceConfig, CONFIG / "evidence.yaml").drives.training
    )


def test_settings_of_no_effect_and_places_are_left_out():
    content = {
        "pretrain": {
            "teacher": {"model": "local-dir:/home/somebody/street-clip", "device": "cpu"},
            "training": {"device": "cuda", "loaders": 0, "epochs": 3},
        },
        "inference": {"threads": 2, "views": 3},
        "seeds": 9,
    }
    before, after = EvidenceConfig(), from_dict(EvidenceConfig, content)

    def changed(row: str) -> dict[str, object]:
        first, second = (settings_of(config, ROWS[row]) for config in (before, after))
        return {name: second.get(name) for name in {*first, *second} if first.get(name) != second.get(name)}

    teacher = {"pretrain.teacher.model": "local-dir:street-clip"}
    assert changed("kl") == teacher | {"pretrain.training.epochs": 3.0, "inference.views": 3}
    assert changed("teacher_naclip") == teacher


def test_settings_are_those_of_the_row_and_never_left_to_defaults_of_today():
    """The defaults of drives, inference and pre-training for evidence may change: results keep theirs."""
    settings = settings_of(EvidenceConfig(), ROWS["kl"])
    assert settings["pretrain.objective.semantic_loss"] == "kl"
    assert settings["pretrain.student.width"] == 0.25 and settings["pretrain.label_set"] == "street"
    assert settings["inference.scan_statistics"] == 0.5 and settings["least_points"] == 1000
    drives = {f"drives.{name}" for name in flat(EvidenceConfig().drives)}
    assert drives <= settings.keys()
    teacher = settings_of(EvidenceConfig(), ROWS["teacher"]).keys()
    assert drives - teacher == {"drives.training", "drives.training_seed"}
    assert not [name for name in teacher if name.startswith(("pretrain.training", "inference."))]
