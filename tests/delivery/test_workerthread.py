"""The whole way on real parts: SQLite, the worker in its own thread, the sender, a receiver on loopback."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from anzol import ids
from anzol.addresses import Policy
from anzol.clock import SystemClock
from anzol.guard import Guard
from anzol.lifecycle import Outcome, State
from anzol.rules import DeliveryRules
from anzol.sender import Sender
from anzol.storage.face import NewEndpoint, NewMessage, Selection
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault
from anzol.worker import Worker
from anzol.workerthread import WorkerThread
from tests.delivery.fakes import SECRET
from tests.delivery.receivers import Receiver

POLICY = Policy.allowing("127.0.0.0/8")
CLOCK = SystemClock()


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    made = SqliteStorage(tmp_path / "anzol.db", clock=CLOCK, vault=Vault(["k" * 43]))
    await made.prepare(deployment="test")
    yield made
    await made.close()


def thread_on(storage: SqliteStorage, rules: DeliveryRules | None = None) -> WorkerThread:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Worker]:
        sender = Sender(Guard(POLICY))
        try:
            yield Worker(storage, sender, policy=POLICY, rules=rules)
        finally:
            await sender.close()

    return WorkerThread(opened)


async def send(storage: SqliteStorage, body: bytes = b"{}") -> str:
    now = CLOCK.micros()
    accepted = await storage.accept(
        NewMessage(ids.new(now), "default", "acme", "invoice.paid", "POST", "application/json", body, now)
    )
    return ids.show(ids.MESSAGE, accepted.id)


async def until(condition: object, *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]  # a function without arguments
            await asyncio.sleep(0.005)


async def settled(storage: SqliteStorage, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            page = await storage.deliveries("default", Selection(), limit=1000)
            if sum(one.state is not State.PENDING for one in page.items) >= count:
                return
            await asyncio.sleep(0.01)


async def answer(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await receiver.request(reader)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def test_messages_arrive_each_once_and_are_recorded(storage: SqliteStorage) -> None:
    async with Receiver(answer) as receiver:
        await storage.create_endpoint("default", NewEndpoint("acme", receiver.url, SECRET))
        worker = thread_on(storage)
        worker.start()
        sent = [await send(storage, b"%d" % number) for number in range(200)]
        await until(lambda: len(receiver.requests) >= 200)
        await settled(storage, 200)
        await asyncio.to_thread(worker.drain)

    for request in receiver.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
        Webhook(SECRET).verify(body, headers)
    arrived = [re.search(rb"webhook-id: (\S+)", request)[1].decode() for request in receiver.requests]
    assert sorted(arrived) == sorted(sent)
    attempts = await storage.attempts("default", Selection(), limit=1000)
    assert [one.outcome for one in attempts.items] == [Outcome.OK] * 200
    assert not worker.alive
    assert (await storage.status("default")).workers == ()


async def test_draining_ends_after_the_request_under_way(storage: SqliteStorage) -> None:
    hold = asyncio.Event()

    async def slowly(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        await hold.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with Receiver(slowly) as receiver:
        await storage.create_endpoint("default", NewEndpoint("acme", receiver.url, SECRET, fifo=True))
        worker = thread_on(storage)
        worker.start()
        await send(storage)
        await send(storage)
        await until(lambda: receiver.requests)
        draining = asyncio.create_task(asyncio.to_thread(worker.drain))
        await asyncio.sleep(0.05)
        assert not draining.done()
        hold.set()
        await draining

    page = await storage.deliveries("default", Selection())
    assert [(one.state, one.in_flight) for one in reversed(page.items)] == [
        (State.DELIVERED, False),
        (State.PENDING, False),
    ]


async def test_a_worker_stopped_before_it_began_ends(storage: SqliteStorage) -> None:
    worker = thread_on(storage)
    worker.start()
    await asyncio.to_thread(worker.drain)

    assert not worker.alive
    assert not [thread for thread in threading.enumerate() if thread.name == "anzol-worker"]


async def test_two_workers_share_the_work_and_send_nothing_twice(storage: SqliteStorage, tmp_path: Path) -> None:
    other = SqliteStorage(tmp_path / "anzol.db", clock=CLOCK, vault=Vault(["k" * 43]))
    async with Receiver(answer) as receiver:
        for number in range(10):
            await storage.create_endpoint("default", NewEndpoint("acme", f"{receiver.url}/{number}", SECRET))
        workers = [thread_on(storage), thread_on(other)]
        for worker in workers:
            worker.start()
        for number in range(60):
            await send(storage, b"%d" % number)
        await until(lambda: len(receiver.requests) >= 600)
        await settled(storage, 600)
        for worker in workers:
            await asyncio.to_thread(worker.drain)
    await other.close()

    keys = [(request.split(b" ", 2)[1], re.search(rb"webhook-id: (\S+)", request)[1]) for request in receiver.requests]
    assert len(set(keys)) == len(keys) == 600


async def test_what_is_under_way_on_the_workers_loop_ends_before_the_loop_does(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anzol.workerthread.REST", (0.2, 5.0, 5.0))
    ended: list[str] = []
    begun: list[asyncio.Task[None]] = []

    async def short() -> None:
        await asyncio.sleep(0.01)
        ended.append("short")

    async def long() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            begun.append(asyncio.create_task(short()))  # as asyncpg does when a query is cancelled

    @asynccontextmanager
    async def opened() -> AsyncIterator[Worker]:
        sender = Sender(Guard(POLICY))
        yield Worker(storage, sender, policy=POLICY)
        await sender.close()
        begun.extend(map(asyncio.create_task, (short(), long())))

    thread = WorkerThread(opened)
    thread.start()
    await asyncio.to_thread(thread.drain)

    assert ended == ["short", "short"]
