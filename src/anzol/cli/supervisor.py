"""`anzol worker --processes N`: starts worker processes, keeps them running, and ends them in good order.

The supervisor imports no app and opens no database: what it knows, its processes tell it over their lines. They are
started as new programs, never forked, so none inherits threads, connections or an import of old code.

SIGTERM or SIGINT: all drain, and it ends; once more: at once. SIGHUP: they are replaced one by one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from anzol.cli.exits import Exit
from anzol.cli.healthport import Answer, HealthPort, listening, show_port
from anzol.cli.screen import Screen, count
from anzol.cli.workerprocess import Command, WorkerProcess
from anzol.errors import InvalidValue

FIRST_PAUSE: Final = 0.5  # seconds between a death and the next start; doubled by each death that follows soon
LONGEST_PAUSE: Final = 30.0
SETTLED: Final = 30.0  # seconds of work after which a death counts as the first one
START: Final = 120.0  # seconds that a replacement may take until it works

log = logging.getLogger("anzol.supervisor")


@dataclass(slots=True, eq=False)
class Place:
    """One of the processes that are wanted, and who is in it now."""

    number: int
    process: WorkerProcess
    deaths: int = 0  # in a row, each soon after the start


class Supervisor:
    """Keeps *wanted* processes running until it is stopped."""

    def __init__(self, command: Command, wanted: int) -> None:
        self._command = command
        self._wanted = wanted
        self._screen = Screen(as_json=False)
        self._places: list[Place] = []
        self._started: set[WorkerProcess] = set()  # and not ended yet
        self._stopping = asyncio.Event()
        self._hasty = False
        self._proved = asyncio.Event()  # one has worked: app, settings and database are right
        self._replacing = asyncio.Lock()
        self._code: int = Exit.OK
        self._tasks: set[asyncio.Task[None]] = set()

    # The life

    async def run(self) -> int:
        """Supervise until stopped; return the exit code."""
        self._obey_signals()
        wanted = count(self._wanted, "worker process", "worker processes")
        self._screen.progress(f"Supervisor {os.getpid()} keeps {wanted}. Ctrl-C stops all of it.")
        keepers = [asyncio.create_task(self._keep(number)) for number in range(1, self._wanted + 1)]
        try:
            await asyncio.gather(*keepers)
            await asyncio.gather(*(process.ended() for process in self._started))
        finally:
            for task in [*keepers, *self._tasks]:
                task.cancel()
            await asyncio.gather(*keepers, *self._tasks, return_exceptions=True)
        return self._code

    def stop(self) -> None:
        """Have all drain; a second time: stop at once."""
        self._hasty = again = self._stopping.is_set()
        self._stopping.set()
        for process in self._started:
            self._end(process)
        if not again:
            self._screen.progress("Finishing what is under way; once more stops at once.")

    def replace_all(self) -> None:
        """Have every process replaced, one after the other."""
        self._go_with(self._replace_all())

    def _obey_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        attended = has_terminal()

        def hang_up() -> None:
            # The same signal comes when a terminal is closed: then nobody is left who could stop it.
            if attended and not has_terminal():
                self.stop()
            else:
                self.replace_all()

        loop.add_signal_handler(signal.SIGHUP, hang_up)

    def _end(self, process: WorkerProcess) -> None:
        if self._hasty:
            process.stop()
        else:
            process.drain()

    # One place

    async def _keep(self, number: int) -> None:
        """Keep one place filled; the first one shows whether starting makes sense, the others wait for that."""
        if number > 1 and not await self._before_stop(self._proved.wait()):
            return
        place = Place(number, await self._start(number))
        self._places.append(place)
        while True:
            process = place.process
            code = await process.ended()
            if place.process is not process:
                continue  # it was replaced
            if self._stopping.is_set():
                return
            if self._is_hopeless(process):
                self._give_up(code)
                return
            await self._refill(place, process, code)

    async def _refill(self, place: Place, died: WorkerProcess, code: int) -> None:
        """Start another one after a while; longer each time that one dies soon."""
        place.deaths = 1 if died.worked_for() >= SETTLED else place.deaths + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(place.deaths - 1, 10))
        log.error("Worker process %d (%s) %s; another one in %.1f s.", died.pid, self._of(place), how(code), pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        async with self._replacing:
            if self._stopping.is_set() or place.process is not died:
                return
            try:
                place.process = await self._start(place.number)
            except OSError as error:  # no memory, no more processes: as one that died at once
                log.error("No worker process could be started: %s.", error)

    async def _start(self, number: int) -> WorkerProcess:
        """Start a process."""
        process = await WorkerProcess.start(self._command)
        self._started.add(process)
        self._go_with(self._watch(process))
        if self._stopping.is_set():
            self._end(process)
        log.info("Worker process %d (%d of %d) starts.", process.pid, number, self._wanted)
        return process

    async def _watch(self, process: WorkerProcess) -> None:
        """See one process from its start to its end."""
        ready = asyncio.create_task(process.ready.wait())
        ended = asyncio.create_task(process.ended())
        await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            self._first_work(process)
        ready.cancel()
        code = await ended
        self._started.discard(process)
        if self._stopping.is_set() and process.ready.is_set() and code:
            self._code = self._code or Exit.FAILED  # it was killed, or left something under way

    def _first_work(self, process: WorkerProcess) -> None:
        if not self._proved.is_set() and self._wanted > 1 and process.facts.get("engine") == "sqlite":
            log.warning("Several processes on one SQLite file wait for each other's lock: one is as fast as many.")
        self._proved.set()

    def _is_hopeless(self, process: WorkerProcess) -> bool:
        """Say whether starting again makes no sense: it told why it cannot work, and nobody else works."""
        if process.failed is None or any(other.works for other in self._started):
            return False
        return process.failed_for_good or not self._proved.is_set()

    def _give_up(self, code: int) -> None:
        """End with the code of the process that could not work; it has said why."""
        self._code = code or Exit.FAILED
        self._stopping.set()
        for process in self._started:
            self._end(process)

    # Replacing

    async def _replace_all(self) -> None:
        """Replace one after the other, so that all but one work at any time; stop at the first that does not start."""
        async with self._replacing:
            for place in self._places:
                if self._stopping.is_set() or not await self._replace(place):
                    return
        self._screen.progress("Every worker process was replaced.")

    async def _replace(self, place: Place) -> bool:
        """Start the new one, and only once it works end the old one; return whether that was done."""
        old, new = place.process, await self._start(place.number)
        if not await self._works(new):
            if not self._stopping.is_set():
                log.error("Worker process %d does not start; %d goes on, and so do the others.", new.pid, old.pid)
            new.stop()
            return False
        place.process, place.deaths = new, 0
        old.drain()
        await old.ended()
        return True

    async def _works(self, process: WorkerProcess) -> bool:
        """Wait until a process works; return whether it does."""
        ready, ended = asyncio.create_task(process.ready.wait()), asyncio.create_task(process.ended())
        stopping = asyncio.create_task(self._stopping.wait())
        waiting = {ready, ended, stopping}
        await asyncio.wait(waiting, timeout=START, return_when=asyncio.FIRST_COMPLETED)
        works = ready.done() and not ended.done()
        for task in waiting:
            task.cancel()
        return works

    # Health

    async def live(self, _: dict[str, str]) -> Answer:
        """Answer `/live`: the processes that work answer, too. One that died is started again, and no reason to end."""
        working = [process for process in self._started if process.works]
        answers = await asyncio.gather(*(process.ask("live") for process in working))
        silent = [str(process.pid) for process, told in zip(working, answers, strict=True) if told is None]
        if silent:
            return 503, {"live": False, "detail": f"these processes do not answer: {', '.join(silent)}"}
        return 200, {"live": True, "detail": f"{len(working)} of {self._wanted} processes work"}

    async def ready(self, query: dict[str, str]) -> Answer:
        """Answer `/ready`: as one of the processes that work does; they all have the same database."""
        working = [process for process in self._started if process.works]
        own = {
            "name": "processes",
            "ok": bool(working),
            "detail": f"{len(working)} of {self._wanted} work",
            "scope": "process",
        }
        told = await working[0].ask("ready") if working else None
        if working and told is None:
            own.update(ok=False, detail=f"process {working[0].pid} does not answer")
        scope = query.get("scope")
        checks = [one for one in [own, *(told["checks"] if told else [])] if scope in (None, one["scope"])]
        ready = all(check["ok"] for check in checks)
        return (200 if ready else 503), {"ready": ready, "checks": checks}

    # Small things

    def _of(self, place: Place) -> str:
        return f"{place.number} of {self._wanted}"

    def _go_with(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("The supervisor has made a mistake, and goes on.", exc_info=error)

    async def _before_stop(self, doing: Coroutine[Any, Any, Any]) -> bool:
        """Wait for something, but not beyond a stop; return whether it came to be."""
        task, stopping = asyncio.create_task(doing), asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        done = task.done() and not stopping.done()
        task.cancel()
        stopping.cancel()
        return done


def supervise(command: Command, processes: int, where: tuple[str, int] | None) -> int:
    """Keep *processes* running until a signal; return the exit code. *where* is the health port's.

    Raises:
        InvalidValue: this system has no signals to do it with.
    """
    if sys.platform == "win32":
        raise InvalidValue("--processes needs a POSIX system.", field="processes", do="Start several `anzol worker`.")
    listener = listening(*where) if where else None
    return asyncio.run(supervised(Supervisor(command, processes), listener))


async def supervised(supervisor: Supervisor, listener: socket.socket | None) -> int:
    """Run a supervisor, with its health port if there is one."""
    if listener is None:
        return await supervisor.run()
    async with HealthPort(listener, {"/live": supervisor.live, "/ready": supervisor.ready}):
        show_port(listener)
        return await supervisor.run()


def how(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def has_terminal() -> bool:
    """Say whether this process has a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
