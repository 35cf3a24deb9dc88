"""What the commands show in a terminal: progress, tables and figures, readable in 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

console = Console(highlight=False, markup=False, emoji=False)


class _Count(ProgressColumn):
    """How many are done, of how many where that is known, and how fast."""

    def render(self, task: Task) -> Text:
        count = f"{task.completed:.0f}" if task.total is None else f"{task.completed:.0f}/{task.total:.0f}"
        speed = task.finished_speed or task.speed
        if not speed:
            return Text(count)
        return Text(f"{count} {speed:.1f}/s" if speed >= 1 else f"{count} {1 / speed:.1f} s each")


@contextmanager
def progress(what: str, total: int | None = None, *, at_once: bool = True) -> Iterator[Callable[..., None]]:
    """A bar with rate and ETA; gives a function of (done, text="", total=None). A second pass restarts it.

    Unless `at_once` there is no bar before the first report, which may never come.
    """
    columns = (
        TextColumn(what),
        BarColumn(),
        _Count(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[text]}"),
    )
    bar = Progress(*columns, console=console, speed_estimate_period=300)
    bar.add_task(what, total=total, text="")
    (task,) = bar.tasks
    with ExitStack() as stack:
        if at_once:
            stack.enter_context(bar)

        def report(done: int, text: str = "", total: int | None = None) -> None:
            if not bar.live.is_started:
                stack.enter_context(bar)
            if done < task.completed:
                bar.reset(task.id)
            bar.update(task.id, completed=done, total=total, text=text or task.fields["text"])

        yield report


def print_demo(figures: dict[str, Any]) -> None:
    """The figures of a DemoSummary."""
    console.print(
        f"{figures['labelled']} of {figures['scans']} scans labelled, "
        f"{figures['points_per_scan']:,.0f} points each, "
        f"{'every row kept' if figures['every_row_kept'] else 'ROWS DIFFER FROM THE INPUT'}"
    )
    console.print(
        f"one by one: {figures['rate_hz']:.2f} scans/s, latency ms {_percentiles(figures['latency_ms'])}"
    )
    console.print(stages(figures["stage_ms"]))
    if live := figures["real_time"]:
        console.print(
            f"at {live['rate']:g} x real time: {live['labelled']} of {live['scans']} scans labelled "
            f"({live['labelled_hz']:.2f} of {live['scans_hz']:.2f} scans/s), {live['overtaken']} dropped, "
            f"latency ms {_percentiles(live['latency_ms'])}"
        )
    if evaluation := figures["evaluation"]:
        print_iou(evaluation, title="against the truth in the bag")
    for note in figures["notes"]:
        console.print(f"note: {note}")


def print_iou(figures: dict[str, Any], *, title: str) -> None:
    """The figures of an Evaluation, class by class."""
    more_than = figures["miou_over_classes_with_more_points_than"]
    table = Table("class", title=title)
    table.add_column("IoU %", justify="right")
    table.add_column("points", justify="right")
    table.add_column("in the mean")
    for name, iou in figures["iou"].items():
        points = figures["points_of_class"][name]
        table.add_row(name, _percent(iou), f"{points:,}", "yes" if points > more_than else "no")
    console.print(table)
    console.print(
        f"mIoU {_percent(figures['miou'])} % over classes with more than {more_than:,} points, "
        f"{figures['frames']} scans, accuracy {_percent(figures['accuracy'])} %"
    )


def stages(stage_ms: dict[str, float]) -> str:
    """One line: the time a scan takes, and how much of it each stage."""
    total = sum(stage_ms.values())
    if not total:
        return "no stages timed"
    parts = ", ".join(f"{name} {ms:.0f} ({ms / total:.0%})" for name, ms in stage_ms.items())
    return f"{total:.0f} ms a scan: {parts}"


def print_wrote(what: str) -> None:
    """Without line breaks, so that a path can be copied."""
    console.print(f"wrote {what}", soft_wrap=True)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _percentiles(ms: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in ms.items())
