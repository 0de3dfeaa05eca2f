"""What `anzol doctor` looks at in a PostgreSQL database, by one connection, without changing anything."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asyncpg import Connection

    from anzol.storage.places import PostgresPlace

CONNECT: Final = 5.0  # seconds
HEARD: Final = 2.0  # seconds for a notification to come back
LONG: Final = timedelta(hours=1)
RIGHTS: Final = ("select", "insert", "update", "delete")
SAFE: Final = ("fsync", "full_page_writes", "synchronous_commit")  # on, or what was committed may be lost
SERVER: Final = """
select current_setting('server_version_num')::int as version, current_user as role, current_schema() as first_schema,
       pg_backend_pid() as process, pg_is_in_recovery() as standby,
       current_setting('transaction_read_only') = 'on' as read_only, current_setting('autovacuum') = 'on' as vacuums,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as places,
       (select count(*) from pg_stat_activity where backend_type = 'client backend')::int as taken,
       (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user) as of_role,
       (select count(*) from pg_stat_activity where usename = current_user)::int as taken_by_role,
       (select nullif(datconnlimit, -1) from pg_database where datname = current_database()) as of_database,
       (select count(*) from pg_stat_activity where datname = current_database())::int as taken_in_database,
       extract(epoch from clock_timestamp())::float8 as now
"""
UNVACUUMED: Final = """select relname::text from pg_class
 where relnamespace = to_regnamespace($1) and reloptions && array['autovacuum_enabled=false', 'autovacuum_enabled=off']
 order by 1"""
BROKEN: Final = """select c.relname::text from pg_index i join pg_class c on c.oid = i.indexrelid
 where c.relnamespace = to_regnamespace($1) and not i.indisvalid order by 1"""
OLDEST: Final = """select pid, usename::text as usename, application_name, state,
       extract(epoch from clock_timestamp() - xact_start)::float8 as age
  from pg_stat_activity
 where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
   and xact_start < clock_timestamp() - $1::float8 * interval '1 second'
 order by xact_start limit 1"""
LACKED: Final = """select t.name || ': ' || string_agg(r.name, ', ' order by r.place)
  from unnest($2::text[]) as t (name), unnest($3::text[]) with ordinality as r (name, place)
 where to_regclass($1 || '.' || t.name) is not null and not has_table_privilege($1 || '.' || t.name, r.name)
 group by t.name order by t.name"""


LACKED_COUNTERS: Final = """select relname || ': usage, select' from pg_class
 where relnamespace = to_regnamespace($1) and relkind = 'S'
   and not (has_sequence_privilege(oid, 'usage') and has_sequence_privilege(oid, 'select'))
 order by relname"""


@dataclass(frozen=True, slots=True)
class OldTransaction:
    """A transaction that has been open for long."""

    process: int
    who: str
    age: timedelta


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server, as one connection sees it; what a role may not see is empty.

    Args:
        version: Such as 180001.
        first_schema: Where unqualified names are made.
        pooled: The process that answers is another than the one that was connected to.
        unsafe: Settings that let commits be lost when the machine fails.
        free: Connections that may still be opened, by the tightest limit; None behind a pooler, which has its own.
        skew: How far the server's clock is ahead of this machine's.
        heard: A notification came back; None where it was not tried.
        lacked: Rights that our role lacks, a line for each table.
        works_with: The oldest version whose Anzol can work with the schema.
        started: The database carries a mark: an application has been started on it.
    """

    version: int
    role: str
    schema: str
    first_schema: str | None
    pooler: bool
    pooled: bool
    read_only: str
    unsafe: tuple[str, ...]
    unvacuumed: tuple[str, ...]
    free: int | None
    skew: timedelta
    oldest: OldTransaction | None
    broken_indexes: tuple[str, ...]
    heard: bool | None
    lacked: tuple[str, ...]
    schema_version: int
    works_with: int
    started: bool


