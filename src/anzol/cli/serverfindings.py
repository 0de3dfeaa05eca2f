"""What the facts about a PostgreSQL server mean. No I/O in here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from anzol.cli.finding import Finding, Level
from anzol.cli.screen import count, span
from anzol.cli.serverfacts import Server

OLDEST: Final = 14
MOST: Final = 10  # connections of a process with a worker
SKEW: Final = timedelta(seconds=10)
SHOWN: Final = 5  # tables that a finding names


def server_is_new_enough(server: Server) -> Iterator[Finding]:
    """Is it a version that Anzol works with?"""
    if server.version < OLDEST * 10_000:
        what = f"The server is PostgreSQL {server.version // 10_000}; Anzol needs {OLDEST} or newer."
        yield Finding(Level.ERROR, "server-version", what, "Upgrade it.")


def server_can_be_written(server: Server) -> Iterator[Finding]:
    """Is it the primary, and may be written?"""
    if server.read_only:
        what = f"The server is {server.read_only}: nothing can be accepted, nothing delivered."
        do = "Name the primary, or several hosts with ?target_session_attrs=read-write, in ANZOL_DATABASE_URL."
        yield Finding(Level.ERROR, "read-only", what, do)


def commits_last(server: Server) -> Iterator[Finding]:
    """Is what was committed there after the machine failed?"""
    if server.unsafe:
        what = f"{' and '.join(server.unsafe)} off: what was accepted may be lost when the server's machine fails."
        yield Finding(Level.WARNING, "durability", what, "Turn it on, at least for this role: alter role ... set ...")


def rights_suffice(server: Server) -> Iterator[Finding]:
    """May our role do all that it has to?"""
    if server.lacked:
        more = f" and {len(server.lacked) - SHOWN} more" if len(server.lacked) > SHOWN else ""
        what = f"The role {server.role} lacks rights: {'; '.join(server.lacked[:SHOWN])}{more}."
        yield Finding(Level.ERROR, "rights", what, f"As the owner: anzol migrate --grant {server.role}")


def pooler_is_known(server: Server) -> Iterator[Finding]:
    """Does the setting say what is between?"""
    if server.pooled and not server.pooler:
        yield Finding(
            Level.ERROR,
            "pooler",
            "A pooler is between this and the server, and ANZOL_POOLER is not set: prepared statements and LISTEN fail "
            "if it lends connections by the transaction.",
            "Set ANZOL_POOLER=true, or name the server itself in ANZOL_DATABASE_URL.",
        )
    if server.pooler and not server.pooled:
        yield Finding(
            Level.NOTE,
            "pooler",
            "ANZOL_POOLER is set, and no pooler is to be seen: wake-ups are not used, work is found by polling.",
            "Take it away, unless what is between hides itself well.",
        )


def wake_ups_are_heard(server: Server) -> Iterator[Finding]:
    """Does a notification arrive?"""
    if server.heard is False:
        yield Finding(
            Level.WARNING,
            "listen",
            "A notification did not come back: idle workers find work only by polling, up to a second later.",
            "Look what is between this and the server; if it is a pooler, set ANZOL_POOLER=true.",
        )


def connections_suffice(server: Server) -> Iterator[Finding]:
    """Can another process be started?"""
    if server.free is not None and server.free < MOST:
        what = f"{count(server.free, 'connection')} left; a process with a worker opens up to {MOST}."
        do = "Raise max_connections (or the limit of the role or database), or put a pooler between."
        yield Finding(Level.WARNING, "connections", what, do)


def tables_are_vacuumed(server: Server) -> Iterator[Finding]:
    """Does somebody clear away dead rows?"""
    if server.unvacuumed:
        what = (
            f"Autovacuum is off for {', '.join(server.unvacuumed[:SHOWN])}: the queue grows slower with every message."
        )
        yield Finding(Level.WARNING, "autovacuum", what, "Turn it on.")


def no_transaction_is_old(server: Server) -> Iterator[Finding]:
    """Does an old transaction keep dead rows alive?"""
    old = server.oldest
    if old is not None:
        what = f"Process {old.process} ({old.who}) has a transaction open for {span(old.age)}: no dead row is cleared."
        yield Finding(Level.WARNING, "old-transaction", what, f"End it, or: select pg_terminate_backend({old.process})")


def server_clock_agrees(server: Server) -> Iterator[Finding]:
    """Have the server and this machine one time?"""
    if abs(server.skew) > SKEW:
        way = "ahead of" if server.skew > timedelta(0) else "behind"
        what = f"The server's clock is {span(abs(server.skew))} {way} this machine's."
        yield Finding(Level.WARNING, "clock", what, "Set both by NTP; receivers refuse what is signed 5 minutes off.")


def indexes_are_whole(server: Server) -> Iterator[Finding]:
    """Was the making of an index cut off?"""
    if server.broken_indexes:
        what = f"Invalid indexes, which cost and serve nobody: {', '.join(server.broken_indexes)}."
        do = f"anzol migrate; what is left then: reindex index concurrently {server.schema}.NAME"
        yield Finding(Level.WARNING, "index", what, do)


def schema_is_nobody_elses(server: Server) -> Iterator[Finding]:
    """Would the application's own tables be made among ours?"""
    if server.first_schema == server.schema:
        yield Finding(
            Level.WARNING,
            "search-path",
            f"What the role {server.role} names without a schema is looked for and made in {server.schema}, which is "
            "for Anzol's tables alone: a role of that name has it first in its search_path.",
            "alter role ... set search_path = public, or set ANZOL_SCHEMA to another name.",
        )


def application_was_started(server: Server) -> Iterator[Finding]:
    """Does the database carry a mark?"""
    if server.schema_version and not server.started and not server.lacked:
        yield Finding(
            Level.NOTE,
            "never-started",
            "No application has been started on this database yet.",
            "anzol dev, or the app",
        )


CHECKS: Final[tuple[Callable[[Server], Iterator[Finding]], ...]] = (
    server_is_new_enough,
    server_can_be_written,
    commits_last,
    rights_suffice,
    pooler_is_known,
    wake_ups_are_heard,
    connections_suffice,
    tables_are_vacuumed,
    no_transaction_is_old,
    server_clock_agrees,
    indexes_are_whole,
    schema_is_nobody_elses,
    application_was_started,
)
