"""Several processes' workers, senders, operators and deaths at once, in real time, and all rules watched all the time.

A random run does not see a lost wake-up by itself: the next message heals the lane. So every snapshot is looked at, over
and over, while everything goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from anzol.clock import SystemClock
from anzol.errors import AnzolError
from anzol.lifecycle import Cause, Disabled, Outcome, State
from anzol.storage.face import Claim, EndpointChanges, Selection, Settled
from anzol.storage.postgres import accept
from anzol.storage.postgres.connections import connect
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.vault import Vault
from tests.contract.conftest import ENVIRONMENT, KEY, Scene, Worker, raw
from tests.postgres import Server

TERM = timedelta(seconds=1)
TYPES = ("x", "y")
MOST = 150  # deliveries that wait before senders do
GRACE = 60.0  # seconds in which everything must have been delivered, once nothing happens any more

Key = tuple[bytes, bytes]  # an endpoint, a message


@dataclass(slots=True)
class Crowd:
    """Everybody who is at work on one schema."""

    scenes: list[Scene]
    chance: random.Random
    requests: Counter[Key] = field(default_factory=Counter)
    endpoints: list[str] = field(default_factory=list)
    fifo: set[bytes] = field(default_factory=set)
    numbers: dict[bytes, int] = field(default_factory=dict)  # in which order messages were sent, of those with an order
    last: dict[bytes, int] = field(default_factory=dict)
    overtaken: list[Key] = field(default_factory=list)
    snapshots: int = 0
    waiting: int = 0
    fenced: int = 0
    deaths: int = 0
    calm: bool = False  # nobody sends, dies or operates any more
    done: bool = False

    @property
    def scene(self) -> Scene:
        return self.chance.choice(self.scenes)

    # --- workers

    async def work(self, scene: Scene) -> None:
        """Be one process: its worker dies, and another takes its place."""
        while not self.done:
            worker = await scene.worker(TERM)
            claims: list[Claim] = []
            while not self.done and await scene.storage.beat(worker.me, TERM):
                await self.claim(worker, claims)
                if claims and not self.calm and self.chance.random() < 0.04:
                    await self.die(worker, claims)
                    break
                await self.settle(worker, claims)
                await self.release(worker, {claim.endpoint_id for claim in claims})

    async def claim(self, worker: Worker, claims: list[Claim]) -> None:
        """Do a round; what is claimed goes on the wire."""
        found = await worker.round(**({} if self.calm else self.order()))
        for claim in found.claims:
            self.request(claim)
        claims += found.claims
        await asyncio.sleep(0 if self.calm else self.chance.random() * 0.01)

    async def die(self, worker: Worker, claims: list[Claim]) -> None:
        """Leave everything as it is; or only stop for long, and go on as if nothing had happened."""
        self.deaths += 1
        if self.chance.random() < 0.5:
            await asyncio.sleep(1.5 * TERM.total_seconds())
            await self.settle(worker, claims)

    async def release(self, worker: Worker, busy: set[bytes]) -> None:
        if self.chance.random() < 0.3:
            idle = tuple(lane for lane in worker.lanes if lane not in busy)
            await worker.round(release=idle, take=0, fan_out=0, rooms={}, look=())

    def order(self) -> dict[str, Any]:
        return {
            "room": self.chance.randrange(1, 5),
            "new_room": self.chance.randrange(1, 4),
            "take": self.chance.randrange(4),
            "fan_out": self.chance.randrange(1, 5),
            "idle_lanes": self.chance.random() < 0.7,
        }

    def request(self, claim: Claim) -> None:
        """Put a claim on the wire."""
        message = claim.content.message_id
        self.requests[claim.endpoint_id, message] += 1
        number = self.numbers.get(message)
        if claim.endpoint_id in self.fifo and number is not None:
            if number < self.last.get(claim.endpoint_id, 0):
                self.overtaken.append((claim.endpoint_id, message))
            self.last[claim.endpoint_id] = max(number, self.last.get(claim.endpoint_id, 0))

    async def settle(self, worker: Worker, claims: list[Claim]) -> None:
        some = len(claims) if self.calm else self.chance.randrange(2, 9)
        chosen, claims[:] = claims[:some], claims[some:]
        results = [self.result(worker.scene, claim) for claim in chosen]
        self.fenced += len(await worker.scene.storage.settle(worker.me, results)) if results else 0

    def result(self, scene: Scene, claim: Claim) -> Settled:
        fate = self.chance.random()
        if fate < 0.7 or self.calm:
            return scene.result(claim)
        if fate < 0.9:
            return scene.failed(claim, after=self.chance.choice([0, 0.1]))
        return scene.result(claim, Cause.GAVE_UP, attempt=scene.record(Outcome.TIMEOUT, None))

    # --- everybody else

    async def send(self) -> None:
        """Send messages one after another."""
        for number in count(1):
            if self.calm:
                return
            scene = self.scene
            message = scene.message(event_type=self.chance.choice(TYPES))
            self.numbers[message.id] = number
            await scene.storage.accept(message)
            await self.pause(0.03)

    async def send_many(self) -> None:
        while not self.calm:
            scene = self.scene
            batch = [scene.message(event_type=self.chance.choice(TYPES)) for _ in range(self.chance.randrange(1, 5))]
            await scene.storage.accept_many(batch)
            await self.pause(0.1)

    async def pause(self, most: float) -> None:
        """Wait for some time, and until there is not too much to do."""
        await asyncio.sleep(self.chance.random() * most)
        while self.waiting > MOST and not self.calm:
            await asyncio.sleep(most)

    async def send_late(self) -> None:
        """Send in transactions that stay open for a while."""
        storage = self.scenes[0].storage
        assert isinstance(storage, PostgresStorage)
        connection = await connect(storage.place)
        while not self.calm:
            async with connection.transaction():
                message = self.scenes[0].message(event_type=self.chance.choice(TYPES))
                await accept.accept(storage.work(connection), [message], fresh=True)
                await asyncio.sleep(self.chance.random() * 0.7)
        await connection.close()

    async def operate(self) -> None:
        while not self.calm:
            with suppress(AnzolError):  # what is asked for may not be possible
                await self.act()
            await asyncio.sleep(self.chance.random() * 0.05)
        for rule in await self.scene.storage.pause_rules(ENVIRONMENT):
            named = {"customer": rule.customer, "event_type": rule.event_type, "endpoint_id": rule.endpoint_id}
            await self.scene.storage.resume(ENVIRONMENT, **named)
        for endpoint in self.endpoints:
            await self.scene.storage.enable_endpoint(ENVIRONMENT, endpoint)

    async def act(self) -> None:
        storage, endpoint = self.scene.storage, self.chance.choice(self.endpoints)
        rule = {"customer": None, "event_type": self.chance.choice([None, *TYPES]), "endpoint_id": endpoint}
        again = Selection(states=(State.CANCELLED,), endpoint_id=self.endpoints[0])  # one without an order
        acts: Sequence[Callable[[], Awaitable[Any]]] = (
            lambda: storage.pause(ENVIRONMENT, **rule, actor="ops"),
            lambda: storage.resume(ENVIRONMENT, **rule),
            lambda: storage.resume(ENVIRONMENT, **rule),
            lambda: storage.disable_endpoint(ENVIRONMENT, endpoint, Disabled.BY_OPERATOR),
            lambda: storage.enable_endpoint(ENVIRONMENT, endpoint),
            lambda: storage.enable_endpoint(ENVIRONMENT, endpoint),
            lambda: storage.update_endpoint(
                ENVIRONMENT, endpoint, EndpointChanges(throttle=self.chance.randrange(1, 9))
            ),
            lambda: storage.cancel(ENVIRONMENT, Selection(event_types=("y",)), after=None, limit=2),
            lambda: storage.recover(ENVIRONMENT, again, after=None, limit=2),
        )
        await self.chance.choice(acts)()

    async def reap(self) -> None:
        while not self.done:
            await self.scene.storage.reap(most_interruptions=99)
            await asyncio.sleep(0.2)

    async def watch(self) -> None:
        """Look at one snapshot after another."""
        storage = self.scenes[0].storage
        while not self.done:
            assert await storage.broken() == ()
            self.snapshots += 1
            self.waiting = await self.left()

    async def run(self, seconds: float) -> None:
        """Let them all go at it, and then let what is left be delivered."""
        async with asyncio.TaskGroup() as together:
            for scene in self.scenes:
                together.create_task(self.work(scene))
            together.create_task(self.watch())
            together.create_task(self.reap())
            acts = (self.send, self.send_many, self.send_late, self.operate)
            active = [together.create_task(act()) for act in acts]
            await asyncio.sleep(seconds)
            self.calm = True
            await asyncio.gather(*active)
            async with asyncio.timeout(GRACE):
                while await self.left():
                    await asyncio.sleep(0.05)
            self.done = True

    async def left(self) -> int:
        status = await self.scenes[0].storage.status(ENVIRONMENT)
        return status.pending + status.accepted_waiting


@asynccontextmanager
async def crowd(server: Server, seed: int, processes: int, lanes: int) -> AsyncIterator[Crowd]:
    with server.schema() as schema:
        await migrate(server.uri(), schema)
        clock: Any = SystemClock()
        made = [PostgresStorage(server.uri(), schema=schema, clock=clock, vault=Vault([KEY])) for _ in range(processes)]
        ends = [storage.listen(lambda: None) for storage in made]
        crowd = Crowd([Scene(storage, clock) for storage in made], random.Random(seed))
        for number in range(lanes):
            endpoint = (await crowd.scenes[0].endpoint(fifo=number == 1)).id
            crowd.endpoints.append(endpoint)
            if number == 1:
                crowd.fifo.add(raw(endpoint))
        yield crowd
        for end, storage in zip(ends, made, strict=True):
            end()
            await storage.close()


async def delivered_what_was_sent(crowd: Crowd) -> None:
    storage = crowd.scenes[0].storage
    attempts: Counter[Key] = Counter()
    after: str | None = None
    while True:
        page = await storage.attempts(ENVIRONMENT, Selection(), after=after, limit=1000)
        attempts.update((raw(one.endpoint_id), raw(one.message_id)) for one in page.items)
        after = page.next
        if after is None:
            break

    assert attempts == crowd.requests  # none without a request, no request without one
    assert crowd.overtaken == []
    assert crowd.snapshots > 10
    assert sum(attempts.values()) > 100
    await crowd.scenes[0].intact()


async def test_nothing_is_lost_whoever_works_and_dies(postgres: Server) -> None:
    async with crowd(postgres, 1, processes=4, lanes=3) as everybody:
        await everybody.run(4)
        await delivered_what_was_sent(everybody)


@pytest.mark.faults
@pytest.mark.parametrize(("processes", "lanes"), [(3, 1), (5, 3), (4, 2)])
@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_for_minutes(postgres: Server, seed: int, processes: int, lanes: int) -> None:
    async with crowd(postgres, seed, processes, lanes) as everybody:
        await everybody.run(25)
        await delivered_what_was_sent(everybody)
        assert everybody.deaths > 0
        assert everybody.fenced > 0
