"""`anzol worker`: delivering in a process of its own; and `anzol doctor`: what keeps it from working well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from anzol.cli.options import App, AppArgument, Database, Json, command
from anzol.errors import InvalidValue

if TYPE_CHECKING:
    from anzol.cli.finding import Finding


ANYWHERE = "0.0.0.0"  # noqa: S104 - probes come from outside the container


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(program, "worker", worker)
    command(program, "doctor", doctor)


# --- worker


def worker(
    app: AppArgument = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Deliver what is due now, then end.")] = False,
    processes: Annotated[
        int | None,
        typer.Option("--processes", "-p", min=1, max=256, metavar="N", help="Keep this many processes running."),
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option("--health-port", min=0, max=65535, help="Answer /live and /ready here; 0: a port that is free."),
    ] = None,
    health_host: Annotated[
        str, typer.Option("--health-host", help="The address for that; :: is all of IPv6 and IPv4.")
    ] = ANYWHERE,
    database: Database = None,
    json: Json = False,
) -> None:
    """Deliver, in a process of its own.

    As many as you like, with PostgreSQL on as many machines as you like. SIGTERM or Ctrl-C: it finishes what is under
    way and ends; a second one: at once. With --processes, SIGHUP replaces the processes one by one. Without an app
    (--database) it delivers, but runs no handlers of `webhooks.on`.
    """
    with shown_attempts(as_json=json):
        if once:
            refuse_with_once(processes, health_port)
            deliver_what_is_due(app, database, as_json=json)
        else:
            deliver_until_told(app, database, processes, health_host, health_port, as_json=json)


def deliver_until_told(
    app: str | None,
    database: str | None,
    processes: int | None,
    health_host: str,
    health_port: int | None,
    *,
    as_json: bool,
) -> None:
    """Deliver until a signal comes, in this process or in several."""
    where = None if health_port is None else (health_host, health_port)
    if processes is None:
        from anzol.cli.delivering import run_worker

        code = run_worker(app, database, where)
    else:
        from anzol.cli.supervisor import supervise
        from anzol.cli.workerprocess import Command

        code = supervise(Command(app, database, as_json=as_json), processes, where)
    if code:
        raise typer.Exit(code)


def deliver_what_is_due(app: str | None, database: str | None, *, as_json: bool) -> None:
    """Deliver once, and say how much that was."""
    from anzol.cli.delivering import deliver_once
    from anzol.cli.screen import Screen, count

    attempts = deliver_once(app, database)
    Screen(as_json=as_json).line({"attempts": attempts}, f"{count(attempts, 'attempt')} made")


def refuse_with_once(processes: int | None, health_port: int | None) -> None:
    """Refuse what makes no sense for a worker that ends by itself."""
    for field, given in (("processes", processes), ("health-port", health_port)):
        if given is not None:
            raise InvalidValue(f"--{field} is for a worker that stays, --once for one that ends.", field=field)


@contextmanager
def shown_attempts(*, as_json: bool) -> Iterator[None]:
    """Print a line for each attempt while this lasts, and warnings on stderr."""
    import logging

    from anzol.cli.lines import AttemptLines

    attempts, lines = logging.getLogger("anzol.attempt"), AttemptLines(as_json=as_json)
    level, propagates = attempts.level, attempts.propagate
    attempts.setLevel(logging.INFO)
    attempts.addHandler(lines)
    attempts.propagate = False
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        yield
    finally:
        attempts.removeHandler(lines)
        attempts.setLevel(level)
        attempts.propagate = propagates


# --- doctor


def doctor(*, app: App = None, database: Database = None, json: Json = False) -> None:
    """Find what is misconfigured, and say how to mend it.

    Nothing is changed. Exit code 1: something loses or stops deliveries, or will.
    """
    from anzol.cli.exits import Exit
    from anzol.cli.finding import Level
    from anzol.cli.findings import examine, questions
    from anzol.cli.gathering import gather
    from anzol.cli.screen import Screen, count

    facts = gather(app, database)
    findings, asked = examine(facts), questions(facts)
    summary = f"{count(asked, 'question')} asked, {count(len(findings), 'finding')}."
    data = [{"level": one.level.value, "check": one.check, "what": one.what, "do": one.do} for one in findings]
    text = "\n".join([*(told(finding) for finding in findings), summary])
    Screen(as_json=json).result({"asked": asked, "findings": data}, text)
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(Exit.FAILED)


def told(finding: Finding) -> str:
    """Write a finding for people: a sign and a word for how bad it is, what, and what to do."""
    from anzol.cli.finding import Level
    from anzol.cli.screen import clean

    sign = {Level.ERROR: "✗ error  ", Level.WARNING: "! warning", Level.NOTE: "· note   "}[finding.level]
    mend = f"\n           {clean(finding.do)}" if finding.do else ""
    return f"{sign}  {clean(finding.what)}{mend}"
