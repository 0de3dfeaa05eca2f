"""The tree of commands. Each family is one file; what a command needs it imports when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from anzol.cli import (
    copying,
    developing,
    endpoints,
    looking,
    measuring,
    mending,
    schema,
    secrets,
    serving,
    support,
    working,
)

program = typer.Typer(
    name="anzol",
    help="Webhooks for FastAPI: run, look, mend.",
    epilog="Every command has --help; those that print data have --json. Exit codes: 0 done, 1 no or failed, 2 usage, "
    "3 app, 4 not found, 5 database, 6 port taken.",
    rich_markup_mode=None,  # plain help: drawing it with Rich takes three times as long
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"anzol {version('anzol')}")
        raise typer.Exit


@program.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Webhooks for FastAPI: run, look, mend."""


for family in (developing, serving, working, schema, copying, looking, mending, endpoints, secrets, support, measuring):
    family.register(program)
