"""Trying a URL before it is registered: useful to a customer, of no use to who looks for open ports."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from anzol.api import probe
from anzol.testing import FakeReceiver
from tests.api.conftest import Service, make
from tests.api.scene import SECRET, Scene, scene_of

PATH = "/app/acme/endpoint/probe"


@pytest.fixture
async def scene(service: Service) -> AsyncIterator[Scene]:
    async with scene_of(service) as scene:
        yield scene


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for long."""
    monkeypatch.setattr(probe, "DEADLINE", 0.3)


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver(SECRET) as receiver:
        yield receiver


async def test_a_receiver_is_asked_once_by_a_signed_request(scene: Scene, receiver: FakeReceiver) -> None:
    receiver.answer(200, body=b"secret answer")

    found = await scene.post(PATH, {"url": receiver.url, "secret": SECRET})

    (request,) = receiver.requests
    assert (request.method, request.event_type, request.verified) == ("POST", "endpoint.probe", True)
    assert request.json()["type"] == "endpoint.probe"
    assert (found["ok"], found["answered"], found["statusCode"], found["detail"]) == (True, True, 200, "")
    assert "secret" not in str(found)


async def test_an_answer_that_would_be_a_failure_is_said_to_be_one(scene: Scene, receiver: FakeReceiver) -> None:
    receiver.answer(302, headers={"location": receiver.url})

    found = await scene.post(PATH, {"url": receiver.url})

    assert (found["ok"], found["answered"], found["statusCode"]) == (False, True, 302)
    assert len(receiver.requests) == 1  # it is not followed


async def test_closed_silent_and_strange_ports_are_told_alike_after_one_time(
    scene: Scene, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(probe, "sleep", wait)
    receiver.hang_up()
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        closing(socket.create_server(("127.0.0.1", 0))) as s,
    ):
        closed = s.getsockname()[1]
        s.close()
        urls = [
            f"http://127.0.0.1:{closed}/",
            f"http://127.0.0.1:{silent.getsockname()[1]}/",
            f"https://127.0.0.1:{receiver.url.split(':')[2]}",
            receiver.url,
        ]
        found = [await scene.post(PATH, {"url": url}) for url in urls]

    assert all(one == found[0] for one in found)
    assert (found[0]["answered"], found[0]["statusCode"], found[0]["durationMs"]) == (False, None, None)
    assert len(waited) == len(urls)  # each for what was left of the time that all take


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "http://169.254.1.1/",
        "http://[fd00::1]/",
        "http://0x7f.1/",
        "ftp://example.com/",
        "not a url",
        "http://user:password@example.com/",
        "http://127.0.0.1:22/",
    ],
)
async def test_an_address_that_is_not_open_is_refused_and_not_dialled(tmp_path: Path, url: str) -> None:
    service = make(f"sqlite:///{tmp_path}/anzol.db", worker=False, ports="80,443,1024-65535")
    async with scene_of(service) as scene:
        answer = await scene.client.post(PATH, json={"url": url})
    await service.webhooks.close()

    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "url"])


@pytest.mark.parametrize("body", [{}, {"url": None}, {"url": 7}, {"url": "http://example.com/" + "a" * 2048}])
async def test_what_is_no_url_is_refused(scene: Scene, body: dict[str, object]) -> None:
    assert (await scene.client.post(PATH, json=body)).status_code == 422


async def test_a_customer_has_ten_a_minute_and_takes_nothing_from_the_others(
    scene: Scene, receiver: FakeReceiver
) -> None:
    for _ in range(probe.OF_CUSTOMER):
        await scene.post(PATH, {"url": receiver.url})

    refused = await scene.client.post(PATH, json={"url": receiver.url})
    other = await scene.client.post("/app/other/endpoint/probe", json={"url": receiver.url})

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 6
    assert other.status_code == 200
    assert len(receiver.requests) == probe.OF_CUSTOMER + 1


async def test_an_environment_has_sixty_a_minute(scene: Scene, receiver: FakeReceiver) -> None:
    rates = scene.service.webhooks.api.state.probes = probe.Rates()
    for number in range(probe.OF_ENVIRONMENT):
        rates.check("production", str(number))

    refused = await scene.client.post(PATH, json={"url": receiver.url})

    assert (refused.status_code, receiver.requests) == (429, [])


async def test_a_probe_is_in_the_audit_log_by_host(scene: Scene, receiver: FakeReceiver) -> None:
    await scene.post(PATH, {"url": f"{receiver.url}?token=canary"})

    (entry,) = (await scene.get("/audit", action="endpoint.probed"))["data"]

    assert (entry["actor"], entry["appUid"], entry["detail"]) == ("token", "acme", {"host": "127.0.0.1"})


async def test_a_customer_probes_for_itself_alone(scene: Scene, receiver: FakeReceiver) -> None:
    from anzol.api.tokens import Capability

    app_id = (await scene.get("/app/acme"))["id"]

    async with scene.service.client(scene.service.customer_token(app_id)) as client:
        assert (await client.post(PATH, json={"url": receiver.url})).status_code == 200
        assert (await client.post("/app/other/endpoint/probe", json={"url": receiver.url})).status_code == 404
    async with scene.service.client(scene.service.customer_token(app_id, Capability.VIEW)) as client:
        assert (await client.post(PATH, json={"url": receiver.url})).status_code == 403
