"""Options that many commands share, and how a command is registered: its errors become messages and exit codes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from anzol.errors import AnzolError, InvalidValue

APP = "The FastAPI app: a file, or module:variable; else as `fastapi run` finds it."
DATABASE = "The database, without any app; else ANZOL_DATABASE_URL, else the app's."
TIME = "a time (2026-11-23T14:00Z) or an age (90s, 30m, 6h, 3d)."

App = Annotated[str | None, typer.Option("--app", "-a", metavar="APP", help=APP)]
AppArgument = Annotated[str | None, typer.Argument(metavar="APP", help=APP)]
Database = Annotated[str | None, typer.Option("--database", "-d", metavar="URL", help=DATABASE)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it; without this it is only shown.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=250, help="How many at most.")]
After = Annotated[str | None, typer.Option("--after", metavar="CURSOR", help="Go on where the page before ended.")]
Customer = Annotated[str | None, typer.Option("--customer", "-c", help="Only this customer's.")]
EndpointId = Annotated[str | None, typer.Option("--endpoint", "-e", metavar="ID", help="Only this endpoint's.")]
EventType = Annotated[str | None, typer.Option("--event-type", "-t", help="Only this event type's.")]
Since = Annotated[str | None, typer.Option("--since", help=f"Sent since: {TIME}")]
Until = Annotated[str | None, typer.Option("--until", help=f"Sent before: {TIME}")]


def command(family: typer.Typer, name: str, function: Callable[..., None]) -> None:
    """Register a function as the command *name*."""
    family.command(name)(reporting(function))


def reporting(function: Callable[..., None]) -> Callable[..., None]:
    """Make errors of Anzol's own into a message on stderr and an exit code; they never show a traceback."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except AnzolError as error:
            from anzol.cli.exits import code_of
            from anzol.cli.screen import show_error

            show_error(error, as_json=kwargs.get("json", False))
            raise typer.Exit(code_of(error)) from error

    return run


def time_option(text: str | None, field: str) -> datetime | None:
    """Read ``--since`` or ``--until``, if it was given."""
    return None if text is None else read_time(text, datetime.now(UTC), field)


def read_time(text: str, now: datetime, field: str) -> datetime:
    """Read a time in RFC 3339 (UTC where it names no zone), or an age before *now*: ``90s``, ``30m``, ``6h``, ``3d``.

    Raises:
        InvalidValue: it is neither.
    """
    try:
        return now - read_span(text, field)
    except InvalidValue:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError as cause:
        raise InvalidValue(
            f"--{field} {text!r} is neither a time nor an age.",
            field=field,
            do="Write a time as 2026-11-23T14:00Z, an age as 90s, 30m, 6h or 3d.",
        ) from cause
    return at if at.tzinfo else at.replace(tzinfo=now.tzinfo)


def read_span(text: str, field: str) -> timedelta:
    """Read ``90s``, ``30m``, ``6h``, ``3d``; a bare 0 is no time at all."""
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}.get(text[-1:])
    digits = text[:-1]
    if text == "0":
        return timedelta()
    if unit is None or not digits.isascii() or not digits.isdigit() or len(digits) > 8:
        raise InvalidValue(f"--{field} {text!r} is not a length of time.", field=field, do="Write 90s, 30m, 6h or 3d.")
    return timedelta(**{unit: int(digits)})
