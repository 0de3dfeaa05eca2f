"""The live log: attempts as they are recorded, none lost, none twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import httpx
import pytest

from anzol.api import live, streams
from anzol.testing import FakeReceiver
from tests.api.conftest import ENVIRONMENT, FAR, KEY, Service, served
from tests.api.scene import SECRET, Scene, scene_of

PATIENCE = 10.0  # seconds for what comes over a real socket
SERVER = """
import socket, sys, uvicorn
from fastapi import FastAPI
from anzol import Webhooks

app = FastAPI()
app.mount("", Webhooks(app).api)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run([socket.socket(fileno=int(sys.argv[1]))])
"""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at every few seconds is looked at all the time."""
    for name in ("NAP", "CHECK"):
        monkeypatch.setattr(live, name, 0.01)


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver(SECRET) as receiver:
        yield receiver


@pytest.fixture
async def scene(service: Service) -> AsyncIterator[Scene]:
    async with scene_of(service) as scene:
        yield scene


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with served(service) as address:
        yield f"{address}/api/v1"
        service.webhooks.api.state.streams.stop()


class Follower:
    """Reads a live log, and remembers the last event's id."""

    def __init__(self, response: httpx.Response) -> None:
        self.last = ""
        self._lines = response.aiter_lines()

    async def begun(self) -> None:
        """Wait until it follows: what is recorded from here on comes."""
        assert await self._line() == "retry: 2000"
        await self._line()
        assert await self._line() == ""

    async def attempts(self, count: int) -> list[Any]:
        """Wait for so many attempts."""
        return [await self.attempt() for _ in range(count)]

    async def attempt(self) -> Any:
        """Wait for the next attempt."""
        data = None
        while True:
            line = await self._line()
            if line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
            if line == "" and data is not None:
                return data

    async def ended(self) -> bool:
        """Wait for the end, past signs of life; say that it came."""
        try:
            while not (await self._line()).startswith("data: "):
                pass
        except StopAsyncIteration:
            return True
        return False

    async def _line(self) -> str:
        async with asyncio.timeout(PATIENCE):
            line: str = await anext(self._lines)
        if line.startswith("id: "):
            self.last = line.removeprefix("id: ")
        return line


@asynccontextmanager
async def following(
    address: str, token: str, path: str = "/app/acme/delivery/live", last: str = "", **query: str
) -> AsyncIterator[Follower]:
    headers = {"authorization": f"Bearer {token}"} | ({"last-event-id": last} if last else {})
    async with (
        httpx.AsyncClient(timeout=PATIENCE) as client,
        client.stream("GET", f"{address}{path}", headers=headers, params=query) as response,
    ):
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        follower = Follower(response)
        await follower.begun()
        yield follower


async def test_attempts_come_as_they_are_recorded(scene: Scene, address: str, receiver: FakeReceiver) -> None:
    await scene.endpoint(receiver.url)
    await scene.send()
    await scene.deliver()

    async with following(address, scene.service.token()) as log:
        message_id = await scene.send(event_type="invoice.void")
        await scene.deliver()
        attempt = await log.attempt()

    assert (attempt["msgId"], attempt["status"], attempt["url"]) == (message_id, 0, receiver.url)
    assert (attempt["eventType"], attempt["appUid"], attempt["responseHeaders"]) == ("invoice.void", "acme", None)


