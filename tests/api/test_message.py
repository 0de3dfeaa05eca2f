"""Messages through the API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from anzol.api import message
from anzol.clock import from_micros
from tests.api.conftest import Service
from tests.api.scene import Scene, ids_of, scene_of

ODD = b'{"z": 12345678901234567890123456789012345678901234567890, "a": 1.10, "a\\u00e9": "x"}'


@pytest.fixture
async def scene(service: Service) -> AsyncIterator[Scene]:
    async with scene_of(service) as scene:
        yield scene


async def test_a_payload_comes_back_as_the_bytes_that_were_stored(scene: Scene) -> None:
    message_id = await scene.send(ODD, key="order-1", channels=("eu",), tags=("vip",))

    answer = await scene.client.get("/app/acme/msg/order-1")
    listed = await scene.client.get("/app/acme/msg")

    assert ODD in answer.content
    assert ODD in listed.content
    shown = answer.json()
    assert (shown["id"], shown["eventId"], shown["eventType"]) == (message_id, "order-1", "invoice.paid")
    assert (shown["channels"], shown["tags"], shown["deliverAt"], shown["erased"]) == (["eu"], ["vip"], None, False)


async def test_without_content_the_payload_is_empty(scene: Scene) -> None:
    message_id = await scene.send(ODD)

    one = await scene.get(f"/app/acme/msg/{message_id}", with_content="false")
    listed = await scene.get("/app/acme/msg", with_content="false")

    assert one["payload"] == listed["data"][0]["payload"] == {}


@pytest.mark.parametrize("body", [b"[1, 2]", b"plain text", b'"x"', b'{"a": NaN}', b'{"open": ', b'{"a": 1} x'])
async def test_what_is_no_json_object_is_shown_as_text(scene: Scene, body: bytes) -> None:
    message_id = await scene.send(body, content_type="text/plain")

    shown = await scene.get(f"/app/acme/msg/{message_id}")

    assert (shown["payload"], shown["rawPayload"], shown["rawPayloadEncoding"]) == ({}, body.decode(), "utf-8")
    assert shown["contentType"] == "text/plain"


async def test_what_is_no_text_is_shown_as_base64(scene: Scene) -> None:
    message_id = await scene.send(b"\xff\xfe", content_type="application/octet-stream")

    shown = await scene.get(f"/app/acme/msg/{message_id}")

    assert (shown["rawPayload"], shown["rawPayloadEncoding"]) == ("//4=", "base64")


async def test_a_list_is_narrowed_by_everything_that_the_dialect_names(scene: Scene) -> None:
    first = await scene.send(event_type="invoice.paid", channels=("eu",), tags=("vip",))
    middle = from_micros(scene.now)
    second = await scene.send(event_type="invoice.void", created_at=scene.now + 1)
    await scene.send(event_type="user.made", customer="other")

    async def found(**query: Any) -> list[str]:
        return ids_of([(await scene.get("/app/acme/msg", **query))["data"]])

    assert await found() == [second, first]
    assert await found(channel="eu") == [first]
    assert await found(tag="vip") == [first]
    assert await found(event_types="invoice.void,user.made") == [second]
    assert await found(before=middle.isoformat()) == [first]
    assert await found(after=middle.isoformat()) == [second]
    assert await found(after=(middle + timedelta(days=1)).isoformat()) == []
    assert await found(some_newer_filter="1") == [second, first]


async def test_600_messages_are_paged_both_ways(scene: Scene) -> None:
    made = await scene.send_many(600)

    pages = await scene.pages("/app/acme/msg", 250)

    assert [len(page) for page in pages] == [250, 250, 100]
    assert ids_of(pages) == made[::-1]


async def test_a_page_of_large_bodies_is_shorter_and_nothing_is_missing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message, "MOST_BYTES", 2500)
    monkeypatch.setattr(message, "FEW", 2)
    made = [await scene.send({"n": "x" * 990}) for _ in range(8)]

    pages = await scene.pages("/app/acme/msg", 5)

    assert ids_of(pages) == made[::-1]
    assert [len(page) for page in pages] == [3, 3, 2]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("limit=0", "limit"),
        ("limit=251", "limit"),
        ("limit=many", "limit"),
        ("iterator=!!", "iterator"),
        ("before=yesterday", "before"),
        ("event_types=a%20b", "event_types"),
        ("tag=%00", "tag"),
        ("with_content=perhaps", "with_content"),
    ],
)
async def test_a_filter_that_is_none_is_refused_by_name(scene: Scene, query: str, place: str) -> None:
    answer = await scene.client.get(f"/app/acme/msg?{query}") if await scene.send() else None

    assert answer is not None
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", place]


async def test_what_was_erased_is_gone_and_cannot_be_resent(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    message_id = await scene.send({"card": "4242"}, key="order-1")

    assert (await scene.client.delete("/app/acme/msg/order-1/content")).status_code == 204

    shown = await scene.get(f"/app/acme/msg/{message_id}")
    resent = await scene.client.post(f"/app/acme/msg/{message_id}/endpoint/{endpoint.id}/resend")
    assert (shown["payload"], shown["erased"]) == ({}, True)
    assert (resent.status_code, resent.json()["code"]) == (409, "conflict")


async def test_many_are_erased_by_one_request(scene: Scene) -> None:
    first = await scene.send({"card": "1"}, key="order-1")
    second = await scene.send({"card": "2"})

    answer = await scene.post("/app/acme/msg/bulk-expunge", {"ids": ["order-1", second, "order-9"]})

    assert answer == {"results": {"order-1": "expunged", second: "expunged", "order-9": "not-found"}}
    assert [(await scene.get(f"/app/acme/msg/{one}"))["erased"] for one in (first, second)] == [True, True]


async def test_a_precheck_says_whether_anybody_would_get_it(scene: Scene) -> None:
    await scene.endpoint(event_types=("invoice.paid",), channels=("eu",))

    async def active(**message: object) -> bool:
        return bool((await scene.post("/app/acme/msg/precheck/active", message))["active"])

    assert await active(eventType="invoice.paid", channels=["eu", "us"])
    assert not await active(eventType="invoice.paid")
    assert not await active(eventType="invoice.void", channels=["eu"])


async def test_a_customer_sees_its_own_messages_and_may_neither_send_nor_erase(scene: Scene) -> None:
    mine = await scene.send({"mine": 1})
    theirs = await scene.send({"theirs": 1}, customer="other")
    app_id = (await scene.get("/app/acme"))["id"]

    async with scene.service.client(scene.service.customer_token(app_id)) as client:
        assert ids_of([(await scene.get("/app/acme/msg", client))["data"]]) == [mine]
        assert (await client.get(f"/app/other/msg/{theirs}")).status_code == 404
        assert (await client.get(f"/app/acme/msg/{theirs}")).status_code == 404
        assert (await client.delete(f"/app/acme/msg/{mine}/content")).status_code == 403
        assert (await client.post("/app/acme/msg/bulk-expunge", json={"ids": [mine]})).status_code == 403
        assert (await client.post("/app/acme/msg/precheck/active", json={"eventType": "a"})).status_code == 403


async def test_the_answer_is_what_the_document_says(scene: Scene) -> None:
    from anzol.api.message_shapes import MessageOut

    message_id = await scene.send(ODD)
    shown = await scene.get(f"/app/acme/msg/{message_id}")

    assert MessageOut.model_validate(shown).model_dump(mode="json", exclude_unset=True).keys() == shown.keys()
    assert json.loads(ODD) == shown["payload"]
