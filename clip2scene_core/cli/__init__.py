"""The command line: `clip2scene COMMAND`; the only place that prints and sets exit codes."""

from clip2scene_core.cli import (  # noqa: F401 - their commands join the program
    demo,
    evidence,
    labelling,
    recordings,
    training,
)
from clip2scene_core.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Runs the command that the arguments name, and exits."""
    app()
