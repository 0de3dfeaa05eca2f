"""The receiver of `anzol bench`, in a process of its own: answers 204 at once and writes down what arrived when.

Run as ``python -m anzol.bench.answering LOG``; prints its port as JSON and ends with its standard input. A line of
the log is the time (seconds since the epoch) of a request's first byte, and its ``webhook-id``. What is posted to
``/limit`` is answered and not written down.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import IO, Final, cast

from anzol.workerthread import new_loop

ANSWER: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
FLUSH_EVERY: Final = 0.1  # seconds
LENGTH: Final = b"\r\ncontent-length:"
ID: Final = b"\r\nwebhook-id:"


class Arrived:
    """Collects lines, and writes them to the log now and then."""

    def __init__(self, log: IO[bytes]) -> None:
        self._log = log
        self.lines: list[bytes] = []

    async def flush(self) -> None:
        """Write what has been collected, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            lines, self.lines = self.lines, []
            self._log.write(b"".join(lines))


class Answering(asyncio.Protocol):
    """One connection. Only as much of HTTP/1.1 as Anzol and the benchmark's own client speak."""

    def __init__(self, arrived: Arrived) -> None:
        self._arrived = arrived
        self._buffer = b""
        self._at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self._at = time.time()
        self._buffer += data
        while (size := request_size(self._buffer)) is not None:
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            self._transport.write(ANSWER)
            if not request.startswith(b"POST /limit"):
                self._arrived.lines.append(b"%.6f %s\n" % (self._at, header(request, ID)))
            if self._buffer:
                self._at = time.time()


def request_size(buffer: bytes) -> int | None:
    """Return how many bytes the first request has, head and body; None when it is not whole."""
    head = buffer.find(b"\r\n\r\n")
    if head < 0:
        return None
    size = head + 4 + int(header(buffer[:head], LENGTH) or 0)
    return size if len(buffer) >= size else None


def header(request: bytes, name: bytes) -> bytes:
    """Return a header's value, empty where there is none; *name* in lower case between CRLF and colon."""
    head = request.partition(b"\r\n\r\n")[0]
    at = head.lower().find(name)
    return head[at + len(name) :].partition(b"\r\n")[0].strip() if at >= 0 else b""


async def answer(log: Path) -> None:
    """Answer until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    with log.open("ab", buffering=0) as file:
        arrived = Arrived(file)
        server = await loop.create_server(lambda: Answering(arrived), "127.0.0.1", 0, backlog=4096)
        loop.add_reader(sys.stdin.fileno(), ended.set)
        flushing = asyncio.create_task(arrived.flush())
        sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
        sys.stdout.flush()
        await ended.wait()
        flushing.cancel()
        server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(answer(Path(sys.argv[1])))
