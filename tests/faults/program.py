"""A process that is killed: it sends without pause, or delivers, or both.

A sender prints the id of every message whose ``send`` has returned, a line each, in one write. Every second message has
a key; when that send raises, it is sent again with the key until it is acknowledged: it must stay one message.

Many of them are forked from one that has imported everything: a start takes some ten milliseconds, and not seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Final
from unittest import mock

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel

from anzol import Settings, Webhooks
from anzol.app import delivering
from anzol.errors import StorageError
from anzol.rules import DeliveryRules
from anzol.storage.postgres import engine, settling
from anzol.storage.sqlite.engine import SqliteStorage

CUSTOMERS: Final = 25  # so many that no worker has all lanes
CALLERS: Final = 16
ENGINES: Final = (asyncpg, engine.PostgresStorage, SqliteStorage)  # imported before anybody is forked
KEY: Final = "k" * 43
TERM: Final = timedelta(seconds=3)  # a worker's lease in these runs
REST: Final = 0.05  # seconds that a caller waits at most before its next message, where workers are killed too


class Tick(BaseModel):
    number: int
    filling: str = "x" * 300


def make(database: str, *, worker: bool = False) -> tuple[FastAPI, Webhooks]:
    """Build the app over the database at a URL; it may deliver to loopback."""
    app = FastAPI()
    settings = Settings(database_url=database, secret_key=KEY, worker=worker, allow_networks=["127.0.0.0/8"])
    webhooks = Webhooks(app, settings)

    @app.webhooks.post("tick")
    def tick(body: Tick) -> None: ...

    return app, webhooks


async def send_without_pause(webhooks: Webhooks, rest: float) -> None:
    """Send from several callers, each telling of its message only when it is acknowledged."""
    first = random.getrandbits(48) * CALLERS

    async def caller(number: int) -> None:
        while True:
            message_id = await acknowledged(webhooks, number)
            if message_id is not None:
                os.write(1, f"{message_id}\n".encode())
            number += CALLERS
            await asyncio.sleep(random.random() * rest)

    await asyncio.gather(*(caller(first + place) for place in range(CALLERS)))


async def acknowledged(webhooks: Webhooks, number: int) -> str | None:
    """Send one message; return its id, or None if nobody knows whether it was stored."""
    key = f"number-{number}" if number // CALLERS % 2 else None
    while True:
        try:
            customer = webhooks.to(f"customer-{number % CUSTOMERS}", key=key)
            return (await customer.send("tick", Tick(number=number))).id
        except StorageError:
            if key is None:
                return None
            await asyncio.sleep(0.1)


def hasten() -> None:
    """Have short leases."""
    usual = delivering.rules_of

    def hastened(settings: Settings) -> DeliveryRules:
        return replace(usual(settings), term=TERM)

    mock.patch.object(delivering, "rules_of", hastened).start()


def live_elsewhere() -> None:
    """Be as on another machine: of who dies there nobody here knows, and its lease has to end."""
    mock.patch.object(settling, "this_process", str).start()


async def main(database: str, *words: str) -> None:
    hasten()
    if "elsewhere" in words:
        live_elsewhere()
    app, webhooks = make(database, worker="deliver" in words)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(app.router.lifespan_context(app))
        except StorageError as error:
            sys.exit(f"not started: {error}")
        os.write(1, b"ready\n")
        if "send" in words:
            await send_without_pause(webhooks, 0 if "deliver" in words else REST)
        await asyncio.Event().wait()


def fork_for(line: socket.socket) -> None:
    """Fork one process for each request: a database and words, and what is to be its stdout and stderr."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    while True:
        asked, files, _, _ = socket.recv_fds(line, 1 << 16, 2)
        if not asked:
            return
        child = os.fork()
        if child == 0:
            line.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for place, file in enumerate(files, start=1):
                os.dup2(file, place)
                os.close(file)
            asyncio.run(main(*json.loads(asked)))
        for file in files:
            os.close(file)
        line.sendall(f"{child}\n".encode())


if __name__ == "__main__":
    fork_for(socket.socket(fileno=int(sys.argv[1])))
