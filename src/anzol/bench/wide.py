"""The workload `fan-out`: one message to very many endpoints, and how others' messages fare meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from anzol.app import Webhooks
from anzol.bench.application import (
    MAKERS,
    STILL,
    Sent,
    customer,
    make_app,
    make_endpoints,
    recorded,
    send_all,
    send_one,
)
from anzol.bench.figures import Checked, Figures
from anzol.bench.receivers import OWN, Arrivals, Receiver, receiver
from anzol.bench.rounds import Measured, Round, Variant, figures, on_loop
from anzol.bench.sites import Database
from anzol.bench.working import Workers, workers
from anzol.errors import BenchError

OTHERS: Final = 100  # customers that send meanwhile, each with one endpoint
WIDE: Final = OTHERS  # the number of the customer with the many endpoints
RATE: Final = 50.0  # messages a second that the others send together
WARM: Final = 3  # messages to each of the others that go before
Shown = tuple[Measured, Measured, Measured]


def fan_out(run: Round) -> Iterator[Figures]:
    """One message to very many endpoints; others send at a steady rate, before it and until it is delivered."""
    with run.site.fresh() as database, receiver(OWN) as target:  # ours tells microseconds
        arrivals = target.arrivals()
        before, meanwhile, wide = on_loop(Widening(run, target, arrivals).done(database))
        often = arrivals.written([*before.sent.returned, *meanwhile.sent.returned])
        times = arrivals.times()
        for name, measured in (("others, before", before), ("others, meanwhile", meanwhile)):
            delays = [max(0.0, times[i] - at) for i, at in measured.sent.returned.items() if i in times]
            variant, seen = Variant("fan-out", name, OTHERS, 1), narrow_seen(often, measured.sent)
            yield figures(run, variant, measured, seen, target=target, delays=delays)
        unrecorded = max(0, often.total() - database.attempts())
        yield of_deliveries(run, wide, wide_seen(often, wide.sent, run.size.wide, unrecorded), target)


def narrow_seen(often: Counter[str], sent: Sent) -> Checked:
    """Compare messages to one endpoint each with how often they arrived."""
    times = [often[message_id] for message_id in sent.returned]
    arrived = len(times) - times.count(0)
    return Checked(
        accepted=len(times), delivered=arrived, lost=times.count(0), duplicates=sum(times) - arrived, unrecorded=0
    )


def wide_seen(often: Counter[str], sent: Sent, endpoints: int, unrecorded: int) -> Checked:
    """Compare one message to many endpoints with how often it arrived; here each delivery counts."""
    arrived = sum(often[message_id] for message_id in sent.returned)
    return Checked(
        accepted=endpoints,
        delivered=min(arrived, endpoints),
        lost=max(0, endpoints - arrived),
        duplicates=max(0, arrived - endpoints),
        unrecorded=unrecorded,
    )


def of_deliveries(run: Round, wide: Measured, seen: Checked, target: Receiver) -> Figures:
    """Make the row of the one message, by its deliveries."""
    variant = Variant("fan-out", f"{run.size.wide:,} endpoints", run.size.wide, 1)
    row = figures(run, variant, wide, seen, target=target)
    rate, limit = run.size.wide / wide.took, row.limit or 1
    cpu_us = round(wide.cpu / run.size.wide * 1e6, 1)
    return replace(row, rate=round(rate, 1), ratio=round(rate / limit, 4), cpu_us=cpu_us)


@dataclass(frozen=True, slots=True)
class Widening:
    """The course of it, with the worker in a process of its own."""

    run: Round
    target: Receiver
    arrivals: Arrivals

    async def done(self, database: Database) -> Shown:
        """Make the endpoints, and send; return how others fared before, how meanwhile, and how the one message did."""
        app, webhooks = make_app(database, worker=False)
        async with app.router.lifespan_context(app):
            self.run.progress.step("fan-out, its endpoints", self.run.size.wide)
            await make_endpoints(webhooks, self.target.url, OTHERS)
            await self._widen(webhooks)
            with workers(database, 1) as worker:
                warm = WARM * OTHERS
                await send_all(webhooks, messages=warm, customers=OTHERS, callers=4)
                await recorded(webhooks, self.arrivals, expected=warm)
                before = await self._before(webhooks)
                return before, *await self._meanwhile(webhooks, worker)

    async def _widen(self, webhooks: Webhooks) -> None:
        """Give one customer very many endpoints."""
        numbers = iter(range(self.run.size.wide))

        async def make() -> None:
            for number in numbers:
                await webhooks.endpoints.create(customer(WIDE), url=f"{self.target.url}?{number}")
                self.run.progress.done(number)

        await asyncio.gather(*(make() for _ in range(MAKERS)))

    async def _before(self, webhooks: Webhooks) -> Measured:
        seconds = self.run.size.beside_seconds
        self.run.progress.step("fan-out, others before it", int(seconds * RATE))
        async with others(webhooks) as sent:
            await asyncio.sleep(seconds)
        await self._arrived(len(sent.returned))
        return Measured(sent=sent, took=seconds, cpu=0.0)

    async def _meanwhile(self, webhooks: Webhooks, worker: Workers) -> tuple[Measured, Measured]:
        wide, arrived = Sent(), self.arrivals.count()
        self.run.progress.step(f"fan-out, {self.run.size.wide:,} endpoints", self.run.size.wide)
        used, began = worker.cpu(), time.perf_counter()
        async with others(webhooks) as sent:
            await send_one(webhooks, WIDE, wide)
            await self._arrived(arrived + self.run.size.wide)
            took = time.perf_counter() - began
        used, memory = worker.cpu() - used, worker.memory()
        await recorded(webhooks, self.arrivals, expected=arrived + self.run.size.wide + len(sent.returned))
        return Measured(sent=sent, took=took, cpu=0.0), Measured(sent=wide, took=took, cpu=used, memory=memory)

    async def _arrived(self, expected: int) -> None:
        """Wait for so many arrivals in all, without a question to the database.

        Raises:
            BenchError: nothing has arrived for 30 seconds.
        """
        last, moved = -1, time.monotonic()
        while (now := self.arrivals.count()) < expected:
            self.run.progress.done(now)
            if now != last:
                last, moved = now, time.monotonic()
            if time.monotonic() - moved > STILL:
                raise BenchError(f"Deliveries have come to a halt: {now} of {expected} arrived.")
            await asyncio.sleep(0.02)


@asynccontextmanager
async def others(webhooks: Webhooks) -> AsyncIterator[Sent]:
    """Send to the other customers at a steady rate while the context lasts; its end waits for the last sends."""
    sent, ended = Sent(), asyncio.Event()

    async def send() -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as sends:
            for number in count():
                await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
                if ended.is_set():
                    return
                sends.create_task(send_one(webhooks, number % OTHERS, sent))

    sending = asyncio.create_task(send())
    try:
        yield sent
    finally:
        ended.set()
        await sending
