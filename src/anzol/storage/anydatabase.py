"""Any database that SQLAlchemy speaks to, by a synchronous driver or an asyncio one, one transaction at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from anzol.errors import StorageError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")


class AnyDatabase:
    """One connection to a database, opened when it is first needed; used by one thread at a time.

    With an asyncio driver (it may be the only one that is installed) it runs a loop of its own, so the thread must not
    run one already.
    """

    def __init__(self, url: str) -> None:
        self.url = parsed(url)
        self._engine: Engine | None = None
        self._async_engine: AsyncEngine | None = None
        self._runner: asyncio.Runner | None = None

    def do(self, act: Callable[[Connection], T]) -> T:
        """Call *act* with a connection, in a transaction; commit, and return what it returned."""
        if self.url.get_dialect().is_async:
            return self._do_on_loop(act)
        with self._opened().begin() as connection:
            return act(connection)

    def close(self) -> None:
        """Give the connection back; the next call opens another."""
        if self._engine is not None:
            self._engine.dispose()
        if self._runner is not None:
            if self._async_engine is not None:
                self._runner.run(self._async_engine.dispose())
            self._runner.close()
        self._engine = self._async_engine = self._runner = None

    def _do_on_loop(self, act: Callable[[Connection], T]) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._do_async(act))

    async def _do_async(self, act: Callable[[Connection], T]) -> T:
        from sqlalchemy.ext.asyncio import create_async_engine

        if self._async_engine is None:
            self._async_engine = create_async_engine(self.url, pool_size=1, max_overflow=0, pool_pre_ping=True)
        async with self._async_engine.begin() as connection:
            return await connection.run_sync(act)

    def _opened(self) -> Engine:
        from sqlalchemy import create_engine

        # Asked before use whether it lives: a database may be left alone for days behind a firewall that forgets.
        if self._engine is None:
            self._engine = create_engine(self.url, pool_size=1, max_overflow=0, pool_pre_ping=True)
        return self._engine


def parsed(url: str) -> URL:
    """Return *url* as SQLAlchemy reads it.

    Raises:
        StorageError: it cannot be read, or SQLAlchemy is not installed.
    """
    try:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError
    except ImportError as cause:
        raise StorageError(
            "An outbox lies in a database that is no SQLite file, and there is no SQLAlchemy here to reach it with.",
            do="Install anzol[sqlalchemy] and the database's driver, where workers run too.",
        ) from cause
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as cause:
        raise StorageError(
            "A database's URL cannot be read.", do="It looks like mysql+pymysql://user@host/name."
        ) from cause
