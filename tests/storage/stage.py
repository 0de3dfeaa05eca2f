"""PostgreSQL with rows made by hand, and transactions that stay open as long as a test likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from asyncpg import Connection

from anzol import ids
from anzol.clock import Clock, OwnedClock
from anzol.lifecycle import Cause, Outcome
from anzol.storage.face import AttemptRecord, Reaped, Settled
from anzol.storage.postgres.connections import connect
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.queries import in_schema
from anzol.storage.postgres.work import Work

T = TypeVar("T")
TERM = timedelta(seconds=30)
SECOND = 1_000_000
LONG = 20.0  # seconds until a test gives up waiting


@dataclass(frozen=True, slots=True)
class Row:
    """A claim made by hand."""

    id: int
    endpoint: bytes
    message: bytes


@dataclass(slots=True)
class Stage:
    """A schema, a storage in it, and hands beside it."""

    storage: PostgresStorage
    clock: Clock
    connection: Connection  # looks, and writes rows by hand

    @property
    def now(self) -> int:
        return self.clock.micros()

    def later(self, by: timedelta) -> None:
        assert isinstance(self.clock, OwnedClock)
        self.clock.advance(by)

    async def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        rows = await self.connection.fetch(in_schema(statement, self.storage.place.schema), *values)
        return [tuple(row) for row in rows]

    async def lane(self, worker: int | None) -> bytes:
        """Make an endpoint whose lane a worker holds."""
        endpoint = ids.new(self.now)
        await self.ask(
            "insert into anzol.endpoint (id, environment, customer_id, url, enabled_at, created_at, updated_at)"
            " values ($1, 'production', $2, 'https://acme.example', $3, $3, $3)",
            endpoint,
            bytes(16),
            self.now,
        )
        await self.ask("insert into anzol.lane (endpoint_id, holder) values ($1, $2)", endpoint, worker)
        return endpoint

    async def claim(self, worker: int, lane: bytes | None = None) -> Row:
        """Make a delivery that a worker has claimed."""
        lane = lane or await self.lane(worker)
        message = ids.new(self.now)
        ((number,),) = await self.ask(
            "insert into anzol.pending (endpoint_id, message_id, due_at, holder) values ($1, $2, $3, $4) returning id",
            lane,
            message,
            self.now,
            worker,
        )
        return Row(number, lane, message)

    async def worker(self, term: timedelta = TERM) -> int:
        return await self.storage.enlist(host="here", pid=7, version="1", term=term)

    def work(self, connection: Connection) -> Work:
        return self.storage.work(connection)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Hand]:
        """A transaction that stays open until the test ends it."""
        connection = await connect(self.storage.place)
        try:
            await connection.execute("begin")
            yield Hand(self, connection)
        finally:
            connection.terminate()

    def accepted(self, claim: Row) -> Settled:
        return Settled(claim.id, Cause.ACCEPTED, None, 0, record(self.now))

    def gave_up(self, claim: Row) -> Settled:
        return Settled(claim.id, Cause.GAVE_UP, None, 0, record(self.now))

    def failed(self, claim: Row, after: int = 5) -> Settled:
        return Settled(claim.id, None, self.now + after * SECOND, 1, record(self.now))

    async def reap(self) -> Reaped:
        return await self.storage.reap(most_interruptions=3)

    async def pending(self) -> list[tuple[Any, ...]]:
        return await self.ask("select id, holder, attempt, due_at from anzol.pending order by id")

    async def attempts(self) -> list[tuple[Any, ...]]:
        """Outcome and number of each."""
        return await self.ask("select outcome, number from anzol.attempt order by number, id")

    async def lanes(self) -> list[tuple[Any, ...]]:
        return await self.ask("select holder, turn_at, parked from anzol.lane order by endpoint_id")


@dataclass(slots=True)
class Hand:
    """One side of a race: an open transaction."""

    stage: Stage
    connection: Connection

    @property
    def work(self) -> Work:
        return self.stage.work(self.connection)

    async def run(self, statement: str, *values: object) -> None:
        await self.connection.execute(in_schema(statement, self.stage.storage.place.schema), *values)

    async def hold(self, worker: int) -> None:
        """Lock a worker's row as all that is done in its name does."""
        await self.run("select from anzol.worker where id = $1 for key share", worker)

    async def commit(self) -> None:
        await self.connection.execute("commit")

    async def blocks(self, waiting: asyncio.Task[Any]) -> None:
        """Wait until somebody waits for this transaction."""
        asked = "select from pg_stat_activity where $1 = any(pg_blocking_pids(pid))"
        async with asyncio.timeout(LONG):
            while not await self.stage.connection.fetch(asked, self.connection.get_server_pid()):
                assert not waiting.done(), "it did not wait"
                await asyncio.sleep(0.005)


def record(now: int, **fields: Any) -> AttemptRecord:
    known: dict[str, Any] = {
        "id": ids.new(now),
        "outcome": Outcome.OK,
        "status": 200,
        "detail": "",
        "note": "",
        "started_at": now,
        "resolve": None,
        "connect": 200,
        "tls": None,
        "first_byte": 900,
        "total": 1000,
        "response_headers": (),
        "response_body": b"",
    }
    return AttemptRecord(**(known | fields))


def begin(act: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.get_running_loop().create_task(act)
