"""The processes under test: started, frozen, killed, and replaced by others."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parent.parent.parent
START = 60.0  # seconds


class Nest:
    """Starts programs: a process that has imported everything, and forks.

    Args:
        errors: Where they write what they have to complain of.
    """

    def __init__(self, errors: Path) -> None:
        self.errors = errors
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.program", str(theirs.fileno())],
                cwd=ROOT,
                pass_fds=(theirs.fileno(),),
            )

    def fork(self, database: str, words: tuple[str, ...]) -> tuple[int, TextIO]:
        """Start one; return its number, and what it prints."""
        heard, said = os.pipe()
        with self.errors.open("ab") as log:
            socket.send_fds(self._line, [json.dumps([database, *words]).encode()], [said, log.fileno()])
        os.close(said)
        number = int(self._line.recv(64))
        return number, os.fdopen(heard)

    def close(self) -> None:
        self._line.close()
        self._process.wait(START)


class Process:
    """One program, and the ids it has acknowledged."""

    def __init__(self, nest: Nest, database: str, words: tuple[str, ...]) -> None:
        self.words = words
        self.acknowledged: list[str] = []
        self.wakes_at: float | None = None  # while it is frozen
        self._ready = threading.Event()
        self._number, self._lines = nest.fork(database, words)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with self._lines as lines:
            for line in lines:
                if line == "ready\n":
                    self._ready.set()
                elif line.endswith("\n"):
                    self.acknowledged.append(line.strip())

    @property
    def ready(self) -> bool:
        return self._ready.is_set() and not self.ended

    @property
    def ended(self) -> bool:
        """Whether it has ended: what it prints has an end."""
        return not self._reader.is_alive()

    @property
    def stillborn(self) -> bool:
        """Whether it ended before it was ready: while the database is down, an application does not start."""
        return self.ended and not self._ready.is_set()

    def freeze(self, seconds: float) -> None:
        """Stop it; `Fleet.thaw` lets it go on."""
        os.kill(self._number, signal.SIGSTOP)
        self.wakes_at = time.monotonic() + seconds

    def thaw(self) -> None:
        os.kill(self._number, signal.SIGCONT)
        self.wakes_at = None

    def kill(self) -> list[str]:
        """Kill it at once; return what it had acknowledged."""
        with suppress(ProcessLookupError):
            os.kill(self._number, signal.SIGKILL)
        self._reader.join(10)  # what it printed has an end when it has
        return self.acknowledged


@dataclass(slots=True)
class Fleet:
    """Processes of the given kinds; who is killed is replaced.

    Args:
        kinds: The words that `tests.faults.program` is started with, for each process.
    """

    database: str
    kinds: tuple[tuple[str, ...], ...]
    nest: Nest
    chance: random.Random
    processes: list[Process] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.processes = [self._started(words) for words in self.kinds]
        for place in range(len(self.processes)):
            self.wait_until_ready(place)

    def wait_until_ready(self, place: int) -> None:
        """Wait for one; who could not start is started again, as a supervisor does."""
        end = time.monotonic() + START
        while not self.processes[place].ready:
            process = self.processes[place]
            if process.stillborn:
                self.processes[place] = self._started(process.words)
            if time.monotonic() > end or (process.ended and not process.stillborn):
                raise RuntimeError(f"a program has ended, or did not start within {START:.0f} s: {process.words}")
            time.sleep(0.05)

    def _started(self, words: tuple[str, ...]) -> Process:
        words = tuple(word for word in words if word != "elsewhere")
        # Some die where nobody sees it: their leases have to end.
        elsewhere = ("elsewhere",) if "deliver" in words and self.chance.random() < 0.5 else ()
        return Process(self.nest, self.database, (*words, *elsewhere))

    def those(self, word: str = "") -> list[Process]:
        """Return which are at work, of those that were started with a word."""
        return [one for one in self.processes if one.ready and one.wakes_at is None and (not word or word in one.words)]

    def kill(self, victims: list[Process], *, replaced: bool = True) -> None:
        for victim in victims:
            self.acknowledged += victim.kill()
            place = self.processes.index(victim)
            if replaced:
                self.processes[place] = self._started(victim.words)
            else:
                del self.processes[place]

    def thaw(self, *, all_of_them: bool = False) -> None:
        """Let go on those whose time has come."""
        for one in self.processes:
            if one.wakes_at is not None and (all_of_them or one.wakes_at < time.monotonic()):
                one.thaw()
