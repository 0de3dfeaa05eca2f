"""A worker whose process has ended is cleared away at once, without waiting for its lease."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from anzol.clock import SystemClock
from anzol.storage.processes import PROC, describe, gone, kernel, this_process
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault
from tests.contract.conftest import KEY

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="needs /proc to tell one process from another")

ENLIST = """
import asyncio, os, sys
from datetime import timedelta
from anzol.clock import SystemClock
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault

storage = SqliteStorage(sys.argv[1], clock=SystemClock(), vault=Vault([sys.argv[2]]))
asyncio.run(storage.enlist(host="here", pid=os.getpid(), version="1", term=timedelta(hours=1)))
print("enlisted", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_this_process_is_not_gone() -> None:
    assert not gone(this_process())


def test_a_living_process_is_not_gone(sleeper: subprocess.Popen[bytes]) -> None:
    assert not gone(describe(sleeper.pid))


def test_a_killed_process_is_gone_though_nobody_has_asked_for_its_end(sleeper: subprocess.Popen[bytes]) -> None:
    named = describe(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # ended, and still a zombie

    assert gone(named)


def test_a_process_that_got_the_number_of_an_earlier_one_does_not_stand_for_it(
    sleeper: subprocess.Popen[bytes],
) -> None:
    where, number, birth = describe(sleeper.pid).rsplit(" ", 2)

    assert gone(f"{where} {number} {int(birth) - 1}")


@pytest.mark.parametrize("elsewhere", ["", "another-boot pid:[1] 1 1", f"{kernel()}0 1 1"])
def test_of_a_process_elsewhere_nothing_is_known(elsewhere: str) -> None:
    assert not gone(elsewhere)


async def test_a_killed_worker_is_reaped_before_its_lease_ends_and_a_living_one_is_not(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "anzol.db", clock=SystemClock(), vault=Vault([KEY]))
    await storage.prepare(deployment="test")
    living = await storage.enlist(host="here", pid=os.getpid(), version="1", term=timedelta(hours=1))
    command = [sys.executable, "-c", ENLIST, str(tmp_path / "anzol.db"), KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"enlisted\n"
        process.kill()
        process.wait(10)

    reaped = await storage.reap(most_interruptions=3)

    assert reaped.workers == 1
    assert await storage.beat(living, timedelta(hours=1))
    await storage.close()
