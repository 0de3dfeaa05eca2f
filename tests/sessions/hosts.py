"""Hosts: one way each of holding a transaction on a SQLite file, with the host's own table ``item`` in it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import sqlalchemy
import sqlmodel
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession as SqlmodelAsyncSession

from anzol.storage.outboxrows import create_outbox_table

ADD = "insert into item (name) values ('{}')"


class Host:
    """A transaction of the host's; `given` is what the caller passes as ``session=``."""

    given: Any

    async def add(self, name: str) -> None:
        """Write a row of the host's own."""
        raise NotImplementedError

    async def commit(self) -> None:
        raise NotImplementedError

    async def rollback(self) -> None:
        raise NotImplementedError

    def savepoint(self) -> AbstractAsyncContextManager[Savepoint]:
        raise NotImplementedError


class Savepoint:
    """Rolls back at its end if told so."""

    def __init__(self) -> None:
        self.spoilt = False


class AlchemyHost(Host):
    """Whatever of SQLAlchemy is synchronous."""

    def __init__(self, given: Any) -> None:
        self.given = given

    async def add(self, name: str) -> None:
        connection = self.given if isinstance(self.given, sqlalchemy.Connection) else self.given.connection()
        connection.execute(text(ADD.format(name)))

    async def commit(self) -> None:
        self.given.commit()

    async def rollback(self) -> None:
        self.given.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Savepoint]:
        nested, savepoint = self.given.begin_nested(), Savepoint()
        yield savepoint
        (nested.rollback if savepoint.spoilt else nested.commit)()


class AsyncAlchemyHost(Host):
    """Whatever of SQLAlchemy is asynchronous."""

    def __init__(self, given: Any) -> None:
        self.given = given

    async def add(self, name: str) -> None:
        connection = self.given if isinstance(self.given, AsyncConnection) else await self.given.connection()
        await connection.execute(text(ADD.format(name)))

    async def commit(self) -> None:
        await self.given.commit()

    async def rollback(self) -> None:
        await self.given.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Savepoint]:
        nested, savepoint = await self.given.begin_nested(), Savepoint()
        yield savepoint
        await (nested.rollback if savepoint.spoilt else nested.commit)()


class DriverHost(Host):
    """A connection of sqlite3; ``begin`` where the caller has to say it."""

    def __init__(self, given: sqlite3.Connection, *, begin: bool = False) -> None:
        self.given = given
        self._begin = begin

    async def add(self, name: str) -> None:
        if self._begin and not self.given.in_transaction:
            self.given.execute("begin")
        self.given.execute(ADD.format(name))

    async def commit(self) -> None:
        self.given.execute("commit") if self._begin else self.given.commit()

    async def rollback(self) -> None:
        self.given.execute("rollback") if self._begin else self.given.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Savepoint]:
        savepoint = Savepoint()
        self.given.execute("savepoint here")
        yield savepoint
        if savepoint.spoilt:
            self.given.execute("rollback to here")
        self.given.execute("release here")


class AiosqliteHost(Host):
    def __init__(self, given: aiosqlite.Connection) -> None:
        self.given = given

    async def add(self, name: str) -> None:
        await self.given.execute(ADD.format(name))

    async def commit(self) -> None:
        await self.given.commit()

    async def rollback(self) -> None:
        await self.given.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Savepoint]:
        savepoint = Savepoint()
        await self.given.execute("savepoint here")
        yield savepoint
        if savepoint.spoilt:
            await self.given.execute("rollback to here")
        await self.given.execute("release here")


def prepare(path: Path, *, outbox: bool = True, wal: bool = False) -> None:
    """Make the host's database."""
    connection = sqlite3.connect(path)
    if wal:
        connection.execute("pragma journal_mode=wal")
    connection.execute("create table item (id integer primary key, name text not null)")
    connection.close()
    if outbox:
        create_outbox_table(f"sqlite:///{path}")


def items(path: Path) -> list[str]:
    """The names that the host has committed."""
    connection = sqlite3.connect(path)
    try:
        return [name for (name,) in connection.execute("select name from item order by id")]
    finally:
        connection.close()


def outbox(path: Path) -> list[tuple[str, str | None]]:
    """The rows of ``anzol_outbox`` that are committed: id and why refused."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("select id, refused from anzol_outbox order by id").fetchall()
    finally:
        connection.close()


def explicit_begin(engine: sqlalchemy.Engine) -> sqlalchemy.Engine:
    """SQLAlchemy's recipe: BEGIN is emitted before the first statement, reading or writing."""

    @event.listens_for(engine, "connect")
    def no_begin_of_its_own(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@asynccontextmanager
async def alchemy(path: Path, make: Callable[[sqlalchemy.Engine], Any], *, begin: bool = False) -> AsyncIterator[Host]:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    given = make(explicit_begin(engine) if begin else engine)
    try:
        yield AlchemyHost(given)
    finally:
        given.close()
        engine.dispose()


@asynccontextmanager
async def async_alchemy(path: Path, make: Callable[[AsyncEngine], Any]) -> AsyncIterator[Host]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    given = make(engine)
    if isinstance(given, AsyncConnection):
        await given.start()
    try:
        yield AsyncAlchemyHost(given)
    finally:
        await given.close()
        await engine.dispose()


@asynccontextmanager
async def driver(path: Path, **options: Any) -> AsyncIterator[Host]:
    begin = options.get("isolation_level", "") is None
    connection = sqlite3.connect(path, check_same_thread=False, **options)
    connection.row_factory = lambda cursor, row: {"row": row}
    try:
        yield DriverHost(connection, begin=begin)
    finally:
        connection.close()


@asynccontextmanager
async def aio(path: Path) -> AsyncIterator[Host]:
    async with aiosqlite.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        yield AiosqliteHost(connection)


Open = Callable[[Path], AbstractAsyncContextManager[Host]]


def scoped(engine: sqlalchemy.Engine) -> Any:
    return scoped_session(sessionmaker(engine))


def async_scoped(engine: AsyncEngine) -> Any:
    return async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: "one")


SYNC: dict[str, Open] = {
    "Session": lambda path: alchemy(path, Session),
    "Session with explicit BEGIN": lambda path: alchemy(path, Session, begin=True),
    "sqlmodel.Session": lambda path: alchemy(path, sqlmodel.Session),
    "scoped_session": lambda path: alchemy(path, scoped),
    "Connection": lambda path: alchemy(path, lambda engine: engine.connect()),
    "sqlite3": lambda path: driver(path),
    "sqlite3 immediate": lambda path: driver(path, isolation_level="IMMEDIATE"),
    "sqlite3 with own BEGIN": lambda path: driver(path, isolation_level=None),
}
if sys.version_info >= (3, 12):
    SYNC["sqlite3 autocommit=False"] = lambda path: driver(path, autocommit=False)
ASYNC: dict[str, Open] = {
    "AsyncSession": lambda path: async_alchemy(path, AsyncSession),
    "sqlmodel AsyncSession": lambda path: async_alchemy(path, SqlmodelAsyncSession),
    "async_scoped_session": lambda path: async_alchemy(path, async_scoped),
    "AsyncConnection": lambda path: async_alchemy(path, lambda engine: engine.connect()),
    "aiosqlite": aio,
}
KINDS = SYNC | ASYNC
