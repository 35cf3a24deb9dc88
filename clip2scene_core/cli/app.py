"""The program: what its commands have in common is that they say in one line what went wrong."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import clip2scene_core
from clip2scene_core.errors import Clip2SceneError


class _InOneLine:
    """Says what went wrong in one line: exit code 1 for what the user can mend, 130 for an interruption."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)  # type: ignore[misc]  # of the class beside this one
        except BrokenPipeError:  # the reader of a pipe has left, which typer knows how to take
            raise
        except (Clip2SceneError, OSError) as error:
            typer.echo(f"{typer.style('error:', fg='red')} {error}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from error


class Commands(_InOneLine, TyperGroup):
    """Those of `clip2scene`."""


class Command(_InOneLine, TyperCommand):
    """One that is a program of its own."""


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clip2scene {clip2scene_core.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Names every LiDAR point in words of your choice, without anybody labelling a point."""
