"""Several processes on one file, forks, and a `kill -9` in the middle."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from anzol import ids
from anzol.clock import SystemClock
from anzol.storage.face import NewEndpoint, NewMessage, Order
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault
from tests.contract.conftest import ENVIRONMENT, KEY, TERM

ROOT = Path(__file__).resolve().parents[2]

SENDER = """
import asyncio, sys
from anzol import ids
from anzol.clock import SystemClock
from anzol.storage.face import NewMessage
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault

path, key, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
clock = SystemClock()
storage = SqliteStorage(path, clock=clock, vault=Vault([key]), patience=60)
numbers = iter(range(count))

async def caller():
    for number in numbers:
        now = clock.micros()
        message = NewMessage(id=ids.new(now), environment="production", customer=f"c{number % 5}", event_type="a",
                             method="POST", content_type="application/json", body=b"{}", created_at=now)
        accepted = await storage.accept(message)
        print(accepted.id.hex(), flush=True)

async def main():
    await asyncio.gather(*(caller() for _ in range(16)))
    await storage.close()

asyncio.run(main())
"""


def message(customer: str = "acme") -> NewMessage:
    now = SystemClock().micros()
    return NewMessage(
        id=ids.new(now),
        environment=ENVIRONMENT,
        customer=customer,
        event_type="a",
        method="POST",
        content_type="application/json",
        body=b"{}",
        created_at=now,
    )


def storage_at(path: Path) -> SqliteStorage:
    return SqliteStorage(path, clock=SystemClock(), vault=Vault([KEY]), patience=60)


def sender(path: Path, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SENDER, str(path), KEY, str(count)], stdout=subprocess.PIPE, cwd=ROOT
    )


def stored(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    found = {row[0].lower() for row in connection.execute("select hex(id) from anzol_message")}
    connection.close()
    return found


async def test_processes_that_send_and_deliver_at_once_lose_and_repeat_nothing(tmp_path: Path) -> None:
    path = tmp_path / "anzol.db"
    storage = storage_at(path)
    await storage.prepare(deployment="test")
    for number in range(5):
        endpoint = NewEndpoint(customer=f"c{number}", url="https://c.example/", secret="whsec_x")
        await storage.create_endpoint(ENVIRONMENT, endpoint)
    senders = [sender(path, 150) for _ in range(3)]
    me = await storage.enlist(host="h", pid=1, version="1", term=TERM)

    lanes: set[bytes] = set()
    claims: list[int] = []
    for _ in range(20_000):
        rooms = dict.fromkeys(lanes, 1000)
        order = Order(take=9, fan_out=50, rooms=rooms, look=tuple(lanes), idle_lanes=True, new_room=1000)
        found = await storage.dispatch(me, order)
        lanes |= {profile.endpoint_id for profile in found.profiles}
        claims += [claim.id for claim in found.claims]
        if len(claims) >= 450:
            break
    outputs = [await asyncio.to_thread(process.communicate) for process in senders]

    acknowledged = {line.decode() for output, _ in outputs for line in output.split()}
    assert [process.returncode for process in senders] == [0, 0, 0]
    assert len(acknowledged) == len(claims) == len(set(claims)) == 450
    assert stored(path) == acknowledged
    assert await storage.broken() == ()
    await storage.close()


async def test_what_was_acknowledged_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    path = tmp_path / "anzol.db"
    storage = storage_at(path)
    await storage.prepare(deployment="test")
    await storage.close()

    for count in (40, 200, 90):
        process = sender(path, 1_000_000)
        assert process.stdout is not None
        seen = [await asyncio.to_thread(process.stdout.readline) for _ in range(count)]
        process.send_signal(signal.SIGKILL)
        rest, _ = await asyncio.to_thread(process.communicate)

        lines = [*seen, *rest.splitlines(keepends=True)]
        acknowledged = {line.strip().decode() for line in lines if line.endswith(b"\n")}
        assert len(acknowledged) >= count
        assert acknowledged <= stored(path)

    after = storage_at(path)
    await after.accept(message())
    assert await after.broken() == ()
    connection = sqlite3.connect(path)
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    waiting = connection.execute("select count(*) from anzol_accepted").fetchone()[0]
    assert waiting == len(stored(path))
    connection.close()
    await after.close()


def in_child(act: object) -> int:
    """Run *act* in a forked child; return its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads: just what is tested
        child = os.fork()
    if child == 0:
        code = 1
        try:
            act()  # type: ignore[operator]  # a function
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
async def test_a_storage_goes_on_in_the_parent_and_in_the_children(tmp_path: Path) -> None:
    path = tmp_path / "anzol.db"
    storage = storage_at(path)
    await storage.prepare(deployment="test")
    storage.accept_sync(message("before"))
    await storage.status(ENVIRONMENT)

    def child() -> None:
        assert storage._connection is None
        for _ in range(10):
            storage.accept_sync(message("child"))
        asyncio.run(storage.status(ENVIRONMENT))

    codes = [await asyncio.to_thread(in_child, child) for _ in range(3)]
    storage.accept_sync(message("after"))

    assert codes == [0, 0, 0]
    assert len(stored(path)) == 32
    assert await storage.broken() == ()
    await storage.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
async def test_a_fork_in_the_middle_of_sending_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "anzol.db"
    storage = storage_at(path)
    await storage.prepare(deployment="test")
    stop = threading.Event()
    sent: list[str] = []

    def send() -> None:
        while not stop.is_set():
            sent.append(storage.accept_sync(message("parent")).id.hex())

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    codes = [await asyncio.to_thread(in_child, lambda: storage.accept_sync(message("child"))) for _ in range(10)]
    stop.set()
    for thread in threads:
        await asyncio.to_thread(thread.join)

    assert codes == [0] * 10
    assert len(stored(path)) == len(set(sent)) + 10
    assert set(sent) <= stored(path)
    await storage.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
async def test_a_storage_made_before_the_fork_and_used_only_after_it(tmp_path: Path) -> None:
    path = tmp_path / "anzol.db"
    storage = storage_at(path)

    def child() -> None:
        asyncio.run(storage.prepare(deployment="test"))
        storage.accept_sync(message())

    codes = [await asyncio.to_thread(in_child, child) for _ in range(2)]

    assert codes == [0, 0]
    assert len(stored(path)) == 2
