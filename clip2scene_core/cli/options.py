"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
        "--model",
        help="the teacher: a CLIP of open_clip, street-clip-tiny, hf-hub:ORGANISATION/NAME or "
        "local-dir:FOLDER",
    ),
]
Pretrained = Annotated[str, typer.Option("--pretrained", metavar="TAG|FILE", help="weights of the teacher")]
WordsModel = Annotated[
    str,
    typer.Option(
        "--model",
        help="the CLIP for words that the checkpoint does not have; default: the one that taught it",
    ),
]
WordsPretrained = Annotated[
    str, typer.Option("--pretrained", metavar="TAG|FILE", help="weights of that CLIP, where it brings none")
]
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
