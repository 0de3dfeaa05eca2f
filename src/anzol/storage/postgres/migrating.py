"""Applying migrations while others work: one process at a time, each migration whole or not at all, no long waits.

A change of a table waits for everybody who uses it, and everybody who comes later waits behind it. So it waits for
seconds only, gives way, and tries again; at last it says who stood in the way.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import asyncpg
from asyncpg import Connection

from anzol.errors import StorageBusy, StorageError
from anzol.storage.postgres import migrations as known
from anzol.storage.postgres.connections import Place, connect, explained, shut, transaction
from anzol.storage.postgres.migrations import MADE, THERE, Standing, standing
from anzol.storage.postgres.queries import in_schema

log = logging.getLogger("anzol.storage")

RECORD: Final = """insert into anzol.migration (version, name, works_with, applied_at)
values ($1, $2, $3, (extract(epoch from clock_timestamp()) * 1000000)::bigint)"""
INDEX: Final = re.compile(r'create (?:unique )?index concurrently (?:if not exists )?"?(\w+)"?\s', re.IGNORECASE)
BROKEN_INDEX: Final = """select 1 from pg_index i join pg_class c on c.oid = i.indexrelid
 where c.relname = $1 and c.relnamespace = $2::text::regnamespace and not i.indisvalid"""
DETACH: Final = re.compile(r"(alter table .* detach partition (\S+)) concurrently$", re.IGNORECASE | re.DOTALL)
DETACHING: Final = "select inhdetachpending from pg_inherits where inhrelid = to_regclass($1)"
BLOCKERS: Final = """select b.pid, a.usename, a.application_name, a.state, a.query,
       extract(epoch from statement_timestamp() - a.xact_start)::bigint as age
  from unnest(pg_blocking_pids($1)) as b (pid) left join pg_stat_activity a on a.pid = b.pid"""
MAY: Final = "select has_database_privilege(current_database(), 'create')"
SHOWN: Final = 120  # characters of a statement that stands in the way


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    Args:
        lock: For locks of others, each time; others wait behind us that long.
        tries: How often that is tried.
        pause: Between two tries.
        turn: For another process that migrates.
        alone: For others' transactions to end, where nobody waits behind us (``create index concurrently``).
    """

    lock: float = 3.0
    tries: int = 10
    pause: float = 3.0
    turn: float = 600.0
    alone: float = 900.0


async def migrate(url: str, schema: str, *, pooler: bool = False, patience: Patience | None = None) -> tuple[int, ...]:
    """Apply what is missing; return the versions that were applied by this call.

    Of several processes that do this at once one does it, the others wait. What was cut off is finished by the next.

    Raises:
        StorageBusy: somebody held a lock through every try.
        StorageError: a statement failed, or the role may not do it.
        SchemaNewer: the database belongs to a newer Anzol, and this one cannot work with it.
    """
    waits = patience or Patience()
    place = Place(url, schema, pooler, waits.lock)
    async with connected(place) as worker:
        try:
            found = await standing(worker, schema)
            if found.version >= known.newest():
                known.judge(found, known.newest())
                return ()
            async with connected(place) as guard, turn(guard, schema, waits):
                return await Migrating(worker, guard, place, waits).run()
        except Exception as error:
            raise explained(error) from error


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[Connection]:
    """Give a connection; a migration may take hours, so that no statement has a limit."""
    connection = await connect(place, command_timeout=None)
    try:
        yield connection
    finally:
        await shut(connection)


@asynccontextmanager
async def turn(guard: Connection, schema: str, patience: Patience) -> AsyncIterator[None]:
    """Wait until no other process migrates; none does until the end.

    The lock belongs to an open transaction: so it holds through a pooler too. It must have no snapshot, for which
    ``create index concurrently`` would wait: so it is asked for again and again, and without a portal left open.
    """
    key = int.from_bytes(blake2b(f"anzol migrate {schema}".encode(), digest_size=8).digest(), "big", signed=True)
    async with transaction(guard, "begin; set local idle_in_transaction_session_timeout = 0"):
        end = asyncio.get_running_loop().time() + patience.turn
        while await guard.execute(f"select where pg_try_advisory_xact_lock({key})") == "SELECT 0":
            if asyncio.get_running_loop().time() >= end:
                raise StorageBusy(
                    f"Another process has been migrating for {patience.turn:.0f} s.", do="Wait for it, and try again."
                )
            await asyncio.sleep(0.1)
        yield


