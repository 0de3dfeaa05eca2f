"""Connections to one SQLite file: how they are opened, one for writing, a few for reading.

None of them outlives a fork: SQLite keeps a table of a process's locks in memory, and a child that inherits it would
believe that it holds the parent's. So all are closed before a fork and opened again when next needed.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from anzol.errors import StorageError
from anzol.storage.sqlite.work import is_busy

STATEMENTS: Final = 512  # prepared statements kept for each connection
OLDEST: Final = (3, 33, 0)  # UPDATE ... FROM


def connect(path: Path, *, reading: bool) -> sqlite3.Connection:
    """Open the file, made if it is new, in the write-ahead log mode and with every commit on disk.

    Raises:
        StorageError: the file cannot be opened, or this SQLite is too old.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old.", do="Anzol needs 3.33 or newer.")
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS, timeout=1.0
        )
    except sqlite3.Error as cause:
        raise StorageError(f"The database {path} could not be opened: {cause}.") from cause
    try:
        tune(connection, reading=reading)
    except sqlite3.Error as cause:
        connection.close()
        if is_busy(cause):
            raise  # who opens waits, as for any other lock
        raise StorageError(f"The database {path} could not be opened: {cause}.") from cause
    return connection


def tune(connection: sqlite3.Connection, *, reading: bool) -> None:
    """Set what every connection of ours needs."""
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("pragma cache_size = -32000")
    connection.execute("pragma temp_store = memory")
    connection.execute("pragma secure_delete = fast")
    connection.execute("pragma foreign_keys = off")
    if reading:
        connection.execute("pragma query_only = on")


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells this file from any other, also one that is put in its place; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_there(path: Path, opened: tuple[int, int] | None) -> None:
    """Refuse to go on in a file that is no longer at its path: what is written to it is gone with the process.

    Raises:
        StorageError: as it says.
    """
    if identity(path) != opened:
        raise StorageError(
            f"The database {path} was deleted or replaced while it was in use; nothing was stored.",
            do="Put it back, or start this program again to use the one that is there now.",
        )


class Readers:
    """Connections for reading, as many as read at the same time."""

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._places = threading.BoundedSemaphore(most)
        self._free: list[sqlite3.Connection] = []

    @contextmanager
    def borrow(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection."""
        with self.place():
            connection = self._free.pop() if self._free else connect(self._path, reading=True)
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.rollback()
                self._free.append(connection)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Keep a fork waiting while something is open."""
        with self._places:
            yield

    def close(self) -> None:
        """Close what nobody reads with."""
        while self._free:
            self._free.pop().close()

    def hold(self) -> None:
        """Wait for every reader, keep others out, close all."""
        for _ in range(self._most):
            self._places.acquire()
        self.close()

    def let_go(self) -> None:
        """Let readers in again."""
        for _ in range(self._most):
            self._places.release()
