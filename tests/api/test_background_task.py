"""Changes to many, and counts, through the API; workers do them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from anzol.clock import from_micros
from anzol.testing import FakeReceiver
from tests.api.conftest import Service
from tests.api.scene import SECRET, Scene, ids_of, scene_of


@pytest.fixture
async def scene(service: Service) -> AsyncIterator[Scene]:
    async with scene_of(service) as scene:
        yield scene


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver(SECRET) as receiver:
        yield receiver


def since(scene: Scene, seconds: float = 3600) -> str:
    return (from_micros(scene.now) - timedelta(seconds=seconds)).isoformat()


async def gone_through(scene: Scene, task_id: str) -> Any:
    """Have a worker do it; return it."""
    await scene.deliver()
    return await scene.get(f"/background-task/{task_id}")


async def test_recovering_delivers_again_what_was_given_up(scene: Scene, receiver: FakeReceiver) -> None:
    receiver.answer(500, times=2)
    await scene.endpoint(receiver.url, uid="mine", schedule=(timedelta(0),))
    for _ in range(3):
        await scene.send()
        await scene.deliver()

    begun = await scene.post("/app/acme/endpoint/mine/recover", {"since": since(scene)}, 202)
    task = await gone_through(scene, begun["id"])

    assert (begun["task"], begun["status"], begun["id"][:6]) == ("endpoint.recover", "running", "qtask_")
    assert (task["status"], task["state"], task["data"]) == ("finished", "finished", {"changed": 2})
    assert len(receiver.requests) == 5
    assert {one["status"] for one in (await scene.get("/app/acme/endpoint/mine/msg"))["data"]} == {0}


async def test_replaying_what_is_missing_delivers_messages_from_before_the_endpoint(
    scene: Scene, receiver: FakeReceiver
) -> None:
    await scene.send_many(3)
    await scene.deliver()
    await scene.endpoint(receiver.url, uid="mine")

    begun = await scene.post("/app/acme/endpoint/mine/replay-missing", {"since": since(scene)}, 202)
    task = await gone_through(scene, begun["id"])
    await scene.deliver()

    assert (begun["task"], task["data"]) == ("endpoint.replay", {"changed": 3})
    assert len(receiver.requests) == 3


async def test_replaying_in_bulk_delivers_again_what_fits(scene: Scene, receiver: FakeReceiver) -> None:
    await scene.endpoint(receiver.url, uid="mine")
    await scene.send(event_type="invoice.void", tags=("vip",))
    await scene.send(event_type="invoice.void")
    await scene.send(tags=("vip",))
    await scene.deliver()

    body = {"since": since(scene), "eventTypes": ["invoice.void"], "tag": "vip", "status": 0, "statusCodeClass": 200}
    begun = await scene.post("/app/acme/endpoint/mine/bulk-replay", body, 202)
    task = await gone_through(scene, begun["id"])
    await scene.deliver()

    assert (begun["task"], task["data"]) == ("endpoint.bulk-replay", {"changed": 1})
    assert [request.event_type for request in receiver.requests].count("invoice.void") == 3


@pytest.mark.parametrize(
    "body",
    [{}, {"since": "yesterday"}, {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, {"since": None}],
)
async def test_a_span_that_is_none_is_refused(scene: Scene, body: dict[str, Any]) -> None:
    await scene.endpoint(uid="mine")

    for operation in ("recover", "replay-missing", "bulk-replay"):
        answer = await scene.client.post(f"/app/acme/endpoint/mine/{operation}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), operation


async def test_what_is_pending_is_not_replayed(scene: Scene) -> None:
    await scene.endpoint(uid="mine")

    body = {"since": since(scene), "status": 1}
    answer = await scene.client.post("/app/acme/endpoint/mine/bulk-replay", json=body)

    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "status"])


async def test_a_task_that_is_called_off_has_failed_to_those_who_know_no_more(scene: Scene) -> None:
    await scene.endpoint(uid="mine")
    begun = await scene.post("/app/acme/endpoint/mine/recover", {"since": since(scene)}, 202)

    called_off = await scene.post(f"/background-task/{begun['id']}/cancel")

    assert (called_off["status"], called_off["state"]) == ("failed", "cancelled")
    assert await gone_through(scene, begun["id"]) == called_off
    assert await scene.post(f"/background-task/{begun['id']}/cancel") == called_off


async def test_tasks_are_listed_by_status_and_kind_and_paged_both_ways(scene: Scene) -> None:
    await scene.endpoint(uid="mine")
    made = [(await scene.post("/app/acme/endpoint/mine/recover", {"since": since(scene)}, 202))["id"] for _ in range(5)]
    await scene.deliver()
    replay = (await scene.post("/app/acme/endpoint/mine/replay-missing", {"since": since(scene)}, 202))["id"]
    cancel = (await scene.post("/app/acme/cancel", {"tag": "vip"}, 202))["id"]

    async def found(**query: Any) -> list[str]:
        return ids_of([(await scene.get("/background-task", **query))["data"]])

    assert await found(status="running") == await found(task="endpoint.replay") == [replay]
    assert await found(status="finished", task="endpoint.recover") == made[::-1]
    assert await found(order="ascending") == [*made, replay]
    assert await found(task="delivery.cancel") == [cancel]  # no client knows this kind: only who asks sees it
    assert await found(status="failed") == []
    assert ids_of(await scene.pages("/background-task", 2, task="endpoint.recover")) == made[::-1]


async def test_applications_are_counted(scene: Scene, receiver: FakeReceiver) -> None:
    await scene.endpoint(receiver.url)
    await scene.send_many(3)
    await scene.deliver()
    app_id = (await scene.get("/app/acme"))["id"]

    until = (from_micros(scene.now) + timedelta(seconds=1)).isoformat()
    body = {"since": since(scene), "until": until, "appIds": ["acme", "nobody"]}
    begun = await scene.post("/stats/usage/app", body, 202)
    task = await gone_through(scene, begun["id"])

    assert (begun["task"], begun["unresolvedAppIds"]) == ("application.stats", ["nobody"])
    (counted,) = task["data"]["appStats"]
    assert (counted["appId"], counted["appUid"], counted["messageDestinations"]) == (app_id, "acme", 3)
    refused = await scene.client.post("/stats/usage/app", json={**body, "appIds": ["nobody"]})
    assert refused.status_code == 422


async def test_event_types_that_are_subscribed_to_are_found(scene: Scene) -> None:
    await scene.endpoint(event_types=("invoice.paid",))
    app_id = (await scene.get("/app/acme"))["id"]

    answer = await scene.client.put("/stats/usage/event-types")
    task = await gone_through(scene, answer.json()["id"])

    assert (answer.status_code, answer.json()["task"]) == (202, "event-type.aggregate")
    assert task["data"]["event_types"] == [
        {"appId": app_id, "explicitlySubscribedEventTypes": ["invoice.paid"], "hasCatchAllEndpoint": False}
    ]


async def test_a_customer_begins_and_sees_its_own_tasks_only(scene: Scene) -> None:
    await scene.endpoint(uid="mine")
    await scene.endpoint(uid="theirs", customer="other")
    theirs = (await scene.post("/app/other/endpoint/theirs/recover", {"since": since(scene)}, 202))["id"]
    app_id = (await scene.get("/app/acme"))["id"]

    async with scene.service.client(scene.service.customer_token(app_id)) as client:
        begun = await client.post("/app/acme/endpoint/mine/recover", json={"since": since(scene)})
        assert begun.status_code == 202
        assert ids_of([(await scene.get("/background-task", client))["data"]]) == [begun.json()["id"]]
        assert (await client.get(f"/background-task/{theirs}")).status_code == 404
        assert (await client.post(f"/background-task/{theirs}/cancel")).status_code == 404
        other = await client.post("/app/other/endpoint/theirs/recover", json={"since": since(scene)})
        assert other.status_code == 404
        assert (await client.put("/stats/usage/event-types")).status_code == 403


async def test_a_task_that_is_not_there_is_said_to_be_none(scene: Scene) -> None:
    assert [
        (await scene.client.get(path)).status_code for path in ("/background-task/qtask_x", "/background-task/x")
    ] == [404, 404]
