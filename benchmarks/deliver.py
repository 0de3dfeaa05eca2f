"""``deliver``: 64 callers ``await send`` until every attempt is recorded, to 1 and to 1,000 endpoints.

With the worker in the callers' process, and with it in a process of its own.

Run: ``.venv/bin/python -m benchmarks.deliver [--messages 30000]``. Everything is on: durable commits, signing, the
address guard, validation, attempts and history, the wide log event (formatted to nowhere).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel

from anzol import Settings, Webhooks
from benchmarks.common import (
    Receiver,
    cpu_seconds,
    inserts_limit,
    receiver,
    requests_limit,
    write_result,
)


class Subscription(BaseModel):
    username: str
    monthly_fee: float
    start_date: datetime
    note: str = ""


def make_app(database: Path, *, worker: bool = True) -> tuple[FastAPI, Webhooks]:
    """Build the documentation's app over a fresh database; it may deliver to loopback."""
    app = FastAPI()
    settings = Settings(
        database_url=f"sqlite:///{database}", allow_networks=["127.0.0.0/8"], secret_key="k" * 32, worker=worker
    )
    webhooks = Webhooks(app, settings)

    @app.webhooks.post("new-subscription")
    def new_subscription(body: Subscription) -> None: ...

    return app, webhooks


def subscription(note_size: int = 880) -> Subscription:
    return Subscription(username="rick", monthly_fee=9.9, start_date=datetime.now(UTC), note="y" * note_size)


async def wait_until_recorded(webhooks: Webhooks, *, seconds: float) -> None:
    """Wait until nothing is accepted or pending any more."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = await webhooks.status()
        if not status.accepted_waiting and not status.pending:
            return
        await asyncio.sleep(0.02)
    raise SystemExit(f"still waiting after {seconds} s: {await webhooks.status()}")


async def deliver(
    target: Receiver, folder: Path, *, messages: int, endpoints: int, callers: int, processes: int
) -> dict[str, object]:
    """Send *messages* round robin to as many customers as there are endpoints."""
    database = folder / f"deliver-{endpoints}-{processes}.db"
    app, webhooks = make_app(database, worker=processes == 1)
    async with app.router.lifespan_context(app), separate_worker(database, processes) as worker:
        for number in range(endpoints):
            await webhooks.endpoints.create(f"customer-{number}", url=target.url())
        await send_all(webhooks, messages=max(500, endpoints), customers=endpoints, callers=callers)
        await wait_until_recorded(webhooks, seconds=60)
        cpu, started = cpu_seconds(worker), time.perf_counter()
        accepted = await send_all(webhooks, messages=messages, customers=endpoints, callers=callers)
        accepting = time.perf_counter() - started
        await wait_until_recorded(webhooks, seconds=300)
        took, cpu = time.perf_counter() - started, cpu_seconds(worker) - cpu
    seen = target.wait_until_written(accepted)
    arrivals = [len(seen.get(message_id, ())) for message_id in accepted]
    return {
        "workload": "deliver",
        "endpoints": endpoints,
        "processes": processes,
        "rate": round(messages / took),
        "accept_rate": round(messages / accepting),
        "cpu_us": round(cpu / messages * 1e6),
        "accepted": len(accepted),
        "lost": arrivals.count(0),
        "duplicates": sum(count - 1 for count in arrivals if count > 1),
    }


@contextlib.asynccontextmanager
async def separate_worker(database: Path, processes: int) -> AsyncIterator[int | None]:
    """Run the worker in a process of its own, if there are to be two; give its number."""
    if processes == 1:
        yield None
        return
    program = f"import asyncio; from benchmarks.deliver import work; asyncio.run(work({str(database)!r}))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def work(database: str) -> None:
    """Deliver until terminated."""
    _, webhooks = make_app(Path(database))
    async with webhooks.running():
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()


async def send_all(webhooks: Webhooks, *, messages: int, customers: int, callers: int) -> list[str]:
    """Send from *callers* tasks, each waiting for its send before the next; return the ids."""
    numbers = iter(range(messages))
    accepted: list[str] = []
    body = subscription()

    async def caller() -> None:
        for number in numbers:
            message = await webhooks.to(f"customer-{number % customers}").send("new-subscription", body)
            accepted.append(message.id)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return accepted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--endpoints", type=int, nargs="*", default=[1, 1000])
    parser.add_argument("--processes", type=int, nargs="*", choices=[1, 2], default=[1, 2])
    parser.add_argument("--keep", action="store_true", help="write the result to benchmarks/results")
    options = parser.parse_args()
    logging.getLogger("anzol").addHandler(logging.NullHandler())
    rows: list[dict[str, object]] = []
    with receiver() as target, tempfile.TemporaryDirectory() as name:
        limits = {"wrk_limit": round(requests_limit(target) or 0), "insert_limit": round(inserts_limit(Path(name)))}
        for processes, endpoints in itertools.product(options.processes, options.endpoints):
            run = deliver(
                target,
                Path(name),
                messages=options.messages,
                endpoints=endpoints,
                callers=options.callers,
                processes=processes,
            )
            rows.append({**asyncio.run(run), **limits})
    if options.keep:
        write_result("deliver", rows)
    else:
        print(*rows, sep="\n")


if __name__ == "__main__":
    main()
