"""Every engine under the same promises: one storage for each, a clock that the test owns, and words to act with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from anzol import ids
from anzol.clock import OwnedClock
from anzol.lifecycle import Cause, Outcome, State
from anzol.model import Delivery, Endpoint
from anzol.storage.face import (
    Accepted,
    AttemptRecord,
    Claim,
    Dispatched,
    NewEndpoint,
    NewMessage,
    Order,
    Reaped,
    Selection,
    Settled,
    Storage,
)
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault
from tests.postgres import Server

ENVIRONMENT = "production"
TERM = timedelta(seconds=30)
KEY = "k" * 43
SECOND = 1_000_000
SCHEMA = "contract"


class Watched(Storage, Protocol):
    """A storage that can be asked whether its rules hold."""

    async def broken(self) -> Sequence[str]: ...


@dataclass(slots=True)
class Worker:
    """A worker as a test plays it: it knows the lanes it holds."""

    scene: Scene
    me: int
    lanes: set[bytes] = field(default_factory=set)

    async def round(self, *, room: int = 10, **order: Any) -> Dispatched:
        """Do one round: take and fan out all there is, look into every lane held."""
        known = {
            "take": 100,
            "fan_out": 100,
            "rooms": dict.fromkeys(self.lanes, room),
            "look": tuple(self.lanes),
            "idle_lanes": True,
            "new_room": room,
        }
        found = await self.scene.storage.dispatch(self.me, Order(**(known | order)))
        self.lanes -= {*order.get("release", ())}
        self.lanes |= {profile.endpoint_id for profile in found.profiles}
        return found

    async def release(self) -> Dispatched:
        """Give back every lane, and do nothing else."""
        lanes = tuple(self.lanes)
        return await self.round(release=lanes, take=0, fan_out=0, rooms={}, look=())

    async def settle(self, claims: Sequence[Claim], **result: Any) -> Sequence[int]:
        return await self.scene.storage.settle(self.me, [self.scene.result(claim, **result) for claim in claims])


@dataclass(slots=True)
class Scene:
    """A storage with what tests say to it."""

    storage: Watched
    clock: OwnedClock

    @property
    def now(self) -> int:
        return self.clock.micros()

    def later(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def message(self, customer: str = "acme", event_type: str = "invoice.paid", **fields: Any) -> NewMessage:
        known: dict[str, Any] = {
            "id": ids.new(self.now),
            "environment": ENVIRONMENT,
            "method": "POST",
            "content_type": "application/json",
            "body": b'{"amount": 9.9}',
            "created_at": self.now,
        }
        return NewMessage(customer=customer, event_type=event_type, **(known | fields))

    async def send(self, customer: str = "acme", event_type: str = "invoice.paid", **fields: Any) -> str:
        """Accept a message; return its shown id."""
        accepted = await self.storage.accept(self.message(customer, event_type, **fields))
        return ids.show(ids.MESSAGE, accepted.id)

    async def accept(self, **fields: Any) -> Accepted:
        return await self.storage.accept(self.message(**fields))

    async def endpoint(self, customer: str = "acme", **fields: Any) -> Endpoint:
        known: dict[str, Any] = {"url": "https://acme.example/in", "secret": "whsec_" + "a" * 32}
        return await self.storage.create_endpoint(ENVIRONMENT, NewEndpoint(customer=customer, **(known | fields)))

    async def worker(self, term: timedelta = TERM) -> Worker:
        return Worker(self, await self.storage.enlist(host="here", pid=7, version="1", term=term))

    def record(self, outcome: Outcome = Outcome.OK, status: int | None = 200, **fields: Any) -> AttemptRecord:
        known: dict[str, Any] = {
            "id": ids.new(self.now),
            "detail": "",
            "note": "",
            "started_at": self.now,
            "resolve": None,
            "connect": 200,
            "tls": None,
            "first_byte": 900,
            "total": 1000,
            "response_headers": ((b"server", b"caf\xe9"),),
            "response_body": b"\x00ok",
        }
        return AttemptRecord(outcome=outcome, status=status, **(known | fields))

    def result(
        self,
        claim: Claim,
        cause: Cause | None = Cause.ACCEPTED,
        due_at: int | None = None,
        step: int = 0,
        attempt: AttemptRecord | str | None = "made",
    ) -> Settled:
        made = self.record() if isinstance(attempt, str) else attempt
        return Settled(claim.id, cause, due_at, step, made)

    def failed(self, claim: Claim, after: float = 5.0) -> Settled:
        """A try that failed and is due again *after* seconds."""
        attempt = self.record(Outcome.HTTP_STATUS, 500)
        return self.result(claim, None, self.now + int(after * SECOND), claim.step + 1, attempt)

    async def deliveries(self, **selection: Any) -> tuple[Delivery, ...]:
        return (await self.storage.deliveries(ENVIRONMENT, Selection(**selection), limit=1000)).items

    async def states(self, **selection: Any) -> list[State]:
        return [delivery.state for delivery in await self.deliveries(**selection)]

    async def reap(self, most_interruptions: int = 3) -> Reaped:
        return await self.storage.reap(most_interruptions=most_interruptions)

    async def intact(self) -> None:
        assert await self.storage.broken() == ()


def raw(shown: str) -> bytes:
    """The 16 bytes of a shown id, whatever its prefix."""
    prefix = shown[: shown.index("_") + 1]
    return ids.read(prefix, shown)


@pytest.fixture
def clock() -> OwnedClock:
    return OwnedClock()


@asynccontextmanager
async def on_sqlite(path: Path, clock: OwnedClock, *, on_the_loop: bool) -> AsyncIterator[Watched]:
    made = SqliteStorage(path, clock=clock, vault=Vault([KEY]), nap=0.0)
    if on_the_loop:
        made.drive_on(asyncio.get_running_loop())
    yield made
    await made.close()


@asynccontextmanager
async def on_postgres(server: Server, clock: OwnedClock, *, on_the_loop: bool) -> AsyncIterator[Watched]:
    """A storage in tables that are emptied before; one that listens on the test's loop makes its calls there."""
    await migrate(server.uri(), SCHEMA)
    server.empty(SCHEMA)
    made = PostgresStorage(server.uri(), schema=SCHEMA, clock=clock, vault=Vault([KEY]))
    end = made.listen(lambda: None) if on_the_loop else None
    yield made
    if end is not None:
        end()
    await made.close()


