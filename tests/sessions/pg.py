"""Hosts on PostgreSQL: every way of holding a transaction there, with the host's own table ``item`` in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import asyncpg
import psycopg
import pytest
import sqlalchemy
import sqlmodel
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlmodel.ext.asyncio.session import AsyncSession as SqlmodelAsyncSession

from anzol import ids
from anzol.storage.face import Accept, NewMessage, Storage
from anzol.storage.foreign import ForeignOutbox
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.vault import Vault
from tests.postgres import Server
from tests.sessions.hosts import ADD, AlchemyHost, AsyncAlchemyHost, Host, Savepoint, async_scoped, scoped

Open = Callable[..., AbstractAsyncContextManager[Host]]


class AsyncpgHost(Host):
    """A bare connection of asyncpg, which says ``begin`` itself; also one that a pool lends."""

    def __init__(self, given: Any, isolation: str | None) -> None:
        self.given = given
        self._begin = f"begin isolation level {isolation}" if isolation else "begin"

    async def begin(self) -> None:
        if not self.given.is_in_transaction():
            await self.given.execute(self._begin)

    async def add(self, name: str) -> None:
        await self.begin()
        await self.given.execute(ADD.format(name))

    async def commit(self) -> None:
        await self.given.execute("commit")

    async def rollback(self) -> None:
        await self.given.execute("rollback")

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Savepoint]:
        savepoint = Savepoint()
        await self.given.execute("savepoint here")
        yield savepoint
        if savepoint.spoilt:
            await self.given.execute("rollback to here")
        await self.given.execute("release here")


class PsycopgHost(Host):
    def __init__(self, given: psycopg.Connection[Any]) -> None:
        self.given = given

    async def add(self, name: str) -> None:
        self.given.execute(ADD.format(name).encode())

    async def commit(self) -> None:
        self.given.commit()

    async def rollback(self) -> None:
        self.given.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Savepoint]:
        savepoint = Savepoint()
        with self.given.transaction(force_rollback=False) as block:
            yield savepoint
            if savepoint.spoilt:
                raise psycopg.Rollback(block)


class AsyncPsycopgHost(Host):
    def __init__(self, given: psycopg.AsyncConnection[Any]) -> None:
        self.given = given

    async def add(self, name: str) -> None:
        await self.given.execute(ADD.format(name).encode())

    async def commit(self) -> None:
        await self.given.commit()

    async def rollback(self) -> None:
        await self.given.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Savepoint]:
        savepoint = Savepoint()
        async with self.given.transaction() as block:
            yield savepoint
            if savepoint.spoilt:
                raise psycopg.Rollback(block)


def with_driver(uri: str, driver: str) -> str:
    """Name the driver, as SQLAlchemy wants it."""
    if driver == "pg8000":  # which knows no folders of sockets
        uri = uri.replace("host=", "unix_sock=") + "/.s.PGSQL.5432"
    return uri.replace("postgresql://", f"postgresql+{driver}://", 1)


def options(isolation: str | None) -> dict[str, Any]:
    return {"isolation_level": isolation.upper()} if isolation else {}


@asynccontextmanager
async def alchemy(
    uri: str, driver: str, make: Callable[[sqlalchemy.Engine], Any], isolation: str | None = None
) -> AsyncIterator[Host]:
    pytest.importorskip(driver)
    engine = sqlalchemy.create_engine(with_driver(uri, driver), **options(isolation))
    given = make(engine)
    try:
        yield AlchemyHost(given)
    finally:
        given.close()
        engine.dispose()


@asynccontextmanager
async def async_alchemy(
    uri: str, driver: str, make: Callable[[AsyncEngine], Any], isolation: str | None = None
) -> AsyncIterator[Host]:
    engine = create_async_engine(with_driver(uri, driver), **options(isolation))
    given = make(engine)
    if isinstance(given, AsyncConnection):
        await given.start()
    try:
        yield AsyncAlchemyHost(given)
    finally:
        await given.close()
        await engine.dispose()


@asynccontextmanager
async def bare_asyncpg(uri: str, isolation: str | None = None) -> AsyncIterator[Host]:
    connection = await asyncpg.connect(uri)
    # A host may have codecs of its own.
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=repr, decoder=len, format="text")
    host = AsyncpgHost(connection, isolation)
    await host.begin()
    try:
        yield host
    finally:
        await connection.close()


@asynccontextmanager
async def pooled_asyncpg(uri: str, isolation: str | None = None) -> AsyncIterator[Host]:
    async with asyncpg.create_pool(uri, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        host = AsyncpgHost(connection, isolation)
        await host.begin()
        yield host


def psycopg_level(isolation: str | None) -> psycopg.IsolationLevel | None:
    return psycopg.IsolationLevel[isolation.upper().replace(" ", "_")] if isolation else None


@asynccontextmanager
async def bare_psycopg(uri: str, isolation: str | None = None) -> AsyncIterator[Host]:
    connection = psycopg.connect(uri, row_factory=dict_row, cursor_factory=psycopg.RawCursor)
    connection.isolation_level = psycopg_level(isolation)
    try:
        yield PsycopgHost(connection)
    finally:
        connection.close()


@asynccontextmanager
async def bare_async_psycopg(uri: str, isolation: str | None = None) -> AsyncIterator[Host]:
    connection = await psycopg.AsyncConnection.connect(uri, row_factory=dict_row)
    await connection.set_isolation_level(psycopg_level(isolation))
    try:
        yield AsyncPsycopgHost(connection)
    finally:
        await connection.close()


def connected(engine: Any) -> Any:
    return engine.connect()


def sync_kind(driver: str, make: Callable[[sqlalchemy.Engine], Any]) -> Open:
    return lambda uri, isolation=None: alchemy(uri, driver, make, isolation)


def async_kind(driver: str, make: Callable[[AsyncEngine], Any]) -> Open:
    return lambda uri, isolation=None: async_alchemy(uri, driver, make, isolation)


SYNC: dict[str, Open] = {
    "Session, psycopg": sync_kind("psycopg", Session),
    "Session, psycopg2": sync_kind("psycopg2", Session),
    "Session, pg8000": sync_kind("pg8000", Session),
    "sqlmodel.Session": sync_kind("psycopg", sqlmodel.Session),
    "scoped_session": sync_kind("psycopg", scoped),
    "Connection, psycopg": sync_kind("psycopg", connected),
    "Connection, psycopg2": sync_kind("psycopg2", connected),
    "psycopg": bare_psycopg,
}
ASYNC: dict[str, Open] = {
    "AsyncSession, asyncpg": async_kind("asyncpg", AsyncSession),
    "AsyncSession, psycopg": async_kind("psycopg", AsyncSession),
    "sqlmodel AsyncSession": async_kind("asyncpg", SqlmodelAsyncSession),
    "async_scoped_session": async_kind("asyncpg", async_scoped),
    "AsyncConnection, asyncpg": async_kind("asyncpg", connected),
    "AsyncConnection, psycopg": async_kind("psycopg", connected),
    "asyncpg": bare_asyncpg,
    "asyncpg's pool": pooled_asyncpg,
    "psycopg.AsyncConnection": bare_async_psycopg,
}
KINDS = SYNC | ASYNC


class Own:
    """Anzol's own storage in a schema of one database, as the sending side has it; and what lies in it."""

    def __init__(self, server: Server, uri: str, schema: str) -> None:
        self.server = server
        self.uri = uri
        self.schema = schema
        self.storage = PostgresStorage(uri, schema=schema, vault=Vault(["k" * 43]))
        self.readied = 0
        self.foreign = ForeignOutbox(self.ready, self.ready_sync, lambda: self.storage)

    async def ready(self) -> Storage:
        self.readied += 1
        return cast("Storage", self.storage)

    def ready_sync(self) -> Accept:
        self.readied += 1
        return self.storage

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask with a connection beside everything else."""
        return self.server.execute(statement.replace("anzol.", f"{self.schema}."), *values, database=self.uri)

    @property
    def bodies(self) -> list[bytes]:
        """The bodies of the messages that are committed and wait for fan-out, in the order of their ids."""
        found = self.rows(
            "select m.body from anzol.accepted a join anzol.message m on m.id = a.message_id order by m.id"
        )
        return [body for (body,) in found]

    @property
    def items(self) -> list[str]:
        return [name for (name,) in self.rows("select name from item order by id")]

    def message(self, body: bytes = b"{}", *, customer: str = "acme", key: str | None = None) -> NewMessage:
        """Make a message, later than the ones before; its own time is long past, so that the database's is seen."""
        return NewMessage(
            id=ids.new(1_767_225_600_000_000),
            environment="default",
            customer=customer,
            event_type="invoice.paid",
            method="POST",
            content_type="application/json",
            body=body,
            created_at=1_767_225_600_000_000,
            key=key,
        )

    async def close(self) -> None:
        self.foreign.close()
        await self.storage.close()
