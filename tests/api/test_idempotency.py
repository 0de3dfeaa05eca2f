"""The header ``idempotency-key``: a request that is made again is answered again, and done once."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from typing import Any

import httpx
import pytest

from anzol.api import application
from anzol.clock import OwnedClock
from anzol.errors import StorageBusy
from tests.api.conftest import ENVIRONMENT, Service

pytestmark = pytest.mark.asyncio


def with_key(key: str) -> dict[str, str]:
    return {"idempotency-key": key}


async def names(client: httpx.AsyncClient) -> list[str]:
    return [one["name"] for one in (await client.get("/app")).json()["data"]]


async def test_the_same_request_is_answered_again(service: Service) -> None:
    async with service.client() as client:
        answers = [await client.post("/app", json={"name": "a"}, headers=with_key("k")) for _ in range(3)]
        made = await names(client)

    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert made == ["a"]


async def test_another_request_under_the_same_key_is_refused(service: Service) -> None:
    async with service.client() as client:
        await client.post("/app", json={"name": "a"}, headers=with_key("k"))
        answers = [
            await client.post("/app", json={"name": "b"}, headers=with_key("k")),
            await client.post("/app?get_if_exists=true", json={"name": "a"}, headers=with_key("k")),
            await client.post("/auth/api-token", json={"name": "a"}, headers=with_key("k")),
        ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "idempotency_conflict")}


async def test_keys_are_each_callers_own(service: Service) -> None:
    async with service.client() as one, service.client(service.token(session="other")) as other:
        await one.post("/app", json={"name": "a"}, headers=with_key("k"))
        answer = await other.post("/app", json={"name": "b"}, headers=with_key("k"))

        assert (answer.status_code, sorted(await names(one))) == (201, ["a", "b"])


async def test_a_request_that_did_not_succeed_may_be_made_again_otherwise(service: Service) -> None:
    async with service.client() as client:
        await client.post("/app", json={"name": "a", "uid": "taken"})
        refused = [
            await client.post("/app", json={"name": "a", "uid": "taken"}, headers=with_key("k")),
            await client.post("/app", json={"uid": 1}, headers=with_key("k")),
        ]
        answer = await client.post("/app", json={"name": "b"}, headers=with_key("k"))

    assert [one.status_code for one in refused] == [409, 422]
    assert answer.status_code == 201


async def test_a_fault_of_the_servers_frees_the_key(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: Any) -> Any:
        raise StorageBusy("locked")

    async with service.client() as client:
        with monkeypatch.context() as broken:
            broken.setattr(application, "make", busy)
            first = await client.post("/app", json={"name": "a"}, headers=with_key("k"))
        second = await client.post("/app", json={"name": "a"}, headers=with_key("k"))

    assert (first.status_code, second.status_code) == (503, 201)


async def test_twins_wait_for_the_first(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    make, calls = application.make, 0

    async def slow(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        begun.set()
        await go_on.wait()
        return await make(*given)

    monkeypatch.setattr(application, "make", slow)
    async with service.client() as client, asyncio.timeout(20):
        requests = [
            asyncio.create_task(client.post("/app", json={"name": "a"}, headers=with_key("k"))) for _ in range(5)
        ]
        await begun.wait()
        done, waiting = await asyncio.wait(requests, timeout=0.2)
        go_on.set()
        answers = [await request for request in requests]

    assert (len(done), len(waiting), calls) == (0, 5, 1)
    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {(201, answers[0].json()["id"])}


async def test_answers_are_kept_for_twelve_hours(service: Service) -> None:
    clock = OwnedClock()
    service.webhooks.core.clock = clock
    async with service.client() as client:
        first = await client.post("/app", json={"name": "a"}, headers=with_key("k"))
        clock.advance(timedelta(hours=11, minutes=59))
        again = await client.post("/app", json={"name": "a"}, headers=with_key("k"))
        clock.advance(timedelta(minutes=2))
        anew = await client.post("/app", json={"name": "a"}, headers=with_key("k"))

    assert again.json()["id"] == first.json()["id"] != anew.json()["id"]


@pytest.mark.parametrize("key", ["", "x" * 257, "a\tb", "\x80"])
async def test_a_key_that_is_none_is_refused(service: Service, key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1")), (b"content-type", b"application/json")]
    async with service.client() as client:
        await client.post("/app", json={"name": "a", "uid": "acme"})
        answers = [
            await client.post("/app", content=b'{"name":"a"}', headers=headers),
            await client.post("/app/acme/msg", content=b'{"eventType":"a","payload":{}}', headers=headers),
        ]

    assert {answer.status_code for answer in answers} == {400}


async def test_a_kept_answer_does_not_tell_its_secret_to_who_reads_the_database(service: Service) -> None:
    async with service.client() as client:
        answers = [await client.post("/auth/api-token", json={"name": "k"}, headers=with_key("k")) for _ in range(2)]
    token = answers[0].json()["token"]
    storage = await service.webhooks.core.storage()
    path = getattr(service.webhooks.settings.place, "path", None)

    assert answers[1].json()["token"] == token
    if path is None:
        rows = [dict(row) for row in await asyncpg_rows(service)]
    else:
        await storage.close()
        with sqlite3.connect(path) as connection:
            rows = connection.execute("select body from anzol_answer").fetchall()
    assert len(rows) == 1
    assert token not in repr(rows)


async def asyncpg_rows(service: Service) -> Any:
    import asyncpg

    connection = await asyncpg.connect(service.webhooks.settings.place.url)  # type: ignore[union-attr]  # PostgreSQL's
    try:
        return await connection.fetch("select body from anzol.answer")
    finally:
        await connection.close()


# --- messages


async def sent(client: httpx.AsyncClient, key: str | None, **message: Any) -> httpx.Response:
    headers = {} if key is None else with_key(key)
    return await client.post("/app/acme/msg", json={"eventType": "a", **message}, headers=headers)


async def count(service: Service) -> int:
    async with service.client() as client:
        return len((await client.get("/app/acme/msg")).json()["data"])


async def test_a_message_that_is_sent_again_is_the_same(service: Service) -> None:
    async with service.client() as client:
        await client.post("/app", json={"name": "a", "uid": "acme"})
        answers = [await sent(client, "k", payload={"x": 1}, tags=["t"]) for _ in range(3)]

    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert await count(service) == 1


async def test_another_message_under_the_same_key_is_refused(service: Service) -> None:
    async with service.client() as client:
        await client.post("/app", json={"name": "a", "uid": "acme"})
        await sent(client, "k", payload={"x": 1})
        answers = [await sent(client, "k", payload={"x": 2}), await sent(client, "k", payload={"x": 1}, tags=["t"])]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "idempotency_conflict")}


async def test_the_key_of_a_request_and_the_id_of_a_message_are_two_things(service: Service) -> None:
    async with service.client() as client:
        await client.post("/app", json={"name": "a", "uid": "acme"})
        first = await sent(client, "one", payload={"x": 1}, eventId="e", tags=["first"])
        same = await sent(client, "two", payload={"x": 1}, eventId="e", tags=["second"])
        plain = await sent(client, None, payload={"x": 1}, eventId="e")
        other = await sent(client, "three", payload={"x": 2}, eventId="e")
        again = await sent(client, "three", payload={"x": 2})

    assert first.json() == same.json() == plain.json()
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert again.status_code == 202
    assert await count(service) == 2


async def test_of_many_twins_at_once_one_is_stored(service: Service) -> None:
    async with service.client() as client:
        await client.post("/app", json={"name": "a", "uid": "acme"})
        answers = await asyncio.gather(
            *(sent(client, f"k{number % 5}", payload={"n": number % 5}) for number in range(100))
        )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 5
    assert await count(service) == 5


async def test_a_batch_that_is_sent_again_is_the_same(service: Service) -> None:
    messages = [{"eventType": "a", "payload": {"n": 1}}] * 3
    async with service.client() as client:
        await client.post("/app", json={"name": "a", "uid": "acme"})
        answers = [
            await client.post("/app/acme/msg/batch", json={"messages": messages}, headers=with_key("k"))
            for _ in range(2)
        ]
        other = await client.post("/app/acme/msg/batch", json={"messages": messages[:2]}, headers=with_key("k"))

    assert answers[0].content == answers[1].content
    assert {one["status"] for one in other.json()["data"]} == {409}
    assert await count(service) == 3


async def test_an_erased_twin_is_shown_as_that(service: Service) -> None:
    async with service.client() as client:
        await client.post("/app", json={"name": "a", "uid": "acme"})
        first = (await sent(client, "k", payload={"x": 1})).json()
        storage = await service.webhooks.core.storage()
        await storage.erase_message(ENVIRONMENT, first["id"])
        again = (await sent(client, "k", payload={"x": 1})).json()

    assert (again["id"], again["payload"], again["erased"]) == (first["id"], {}, True)
