"""What came of one run of one row, as a small file that may be copied from machine to machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clip2scene_core.config import EvidenceConfig
from clip2scene_core.data.files import read_json
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.evidence.judging import Score
from clip2scene_core.evidence.rows import ROWS, Row
from clip2scene_core.evidence.settings import settings_of
from clip2scene_core.writing import write_json

RUNS, RESULT = "runs", "result.json"
SAME_DRIVES = 0.01
"""Share of the points by which the same held-out drives may differ: processors round rays differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The figures of a student, or of a teacher, on the held-out drives."""

    row: str
    seed: int
    settings: Mapping[str, Any]
    """By dotted name; see settings_of."""
    teacher_weights: str
    """Hash of those of the CLIP."""
    commit: str
    hardware: str
    seconds: float
    """Of training, over all sessions, and of judging."""
    steps: int
    """Of training; 0 where there was none."""
    all_points: Score
    camera_points: Score
    """On the points that a camera sees."""


def run_folder(out: Path, row: str, seed: int) -> Path:
    """Where a run is, and its result."""
    return out / RUNS / row / f"seed_{seed}"


def _file(out: Path, row: str, seed: int) -> Path:
    return run_folder(out, row, seed) / RESULT


def write_result(out: Path, result: Result) -> None:
    """Writes the file, whole or not at all."""
    write_json(_file(out, result.row, result.seed), asdict(result))


def read_result(out: Path, config: EvidenceConfig, row: Row, seed: int) -> Result | None:
    """That of a run; None where there is none yet.

    Raises DataError for a file that is none, ConfigError for one that is of other settings.
    """
    path = _file(out, row.name, seed)
    if not path.exists():
        return None
    content = read_json(path)
    try:
        result = Result(
            **content | {name: Score.from_dict(content[name]) for name in ("all_points", "camera_points")}
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no result of evidence: {error}; delete it to do the run again") from error
    _check_same(path, result.settings, settings_of(config, row))
    return result


def read_results(out: Path, config: EvidenceConfig) -> list[Result]:
    """Those of all rows and seeds that are there, in the order of the rows.

    Raises as `read_result`, and ConfigError where they are not all of the same held-out drives and teacher.
    """
    found = (read_result(out, config, row, seed) for row in ROWS.values() for seed in row.seeds(config.seeds))
    results = [result for result in found if result is not None]
    if results:
        check_drives(out, results, results[0].all_points.points)
        _check_teacher(out, results)
    return results


def check_drives(out: Path, results: Iterable[Result], points: Mapping[str, int]) -> None:
    """Raises ConfigError for a result of other held-out drives than those with `points` of each class.

    The same settings give other drives where the simulator has changed.
    """
    for result in results:
        got = result.all_points.points
        moved = sum(abs(got.get(name, 0) - points.get(name, 0)) for name in {*got, *points})
        if moved > SAME_DRIVES * sum(points.values()):
            raise ConfigError(
                f"{_file(out, result.row, result.seed)} is of other drives: the simulator of "
                f"commit {result.commit} made other towns of the same settings; check that commit out, name "
                "another folder, or delete it to do the run again"
            )


def _check_teacher(out: Path, results: Sequence[Result]) -> None:
    first = results[0]
    for result in results:
        expected, got = first.teacher_weights, result.teacher_weights
        if got != expected:
            raise ConfigError(
                f"{_file(out, result.row, result.seed)} is of another teacher: weights "
                f"expected {expected[:12]}, as in row {first.row}, got {got[:12]}; name another folder, or "
                "delete it to do the run again"
            )


def _check_same(path: Path, got: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name in sorted({*got, *expected}):
        if got.get(name) != expected.get(name):
            want, have = (of.get(name, "its default") for of in (expected, got))
            raise ConfigError(
                f"{path} is of other settings: {name} expected {want}, got {have}; name another folder, or "
                "delete it to do the run again"
            )
