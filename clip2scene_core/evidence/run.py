"""From settings to the table: drives, what teachers see in them, students, and how good these are.

All of it goes on where it was interrupted, and only what a missing result needs is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import yaml

from clip2scene_core.config import EvidenceConfig, to_dict
from clip2scene_core.evidence.drives import HELD_OUT, TRAINING, write_drives
from clip2scene_core.evidence.jobs import (
    DRIVES,
    Campaign,
    ask_teacher,
    do,
    features_name,
    held_out_points,
    missing_jobs,
)
from clip2scene_core.evidence.results import check_drives, read_results
from clip2scene_core.evidence.rows import ROWS, chosen_rows
from clip2scene_core.evidence.settings import pretraining
from clip2scene_core.evidence.table import Table, write_table
from clip2scene_core.locking import only_writer
from clip2scene_core.parallel import spread
from clip2scene_core.progress import Progress, silent
from clip2scene_core.writing import whole_file

CONFIG_FILE = "config.yaml"

Stage = Callable[[str], AbstractContextManager[Progress]]
"""From what is done next to a context in which its progress can be told."""


def gather(
    config: EvidenceConfig,
    out: Path,
    *,
    rows: Iterable[str] = (),
    workers: int = 1,
    commit: str,
    hardware: str,
    stage: Stage = lambda what: nullcontext(silent),
) -> Table:
    """Makes the results that `out` lacks, of `rows` or, without, those of `config`, and the table of all.

    All rows of a seed come before the next seed. `commit` and `hardware` are those of this call. Raises
    ConfigError where a row is unknown or a result is of other settings or other drives, and what
    simulation, teacher and training raise.
    """
    out, chosen = out.resolve(), chosen_rows(tuple(rows) or config.rows)
    campaign = Campaign(config=config, out=out, commit=commit, hardware=hardware)
    with only_writer(out):
        jobs = missing_jobs(config, out, chosen)
        with whole_file(out / CONFIG_FILE) as temporary:
            temporary.write_text(yaml.safe_dump(to_dict(config), sort_keys=False))
        learning = [pretraining(config, ROWS[job.of], job.seed) for job in jobs if ROWS[job.of].learns]
        for part, needed in ((HELD_OUT, jobs), (TRAINING, learning)):
            if needed:
                with stage(f"simulating {part.replace('_', ' ')} drives") as progress:
                    write_drives(config.drives, out / DRIVES, part, workers=workers, progress=progress)
            if needed and part == HELD_OUT and (results := read_results(out, config)):
                check_drives(out, results, held_out_points(config, out))
        if teachers := {features_name(run.teacher): run.teacher for run in learning}:
            with stage("asking teachers") as progress:
                progress(0, total=len(teachers) * campaign.frames)
                ask = partial(ask_teacher, config.drives, out)
                spread(ask, list(teachers.values()), workers=workers, progress=progress)
        if jobs:
            with stage("training and judging") as progress:
                progress(0, total=sum(job.units(campaign) for job in jobs))
                spread(partial(do, campaign), jobs, workers=workers, progress=progress)
        return write_table(out, config, read_results(out, config))
