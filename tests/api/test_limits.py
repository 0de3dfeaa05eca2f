"""Limits: what is too large, too fast, too much at once or no JSON is refused in JSON, and early."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from anzol.api import limits
from anzol.api.hot import Hot
from anzol.api.limits import Buckets, Door, network_of
from anzol.api.problems import Problem
from tests.api.conftest import Service, make, served

SMALL = 64 * 1024 + 1024  # bytes of a body where a payload may have a KiB


async def made(client: httpx.AsyncClient, uid: str = "acme") -> str:
    answer = await client.post("/app", json={"name": uid, "uid": uid})
    return str(answer.json()["id"])


def message(size: int) -> bytes:
    """Return a message whose body has *size* bytes, most of them blanks around its payload."""
    frame = b'{"eventType":"a","payload":{}%b}'
    return frame % (b" " * (size - len(frame) + 2))


async def pieces(body: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.fixture
def tight(url: str) -> Any:
    """An API that takes payloads of a KiB."""
    service = make(url, worker=False, payload_limit=1024)
    yield service
    service.webhooks.wait(service.webhooks.close())


# --- sizes


async def test_a_payload_over_the_limit_is_refused(tight: Service) -> None:
    def sized(size: int) -> bytes:
        return b'{"eventType":"a","payload":"%b"}' % (b"y" * (size - 2))

    async with tight.client() as client:
        await made(client)
        answers = [
            await client.post("/app/acme/msg", content=sized(size), headers={"content-type": "application/json"})
            for size in (1024, 1025)
        ]
        batch = b'{"messages":[%b,%b]}' % (sized(10), sized(1025))
        answers.append(
            await client.post("/app/acme/msg/batch", content=batch, headers={"content-type": "application/json"})
        )

    assert [answer.status_code for answer in answers] == [202, 413, 413]
    assert answers[1].json()["code"] == "too_large"


@pytest.mark.parametrize("path", ["/app/acme/msg", "/app", "/app/acme/endpoint", "/nothing"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_body_over_the_limit_is_refused_also_when_nobody_says_how_long_it_is(
    tight: Service, path: str, streamed: bool
) -> None:
    body = message(SMALL + 1)
    async with tight.client() as client:
        await made(client)
        answer = await client.post(
            path, content=pieces(body) if streamed else body, headers={"content-type": "application/json"}
        )

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_no_more_of_a_body_is_read_than_is_taken(tight: Service) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield b" " * 1000

    async with tight.client() as client, asyncio.timeout(20):
        await made(client)
        answer = await client.post("/app/acme/msg", content=endless(), headers={"content-type": "application/json"})

    assert answer.status_code == 413
    assert read <= SMALL + 2000


async def test_a_body_in_pieces_is_a_body(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        answer = await client.post(
            "/app/acme/msg", content=pieces(message(5000), 7), headers={"content-type": "application/json"}
        )

    assert answer.status_code == 202


@pytest.mark.parametrize("path", ["/api/v1/app/acme/msg", "/api/v1/app"])
async def test_a_length_that_is_too_large_is_refused_before_anything_is_read(tight: Service, path: str) -> None:
    sent: list[Any] = []
    await tight.webhooks.api(post(tight, [(b"content-length", b"1000000")], path), unread, sender(sent))

    assert sent[0]["status"] == 413


def post(service: Service, headers: list[tuple[bytes, bytes]], path: str = "/api/v1/app/acme/msg") -> dict[str, Any]:
    bearer = (b"authorization", f"Bearer {service.token()}".encode())
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [bearer, *headers],
        "client": ("127.0.0.1", 1),
        "server": ("api", 80),
        "scheme": "http",
        "http_version": "1.1",
    }


def going_away() -> Any:
    parts = iter([{"type": "http.request", "body": b'{"eventType"', "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(parts)

    return receive


async def unread() -> Any:
    raise AssertionError("the body was read")


def sender(sent: list[Any]) -> Any:
    async def send(part: Any) -> None:
        sent.append(part)

    return send


async def test_who_goes_away_in_the_middle_is_not_answered_and_stores_nothing(service: Service) -> None:
    sent: list[Any] = []
    async with service.client() as client:
        await made(client)
        for path in ("/api/v1/app/acme/msg", "/api/v1/app"):
            await service.webhooks.api(post(service, [], path), going_away(), sender(sent))
        listed = (await client.get("/app/acme/msg")).json()["data"]

    assert (sent, listed) == ([], [])
    assert (service.webhooks.api.door.requests, service.webhooks.api.door.bytes) == (0, 0)


# --- what a body is


@pytest.mark.parametrize("path", ["/app", "/app/acme/msg", "/app/acme/msg/batch", "/event-type"])
@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "json", ""]
)
async def test_a_body_that_says_it_is_no_json_is_refused(service: Service, path: str, kind: str) -> None:
    async with service.client() as client:
        answer = await client.post(path, content=b'{"name":"x"}', headers={"content-type": kind})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/x+json", None])
async def test_a_body_that_is_json_or_does_not_say_is_read(service: Service, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    async with service.client() as client:
        answers = [
            await client.post("/app", content=b'{"name":"x","uid":"acme"}', headers=headers),
            await client.post("/app/acme/msg", content=b'{"eventType":"a","payload":{}}', headers=headers),
        ]

    assert [answer.status_code for answer in answers] == [201, 202]


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"x","name":"y"}',
        b'{"name":"x","metadata":{"a":"1","a":"2"}}',
        b'{"name":NaN}',
        b'{"name":"x"} {}',
        b'\xef\xbb\xbf{"name":"x"}',
        b'{"name":"\xff"}',
        b'{"name":' + b"[" * 70 + b"]" * 70 + b"}",
        b'{"name":' + b"[" * 100_000,
        b'{"name":1' + b"0" * 5000 + b"e}",
    ],
)
async def test_what_is_read_in_two_ways_is_refused_everywhere(service: Service, body: bytes) -> None:
    async with service.client() as client:
        for method, path in (("POST", "/app"), ("PUT", "/app/acme"), ("PATCH", "/app/acme")):
            answer = await client.request(method, path, content=body, headers={"content-type": "application/json"})

            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_a_number_without_end_is_no_fault_of_the_servers(service: Service) -> None:
    async with service.client() as client:
        answer = await client.post(
            "/app",
            content=b'{"name":"x","throttleRate":1' + b"0" * 5000 + b"}",
            headers={"content-type": "application/json"},
        )

    assert answer.status_code in {400, 422}


# --- rates


def rated(url: str, **settings: Any) -> Service:
    return make(url, worker=False, **settings)


async def test_a_credential_that_is_too_fast_is_held_up_and_no_other(url: str) -> None:
    service = rated(url, api_rate=1)
    async with service.client() as client, service.client(service.token(session="other")) as other:
        statuses = [(await client.get("/app")).status_code for _ in range(4)]
        late = await client.get("/app")
        beside = await other.get("/app")
    await service.webhooks.close()

    assert statuses[:2] == [200, 200]
    assert (late.status_code, late.json()["code"]) == (429, "rate_limited")
    assert int(late.headers["retry-after"]) >= 1
    assert beside.status_code == 200


async def test_publishing_is_counted_like_everything_else(url: str) -> None:
    service = rated(url, api_rate=1)
    async with service.client() as client:
        answers = [await client.post("/app/acme/msg", json={"eventType": "a", "payload": {}}) for _ in range(4)]
    await service.webhooks.close()

    assert [answer.status_code for answer in answers] == [404, 404, 429, 429]


async def test_a_customers_tokens_are_counted_together(url: str) -> None:
    service = rated(url, portal_rate=1)
    async with service.client() as client:
        app_id = await made(client)
        found = [(await client.get("/app")).status_code for _ in range(10)]
    statuses = []
    for session in ("a", "b", "c", "d"):
        async with service.client(service.customer_token(app_id, session=session)) as customer:
            statuses.append((await customer.get("/app/acme")).status_code)
    await service.webhooks.close()

    assert (set(found), statuses) == ({200}, [200, 200, 429, 429])


async def test_rates_may_be_off(url: str) -> None:
    service = rated(url, api_rate="off", portal_rate="off")
    async with service.client() as client:
        app_id = await made(client)
    async with service.client(service.customer_token(app_id)) as customer:
        statuses = {(await customer.get("/app/acme")).status_code for _ in range(150)}
    await service.webhooks.close()

    assert statuses == {200}


async def test_who_guesses_keys_is_held_up_and_who_is_known_is_not(service: Service) -> None:
    async with service.client() as client, service.client(None) as guessing:
        key = (await client.post("/auth/api-token", json={"name": "k"})).json()["token"]
        later = (await client.post("/auth/api-token", json={"name": "k"})).json()["token"]
        known = {"authorization": f"Bearer {key}"}
        assert (await guessing.get("/app", headers=known)).status_code == 200
        guesses = [
            (await guessing.get("/app", headers={"authorization": f"Bearer sk_{number}"})).status_code
            for number in range(60)
        ]
        service.webhooks.api.state.credentials.forget()
        fresh = (await guessing.get("/app", headers={"authorization": f"Bearer {later}"})).status_code

        assert (guesses[0], guesses[-1], fresh) == (401, 429, 429)
        assert (await guessing.get("/app", headers=known)).status_code == 200
        assert (await client.get("/app")).status_code == 200
        assert (await guessing.get("/health/ping")).status_code == 204


class Ticking:
    """A clock for counts."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_again() -> None:
    clock = Ticking()
    buckets = Buckets(2, 4, clock)

    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    clock.now = 1
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0.5]
    clock.now = 1000
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert (buckets.wait("a"), buckets.wait("b")) == (0.5, 0)


