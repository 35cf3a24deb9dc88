"""A checkpoint adapted to a recording without labels: new statistics of its normalisation layers, no more.

Another sensor or place shifts the features that a network was trained to normalise. At inference
`scan_statistics` takes some of the statistics from the scan at hand, which knows the shift but not what else
the drive holds; here they come from scans of a whole recording, and the checkpoint keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from clip2scene_core.build import choose_device, restore_student
from clip2scene_core.checkpoint import Checkpoint
from clip2scene_core.config import AdaptConfig
from clip2scene_core.data.batch import collate
from clip2scene_core.data.source import FrameSource
from clip2scene_core.errors import CalibrationError, DataError
from clip2scene_core.inference.segmenter import choose_engine
from clip2scene_core.progress import Progress, silent
from clip2scene_core.student.norm import recalibration
from clip2scene_core.training.samples import student_input


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapted:
    """What adapting gives."""

    checkpoint: Checkpoint
    scans: int
    """How many its statistics come from."""
    skipped: tuple[str, ...]
    """Each frame that could not be read, and why."""


def adapt(
    checkpoint: Checkpoint,
    source: FrameSource,
    config: AdaptConfig,
    *,
    record: Mapping[str, object],
    progress: Progress = silent,
) -> Adapted:
    """The checkpoint with statistics of scans spread evenly over a recording; always the same for the same.

    record: goes into the training record, beside the share and how many scans there were. Frames that cannot
    be read are skipped. Raises DataError where no scan is left or one lacks an input of the student,
    ConfigError where the student has no statistics.
    """
    device = choose_device(config.device)
    student = restore_student(checkpoint, engine=choose_engine(config.engine, device)).to(device).eval()
    frames, skipped = evenly_spread(len(source), config.frames), []
    with recalibration(student, config.share):
        for done, index in enumerate(frames, 1):
            try:
                scan = source[index].scan
            except (CalibrationError, DataError) as error:
                skipped.append(f"frame {index}: {error}")
                continue
            voxels = student_input(scan.xyz, scan.intensity, scan.rgb, checkpoint.student, frame=index)
            if len(voxels.coordinates):
                student(collate([voxels]).to(device), temporal=False)
            progress(done)
    scans = len(frames) - len(skipped)
    entry = {**record, "scans": scans, "skipped": len(skipped), "share": config.share}
    before = checkpoint.training.get("adapted")
    entries = [*(before if isinstance(before, list) else ()), entry]
    return Adapted(
        checkpoint=replace(
            checkpoint,
            weights=student.state_dict(),
            training={**checkpoint.training, "adapted": entries},
        ),
        scans=scans,
        skipped=tuple(skipped),
    )


def evenly_spread(frames: int, count: int) -> list[int]:
    """`count` of so many frames, or all of them, where `count` is 0 too, in their order."""
    return np.linspace(0, frames - 1, min(count or frames, frames)).astype(int).tolist()
