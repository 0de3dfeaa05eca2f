"""``send``: what ``await send`` adds to a request, beside the same request without it and a bare durable commit.

Run: ``.venv/bin/python -m benchmarks.send [--requests 1000] [--keep]``. The requests are made in this process, straight
to the application, a few milliseconds apart, those with and those without `send` in turn; one endpoint is delivered to
all the while by the in-process worker. Checked: every message that was answered for is in the database, once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from anzol import Settings, Webhooks
from anzol.bench.receivers import receiver
from benchmarks.common import cpu_seconds, quantile, write_result

PAUSE = 0.004  # seconds between requests


class Subscription(BaseModel):
    username: str
    monthly_fee: float
    notes: str


BODY = json.dumps({"username": "ada", "monthly_fee": 9.99, "notes": "y" * 900}).encode()


def make_app(path: Path) -> tuple[FastAPI, Webhooks]:
    app = FastAPI()
    webhooks = Webhooks(app, Settings(database_url=f"sqlite:///{path}", allow_networks="127.0.0.0/8"))

    @app.webhooks.post("new-subscription")
    def new_subscription(body: Subscription) -> None: ...

    @app.post("/without")
    async def without(subscription: Subscription) -> str:
        return subscription.username

    @app.post("/with")
    async def with_send(subscription: Subscription) -> str:
        return (await webhooks.to("customer").send(new_subscription, subscription)).id

    return app, webhooks


async def ask(app: FastAPI, path: str) -> tuple[float, bytes]:
    """Make one request, as a server would; return its seconds and the answer."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    answer = b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal answer
        answer += message.get("body", b"")

    before = time.perf_counter()
    await app(scope, receive, send)
    return time.perf_counter() - before, answer


def bare_commit(folder: Path) -> Callable[[], float]:
    """Return a function that times one durable commit of one such row by the bare driver."""
    connection = sqlite3.connect(folder / "limit.db", isolation_level=None, check_same_thread=False)
    connection.executescript("pragma journal_mode = wal; pragma synchronous = full; create table t (b blob)")

    def commit() -> float:
        before = time.perf_counter()
        connection.execute("insert into t values (?)", (BODY,))
        return time.perf_counter() - before

    return commit


async def measured(folder: Path, url: str, requests: int) -> dict[str, object]:
    """Alternate the three; return their quantiles in milliseconds."""
    app, webhooks = make_app(folder / "send.db")
    commit = bare_commit(folder)
    took: dict[str, list[float]] = {"without": [], "with": [], "commit": []}
    ids: list[str] = []
    async with app.router.lifespan_context(app):
        await webhooks.endpoints.create("customer", url=url)
        for number in range(requests + 100):
            if number == 100:  # the first hundred warm up
                took = {name: [] for name in took}
            for path in ("without", "with"):
                seconds, answer = await ask(app, f"/{path}")
                took[path].append(seconds)
                if path == "with":
                    ids.append(json.loads(answer))
                await asyncio.sleep(PAUSE)
            took["commit"].append(await asyncio.to_thread(commit))
    kept = sqlite3.connect(folder / "send.db").execute("select count(*) from anzol_message").fetchone()[0]
    return {
        "workload": "send",
        "requests": requests,
        **{
            f"{name}_{label}_ms": round(quantile(times, share) * 1e3, 3)
            for name, times in took.items()
            for label, share in (("p50", 0.5), ("p99", 0.99))
        },
        "added_p50_ms": round((quantile(took["with"], 0.5) - quantile(took["without"], 0.5)) * 1e3, 3),
        "added_p99_ms": round((quantile(took["with"], 0.99) - quantile(took["without"], 0.99)) * 1e3, 3),
        "answered": len(set(ids)),
        "stored": kept,
    }


def prepared(folder: Path, *, rounds: int = 20_000) -> dict[str, object]:
    """Return the processor time of everything before storage: who, what, validated, encoded, a message made."""
    _, webhooks = make_app(folder / "prepared.db")
    body = Subscription.model_validate_json(BODY)
    function = webhooks.catalog.find("new-subscription").function
    before = cpu_seconds()
    for _ in range(rounds):
        recipient = webhooks.to("customer")
        recipient._message(function, (body,), {})
    return {"workload": "send-prepared", "cpu_us": round((cpu_seconds() - before) / rounds * 1e6, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--keep", action="store_true", help="write the result into benchmarks/results")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name, receiver() as target:
        rows = [prepared(Path(name)), asyncio.run(measured(Path(name), target.url, options.requests))]
    if options.keep:
        write_result("send", rows)
    else:
        for row in rows:
            print(json.dumps(row))


if __name__ == "__main__":
    main()
