"""Commands that train: finetune, train-clip, pretrain, adapt; and cache, which saves their time."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from clip2scene_core import config as configuration
from clip2scene_core.cli.app import app
from clip2scene_core.cli.opening import chosen_clip, open_frames, without_images
from clip2scene_core.cli.options import (
    Check,
    CheckpointOption,
    Frames,
    Model,
    Pretrained,
    Resume,
    Root,
    RunFile,
    RunSet,
    SkipUnusable,
    SourceKind,
    TeacherFile,
    TeacherSet,
    With,
    Words,
)
from clip2scene_core.cli.runs import (
    command_line,
    in_words,
    learn_from_clip,
    pretrain_on_bags,
    pretraining,
    recording_name,
    teacher_settings,
    training_record,
)
from clip2scene_core.config import PretrainConfig, RunConfig, TeacherConfig
from clip2scene_core.data.open import find_recordings, known_options
from clip2scene_core.errors import CalibrationError, ConfigError, DataError
from clip2scene_core.terminal import console, print_notes, print_training, print_wrote, progress


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
    model: Model = "",
    pretrained: Pretrained = "",
    options: With = None,
) -> None:
    """Trains a student on labelled scans; with a teacher in the language of that CLIP."""
    from clip2scene_core import checkpoint as checkpoints
    from clip2scene_core.training.beginning import begin
    from clip2scene_core.training.finetune import finetune as train

    chosen = [
        *(settings or ()),
        *([f"start={json.dumps(start)}"] if start else []),
        *teacher_settings(model, pretrained, "teacher."),
    ]
    run = configuration.load(RunConfig, config, chosen)
    if run.start:  # the student is that of the checkpoint where nothing else is said
        default = RunConfig(student=checkpoints.load(run.start).student)
        run = configuration.load(RunConfig, config, chosen, default=default)
    with progress("embedding words", at_once=False) as told:
        beginning = begin(run, told)
    source = open_frames(kind, root, 0, options)
    print_notes(beginning.notes)
    record = training_record("clip2scene", run.training.device, scans=len(source))
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
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="NAME", help="a CLIP to begin with, such as street-clip-tiny; its texts stay"
        ),
    ] = "",
) -> None:
    """Trains a tiny CLIP of the simulated town on pictures with captions: a teacher that can be shipped."""
    from clip2scene_core.config import StreetClipConfig
    from clip2scene_core.training.street_clip import train_street_clip

    chosen = [*(settings or ()), *([f"start={json.dumps(start)}"] if start else [])]
    run = configuration.load(StreetClipConfig, config, chosen)
    record = training_record("clip2scene", run.training.device)
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
    source = open_frames(kind, root, frames, _with_sweeps(kind, root, run, options))
    recording = recording_name(kind, tuple(find_recordings(kind, root)), options or ())
    learn_from_clip(run, source, out, command="clip2scene", recording=recording)


def _with_sweeps(kind: str, root: Path, run: PretrainConfig, options: list[str] | None) -> list[str]:
    """Earlier sweeps for each frame, of recordings that have them, unless the user says how many."""
    wanted = [f"sweeps={run.pairing.scans_before}"] if "sweeps" in known_options(kind, root) else []
    return [*wanted, *(options or ())]


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
    source = open_frames(kind, root, 0, without_images(kind, root, options))
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
    from clip2scene_core.clip.feature_cache import bytes_per_frame
    from clip2scene_core.clip.views import cache_views, see

    source = open_frames(kind, root, frames, options)
    if not source.camera_names:
        raise DataError(f"{kind} recording {root} has no cameras: CLIP sees images")
    teacher = configuration.load(TeacherConfig, config, chosen_clip(model, pretrained, settings))
    _, dense = build_dense_clip(teacher)
    keys = teacher.smoothing > 0
    with suppress(CalibrationError, DataError):  # a frame that cannot be read is left out below
        size = bytes_per_frame(see(dense, source[0].images, keys=keys)) * len(source)
        console.print(f"{len(source)} frames, {size / 1e6:,.0f} MB by the images of the first one")
    recording = recording_name(kind, tuple(find_recordings(kind, root)), options or ())
    with progress("looking", len(source)) as report:
        filled = cache_views(out, source, dense, recording=recording, keys=keys, progress=report)
    print_notes([f"{what} is left out: {why}" for what, why in filled.skipped.items()])
    console.print(f"{filled.computed} frames computed, {filled.reused} were there")
    print_wrote(str(out))
