"""A host that keeps its own tables in Anzol's file: not advised, for its transactions hold up deliveries; but right."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from anzol.relay import Relay
from anzol.storage.face import NewMessage, Selection
from anzol.storage.foreign import ForeignOutbox
from anzol.storage.opening import open_storage
from anzol.storage.outboxrows import create_outbox_table
from anzol.storage.sqlite.engine import SqliteStorage


async def test_the_hosts_outbox_may_lie_in_anzols_own_file(tmp_path: Path, message: Callable[..., NewMessage]) -> None:
    url = f"sqlite:///{tmp_path}/all.db"
    made = await asyncio.to_thread(create_outbox_table, url)
    storage = open_storage(url)
    await storage.prepare(deployment="default")

    async def opened() -> SqliteStorage:
        return storage

    foreign = ForeignOutbox(opened, lambda: storage)
    with closing(sqlite3.connect(tmp_path / "all.db")) as connection:
        foreign.write(connection, message(b"1"))
        connection.rollback()
        foreign.write(connection, message(b"2"))
        connection.commit()
    await asyncio.to_thread(foreign.close)
    moved = await Relay(storage, foreign).drain()
    page = await storage.messages("default", Selection())
    sources = await storage.outbox_sources()
    await storage.close()

    assert made
    assert moved == 1
    assert len(page.items) == 1
    assert list(sources) == [url]
