"""``kill -9`` of a sending and delivering process, again and again, and what its receiver and its database say then.

Run: ``.venv/bin/python -m tests.faults.kill --cycles 50``. Counts: acknowledged messages that never arrived (lost),
that are still waiting in the end (stuck), requests the receiver saw that have no recorded attempt (unrecorded), and
messages that arrived more than once (duplicates; a crash between a reply and its settlement makes one).
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from anzol.storage.face import Selection
from tests.faults.program import CUSTOMERS, make

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Counts:
    """What a run shows."""

    cycles: int
    acknowledged: int
    lost: int
    stuck: int
    unrecorded: int
    duplicates: int
    requests: int
    interrupted: int


class CountingReceiver:
    """A receiver in a thread of its own: counts requests by message id, and answers after a short, random while."""

    def __init__(self, chance: random.Random) -> None:
        self.seen: collections.Counter[str] = collections.Counter()
        self.port = 0
        self._chance = chance
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for waiting in asyncio.all_tasks(self._loop):
            waiting.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
                await reader.readexactly(int(headers[b"content-length"]))
                self.seen[self._id(head)] += 1
                await asyncio.sleep(self._chance.random() * 0.02)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    @staticmethod
    def _id(head: bytes) -> str:
        start = head.lower().index(b"webhook-id: ") + len(b"webhook-id: ")
        return head[start : head.index(b"\r\n", start)].decode()


class Process:
    """The program under test, and the ids it has acknowledged."""

    def __init__(self, database: str, *, sends: bool) -> None:
        command = [sys.executable, "-m", "tests.faults.program", database, "send" if sends else "rest"]
        self.acknowledged: list[str] = []
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        if not self._ready.wait(60):
            raise RuntimeError("the program did not start within 60 s")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line == "ready\n":
                    self._ready.set()
                elif line.endswith("\n"):
                    self.acknowledged.append(line.strip())

    def kill(self) -> list[str]:
        """Kill it at once; return what it had acknowledged."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        self._reader.join(10)
        return self.acknowledged


async def register(database: str, port: int) -> None:
    """Give every customer an endpoint at the receiver."""
    _, webhooks = make(database)
    for number in range(CUSTOMERS):
        await webhooks.endpoints.create(f"customer-{number}", url=f"http://127.0.0.1:{port}/in")
    await (await webhooks.core.storage()).close()


def run(cycles: int, *, seed: int, folder: Path, patience: float = 90) -> Counts:
    """Kill it *cycles* times under load, let a last process finish, and count."""
    chance = random.Random(seed)
    database = str(folder / "faults.db")
    acknowledged: list[str] = []
    with CountingReceiver(chance) as receiver:
        asyncio.run(register(database, receiver.port))
        for _ in range(cycles):
            process = Process(database, sends=True)
            time.sleep(0.05 + chance.random() * 1.2)
            acknowledged += process.kill()
        process = Process(database, sends=False)
        stuck = asyncio.run(wait_until_quiet(database, patience))
        process.kill()
        attempts, interrupted = asyncio.run(count_attempts(database))
        seen = receiver.seen
    return Counts(
        cycles=cycles,
        acknowledged=len(acknowledged),
        lost=sum(1 for message_id in acknowledged if not seen[message_id]),
        stuck=stuck,
        unrecorded=sum(max(0, count - attempts[message_id]) for message_id, count in seen.items()),
        duplicates=sum(count - 1 for count in seen.values() if count > 1),
        requests=sum(seen.values()),
        interrupted=interrupted,
    )


async def wait_until_quiet(database: str, patience: float) -> int:
    """Wait until nothing waits; return how much still does when patience ends."""
    _, webhooks = make(database)
    end = time.monotonic() + patience
    while True:
        status = await webhooks.status()
        waiting = status.accepted_waiting + status.pending
        if not waiting or time.monotonic() > end:
            await (await webhooks.core.storage()).close()
            return waiting
        await asyncio.sleep(0.2)


async def count_attempts(database: str) -> tuple[collections.Counter[str], int]:
    """Return the recorded attempts by message id, and how many of all were interrupted."""
    _, webhooks = make(database)
    counted: collections.Counter[str] = collections.Counter()
    interrupted = 0
    after: str | None = None
    storage = await webhooks.core.storage()
    while True:
        page = await storage.attempts("default", Selection(), after=after, limit=1000)
        counted.update(attempt.message_id for attempt in page.items)
        interrupted += sum(attempt.outcome.label == "interrupted" for attempt in page.items)
        after = page.next
        if after is None:
            await storage.close()
            return counted, interrupted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as name:
        counts = run(options.cycles, seed=options.seed, folder=Path(name))
    print(asdict(counts))
    if counts.lost or counts.stuck or counts.unrecorded:
        sys.exit(1)


if __name__ == "__main__":
    main()
