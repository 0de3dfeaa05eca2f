"""A worker of `anzol bench` in a process of its own: delivers until its standard input ends.

Run as ``python -m anzol.bench.working``; the settings come in the environment. It says ``{"ready": true}`` before it
begins; to each line it answers with the processor time it has used (seconds) and its peak memory (bytes).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from fastapi import APIRouter

from anzol.app import Webhooks
from anzol.bench.children import Child, child
from anzol.bench.sites import Database, of_environment
from anzol.workerthread import new_loop


class Workers:
    """Workers in processes of their own, as those who started them see them."""

    def __init__(self, children: list[Child]) -> None:
        self._children = children

    def cpu(self) -> float:
        """Return the processor time that they have used, in seconds."""
        return sum(float(one.ask("usage")["cpu"]) for one in self._children)

    def memory(self) -> int:
        """Return the most memory that one of them has held, in bytes; 0 when there is none."""
        return max((int(one.ask("usage")["memory"]) for one in self._children), default=0)


@contextmanager
def workers(database: Database, count: int) -> Iterator[Workers]:
    """Run *count* workers in processes of their own; they have opened the database when this begins."""
    with ExitStack() as stack, of_environment({}):
        started = [
            stack.enter_context(child("anzol.bench.working", variables=database.variables)) for _ in range(count)
        ]
        for one in started:
            one.hear()
        yield Workers(started)


def cpu() -> float:
    """Return the processor time that this process has used, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_memory() -> int:
    """Return the most memory that this process has held, in bytes."""
    with suppress(OSError):
        # Not getrusage on Linux: there it begins with the size of the process that started this one.
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def work() -> None:
    """Deliver until standard input ends."""
    webhooks = Webhooks(APIRouter())
    async with webhooks.worker() as worker:
        loop = asyncio.get_running_loop()
        stop = lambda: loop.call_soon_threadsafe(worker.stop)  # noqa: E731 - shorter than a function of its own
        threading.Thread(target=answer, args=(stop,), daemon=True).start()
        say({"ready": True})
        await worker.run()
    await webhooks.close()


def answer(stop: Callable[[], object]) -> None:
    """Answer each line, then stop."""
    while os.read(0, 64):
        say({"cpu": cpu(), "memory": peak_memory()})
    with suppress(RuntimeError):  # it has ended by itself
        stop()


def say(facts: dict[str, object]) -> None:
    """Write one line."""
    os.write(1, json.dumps(facts).encode() + b"\n")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work())
