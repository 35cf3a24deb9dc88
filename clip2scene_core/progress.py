"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Progress = Callable[..., None]
"""Told (done, total=, text=) while something takes long."""


def silent(done: int, **fields: Any) -> None:
    """The progress that nobody looks at."""
