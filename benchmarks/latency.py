"""``latency``: 200 sends a second; from ``send`` returned to the receiver's log, and what a send costs its caller.

Run: ``.venv/bin/python -m benchmarks.latency [--seconds 60]``. The receiver writes whole milliseconds, on the same
machine's clock, so a figure is exact to 1 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
import time
from pathlib import Path

from benchmarks.common import Receiver, cpu_seconds, quantile, receiver, write_result
from benchmarks.deliver import make_app, subscription, wait_until_recorded


async def paced(target: Receiver, folder: Path, *, rate: float, seconds: float) -> dict[str, object]:
    """Send at a steady rate to one endpoint."""
    app, webhooks = make_app(folder / "latency.db")
    returned: dict[str, float] = {}
    waits: list[float] = []

    async def one() -> None:
        before = time.perf_counter()
        message = await webhooks.to("customer").send("new-subscription", subscription())
        waits.append(time.perf_counter() - before)
        returned[message.id] = time.time()

    async with app.router.lifespan_context(app):
        await webhooks.endpoints.create("customer", url=target.url())
        for _ in range(50):
            await one()
        await wait_until_recorded(webhooks, seconds=30)
        returned.clear()
        waits.clear()
        cpu, started = cpu_seconds(), time.perf_counter()
        sends: set[asyncio.Task[None]] = set()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            sends.add(asyncio.create_task(one()))
        await asyncio.gather(*sends)
        await wait_until_recorded(webhooks, seconds=60)
        cpu = cpu_seconds() - cpu
    seen = target.wait_until_written(returned)
    # The log has whole milliseconds, rounded down: half of one is added to be fair to nobody.
    delays = [max(0.0, seen[i][0] + 0.0005 - at) for i, at in returned.items() if i in seen]
    return {
        "workload": "latency",
        "rate": rate,
        "p50_ms": round(quantile(delays, 0.5) * 1e3, 2),
        "p99_ms": round(quantile(delays, 0.99) * 1e3, 2),
        "send_p50_ms": round(quantile(waits, 0.5) * 1e3, 2),
        "send_p99_ms": round(quantile(waits, 0.99) * 1e3, 2),
        "cpu_us": round(cpu / len(returned) * 1e6),
        "accepted": len(returned),
        "lost": sum(1 for i in returned if i not in seen),
        "duplicates": sum(len(seen.get(i, ())) - 1 for i in returned if len(seen.get(i, ())) > 1),
    }


def commit_limit(folder: Path, *, commits: int = 200) -> dict[str, object]:
    """Return how long one durable commit of one row takes the bare driver."""
    import sqlite3

    connection = sqlite3.connect(folder / "commit.db", isolation_level=None)
    connection.executescript("pragma journal_mode = wal; pragma synchronous = full; create table t (b blob)")
    took = []
    for _ in range(commits):
        before = time.perf_counter()
        connection.execute("insert into t values (zeroblob(1000))")
        took.append(time.perf_counter() - before)
        time.sleep(0.004)
    connection.close()
    return {
        "commit_p50_ms": round(quantile(took, 0.5) * 1e3, 2),
        "commit_p99_ms": round(quantile(took, 0.99) * 1e3, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keep", action="store_true", help="write the result to benchmarks/results")
    options = parser.parse_args()
    logging.getLogger("anzol").addHandler(logging.NullHandler())
    with receiver() as target, tempfile.TemporaryDirectory() as name:
        limit = commit_limit(Path(name))
        rows = [{**asyncio.run(paced(target, Path(name), rate=options.rate, seconds=options.seconds)), **limit}]
    if options.keep:
        write_result("latency", rows)
    else:
        print(*rows, sep="\n")


if __name__ == "__main__":
    main()
