"""`ros2 run clip2scene_ros train_from_bag`: from bags to a checkpoint that the node `segment` loads.

The command `clip2scene pretrain` for bags, as an executable of the package. It needs no running ROS.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from clip2scene_core.cli.app import Command
from clip2scene_core.cli.options import (
    Check,
    Frames,
    Model,
    Pretrained,
    Resume,
    RunFile,
    RunSet,
    SkipUnusable,
    With,
    Words,
)
from clip2scene_core.cli.runs import pretrain_on_bags, pretraining

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command(cls=Command, no_args_is_help=True)
def train_from_bag(
    bags: Annotated[list[Path], typer.Argument(metavar="BAG...", help="bags, or folders of bags")],
    out: Annotated[
        Path | None, typer.Option("--out", help="folder of the run; default: runs/ and the time of day")
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
    """Trains a student from the camera images of bags by CLIP, without labels, to name LiDAR points."""
    run, out = pretraining(
        out=out,
        config=config,
        settings=settings or (),
        words=words,
        model=model,
        pretrained=pretrained,
        resume=resume,
    )
    pretrain_on_bags(
        bags,
        run,
        out,
        options or (),
        frames,
        check=check,
        skip_unusable=skip_unusable,
        command="train_from_bag",
    )


def without_ros_arguments(arguments: Sequence[str]) -> list[str]:
    """What is left for the program: `--ros-args` to `--` or the end, and `__name:=value`, are for ROS."""
    kept, ours = [], True
    for argument in arguments:
        if argument == "--ros-args":
            ours = False
        elif not ours and argument == "--":
            ours = True
        elif ours and not (argument.startswith("__") and ":=" in argument):
            kept.append(argument)
    return kept


def main() -> None:
    """Runs the command with the arguments that are not for ROS, and exits."""
    app(args=without_ros_arguments(sys.argv[1:]), prog_name="train_from_bag")


if __name__ == "__main__":
    main()
