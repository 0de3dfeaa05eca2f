"""Taking all of a customer's along, and erasing it, through the API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from anzol.testing import FakeReceiver
from tests.api.conftest import Service
from tests.api.scene import SECRET, Scene, scene_of


@pytest.fixture
async def scene(service: Service) -> AsyncIterator[Scene]:
    async with scene_of(service) as scene:
        yield scene


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver(SECRET) as receiver:
        yield receiver


async def exported(scene: Scene, customer: str = "acme") -> list[Any]:
    answer = await scene.client.get(f"/app/{customer}/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_an_export_has_everything_but_secrets(scene: Scene, receiver: FakeReceiver) -> None:
    await scene.endpoint(receiver.url, uid="mine", headers=(("authorization", "Bearer canary"),))
    await scene.endpoint(customer="other")
    message_id = await scene.send({"amount": 9.9}, headers=(("x-trace", "1"),))
    await scene.send({"theirs": 1}, customer="other")
    await scene.deliver()

    lines = await exported(scene)

    assert [line["type"] for line in lines] == ["application", "endpoint", "message", "delivery", "attempt", "end"]
    application, endpoint, message, delivery, attempt, end = lines
    assert (application["uid"], endpoint["uid"], endpoint["headers"]) == ("acme", "mine", ["authorization"])
    assert (message["payload"], message["headers"]) == ({"amount": 9.9}, [["x-trace", "1"]])
    assert message_id == message["id"] == delivery["msgId"] == attempt["msgId"]
    assert end["counts"] == {"application": 1, "endpoint": 1, "message": 1, "delivery": 1, "attempt": 1}
    assert "canary" not in json.dumps(lines)
    assert SECRET not in json.dumps(lines)


async def test_an_export_of_many_pages_is_whole(scene: Scene) -> None:
    made = await scene.send_many(305)

    lines = await exported(scene)

    assert {line["id"] for line in lines if line["type"] == "message"} == {*made}
    assert lines[-1]["counts"]["message"] == 305


async def test_what_was_erased_is_gone_and_the_rest_stays(scene: Scene, receiver: FakeReceiver) -> None:
    endpoint = await scene.endpoint(receiver.url)
    await scene.endpoint(customer="other")
    message_id = await scene.send({"card": "4242"})
    theirs = await scene.send({"theirs": 1}, customer="other")
    await scene.deliver()
    app_id = (await scene.get("/app/acme"))["id"]

    answer = await scene.post("/app/acme/erase")

    assert (answer["appId"], len(answer["remains"])) == (app_id, 4)
    for path in ("/app/acme", f"/app/acme/msg/{message_id}", f"/app/acme/endpoint/{endpoint.id}", "/app/acme/export"):
        assert (await scene.client.get(path)).status_code == 404, path
    assert (await scene.get(f"/app/other/msg/{theirs}"))["payload"] == {"theirs": 1}
    assert len(await exported(scene, "other")) == 6  # one of each, and the end


async def test_a_customer_takes_its_own_along_and_erases_nothing(scene: Scene) -> None:
    app_id = (await scene.get("/app/acme"))["id"]

    async with scene.service.client(scene.service.customer_token(app_id)) as client:
        assert (await client.get("/app/acme/export")).status_code == 200
        assert (await client.get("/app/other/export")).status_code == 404
        assert (await client.post("/app/acme/erase")).status_code == 403
