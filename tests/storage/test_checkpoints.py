"""The write-ahead log stays small: moved beside the commits, begun anew, cut when idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from anzol.clock import OwnedClock
from anzol.storage.sqlite.checkpoints import KEPT, STEP
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault
from tests.contract.conftest import KEY, Scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = OwnedClock()
    storage = SqliteStorage(tmp_path / "anzol.db", clock=clock, vault=Vault([KEY]))
    await storage.prepare(deployment="test")
    yield Scene(storage, clock)
    await storage.close()


def log_size(tmp_path: Path) -> int:
    log = tmp_path / "anzol.db-wal"
    return log.stat().st_size if log.exists() else 0


async def test_the_log_does_not_grow_with_what_is_sent(scene: Scene, tmp_path: Path) -> None:
    largest = 0
    for _ in range(120):
        await asyncio.gather(*(scene.accept(body=b"x" * 50_000) for _ in range(10)))
        largest = max(largest, log_size(tmp_path))

    sent = 120 * 10 * 50_000
    assert largest > KEPT
    assert largest < sent / 2
    assert (tmp_path / "anzol.db").stat().st_size > sent / 2


async def test_an_idle_log_is_cut_to_nothing(scene: Scene, tmp_path: Path) -> None:
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)
    await asyncio.gather(*(scene.accept(body=b"x" * 50_000) for _ in range(10)))
    before = log_size(tmp_path)

    with storage._writer.gate:
        storage.idle()

    assert 0 < before < KEPT + STEP
    assert log_size(tmp_path) == 0


async def test_a_long_look_at_the_database_stops_no_commit(scene: Scene, tmp_path: Path) -> None:
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)
    with storage._readers.borrow() as reader:
        reader.execute("begin")
        reader.execute("select count(*) from anzol_message").fetchone()
        for _ in range(40):
            await asyncio.gather(*(scene.accept(body=b"x" * 50_000) for _ in range(10)))
        seen = reader.execute("select count(*) from anzol_message").fetchone()
    during = log_size(tmp_path)
    for _ in range(40):
        await asyncio.gather(*(scene.accept(body=b"x" * 50_000) for _ in range(10)))

    assert seen == (0,)
    assert during > 40 * 10 * 50_000
    assert log_size(tmp_path) < during
