"""Commands that write and look into recordings: convert, inspect, simulate."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from clip2scene_core.cli.app import app
from clip2scene_core.cli.opening import check_is_no_input, open_frames
from clip2scene_core.cli.options import Frames, Root, SourceKind, With
from clip2scene_core.data.bag_writer import ImageFormat, write_bag
from clip2scene_core.data.new_bag import BagFormat
from clip2scene_core.data.open import find_recordings, parse_options
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.terminal import print_report, print_rows, print_wrote, progress
from clip2scene_core.writing import write_json


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
    check_is_no_input(out, root)
    source = open_frames(kind, root, frames, options)
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
        write_json(json_file, contents if len(contents) > 1 else contents[0])
        print_wrote(str(json_file))


def _inspect_frames(kind: str, root: Path, options: list[str] | None) -> None:
    source = open_frames(kind, root, 0, options, tell_notes=False)
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
