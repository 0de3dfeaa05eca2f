"""The worker inside the app, under the servers that people run: several processes, preloaded, reloaded, restarted."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from tests.processes.conftest import Program, World, alive, both, free_port, get, until

pytestmark = both


class Load:
    """Four clients that post without pause, and what was acknowledged to them."""

    def __init__(self, urls: Callable[[int], str]) -> None:
        self.ids: list[str] = []
        self.pids: set[int] = set()
        self._urls = urls
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._post, args=(first,)) for first in range(4)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(30)

    def more(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = len(self.ids) + count
        until(lambda: len(self.ids) >= wanted, "more is acknowledged")

    def _post(self, number: int) -> None:
        while not self._ending.is_set():
            status, answer = get(self._urls(number), "POST")
            if status == 200:
                self.ids.append(answer["id"])
                self.pids.add(answer["pid"])
            number += 4
            self._ending.wait(0.01)


def uvicorn(port: int) -> list[str]:
    return ["uvicorn", "main:app", "--port", str(port), "--workers", "2"]


def gunicorn(port: int) -> list[str]:
    address = f"127.0.0.1:{port}"
    return ["gunicorn", "main:app", "-k", "asgi", "-b", address, "-w", "2", "--no-control-socket", "--log-level=error"]


def preloaded(port: int) -> list[str]:
    return [*gunicorn(port), "--preload"]


SERVERS = [uvicorn, gunicorn, preloaded]


@contextmanager
def served(world: World, server: Callable[[int], list[str]], **changes: str) -> Iterator[tuple[Program, str]]:
    """Serve the app; give the server, and its address."""
    port = free_port()
    program = world.start(*server(port), **changes)
    address = f"http://127.0.0.1:{port}"
    until(lambda: get(f"{address}/health/live")[0] == 200, "it serves")
    until(lambda: len(world.workers()) >= 2 or server not in SERVERS, "a worker is enlisted in each process")
    yield program, address


def alone(port: int) -> list[str]:
    return ["uvicorn", "main:app", "--port", str(port)]


@pytest.mark.parametrize("server", SERVERS)
def test_each_process_delivers_and_ends_in_good_order(world: World, server: Callable[[int], list[str]]) -> None:
    world.register()
    with served(world, server) as (program, address):
        pids = world.workers()
        with Load(lambda number: f"{address}/ticks/{number}") as load:
            load.more(200)
        ready = get(f"{address}/health/ready")
        code = program.end()

    assert code == 0, program.said
    assert len(pids) == 2
    assert program.pid not in pids
    assert load.pids <= pids
    assert ready[0] == 200, ready
    assert world.quiet()
    assert world.workers() == set()
    assert sorted(world.receiver.seen.elements()) == sorted(load.ids)
    assert "Traceback" not in program.said


def test_gunicorn_that_is_hung_up_under_load_loses_and_doubles_nothing(world: World) -> None:
    world.register()
    with served(world, gunicorn) as (program, address):
        before = world.workers()
        with Load(lambda number: f"{address}/ticks/{number}") as load:
            load.more(100)
            program.hears(signal.SIGHUP)
            until(lambda: not any(alive(pid) for pid in before), "the old processes have ended")
            load.more(100)
        after = world.workers()
        code = program.end()

    assert code == 0, program.said
    assert after.isdisjoint(before)
    assert world.quiet()
    assert set(world.receiver.seen.values()) == {1}
    assert set(load.ids) <= set(world.receiver.seen)  # what was cut off may have been accepted, too


def test_a_reload_drains_the_old_process_and_starts_a_worker_in_the_new_one(world: World) -> None:
    world.register()

    def reloading(port: int) -> list[str]:
        return ["uvicorn", "main:app", "--port", str(port), "--reload", "--reload-delay", "0.1"]

    with served(world, reloading) as (program, address):
        (old,) = until(world.workers, "a worker is enlisted")
        with Load(lambda number: f"{address}/ticks/{number}") as load:
            load.more(50)
        touch(world.folder / "main.py")
        until(lambda: world.workers() and old not in world.workers(), "a new process works, the old one does not")
        with Load(lambda number: f"{address}/ticks/{number}") as more:
            more.more(50)
        program.end(signal.SIGINT)

    assert old in load.pids
    assert old not in more.pids
    assert world.quiet()
    assert world.workers() == set()
    assert sorted(world.receiver.seen.elements()) == sorted(load.ids + more.ids)


def touch(path: Path) -> None:
    """Make a file newer."""
    found = path.stat()
    os.utime(path, (found.st_atime, found.st_mtime + 10))
    path.write_text(path.read_text() + "\n")


# --- workers beside the app


def test_two_workers_restarted_one_after_the_other_under_load_lose_and_double_nothing(world: World) -> None:
    world.register()
    workers = [world.worker(), world.worker()]
    for worker in workers:
        worker.says("delivers from")
    with served(world, alone, ANZOL_WORKER="off") as (program, address):
        with Load(lambda number: f"{address}/ticks/{number}") as load:
            load.more(100)
            for place, worker in enumerate(workers):
                assert worker.end() == 0
                load.more(50)
                workers[place] = world.worker()
                workers[place].says("delivers from")
                load.more(50)
        until(world.quiet, "all is delivered")
        program.end()
        codes = [worker.end() for worker in workers]

    assert codes == [0, 0]
    assert world.workers() == set()
    assert sorted(world.receiver.seen.elements()) == sorted(load.ids)


def test_a_supervisor_that_replaces_its_processes_under_load_loses_and_doubles_nothing(world: World) -> None:
    world.register()
    supervisor = world.worker("--processes", "2")
    supervisor.says("delivers from", times=2)
    with served(world, alone, ANZOL_WORKER="off") as (program, address):
        with Load(lambda number: f"{address}/ticks/{number}") as load:
            for times in (1, 2):
                load.more(50)
                supervisor.hears(signal.SIGHUP)
                supervisor.says("Every worker process was replaced.", times=times)
            load.more(50)
        until(world.quiet, "all is delivered")
        program.end()
        code = supervisor.end()

    assert code == 0
    assert "another one in" not in supervisor.said
    assert sorted(world.receiver.seen.elements()) == sorted(load.ids)