# What people set and look at goes one way from every loop; how a loop drives an engine itself is tested by the others.
OFF_THE_LOOP = frozenset(
    {"access", "audit", "customers", "erase", "event_types", "incidents_announced", "lists", "sweeps", "watching"}
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the engines of a module's tests, and how they are driven."""
    if "storage" in metafunc.fixturenames:
        name = metafunc.module.__name__.rpartition("test_")[2]
        engines = ["sqlite", "postgres"] + (
            [] if name in OFF_THE_LOOP else ["sqlite-on-the-loop", "postgres-on-the-loop"]
        )
        metafunc.parametrize("storage", engines, indirect=True)


@pytest.fixture
async def storage(request: pytest.FixtureRequest, tmp_path: Path, clock: OwnedClock) -> AsyncIterator[Watched]:
    on_the_loop = request.param.endswith("-on-the-loop")
    if request.param.startswith("sqlite"):
        engine = on_sqlite(tmp_path / "anzol.db", clock, on_the_loop=on_the_loop)
    else:
        engine = on_postgres(request.getfixturevalue("postgres"), clock, on_the_loop=on_the_loop)
    async with engine as made:
        await made.prepare(deployment="test")
        yield made


@asynccontextmanager
async def beside(scene: Scene) -> AsyncIterator[Scene]:
    """A second storage on the same database, as another process has it."""
    storage: SqliteStorage | PostgresStorage
    if isinstance(scene.storage, SqliteStorage):
        storage = SqliteStorage(scene.storage.path, clock=scene.clock, vault=Vault([KEY]), nap=0.0)
    else:
        assert isinstance(scene.storage, PostgresStorage)
        place = scene.storage.place
        storage = PostgresStorage(place.url, schema=place.schema, clock=scene.clock, vault=Vault([KEY]))
    try:
        yield Scene(storage, scene.clock)
    finally:
        await storage.close()


@pytest.fixture
async def scene(storage: Watched, clock: OwnedClock) -> AsyncIterator[Scene]:
    """The storage under test; whatever the test did, the rules must hold at its end."""
    made = Scene(storage, clock)
    yield made
    await made.intact()
