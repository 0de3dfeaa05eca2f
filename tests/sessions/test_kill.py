"""A relaying process is killed, again and again: each message is stored once, and none is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from anzol.relay import Relay
from anzol.storage.face import NewMessage, Selection
from anzol.storage.foreign import ForeignOutbox
from anzol.storage.opening import open_storage
from anzol.storage.sqlite.engine import SqliteStorage
from tests.sessions import hosts

ROUNDS, BATCH = 4, 1_500


def stored(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("select count(*) from anzol_message").fetchone()
        return int(count)


def relay_and_kill(anzol: Path, enough: int) -> None:
    """Start a relaying process; kill it as soon as *enough* messages are stored."""
    program = [sys.executable, str(Path(__file__).with_name("relaying.py")), str(anzol)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    until = time.monotonic() + 60
    while stored(anzol) < enough and time.monotonic() < until:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


async def test_a_relay_killed_in_the_middle_loses_and_doubles_nothing(
    path: Path, tmp_path: Path, message: Callable[..., NewMessage]
) -> None:
    anzol = tmp_path / "anzol.db"
    storage = open_storage(f"sqlite:///{anzol}")
    await storage.prepare(deployment="default")

    async def opened() -> SqliteStorage:
        return storage

    foreign = ForeignOutbox(opened, lambda: storage)
    sent = []
    for round_ in range(ROUNDS):
        with closing(sqlite3.connect(path)) as connection:
            for _ in range(BATCH):
                foreign.write(connection, new := message())
                sent.append(new.id)
            connection.commit()
        foreign.close()
        await asyncio.to_thread(relay_and_kill, anzol, round_ * BATCH + BATCH // 3)
    left = len(hosts.outbox(path))
    await Relay(storage, foreign).drain()

    found = await all_ids(storage)
    await storage.close()
    assert left > 0
    assert sorted(found) == sorted(sent)
    assert hosts.outbox(path) == []


async def all_ids(storage: SqliteStorage) -> list[bytes]:
    from anzol import ids

    found: list[bytes] = []
    after = None
    while True:
        page = await storage.messages("default", Selection(), after=after, limit=250)
        found += [ids.read(ids.MESSAGE, message.id) for message in page.items]
        if page.next is None:
            return found
        after = page.next
