"""The workloads: each does its work over a fresh database, measures it, and verifies that nothing was lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from anzol.bench.application import Sent, make_app, make_endpoints, recorded, send_all, send_one
from anzol.bench.figures import Figures
from anzol.bench.ingest import ingest
from anzol.bench.posting import post_delays
from anzol.bench.receivers import OWN, Arrivals, Receiver, receiver
from anzol.bench.rounds import Measured, Round, Variant, figures, on_loop, verified
from anzol.bench.sites import Database
from anzol.bench.wide import fan_out
from anzol.bench.working import cpu, workers

WARM: Final = 500  # messages that go before, so that connections are open and code is warm
POSTED: Final = 2.0  # seconds for which a bare client posts


# --- deliver


def deliver(run: Round) -> Iterator[Figures]:
    """64 callers `await send`, fan-out 1, to 1 and to 1,000 endpoints; until every attempt is recorded."""
    for processes in run.size.processes:
        for endpoints in run.size.endpoints:
            beside = "" if processes == 1 else f", {processes} processes"
            yield deliver_variant(run, Variant("deliver", f"{to(endpoints)}{beside}", endpoints, processes))


def deliver_variant(run: Round, variant: Variant) -> Figures:
    """Measure and verify one number of endpoints and of processes."""
    run.progress.step(f"deliver, {variant.name}", run.size.messages)
    with run.site.fresh() as database:
        arrivals = run.receiver.arrivals()
        measured = on_loop(delivering(run, database, arrivals, variant))
        return figures(run, variant, measured, verified(measured, arrivals, database), target=run.receiver)


async def delivering(run: Round, database: Database, arrivals: Arrivals, variant: Variant) -> Measured:
    """Send, and wait until every attempt is recorded; the worker in this process, or in others beside it."""
    messages, warm, customers = run.size.messages, max(WARM, variant.endpoints), variant.endpoints
    app, webhooks = make_app(database, worker=variant.processes == 1)
    async with app.router.lifespan_context(app):
        with workers(database, variant.processes - 1) as beside:
            await make_endpoints(webhooks, run.receiver.url, customers)
            await send_all(webhooks, messages=warm, customers=customers, callers=run.size.callers)
            await recorded(webhooks, arrivals, expected=warm)
            used, began = cpu() + beside.cpu(), time.perf_counter()
            sent = await send_all(
                webhooks, messages=messages, customers=customers, callers=run.size.callers, told=run.progress.done
            )
            accepting = time.perf_counter() - began
            await recorded(webhooks, arrivals, expected=warm + messages)
            took = time.perf_counter() - began
            used = cpu() + beside.cpu() - used
    return Measured(sent=sent, took=took, cpu=used, accepting=accepting)


# --- latency


def latency(run: Round) -> Iterator[Figures]:
    """Send at a steady rate to one endpoint: from `send` returned to the first byte at the receiver."""
    rate, seconds = run.size.paced_rate, run.size.paced_seconds
    run.progress.step(f"latency, {rate:.0f}/s", int(rate * seconds))
    with run.site.fresh() as database, receiver(OWN) as target:  # ours tells microseconds
        arrivals = target.arrivals()
        measured = on_loop(pacing(run, database, target, arrivals))
        seen = verified(measured, arrivals, database)
        times = arrivals.times()
        delays = [max(0.0, times[i] - at) for i, at in measured.sent.returned.items() if i in times]
        posted = on_loop(post_delays(target, rate=rate, seconds=min(POSTED, seconds)))
        variant = Variant("latency", f"{rate:.0f}/s", 1, 1)
        yield figures(run, variant, measured, seen, target=target, delays=delays, posted=posted)


async def pacing(run: Round, database: Database, target: Receiver, arrivals: Arrivals) -> Measured:
    """Send at the steady rate, each when its time has come, however long those before it take."""
    rate, count = run.size.paced_rate, int(run.size.paced_rate * run.size.paced_seconds)
    warm = min(WARM, count)
    app, webhooks = make_app(database, worker=True)
    async with app.router.lifespan_context(app):
        await make_endpoints(webhooks, target.url, 1)
        await send_all(webhooks, messages=warm, customers=1, callers=4)
        await recorded(webhooks, arrivals, expected=warm)
        sent = Sent()
        used, began = cpu(), time.perf_counter()
        async with asyncio.TaskGroup() as sends:
            for number in range(count):
                await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
                sends.create_task(send_one(webhooks, 0, sent))
                run.progress.done(number)
        await recorded(webhooks, arrivals, expected=warm + count)
        took, used = time.perf_counter() - began, cpu() - used
    return Measured(sent=sent, took=took, cpu=used)


# --- drain


def drain(run: Round) -> Iterator[Figures]:
    """A backlog that gathered while no worker ran, over 1,000 endpoints; then workers in processes of their own."""
    size = run.size
    processes = max(1, max(size.processes) - 1)
    name = f"{size.backlog:,} over {to(size.backlog_endpoints)}"
    run.progress.step(f"drain, {name}", 2 * size.backlog)
    with run.site.fresh() as database:
        arrivals = run.receiver.arrivals()
        measured = on_loop(draining(run, database, arrivals, processes=processes))
        variant = Variant("drain", name, size.backlog_endpoints, processes)
        yield figures(run, variant, measured, verified(measured, arrivals, database), target=run.receiver)


async def draining(run: Round, database: Database, arrivals: Arrivals, *, processes: int) -> Measured:
    """Send everything, then let workers begin; their processor time and memory are counted, the sender's not."""
    backlog, customers, done = run.size.backlog, run.size.backlog_endpoints, run.progress.done
    app, webhooks = make_app(database, worker=False)
    async with app.router.lifespan_context(app):
        await make_endpoints(webhooks, run.receiver.url, customers)
        sent = await send_all(webhooks, messages=backlog, customers=customers, callers=run.size.callers, told=done)
        with workers(database, processes) as beside:
            used, began = beside.cpu(), time.perf_counter()
            await recorded(webhooks, arrivals, expected=backlog, told=lambda arrived: done(backlog + arrived))
            took = time.perf_counter() - began
            used, memory = beside.cpu() - used, beside.memory()
    return Measured(sent=sent, took=took, cpu=used, memory=memory)


def to(endpoints: int) -> str:
    """Write ``1 endpoint`` or ``1,000 endpoints``."""
    return f"{endpoints:,} endpoint{'' if endpoints == 1 else 's'}"


WORKLOADS: Final[Mapping[str, Callable[[Round], Iterator[Figures]]]] = {
    "deliver": deliver,
    "latency": latency,
    "drain": drain,
    "fan-out": fan_out,
    "ingest": ingest,
}
