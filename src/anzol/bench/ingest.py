"""Publishing through the REST API: one message a request, and a hundred; served by uvicorn, durable when answered."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, cast
from uuid import uuid4

from fastapi import APIRouter

from anzol.app import Webhooks
from anzol.bench.application import Sent
from anzol.bench.figures import Checked, Figures
from anzol.bench.rounds import Measured, Round, Variant, figures, on_loop
from anzol.bench.serving import BARE, Served, served
from anzol.bench.sites import Database, settings
from anzol.errors import BenchError

CONNECTIONS: Final = 32
BATCH: Final = 100
MORE: Final = 5  # times as many messages in batches
PAYLOAD: Final = '{"username":"rick","monthly_fee":9.9,"start_date":"2026-11-24T12:00:00Z","note":"%s"}' % ("y" * 880)
MESSAGE: Final = f'{{"eventType":"new-subscription","payload":{PAYLOAD}}}'
APPLICATION: Final = "customer-0"
STATUS: Final = b"HTTP/1.1 202"
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ID: Final = re.compile(rb'"id":"(msg_\w+)"')
WAIT: Final = 60.0  # seconds for one answer
PAGE: Final = 250


def ingest(run: Round) -> Iterator[Figures]:
    """`POST msg` from 32 connections, and `POST msg/batch` of 100; with an idempotency key, as clients send it."""
    for size, messages in ((1, run.size.messages), (BATCH, MORE * run.size.messages)):
        name = "one by one" if size == 1 else f"batches of {size}"
        run.progress.step(f"ingest, {name}", messages)
        yield ingested(run, Variant("ingest", name, 0, 1), size, messages // size)


def ingested(run: Round, variant: Variant, size: int, requests: int) -> Figures:
    """Measure and verify one size of request."""
    with run.site.fresh() as database:
        inserts = database.insert_rate(messages=run.size.limit_rows, batch=max(size, CONNECTIONS), delivered=False)
        with served(database.variables | {"ANZOL_WORKER": "off"}, BARE) as target:
            bare = on_loop(posted(target, size, max(CONNECTIONS, requests // 2)))
    requests_limit = size * bare.answers / bare.took
    limits = replace(run.limits, requests=requests_limit, requests_by="a bare application", inserts=inserts)
    with run.site.fresh() as database:
        with served(database.variables | {"ANZOL_WORKER": "off"}) as target:
            on_loop(opened(target))
            on_loop(posted(target, size, CONNECTIONS))  # warm
            used = target.cpu()
            found = on_loop(posted(target, size, requests))
            used = target.cpu() - used
        sent = found.sent()
        seen = on_loop(verified(database, sent))
    run.progress.done(len(sent.returned))
    measured = Measured(sent=sent, took=found.took, cpu=used, accepting=found.took)
    return figures(replace(run, limits=limits), variant, measured, seen, target=run.receiver)


@dataclass(slots=True)
class Posted:
    """What came of posting: the answers' bodies with when they came, and how long each was waited for."""

    bodies: list[tuple[float, bytes]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    took: float = 0.0

    @property
    def answers(self) -> int:
        """How many answers there were."""
        return len(self.bodies)

    def sent(self) -> Sent:
        """Return which messages were accepted."""
        ids = {found.decode(): at for at, body in self.bodies for found in ID.findall(body)}
        return Sent(ids, self.waits)


class Posting(asyncio.Protocol):
    """One connection: posts as long as there is something to post, each request once the one before is answered."""

    def __init__(self, left: Iterator[bytes], posted: Posted) -> None:
        self._left = left
        self._posted = posted
        self._buffer = b""
        self._at = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._post()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = LENGTH.search(self._buffer, 0, head)
        whole = head + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return
        answer, self._buffer = self._buffer[:whole], b""
        if not answer.startswith(STATUS):
            self._end(BenchError(f"A message was answered with {answer[9:head].splitlines()[0].decode('latin-1')}."))
            return
        self._posted.bodies.append((time.time(), answer[head + 4 :]))
        self._posted.waits.append(time.perf_counter() - self._at)
        self._post()

    def connection_lost(self, cause: Exception | None) -> None:
        self._end(BenchError(f"The server has closed a connection: {cause or 'it said nothing'}."))

    def _post(self) -> None:
        request = next(self._left, None)
        if request is None:
            self._end(None)
            return
        self._at = time.perf_counter()
        self._transport.write(request)

    def _end(self, error: BenchError | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error) if error else self.ended.set_result(None)
        self._transport.close()


async def posted(target: Served, size: int, requests: int) -> Posted:
    """Post so many requests from 32 connections; return what came of it."""
    left, found = iter([request(target, size) for _ in range(requests)]), Posted()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Posting(left, found), "127.0.0.1", target.port) for _ in range(CONNECTIONS)
    ]
    async with asyncio.timeout(WAIT + requests / 10):
        await asyncio.gather(*(posting.ended for _, posting in made))
    found.took = time.perf_counter() - began
    return found


def request(target: Served, size: int) -> bytes:
    """Return the bytes of a request, under an idempotency key of its own."""
    body = MESSAGE if size == 1 else f'{{"messages":[{",".join([MESSAGE] * size)}]}}'
    path = f"/api/v1/app/{APPLICATION}/msg{'' if size == 1 else '/batch'}?with_content=false"
    return post(target, path, body)


def post(target: Served, path: str, body: str) -> bytes:
    """Return the bytes of a POST, as long as a client's of this field."""
    lines = {
        "host": f"127.0.0.1:{target.port}",
        "authorization": f"Bearer {target.token}",
        "idempotency-key": f"auto_{uuid4()}",
        "accept": "application/json",
        "user-agent": "anzol-bench/1.0/python",
        "content-type": "application/json",
        "content-length": str(len(body)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n{body}".encode()


async def opened(target: Served) -> None:
    """Make the application."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write(post(target, "/api/v1/app", json.dumps({"name": APPLICATION, "uid": APPLICATION})))
    answer = await reader.readline()
    writer.close()
    if b" 201 " not in answer:
        raise BenchError(f"The application was answered with {answer.decode('latin-1').strip()}.")


async def verified(database: Database, sent: Sent) -> Checked:
    """Look for every message that was accepted in the database."""
    webhooks = Webhooks(APIRouter(), settings(database, worker=False))
    storage, environment = await webhooks.core.storage(), webhooks.settings.environment
    ids = list(sent.returned)
    there = 0
    for first in range(0, len(ids), PAGE):
        there += len(await storage.messages_of(environment, ids[first : first + PAGE]))
    await webhooks.close()
    return Checked(accepted=len(ids), delivered=there, lost=len(ids) - there, duplicates=0, unrecorded=0)
