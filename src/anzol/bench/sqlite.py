"""Runs on SQLite: each in a new file of a temporary folder; its limits with the standard library's driver."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote

from anzol.bench.posting import BODY_SIZE
from anzol.bench.sites import Database, variables

PAUSE: Final = 0.004  # seconds between commits that are timed
TABLES: Final = """
pragma journal_mode = wal; pragma synchronous = full;
create table message (
    seq integer primary key, id blob not null unique, customer_id blob, customer text, event_type text,
    content_type text, created_at integer, body blob
);
create index message_customer on message (customer_id);
create table delivery (
    message integer, endpoint integer, state integer, attempts integer, ended_at integer,
    primary key (message, endpoint)
) without rowid;
create index delivery_endpoint on delivery (endpoint, message);
create table attempt (
    seq integer primary key, id blob, message integer, endpoint integer, number integer, status integer,
    started_at integer, total integer, response_headers text, response_body blob
);
create index attempt_message on attempt (message);
create index attempt_endpoint on attempt (endpoint);
"""
BODY: Final = b"y" * BODY_SIZE


@dataclass(frozen=True, slots=True)
class SqliteSite:
    """A temporary folder for SQLite files."""

    folder: Path

    @property
    def engine(self) -> str:
        return "sqlite"

    @property
    def described(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    @contextmanager
    def fresh(self) -> Iterator[Database]:
        """Give a new file in a folder of its own."""
        with TemporaryDirectory(dir=self.folder) as name:
            path = Path(name) / "bench.db"
            yield SqliteDatabase(path, variables(f"sqlite:///{quote(str(path))}"))


@dataclass(frozen=True, slots=True)
class SqliteDatabase:
    """A new SQLite file."""

    path: Path
    variables: dict[str, str]

    def attempts(self) -> int:
        """Return how many attempts it holds."""
        with closing(sqlite3.connect(self.path)) as connection:
            return int(connection.execute("select count(*) from anzol_attempt").fetchone()[0])

    def insert_rate(self, *, messages: int, batch: int, delivered: bool = True) -> float:
        """Store messages, mostly with the rows that their deliveries leave; each batch in a durable commit."""
        with closing(self._bare()) as connection:
            began = time.perf_counter()
            for first in range(0, messages, batch):
                connection.execute("begin immediate")
                store(connection, range(first, min(first + batch, messages)), delivered=delivered)
                connection.execute("commit")
            return messages / (time.perf_counter() - began)

    def commit_times(self, commits: int) -> list[float]:
        """Time commits of one message each."""
        took = []
        with closing(self._bare()) as connection:
            for number in range(commits):
                rows = message_rows(range(-1 - number, -number))
                before = time.perf_counter()
                insert(connection, "message", rows)
                took.append(time.perf_counter() - before)
                time.sleep(PAUSE)
        return took

    def _bare(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path.with_name("limit.db"), isolation_level=None)
        there = connection.execute("select count(*) from sqlite_schema").fetchone()[0]
        connection.executescript("pragma synchronous = full" if there else TABLES)
        return connection


def message_rows(numbers: range) -> list[tuple[object, ...]]:
    """Return messages as rows."""
    now = time.time_ns() // 1000
    return [
        (n, os.urandom(16), os.urandom(16), "customer-1", "new-subscription", "application/json", now, BODY)
        for n in numbers
    ]


def store(connection: sqlite3.Connection, numbers: range, *, delivered: bool) -> None:
    """Store messages, and if they were delivered their deliveries and their attempts."""
    now = time.time_ns() // 1000
    insert(connection, "message", message_rows(numbers))
    if not delivered:
        return
    insert(connection, "attempt", [(n, os.urandom(16), n, n % 1000, 1, 204, now, 500, "[]", b"") for n in numbers])
    insert(connection, "delivery", [(n, n % 1000, 1, 1, now) for n in numbers])


def insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows by one statement."""
    values = ",".join(["(" + ",".join("?" * len(rows[0])) + ")"] * len(rows))
    connection.execute(f"insert into {table} values {values}", [value for row in rows for value in row])  # noqa: S608 - our own table names
