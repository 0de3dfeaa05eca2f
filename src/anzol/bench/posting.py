"""A client that posts the same bytes without Anzol: what the receiver and the machine can do at best."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

from anzol.bench.receivers import Receiver
from anzol.workerthread import new_loop

BODY_SIZE: Final = 1000
CONNECTIONS: Final = 64
OWN: Final = "own client"
WRK: Final = "wrk"
HEADERS: Final = {  # as long as those of a delivery
    "content-type": "application/json",
    "webhook-id": "msg_1kq3v0000000000000000000",
    "webhook-timestamp": "1795468800",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    "webhook-event": "new-subscription",
}


def post_rate(target: Receiver, *, seconds: float) -> tuple[float, str]:
    """Return how many POSTs a second *target* answers, and what posted on 64 connections: ``wrk`` where it is there."""
    program = wrk()
    if program is not None and (rate := wrk_rate(program, target, seconds=max(1, round(seconds)))):
        return rate, WRK
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(own_rate(target, seconds=seconds)), OWN


def wrk() -> str | None:
    """Return where ``wrk`` is, if it is there."""
    return shutil.which("wrk")


def wrk_rate(program: str, target: Receiver, *, seconds: int) -> float | None:
    """Return what ``wrk`` measures; None where it says nothing."""
    with TemporaryDirectory(prefix="anzol-bench-") as folder:
        script = Path(folder) / "post.lua"
        script.write_text("\n".join(wrk_lines()))
        url = f"http://127.0.0.1:{target.port}/limit"
        command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 30)  # noqa: S603 - wrk
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    return float(found[1]) if found else None


def wrk_lines() -> Iterator[str]:
    """Yield a script for ``wrk``."""
    yield f'wrk.method = "POST"\nwrk.body = string.rep("y", {BODY_SIZE})'
    for name, value in HEADERS.items():
        yield f'wrk.headers["{name}"] = "{value}"'


def post(path: str, port: int, headers: dict[str, str]) -> bytes:
    """Return the bytes of one request."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {BODY_SIZE}\r\n{lines}\r\n"
    return head.encode() + b"y" * BODY_SIZE


class Posting(asyncio.Protocol):
    """Posts the same request again as soon as it is answered."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):  # an answer of 204 is nothing but a head
            self.answers += 1
            self.transport.write(self._request)


async def own_rate(target: Receiver, *, seconds: float) -> float:
    """Return what a client of our own measures; where it is slower than the receiver, the limit is its own."""
    loop = asyncio.get_running_loop()
    request = post("/limit", target.port, HEADERS)
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Posting(request), "127.0.0.1", target.port) for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds)
    rate = sum(posting.answers for _, posting in made) / (time.perf_counter() - began)
    for transport, _ in made:
        transport.abort()
    return rate


async def post_delays(target: Receiver, *, rate: float, seconds: float) -> list[float]:
    """Return the seconds from posting to the first byte at the receiver, at a steady rate on one open connection."""
    arrivals = target.arrivals()
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    posted: dict[str, float] = {}
    for number in range(int(rate * seconds)):
        message_id = f"limit-{number}"
        posted[message_id] = time.time()
        writer.write(post("/in", target.port, {**HEADERS, "webhook-id": message_id}))
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(1 / rate)
    writer.close()
    arrivals.written(posted)
    times = arrivals.times()
    return [max(0.0, times[message_id] - at) for message_id, at in posted.items() if message_id in times]
