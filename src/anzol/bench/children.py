"""Processes of the benchmark's own: each ends when its standard input does, so none outlives whoever started it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from anzol.errors import BenchError

PATIENCE: Final = 30.0  # seconds, for a process to start, to answer, to end
# Ends what it started when its own standard input does, for programs that do not look at it themselves.
GUARDED: Final = '"$@" </dev/null & started=$!; cat >/dev/null; kill $started; wait $started'


class Child:
    """A running process, spoken to in lines: a word in, a line of JSON out."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ask(self, word: str) -> Any:
        """Write *word*, and return what is answered."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: `hear` says so
            self._process.stdin.write(f"{word}\n".encode())
            self._process.stdin.flush()
        return self.hear()

    def hear(self) -> Any:
        """Return the next line that it says.

        Raises:
            BenchError: it ends or stays silent.
        """
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            raise BenchError(f"A process of the benchmark {'has ended' if ready else 'does not answer'}.")
        return json.loads(line)

    def end(self) -> None:
        """Close its standard input, and wait; then kill it."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def child(module: str, *arguments: str, variables: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Run a module of this package as a process while the context lasts."""
    command = [sys.executable, "-P", "-m", module, *arguments]
    with started(command, quiet=False, variables=variables) as running:
        yield running


@contextmanager
def guarded(command: Sequence[str]) -> Iterator[Child]:
    """Run a program that does not watch its standard input; it is ended all the same. What it prints is lost."""
    with started(["/bin/sh", "-c", GUARDED, "sh", *command], quiet=True) as running:
        yield running


@contextmanager
def started(command: Sequence[str], *, quiet: bool, variables: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Run a command with pipes for its standard input and output."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter, or the nginx of this machine
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        env={**os.environ, **(variables or {})},
        start_new_session=True,  # Ctrl-C is for the benchmark, which ends its processes in order
    )
    running = Child(process)
    try:
        yield running
    finally:
        running.end()


def until(holds: Callable[[], bool], *, seconds: float = PATIENCE) -> bool:
    """Wait, for a bounded time, until something holds; return whether it does."""
    end = time.monotonic() + seconds
    while not (there := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return there
