"""What the commands show in a terminal: progress, tables and figures, readable in 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text
from rich.tree import Tree

from clip2scene_core.data.bag_report import (
    BagReport,
    CameraReport,
    Finding,
    LidarReport,
    LinkReport,
    MotionReport,
    TopicReport,
)

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


def print_report(report: BagReport) -> None:
    """What is known of a bag: facts, then what it is good for."""
    scans = f", {report.motion.scans_usable} usable scans of {report.points_topic}" if report.motion else ""
    console.print(f"{report.path}: {len(report.topics)} topics{scans}", style="bold", soft_wrap=True)
    print_table(
        ("topic", "type", ">count", ">Hz", ">gap s", ">delay ms", "frame"),
        [_topic_row(topic) for topic in report.topics],
    )
    _print_tf(report.tf)
    print_table(
        ("LiDAR", ">points a scan", "intensity", "ring", "time of points", "remark"),
        [_lidar_row(lidar, main=lidar.topic == report.points_topic) for lidar in report.lidars],
    )
    print_table(
        ("camera", "images", ">size", "CameraInfo", ">scans with image", ">points seen"),
        [_camera_row(camera) for camera in report.cameras],
    )
    verdicts = [*report.node, *report.training]
    _print_findings("For the node `segment`", report.node)
    if report.node_command:
        console.print(f"  start it with\n    {report.node_command}", soft_wrap=True)
    _print_findings("For training", report.training)
    if report.labels:
        console.print(f"\nlabels in the clouds: {report.labels}")
    for note in report.notes:
        if not any(note in finding.text for finding in verdicts):
            console.print(Padding(f"note: {note}", (0, 0, 0, 2)))


def print_training_report(name: str, report: BagReport) -> None:
    """What training finds in a bag: its sensors, how they belong together, and what it lacks."""
    recorded = report.motion.scans_recorded if report.motion else 0
    console.print(
        f"\n{name}: {report.scans_with_image:,} of {recorded:,} scans can be learnt from",
        style="bold",
        soft_wrap=True,
    )
    topics = {topic.name: topic for topic in report.topics}
    cameras = [camera for camera in report.cameras if not camera.problem]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for lidar in report.lidars:
        if lidar.topic == report.points_topic:
            rate = f", {topics[lidar.topic].rate_hz:.1f} Hz" if topics[lidar.topic].rate_hz else ""
            what = f"{lidar.points_per_scan:,.0f} points a scan in '{lidar.frame_id}'"
            table.add_row("  LiDAR", f"{lidar.topic}{rate}, {what}")
    if report.motion:
        table.add_row("  ego motion", _motion(report.motion))
    for camera in cameras:
        table.add_row(f"  {camera.name}", _calibration(camera))
    console.print(table)
    print_table(
        ("  camera", ">size", ">Hz", ">ms to scan", ">at most ms", ">with image", ">points seen"),
        [_timed_camera_row(camera, topics[camera.topic]) for camera in cameras],
    )
    told = [finding for finding in report.training if not finding.fine]
    notes = [note for note in report.notes if not any(note in finding.text for finding in told)]
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    for finding in sorted(told, key=lambda finding: not finding.fatal):
        table.add_row(
            " ", Text("!!", style="red") if finding.fatal else Text("-", style="yellow"), finding.text
        )
    for note in notes:
        table.add_row(" ", Text("-"), note)
    if told or notes:
        console.print()
        console.print(table)


def stages(stage_ms: dict[str, float]) -> str:
    """One line: the time a scan takes, and how much of it each stage."""
    total = sum(stage_ms.values())
    if not total:
        return "no stages timed"
    parts = ", ".join(f"{name} {ms:.0f} ({ms / total:.0%})" for name, ms in stage_ms.items())
    return f"{total:.0f} ms a scan: {parts}"


def print_training(record: Mapping[str, Any]) -> None:
    """Where the time of a training went, by its record in the checkpoint, and what it skipped."""
    parts = dict(record["seconds_of"])
    parts["pictures and files"] = max(record["seconds"] - sum(parts.values()), 0.0)
    total = sum(parts.values()) or 1.0
    console.print(
        f"{record['frames_seen'] / total:.3g} frames/s, {record['peak_memory_mb']:,} MB at most; of the time "
        + ", ".join(f"{part} {seconds / total:.0%}" for part, seconds in parts.items())
    )
    if skipped := record["skipped"]:
        console.print(f"skipped: {', '.join(f'{count:,} {what}' for what, count in skipped.items())}")


def print_notes(notes: Sequence[str]) -> None:
    """What a user should know of a recording, a line each."""
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False, highlight=False)


def print_rows(rows: Iterable[tuple[str, str]]) -> None:
    """What is said of each thing, one below the other."""
    table = Table(show_header=False, box=None)
    for name, text in rows:
        table.add_row(name, text)
    console.print(table)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Nothing without rows; columns with `>` are numbers, the first one is broken least."""
    if not rows:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    first = min(max(len(text) for text, *_ in [columns, *rows]), console.width // 3)
    for number, name in enumerate(columns):
        if name.startswith(">"):
            table.add_column(name[1:], justify="right", overflow="fold")
        else:
            table.add_column(name, overflow="fold", width=None if number else first)
    for row in rows:
        table.add_row(*row)
    console.print()
    console.print(table)


def print_wrote(what: str) -> None:
    """Without line breaks, so that a path can be copied."""
    console.print(f"wrote {what}", soft_wrap=True)


def _topic_row(topic: TopicReport) -> tuple[str, ...]:
    ahead_ms = topic.header_minus_recorded_ms
    return (
        topic.name,
        topic.type.rpartition("/")[2],
        f"{topic.messages:,}",
        _hz(topic),
        f"{topic.longest_gap_s:.2f}" if topic.messages > 1 else "-",
        "-" if ahead_ms is None else f"{0.0 - ahead_ms:,.0f}",
        ", ".join(topic.frame_ids) or "-",
    )


def _lidar_row(lidar: LidarReport, *, main: bool) -> tuple[str, ...]:
    has = ["yes" if known else "no" for known in (lidar.intensity, lidar.ring, lidar.point_times)]
    remark = "; ".join([*(["main"] if main else []), *lidar.notes])
    return (lidar.topic, f"{lidar.points_per_scan:,.0f}", *has, remark)


def _camera_row(camera: CameraReport) -> tuple[str, ...]:
    return (
        camera.name,
        camera.topic,
        f"{camera.width} x {camera.height}" if camera.width else "-",
        camera.model or camera.camera_info,
        "left out" if camera.problem else _whole_percent(camera.scans_with_image),
        _whole_percent(camera.points_seen),
    )


def _calibration(camera: CameraReport) -> str:
    """What relates the images of a camera to the LiDAR."""
    return f"{camera.topic}, {camera.model} by {camera.info_topic}, TF {' > '.join(camera.chain)}"


def _timed_camera_row(camera: CameraReport, images: TopicReport) -> tuple[str, ...]:
    offsets_ms = (camera.image_offset_ms, camera.largest_offset_ms)
    return (
        f"  {camera.name}",
        f"{camera.width} x {camera.height}",
        _hz(images),
        *("-" if offset_ms is None else f"{offset_ms:,.0f}" for offset_ms in offsets_ms),
        _whole_percent(camera.scans_with_image),
        _whole_percent(camera.points_seen),
    )


def _motion(motion: MotionReport) -> str:
    if not motion.moves:
        return "not known"
    by = {"tf": f"TF {' > '.join(motion.chain)}", "kiss-icp": "KISS-ICP over the scans"}
    return by.get(motion.whence, f"{motion.whence}, in '{motion.fixed_frame}'")


def _print_tf(links: Sequence[LinkReport]) -> None:
    """One tree for each root; frames in a loop have none and stand on their own."""
    children: dict[str, list[LinkReport]] = {}
    for link in links:
        children.setdefault(link.parent, []).append(link)
    roots = sorted(children.keys() - {link.child for link in links}) or sorted(children)[:1]
    console.print("\nTF" if links else "\nTF: none", style="bold")
    for root in roots:
        tree = Tree(root)
        _grow(tree, root, children, (root,))
        console.print(tree)


def _grow(tree: Tree, frame: str, children: Mapping[str, list[LinkReport]], above: tuple[str, ...]) -> None:
    for link in children.get(frame, ()):
        how = "static" if link.static else f"{link.rate_hz:.1f} Hz over {link.span_s:.1f} s"
        again = link.child in above
        branch = tree.add(f"{link.child}  ({how}{', A LOOP' if again else ''})")
        if not again:
            _grow(branch, link.child, children, (*above, link.child))


def _print_findings(title: str, findings: Sequence[Finding]) -> None:
    console.print(f"\n{title}", style="bold")
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    for finding in findings:
        mark = Text("ok", style="green") if finding.fine else Text("!!", style="yellow")
        table.add_row(" ", mark, finding.text)
    console.print(table)


def _hz(topic: TopicReport) -> str:
    return f"{topic.rate_hz:.1f}" if topic.rate_hz else "-"


def _whole_percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _percentiles(ms: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in ms.items())
