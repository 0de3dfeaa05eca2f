"""What the engine itself costs: rounds, turns, judging, settling; storage and network are replaced by nothing.

    python -m benchmarks.engine [--deliveries 100000] [--lanes 1] [--profile]

Prints the CPU microseconds of each delivery, signature included. The sender answers on the next turn of the loop.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import resource
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import uvloop

from anzol import ids
from anzol.addresses import Policy
from anzol.lifecycle import Outcome
from anzol.sender import Reply, Request, Timing
from anzol.storage.face import Claim, Content, Dispatched, Order, Profile, Reaped, Settled
from anzol.worker import Worker

BODY = b"y" * 1000
REPLY = Reply(Outcome.OK, 204, (), b"", "", "", Timing(None, None, None, 200, 250), True, "127.0.0.1:80", True)


class Nothing:
    """Storage that hands out claims and forgets results."""

    def __init__(self, deliveries: int, lanes: int) -> None:
        now = time.time_ns() // 1000
        self.endpoints = [ids.new(now) for _ in range(lanes)]
        content = Content(ids.new(now), "invoice.paid", "POST", "application/json", (), "", BODY, now)
        self.waiting = {endpoint: deque[Claim]() for endpoint in self.endpoints}
        for number in range(deliveries):
            endpoint = self.endpoints[number % lanes]
            self.waiting[endpoint].append(Claim(number, endpoint, 0, 0, now, False, content))
        self.left = deliveries
        self.held: set[bytes] = set()
        self.done = asyncio.Event()
        self.rounds = self.batches = 0

    async def enlist(self, **_: object) -> int:
        return 1

    async def beat(self, *_: object) -> bool:
        return True

    async def reap(self, **_: object) -> Reaped:
        return Reaped()

    async def clean(self, *_: object, **__: object) -> int:
        return 0

    async def resign(self, _: int) -> None:
        pass

    def listen(self, _: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    async def dispatch(self, _: int, order: Order) -> Dispatched:
        self.rounds += 1
        await asyncio.sleep(0.002)
        free = [endpoint for endpoint in self.endpoints if endpoint not in self.held][: order.take]
        self.held.update(free)
        rooms = {endpoint: order.rooms.get(endpoint, 0) for endpoint in order.look} | dict.fromkeys(
            free, order.new_room
        )
        claims = []
        for endpoint, room in rooms.items():
            queue = self.waiting[endpoint]
            claims += [queue.popleft() for _ in range(min(room, len(queue)))]
        return Dispatched(
            claims,
            [profile(endpoint) for endpoint in free],
            frozenset(endpoint for endpoint in rooms if self.waiting[endpoint]),
            waiting=len(self.held) < len(self.endpoints),
        )

    async def settle(self, _: int, settled: Sequence[Settled], *__: object) -> tuple[int, ...]:
        self.batches += 1
        await asyncio.sleep(0.002)
        self.left -= len(settled)
        if not self.left:
            self.done.set()
        return ()


class Answering:
    """A sender that sends nothing."""

    async def send(self, _: Request) -> Reply:
        await asyncio.sleep(0)
        return REPLY


def profile(endpoint: bytes) -> Profile:
    return Profile(
        endpoint, "acme", "default", "http://127.0.0.1:8080/in", ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",), (), None,
        None, False, None, True, 0, None, None, 0, None,
    )  # fmt: skip


async def run(deliveries: int, lanes: int) -> dict[str, Any]:
    storage = Nothing(deliveries, lanes)
    worker = Worker(storage, Answering(), policy=Policy.allowing("127.0.0.0/8"))  # type: ignore[arg-type]  # its part of storage
    working = asyncio.create_task(worker.run())
    began, used = time.perf_counter(), cpu()
    await storage.done.wait()
    spent, took = cpu() - used, time.perf_counter() - began
    worker.stop()
    await working
    return {
        "deliveries": deliveries,
        "lanes": lanes,
        "cpu_us": round(spent / deliveries * 1e6, 1),
        "per_second": round(deliveries / took),
        "rounds": storage.rounds,
        "batches": storage.batches,
    }


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    if given.profile:
        with cProfile.Profile() as seen:
            print(uvloop.run(run(given.deliveries, given.lanes)))
        pstats.Stats(seen).sort_stats("tottime").print_stats(25)
    else:
        print(uvloop.run(run(given.deliveries, given.lanes)))


if __name__ == "__main__":
    main()
