"""From nothing to a table, in seconds: what is there is kept, what was interrupted goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from clip2scene_core import cli
from clip2scene_core.config import EvidenceConfig, load, to_dict
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.evidence import jobs, run
from clip2scene_core.evidence.results import RESULT, read_result, read_results
from clip2scene_core.evidence.rows import ROWS
from clip2scene_core.evidence.run import gather

pytestmark = pytest.mark.usefixtures("small_towns", "text_cache")
RECORD = {"commit": "abc", "hardware": "an abacus"}


@pytest.fixture(scope="module")
def gathered(micro: EvidenceConfig, small_towns, text_cache, tmp_path_factory) -> Path:
    """Three rows and one that asks the student of the first one otherwise."""
    out = tmp_path_factory.mktemp("evidence")
    gather(replace(micro, rows=(*micro.rows, "voting")), out, **RECORD)
    return out


def files(out: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}


def copy_results(gathered: Path, out: Path, *rows: str) -> None:
    """Those of some rows, without students."""
    for row in rows:
        shutil.copytree(gathered / "runs" / row, out / "runs" / row, ignore=shutil.ignore_patterns("student"))


def test_each_row_has_a_small_result_that_says_what_it_is(gathered, micro, clip_folder):
    for name in ("full", "semantic_only", "teacher", "voting"):
        path = gathered / "runs" / name / "seed_0" / RESULT
        result = read_result(gathered, micro, ROWS[name], 0)
        assert path.stat().st_size < 5000
        assert not [place for place in (gathered, clip_folder) if str(place) in path.read_text()]
        assert (result.commit, result.hardware, result.seed) == ("abc", "an abacus", 0)
        assert result.steps == (2 if ROWS[name].learns else 0)
        assert sum(result.all_points.points.values()) > sum(result.camera_points.points.values()) > 0
        assert len(result.teacher_weights) == 64
    settings = json.loads((gathered / "runs/semantic_only/seed_0" / RESULT).read_text())["settings"]
    assert settings["pretrain.pairing.sweeps"] == 1
    assert settings["pretrain.objective.spatial_temporal_weight"] == 0
    assert settings["drives.lidar"] == "VLP-16"
    assert not {"pretrain.training.device", "pretrain.features", "rows", "seeds"} & settings.keys()


def test_a_teacher_answers_where_cameras_see_and_nowhere_else(gathered, micro):
    teacher = read_result(gathered, micro, ROWS["teacher"], 0)
    seen, everywhere = (sum(s.points.values()) for s in (teacher.camera_points, teacher.all_points))
    right = teacher.camera_points.accuracy * seen
    assert teacher.all_points.accuracy * everywhere == pytest.approx(right, abs=0.0002 * everywhere)


def test_only_students_of_the_whole_method_are_kept(gathered):
    kept = {path.parts[-4] for path in gathered.rglob("student.safetensors")}
    assert kept == {"full"}


def test_what_is_there_is_not_done_again(gathered, micro, monkeypatch):
    before = files(gathered)
    for name in ("write_drives", "ask_teacher", "do"):
        monkeypatch.setattr(run, name, lambda *_, **__: pytest.fail("nothing was missing"))
    table = gather(micro, gathered, **RECORD)
    after = files(gathered)
    changed = {name for name in before if before[name] != after[name]}
    assert {Path(name).name for name in changed} <= {"config.yaml", "table.md", "results.json", ".lock"}
    assert list(table.rows) == ["full", "semantic_only", "voting", "teacher"]


def test_results_of_another_machine_leave_only_what_is_missing_to_do(gathered, micro, tmp_path):
    """Nothing of a student but its result; drives that are learnt from are not even simulated."""
    copy_results(gathered, tmp_path, "full", "semantic_only")
    table = gather(micro, tmp_path, **RECORD)
    assert list(table.rows) == ["full", "semantic_only", "teacher"]
    assert [path.name for path in (tmp_path / "drives").iterdir()] == ["held_out"]
    assert not (tmp_path / "features").exists()


def test_a_row_that_asks_a_student_otherwise_needs_no_training_where_the_student_is(
    gathered, micro, monkeypatch
):
    steps = []
    train = jobs.pretrain

    def watched(*arguments, report, **settings):
        return train(*arguments, report=lambda step, losses: steps.append(step), **settings)

    monkeypatch.setattr(jobs, "pretrain", watched)
    table = gather(micro, gathered, rows=["one_view"], **RECORD)
    assert "one_view" in table.rows and steps == []


def test_a_killed_run_goes_on_with_its_training(gathered, micro, tmp_path, monkeypatch):
    """It ends as one that nobody interrupted, and no frame is simulated or seen by the teacher again."""
    for name in ("drives", "features"):
        shutil.copytree(gathered / name, tmp_path / name)
    train, stopped = jobs.pretrain, []

    def killed(*arguments, report, **settings):
        def stop(step, losses):
            report(step, losses)
            stopped.append(step)
            raise KeyboardInterrupt

        return train(*arguments, report=stop, **settings)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(jobs, "pretrain", killed)
        gather(micro, tmp_path, rows=["semantic_only"], **RECORD)
    assert stopped == [1] and read_result(tmp_path, micro, ROWS["semantic_only"], 0) is None
    gather(micro, tmp_path, rows=["semantic_only"], **RECORD)
    resumed, whole = (read_result(out, micro, ROWS["semantic_only"], 0) for out in (tmp_path, gathered))
    assert resumed.all_points == whole.all_points
    assert resumed.steps == 2


def test_results_of_other_settings_are_not_mixed(gathered, micro):
    other = replace(micro, pretrain=replace(micro.pretrain, label_set="town"))
    with pytest.raises(ConfigError, match=r"full/seed_0/result\.json is of other settings: pretrain\.l"):
        gather(other, gathered, **RECORD)
    here = replace(micro, inference=replace(micro.inference, threads=1), seeds=1, rows=("teacher",))
    gather(here, gathered, **RECORD)
    longer = replace(micro.pretrain.training, epochs=9.0)
    assert read_result(
        gathered, replace(micro, pretrain=replace(micro.pretrain, training=longer)), ROWS["teacher"], 0
    ), "a teacher does not depend on the training of students"


def test_results_of_other_towns_are_not_mixed(gathered, micro, tmp_path, monkeypatch):
    """As of a simulator that has changed: neither with what is there, nor with drives made now."""
    copy_results(gathered, tmp_path, "full", "teacher")
    path = tmp_path / "runs/teacher/seed_0" / RESULT
    content = json.loads(path.read_text())
    points = content["all_points"]["points"]
    points["road"] += round(0.009 * sum(points.values()))  # as another processor rounds
    path.write_text(json.dumps(content))
    assert len(read_results(tmp_path, micro)) == 2
    points["road"] += round(0.002 * sum(points.values()))
    path.write_text(json.dumps(content))
    others = r"teacher/seed_0/result\.json is of other drives: the simulator of commit abc made other towns"
    with pytest.raises(ConfigError, match=others):
        read_results(tmp_path, micro)
    shutil.rmtree(tmp_path / "runs/full")
    monkeypatch.setattr(run, "do", lambda *_, **__: pytest.fail("it begins nothing"))
    with pytest.raises(ConfigError, match=others):
        gather(micro, tmp_path, **RECORD)


def test_results_of_another_teacher_are_not_mixed(gathered, micro, tmp_path):
    """A model keeps its name when its weights become others."""
    copy_results(gathered, tmp_path, "full", "teacher")
    path = tmp_path / "runs/teacher/seed_0" / RESULT
    path.write_text(json.dumps(json.loads(path.read_text()) | {"teacher_weights": "1" * 64}))
    with pytest.raises(ConfigError, match=r"seed_0/result\.json is of another teacher: .* got 1{12};"):
        read_results(tmp_path, micro)


def test_a_file_that_is_no_result_is_named(micro, tmp_path):
    path = tmp_path / "runs/full/seed_0" / RESULT
    path.parent.mkdir(parents=True)
    path.write_text('{"row": "full"}')
    with pytest.raises(
        DataError, match=r"result\.json is no result of evidence: .*; delete it to do the run"
    ):
        read_result(tmp_path, micro, ROWS["full"], 0)


def test_seeds_come_one_after_the_other_and_claims_first(micro, tmp_path):
    config = replace(micro, seeds=2)
    rows = [ROWS[name] for name in ("full", "teacher", "kl", "voting")]
    found = jobs.missing_jobs(config, tmp_path, rows)
    assert [(job.of, job.seed, job.rows) for job in found] == [
        ("full", 0, ("full", "voting")),
        ("teacher", 0, ("teacher",)),
        ("kl", 0, ("kl",)),
        ("full", 1, ("full", "voting")),
        ("kl", 1, ("kl",)),
    ]


def test_the_command_goes_on_with_its_settings_and_checks_claims(gathered, micro, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shutil.copytree(gathered / "runs", tmp_path / "runs")
    (tmp_path / "micro.yaml").write_text(yaml.safe_dump(to_dict(micro)))

    def invoke(*arguments):
        return CliRunner().invoke(cli.app, ["evidence", str(tmp_path), *arguments])

    done = invoke("--config", str(tmp_path / "micro.yaml"), "--set", "semantic_gain=-100")
    assert done.exit_code == 0, done.output
    assert "semantic_only" in done.output and f"wrote {tmp_path}/table.md" in done.output
    assert load(EvidenceConfig, tmp_path / "config.yaml").semantic_gain == -100
    none = ["--set", "teacher_factor=0"]
    held = invoke("--check", *none)
    assert "holds: on all points" in held.output
    failed = invoke("--check", "--set", "semantic_gain=101", *none)
    assert failed.exit_code == 1 and "FAILS: on all points" in failed.output
    unknown = invoke("--rows", "full", "--rows", "teacher,semantic")
    assert unknown.exit_code == 1
    assert "evidence has no row 'semantic'; did you mean 'semantic_only'?" in unknown.output + unknown.stderr
