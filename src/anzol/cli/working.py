"""`anzol worker`: delivering in a process of its own; and `anzol doctor`: what keeps it from working well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from anzol.cli.options import App, AppArgument, Database, Json, command

if TYPE_CHECKING:
    from anzol.app import Webhooks
    from anzol.cli.findings import Finding


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(program, "worker", worker)
    command(program, "doctor", doctor)


# --- worker


def worker(
    app: AppArgument = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Deliver what is due now, then end.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Deliver, in a process of its own.

    As many as you like on one machine. SIGTERM or Ctrl-C: it finishes what is under way and ends; a second one: at
    once. Without an app (--database) it delivers, but runs no handlers of `webhooks.on`.
    """
    import asyncio

    from anzol.cli.opening import closing, opened

    webhooks = opened(app, database)
    show_attempts(as_json=json)
    work = deliver_once if once else deliver
    attempts = asyncio.run(closing(webhooks, work))
    if once:
        from anzol.cli.screen import Screen, count

        Screen(as_json=json).line({"attempts": attempts}, f"{count(attempts, 'attempt')} made")


async def deliver(webhooks: Webhooks) -> int:
    """Work until a signal; a second one: at once."""
    import asyncio
    import os
    import signal

    from anzol.cli.screen import Screen

    screen = Screen(as_json=False)

    def stop() -> None:
        screen.progress("Finishing what is under way; once more stops at once.")
        working.stop()

    async with webhooks.worker() as working:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        screen.progress(f"Worker {os.getpid()} delivers from {webhooks.settings.database}. Ctrl-C stops it.")
        await working.run()
    return 0


async def deliver_once(webhooks: Webhooks) -> int:
    """Deliver what is due by now; return how many attempts that took."""
    async with webhooks.worker() as working:
        try:
            return await working.drain_once()
        finally:
            await working.close()


def show_attempts(*, as_json: bool) -> None:
    """Print a line for each attempt, and warnings on stderr."""
    import logging

    from anzol.cli.lines import AttemptLines

    attempts = logging.getLogger("anzol.attempt")
    attempts.setLevel(logging.INFO)
    attempts.addHandler(AttemptLines(as_json=as_json))
    attempts.propagate = False
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


# --- doctor


def doctor(*, app: App = None, database: Database = None, json: Json = False) -> None:
    """Find what is misconfigured, and say how to mend it.

    Nothing is changed. Exit code 1: something loses or stops deliveries, or will.
    """
    from anzol.cli.exits import Exit
    from anzol.cli.findings import CHECKS, Level, examine
    from anzol.cli.gathering import gather
    from anzol.cli.screen import Screen, count

    findings = examine(gather(app, database))
    summary = f"{count(len(CHECKS), 'question')} asked, {count(len(findings), 'finding')}."
    data = [{"level": one.level.value, "check": one.check, "what": one.what, "do": one.do} for one in findings]
    text = "\n".join([*(told(finding) for finding in findings), summary])
    Screen(as_json=json).result({"asked": len(CHECKS), "findings": data}, text)
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(Exit.FAILED)


def told(finding: Finding) -> str:
    """Write a finding for people: a sign and a word for how bad it is, what, and what to do."""
    from anzol.cli.findings import Level
    from anzol.cli.screen import clean

    sign = {Level.ERROR: "✗ error  ", Level.WARNING: "! warning", Level.NOTE: "· note   "}[finding.level]
    mend = f"\n           {clean(finding.do)}" if finding.do else ""
    return f"{sign}  {clean(finding.what)}{mend}"