async def test_who_comes_again_gets_what_was_recorded_meanwhile_once(
    scene: Scene, address: str, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PAGE", 3)
    await scene.endpoint(receiver.url)
    token = scene.service.token()
    async with following(address, token) as log:
        made = await scene.send_many(5)
        await scene.deliver()
        seen = [(await log.attempt())["msgId"] for _ in range(2)]  # of the first page, not all of it
        last = log.last

    made += await scene.send_many(4)
    await scene.deliver()
    async with following(address, token, last=last) as log:
        seen += [attempt["msgId"] for attempt in await log.attempts(7)]
        made += [await scene.send()]
        await scene.deliver()
        seen.append((await log.attempt())["msgId"])

    assert sorted(seen) == sorted(made)
    assert len(seen) == len(set(seen)) == 10


async def test_a_customer_sees_its_own_and_the_environment_everybodys(
    scene: Scene, address: str, receiver: FakeReceiver
) -> None:
    await scene.endpoint(receiver.url)
    await scene.endpoint(receiver.url, customer="other")
    app_id = (await scene.get("/app/acme"))["id"]
    token = scene.service.customer_token(app_id)

    async with (
        following(address, token) as mine,
        following(address, scene.service.token(), "/delivery/live") as everybodys,
    ):
        theirs = await scene.send(customer="other")
        await scene.deliver()
        own = await scene.send()
        await scene.deliver()
        assert (await mine.attempt())["msgId"] == own
        assert [one["msgId"] for one in await everybodys.attempts(2)] == [theirs, own]
    async with scene.service.client(token) as client:
        assert (await client.get("/app/other/delivery/live")).status_code == 404
        assert (await client.get("/delivery/live")).status_code == 403


async def test_a_log_is_narrowed(scene: Scene, address: str, receiver: FakeReceiver) -> None:
    receiver.answer(200, body=b"fine")
    receiver.answer(500, times=1)
    await scene.endpoint(receiver.url, uid="mine")
    await scene.endpoint(uid="nobody")

    query = {"endpoint_id": "mine", "status": "0", "event_types": "invoice.paid", "with_content": "true"}
    async with following(address, scene.service.token(), **query) as log:
        await scene.send()  # fails
        await scene.deliver()
        await scene.send(event_type="invoice.void")
        await scene.deliver()
        message_id = await scene.send()
        await scene.deliver()
        attempt = await log.attempt()

    assert (attempt["msgId"], attempt["statusText"]) == (message_id, "success")
    assert attempt["response"] == "fine"


async def test_a_log_ends_when_its_credential_is_revoked(
    scene: Scene, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anzol.api.access.FRESH", 0.01)
    app_id = (await scene.get("/app/acme"))["id"]

    async with following(address, scene.service.customer_token(app_id)) as log:
        await (await scene.storage()).delete_customer("production", "acme")
        assert await log.ended()


async def test_a_log_ends_when_its_token_expires(scene: Scene, address: str) -> None:
    soon = scene.now // 1_000_000 + 2

    async with following(address, scene.service.token(expires_at=soon)) as log:
        assert await log.ended()


async def test_logs_are_bounded_in_number_and_a_place_is_free_again_afterwards(scene: Scene, address: str) -> None:
    token = scene.service.token()
    headers = {"authorization": f"Bearer {token}"}

    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(headers=headers, timeout=PATIENCE) as client:
        async with contextlib.AsyncExitStack() as open_logs:
            for _ in range(streams.MOST_OF_ONE):
                await open_logs.enter_async_context(following(address, token))
            refused = await client.get(f"{address}/app/acme/delivery/live")
            async with following(address, scene.service.token(expires_at=FAR - 1)) as other:
                assert other.last
        while scene.service.webhooks.api.state.streams.open:
            await asyncio.sleep(0.01)

    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "rate_limited", "5")
    async with following(address, token) as log:
        assert log.last


async def test_all_logs_end_when_the_server_is_told_to_stop(scene: Scene, address: str) -> None:
    async with following(address, scene.service.token()) as log:
        scene.service.webhooks.api.state.streams.stop()
        assert await log.ended()


async def test_a_server_that_got_a_signal_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        should_exit = False

        def handle(self, *_: object) -> None: ...

    server = Server()
    monkeypatch.setattr(signal, "getsignal", lambda _: server.handle)
    assert not streams.server_stops()
    server.should_exit = True
    assert streams.server_stops()


async def test_a_server_that_is_told_to_end_does_so_with_a_log_open(scene: Scene, url: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, serving(url, listener) as process:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
        async with following(address, scene.service.token()) as log:
            process.send_signal(signal.SIGTERM)
            assert await log.ended()
        assert await asyncio.to_thread(process.wait, PATIENCE) in (0, -signal.SIGTERM)


@contextlib.contextmanager
def serving(url: str, listener: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process of its own, as uvicorn runs any application; it answers as soon as it can."""
    environment = {
        **os.environ,
        "ANZOL_DATABASE_URL": url,
        "ANZOL_SECRET_KEY": KEY,
        "ANZOL_ENVIRONMENT": ENVIRONMENT,
        "ANZOL_WORKER": "off",
    }
    script = [sys.executable, "-c", SERVER, str(listener.fileno())]
    process = subprocess.Popen(script, env=environment, pass_fds=[listener.fileno()])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_quiet_log_shows_that_it_lives_and_where_it_stands(
    scene: Scene, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.01)

    async with following(address, scene.service.token()) as log:
        first = [await log._line() for _ in range(3)]

    assert (first[0], first[1][:4], first[2]) == (": still here", "id: ", "")


@pytest.mark.parametrize("last", ["!!", "bm90aGluZw", "MS4wOjA6LjIuMDowOi4w", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA"])
async def test_an_events_id_that_is_none_is_refused_before_the_stream(scene: Scene, last: str) -> None:
    answer = await scene.client.get("/app/acme/delivery/live", headers={"last-event-id": last})

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
