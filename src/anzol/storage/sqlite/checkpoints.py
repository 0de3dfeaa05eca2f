"""Moving what was committed from the write-ahead log into the database, beside the commits rather than within them.

SQLite would do it inside some unlucky commit. Here a reader's thread moves the bulk while commits go on; the writer
then moves the little that came meanwhile, so that the log begins anew; when nothing happens it is cut to nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Final

from anzol.storage.sqlite.connections import Readers, connect

KEPT: Final = 4 * 1024 * 1024  # bytes of a log that is begun anew; a file that stays is written faster
STEP: Final = 4 * 1024 * 1024  # bytes by which it grows until the next move


class Checkpoints:
    """When to move, for one database.

    Args:
        pool: Returns the threads that read.
    """

    def __init__(self, path: Path, readers: Readers, pool: Callable[[], Executor]) -> None:
        self._log = path.with_name(path.name + "-wal")
        self._path = path
        self._readers = readers
        self._pool = pool
        self._moved_at = KEPT
        self._moving = False
        self._moved = False
        self._cut = False

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Take the matter out of SQLite's hands."""
        connection.execute("pragma wal_autocheckpoint = 0")
        connection.execute(f"pragma journal_size_limit = {KEPT}")

    def after_commit(self, connection: sqlite3.Connection) -> None:
        """Move if the log has grown; called between two commits."""
        self._cut = False
        if self._moved:
            self._moved = False
            with suppress(sqlite3.OperationalError):  # what cannot be moved now stays in the log
                connection.execute("pragma wal_checkpoint(passive)").fetchone()
        size = self._size()
        if size < self._moved_at:
            self._moved_at = max(size, KEPT)  # begun anew
        if not self._moving and size - self._moved_at >= STEP:
            self._moving = True
            self._moved_at = size
            try:
                self._pool().submit(self._move)
            except RuntimeError:  # closing: the last connection to close moves everything
                self._moving = False

    def when_idle(self, connection: sqlite3.Connection) -> None:
        """Cut the log to nothing, once until there is something in it again."""
        if not self._cut and not self._moving and self._size():
            self._cut = True
            with suppress(sqlite3.OperationalError):  # somebody writes or reads after all
                connection.execute("pragma wal_checkpoint(truncate)").fetchone()

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _move(self) -> None:
        try:
            with self._readers.place():
                connection = connect(self._path, reading=False)
                try:
                    connection.execute("pragma wal_checkpoint(passive)").fetchone()
                finally:
                    connection.close()
            self._moved = True
        finally:
            self._moving = False
