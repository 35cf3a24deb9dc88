"""The command line: `clip2scene COMMAND`; the only place that prints and sets exit codes."""

from __future__ import annotations

import json
import os
import platform
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text
from typer.core import TyperGroup

import clip2scene_core
from clip2scene_core import config as configuration
from clip2scene_core.config import InferenceConfig, RunConfig
from clip2scene_core.errors import Clip2SceneError, DataError, MissingExtraError
from clip2scene_core.writing import whole_file


class _Commands(TyperGroup):
    """Says what went wrong in one line: exit code 1 for what the user can mend, 130 for an interruption."""

    def invoke(self, ctx: typer.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of a pipe has left, which typer knows how to take
            raise
        except (Clip2SceneError, OSError) as error:
            typer.echo(f"{typer.style('error:', fg='red')} {error}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
console = Console(highlight=False, markup=False, emoji=False)

SourceKind = Annotated[str, typer.Argument(help="nuscenes, kitti-raw, semantic-kitti, rosbag or simulated")]
Root = Annotated[Path, typer.Argument(help="folder of the recording; for `simulated` a folder of `simulate`")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="a setting of inference, such as scan_statistics=0"),
]
CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", metavar="FILE", help="a .safetensors file; default: the shipped one")
]
With = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="KEY=VALUE", help="an option of the recording, such as sequences=00,08"),
]
Frames = Annotated[int, typer.Option(min=0, help="only the first so many frames; 0 for all")]


