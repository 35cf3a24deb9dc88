"""`clip2scene evidence`: the ablation of the method in simulated towns."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Annotated

import typer

import clip2scene_core
from clip2scene_core import config as configuration
from clip2scene_core.cli.app import app
from clip2scene_core.cli.options import RunFile, RunSet
from clip2scene_core.cli.runs import hardware
from clip2scene_core.terminal import console, print_table, print_wrote, progress


@app.command()
def evidence(
    out: Annotated[Path, typer.Argument(help="folder of the results; what is there is kept")],
    config: RunFile = None,
    settings: RunSet = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME,NAME", help="only these rows; default: those of the settings, or all"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes, each on one core, about 1 GB each")] = 1,
    check: Annotated[bool, typer.Option("--check", help="exit with 1 unless all claims hold")] = False,
) -> None:
    """Gathers the paper's ablation table, and more, in simulated towns; goes on where it was interrupted."""
    from clip2scene_core.config import EvidenceConfig
    from clip2scene_core.evidence.run import CONFIG_FILE, gather
    from clip2scene_core.evidence.table import COLUMNS, IN_SHORT, TABLE_FILE

    saved = out / CONFIG_FILE
    chosen = configuration.load(
        EvidenceConfig, config or (saved if saved.is_file() else None), settings or ()
    )
    table = gather(
        chosen,
        out,
        rows=[name.strip() for given in rows or () for name in given.split(",") if name.strip()],
        workers=workers,
        commit=_commit(),
        hardware=hardware(chosen.pretrain.training.device),
        stage=lambda what: progress(what, at_once=False),
    )
    numbers = range(2, len(COLUMNS) - 1)
    columns = [f">{COLUMNS[i]}" if i in numbers else COLUMNS[i] for i in IN_SHORT]
    print_table(columns, [[line[i] for i in IN_SHORT] for line in table.lines()])
    console.print()
    for claim in table.claims:
        console.print(f"{'holds' if claim.holds else 'FAILS'}: {claim.text}: {claim.found}", soft_wrap=True)
    print_wrote(str(out / TABLE_FILE))
    if check and not table.all_hold:
        raise typer.Exit(1)


def _commit() -> str:
    """Of the checkout that the package runs from, or its version where it is installed."""
    package = Path(clip2scene_core.__file__)
    git = ["git", "-C", str(package.parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", package.name], check=True, capture_output=True)
        described = [*git, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(described, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"version {clip2scene_core.__version__}"
