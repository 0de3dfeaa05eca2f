"""`anzol bench`: the published benchmark on the user's own machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anzol.cli.options import Json, command

if TYPE_CHECKING:
    from rich.progress import Progress as Drawn
    from rich.progress import TaskID

    from anzol.bench.figures import Figures
    from anzol.bench.rounds import Progress
    from anzol.bench.sizes import Size
    from anzol.cli.screen import Screen

COLUMNS = (
    "workload",
    "variant",
    "rate/s",
    "limit/s",
    "CPU µs",
    "p50 ms",
    "p99 ms",
    "send p50 ms",
    "memory MB",
    "accepted",
    "lost",
    "duplicates",
)


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(program, "bench", bench)


def bench(
    workloads: Annotated[
        list[str] | None, typer.Argument(metavar="[deliver|latency|drain|fan-out|ingest]...", help="Else all of them.")
    ] = None,
    *,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            "-d",
            metavar="URL",
            help="A PostgreSQL database, for schemas that come and go; or a SQLite file, beside which fresh files do.",
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="As long as the published runs: minutes.")] = False,
    messages: Annotated[
        int | None, typer.Option("--messages", min=1, max=10_000_000, help="How many `deliver` and `drain` send.")
    ] = None,
    endpoints: Annotated[
        list[int] | None, typer.Option("--endpoints", min=1, max=100_000, help="Of `deliver`; again for another run.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.1, max=86_400, help="How long `latency` takes.")
    ] = None,
    processes: Annotated[
        list[int] | None,
        typer.Option("--processes", min=1, max=16, help="Of `deliver`: 1, or beside it workers; again for both."),
    ] = None,
    receiver: Annotated[
        str | None, typer.Option("--receiver", metavar="nginx|own", help="What receives; else nginx if it is there.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure how fast Anzol is on this machine, and check that nothing is lost.

    Under a minute without --full. Everything is on: durable commits, signing, the address guard, history. All traffic
    stays on this machine, and what is made in the database is removed, after Ctrl-C too. In the same run it is measured
    what the machine can do without Anzol: post the same bytes, insert the same rows. Exit code 1: something was lost.
    """
    from anzol.bench.measuring import measure
    from anzol.cli.exits import Exit
    from anzol.cli.screen import Screen

    check_receiver(receiver)
    size = sized(full=full, messages=messages, endpoints=endpoints, seconds=seconds, processes=processes)
    screen = Screen(as_json=json)
    with shown(screen) as progress:
        found = list(measure(workloads or (), size, progress, database=database, with_receiver=receiver))
    show(screen, found)
    if not all(figures.whole for figures in found):
        raise typer.Exit(Exit.FAILED)


def check_receiver(kind: str | None) -> None:
    """Refuse what is no receiver, or not here."""
    from anzol.bench.receivers import NGINX, OWN, nginx
    from anzol.errors import InvalidValue

    if kind not in (None, NGINX, OWN):
        raise InvalidValue(f"There is no receiver {kind!r}.", field="receiver", do=f"There are: {NGINX}, {OWN}.")
    if kind == NGINX and nginx() is None:
        raise InvalidValue("nginx is not installed.", field="receiver", do="Leave --receiver out.")


def sized(
    *,
    full: bool,
    messages: int | None,
    endpoints: Sequence[int] | None,
    seconds: float | None,
    processes: Sequence[int] | None,
) -> Size:
    """Return how much is done: a short round or a full one, but for what was given."""
    from anzol.bench.sizes import FULL, SHORT

    given: dict[str, Any] = {
        "messages": messages,
        "backlog": messages,
        "endpoints": tuple(endpoints or ()),
        "paced_seconds": seconds,
        "processes": tuple(processes or ()),
    }
    return replace(FULL if full else SHORT, **{name: value for name, value in given.items() if value})


# --- progress


@contextmanager
def shown(screen: Screen) -> Iterator[Progress]:
    """Tell on stderr how far it is: drawn on a terminal, else a line for each step."""
    if not sys.stderr.isatty():
        yield Lines(screen)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Drawn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Drawn(*columns, console=Console(stderr=True)) as drawn:
        yield Bars(drawn)


class Lines:
    """Says what is begun."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def step(self, text: str, total: int) -> None:
        self._screen.progress(f"{text} ({total:,})")

    def done(self, count: int) -> None:
        """Say nothing: a file or a pipe has no use for it."""


class Bars:
    """Draws a bar for each step."""

    def __init__(self, drawn: Drawn) -> None:
        self._drawn = drawn
        self._bar: TaskID | None = None
        self._next = 0.0

    def step(self, text: str, total: int) -> None:
        self._finish()
        self._bar = self._drawn.add_task(text, total=total)

    def done(self, count: int) -> None:
        # A few times a second: telling takes time from what is measured.
        if self._bar is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.25
            self._drawn.update(self._bar, completed=count)

    def _finish(self) -> None:
        if self._bar is not None:
            self._drawn.update(self._bar, completed=self._drawn.tasks[-1].total)


# --- results


def show(screen: Screen, found: Sequence[Figures]) -> None:
    """Print the figures: all of them for machines, for people those that fit a terminal, and the limits below."""
    screen.table([asdict(figures) for figures in found], COLUMNS, [row(figures) for figures in found], empty="Nothing.")
    if found and not screen.as_json:
        screen.progress(footing(found[0]))


def row(figures: Figures) -> list[str]:
    """Return one row of the table."""
    return [
        figures.workload,
        figures.variant,
        number(figures.rate),
        f"{number(figures.limit)} {figures.limit_by}" if figures.limit_by else "",
        number(figures.cpu_us),
        fine(figures.p50_ms),
        fine(figures.p99_ms),
        fine(figures.send_p50_ms),
        number(figures.memory_mb),
        number(figures.accepted),
        number(figures.lost),
        number(figures.duplicates),
    ]


def number(value: float | None) -> str:
    """Write a whole number."""
    return "" if value is None else f"{value:,.0f}"


def fine(value: float | None) -> str:
    """Write a number to the hundredth."""
    return "" if value is None else f"{value:,.2f}"


def footing(figures: Figures) -> str:
    """Say what the figures are to be compared with, and what they were measured on."""
    return (
        f"Limits without Anzol: {number(figures.requests_limit)} requests/s ({figures.requests_by}), "
        f"{number(figures.inserts_limit)} inserts/s (bare driver), {fine(figures.commit_p50_ms)} ms for a commit.\n"
        f"{figures.machine}."
    )
