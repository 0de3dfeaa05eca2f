"""One transaction's hands: queries by name, rows in bulk, numbers for new rows.

In CPython every step of a statement gives the interpreter's lock away and must win it back beside busy threads: 400
rows a second came through one by one, 7,280 in bulk. So many rows are written as one multi-row VALUES, and many are
read as one JSON text.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from anzol.actors import CODE
from anzol.circuit import CircuitRules
from anzol.errors import NotFound
from anzol.storage.face import Content
from anzol.storage.sqlite.queries import chunks, repeated, sql, turned
from anzol.storage.vault import Vault

Row = tuple[Any, ...]
FARTHEST: Final = CircuitRules().farthest  # microseconds
encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_busy(error: BaseException) -> bool:
    """Say whether SQLite could not have the lock it needs."""
    # Errors that Python's own module raises, such as of text that is not UTF-8, carry no code of SQLite's.
    return isinstance(error, sqlite3.OperationalError) and getattr(error, "sqlite_errorcode", 0) & 0xFF in BUSY


class Work:
    """What an operation may use while its transaction is open; made anew for each transaction.

    ``fresh`` gathers the contents of messages accepted in it, by seq; ``recent`` has those of earlier ones. ``nudging``
    says that its commit makes work for workers. ``actor`` is who does what is being done.
    """

    __slots__ = ("_environments", "_numbers", "actor", "connection", "fresh", "now", "nudging", "recent", "vault")

    def __init__(self, connection: sqlite3.Connection, now: int, vault: Vault, recent: dict[int, Content]) -> None:
        self.connection = connection
        self.now = now
        self.vault = vault
        self.recent = recent
        self.actor = CODE
        self.fresh: dict[int, Content] = {}
        self.nudging = False
        self._numbers: dict[str, int] = {}
        self._environments: dict[str, int] = {}

    def run(self, query: str, **values: object) -> int:
        """Do a change; return how many rows it touched."""
        return self.connection.execute(sql(query), values).rowcount

    def one(self, query: str, **values: object) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = self.connection.execute(sql(query), values).fetchone()
        return row

    def the(self, query: str, what: str, **values: object) -> Row:
        """Return the first row.

        Raises:
            NotFound: there is none; *what* says of what.
        """
        row = self.one(query, **values)
        if row is None:
            raise NotFound(f"There is no {what}.")
        return row

    def all(self, query: str, **values: object) -> list[Row]:
        """Return every row, one step each: for a few."""
        return self.connection.execute(sql(query), values).fetchall()

    def listed(
        self, query: str, conditions: Sequence[str], *, oldest_first: bool = False, **values: object
    ) -> list[Row]:
        """As `all`, with more conditions where the query says ``-- conditions``: never made from what users give."""
        more = "".join(f" and {condition}" for condition in conditions)
        text = turned(query) if oldest_first else sql(query)
        return self.connection.execute(text.replace("-- conditions", more), values).fetchall()

    def gathered(self, query: str, **values: object) -> list[Any]:
        """Return what a query gives as one JSON array."""
        text = self.connection.execute(sql(query), values).fetchone()[0]
        found: list[Any] = json.loads(text)
        return found

    def gathered_for(self, query: str, rows: Sequence[Sequence[object]], *others: object) -> list[Any]:
        """As `gathered`, for a query with a line of VALUES, repeated for each of *rows*; *others* are behind them."""
        found: list[Any] = []
        for part in self._parts(query, rows, others):
            found += json.loads(part.fetchone()[0])
        return found

    def insert(self, query: str, rows: Sequence[Sequence[object]]) -> None:
        """Write many rows by a query with a line of VALUES."""
        for _ in self._parts(query, rows, ()):
            pass

    def _parts(
        self, query: str, rows: Sequence[Sequence[object]], others: Sequence[object]
    ) -> Iterator[sqlite3.Cursor]:
        done = 0
        for size in chunks(len(rows)):
            flat = [value for row in rows[done : done + size] for value in row]
            done += size
            yield self.connection.execute(repeated(query, size), (*flat, *others))

    def number(self, table: str, count: int = 1) -> int:
        """Return the first of *count* new row numbers of *table*; the caller must use them all, in this transaction."""
        first = self._numbers.get(table)
        if first is None:
            row = self.connection.execute(sql("last_number"), {"table": table}).fetchone()
            first = (row[0] if row else 0) + 1
        self._numbers[table] = first + count
        return first

    def number_given(self, table: str, count: int) -> int:
        """Return the first of the last *count* numbers that `number` gave."""
        return self._numbers.get(table, 0) - count

    def content(self, message: int) -> Content | None:
        """Return a message's content if this process remembers it."""
        return self.fresh.get(message) or self.recent.get(message)

    def forget_numbers(self) -> None:
        """Read them again: a savepoint was taken back."""
        self._numbers.clear()
        self._environments.clear()
        self.fresh.clear()

    def environment(self, name: str) -> int:
        """Return the number of an environment; make it if it is new."""
        known = self._environments.get(name)
        if known is None:
            row = self.one("environment", name=name)
            if row is None:
                self.run("environment_new", name=name, now=self.now)
                row = self.the("environment", f"environment {name!r}", name=name)
            known = self._environments[name] = int(row[0])
        return known


def give_back(work: Work, me: int, lanes: Sequence[int]) -> None:
    """Free lanes that are held; each is due when its next delivery is, or its circuit lets a probe through."""
    work.run("lanes_release", me=me, lanes=encode(lanes), now=work.now, farthest=FARTHEST)


def note(
    work: Work, environment: str, action: str, object_id: str, customer_id: bytes | None = None, detail: str = "{}"
) -> None:
    """Write down who does what, for `anzol.storage.books.Audit`; *detail* is JSON without secrets."""
    work.run(
        "audit_new",
        environment=work.environment(environment),
        now=work.now,
        actor=work.actor,
        action=action,
        object=object_id,
        customer_id=customer_id,
        detail=detail,
    )
