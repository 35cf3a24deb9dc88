"""What the commands that train share: settings, a look into the recordings, a run and its record."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from clip2scene_core import config as configuration
from clip2scene_core.config import PretrainConfig
from clip2scene_core.data.bag_report import BagReport, Finding
from clip2scene_core.data.inspection import look_into_bag
from clip2scene_core.data.joined import JoinedDrives
from clip2scene_core.data.open import find_recordings, parse_options
from clip2scene_core.data.source import FrameSource, first_frames
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.terminal import (
    console,
    print_rows,
    print_training,
    print_training_report,
    print_wrote,
    progress,
)


def teacher_settings(model: str, pretrained: str, group: str = "") -> list[str]:
    """Settings of the teacher that have options of their own, within a group such as `teacher.`."""
    options = {"model": model, "pretrained": pretrained}
    return [f"{group}{name}={json.dumps(value)}" for name, value in options.items() if value]


def pretraining(
    *,
    out: Path | None,
    config: Path | None,
    settings: Sequence[str],
    words: str,
    model: str,
    pretrained: str,
    resume: Path | None,
) -> tuple[PretrainConfig, Path]:
    """Configuration and folder of a new run, or of the one to go on with."""
    if resume is None:
        out = out or Path("runs") / time.strftime("%Y-%m-%d_%H-%M-%S")
    else:
        saved = resume / "config.yaml"
        if out not in (None, resume):
            raise ConfigError(f"--resume {resume} names the folder of the run, expected no other, got {out}")
        if not saved.is_file():
            raise ConfigError(f"--resume {resume}: expected the folder of a run, but it has no {saved.name}")
        out, config = resume, config or saved
    chosen = [
        *settings,
        *([f"words={json.dumps(words)}"] if words else []),
        *teacher_settings(model, pretrained, "teacher."),
    ]
    return configuration.load(PretrainConfig, config, chosen), out


def pretrain_on_bags(
    roots: Sequence[Path],
    run: PretrainConfig,
    out: Path,
    options: Sequence[str],
    frames: int,
    *,
    check: bool,
    skip_unusable: bool,
    command: str,
) -> None:
    """What is in the bags, and, unless that is all that is wanted, learning from their first `frames`."""
    source, names = bags_to_learn_from(roots, run, options, skip_unusable=skip_unusable)
    if not check:
        source = first_frames(source, frames)
        learn_from_clip(run, source, out, command=command, recording=recording_name("rosbag", names, options))


def bags_to_learn_from(
    roots: Sequence[Path], run: PretrainConfig, options: Sequence[str], *, skip_unusable: bool
) -> tuple[FrameSource, tuple[str, ...]]:
    """Says what is in every bag; gives those that can be learnt from as one source, and their names.

    `roots` are bags or folders of bags, `options` those of the bags. Raises DataError where one of the bags
    cannot be learnt from, unless such bags are to be left out; or where none can.
    """
    bags, usable, refused = find_recordings("rosbag", roots), dict[str, FrameSource](), list[str]()
    settings = {"sweeps": run.pairing.scans_before, **parse_options("rosbag", roots[0], options)}
    for name, bag in bags.items():
        source: FrameSource | None = None
        try:
            with progress(f"motion of {name} by KISS-ICP", at_once=False) as told:
                report, source = look_into_bag(bag, told, sweeps_joined=run.pairing.sweeps, **settings)
        except DataError as error:
            unreadable = Finding(fine=False, fatal=True, text=str(error))
            report = BagReport(path=str(bag), topics=(), tf=(), training=(unreadable,))
        print_training_report(name, report)
        if source is None or any(finding.fatal for finding in report.training):
            refused.append(name)
        else:
            usable[name] = source
    if refused and not (usable and skip_unusable):
        which = f"{len(refused)} of {len(bags)} bags" if len(bags) > 1 else "the bag"
        instead = "; mend them, or leave them out with --skip-unusable" if usable else ""
        raise DataError(f"{which} cannot be learnt from, see !! above: {', '.join(refused)}{instead}")
    if refused:
        console.print(f"left out: {', '.join(refused)}", soft_wrap=True)
    return JoinedDrives(usable) if len(usable) > 1 else next(iter(usable.values())), tuple(usable)


def recording_name(kind: str, names: Sequence[str], options: Sequence[str]) -> str:
    """What determines the images of each frame, for features that are kept: names in order, and options."""
    return " ".join([kind, *names, *sorted(option for option in options if not option.startswith("sweeps="))])


def learn_from_clip(
    run: PretrainConfig, source: FrameSource, out: Path, *, command: str, recording: str
) -> None:
    """Pre-training in the terminal: says what it will do, shows how it goes and what it could not use.

    command: what the user has called, for the checkpoint's record.
    recording: see recording_name.
    """
    from clip2scene_core import checkpoint as checkpoints
    from clip2scene_core.training.plan import plan
    from clip2scene_core.training.pretrain import frozen_teacher, pretrain
    from clip2scene_core.training.schedule import resolved

    with progress("embedding words", at_once=False) as told:
        teacher = frozen_teacher(run, told)
    print_rows(plan(run, source, teacher, out).items())
    steps = resolved(run.training, len(source)).steps
    with progress("training", steps) as report:
        path = pretrain(
            run,
            source,
            teacher,
            out,
            record=training_record(command, run.training.device, scans=len(source)),
            report=lambda step, losses: report(step, in_words(losses)),
            recording=recording,
        )
        report(steps)
    print_training(checkpoints.load(path).training)
    print_wrote(str(path))


def training_record(program: str, device: str, **learnt_from: int) -> dict[str, object]:
    """Where a checkpoint comes from: the command, counts of what it learnt from, the hardware."""
    return {"command": command_line(program), **learnt_from, "hardware": hardware(device)}


def command_line(program: str) -> str:
    """What the user has typed."""
    return " ".join([program, *sys.argv[1:]])


def in_words(losses: dict[str, float]) -> str:
    """For the end of a progress bar."""
    return " ".join(f"{name} {value:.3f}" for name, value in losses.items())


def hardware(device: str) -> str:
    """What computes on a device as settings name it."""
    import torch

    from clip2scene_core.build import choose_device

    chosen, cpu = choose_device(device), f"{platform.machine()}, {os.cpu_count()} CPU cores"
    return cpu if chosen.type == "cpu" else f"{torch.cuda.get_device_name(chosen)}, {cpu}"
