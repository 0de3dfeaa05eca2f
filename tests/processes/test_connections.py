"""Whose connections they are: forks, threads, one event loop after another, and processes that end without a farewell.

All of it on PostgreSQL, where the server says how many connections there are.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from anzol import ids
from tests.postgres import Server, name_of
from tests.processes.conftest import PATIENCE, World, until

SHOP = """
import asyncio, os, sys, threading, time, warnings
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from anzol import Webhooks

warnings.simplefilter("ignore", DeprecationWarning)  # forks of a process that has threads: just what is tested
app = FastAPI()
webhooks = Webhooks(app)


class Tick(BaseModel):
    number: int


@app.webhooks.post("tick")
def tick(body: Tick) -> None: ...


@app.post("/ticks/{number}")
async def post(number: int) -> str:
    return (await webhooks.to("acme").send(tick, Tick(number=number))).id


def say(what: str) -> None:
    os.write(1, f"{what}\\n".encode())  # not `print`, whose lock a fork may find taken


def send(number: int = 0) -> None:
    say(webhooks.to("acme").send_sync(tick, Tick(number=number)).id)


async def send_async(number: int = 0) -> None:
    say((await webhooks.to("acme").send(tick, Tick(number=number))).id)


def told() -> None:
    # Says that it is done so far, and waits for the word to go on.
    say("so far")
    sys.stdin.readline()


"""
# What a program does, and how many messages it sends.
PROGRAMS: dict[str, tuple[int, str]] = {
    "sends and ends": (1, "send()"),
    "sends on a loop and ends": (1, "asyncio.run(send_async())"),
    "ends by an exception": (1, "send(); sys.exit('as it should')"),
    "ends in the middle of a loop": (
        1,
        """
async def main():
    await send_async()
    sys.exit()

asyncio.run(main())
""",
    ),
    "ends while its worker works": (
        1,
        """
async def main():
    async with webhooks.running():
        await send_async()
        sys.exit()

asyncio.run(main())
""",
    ),
    "ends with a worker in a thread that nobody stops": (
        1,
        """
from anzol.app.lifespan import make_worker

send()
worker = make_worker(webhooks.core, webhooks._handlers)
worker.start()
time.sleep(1)
""",
    ),
    "ends with threads that sent": (
        8,
        """
threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
""",
    ),
    "forks after a send, and both end": (
        3,
        """
send()
child = os.fork()
send()
if child:
    assert os.waitpid(child, 0)[1] == 0
""",
    ),
    "forks on a loop": (
        3,
        """
async def main():
    await send_async()
    child = os.fork()
    if child == 0:
        asyncio.events._set_running_loop(None)
        asyncio.run(send_async())
        os._exit(0)
    await send_async()
    assert os.waitpid(child, 0)[1] == 0

asyncio.run(main())
""",
    ),
    "forks, and its child does": (
        5,
        """
send()
child = os.fork()
send()
if child == 0:
    child = os.fork()
    send()
if child:
    assert os.waitpid(child, 0)[1] == 0
""",
    ),
    "forks while threads send": (
        86,
        """
send()  # a fork while a thread imports leaves Python's import locks taken in the child
threads = [threading.Thread(target=lambda: [send() for _ in range(20)]) for _ in range(4)]
for one in threads:
    one.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        send()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
for one in threads:
    one.join()
""",
    ),
    "has a pool of forks": (
        14,
        """
import multiprocessing

send()
with multiprocessing.get_context("fork").Pool(3) as pool:
    pool.map(send, range(12))
send()
""",
    ),
}
pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def shop(world: World, text: str, **changes: str) -> subprocess.Popen[str]:
    """Start a program of the shop's."""
    environment = world.environment(PYTHONWARNINGS="error", **changes)
    return subprocess.Popen(
        [sys.executable, "-c", SHOP + text],
        cwd=world.folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(slots=True)
class Books:
    """What the server knows of a database."""

    server: Server
    database: str

    def connections(self) -> set[int]:
        """Return the numbers of Anzol's connections."""
        asked = "select pid from pg_stat_activity where application_name = 'anzol' and datname = %s"
        return {pid for (pid,) in self.server.execute(asked, name_of(self.database))}

    def stored(self) -> set[str]:
        """Return the ids of all messages."""
        rows = self.server.execute("select id from anzol.message", database=self.database)
        return {ids.show(ids.MESSAGE, raw.bytes) for (raw,) in rows}


@pytest.fixture
def books(postgres: Server, database: str) -> Books:
    return Books(postgres, database)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends_without_a_word_and_what_it_sent_is_stored(world: World, books: Books, name: str) -> None:
    count, text = PROGRAMS[name]
    with shop(world, text) as program:
        output, errors = ended(program)

    sent = set(output.split())
    assert errors == ("as it should\n" if name == "ends by an exception" else "")
    assert program.returncode == (1 if errors else 0)
    assert len(sent) == count
    assert books.stored() == sent
    until(lambda: not books.connections(), "the server has noticed")


def test_a_child_neither_uses_nor_closes_its_parents_connections(world: World, books: Books) -> None:
    program = shop(
        world,
        "send()\ntold()\nchild = os.fork()\nif child == 0:\n    send()\n    told()\n    sys.exit()\n"
        "assert os.waitpid(child, 0)[1] == 0\nsend()\ntold()",
    )
    assert program.stdin is not None
    assert program.stdout is not None

    def go_on() -> set[int]:
        assert program.stdout is not None
        while program.stdout.readline() != "so far\n":
            continue
        return books.connections()

    def word() -> None:
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()

    alone = go_on()
    word()
    both = go_on()
    word()
    after = go_on()
    _, errors = ended(program)

    assert (errors, program.returncode) == ("", 0)
    assert alone < both
    assert alone <= after


def test_a_loop_for_each_send_as_task_queues_have_them_keeps_few_connections(world: World, books: Books) -> None:
    program = shop(world, "for number in range(40): asyncio.run(send_async(number))\ntold()")
    known = seen(program, books)
    _, errors = ended(program)

    assert (errors, program.returncode) == ("", 0)
    assert len(known) <= 6
    assert len(books.stored()) == 40


def test_threads_that_each_send_share_few_connections(world: World, books: Books) -> None:
    program = shop(
        world,
        "threads = [threading.Thread(target=lambda: [send() for _ in range(5)]) for _ in range(40)]\n"
        "for one in threads: one.start()\nfor one in threads: one.join()\ntold()",
    )
    known = seen(program, books)
    _, errors = ended(program)

    assert (errors, program.returncode) == ("", 0)
    assert len(known) <= 6
    assert len(books.stored()) == 200


def test_test_clients_one_after_another_leave_nothing_open(world: World, books: Books) -> None:
    program = shop(
        world,
        "for number in range(6):\n    with TestClient(app) as client:\n"
        "        for _ in range(3): assert client.post('/ticks/1').status_code == 200\ntold()",
    )
    known = seen(program, books)
    _, errors = ended(program)

    assert (errors, program.returncode) == ("", 0)
    assert len(known) == 0
    assert len(books.stored()) == 18


def ended(program: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for its end; return what it said, on both streams."""
    try:
        return program.communicate("\n", timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        raise


def seen(program: subprocess.Popen[str], books: Books) -> set[int]:
    """Wait until it has done so far; return its connections."""
    assert program.stdout is not None
    lines: Iterator[str] = iter(program.stdout.readline, "")
    assert any(line == "so far\n" for line in lines), program.stderr.read() if program.stderr else ""
    return books.connections()
