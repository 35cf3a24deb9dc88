"""What a terminal of 80 columns is sent: the bar by a clock of our own, and lines of figures."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from clip2scene_core import terminal


class Shown(io.StringIO):
    """What was written, and the clock of the terminal."""

    now_s = 0.0

    def lines(self) -> list[str]:
        text = re.sub(r"\x1b\[[?0-9]*[A-Za-z]", "", self.getvalue())
        return [line.rstrip() for line in text.replace("\r", "\n").split("\n") if line.strip()]


@pytest.fixture
def shown(monkeypatch) -> Shown:
    made = Shown()
    console = Console(
        file=made,
        force_terminal=True,
        width=80,
        color_system=None,
        highlight=False,
        markup=False,
        get_time=lambda: made.now_s,
    )
    monkeypatch.setattr(terminal, "console", console)
    return made


def test_training_fits_into_80_columns(shown):
    with terminal.progress("training", 1600) as report:
        for step in range(1596, 1601):
            report(step, "cross_entropy 1.234 lovasz 0.567")
            shown.now_s += 4.0
    line = shown.lines()[-1]
    assert "1600/1600 4.0 s each" in line and line.endswith("cross_entropy 1.234 lovasz 0.567")
    assert max(map(len, shown.lines())) <= 80


def test_rates_above_one_a_second(shown):
    with terminal.progress("labelling", 9) as report:
        for done in range(1, 6):
            report(done)
            shown.now_s += 0.4
    assert "5/9 2.5/s 0:00:02" in shown.lines()[-1], "what is left takes 4 x 0.4 s"


def test_a_total_that_is_not_known_yet(shown):
    with terminal.progress("labelling") as report:
        report(2)
        report(3, total=4)
    assert "3/4" in shown.lines()[-1]
    assert "/?" not in shown.getvalue()


def test_a_total_that_is_never_known(shown):
    with terminal.progress("labelling") as report:
        report(2)
    line = shown.lines()[-1]
    assert line.endswith(" 2") and "/" not in line


def test_a_second_pass_begins_again(shown):
    with terminal.progress("labelling", 2) as report:
        report(2, "one by one")
        shown.now_s += 60.0
        report(1, "in real time", total=5)
        shown.now_s += 0.5
        report(2, total=5)
    line = shown.lines()[-1]
    assert "2/5 2.0/s" in line and line.endswith("in real time")


def test_a_bar_for_what_may_not_happen_is_not_shown_before_it_does(shown):
    with terminal.progress("odometry", at_once=False):
        shown.now_s += 1.0
    assert shown.getvalue() == ""
    with terminal.progress("odometry", at_once=False) as report:
        report(1, total=2)
        report(2, total=2)
    assert "odometry" in shown.lines()[-1] and "2/2" in shown.lines()[-1]


def test_stages_have_their_share():
    line = terminal.stages({"voxelise": 30.0, "network": 168.4, "classify": 1.6})
    assert line == "200 ms a scan: voxelise 30 (15%), network 168 (84%), classify 2 (1%)"
    assert terminal.stages({}) == terminal.stages({"network": 0.0}) == "no stages timed"


def test_a_demo_that_loses_rows_and_labels_nothing_says_so(shown):
    terminal.print_demo(
        {
            "labelled": 0,
            "scans": 3,
            "points_per_scan": 0.0,
            "every_row_kept": False,
            "rate_hz": 0.0,
            "latency_ms": {},
            "stage_ms": {},
            "real_time": None,
            "evaluation": None,
            "notes": ["no transform from 'lidar [front]' to 'odom'"],
        }
    )
    lines = shown.lines()
    assert lines[0] == "0 of 3 scans labelled, 0 points each, ROWS DIFFER FROM THE INPUT"
    assert lines[-1] == "note: no transform from 'lidar [front]' to 'odom'"


def test_classes_that_do_not_occur_or_do_not_count(shown):
    terminal.print_iou(
        {
            "miou_over_classes_with_more_points_than": 1000,
            "iou": {"road": 0.456, "car": 0.1, "fence": None},
            "points_of_class": {"road": 123456, "car": 1000, "fence": 0},
            "miou": 0.456,
            "frames": 2,
            "accuracy": None,
        },
        title="a drive",
    )
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.lines() if "│" in line]
    assert cells == [
        ["road", "45.6", "123,456", "yes"],
        ["car", "10.0", "1,000", "no"],
        ["fence", "-", "0", "no"],
    ]
    assert shown.lines()[-1].endswith("over classes with more than 1,000 points, 2 scans, accuracy - %")
