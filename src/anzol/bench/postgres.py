"""Runs on PostgreSQL: each in a new schema of a random name, dropped at the end; its limits with bare asyncpg."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from anzol.bench.posting import BODY_SIZE
from anzol.bench.sites import Database, undisturbed, variables
from anzol.errors import StorageError, StorageUnreachable
from anzol.storage.opening import check_driver, migrate
from anzol.storage.places import PostgresPlace
from anzol.workerthread import new_loop

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")
PREFIX: Final = "anzol_bench_"
OLDEST: Final = 14
PATIENCE: Final = 10.0  # seconds, for the server to answer
CONNECTIONS: Final = 4  # that insert at a time: commits of several share a flush
PAUSE: Final = 0.004  # seconds between commits that are timed
SAFETY: Final = ("fsync", "synchronous_commit", "full_page_writes")
TABLES: Final = """
create table if not exists {schema}.bare_message (
    id uuid primary key, customer_id uuid, customer text, event_type text, content_type text, created_at bigint,
    body bytea
);
alter table {schema}.bare_message alter column body set storage external;
create index if not exists bare_message_customer on {schema}.bare_message (customer_id, id);
create table if not exists {schema}.bare_delivery (
    message_id uuid, endpoint_id uuid, state smallint, attempts integer, ended_at bigint,
    primary key (message_id, endpoint_id)
);
create index if not exists bare_delivery_endpoint on {schema}.bare_delivery (endpoint_id, message_id);
create table if not exists {schema}.bare_attempt (
    id uuid primary key, message_id uuid, endpoint_id uuid, number integer, status smallint, started_at bigint,
    total bigint, response_headers text, response_body bytea
);
create index if not exists bare_attempt_message on {schema}.bare_attempt (message_id, id);
create index if not exists bare_attempt_endpoint on {schema}.bare_attempt (endpoint_id, id);
"""
MESSAGES: Final = """
insert into {schema}.bare_message
select id, gen_random_uuid(), 'customer-1', 'new-subscription', 'application/json', $2, body
  from unnest($1::uuid[], $3::bytea[]) as given (id, body)
