"""What a run says of every step: lines of JSON, and files of TensorBoard where it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clip2scene_core.writing import whole_file

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_FILE = "log.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


class RunLog:
    """Appends to the log of a run, which it first cuts back to the steps that are done.

    A run that was killed has logged steps that it has to do again.
    """

    def __init__(self, folder: Path, *, steps_done: int, tensorboard: bool = False) -> None:
        self._path = folder / LOG_FILE
        self._board = _board(folder / TENSORBOARD_FOLDER, steps_done) if tensorboard else None
        text = self._path.read_text() if self._path.is_file() else ""
        kept = "".join(f"{line}\n" for line in text.splitlines() if _step_of(line) <= steps_done)
        if kept != text:
            with whole_file(self._path) as temporary:
                temporary.write_text(kept)

    def write(self, step: int, values: Mapping[str, float], seconds: Mapping[str, float]) -> None:
        """The values by name after `step` steps, and the seconds that the parts of the last one took."""
        rounded = {part: round(value, 4) for part, value in seconds.items()}
        with self._path.open("a") as log:
            log.write(json.dumps({"step": step, **values, "seconds": rounded}) + "\n")
        if self._board is not None:
            for name, value in {**values, **{f"seconds/{part}": s for part, s in seconds.items()}}.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Makes sure that TensorBoard sees the last steps."""
        if self._board is not None:
            self._board.close()


def _board(folder: Path, steps_done: int) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=steps_done + 1)


def _step_of(line: str) -> float:
    """Infinity for half a line, which a kill leaves."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
