"""Workers, senders, operators and clocks in any order: the rules hold in every snapshot, and nothing is lost."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from anzol.errors import AnzolError
from anzol.lifecycle import Cause, Disabled, Outcome, State
from anzol.storage.face import Claim, EndpointChanges, Retention, Selection
from tests.contract.conftest import ENVIRONMENT, Scene, Worker, raw

STEPS = 250
CUSTOMERS = ("a", "b", "c")
TYPES = ("x", "y")


class Play:
    """One random history, from a seed."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.chance = random.Random(seed)
        self.workers: list[Worker] = []
        self.claims: dict[int, list[Claim]] = {}
        self.fifo: set[str] = set()
        self.sent: list[str] = []
        self.endpoints: list[str] = []
        self.requests: Counter[tuple[bytes, bytes]] = Counter()

    async def step(self) -> None:
        acts = [self.send] * 6 + [self.round] * 8 + [self.settle] * 8 + [self.release] * 2
        acts += [
            self.hire,
            self.let_time_pass,
            self.die,
            self.register,
            self.change,
            self.operate,
            self.tidy,
            self.leave,
        ]
        with suppress(AnzolError):  # an operator may ask for what cannot be
            await self.chance.choice(acts)()
        await self.scene.intact()

    async def send(self) -> None:
        later = self.scene.now + 10_000_000 if self.chance.random() < 0.1 else None
        customer, event_type = self.chance.choice(CUSTOMERS), self.chance.choice(TYPES)
        self.sent.append(await self.scene.send(customer, event_type, deliver_at=later))

    async def hire(self) -> None:
        if len(self.workers) < 3:
            worker = await self.scene.worker()
            self.workers.append(worker)
            self.claims[worker.me] = []

    async def round(self) -> None:
        for worker in self.chance.sample(self.workers, min(len(self.workers), 1)):
            found = await worker.round(
                room=self.chance.randrange(4),
                new_room=self.chance.randrange(1, 4),
                take=self.chance.randrange(3),
                fan_out=self.chance.randrange(4),
                idle_lanes=self.chance.random() < 0.7,
            )
            if found.lost:
                self.workers.remove(worker)
                self.claims.pop(worker.me)
            else:
                await self.request(worker, list(found.claims))

    async def request(self, worker: Worker, claims: list[Claim]) -> None:
        """What is claimed goes on the wire; no two workers that live have the same claim."""
        for claim in claims:
            self.requests[claim.endpoint_id, claim.content.message_id] += 1
            for other in self.workers:
                if claim.id in {one.id for one in self.claims[other.me]}:
                    assert other is not worker
                    assert not await self.scene.storage.beat(other.me, timedelta(seconds=30))
        self.claims[worker.me] += claims

    async def settle(self) -> None:
        for worker in self.workers:
            mine = self.claims[worker.me]
            self.chance.shuffle(mine)
            chosen, self.claims[worker.me] = mine[:3], mine[3:]
            results = [self.result(claim) for claim in chosen]
            await self.scene.storage.settle(worker.me, results)

    def result(self, claim: Claim) -> Any:
        fate = self.chance.random()
        if fate < 0.4:
            return self.scene.result(claim)
        if fate < 0.6:
            return self.scene.failed(claim, after=self.chance.choice([0, 3, 20]))
        if fate < 0.7:
            return self.scene.result(claim, Cause.GAVE_UP, attempt=self.scene.record(Outcome.TIMEOUT, None))
        return self.scene.result(claim, None, None, claim.step, None if fate < 0.9 else "made")

    async def release(self) -> None:
        for worker in self.workers:
            busy = {claim.endpoint_id for claim in self.claims[worker.me]}
            idle = tuple(sorted(worker.lanes - busy))[:2]
            await worker.round(release=idle, take=0, fan_out=0, rooms={}, look=())

    async def let_time_pass(self) -> None:
        self.scene.later(self.chance.choice([0.001, 2, 9]))
        for worker in self.workers:
            if self.chance.random() < 0.8:
                await self.scene.storage.beat(worker.me, timedelta(seconds=30))

    async def die(self) -> None:
        if self.workers and self.chance.random() < 0.3:
            self.workers.pop()
            self.scene.later(31)
        await self.scene.reap(most_interruptions=4)

    async def leave(self) -> None:
        if len(self.workers) > 1:
            worker = self.workers.pop(0)
            await self.scene.storage.resign(worker.me)
            self.claims.pop(worker.me)

    async def register(self) -> None:
        made = await self.scene.endpoint(self.chance.choice(CUSTOMERS), fifo=self.chance.random() < 0.3)
        self.endpoints.append(made.id)

    async def change(self) -> None:
        if self.endpoints:
            chosen = self.chance.choice(self.endpoints)
            changes = EndpointChanges(
                event_types=self.chance.choice([(), ("x",)]), fifo=self.chance.random() < 0.3, throttle=3
            )
            await self.scene.storage.update_endpoint(ENVIRONMENT, chosen, changes)

    async def operate(self) -> None:
        storage, chance = self.scene.storage, self.chance
        endpoint = chance.choice(self.endpoints) if self.endpoints else "ep_none"
        parts = {
            "customer": chance.choice([None, *CUSTOMERS]),
            "event_type": chance.choice([None, *TYPES]),
            "endpoint_id": chance.choice([None, None, endpoint]),
        }
        anything = Selection(event_types=(parts["event_type"],))
        match chance.randrange(8):
            case 0:
                await storage.pause(ENVIRONMENT, **parts, actor="ops")
            case 1:
                for rule in await storage.pause_rules(ENVIRONMENT):
                    named = {"customer": rule.customer, "event_type": rule.event_type, "endpoint_id": rule.endpoint_id}
                    await storage.resume(ENVIRONMENT, **named)
            case 2:
                await storage.disable_endpoint(ENVIRONMENT, endpoint, Disabled.BY_OPERATOR)
            case 3:
                await storage.enable_endpoint(ENVIRONMENT, endpoint)
            case 4:
                await storage.cancel(ENVIRONMENT, anything, after=None, limit=2)
            case 5:
                await storage.recover(ENVIRONMENT, anything, after=None, limit=2)
            case 6 if self.sent:
                await storage.resend(ENVIRONMENT, chance.choice(self.sent), endpoint)
            case 7 if chance.random() < 0.3:
                await storage.delete_endpoint(ENVIRONMENT, endpoint)
                self.endpoints.remove(endpoint)

    async def tidy(self) -> None:
        await self.scene.storage.clean(Retention(), limit=3)

    async def finish(self) -> None:
        """Let everything go, and let one good worker work until nothing is due any more."""
        self.scene.later(61)
        await self.scene.reap(most_interruptions=99)
        for rule in await self.scene.storage.pause_rules(ENVIRONMENT):
            named = {"customer": rule.customer, "event_type": rule.event_type, "endpoint_id": rule.endpoint_id}
            await self.scene.storage.resume(ENVIRONMENT, **named)
        for endpoint in self.endpoints:
            await self.scene.storage.enable_endpoint(ENVIRONMENT, endpoint)
        while await self.scene.storage.clean(Retention(), limit=50):
            pass
        worker = await self.scene.worker(timedelta(days=1))
        while claims := await self.drain(worker):
            for claim in claims:
                self.requests[claim.endpoint_id, claim.content.message_id] += 1
            await worker.settle(claims)

    async def drain(self, worker: Worker) -> list[Claim]:
        found = await worker.round(room=50)
        if not found.claims and not found.waiting and found.next_turn_at is not None:
            self.scene.later((found.next_turn_at - self.scene.now) / 1e6 + 0.001)
            found = await worker.round(room=50, look=())
        return list(found.claims)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_nothing_is_lost(scene: Scene, seed: int) -> None:
    play = Play(scene, seed)
    for _ in range(3):
        await play.register()

    for _ in range(STEPS):
        await play.step()
    await play.finish()

    status = await scene.storage.status(ENVIRONMENT)
    assert (status.accepted_waiting, status.pending, status.in_flight) == (0, 0, 0)
    states = Counter(await scene.states())
    assert states[State.PENDING] == 0
    assert states[State.DELIVERED] > 20
    attempts = Counter(
        (raw(one.endpoint_id), raw(one.message_id))
        for one in (await scene.storage.attempts(ENVIRONMENT, Selection(), limit=9999)).items
    )
    assert attempts - play.requests == Counter()  # none without a request
    assert {message for _, message in play.requests} <= {raw(shown) for shown in play.sent}
