"""A folder that only one process at a time may write to."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clip2scene_core.errors import DataError

LOCK_FILE = ".lock"
"""Stays in the folder: removed, it could be one file to one process and another file to the next."""


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Makes the folder and holds its lock, which the system takes from a process that dies.

    Raises DataError where another process has it, whose id the error tells, or where nothing can be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("a+")
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error.strerror}; name another folder") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise DataError(
                f"process {file.read().strip() or 'unknown'} is writing to {folder}; "
                "wait for its end, or name another folder"
            ) from error
        except OSError as error:
            raise DataError(
                f"cannot lock {folder}: {error.strerror}; name a folder on a local disk"
            ) from error
        try:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield
        finally:
            file.truncate(0)
