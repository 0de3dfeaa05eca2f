"""A sweep of thousands of deliveries, while the processes that carry it on are killed one after another."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from anzol import ids
from anzol.clock import SystemClock
from anzol.lifecycle import State, SweepState
from anzol.model import Sweep
from anzol.storage.books import NewSweep
from anzol.storage.face import NewEndpoint, NewMessage, Order, Selection, Storage
from anzol.storage.opening import open_storage
from tests.contract.conftest import Scene
from tests.faults.kill import postgres_database
from tests.faults.sweeper import KEY, TERM
from tests.postgres import Server

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = "production"
DELIVERIES = 5000
KILLS = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/sweeping.db"
        return
    server: Server = request.getfixturevalue("postgres")
    with postgres_database(server) as uri:
        yield uri


class Deliverer:
    """A worker that delivers everything, in words of storage alone."""

    def __init__(self, storage: Storage, me: int) -> None:
        self.storage = storage
        self.me = me
        self.lanes: set[bytes] = set()
        self.scene = Scene(storage, SystemClock())  # type: ignore[arg-type]  # for its results only

    async def deliver(self) -> int:
        """Do a round; return how many were delivered."""
        rooms = dict.fromkeys(self.lanes, 500)
        order = Order(take=10, fan_out=500, rooms=rooms, look=tuple(self.lanes), idle_lanes=True, new_room=500)
        found = await self.storage.dispatch(self.me, order)
        assert not found.lost
        self.lanes |= {profile.endpoint_id for profile in found.profiles}
        await self.storage.settle(self.me, [self.scene.result(claim) for claim in found.claims])
        return len(found.claims)

    async def drain(self) -> None:
        while await self.deliver():
            await self.storage.beat(self.me, TERM)


async def delivered(storage: Storage, count: int) -> tuple[Deliverer, str]:
    """Messages that were delivered once to one endpoint."""
    made = NewEndpoint(customer="acme", url="https://a.example/in", secret="whsec_" + "a" * 32)
    endpoint = await storage.create_endpoint(ENVIRONMENT, made)
    for _ in range(count // 500):
        await storage.accept_many([message() for _ in range(500)])
    worker = Deliverer(storage, await storage.enlist(host="here", pid=1, version="1", term=TERM))
    await worker.drain()
    return worker, endpoint.id


def message() -> NewMessage:
    now = SystemClock().micros()
    return NewMessage(ids.new(now), ENVIRONMENT, "acme", "tick", "POST", "application/json", b"{}", now)


def start(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.faults.sweeper", url], cwd=ROOT)


async def swept(storage: Storage, sweep: Sweep, url: str, worker: Deliverer) -> None:
    """Have two processes at a time carry it on, and kill whichever is there at some of its pages."""
    chance = random.Random(7)
    at = sorted(chance.sample(range(100, DELIVERIES - 500), KILLS))
    running = [start(url), start(url)]
    try:
        while (now := await storage.sweep(ENVIRONMENT, sweep.id)).state is SweepState.RUNNING:
            if at and now.changed >= at[0]:
                at.pop(0)
                for process in running:
                    process.kill()
                    process.wait()
                running = [start(url), start(url)]
            await storage.reap(most_interruptions=100)
            await storage.beat(worker.me, TERM)
            await worker.deliver()
            running = [one if one.poll() is None else start(url) for one in running]
        assert not at
    finally:
        for process in running:
            process.kill()
            process.wait()


async def test_a_sweep_of_5000_deliveries_survives_its_workers_and_repeats_none(database: str) -> None:
    storage = open_storage(database, secret_key=KEY)
    await storage.prepare(deployment="test")
    worker, endpoint_id = await delivered(storage, DELIVERIES)
    sweep = await storage.begin_sweep(ENVIRONMENT, NewSweep("bulk-replay", {}, endpoint_id=endpoint_id))

    async with asyncio.timeout(120):
        await swept(storage, sweep, database, worker)
    await worker.drain()

    ended = await storage.sweep(ENVIRONMENT, sweep.id)
    assert (ended.state, ended.changed, ended.error) == (SweepState.FINISHED, DELIVERIES, "")
    tries: Counter[tuple[State, int]] = Counter()
    after: str | None = ""
    while after is not None:
        page = await storage.deliveries(ENVIRONMENT, Selection(), after=after or None, limit=250)
        tries.update((one.state, one.attempts) for one in page.items)
        after = page.next
    assert tries == {(State.DELIVERED, 2): DELIVERIES}
    await storage.close()
