"""`clip2scene demo`: the node in a ROS graph, with a drive played to it."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import Annotated

import typer

from clip2scene_core.cli.app import app
from clip2scene_core.cli.opening import check_is_no_input
from clip2scene_core.cli.options import (
    CheckpointOption,
    VocabularyOption,
    Words,
    WordsModel,
    WordsPretrained,
)
from clip2scene_core.data.bag_writer import write_bag
from clip2scene_core.errors import DataError, MissingExtraError
from clip2scene_core.labels import LabelSet
from clip2scene_core.terminal import print_demo, print_wrote, progress


@app.command()
def demo(
    bag: Annotated[Path | None, typer.Option(help="a recorded bag; default: a simulated drive")] = None,
    out: Annotated[Path, typer.Option(help="folder of the results")] = Path("out/demo"),
    checkpoint: CheckpointOption = "",
    words: Words = "",
    label_set: VocabularyOption = "",
    model: WordsModel = "",
    pretrained: WordsPretrained = "",
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
    settings = {"label_set": label_set, "model": model, "pretrained": pretrained}
    if words:
        LabelSet.from_words(words)  # rather than after the simulation
    vocabulary = {"classes": [word.strip() for word in words.split(",")]} if words else {}
    if bag is None:
        from clip2scene_core.data import open_source

        bag = out / "drive"
        source = open_source("simulated", None, seed=seed, frames=frames, lidar=lidar)
        with progress("simulating", len(source)) as report:
            write_bag(source, bag, overwrite=True, progress=report)
    check_is_no_input(out / "labelled", bag)
    with progress("labelling") as report:
        summary = run_demo(
            bag, out, checkpoint=checkpoint, rate=rate, settings={**settings, **vocabulary}, progress=report
        )
    print_demo(summary.to_dict())
    if not summary.labelled:
        raise DataError(f"no scan of {bag} was labelled; {out / 'node.log'} says why")
    _picture_of_demo(bag, out)
    print_wrote(f"labelled, summary.json and picture.png to {out}")


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
