"""Holding back, letting go and calling off through the API."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    "parts",
    [{"appId": "acme"}, {"eventType": "invoice.paid"}, {"appId": "acme", "endpointId": "mine"}, {"everything": True}],
)
async def test_what_is_held_back_is_delivered_once_it_is_let_go(
    scene: Scene, receiver: FakeReceiver, parts: dict[str, Any]
) -> None:
    await scene.endpoint(receiver.url, uid="mine")
    rule = await scene.post("/pause", parts, 201)
    await scene.send()
    await scene.deliver()

    held = (await scene.get("/app/acme/delivery"))["data"]
    listed = (await scene.get("/pause"))["data"]
    assert (receiver.requests, [one["state"] for one in held]) == ([], ["pending"])
    assert [one["id"] for one in listed] == [rule["id"]]
    assert rule["appUid"] == parts.get("appId")
    assert rule["eventType"] == parts.get("eventType")

    assert await scene.post("/resume", parts) == {"resumed": 1}
    await scene.deliver()
    assert len(receiver.requests) == 1
    assert (await scene.get("/pause"))["data"] == []


@pytest.mark.parametrize("parts", [{}, {"appId": None}, {"appId": "acme", "everything": True}, {"eventType": "a b"}])
async def test_a_pause_that_names_nothing_is_refused(scene: Scene, parts: dict[str, Any]) -> None:
    for path in ("/pause", "/resume"):
        answer = await scene.client.post(path, json=parts)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


@pytest.mark.parametrize("parts", [{"appId": "nobody"}, {"endpointId": "ep_x"}, {"appId": "acme", "endpointId": "x"}])
async def test_what_is_not_there_cannot_be_held_back(scene: Scene, parts: dict[str, Any]) -> None:
    assert (await scene.client.post("/pause", json=parts)).status_code in (404, 422)


async def test_a_customer_holds_back_its_own_endpoint_but_takes_back_no_operators_rule(scene: Scene) -> None:
    endpoint = await scene.endpoint(uid="mine")
    theirs = await scene.endpoint(uid="theirs", customer="other")
    app_id = (await scene.get("/app/acme"))["id"]

    async with scene.service.client(scene.service.customer_token(app_id)) as client:
        paused = await client.post("/app/acme/endpoint/mine/pause")
        assert (paused.status_code, paused.json()["endpointId"]) == (201, endpoint.id)
        assert paused.json()["actor"].startswith("customer:")
        assert (await client.post("/app/acme/endpoint/mine/resume")).json() == {"resumed": 1}
        assert (await client.post(f"/app/acme/endpoint/{theirs.id}/pause")).status_code == 404
        assert (await client.post("/pause", json={"everything": True})).status_code == 403
        assert (await client.get("/pause")).status_code == 403

        await scene.post("/app/acme/endpoint/mine/pause", status=201)
        refused = await client.post("/app/acme/endpoint/mine/resume")
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert await scene.post("/app/acme/endpoint/mine/resume") == {"resumed": 1}


async def test_what_would_be_called_off_is_counted_first(scene: Scene, receiver: FakeReceiver) -> None:
    await scene.endpoint(uid="mine")
    await scene.endpoint(receiver.url, uid="well")
    await scene.send(tags=("vip",))
    await scene.send(event_type="invoice.void")
    await scene.deliver()

    async def counted(**parts: Any) -> Any:
        return await scene.post("/app/acme/cancel/preview", parts)

    assert await counted() == {"count": 2, "more": False}
    assert await counted(tag="vip") == await counted(eventTypes=["invoice.void"]) == {"count": 1, "more": False}
    assert await counted(endpointId="well") == {"count": 0, "more": False}
    assert await scene.post("/cancel/preview", {"appId": "acme"}) == {"count": 2, "more": False}


async def test_calling_off_is_a_task_that_leaves_everything_else_alone(scene: Scene) -> None:
    await scene.endpoint(uid="mine")
    other = await scene.send()
    called_off = await scene.send(event_type="invoice.void", key="order-1")
    await scene.deliver()

    begun = await scene.post("/app/acme/cancel", {"eventTypes": ["invoice.void"]}, 202)
    await scene.deliver()

    task = await scene.get(f"/background-task/{begun['id']}")
    states = {one["msgId"]: one["state"] for one in (await scene.get("/app/acme/delivery"))["data"]}
    assert (begun["task"], task["data"]) == ("delivery.cancel", {"changed": 1})
    assert states == {other: "pending", called_off: "cancelled"}


async def test_calling_off_everything_must_be_said_by_a_part(scene: Scene) -> None:
    bodies: list[dict[str, Any]] = [{}, {"tag": None}, {"eventTypes": []}]
    for body in bodies:
        for path in ("/cancel", "/cancel/preview"):
            answer = await scene.client.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


async def test_a_customer_calls_off_its_own_only(scene: Scene) -> None:
    await scene.endpoint(uid="mine")
    theirs = await scene.endpoint(customer="other")
    await scene.send(customer="other")
    await scene.send()
    await scene.deliver()
    app_id = (await scene.get("/app/acme"))["id"]

    async with scene.service.client(scene.service.customer_token(app_id)) as client:
        assert (await client.post("/app/acme/cancel/preview", json={})).json()["count"] == 1
        assert (await client.post("/app/acme/cancel", json={"endpointId": theirs.id})).status_code == 404
        assert (await client.post("/app/other/cancel", json={})).status_code == 404
        assert (await client.post("/cancel", json={"appId": "acme"})).status_code == 403
        assert (await client.post("/cancel/preview", json={"appId": "acme"})).status_code == 403