def main() -> None:
    """Runs the command that the arguments name, and exits."""
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clip2scene {clip2scene_core.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Names every LiDAR point in words of your choice, without anybody labelling a point."""


@app.command()
def demo(
    bag: Annotated[Path | None, typer.Option(help="a recorded bag; default: a simulated drive")] = None,
    out: Annotated[Path, typer.Option(help="folder of the results")] = Path("out/demo"),
    checkpoint: CheckpointOption = "",
    frames: Annotated[int, typer.Option(min=1, help="scans of the simulated drive")] = 50,
    lidar: Annotated[str, typer.Option(help="LiDAR of the simulated drive")] = "HDL-64E",
    seed: Annotated[int, typer.Option(min=0, help="town and drive")] = 1,
    rate: Annotated[
        float,
        typer.Option(min=0, help="speed of a second pass in real time; 1 is as recorded, 0 leaves it out"),
    ] = 1.0,
) -> None:
    """Plays a drive through ROS 2 into the node, records the labelled cloud, writes figures and a picture."""
    try:
        from clip2scene_ros.demo import run_demo
    except ImportError as error:
        raise MissingExtraError(error.name or "rclpy", "ros") from error
    if bag is None:
        from clip2scene_core.data import open_source
        from clip2scene_core.data.bag_writer import write_bag

        bag = out / "drive"
        source = open_source("simulated", None, seed=seed, frames=frames, lidar=lidar)
        with _progress("simulating", len(source)) as report:
            write_bag(source, bag, overwrite=True, progress=report)
    _check_is_no_input(out / "labelled", bag)
    with _progress("labelling") as report:
        summary = run_demo(bag, out, checkpoint=checkpoint, rate=rate, progress=report)
    _print_demo(summary.to_dict())
    if not summary.labelled:
        raise DataError(f"no scan of {bag} was labelled; {out / 'node.log'} says why")
    _picture_of_demo(bag, out)
    _print_wrote(f"labelled, summary.json and picture.png to {out}")


@app.command()
def convert(
    kind: SourceKind,
    root: Root,
    out: Annotated[Path, typer.Argument(help="folder of the bag to write")],
    options: With = None,
    frames: Frames = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a bag that is there")] = False,
) -> None:
    """Writes any recording to an MCAP bag that other ROS tools can play."""
    from clip2scene_core.data.bag_writer import write_bag

    _check_is_no_input(out, root)
    source = _open(kind, root, frames, options)
    with _progress("converting", len(source)) as report:
        write_bag(source, out, overwrite=overwrite, progress=report)
    _print_wrote(str(out))


@app.command()
def inspect(kind: SourceKind, root: Root, options: With = None) -> None:
    """Shows what a recording holds."""
    source = _open(kind, root, 0, options)
    frame = source[0]
    table = Table(show_header=False, box=None)
    table.add_row("frames", str(len(source)))
    table.add_row("first scan", f"{len(frame.scan.xyz):,} points, frame '{frame.scan.frame_id}'")
    columns = [n for n in ("intensity", "ring", "time_offset_ns") if getattr(frame.scan, n) is not None]
    table.add_row("columns", ", ".join(["xyz", *columns]))
    for name, image in frame.images.items():
        camera = image.camera
        table.add_row(f"camera {name}", f"{camera.width} x {camera.height}, {camera.model}")
    predicted = frame.labels is not None and frame.labels.probability is not None
    vocabulary = source.label_set.name if source.label_set else "none"
    table.add_row("predictions" if predicted else "ground truth", vocabulary)
    for note in source.notes:
        table.add_row("note", note)
    console.print(table)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="folder of the sweeps")],
    towns: Annotated[int, typer.Option(min=1, help="how many towns")] = 100,
    sweeps: Annotated[int, typer.Option(min=1, help="sweeps from each town")] = 6,
    first_seed: Annotated[int, typer.Option(min=0, help="seed of the first town")] = 0,
) -> None:
    """Writes labelled sweeps of random LiDARs in random towns; goes on where it was interrupted."""
    from clip2scene_core.simulation.sweeps import write_sweeps

    with _progress("simulating towns", towns) as report:
        write_sweeps(out, range(first_seed, first_seed + towns), sweeps=sweeps, progress=report)
    _print_wrote(str(out))


@app.command()
def finetune(
    kind: SourceKind,
    root: Root,
    out: Annotated[Path, typer.Argument(help="folder of the run; an interrupted run goes on")],
    config: Annotated[Path | None, typer.Option(help="YAML file of settings")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="such as training.steps=100")
    ] = None,
    options: With = None,
) -> None:
    """Trains a student on labelled scans."""
    from clip2scene_core.training.finetune import finetune as train

    run = configuration.load(RunConfig, config, settings or ())
    source = _open(kind, root, 0, options)
    record = {
        "command": " ".join(["clip2scene", *sys.argv[1:]]),
        "scans": len(source),
        "hardware": _hardware(run.training.device),
    }
    with _progress("training", run.training.steps) as report:
        path = train(
            run,
            source,
            out,
            record=record,
            report=lambda step, losses: report(step, " ".join(f"{k} {v:.3f}" for k, v in losses.items())),
        )
        report(run.training.steps)  # a run that was finished before has nothing to report
    _print_wrote(str(path))


@app.command()
def label(
    kind: SourceKind,
    root: Root,
    out: Annotated[Path, typer.Argument(help="folder of the results")],
    checkpoint: CheckpointOption = "",
    settings: Set = None,
    options: With = None,
    frames: Frames = 0,
) -> None:
    """Labels every scan without ROS: a bag of labelled clouds, a summary and a picture."""
    from clip2scene_core.data.bag_writer import write_bag
    from clip2scene_core.evaluation.evaluate import median_stages
    from clip2scene_core.evaluation.pictures import save_picture
    from clip2scene_core.inference.labelled import LabelledSource

    _check_is_no_input(out / "labelled", root)
    source = LabelledSource(_open(kind, root, frames, options), _segmenter(checkpoint, settings))
    with _progress("labelling", len(source)) as report:
        write_bag(source, out / "labelled", overwrite=True, progress=report)
    figures = {"scans": len(source), "stage_ms": median_stages(list(source.stage_ms.values()))}
    _write_json(out / "summary.json", figures)
    middle = len(source) // 2
    frame = source[middle]
    save_picture(
        out / "picture.png",
        frame,
        frame.labels,
        source.label_set,
        base_from_lidar=source.mounting(middle)[frame.scan.frame_id],
        title=f"{kind} {root.name}",
    )
    console.print(f"{len(source)} labelled, {_stages(figures['stage_ms'])}")
    _print_wrote(f"labelled, summary.json and picture.png to {out}")


@app.command()
def evaluate(
    kind: SourceKind,
    root: Root,
    label_set: Annotated[str, typer.Option(help="vocabulary of truth and predictions")] = "street",
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    checkpoint: CheckpointOption = "",
    settings: Set = None,
    options: With = None,
    frames: Frames = 0,
    more_than: Annotated[
        int, typer.Option(min=0, help="classes of no more points than this do not count in the mean")
    ] = 1000,
) -> None:
    """Labels a recording with ground truth and prints the IoU of each class."""
    from clip2scene_core.evaluation.evaluate import evaluate as run
    from clip2scene_core.labels import LabelSet

    vocabulary = LabelSet.named(label_set)
    source, segmenter = _open(kind, root, frames, options), _segmenter(checkpoint, settings)
    with _progress("evaluating", len(source)) as report:
        result = run(source, segmenter, vocabulary, report)
    figures = result.to_dict(more_than=more_than)
    _print_iou(figures, title=f"{kind} {root}")
    console.print(_stages(figures["stage_ms"]))
    if json_file is not None:
        figures["checkpoint"] = checkpoint or "shipped"
        _write_json(json_file, figures)
        _print_wrote(str(json_file))


def _open(kind: str, root: Path, frames: int, options: list[str] | None) -> Any:
    from clip2scene_core.data import open_source
    from clip2scene_core.data.open import parse_options
    from clip2scene_core.data.source import FirstFrames

    source = open_source(kind, root, **parse_options(kind, root, options or ()))
    if not len(source):
        raise DataError(f"{kind} recording {root} has no frames")
    return FirstFrames(source, frames) if 0 < frames < len(source) else source


def _segmenter(checkpoint: str, settings: list[str] | None) -> Any:
    from clip2scene_core.inference import SemanticSegmenter

    config = configuration.load(InferenceConfig, None, settings or ())
    return SemanticSegmenter.from_checkpoint(checkpoint or None, config=config)


def _check_is_no_input(bag: Path, root: Path) -> None:
    if bag.resolve() == root.resolve():
        raise DataError(f"{bag} is the recording itself, which would be replaced; name another folder")


def _hardware(device: str) -> str:
    import torch

    from clip2scene_core.build import choose_device

    chosen, cpu = choose_device(device), f"{platform.machine()}, {os.cpu_count()} CPU cores"
    return cpu if chosen.type == "cpu" else f"{torch.cuda.get_device_name(chosen)}, {cpu}"


class _Count(ProgressColumn):
    """How many are done, of how many where that is known, and how fast."""

    def render(self, task: Task) -> Text:
        count = f"{task.completed:.0f}" if task.total is None else f"{task.completed:.0f}/{task.total:.0f}"
        speed = task.finished_speed or task.speed
        if not speed:
            return Text(count)
        return Text(f"{count} {speed:.1f}/s" if speed >= 1 else f"{count} {1 / speed:.1f} s each")


@contextmanager
def _progress(what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar with rate and ETA; gives a function of (done, text="", total=None). A second pass restarts it."""
    columns = (
        TextColumn(what),
        BarColumn(),
        _Count(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=console, speed_estimate_period=300) as progress:
        progress.add_task(what, total=total, text="")
        (task,) = progress.tasks

        def report(done: int, text: str = "", total: int | None = None) -> None:
            if done < task.completed:
                progress.reset(task.id)
            progress.update(task.id, completed=done, total=total, text=text or task.fields["text"])

        yield report


def _picture_of_demo(bag: Path, out: Path) -> None:
    """The scan in the middle of the drive with the labels that the node gave it."""
    from clip2scene_core.data import open_source
    from clip2scene_core.evaluation.pictures import save_picture

    drive, labelled = open_source("rosbag", bag), open_source("rosbag", out / "labelled")
    answer = labelled[len(labelled) // 2]
    index = bisect_left(range(len(drive)), answer.scan.stamp_ns, key=lambda i: drive[i].scan.stamp_ns)
    frame = drive[index]
    save_picture(
        out / "picture.png",
        frame,
        answer.labels,
        labelled.label_set,
        base_from_lidar=drive.mounting(index)[frame.scan.frame_id],
        title=str(bag),
    )


def _print_demo(figures: dict[str, Any]) -> None:
    console.print(
        f"{figures['labelled']} of {figures['scans']} scans labelled, "
        f"{figures['points_per_scan']:,.0f} points each, "
        f"{'every row kept' if figures['every_row_kept'] else 'ROWS DIFFER FROM THE INPUT'}"
    )
    console.print(
        f"one by one: {figures['rate_hz']:.2f} scans/s, latency ms {_percentiles(figures['latency_ms'])}"
    )
    console.print(_stages(figures["stage_ms"]))
    if live := figures["real_time"]:
        console.print(
            f"at {live['rate']:g} x real time: {live['labelled']} of {live['scans']} scans labelled "
            f"({live['labelled_hz']:.2f} of {live['scans_hz']:.2f} scans/s), {live['overtaken']} dropped, "
            f"latency ms {_percentiles(live['latency_ms'])}"
        )
    if evaluation := figures["evaluation"]:
        _print_iou(evaluation, title="against the truth in the bag")
    for note in figures["notes"]:
        console.print(f"note: {note}")


def _print_iou(figures: dict[str, Any], *, title: str) -> None:
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


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _percentiles(ms: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in ms.items())


def _stages(stage_ms: dict[str, float]) -> str:
    total = sum(stage_ms.values())
    parts = ", ".join(f"{name} {ms:.0f} ({ms / total:.0%})" for name, ms in stage_ms.items())
    return f"{total:.0f} ms a scan: {parts}" if total else "no stages timed"


def _print_wrote(what: str) -> None:
    """Without line breaks, so that a path can be copied."""
    console.print(f"wrote {what}", soft_wrap=True)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