class Migrating:
    """One run, in its turn.

    Args:
        guard: Holds the turn, and looks who stands in the way.
    """

    def __init__(self, worker: Connection, guard: Connection, place: Place, patience: Patience) -> None:
        self._worker = worker
        self._guard = guard
        self._place = place
        self._schema = place.schema
        self._patience = patience
        self._process: int | None = None  # of the server, that works for us; through a pooler it changes
        self._in_the_way: tuple[str, ...] = ()

    async def run(self) -> tuple[int, ...]:
        """Apply every migration that is missing, in order."""
        await self._die_with_us()
        found = await self._settle_in()
        missing = [one for one in known.migrations() if one[0] > found.version]
        for number, name, text in missing:
            apply = self._apply_alone if known.is_alone(text) else self._apply
            await self._patiently(f"Migration {number} ({name})", lambda: apply(number, name, text))  # noqa: B023
            log.info("Migration %d (%s) was applied.", number, name)
        return tuple(number for number, _, _ in missing)

    async def _die_with_us(self) -> None:
        """Have the server look whether we are still there: it would hold our locks until a statement has ended."""
        if self._place.pooler:  # the session is not ours
            return
        with suppress(asyncpg.PostgresError):  # a server on macOS or Windows cannot
            await self._worker.execute("set client_connection_check_interval = '1s'")

    async def _settle_in(self) -> Standing:
        """Make the schema and the list of migrations where they are not there; return how it stands."""
        async with self._transaction():
            if not await self._worker.fetchval("select to_regnamespace($1) is not null", f'"{self._schema}"'):
                await self._make_schema()
            if not await self._worker.fetchval(THERE, self._named("anzol.migration")):
                await self._worker.execute(self._named(MADE))
            return await standing(self._worker, self._schema)

    async def _make_schema(self) -> None:
        role = await self._worker.fetchval("select current_user")
        if not await self._worker.fetchval(MAY):
            raise StorageError(
                f"There is no schema {self._schema}, and the role {role} may not make one.",
                do=f'Have somebody who may do: create schema "{self._schema}" authorization "{role}"',
            )
        await self._worker.execute(f'create schema "{self._schema}"')

    async def _apply(self, number: int, name: str, text: str) -> None:
        async with self._transaction():
            # First: if our turn was lost with its connection, and somebody else is at it, one of us stops here.
            await self._record(number, name, text)
            await self._worker.execute(self._named(text))

    async def _apply_alone(self, number: int, name: str, text: str) -> None:
        for statement in known.statements(self._named(text)):
            await self._run_alone(statement)
        async with self._transaction():
            await self._record(number, name, text)

    async def _run_alone(self, statement: str) -> None:
        """Run a statement outside of any transaction, after clearing away what a run that was cut off left of it."""
        if self._place.pooler:
            self._process = None
        else:
            await self._worker.execute(f"set lock_timeout = '{self._patience.alone * 1000:.0f}ms'")
        index, detach = INDEX.match(statement), DETACH.match(statement)
        if index and await self._worker.fetchval(BROKEN_INDEX, index[1], f'"{self._schema}"'):
            await self._worker.execute(f'drop index concurrently "{self._schema}"."{index[1]}"')
        if detach:
            half_done = await self._worker.fetchval(DETACHING, detach[2])
            if half_done is None:
                return
            statement = f"{detach[1]} finalize" if half_done else statement
        await self._worker.execute(statement)

    async def _record(self, number: int, name: str, text: str) -> None:
        await self._worker.execute(self._named(RECORD), number, name, known.works_with(number, text))

    def _named(self, text: str) -> str:
        return in_schema(text, self._schema)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        lock = f"set local lock_timeout = '{self._patience.lock * 1000:.0f}ms'; set local statement_timeout = 0"
        async with transaction(self._worker, f"begin isolation level read committed; {lock}"):
            self._process = await self._worker.fetchval("select pg_backend_pid()")
            yield

    # --- patience

    async def _patiently(self, what: str, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do it; again, after a pause, if somebody held a lock for too long.

        Raises:
            StorageBusy: through every try somebody did; it says who.
            StorageError: it failed.
        """
        for left in reversed(range(self._patience.tries)):
            try:
                return await self._watched(act())
            except (asyncpg.exceptions.LockNotAvailableError, asyncpg.exceptions.DeadlockDetectedError) as error:
                if not left:
                    raise self._gave_up(what) from error
                log.warning("%s waits: %s.", what, " and ".join(self._in_the_way) or "somebody holds a lock")
                await asyncio.sleep(self._patience.pause)
            except asyncpg.PostgresError as error:
                raise failed(what, error) from error
        raise AssertionError  # the last try returns or raises

    def _gave_up(self, what: str) -> StorageBusy:
        who = " and ".join(self._in_the_way) or "somebody whom this role may not see"
        return StorageBusy(
            f"{what} was not applied: after {self._patience.tries} tries a lock was still held by {who}.",
            do="End that transaction (pg_terminate_backend) or wait for it, then run `anzol migrate` again.",
        )

    async def _watched(self, act: Coroutine[Any, Any, None]) -> None:
        """Do it, and look meanwhile whom it waits for: afterwards nobody can tell."""
        doing = asyncio.create_task(act)
        try:
            while not (await asyncio.wait({doing}, timeout=self._patience.lock / 2))[0]:
                self._in_the_way = await self._look() or self._in_the_way
            await doing
        finally:
            await cancelled(doing)

    async def _look(self) -> tuple[str, ...]:
        try:
            rows = await self._guard.fetch(BLOCKERS, self._process)
            await self._guard.execute("select")  # closes the portal of the query before, and its snapshot
            return tuple(told(row) for row in rows)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            log.debug("Whom a migration waits for cannot be seen: %s", error)
            return ()


async def cancelled(doing: Awaitable[None]) -> None:
    """End a task that is still running, because its starter was cancelled."""
    task = asyncio.ensure_future(doing)
    if not task.done():
        task.cancel()
        await asyncio.wait({task})


def failed(what: str, error: Exception) -> StorageError:
    """Return the error for a statement that failed."""
    if isinstance(error, asyncpg.exceptions.InsufficientPrivilegeError):
        do = "Run it as the role that owns the schema, or have that done what `anzol migrate --sql` prints."
        return StorageError(f"{what} was not applied: {error}.", do=do)
    return StorageError(f"{what} was not applied: {error}.", do="Run `anzol migrate` again once that is mended.")


def told(row: Any) -> str:
    """Write for people who holds a lock."""
    if not row["pid"]:
        return "a prepared transaction (pg_prepared_xacts)"
    name = ", ".join(part for part in (row["usename"], row["application_name"]) if part)
    since = "" if row["age"] is None else f" for {row['age']} s"
    query = " ".join((row["query"] or "").split())[:SHOWN]
    return f"process {row['pid']} ({name or 'unknown'}, {row['state'] or 'unknown'}{since}: {query!r})"
