"""The command line: `clip2scene COMMAND`; the only place that prints and sets exit codes."""

from __future__ import annotations

import json
from bisect import bisect_left
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from typer.core import TyperCommand, TyperGroup

import clip2scene_core
from clip2scene_core import config as configuration
from clip2scene_core.config import InferenceConfig, PretrainConfig, RunConfig, TeacherConfig
from clip2scene_core.data.bag_writer import ImageFormat, write_bag
from clip2scene_core.data.new_bag import BagFormat
from clip2scene_core.data.open import find_recordings, known_options, parse_options
from clip2scene_core.errors import (
    CalibrationError,
    Clip2SceneError,
    ConfigError,
    DataError,
    MissingExtraError,
)
from clip2scene_core.terminal import (
    console,
    print_demo,
    print_iou,
    print_notes,
    print_report,
    print_rows,
    print_training,
    print_wrote,
    progress,
    stages,
)
from clip2scene_core.training_commands import (
    command_line,
    in_words,
    learn_from_clip,
    pretrain_on_bags,
    pretraining,
    recording_name,
    sweeps_to_read,
    teacher_settings,
    training_record,
)
from clip2scene_core.writing import whole_file


class _InOneLine:
    """Says what went wrong in one line: exit code 1 for what the user can mend, 130 for an interruption."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)  # type: ignore[misc]  # of the class beside this one
        except BrokenPipeError:  # the reader of a pipe has left, which typer knows how to take
            raise
        except (Clip2SceneError, OSError) as error:
            typer.echo(f"{typer.style('error:', fg='red')} {error}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from error


class Commands(_InOneLine, TyperGroup):
    """Those of `clip2scene`."""


class Command(_InOneLine, TyperCommand):
    """One that is a program of its own."""


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
SourceKind = Annotated[
    str, typer.Argument(help="nuscenes, t4, kitti-raw, semantic-kitti, scannet, rosbag or simulated")
]
Root = Annotated[
    Path,
    typer.Argument(
        help="folder of the recording, or of several bags; for `simulated` sweeps of `simulate`, or - for "
        "drives made on the fly"
    ),
]
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
Words = Annotated[
    str,
    typer.Option(
        "--words",
        help='a vocabulary of your own, such as "road, car|van, tram": a bar between phrases of a class',
    ),
]
VocabularyOption = Annotated[
    str, typer.Option("--label-set", metavar="NAME|FILE", help="the vocabulary where no words are given")
]
Model = Annotated[
    str,
    typer.Option(
        "--model", help="the teacher: a CLIP of open_clip, hf-hub:ORGANISATION/NAME or local-dir:FOLDER"
    ),
]
Pretrained = Annotated[str, typer.Option("--pretrained", metavar="TAG|FILE", help="weights of the teacher")]
TeacherFile = Annotated[Path | None, typer.Option("--config", help="YAML file of settings of the teacher")]
TeacherSet = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="a setting of the teacher, such as pretrained=FILE"),
]
Frames = Annotated[int, typer.Option(min=0, help="only the first so many frames; 0 for all")]
RunFile = Annotated[Path | None, typer.Option("--config", help="YAML file of settings")]
RunSet = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="a setting of the run, such as training.batch=2"),
]
Resume = Annotated[Path | None, typer.Option("--resume", metavar="RUN", help="folder of a run to go on with")]
Check = Annotated[bool, typer.Option("--check", help="only say what is in the bags and what they lack")]
SkipUnusable = Annotated[
    bool, typer.Option("--skip-unusable", help="leave out bags that cannot be learnt from")
]


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
    seed: Annotated[int, typer.Option(min=0, help="town and drive")] = 2001,
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

        bag = out / "drive"
        source = open_source("simulated", None, seed=seed, frames=frames, lidar=lidar)
        with progress("simulating", len(source)) as report:
            write_bag(source, bag, overwrite=True, progress=report)
    _check_is_no_input(out / "labelled", bag)
    with progress("labelling") as report:
        summary = run_demo(bag, out, checkpoint=checkpoint, rate=rate, progress=report)
    print_demo(summary.to_dict())
    if not summary.labelled:
        raise DataError(f"no scan of {bag} was labelled; {out / 'node.log'} says why")
    _picture_of_demo(bag, out)
    print_wrote(f"labelled, summary.json and picture.png to {out}")


@app.command()
def convert(
    kind: SourceKind,
    root: Root,
    out: Annotated[Path, typer.Argument(help="folder of the bag to write; NAME.bag for ros1")],
    options: With = None,
    frames: Frames = 0,
    format: Annotated[BagFormat, typer.Option("--format", help="of the bag")] = BagFormat.MCAP,
    compress: Annotated[bool, typer.Option("--compress", help="pack messages, with zstd or lz4")] = False,
    images: Annotated[
        ImageFormat, typer.Option("--images", help="of those that are not JPEG or PNG already; raw: of all")
    ] = ImageFormat.JPEG,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a bag that is there")] = False,
) -> None:
    """Writes any recording to a bag that other ROS tools can play."""
    _check_is_no_input(out, root)
    source = _open(kind, root, frames, options)
    with progress("converting", len(source)) as report:
        write_bag(
            source, out, format=format, compress=compress, images=images, overwrite=overwrite, progress=report
        )
    print_wrote(str(out))


@app.command()
def inspect(
    what: Annotated[
        str,
        typer.Argument(metavar="BAG|KIND", help="a bag, a folder of bags, or the kind of another recording"),
    ],
    root: Annotated[Path | None, typer.Argument(help="folder of the recording, after its kind")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="file for the report on a bag, or a list of reports")
    ] = None,
    options: With = None,
) -> None:
    """Shows what a recording holds; of a bag, what it is good for and what it lacks, too."""
    if root is None or what == "rosbag":
        _inspect_bag(Path(what) if root is None else root, json_file, options)
    elif json_file is None:
        _inspect_frames(what, root, options)
    else:
        raise ConfigError(f"--json is for bags; `clip2scene convert {what} {root} BAG` makes one")


def _inspect_bag(bag: Path, json_file: Path | None, options: list[str] | None) -> None:
    from clip2scene_core.data.inspection import inspect_bag

    if not bag.exists():
        raise DataError(f"{bag} does not exist; it has to be a bag, or a kind and a folder, see --help")
    settings, reports = parse_options("rosbag", bag, options or ()), []
    for path in find_recordings("rosbag", bag).values():
        with progress("motion by KISS-ICP", at_once=False) as told:
            reports.append(inspect_bag(path, told, **settings))
        print_report(reports[-1])
    if json_file is not None:
        contents = [report.to_dict() for report in reports]
        _write_json(json_file, contents if len(contents) > 1 else contents[0])
        print_wrote(str(json_file))


def _inspect_frames(kind: str, root: Path, options: list[str] | None) -> None:
    source = _open(kind, root, 0, options, tell_notes=False)
    frame = source[0]
    columns = [
        n for n in ("intensity", "ring", "time_offset_ns", "rgb") if getattr(frame.scan, n) is not None
    ]
    cameras = {name: image.camera for name, image in frame.images.items()}
    predicted = frame.labels is not None and frame.labels.probability is not None
    rows = [
        ("frames", str(len(source))),
        ("first scan", f"{len(frame.scan.xyz):,} points, frame '{frame.scan.frame_id}'"),
        ("columns", ", ".join(["xyz", *columns])),
        *((f"camera {name}", f"{c.width} x {c.height}, {c.model}") for name, c in cameras.items()),
        (
            "predictions" if predicted else "ground truth",
            source.label_set.name if source.label_set else "none",
        ),
        *(("note", note) for note in source.notes),
    ]
    print_rows(rows)


class Recording(str, Enum):
    """What is written of simulated towns."""

    SWEEPS = "sweeps"
    VIEWS = "views"
    BAG = "bag"
    NUSCENES = "nuscenes"


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="folder of what is written")],
    form: Annotated[
        Recording,
        typer.Option("--as", help="single sweeps or pictures, or drives: a bag each, or scenes of nuScenes"),
    ] = Recording.SWEEPS,
    towns: Annotated[
        int, typer.Option("--towns", "--drives", min=1, help="how many, with one drive through each")
    ] = 100,
    first_seed: Annotated[int, typer.Option(min=0, help="seed of the first town")] = 0,
    sweeps: Annotated[int | None, typer.Option(min=1, help="sweeps from each town; default: 6")] = None,
    views: Annotated[int | None, typer.Option(min=1, help="pictures from each town; default: 12")] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="frames of a drive, in nuScenes keyframes; default: 20")
    ] = None,
    lidar: Annotated[
        str | None, typer.Option(help="HDL-32E, HDL-64E, VLP-16, VLS-128 or random; default: the rig's")
    ] = None,
    cameras: Annotated[
        str | None, typer.Option(help="nuscenes, kitti, none or a number; default: nuscenes")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="of the images; default: the rig's")
    ] = None,
    lens: Annotated[
        str | None, typer.Option(help="pinhole, plumb_bob or equidistant; default: pinhole")
    ] = None,
    style: Annotated[str | None, typer.Option(help="of the towns, such as village; default: any")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes, about 1 GB each")] = 1,
) -> None:
    """Writes labelled sweeps, pictures or whole drives of random towns; goes on where it was interrupted."""
    from clip2scene_core.data.drives import write_bags, write_nuscenes
    from clip2scene_core.simulation.rigs import parse_size
    from clip2scene_core.simulation.sweeps import write_sweeps
    from clip2scene_core.simulation.views import write_views

    seeds = range(first_seed, first_seed + towns)
    drives = {"frames": frames, "lidar": lidar, "cameras": cameras, "lens": lens, "style": style}
    of_drives = {Recording.BAG, Recording.NUSCENES}
    for name, value, forms in (
        ("sweeps", sweeps, {Recording.SWEEPS}),
        ("views", views, {Recording.VIEWS}),
        ("size", size, {Recording.VIEWS, *of_drives}),
        *((name, value, of_drives) for name, value in drives.items()),
    ):
        if value is not None and form not in forms:
            known = " or ".join(each.value for each in Recording if each in forms)
            raise ConfigError(f"--{name} is for --as {known}, got --as {form.value}")
    image_size = parse_size(size) if size else None
    if form is Recording.SWEEPS:
        with progress("simulating towns", towns) as report:
            write_sweeps(out, seeds, sweeps=sweeps or 6, workers=workers, progress=report)
    elif form is Recording.VIEWS:
        chosen = {"size": image_size} if image_size else {}
        with progress("simulating towns", towns) as report:
            write_views(out, seeds, views=views or 12, **chosen, workers=workers, progress=report)
    else:
        settings = {
            **drives,
            "frames": frames or 20,
            "cameras": cameras or "nuscenes",
            "image_size": image_size,
            "lens": lens or "pinhole",
        }
        write = write_bags if form is Recording.BAG else write_nuscenes
        with progress("simulating frames") as report:
            write(out, seeds, settings, workers=workers, progress=report)
    print_wrote(str(out))


@app.command()
def finetune(
    kind: SourceKind,
    root: Root,
    out: Annotated[Path, typer.Argument(help="folder of the run; an interrupted run goes on")],
    config: RunFile = None,
    settings: RunSet = None,
    start: Annotated[
        str,
        typer.Option("--from", metavar="FILE", help="a checkpoint to begin from, pre-trained or not"),
    ] = "",
    options: With = None,
) -> None:
    """Trains a student on labelled scans."""
    from clip2scene_core import checkpoint as checkpoints
    from clip2scene_core.training.beginning import begin
    from clip2scene_core.training.finetune import finetune as train

    chosen = [*(settings or ()), *([f"start={json.dumps(start)}"] if start else [])]
    run = configuration.load(RunConfig, config, chosen)
    if run.start:  # the student is that of the checkpoint where nothing else is said
        default = RunConfig(student=checkpoints.load(run.start).student)
        run = configuration.load(RunConfig, config, chosen, default=default)
    beginning = begin(run)
    source = _open(kind, root, 0, options)
    print_notes(beginning.notes)
    record = training_record("clip2scene", len(source), run.training.device)
    with progress("training", run.training.steps) as report:
        path = train(
            run,
            source,
            beginning,
            out,
            record=record,
            report=lambda step, losses: report(step, in_words(losses)),
        )
        report(run.training.steps)  # a run that was finished before has nothing to report
    print_training(checkpoints.load(path).training)
    print_wrote(str(path))


@app.command("train-clip")
def train_clip(
    views: Annotated[Path, typer.Argument(help="folder of pictures of `simulate`")],
    out: Annotated[Path, typer.Argument(help="folder of the run; an interrupted run goes on")],
    config: RunFile = None,
    settings: RunSet = None,
) -> None:
    """Trains a tiny CLIP of the simulated town on pictures with captions: a teacher that can be shipped."""
    from clip2scene_core.config import StreetClipConfig
    from clip2scene_core.training.street_clip import train_street_clip

    run = configuration.load(StreetClipConfig, config, settings or ())
    record = training_record("clip2scene", 0, run.training.device)
    with progress("training", run.training.steps) as report:
        path = train_street_clip(
            run,
            views,
            out,
            record=record,
            report=lambda step, losses: report(step, in_words(losses)),
        )
        report(run.training.steps)
    print_wrote(str(path))


@app.command()
def pretrain(
    kind: SourceKind,
    root: Root,
    out: Annotated[
        Path | None, typer.Argument(help="folder of the run; default: runs/ and the time of day")
    ] = None,
    words: Words = "",
    config: RunFile = None,
    settings: RunSet = None,
    model: Model = "",
    pretrained: Pretrained = "",
    resume: Resume = None,
    options: With = None,
    frames: Frames = 0,
    check: Check = False,
    skip_unusable: SkipUnusable = False,
) -> None:
    """Trains a student from images by CLIP, without labels, to name points in words of your choice."""
    run, out = pretraining(
        out=out,
        config=config,
        settings=settings or (),
        words=words,
        model=model,
        pretrained=pretrained,
        resume=resume,
    )
    if kind == "rosbag":
        pretrain_on_bags(
            [root],
            run,
            out,
            options or (),
            frames,
            check=check,
            skip_unusable=skip_unusable,
            command="clip2scene",
        )
        return
    if check or skip_unusable:
        raise ConfigError(f"--check and --skip-unusable are for bags; try `clip2scene inspect {kind} {root}`")
    source = _open(kind, root, frames, _with_sweeps(kind, root, run, options))
    recording = recording_name(kind, tuple(find_recordings(kind, root)), options or ())
    learn_from_clip(run, source, out, command="clip2scene", recording=recording)


@app.command()
def adapt(
    kind: SourceKind,
    root: Root,
    out: Annotated[Path, typer.Argument(help="the .safetensors file to write")],
    checkpoint: CheckpointOption = "",
    frames: Annotated[
        int | None,
        typer.Option(min=0, help="scans, spread evenly over the recording; 0 for all; default: 50"),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="a setting, such as share=1")
    ] = None,
    options: With = None,
) -> None:
    """Fits a checkpoint to a recording without labels: new statistics in its normalisation layers."""
    from clip2scene_core import checkpoint as checkpoints
    from clip2scene_core.config import AdaptConfig
    from clip2scene_core.training.adapt import adapt as run

    if out.suffix != ".safetensors":
        raise ConfigError(f"{out}: expected a name that ends in .safetensors")
    chosen = [*(settings or ()), *([] if frames is None else [f"frames={frames}"])]
    config = configuration.load(AdaptConfig, None, chosen)
    source = _open(kind, root, 0, _without_images(kind, root, options))
    before = checkpoints.load(checkpoint)
    record = {
        "command": command_line("clip2scene"),
        "checkpoint": checkpoint or "shipped",
        "recording": f"{kind} {root.resolve().name}",
    }
    with progress("adapting", min(config.frames or len(source), len(source))) as report:
        adapted = run(before, source, config, record=record, progress=report)
    print_notes([f"skipped {what}" for what in adapted.skipped])
    checkpoints.save(adapted.checkpoint, out)
    console.print(f"statistics of {adapted.scans} of {len(source)} scans, with a share of {config.share:g}")
    print_wrote(str(out))


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
    from clip2scene_core.evaluation.evaluate import median_stages
    from clip2scene_core.evaluation.pictures import save_picture
    from clip2scene_core.inference.labelled import LabelledSource

    _check_is_no_input(out / "labelled", root)
    source = LabelledSource(_open(kind, root, frames, options), _segmenter(checkpoint, settings))
    with progress("labelling", len(source)) as report:
        write_bag(source, out / "labelled", overwrite=True, progress=report)
    figures: dict[str, Any] = {
        "scans": len(source),
        "stage_ms": median_stages(list(source.stage_ms.values())),
    }
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
    console.print(f"{len(source)} labelled, {stages(figures['stage_ms'])}")
    print_wrote(f"labelled, summary.json and picture.png to {out}")


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
    with progress("evaluating", len(source)) as report:
        result = run(source, segmenter, vocabulary, report)
    figures = result.to_dict(more_than=more_than)
    print_iou(figures, title=f"{kind} {root}")
    console.print(stages(figures["stage_ms"]))
    if json_file is not None:
        figures["checkpoint"] = checkpoint or "shipped"
        _write_json(json_file, figures)
        print_wrote(str(json_file))


@app.command("label-images")
def label_images(
    images: Annotated[list[Path], typer.Argument(help="pictures, or folders of pictures")],
    out: Annotated[Path, typer.Option("--out", help="folder of the results")] = Path("out/labelled_images"),
    words: Words = "",
    label_set: VocabularyOption = "street",
    model: Model = "",
    pretrained: Pretrained = "",
    config: TeacherFile = None,
    settings: TeacherSet = None,
) -> None:
    """Names every pixel of pictures with dense CLIP, in words of your choice; no 3D is involved."""
    from clip2scene_core.data.pictures import find_pictures, read_picture
    from clip2scene_core.evaluation.pictures import save_class_ids, save_overlay

    pictures = find_pictures(images)
    teacher = _teacher(config, _chosen(model, pretrained, settings), words, label_set)
    unreadable: list[str] = []
    with progress("labelling", len(pictures)) as report:
        for done, (path, name) in enumerate(pictures.items(), 1):
            try:
                rgb = read_picture(path)
            except DataError as error:
                unreadable.append(str(error))
            else:
                class_id = teacher.label_pixels(rgb)
                save_class_ids(out / f"{name}.png", class_id)
                save_overlay(out / f"{name}_overlay.png", rgb, class_id, teacher.label_set)
            report(done, text=name)
    print_notes(unreadable)
    with whole_file(out / "label_set.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(teacher.label_set.to_dict(), sort_keys=False))
    if len(unreadable) == len(pictures):
        raise DataError(f"none of {len(pictures)} pictures could be read")
    print_wrote(
        f"class ids, overlays and label_set.yaml of {len(pictures) - len(unreadable)} pictures to {out}"
    )


@app.command()
def cache(
    kind: SourceKind,
    root: Root,
    out: Annotated[Path, typer.Argument(help="folder of the cache; an interrupted one goes on")],
    model: Model = "",
    pretrained: Pretrained = "",
    config: TeacherFile = None,
    settings: TeacherSet = None,
    options: With = None,
    frames: Frames = 0,
) -> None:
    """Stores what dense CLIP sees in each image of a recording, so that training need not look again."""
    from clip2scene_core.build import build_dense_clip
    from clip2scene_core.clip.feature_cache import bytes_per_frame, fill_cache
    from clip2scene_core.clip.views import see

    source = _open(kind, root, frames, options)
    if not source.camera_names:
        raise DataError(f"{kind} recording {root} has no cameras: CLIP sees images")
    teacher = configuration.load(TeacherConfig, config, _chosen(model, pretrained, settings))
    _, dense = build_dense_clip(teacher)
    keys = teacher.smoothing > 0
    with suppress(CalibrationError, DataError):  # a frame that cannot be read is left out below
        size = bytes_per_frame(see(dense, source[0].images, keys=keys)) * len(source)
        console.print(f"{len(source)} frames, {size / 1e6:,.0f} MB by the images of the first one")
    key = dense.identity | {
        "keys": str(keys),
        "recording": recording_name(kind, tuple(find_recordings(kind, root)), options or ()),
        "cameras": ", ".join(source.camera_names),
    }
    with progress("looking", len(source)) as report:
        filled = fill_cache(out, source, lambda images: see(dense, images, keys=keys), key, progress=report)
    print_notes([f"{what} is left out: {why}" for what, why in filled.skipped.items()])
    console.print(f"{filled.computed} frames computed, {filled.reused} were there")
    print_wrote(str(out))


class Labeller(str, Enum):
    """Who names the points."""

    TRUTH = "truth"
    STUDENT = "student"
    TEACHER = "teacher"


@app.command()
def view(
    kind: SourceKind,
    root: Root,
    out: Annotated[
        Path | None, typer.Argument(help="a .png picture or a .rrd recording; default: the viewer's window")
    ] = None,
    by: Annotated[
        Labeller | None, typer.Option(help="who names the points; default: truth, or student")
    ] = None,
    frame: Annotated[int, typer.Option(min=0, help="the frame of a picture")] = 0,
    frames: Frames = 0,
    checkpoint: CheckpointOption = "",
    words: Words = "",
    label_set: VocabularyOption = "street",
    model: Model = "",
    pretrained: Pretrained = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="a setting of the student or of the teacher"),
    ] = None,
    options: With = None,
) -> None:
    """Shows a recording with the names of its points: a picture of one frame, or all frames in rerun."""
    from clip2scene_core.evaluation.pictures import save_picture
    from clip2scene_core.evaluation.viewer import Viewer
    from clip2scene_core.inference.labelled import LabelledSource

    source = _open(kind, root, frames, options)
    if by is None:
        by = Labeller.STUDENT if source.label_set is None else Labeller.TRUTH
    if by is Labeller.STUDENT:
        source = LabelledSource(source, _segmenter(checkpoint, settings))
    elif by is Labeller.TEACHER:
        teacher = _teacher(None, _chosen(model, pretrained, settings), words, label_set)
        source = LabelledSource(source, teacher)
    if source.label_set is None:
        raise DataError(f"{kind} recording {root} has no ground truth; name another one: --by student")
    if out is not None and out.suffix == ".png":
        if frame >= len(source):
            raise ConfigError(
                f"--frame {frame}: the last one of {kind} recording {root} is {len(source) - 1}"
            )
        shown = source[frame]
        base_from_lidar = source.mounting(frame)[shown.scan.frame_id]
        save_picture(
            out, shown, shown.labels, source.label_set, base_from_lidar=base_from_lidar, title=str(root)
        )
    elif out is None or out.suffix == ".rrd":
        with Viewer(source.label_set, out) as viewer, progress("showing", len(source)) as report:
            for index in range(len(source)):
                shown = source[index]
                if shown.labels is None:
                    raise DataError(f"frame {index} of {root} has no ground truth; try --by student")
                viewer.show(shown, shown.labels.class_id)
                report(index + 1)
    else:
        raise ConfigError(f"{out}: expected a name that ends in .png or .rrd")
    if out is not None:
        print_wrote(str(out))


def _open(kind: str, root: Path, frames: int, options: list[str] | None, *, tell_notes: bool = True) -> Any:
    from clip2scene_core.data import open_source
    from clip2scene_core.data.source import FirstFrames

    settings = parse_options(kind, root, options or ())
    with progress("motion by KISS-ICP", at_once=False) as report:
        source = open_source(kind, root, report, **settings)
    if not len(source):
        raise DataError(f"{kind} recording {root} has no frames")
    if tell_notes:
        print_notes(source.notes)
    return FirstFrames(source, frames) if 0 < frames < len(source) else source


def _teacher(config: Path | None, settings: list[str] | None, words: str, label_set: str) -> Any:
    from clip2scene_core.inference.teacher import Teacher
    from clip2scene_core.labels import LabelSet

    vocabulary = LabelSet.from_words(words) if words else LabelSet.named(label_set)
    chosen = configuration.load(TeacherConfig, config, settings or ())
    with progress("loading the teacher", at_once=False) as report:
        return Teacher(chosen, vocabulary, report)


def _chosen(model: str, pretrained: str, settings: list[str] | None) -> list[str]:
    return [*(settings or ()), *teacher_settings(model, pretrained)]


def _with_sweeps(kind: str, root: Path, run: PretrainConfig, options: list[str] | None) -> list[str]:
    """Earlier sweeps for each frame, of recordings that have them, unless the user says how many."""
    wanted = [f"sweeps={sweeps_to_read(run)}"] if "sweeps" in known_options(kind, root) else []
    return [*wanted, *(options or ())]


def _without_images(kind: str, root: Path, options: list[str] | None) -> list[str]:
    """No cameras, of recordings that can do without reading them."""
    from clip2scene_core.data.open import known_options

    known, unwanted = known_options(kind, root), {"cameras": "cameras=", "images": "images=0"}
    return [*(option for name, option in unwanted.items() if name in known), *(options or ())]


def _segmenter(checkpoint: str, settings: list[str] | None) -> Any:
    from clip2scene_core.inference import SemanticSegmenter

    config = configuration.load(InferenceConfig, None, settings or ())
    return SemanticSegmenter.from_checkpoint(checkpoint or None, config=config)


def _check_is_no_input(bag: Path, root: Path) -> None:
    if root.resolve().is_relative_to(bag.resolve()):
        raise DataError(f"{bag} is the recording itself, which would be replaced; name another one")


def _picture_of_demo(bag: Path, out: Path) -> None:
    """The scan in the middle of the drive with the labels that the node gave it."""
    from clip2scene_core.data import open_source
    from clip2scene_core.evaluation.pictures import save_picture

    drive, labelled = (open_source("rosbag", path, ego_motion="tf") for path in (bag, out / "labelled"))
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


def _write_json(path: Path, content: dict[str, Any] | list[dict[str, Any]]) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
