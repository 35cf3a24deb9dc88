"""The arithmetic of the table and its claims, against figures made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from clip2scene_core.config import EvidenceConfig
from clip2scene_core.evidence.judging import Score, judge, seen_by_cameras
from clip2scene_core.evidence.results import Result
from clip2scene_core.evidence.rows import ROWS
from clip2scene_core.evidence.statistics import figures_of, order_as_in_paper
from clip2scene_core.evidence.table import write_table
from clip2scene_core.labels import LabelSet
from clip2scene_core.metrics import Confusion
from clip2scene_core.types import SemanticLabels

CONFIG = EvidenceConfig(order=())


def result(row: str, seed: int, everywhere: float, seen: float) -> Result:
    def score(miou: float) -> Score:
        return Score(miou=miou, accuracy=0.5, iou={"road": miou, "car": None}, points={"road": 9, "car": 0})

    return Result(
        row=row,
        seed=seed,
        settings={},
        teacher_weights="0" * 64,
        commit="abc",
        hardware="an abacus",
        seconds=60.0 * (seed + 1),
        steps=1,
        all_points=score(everywhere),
        camera_points=score(seen),
    )


def rows(**mious: list[float]) -> list[Result]:
    """The same mIoU on all points and on those that cameras see."""
    return [result(row, seed, v, v) for row, values in mious.items() for seed, v in enumerate(values)]


def test_means_and_spreads_over_seeds():
    figures = figures_of(rows(full=[0.30, 0.32, 0.37], kl=[0.1]))
    full = figures["full"]
    assert full.all_points.seeds == 3
    assert full.all_points.mean == pytest.approx(33.0)
    assert (full.all_points.least, full.all_points.most) == pytest.approx((30.0, 37.0))
    assert full.all_points.half_range == pytest.approx(3.5)
    assert str(full.all_points) == "33.0 ± 3.5"
    assert full.minutes == 2.0
    assert full.iou == {"road": pytest.approx(33.0), "car": None}
    assert list(figures) == ["full", "kl"]


def test_what_could_not_be_judged_is_left_out():
    blind = result("full", 0, 0.3, 0.3)
    blind = replace(blind, camera_points=replace(blind.camera_points, miou=None))
    assert figures_of([blind]) == {}


@pytest.mark.parametrize(
    ("row", "mious", "expected"),
    [
        ("kl", [0.10, 0.12], "yes"),
        ("kl", [0.50, 0.52], "no"),
        ("kl", [0.29, 0.33], "within spread"),  # 31 ± 2 against 30 ± 1
        ("kl", [0.345, 0.345], "no"),  # 34.5 ± 0 against 30 ± 1
        ("agreement", [0.1, 0.1], None),  # none of the paper's
        ("full", [0.1, 0.1], None),
    ],
)
def test_the_order_is_compared_with_the_papers_where_seeds_allow(row, mious, expected):
    figures = figures_of(rows(**{"full": [0.29, 0.31], row: mious}))
    assert order_as_in_paper(ROWS[row], figures) == expected


def test_what_claims_say_they_found(tmp_path):
    results = [result("full", seed, 0.40 + 0.01 * seed, 0.36) for seed in range(3)]  # 41 ± 1
    results += [result("semantic_only", seed, 0.35 + 0.02 * seed, 0.35) for seed in range(3)]  # 37 ± 2
    results += [result("teacher", 0, 0.1, 0.29)]
    table = write_table(tmp_path, replace(CONFIG, order=("full", "semantic_only", "teacher")), results)
    teacher, semantic, order = table.claims
    assert teacher.holds and teacher.found == "36.0 ± 0.0 against 29.0, 1.24 times"
    assert semantic.holds and semantic.found == "41.0 ± 1.0 against 37.0 ± 2.0, +4.0"
    assert order.holds and order.found == "36.0, 35.0, 29.0"
    assert table.all_hold


@pytest.mark.parametrize(
    ("full", "semantic_only", "holds"),
    [
        ([0.35, 0.36], [0.31, 0.32], True),
        ([0.35, 0.36], [0.33, 0.33], False),  # 2.5 points
        ([0.32, 0.40], [0.31, 0.33], False),  # 4 points, but its worst seed is below the best of the other
        ([0.35], [], False),
    ],
)
def test_the_whole_method_against_the_semantic_loss(full, semantic_only, holds, tmp_path):
    results = rows(full=full, semantic_only=semantic_only)
    assert write_table(tmp_path, CONFIG, results).claims[1].holds is holds


@pytest.mark.parametrize(("teacher", "holds"), [(0.29, True), (0.31, False), (0.0, True)])
def test_the_student_against_its_teacher(teacher, holds, tmp_path):
    """On what cameras see: on all points the teacher has not a chance."""
    results = [result("full", 0, 0.5, 0.36), result("teacher", 0, 0.01, teacher)]
    claim = write_table(tmp_path, CONFIG, results).claims[0]
    assert claim.holds is holds


def test_claims_about_what_is_missing_do_not_hold(tmp_path):
    table = write_table(tmp_path, replace(CONFIG, order=("full", "kl")), rows(teacher=[0.2]))
    assert [claim.holds for claim in table.claims] == [False] * 3
    assert [claim.found for claim in table.claims] == [
        "no result of full",
        "no result of full, semantic_only",
        "no result of full, kl",
    ]


def test_the_files(tmp_path):
    results = [
        *rows(full=[0.30, 0.34], kl=[0.10, 0.10], agreement=[0.35, 0.35]),
        result("teacher", 0, 0.1, 0.2),
    ]
    write_table(tmp_path, CONFIG, results)
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines()}
    assert lines["kl"].startswith("| kl | 10.0 |"), "the second table: IoU of each class"
    assert "as the semantic loss | 2 | 10.0 ± 0.0 | -22.0 | 10.0 ± 0.0 | 0.0 | -20.8 | yes |\n" in text
    assert "| 35.0 ± 0.0 | +3.0 | 35.0 ± 0.0 |  |  |  |" in text
    assert "FAILS: on all points" in text and "holds: on the points that cameras see" in text
    assert "Commit abc; an abacus." in text
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["rows"]["full"]["all_points"] == {"seeds": 2, "mean": 32.0, "least": 30.0, "most": 34.0}
    assert content["rows"]["kl"]["order_as_in_paper"] == "yes"
    assert write_table(tmp_path, CONFIG, []).rows == {}


def test_classes_of_few_points_and_no_answer():
    street = LabelSet.named("street")
    road, car, person = (street.id_of(name) for name in ("road", "car", "person"))
    truth = np.array([road] * 10 + [car] * 6 + [person] * 2, np.uint16)
    answer = np.array([road] * 5 + [0] * 5 + [car] * 6 + [road] * 2, np.uint16)
    score = Score.of(Confusion.of(street, truth, answer), least_points=5)
    assert score.miou == pytest.approx((5 / 12 + 1.0) / 2, abs=1e-4)
    assert score.accuracy == pytest.approx(11 / 18, abs=1e-4)
    assert (score.iou["person"], score.iou["fence"], score.points["road"]) == (0.0, None, 10)


class Everything:
    """Calls every point a car."""

    label_set = LabelSet.named("street")

    def segment(self, frame) -> SemanticLabels:
        return SemanticLabels(class_id=np.full(len(frame.scan.xyz), self.label_set.id_of("car"), np.uint16))


def test_points_that_cameras_see_are_judged_apart(frame_list, seeing_frame):
    """One car hides another from the camera, a third one is behind it; the road is called car."""
    town, done = LabelSet.named("town"), []
    source = frame_list([seeing_frame], town)
    assert seen_by_cameras(seeing_frame).tolist() == [True] * 81 + [False, False, True]
    everywhere, seen = judge(source, Everything(), Everything.label_set, lambda: done.append(1))
    car, road = 7, 0
    assert everywhere.counts[car, car] == 83 and everywhere.counts[road, car] == 1
    assert seen.counts[car, car] == 81 and seen.counts[road, car] == 1
    assert done == [1]