def test_counts_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", 10)
    buckets = Buckets(1, 1, Ticking())
    for number in range(100):
        buckets.take(number)

    assert len(buckets._buckets) == 10


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_who_has_many_addresses_is_one(address: str, network: str) -> None:
    assert network_of(address) == network


# --- at once


def test_a_door_lets_in_what_fits() -> None:
    door = Door(requests=2, size=100)
    one, two = door.enter(), door.enter()
    with pytest.raises(Problem) as full:
        door.enter()
    one.hold(1000)  # one body alone always has room
    with pytest.raises(Problem):
        two.hold(1)
    one.leave()
    one.leave()
    two.hold(60)
    two.hold(100)

    assert (full.value.status, full.value.headers["retry-after"]) == (503, "1")
    assert (door.requests, door.bytes) == (1, 100)
    two.leave()
    assert (door.requests, door.bytes) == (0, 0)


async def test_a_process_that_has_enough_to_do_says_so_and_goes_on(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.webhooks.api.door = Door(requests=3)
    go_on, begun = asyncio.Event(), 0
    create = Hot.create

    async def slow(self: Hot, asked: Any) -> bytes:
        nonlocal begun
        begun += 1
        await go_on.wait()
        return await create(self, asked)

    monkeypatch.setattr(Hot, "create", slow)
    async with service.client() as client, asyncio.timeout(20):
        await made(client)
        sends = [
            asyncio.create_task(client.post("/app/acme/msg", json={"eventType": "a", "payload": {}})) for _ in range(3)
        ]
        while begun < 3:
            await asyncio.sleep(0.001)
        turned_away = [await client.get("/app"), await client.post("/app/acme/msg", json={})]
        alive = await client.get("/health/ping")
        go_on.set()
        answers = [await send for send in sends]
        again = await client.get("/app")

    assert {(one.status_code, one.json()["code"], one.headers["retry-after"]) for one in turned_away} == {
        (503, "unavailable", "1")
    }
    assert ([answer.status_code for answer in answers], alive.status_code, again.status_code) == ([202] * 3, 204, 200)


async def test_bodies_that_do_not_fit_in_memory_together_are_turned_away(tight: Service) -> None:
    door = tight.webhooks.api.door = Door(size=100_000)
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        body = message(60_000)
        yield body[:50_000]
        waiting.set()
        await go_on.wait()
        yield body[50_000:]

    async with tight.client() as client, asyncio.timeout(20):
        await made(client)
        kind = {"content-type": "application/json"}
        first = asyncio.create_task(client.post("/app/acme/msg", content=slowly(), headers=kind))
        await waiting.wait()
        second = await client.post("/app/acme/msg", content=message(60_000), headers=kind)
        go_on.set()
        await first

    assert second.status_code == 503
    assert (door.requests, door.bytes) == (0, 0)


# --- what is alike everywhere


async def test_every_error_is_json(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Hot, asked: Any) -> bytes:
        raise ZeroDivisionError

    async with service.client() as client, service.client(None) as nobody:
        await made(client)
        monkeypatch.setattr(Hot, "create", broken)
        answers = {
            404: await client.get("/nothing/here"),
            405: await client.delete("/app"),
            413: await client.post("/app", content=b" " * (2 << 20), headers={"content-type": "application/json"}),
            415: await client.post("/app", content=b"x", headers={"content-type": "text/plain"}),
            422: await client.post("/app", json={"name": 1}),
            400: await client.post("/app", content=b"{", headers={"content-type": "application/json"}),
            401: await nobody.get("/app"),
            500: await client.post("/app/acme/msg", json={"eventType": "a", "payload": {}}),
        }

    for status, answer in answers.items():
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        assert {"code", "detail"} <= set(answer.json())


async def test_a_slash_at_the_end_makes_no_difference(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        pairs = [
            (await client.request(method, path, json=body), await client.request(method, f"{path}/", json=body))
            for method, path, body in (
                ("GET", "/app", None),
                ("GET", "/app/acme", None),
                ("GET", "/app/acme/msg", None),
                ("GET", "/health", None),
                ("POST", "/app/acme/msg", {"eventType": "a", "payload": {}}),
                ("POST", "/app/acme/msg/batch", {"messages": [{"eventType": "a", "payload": {}}]}),
                ("PATCH", "/app/acme", {"name": "b"}),
                ("DELETE", "/nothing", None),
            )
        ]

    assert [one.status_code for one, _ in pairs] == [other.status_code for _, other in pairs]
    assert [one.status_code for one, _ in pairs] == [200, 200, 200, 204, 202, 202, 200, 404]


async def test_head_is_get_without_a_body(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        answers = [await client.request(method, "/app/acme") for method in ("GET", "HEAD")]
        missing = await client.head("/app/nobody")

    assert (answers[1].status_code, answers[1].content, missing.status_code) == (200, b"", 404)
    assert answers[0].headers == answers[1].headers


async def test_options_and_a_wrong_method_say_what_a_path_takes(service: Service) -> None:
    async with service.client() as client:
        answers = [
            await client.options("/app/acme/msg"),
            await client.put("/app/acme/msg"),
            await client.options("/app/acme/"),
            await client.options("/app/acme/msg/batch"),
        ]
        nowhere = await client.options("/nowhere")

    assert [(answer.status_code, answer.headers["allow"]) for answer in answers] == [
        (204, "GET, HEAD, OPTIONS, POST"),
        (405, "GET, HEAD, OPTIONS, POST"),
        (204, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        (204, "GET, HEAD, OPTIONS, POST"),
    ]
    assert nowhere.status_code == 404


def test_over_a_socket_what_is_too_large_is_answered_and_the_server_goes_on(service: Service) -> None:
    with served(service) as address:
        host, port = address.removeprefix("http://").split(":")
        head = f"POST /api/v1/app/acme/msg HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {service.token()}\r\n"
        with socket.create_connection((host, int(port)), timeout=10) as peer:
            peer.sendall(f"{head}content-type: application/json\r\ncontent-length: 100000000\r\n\r\n".encode())
            answer = peer.recv(65536)
        with socket.create_connection((host, int(port)), timeout=10) as peer:
            peer.sendall(f"{head}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".encode())
            chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
            streamed = b""
            for _ in range(20):
                peer.sendall(chunk)
            streamed = peer.recv(65536)
        with httpx.Client(base_url=f"{address}/api/v1", timeout=10) as client:
            alive = client.get("/health/ping").status_code

    assert answer.startswith(b"HTTP/1.1 413")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_large"
    assert streamed.startswith(b"HTTP/1.1 413")
    assert alive == 204
