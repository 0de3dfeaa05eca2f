"""The relay's side of ``anzol_outbox``: short reads, and deletes that give up rather than wait.

A source keeps no lock between two calls, so that the host's transactions meet it for milliseconds at most. Each is used
by one thread at a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from urllib.parse import quote

from anzol.errors import OutboxMissing, StorageBusy, StorageError
from anzol.storage.anydatabase import AnyDatabase
from anzol.storage.outboxrows import TABLE, Row, has_table, own_table, sqlite_path

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable

T = TypeVar("T")

BUSY_WAIT: Final = 0.25  # seconds; the host's own work goes first
PAGE_BYTES: Final = 4_000_000  # of bodies; a page ends with the row that goes over
CHUNK: Final = 200  # ids in a statement

READ: Final = "select id, head, body from anzol_outbox where refused is null and id > ? order by id limit ?"
DELETE: Final = "delete from anzol_outbox where id in (select value from json_each(?))"
REFUSE: Final = "update anzol_outbox set refused = ? where id = ?"


class Source(Protocol):
    """One database with an ``anzol_outbox``.

    Every call raises StorageBusy where the database is locked, OutboxMissing where it or the table is not there (yet),
    and StorageError for anything else that it answers; the next call starts afresh.
    """

    @property
    def shown(self) -> str:
        """The database's URL without its password."""
        ...

    def read(self, after: str, limit: int) -> Sequence[Row]:
        """Return committed rows behind *after* (an id) that nobody refused, in the order of their ids."""
        ...

    def settle(self, moved: Sequence[str], refused: Sequence[tuple[str, str]]) -> None:
        """Delete rows that were moved over, and write on others why they were refused."""
        ...

    def close(self) -> None:
        """Give connections back; the next call opens them again."""
        ...


def open_source(url: str) -> Source:
    """Return the source for a database's URL: SQLite files through Python's own driver, others through SQLAlchemy."""
    path = sqlite_path(url)
    return FileSource(path) if path else SqlalchemySource(url)


class FileSource:
    """An outbox in a SQLite file, which is never created here: the host may be making it right now."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).absolute()
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)

    @property
    def shown(self) -> str:
        return f"sqlite:///{quote(str(self._path))}"

    def read(self, after: str, limit: int) -> Sequence[Row]:
        return self._do(lambda connection: first_page(connection.execute(READ, (after, limit))))

    def settle(self, moved: Sequence[str], refused: Sequence[tuple[str, str]]) -> None:
        for chunk in chunks(moved):
            self._do(partial(change, DELETE, (json.dumps(chunk),)))
        for row, reason in refused:
            self._do(partial(change, REFUSE, (reason, row)))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _do(self, act: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return act(self._opened())
        except sqlite3.Error as cause:
            self.close()
            raise self._meaning(cause) from cause

    def _opened(self) -> sqlite3.Connection:
        # A development database is deleted and made again while this runs: an open one would be the deleted one.
        try:
            stat = self._path.stat()
        except OSError as cause:
            self.close()
            raise OutboxMissing(f"The database {self.shown} is not there.") from cause
        if self._connection is None or self._identity != (stat.st_dev, stat.st_ino):
            self.close()
            self._identity = (stat.st_dev, stat.st_ino)
            self._connection = sqlite3.connect(
                f"file:{quote(str(self._path))}?mode=rw",
                uri=True,
                timeout=BUSY_WAIT,
                isolation_level=None,
                check_same_thread=False,
            )
        return self._connection

    def _meaning(self, cause: sqlite3.Error) -> StorageError | OutboxMissing:
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StorageBusy(f"The database {self.shown} is locked.")
        if "no such table" in str(cause):
            return OutboxMissing(f"The database {self.shown} has no table {TABLE}.")
        return StorageError(f"The outbox of {self.shown} cannot be read or changed: {cause}.")


def first_page(rows: Iterable[tuple[str, str, bytes]]) -> list[Row]:
    """Take rows up to `PAGE_BYTES`, and at least one."""
    page: list[Row] = []
    size = 0
    for row, head, body in rows:
        page.append(Row(row, head, bytes(body)))
        size += len(body)
        if size > PAGE_BYTES:
            break
    return page


def change(sql: str, values: tuple[str, ...], connection: sqlite3.Connection) -> None:
    """Change rows in one short transaction, which fails at its begin if it would have to wait too long."""
    connection.execute("begin immediate")
    try:
        connection.execute(sql, values)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    """Cut *ids* into pieces of `CHUNK`, in order: two relays that delete never wait for each other in a circle."""
    ordered = sorted(ids)
    return (ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK))


def execute(statement: Executable, connection: Connection) -> None:
    """Execute a statement whose result is of no interest."""
    connection.execute(statement)


class SqlalchemySource:
    """An outbox in any database that SQLAlchemy speaks to."""

    def __init__(self, url: str) -> None:
        self._database = AnyDatabase(url)

    @property
    def shown(self) -> str:
        return self._database.url.render_as_string(hide_password=True)

    def read(self, after: str, limit: int) -> Sequence[Row]:
        table = own_table()
        query = table.select().where(table.c.refused.is_(None), table.c.id > after).order_by(table.c.id).limit(limit)
        return self._do(lambda connection: first_page(row[:3] for row in connection.execute(query)))

    def settle(self, moved: Sequence[str], refused: Sequence[tuple[str, str]]) -> None:
        table = own_table()
        for chunk in chunks(moved):
            self._do(partial(execute, table.delete().where(table.c.id.in_(chunk))))
        for row, reason in refused:
            self._do(partial(execute, table.update().where(table.c.id == row).values(refused=reason)))

    def close(self) -> None:
        self._database.close()

    def _do(self, act: Callable[[Connection], T]) -> T:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return self._database.do(act)
        except (SQLAlchemyError, ImportError, OSError) as cause:
            raise self._meaning(cause) from cause

    def _meaning(self, cause: Exception) -> StorageError | OutboxMissing:
        if self._table_is_missing():
            return OutboxMissing(f"The database {self.shown} has no table {TABLE}.")
        # The driver's own words: SQLAlchemy's repeat the statement and its values.
        said = getattr(cause, "orig", None) or cause
        if "locked" in str(said):
            return StorageBusy(f"The database {self.shown} is locked.")
        return StorageError(f"The outbox of {self.shown} cannot be read or changed: {type(said).__name__}: {said}.")

    def _table_is_missing(self) -> bool:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return not self._database.do(has_table)
        except (SQLAlchemyError, ImportError, OSError):
            return False