async def look_at_server(place: PostgresPlace, *, long: timedelta = LONG) -> Server:
    """Look at a server.

    Raises:
        StorageError: it does not answer, or does not let us look.
    """
    from anzol.storage.postgres.connections import explained
    from anzol.storage.postgres.migrations import Standing, standing

    try:
        async with connected(place) as connection:
            row, skew = await asked(connection)
            allowed = await may_look(connection, place.schema)
            found = await standing(connection, place.schema) if allowed else Standing(0, 0)
            pooled = row["process"] != connection.get_server_pid()
            return Server(
                version=row["version"],
                role=row["role"],
                schema=place.schema,
                first_schema=row["first_schema"],
                pooler=place.pooler,
                pooled=pooled,
                read_only="a standby" if row["standby"] else "read-only" if row["read_only"] else "",
                unsafe=await unsafe(connection),
                unvacuumed=await unvacuumed(connection, place.schema, vacuums=row["vacuums"]),
                free=None if pooled else free(row),
                skew=skew,
                oldest=await oldest(connection, long),
                broken_indexes=await names(connection, BROKEN, place.schema),
                heard=None if place.pooler or pooled or row["standby"] else await hears(connection),
                lacked=await lacked(connection, place.schema, allowed=allowed, there=found.version > 0),
                schema_version=found.version,
                works_with=found.works_with,
                started=found.version > 0 and await is_started(connection, place.schema),
            )
    except Exception as error:
        raise explained(error) from error


@asynccontextmanager
async def connected(place: PostgresPlace) -> AsyncIterator[Connection]:
    """Connect in a way that goes through any pooler: no settings of the session, no prepared statements."""
    import asyncpg

    connection = await asyncpg.connect(
        place.url, timeout=CONNECT, command_timeout=30, statement_cache_size=0, server_settings={}
    )
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT)


async def asked(connection: Connection) -> tuple[Any, timedelta]:
    """Ask the server about itself, and how far its clock is ahead: by the middle of the answer's way."""
    before = time.time()
    (row,) = await connection.fetch(SERVER)
    return row, timedelta(seconds=row["now"] - (before + time.time()) / 2)


def free(row: Mapping[str, Any]) -> int:
    """Return how many connections may still be opened."""
    left: list[int] = [row["places"] - row["taken"]]
    if row["of_role"] is not None:
        left.append(row["of_role"] - row["taken_by_role"])
    if row["of_database"] is not None:
        left.append(row["of_database"] - row["taken_in_database"])
    return max(0, min(left))


async def unsafe(connection: Connection) -> tuple[str, ...]:
    """Return which settings let commits be lost."""
    return tuple([name for name in SAFE if await connection.fetchval(f"show {name}") == "off"])


async def unvacuumed(connection: Connection, schema: str, *, vacuums: bool) -> tuple[str, ...]:
    """Return the tables that nobody vacuums."""
    return await names(connection, UNVACUUMED, schema) if vacuums else ("every table",)


async def names(connection: Connection, query: str, schema: str) -> tuple[str, ...]:
    """Return the names that a query finds in our schema."""
    return tuple(row[0] for row in await connection.fetch(query, f'"{schema}"'))


async def oldest(connection: Connection, long: timedelta) -> OldTransaction | None:
    """Return the oldest transaction that has been open for longer than that."""
    row = await connection.fetchrow(OLDEST, long.total_seconds())
    if row is None:
        return None
    who = ", ".join(part for part in (row["usename"], row["application_name"], row["state"]) if part)
    return OldTransaction(row["pid"], who, timedelta(seconds=row["age"]))


async def hears(connection: Connection) -> bool:
    """Say whether a notification comes back, on a channel that nobody else listens on."""
    channel, heard = f"anzol.doctor.{secrets.token_hex(8)}", asyncio.Event()
    await connection.add_listener(channel, lambda *_: heard.set())
    await connection.execute(f'notify "{channel}"')
    try:
        async with asyncio.timeout(HEARD):
            await heard.wait()
    except TimeoutError:
        return False
    return True


async def may_look(connection: Connection, schema: str) -> bool:
    """Say whether we may look into the schema; where there is none, there is nothing that we may not."""
    query = "select coalesce(has_schema_privilege(to_regnamespace($1), 'usage'), true)"
    return bool(await connection.fetchval(query, f'"{schema}"'))


async def lacked(connection: Connection, schema: str, *, allowed: bool, there: bool) -> tuple[str, ...]:
    """Return the rights that our role lacks."""
    from anzol.storage.postgres.script import made

    if not allowed:
        return (f"schema {schema}: usage",)
    if not there:
        return ()
    tables, views = made()
    rows = await connection.fetch(LACKED, f'"{schema}"', tables, RIGHTS)
    rows += await connection.fetch(LACKED, f'"{schema}"', ["migration", *views], ["select"])
    rows += await connection.fetch(LACKED_COUNTERS, f'"{schema}"')
    return tuple(row[0] for row in rows)


async def is_started(connection: Connection, schema: str) -> bool:
    """Say whether the database carries a mark, as far as we may see."""
    may = await connection.fetchval("select has_table_privilege($1, 'select')", f'"{schema}".deployment')
    return bool(may and await connection.fetchval(f'select exists (select from "{schema}".deployment)'))  # noqa: S608
