"""The schema's versions: numbered SQL files, and which of them a database has.

A file begins with what is to be known of it::

    -- works with 3
    -- no transaction

*Works with*: the oldest version whose Anzol can go on working once this is applied; every file but the first has it.
*No transaction*: its statements run one by one, as ``create index concurrently`` must; each ends a line with ``;`` and
may be run again. Rules for writing them: docs/decisions/0006-postgresql-migrations.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from anzol.errors import SchemaNewer, SchemaOutdated
from anzol.storage.postgres.queries import COMMENT, FOLDER, in_schema

if TYPE_CHECKING:
    from asyncpg import Connection

    from anzol.storage.postgres.work import Work

MADE: Final = """create table anzol.migration (
    version integer primary key,
    name text not null,
    works_with integer not null, -- the oldest version whose Anzol can work with it
    applied_at bigint not null
)"""
THERE: Final = "select to_regclass($1) is not null"
APPLIED: Final = "select coalesce(max(version), 0), coalesce(max(works_with), 0) from anzol.migration"
WORKS_WITH: Final = re.compile(r"^-- works with (\d+)$", re.MULTILINE | re.ASCII)
ALONE: Final = re.compile(r"^-- no transaction$", re.MULTILINE)


@cache
def migrations() -> tuple[tuple[int, str, str], ...]:
    """Return (version, name, SQL) of every migration, in order."""
    found = []
    for file in (FOLDER / "migrations").iterdir():
        number, _, name = file.name.removesuffix(".sql").partition("_")
        if file.name.endswith(".sql"):
            found.append((int(number), name, file.read_text(encoding="utf-8")))
    return tuple(sorted(found))


def newest() -> int:
    """Return the version that this Anzol works with."""
    return migrations()[-1][0]


def works_with(number: int, text: str) -> int:
    """Return the oldest version whose Anzol can work with a migration; without a word, only its own."""
    found = WORKS_WITH.search(text)
    return int(found[1]) if found else number


def is_alone(text: str) -> bool:
    """Say whether a migration's statements cannot run in a transaction."""
    return ALONE.search(text) is not None


def statements(text: str) -> Iterator[str]:
    """Split a script whose statements each end a line."""
    for statement in re.split(r";[ \t]*(?:\n|$)", COMMENT.sub("", text)):
        if statement.strip():
            yield statement.strip()


# --- what a database has


@dataclass(frozen=True, slots=True)
class Standing:
    """What a database has: its version (0: nothing), and the oldest version whose Anzol can work with it."""

    version: int
    works_with: int


async def standing(connection: Connection, schema: str) -> Standing:
    """Read what a database has. Needs USAGE on the schema and SELECT on the table."""
    if not await connection.fetchval(THERE, in_schema("anzol.migration", schema)):
        return Standing(0, 0)
    ((version, oldest),) = await connection.fetch(in_schema(APPLIED, schema))
    return Standing(version, oldest)


async def check(work: Work) -> Standing:
    """Refuse a schema that this Anzol cannot work with; return how it stands. To be called at every start.

    Raises:
        SchemaOutdated, SchemaNewer: as they say.
    """
    found = await standing(work.connection, work.schema)
    judge(found, newest())
    return found


def judge(found: Standing, wanted: int) -> None:
    """Refuse a schema that an Anzol of version *wanted* cannot work with.

    A newer one is right as long as it says so: while a new version is rolled out, the one before it goes on working.

    Raises:
        SchemaOutdated, SchemaNewer: as they say.
    """
    if found.version < wanted:
        none = "has no schema of Anzol's"
        what = none if found.version == 0 else f"has schema {found.version}, this Anzol needs {wanted}"
        raise SchemaOutdated(f"The database {what}.", do="Run `anzol migrate`.")
    if found.works_with > wanted:
        raise SchemaNewer(
            f"The database has schema {found.version}, which needs an Anzol of schema {found.works_with} or newer; "
            f"this one knows {wanted}.",
            do="Install the Anzol that made it, or newer.",
        )
