"""The schema's versions: numbered SQL files, applied in order under the write lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cache
from typing import Final

from anzol.errors import SchemaNewer, SchemaOutdated
from anzol.storage.sqlite.queries import FOLDER

MADE: Final = (
    "create table if not exists anzol_migration "
    "(version integer primary key, name text not null, applied_at integer not null)"
)


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


def version(connection: sqlite3.Connection) -> int:
    """Return the version a database has; 0 where there is nothing of Anzol's."""
    made = connection.execute(
        "select 1 from sqlite_master where type = 'table' and name = 'anzol_migration'"
    ).fetchone()
    if made is None:
        return 0
    return int(connection.execute("select coalesce(max(version), 0) from anzol_migration").fetchone()[0])


def check(connection: sqlite3.Connection) -> None:
    """Refuse a schema that this Anzol does not know.

    Raises:
        SchemaOutdated, SchemaNewer: as they say.
    """
    check_known(connection)
    there, wanted = version(connection), newest()
    if there < wanted:
        what = "has no schema of Anzol's" if there == 0 else f"has schema {there}, this Anzol needs {wanted}"
        raise SchemaOutdated(f"The database {what}.", do="Run `anzol migrate`.")


def check_known(connection: sqlite3.Connection) -> None:
    """Refuse a schema that only a newer Anzol knows.

    Raises:
        SchemaNewer: as it says.
    """
    there, wanted = version(connection), newest()
    if there > wanted:
        raise SchemaNewer(
            f"The database has schema {there}, this Anzol knows {wanted}.",
            do="Install the Anzol that made it, or newer.",
        )


def apply(connection: sqlite3.Connection, now: int) -> list[int]:
    """Apply what is missing, inside the open transaction; return the versions applied.

    Raises:
        SchemaNewer: the database belongs to a newer Anzol.
    """
    there = version(connection)
    missing = [one for one in migrations() if one[0] > there]
    if missing:
        connection.execute(MADE)
    for number, name, text in missing:
        for statement in statements(text):
            connection.execute(statement)
        connection.execute("insert into anzol_migration values (?, ?, ?)", (number, name, now))
    check(connection)
    return [number for number, _, _ in missing]


def statements(text: str) -> Iterator[str]:
    """Split a script into its statements: `executescript` would commit what is open."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
