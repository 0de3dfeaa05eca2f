"""Attempts through the API: of deliveries that were really made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from anzol.api.attempt_shapes import AttemptOut
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


async def test_an_attempt_says_what_came_of_the_request(scene: Scene, receiver: FakeReceiver) -> None:
    receiver.answer(201, headers={"x-seen": "yes"}, body=b"thank you \xff")
    endpoint = await scene.endpoint(receiver.url)
    message_id = await scene.send({"a": 1}, key="order-1")
    await scene.deliver()

    (attempt,) = (await scene.get(f"/app/acme/attempt/endpoint/{endpoint.id}"))["data"]

    assert receiver.requests[0].verified
    assert (attempt["msgId"], attempt["endpointId"], attempt["url"]) == (message_id, endpoint.id, receiver.url)
    assert (attempt["status"], attempt["statusText"], attempt["triggerType"]) == (0, "success", 0)
    assert (attempt["response"], attempt["responseStatusCode"]) == ("thank you \ufffd", 201)
    assert ["x-seen", "yes"] in [[name.lower(), value] for name, value in attempt["responseHeaders"]]
    assert (attempt["outcome"], attempt["number"], attempt["note"]) == ("ok", 1, "")
    assert attempt["timing"]["total"] >= attempt["timing"]["firstByte"] > 0
    assert attempt["responseDurationMs"] == int(attempt["timing"]["total"])
    assert await scene.get(f"/app/acme/msg/order-1/attempt/{attempt['id']}") == attempt
    assert AttemptOut.model_validate(attempt).model_dump(mode="json", exclude_unset=True).keys() == attempt.keys()


async def test_a_request_without_an_answer_has_the_status_0(scene: Scene) -> None:
    await scene.endpoint("http://127.0.0.1:9/nobody", uid="mine")
    message_id = await scene.send()
    await scene.deliver()

    (attempt,) = (await scene.get(f"/app/acme/attempt/msg/{message_id}"))["data"]

    assert (attempt["status"], attempt["statusText"], attempt["responseStatusCode"]) == (2, "fail", 0)
    assert (attempt["outcome"], attempt["response"]) == ("connection_refused", "")
    assert attempt["detail"]


async def test_attempts_are_narrowed_by_everything_that_the_dialect_names(scene: Scene, receiver: FakeReceiver) -> None:
    receiver.answer(500, times=1)
    endpoint = await scene.endpoint(receiver.url, uid="mine")
    failed = await scene.send(event_type="invoice.void", channels=("eu",), tags=("vip",))
    await scene.deliver()
    middle = from_micros(scene.now)
    well = await scene.send()
    await scene.deliver()

    async def found(**query: Any) -> list[str]:
        page = await scene.get("/app/acme/attempt/endpoint/mine", **query)
        return ids_of([page["data"]], "msgId")

    assert await found() == [well, failed]
    assert await found(status="0") == [well]
    assert await found(status="2") == [failed]
    assert await found(status="1") == await found(status="3") == await found(status="4") == []
    assert await found(status_code_class="200") == [well]
    assert await found(status_code_class="500") == [failed]
    assert await found(status_code_class="0") == []
    assert await found(channel="eu") == await found(tag="vip") == await found(event_types="invoice.void") == [failed]
    assert await found(before=middle.isoformat()) == [failed]
    assert await found(after=middle.isoformat()) == [well]
    assert await found(after=(middle + timedelta(days=1)).isoformat()) == []
    both = await scene.get(f"/app/acme/attempt/msg/{well}", endpoint_id=endpoint.id, status_code_class="200")
    assert ids_of([both["data"]], "endpointId") == [endpoint.id]


async def test_an_attempt_comes_with_its_message_or_without_contents(scene: Scene, receiver: FakeReceiver) -> None:
    receiver.answer(200, body=b"secret answer")
    endpoint = await scene.endpoint(receiver.url)
    message_id = await scene.send({"secret": 1})
    await scene.deliver()

    path = f"/app/acme/attempt/endpoint/{endpoint.id}"
    (plain,) = (await scene.get(path, with_content="false", with_msg="true"))["data"]

    assert (plain["response"], plain["responseHeaders"]) == ("", None)
    assert (plain["msg"]["id"], plain["msg"]["payload"]) == (message_id, {})
    assert "msg" not in (await scene.get(path))["data"][0]


async def test_a_resend_is_one_more_attempt_made_by_hand(scene: Scene, receiver: FakeReceiver) -> None:
    await scene.endpoint(receiver.url, uid="mine")
    await scene.send(key="order-1")
    await scene.deliver()

    assert await scene.post("/app/acme/msg/order-1/endpoint/mine/resend", status=202) == {}
    await scene.deliver()

    attempts = (await scene.get("/app/acme/attempt/msg/order-1"))["data"]
    assert [(one["number"], one["triggerType"]) for one in attempts] == [(2, 1), (1, 0)]
    assert len({request.message_id for request in receiver.requests}) == 1


async def test_an_endpoints_messages_say_how_each_delivery_stands(scene: Scene, receiver: FakeReceiver) -> None:
    receiver.answer(500, times=1)
    endpoint = await scene.endpoint(receiver.url)
    failed = await scene.send({"n": 1})
    await scene.deliver()
    well = await scene.send({"n": 2})
    await scene.deliver()

    path = f"/app/acme/endpoint/{endpoint.id}/msg"
    newer, older = (await scene.get(path))["data"]

    assert (newer["id"], newer["status"], newer["statusText"], newer["nextAttempt"]) == (well, 0, "success", None)
    assert (older["id"], older["status"], older["payload"]) == (failed, 1, {"n": 1})
    assert older["nextAttempt"] is not None
    assert ids_of([(await scene.get(path, status="1"))["data"]]) == [failed]
    assert ids_of([(await scene.get(path, status="3"))["data"]]) == []
    assert (await scene.get(path, status="0", with_content="false"))["data"][0]["payload"] == {}


async def test_what_was_called_off_is_4_and_for_older_clients_0(scene: Scene) -> None:
    endpoint = await scene.endpoint(uid="mine")
    message_id = await scene.send()
    await scene.deliver()
    await scene.service.webhooks.cancel(endpoint=endpoint.id)

    path = "/app/acme/endpoint/mine/msg"

    (new,) = (await scene.get(path, status="4"))["data"]
    (old,) = (await scene.get(path, expanded_statuses="false"))["data"]
    assert (new["id"], new["status"], new["statusText"]) == (message_id, 4, "canceled")
    assert (old["status"], old["statusText"]) == (0, "success")


async def test_a_message_lists_the_endpoints_that_it_goes_to(scene: Scene, receiver: FakeReceiver) -> None:
    first = await scene.endpoint(receiver.url, uid="first", description="the first", event_types=("invoice.paid",))
    second = await scene.endpoint("http://127.0.0.1:9/nobody", throttle=5)
    message_id = await scene.send()
    await scene.deliver()

    listed = (await scene.get(f"/app/acme/msg/{message_id}/endpoint"))["data"]

    assert [(one["id"], one["status"]) for one in listed] == [(first.id, 0), (second.id, 1)]
    assert (listed[0]["uid"], listed[0]["description"], listed[0]["eventTypes"]) == (
        "first",
        "the first",
        ["invoice.paid"],
    )
    assert (listed[1]["throttleRate"], listed[1]["channels"], listed[1]["disabled"]) == (5, None, False)


async def test_600_attempts_are_paged_both_ways(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    made = await scene.send_many(600)
    await scene.deliver_many()

    attempts = await scene.pages(f"/app/acme/attempt/endpoint/{endpoint.id}", 200, with_content="false")
    messages = await scene.pages(f"/app/acme/endpoint/{endpoint.id}/msg", 200)

    assert [len(page) for page in attempts] == [200, 200, 200]
    assert sorted(ids_of(attempts, "msgId")) == sorted(made)
    assert ids_of(messages) == made[::-1]


async def test_what_was_answered_can_be_erased(scene: Scene, receiver: FakeReceiver) -> None:
    receiver.answer(200, headers={"x-secret": "1"}, body=b"secret")
    await scene.endpoint(receiver.url)
    message_id = await scene.send()
    await scene.deliver()
    (attempt,) = (await scene.get(f"/app/acme/attempt/msg/{message_id}"))["data"]

    path = f"/app/acme/msg/{message_id}/attempt/{attempt['id']}"
    assert (await scene.client.delete(f"{path}/content")).status_code == 204

    erased = await scene.get(path)
    assert (erased["response"], erased["responseHeaders"], erased["responseStatusCode"]) == ("", [], 200)


async def test_the_attempts_of_a_deleted_endpoint_still_say_where_they_went(
    scene: Scene, receiver: FakeReceiver
) -> None:
    endpoint = await scene.endpoint(receiver.url)
    message_id = await scene.send()
    await scene.deliver()
    await scene.service.webhooks.endpoints.delete(endpoint.id)

    (attempt,) = (await scene.get(f"/app/acme/attempt/msg/{message_id}"))["data"]

    assert attempt["url"] == receiver.url
    assert (await scene.client.get(f"/app/acme/attempt/endpoint/{endpoint.id}")).status_code == 404


async def test_nobody_sees_or_resends_anothers(scene: Scene, receiver: FakeReceiver) -> None:
    theirs = await scene.endpoint(receiver.url, customer="other")
    message_id = await scene.send(customer="other")
    await scene.deliver()
    mine = await scene.endpoint(receiver.url)
    await scene.send()
    (attempt,) = (await scene.get(f"/app/other/attempt/msg/{message_id}"))["data"]
    app_id = (await scene.get("/app/acme"))["id"]

    async with scene.service.client(scene.service.customer_token(app_id)) as client:
        for path in (
            f"/app/other/attempt/endpoint/{theirs.id}",
            f"/app/acme/attempt/endpoint/{theirs.id}",
            f"/app/acme/attempt/msg/{message_id}",
            f"/app/acme/endpoint/{theirs.id}/msg",
            f"/app/acme/msg/{message_id}/endpoint",
            f"/app/acme/msg/{message_id}/attempt/{attempt['id']}",
        ):
            assert (await client.get(path)).status_code == 404, path
        again = f"/app/acme/msg/{message_id}/endpoint/{mine.id}/resend"
        assert (await client.post(again)).status_code == 404
        erased = await client.delete(f"/app/acme/msg/{message_id}/attempt/{attempt['id']}/content")
        assert erased.status_code == 403


async def test_a_customers_token_needs_the_capability_to_resend(scene: Scene) -> None:
    from anzol.api.tokens import Capability

    endpoint = await scene.endpoint()
    message_id = await scene.send()
    app_id = (await scene.get("/app/acme"))["id"]
    path = f"/app/acme/msg/{message_id}/endpoint/{endpoint.id}/resend"

    async with scene.service.client(scene.service.customer_token(app_id, Capability.VIEW)) as client:
        assert (await client.post(path)).status_code == 403
    token = scene.service.customer_token(app_id, Capability.VIEW, Capability.CREATE_ATTEMPTS)
    async with scene.service.client(token) as client:
        assert (await client.post(path)).status_code == 202


@pytest.mark.parametrize("query", ["status=5", "status_code_class=201", "status=success", "limit=251"])
async def test_a_filter_that_is_none_is_refused(scene: Scene, query: str) -> None:
    endpoint = await scene.endpoint()

    answer = await scene.client.get(f"/app/acme/attempt/endpoint/{endpoint.id}?{query}")

    assert (answer.status_code, answer.json()["detail"][0]["loc"][0]) == (422, "query")
