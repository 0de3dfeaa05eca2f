"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Final

from anzol.cli.line import DRAIN, STOP, VARIABLE, Facts, Line

STARTING: Final = 10.0  # seconds that one that does not work yet may take to end
HASTE: Final = 5.0  # seconds that one may take to end at once
MARGIN: Final = 5.0  # seconds beyond its own deadline, before it is killed
ANSWER: Final = 3.0  # seconds that one may take to answer

log = logging.getLogger("anzol.supervisor")


@dataclass(frozen=True, slots=True)
class Command:
    """What `anzol worker` was called with, as far as it is the processes' own."""

    app: str | None
    database: str | None
    as_json: bool

    def arguments(self) -> list[str]:
        """Return the command line of one process: this interpreter, nothing of the working folder on its path."""
        # `-P`: a file `anzol.py` in the working folder must not be taken for the package.
        words = [sys.executable, "-P", "-m", "anzol", "worker"]
        words += [self.app] if self.app else []
        words += [f"--database={self.database}"] if self.database else []
        return words + (["--json"] if self.as_json else [])


class WorkerProcess:
    """A process that was started. ``facts`` is what it told when it began to work."""

    def __init__(self, process: asyncio.subprocess.Process, line: Line) -> None:
        self.pid = process.pid
        self.ready = asyncio.Event()
        self.facts: Facts = {}
        self.failed: str | None = None
        self.failed_for_good = False
        self._process = process
        self._line = line
        self._ready_at: float | None = None
        self._draining = False
        self._asked: dict[int, asyncio.Future[Facts]] = {}
        self._numbers = count(1)
        self._timers: list[asyncio.TimerHandle] = []
        self._listening = asyncio.create_task(self._listen())
        self._ending = asyncio.create_task(self._end())

    @classmethod
    async def start(cls, command: Command) -> WorkerProcess:
        """Start one, in a process group of its own: Ctrl-C in a terminal is the supervisor's to pass on."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command.arguments(),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, VARIABLE: str(theirs.fileno())},
                process_group=0,
            )
        line = Line(ours)
        await line.open()
        return cls(process, line)

    @property
    def works(self) -> bool:
        """Whether it delivers: it has begun to, and was not asked to end."""
        return self.ready.is_set() and not self._draining and self._process.returncode is None

    def worked_for(self) -> float:
        """Return the seconds since it began to work; 0 if it never did."""
        return 0.0 if self._ready_at is None else time.monotonic() - self._ready_at

    async def ended(self) -> int:
        """Wait until it has ended; return its exit code, negative for a signal."""
        return await asyncio.shield(self._ending)

    def drain(self) -> None:
        """Have it finish what is under way and end; it is killed if it takes longer than it said."""
        if self._draining:
            return
        self._draining = True
        self._line.say(order=DRAIN)
        if self.ready.is_set():
            self._kill_after(float(self.facts["patience"]) + MARGIN)
        else:  # it has nothing under way, and may be busy with its start
            self._signal(signal.SIGTERM)
            self._kill_after(STARTING)

    def stop(self) -> None:
        """Have it end at once."""
        self._draining = True
        self._line.say(order=STOP)
        if not self.ready.is_set():
            self._signal(signal.SIGTERM)
        self._kill_after(HASTE)

    async def ask(self, what: str) -> Facts | None:
        """Ask it something; None: it does not answer."""
        number = next(self._numbers)
        future: asyncio.Future[Facts] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self._line.say(ask=what, number=number)
        try:
            async with asyncio.timeout(ANSWER):
                return await future
        except TimeoutError:
            return None
        finally:
            del self._asked[number]

    async def _listen(self) -> None:
        async for told in self._line.heard():
            if "works" in told:
                self.facts = told
                self._ready_at = time.monotonic()
                self.ready.set()
            elif "failed" in told:
                self.failed, self.failed_for_good = str(told["failed"]), bool(told["lasting"])
            elif (future := self._asked.get(int(told["number"]))) is not None and not future.done():
                future.set_result(told["found"])

    async def _end(self) -> int:
        """Wait for its end; what it told last is heard before."""
        code = await self._process.wait()
        for timer in self._timers:
            timer.cancel()
        await asyncio.wait({self._listening}, timeout=1)
        self._listening.cancel()
        self._line.close()
        return code

    def _kill_after(self, seconds: float) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, self._kill, seconds))

    def _kill(self, seconds: float) -> None:
        log.error("Worker process %d did not end in time (%.0f s) and is killed.", self.pid, seconds)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
