"""The table of the evidence, as Markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from clip2scene_core.config import EvidenceConfig
from clip2scene_core.evidence.claims import Claim, claims
from clip2scene_core.evidence.results import Result
from clip2scene_core.evidence.rows import ROWS, WHOLE, Row
from clip2scene_core.evidence.statistics import Figures, figures_of, order_as_in_paper
from clip2scene_core.writing import whole_file, write_json

TABLE_FILE, RESULTS_FILE = "table.md", "results.json"
COLUMNS = (
    "row",
    "what",
    "seeds",
    "mIoU %, all points",
    f"to {WHOLE}",
    "mIoU %, camera points",
    "paper %",
    f"to {WHOLE}",
    "order as in paper",
)
"""Of the first table; the third and those after it are numbers, but for the last."""
IN_SHORT = (0, 3, 4, 5, 6, 8)
"""Those that fit into a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All that was gathered."""

    rows: Mapping[str, Figures]
    """By name, in the order of the table."""
    claims: tuple[Claim, ...]
    commits: tuple[str, ...]
    hardware: tuple[str, ...]

    @property
    def all_hold(self) -> bool:
        """Whether every claim does."""
        return all(claim.holds for claim in self.claims)

    def lines(self) -> list[tuple[str, ...]]:
        """Those of the first table, under COLUMNS."""
        return [_line(ROWS[name], self.rows) for name in self.rows]


def write_table(out: Path, config: EvidenceConfig, results: Sequence[Result]) -> Table:
    """Writes table.md and results.json into `out`, each whole or not at all."""
    rows = figures_of(results)
    table = Table(
        rows=rows,
        claims=claims(config, rows),
        commits=tuple(sorted({result.commit for result in results})),
        hardware=tuple(sorted({result.hardware for result in results})),
    )
    with whole_file(out / TABLE_FILE) as temporary:
        temporary.write_text(_markdown(table, config), encoding="utf-8")
    write_json(out / RESULTS_FILE, _plain(table))
    return table


def _line(row: Row, rows: Mapping[str, Figures]) -> tuple[str, ...]:
    figures, whole, in_paper = rows[row.name], rows.get(WHOLE), ROWS[WHOLE].paper
    other = row.name != WHOLE
    to_whole = figures.all_points.mean - whole.all_points.mean if whole and other else None
    paper_to_whole = row.paper - in_paper if row.paper is not None and in_paper and other else None
    return (
        row.name,
        row.what,
        str(figures.all_points.seeds),
        str(figures.all_points),
        _signed(to_whole),
        str(figures.camera_points),
        _number(row.paper),
        _signed(paper_to_whole),
        order_as_in_paper(row, rows) or "",
    )


def _markdown(table: Table, config: EvidenceConfig) -> str:
    drives = config.drives
    numbers = "".join(" ---: |" for _ in COLUMNS[2:-1])
    parts = [
        f"{drives.training} drives of {drives.frames} frames to learn from, {drives.held_out} held out; "
        f"{drives.lidar}, cameras {drives.cameras} of {drives.size}. mIoU is the mean over seeds ± half of "
        f"their range, over classes with more than {config.least_points:,} points. Commit "
        f"{', '.join(table.commits) or 'none'}; {', '.join(table.hardware) or 'no hardware'}.",
        "\n".join([_joined(COLUMNS), f"| --- | --- |{numbers} --- |", *map(_joined, table.lines())]),
        "\n".join(f"- {'holds' if c.holds else 'FAILS'}: {c.text}: {c.found}." for c in table.claims),
    ]
    if table.rows:
        parts.append(_classes(table.rows))
    return "\n\n".join(parts) + "\n"


def _classes(rows: Mapping[str, Figures]) -> str:
    """The second table: the IoU of each class, on all points."""
    names = tuple(next(iter(rows.values())).iou)
    numbers = "".join(" ---: |" for _ in (*names, "minutes"))
    lines = [
        _joined((name, *(_number(figures.iou[c]) for c in names), f"{figures.minutes:.1f}"))
        for name, figures in rows.items()
    ]
    return "\n".join([_joined(("IoU %, all points", *names, "minutes a run")), f"| --- |{numbers}", *lines])


def _joined(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(table: Table) -> dict[str, object]:
    """For JSON, with what the table says of each row."""
    return {
        "rows": {
            name: {
                **asdict(figures),
                "paper": ROWS[name].paper,
                "order_as_in_paper": order_as_in_paper(ROWS[name], table.rows),
            }
            for name, figures in table.rows.items()
        },
        "claims": [asdict(claim) for claim in table.claims],
        "commits": table.commits,
        "hardware": table.hardware,
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.1f}"
