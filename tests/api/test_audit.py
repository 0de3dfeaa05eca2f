"""The audit log through the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.conftest import Service
from tests.api.scene import Scene, ids_of, scene_of


@pytest.fixture
async def scene(service: Service) -> AsyncIterator[Scene]:
    async with scene_of(service) as scene:
        yield scene


async def test_every_change_says_who_made_it(scene: Scene) -> None:
    endpoint = await scene.endpoint(uid="mine")
    await scene.post("/app/acme/endpoint/mine/pause", status=201)

    paused, created, *_ = (await scene.get("/audit"))["data"]

    assert (paused["action"], paused["actor"], paused["objectId"]) == ("deliveries.paused", "token", endpoint.id)
    assert (created["action"], created["actor"], created["appUid"]) == ("endpoint.created", "code", "acme")
    assert paused["timestamp"] >= created["timestamp"]


async def test_entries_are_narrowed(scene: Scene) -> None:
    await scene.endpoint(uid="mine")
    await scene.endpoint(customer="other")
    await scene.post("/app/acme/endpoint/mine/pause", status=201)

    async def found(path: str = "/audit", **query: Any) -> list[str]:
        return [one["action"] for one in (await scene.get(path, **query))["data"]]

    assert await found(actor="token") == await found(action="deliveries.paused") == ["deliveries.paused"]
    assert await found(app_id="other", action="endpoint.created") == ["endpoint.created"]
    assert "deliveries.paused" not in await found("/app/other/audit")
    assert (await found("/app/acme/audit"))[:2] == ["deliveries.paused", "endpoint.created"]
    assert (await scene.client.get("/audit?app_id=nobody")).status_code == 404


async def test_600_entries_are_paged_both_ways(scene: Scene) -> None:
    storage = await scene.storage()
    for number in range(600):
        await storage.note("production", "endpoint.probed", str(number), customer="acme")

    pages = await scene.pages("/app/acme/audit", 250, action="endpoint.probed")

    assert ids_of(pages, "objectId") == [str(number) for number in reversed(range(600))]


async def test_a_customer_sees_its_own_entries_and_no_operators_name(scene: Scene) -> None:
    await scene.endpoint(uid="mine")
    await scene.endpoint(customer="other")
    app_id = (await scene.get("/app/acme"))["id"]

    async with scene.service.client(scene.service.customer_token(app_id)) as client:
        await client.post("/app/acme/endpoint/mine/pause")
        await scene.post("/app/acme/endpoint/mine/resume")
        entries = (await scene.get("/app/acme/audit", client))["data"]
        assert (await client.get("/audit")).status_code == 403
        assert (await client.get("/app/other/audit")).status_code == 404

    assert [(one["action"], one["actor"]) for one in entries][:3] == [
        ("deliveries.resumed", "operator"),
        ("deliveries.paused", "customer:acme"),
        ("endpoint.created", "operator"),
    ]
    assert {one["appUid"] for one in entries} == {"acme"}