"""
ATTEMPTS: Final = """
insert into {schema}.bare_attempt
select id, id, id, 1, 204, $2, 500, '[]', '' from unnest($1::uuid[]) as given (id)
"""
DELIVERIES: Final = """
insert into {schema}.bare_delivery select id, id, 1, 1, $2 from unnest($1::uuid[]) as given (id)
"""
BODY: Final = b"y" * BODY_SIZE

log = logging.getLogger("anzol.bench")


@dataclass(frozen=True, slots=True)
class PostgresSite:
    """A database of a PostgreSQL server."""

    url: str
    described: str

    @property
    def engine(self) -> str:
        return "postgresql"

    @classmethod
    def found(cls, url: str) -> PostgresSite:
        """Look whether the database will do.

        Raises:
            SettingsError: asyncpg is not installed.
            StorageError: the database does not answer, is too old, or does not let us make a schema.
        """
        check_driver()
        return cls(url, run(connected(url, examined)))

    @contextmanager
    def fresh(self) -> Iterator[Database]:
        """Give a schema that is not there yet, and drop it at the end, whatever comes."""
        schema = PREFIX + secrets.token_hex(6)
        try:
            run(migrate(PostgresPlace(self.url, "", schema)))
            yield PostgresDatabase(self.url, schema, variables(self.url, schema=schema))
        finally:
            with undisturbed():
                run(connected(self.url, lambda connection: drop(connection, schema)))


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A schema of our own."""

    url: str
    schema: str
    variables: dict[str, str]

    def attempts(self) -> int:
        """Return how many attempts it holds."""
        query = f"select count(*) from {self.schema}.attempt"  # noqa: S608 - the name is ours

        async def count(connection: asyncpg.Connection) -> int:
            return int(await connection.fetchval(query))

        return run(connected(self.url, count))

    def insert_rate(self, *, messages: int, batch: int, delivered: bool = True) -> float:
        """Store messages, mostly with the rows that their deliveries leave, from some connections at a time."""
        return run(self._inserted(messages, batch, (MESSAGES, ATTEMPTS, DELIVERIES) if delivered else (MESSAGES,)))

    def commit_times(self, commits: int) -> list[float]:
        """Time commits of one message each."""
        return run(connected(self.url, lambda connection: self._timed(connection, commits)))

    async def _inserted(self, messages: int, batch: int, texts: Sequence[str]) -> float:
        await connected(self.url, self._prepare)
        each = max(1, messages // CONNECTIONS // batch)
        began = time.perf_counter()

        async def store(connection: asyncpg.Connection) -> None:
            await self._store(connection, texts, batches=each, batch=batch)

        await asyncio.gather(*(connected(self.url, store) for _ in range(CONNECTIONS)))
        return CONNECTIONS * each * batch / (time.perf_counter() - began)

    async def _prepare(self, connection: asyncpg.Connection) -> None:
        await connection.execute(TABLES.format(schema=self.schema))

    async def _store(self, connection: asyncpg.Connection, texts: Sequence[str], *, batches: int, batch: int) -> None:
        await with_raw_ids(connection)
        queries = [text.format(schema=self.schema) for text in texts]
        messages, *others = [await connection.prepare(query) for query in queries]
        for _ in range(batches):
            ids = new_ids(batch)
            now = time.time_ns() // 1000
            async with connection.transaction():
                await messages.fetch(ids, now, [BODY] * batch)
                for statement in others:
                    await statement.fetch(ids, now)

    async def _timed(self, connection: asyncpg.Connection, commits: int) -> list[float]:
        await self._prepare(connection)
        await with_raw_ids(connection)
        statement = await connection.prepare(MESSAGES.format(schema=self.schema))
        took = []
        for _ in range(commits):
            ids = new_ids(1)
            before = time.perf_counter()
            await statement.fetch(ids, time.time_ns() // 1000, [BODY])
            took.append(time.perf_counter() - before)
            await asyncio.sleep(PAUSE)
        return took


def new_ids(count: int) -> list[bytes]:
    """Return ids in the order of time, as Anzol's are."""
    return [time.time_ns().to_bytes(8, "big") + os.urandom(8) for _ in range(count)]


async def with_raw_ids(connection: asyncpg.Connection) -> None:
    """Let the connection take ids as their 16 bytes, as Anzol's do."""
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")


async def examined(connection: asyncpg.Connection) -> str:
    """Refuse a server that is too old or does not let us make a schema; describe it, and how durable it is."""
    number = int(await connection.fetchval("show server_version_num"))
    if number < OLDEST * 10_000:
        raise StorageError(f"This is PostgreSQL {number // 10_000}.", do=f"Anzol needs {OLDEST} or newer.")
    name = await connection.fetchval("select current_database()")
    user = await connection.fetchval("select current_user")
    may = await connection.fetchval("select has_database_privilege(current_database(), 'create')")
    if not may:
        raise StorageError(
            f"The user {user} may not make a schema in the database {name}, and the benchmark works in one of its own.",
            do=f'Allow it (grant create on database "{name}" to "{user}"), or name another database.',
        )
    left = await connection.fetch("select nspname from pg_namespace where nspname like $1 order by 1", like(PREFIX))
    for (schema,) in left:  # of a run that was killed; or of one that is under way elsewhere, so it is not ours to drop
        log.warning("There is %s, of another run. If none is under way: drop schema %s cascade", schema, schema)
    weak = [f"{what} off" for what in SAFETY if await connection.fetchval(f"show {what}") == "off"]
    version = await connection.fetchval("show server_version")
    return ", ".join([f"PostgreSQL {version.split()[0]}", *weak])


def like(prefix: str) -> str:
    """Return a pattern of `like` for what begins with *prefix*."""
    return prefix.replace("_", r"\_") + "%"


async def drop(connection: asyncpg.Connection, schema: str) -> None:
    """Drop our schema with all that is in it."""
    await connection.execute(f"set lock_timeout = '{PATIENCE:.0f}s'; drop schema if exists {schema} cascade")


async def connected(url: str, act: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Do something on a connection of its own.

    Raises:
        StorageUnreachable: there is none to be had.
    """
    import asyncpg

    try:
        connection = await asyncpg.connect(url, timeout=PATIENCE)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as cause:
        said = str(cause) or type(cause).__name__
        raise StorageUnreachable(
            f"The database does not answer: {said}.", do="Check --database, and that the server runs."
        ) from cause
    try:
        return await act(connection)
    finally:
        await connection.close()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(coroutine)
