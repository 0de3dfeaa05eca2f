"""What storage alone costs: accept, fan out, claim and settle, without a request on the wire.

    python benchmarks/storage.py [--messages 20000] [--endpoints 1000] [--batch 200] [--driver thread|loop]

Beside it the limit: the same bodies inserted by a bare `sqlite3` connection, in the same batches, in the same run.
Verified at the end: every accepted message is in the history as delivered, with one attempt.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sqlite3
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import uvloop

from anzol import ids
from anzol.clock import SystemClock
from anzol.lifecycle import Cause, Outcome
from anzol.storage import sqlite_accept, sqlite_dispatch, sqlite_settle
from anzol.storage.face import AttemptRecord, Claim, Dispatched, NewEndpoint, NewMessage, Order, Settled
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault

ENVIRONMENT = "production"
CALLERS = 64
clock = SystemClock()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def message(number: int, endpoints: int, body: bytes) -> NewMessage:
    now = clock.micros()
    return NewMessage(
        id=ids.new(now),
        environment=ENVIRONMENT,
        customer=f"customer-{number % endpoints}",
        event_type="subscription.created",
        method="POST",
        content_type="application/json",
        body=body,
        created_at=now,
    )


def attempt(claim: Claim) -> Settled:
    now = clock.micros()
    record = AttemptRecord(
        ids.new(now), Outcome.OK, 200, "", "", now, None, None, None, 900, 1000, ((b"server", b"nginx"),), b"ok"
    )
    return Settled(claim.id, Cause.ACCEPTED, None, 0, record)


async def register(storage: SqliteStorage, endpoints: int) -> None:
    for start in range(0, endpoints, 200):
        await asyncio.gather(
            *(
                storage.create_endpoint(
                    ENVIRONMENT,
                    NewEndpoint(customer=f"customer-{n}", url="https://example.com/", secret="whsec_" + "a" * 32),
                )
                for n in range(start, min(start + 200, endpoints))
            )
        )


class Engine:
    """A dispatcher that answers every claim at once with success."""

    def __init__(self, storage: SqliteStorage, batch: int) -> None:
        self.storage = storage
        self.batch = batch
        self.wanted = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.lanes: dict[bytes, int] = {}
        self.done = 0
        self.rounds = 0

    def nudge(self) -> None:
        if not self.wanted.is_set():
            self.loop.call_soon_threadsafe(self.wanted.set)

    async def run(self, until: int) -> None:
        me = await self.storage.enlist(host="bench", pid=os.getpid(), version="0", term=timedelta(seconds=60))
        end = self.storage.listen(self.nudge)
        settling: set[asyncio.Task[None]] = set()
        found = Dispatched(waiting=True)
        while self.done < until:
            if not (found.waiting or found.behind):
                await self.wanted.wait()
            self.wanted.clear()
            order = Order(
                take=1000,
                fan_out=self.batch,
                rooms=self.lanes,
                look=tuple(found.behind),
                idle_lanes=True,
                new_room=self.batch,
            )
            found = await self.storage.dispatch(me, order)
            self.rounds += 1
            self.lanes |= dict.fromkeys((profile.endpoint_id for profile in found.profiles), self.batch)
            if found.claims:
                task = asyncio.create_task(self.settle(me, [attempt(claim) for claim in found.claims]))
                settling.add(task)
                task.add_done_callback(settling.discard)
                if self.done + sum(1 for _ in settling) * self.batch > until - self.batch:
                    await asyncio.gather(*settling)
        end()
        await self.storage.resign(me)

    async def settle(self, me: int, results: list[Settled]) -> None:
        fenced = await self.storage.settle(me, results)
        assert not fenced
        self.done += len(results)


async def send_all(storage: SqliteStorage, messages: int, endpoints: int, body: bytes) -> None:
    numbers = iter(range(messages))

    async def caller() -> None:
        for number in numbers:
            await storage.accept(message(number, endpoints, body))

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


def work_in_thread(storage: SqliteStorage, options: argparse.Namespace, counted: dict[str, int]) -> None:
    async def main() -> None:
        if options.driver == "loop":
            storage.drive_on(asyncio.get_running_loop())
        engine = Engine(storage, options.batch)
        await engine.run(options.messages)
        counted["rounds"] = engine.rounds
        storage.drive_on(None)

    uvloop.run(main())


async def run(path: Path, options: argparse.Namespace) -> None:
    storage = SqliteStorage(path, clock=clock, vault=Vault(["k" * 43]), nap=options.nap / 1000)
    await storage.prepare(deployment="bench")
    await register(storage, options.endpoints)
    counted: dict[str, int] = {}
    worker = threading.Thread(target=work_in_thread, args=(storage, options, counted))
    body = b"{" + b"x" * (options.body - 2) + b"}"
    began, used = time.perf_counter(), cpu()
    worker.start()
    await send_all(storage, options.messages, options.endpoints, body)
    accepted = time.perf_counter() - began
    await asyncio.get_running_loop().run_in_executor(None, worker.join)
    took, spent = time.perf_counter() - began, cpu() - used
    await storage.close()
    verify(path, options.messages)
    print(
        f"anzol   {options.driver:6} {options.endpoints} endpoints, batch {options.batch}:"
        f" {options.messages / took:.0f}/s, {spent / options.messages * 1e6:.0f} us CPU each;"
        f" accepted at {options.messages / accepted:.0f}/s;"
        f" {counted['rounds']} rounds"
    )


def by_hand(path: Path, options: argparse.Namespace) -> None:
    """The SQL alone: one thread, exactly --batch messages in each transaction, no callers and no loop."""
    storage = SqliteStorage(path, clock=clock, vault=Vault(["k" * 43]))
    uvloop.run(storage.prepare(deployment="bench"))
    uvloop.run(register(storage, options.endpoints))
    me = uvloop.run(storage.enlist(host="bench", pid=os.getpid(), version="0", term=timedelta(seconds=600)))
    storage.listen(lambda: None)
    body = b"{" + b"x" * (options.body - 2) + b"}"
    lanes: dict[bytes, int] = {}
    claims: Sequence[Claim] = ()
    parts = {"settle": 0.0, "accept": 0.0, "dispatch": 0.0, "commit": 0.0}
    spent = 0.0
    for start in range(0, options.messages + options.batch, options.batch):
        size = options.batch if start < options.messages else 0
        sends = [(message(number, options.endpoints, body),) for number in range(start, start + size)]
        results = [attempt(claim) for claim in claims]
        times, used = [time.perf_counter()], time.process_time()
        work = storage.begin()
        sqlite_settle.settle(work, me, results, (), ())
        times.append(time.perf_counter())
        sqlite_accept.accept_together(work, sends)
        times.append(time.perf_counter())
        order = Order(take=1000, fan_out=options.batch, rooms=lanes, idle_lanes=True, new_room=options.batch)
        found = sqlite_dispatch.dispatch(work, me, order, storage._memory)
        times.append(time.perf_counter())
        storage.commit(work)
        storage.committed(work)
        times.append(time.perf_counter())
        spent += time.process_time() - used
        claims = found.claims
        lanes |= dict.fromkeys((profile.endpoint_id for profile in found.profiles), options.batch)
        for place, part in enumerate(parts):
            parts[part] += times[place + 1] - times[place]
    uvloop.run(storage.close())
    verify(path, options.messages)
    shown = ", ".join(f"{part} {took / options.messages * 1e6:.0f}" for part, took in parts.items())
    print(
        f"by hand {options.endpoints} endpoints, batch {options.batch}:"
        f" {spent / options.messages * 1e6:.0f} us CPU each (wall: {shown})"
    )


def verify(path: Path, messages: int) -> None:
    connection = sqlite3.connect(path)
    delivered = connection.execute("select count(*) from anzol_delivery where state = 1 and attempts = 1").fetchone()[0]
    attempts = connection.execute("select count(*) from anzol_attempt").fetchone()[0]
    left = connection.execute("select count(*) from anzol_pending").fetchone()[0]
    connection.close()
    assert (delivered, attempts, left) == (messages, messages, 0), (delivered, attempts, left)


def limit(path: Path, options: argparse.Namespace) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "pragma journal_mode = wal; pragma synchronous = full; create table m (id integer primary key, b)"
    )
    body = b"x" * options.body
    began, used = time.perf_counter(), cpu()
    values = ", ".join(["(?)"] * options.batch)
    for _ in range(0, options.messages, options.batch):
        connection.execute("begin immediate")
        connection.execute(f"insert into m (b) values {values}", [body] * options.batch)
        connection.execute("commit")
    took, spent = time.perf_counter() - began, cpu() - used
    connection.close()
    each = spent / options.messages * 1e6
    print(f"limit   bare inserts of the bodies: {options.messages / took:.0f}/s, {each:.0f} us CPU each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--body", type=int, default=1000)
    parser.add_argument("--nap", type=float, default=0.5, help="milliseconds")
    parser.add_argument("--driver", choices=["thread", "loop"], default="thread")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        limit(Path(folder) / "limit.db", options)
        by_hand(Path(folder) / "by_hand.db", options)
        uvloop.run(run(Path(folder) / "anzol.db", options))


if __name__ == "__main__":
    main()
