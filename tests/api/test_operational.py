"""Operational webhook endpoints through the API."""

from __future__ import annotations

from typing import Any

import pytest

from anzol.announcements import EVENT_TYPES
from tests.api.acting import URL, application, bad, endpoint, good, place, walked
from tests.api.conftest import Service

PATH = "/operational-webhook/endpoint"


async def test_an_operational_endpoint_is_registered_changed_and_deleted(service: Service) -> None:
    async with service.client() as client:
        made = await endpoint(client, PATH, uid="ops", eventTypes=["endpoint.disabled"], headers={"x-a": "1"})
        found = good(await client.get(f"{PATH}/{made['id']}"))
        put = good(await client.put(f"{PATH}/ops", json={"url": URL + "2", "description": "D"}))
        patched = good(await client.patch(f"{PATH}/ops", json={"eventTypes": ["message.attempt.failing"]}))
        other = good(await client.put(f"{PATH}/second", json={"url": URL}), 201)
        deleted = await client.delete(f"{PATH}/ops")
        listed = good(await client.get(PATH))

    assert made == found
    assert (put["id"], put["url"], put["description"], put["eventTypes"]) == (made["id"], URL + "2", "D", None)
    assert (patched["description"], patched["eventTypes"]) == ("D", ["message.attempt.failing"])
    assert deleted.status_code == 204
    assert [item["id"] for item in listed["data"]] == [other["id"]]


async def test_its_headers_and_secret_are_set_as_any_endpoints_are(service: Service) -> None:
    async with service.client() as client:
        made = await endpoint(client, PATH, headers={"x-a": "1", "x-api-key": "s3cret"})
        url = f"{PATH}/{made['id']}"
        good_headers = good(await client.get(f"{url}/headers"))
        patched = await client.patch(f"{url}/headers", json={"headers": {"x-b": "2"}, "deleteHeaders": ["x-a"]})
        after = good(await client.get(f"{url}/headers"))
        replaced = await client.put(f"{url}/headers", json={"headers": {}})
        none = good(await client.get(f"{url}/headers"))
        rotated = good(await client.post(f"{url}/secret/rotate", json={"key": "A" * 32}))
        secret = good(await client.get(f"{url}/secret"))

    assert good_headers == {"headers": {"x-a": "1"}, "sensitive": ["x-api-key"]}
    assert after == {"headers": {"x-b": "2"}, "sensitive": ["x-api-key"]}
    assert none == {"headers": {}, "sensitive": []}
    assert (patched.status_code, replaced.status_code) == (204, 204)
    assert rotated == secret == {"key": "whsec_" + "A" * 32}


@pytest.mark.parametrize("name", EVENT_TYPES.values())
async def test_everything_that_is_told_can_be_subscribed_to(service: Service, name: str) -> None:
    async with service.client() as client:
        made = await endpoint(client, PATH, eventTypes=[name])

    assert made["eventTypes"] == [name]


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        ({"eventTypes": ["endpoint.disable"]}, ["body", "eventTypes"], "Did you mean 'endpoint.disabled'?"),
        ({"filterTypes": ["invoice.paid"]}, ["body", "eventTypes"], "not"),
        ({"channels": ["a"]}, ["body", "channels"], "channel"),
        ({"url": "http://10.0.0.1/"}, ["body", "url"], ""),
        ({"throttleRate": 0}, ["body", "throttleRate"], ""),
    ],
)
async def test_what_does_not_fit_is_refused(
    service: Service, given: dict[str, Any], where: list[str], said: str
) -> None:
    async with service.client() as client:
        await endpoint(client, PATH, uid="ops")
        good(await client.post("/event-type", json={"name": "invoice.paid", "description": ""}), 201)
        answers = [
            await client.post(PATH, json={"url": URL} | given),
            await client.put(f"{PATH}/ops", json={"url": URL} | given),
            await client.patch(f"{PATH}/ops", json=given),
        ]

    for answer in answers:
        assert place(answer) == where
        assert said in answer.text


async def test_operational_endpoints_and_those_of_applications_do_not_see_each_other(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        own, operational = await endpoint(client, path, uid="one"), await endpoint(client, PATH, uid="ops")
        answers = [
            await client.get(f"{PATH}/{own['id']}"),
            await client.get(f"{PATH}/one"),
            await client.get(f"{path}/{operational['id']}"),
            await client.get("/app/~operational/endpoint"),
            await client.get(f"/app/~operational/endpoint/{operational['id']}"),
        ]
        listed = good(await client.get(path))["data"], good(await client.get(PATH))["data"]

    for answer in answers:
        bad(answer, 404, "not_found")
    assert [[item["id"] for item in items] for items in listed] == [[own["id"]], [operational["id"]]]


async def test_each_environment_has_its_own(service: Service) -> None:
    storage = await service.webhooks.endpoints.records.storage()
    await storage.put_customer("sandbox", "acme")
    async with service.client() as client:
        made = await endpoint(client, PATH)
    async with service.client(service.token("sandbox")) as client:
        listed, found = good(await client.get(PATH)), await client.get(f"{PATH}/{made['id']}")

    assert listed["data"] == []
    bad(found, 404, "not_found")


async def test_they_are_listed_page_by_page_both_ways(service: Service) -> None:
    async with service.client() as client:
        made = [(await endpoint(client, PATH, url="https://127.0.0.1/"))["id"] for _ in range(25)]

        assert await walked(client, PATH, limit=10) == made[::-1]
        assert await walked(client, PATH, "ascending", limit=10) == made


async def test_a_customers_token_has_nothing_to_do_with_them(service: Service) -> None:
    async with service.client() as client:
        await application(client)
        app_id = good(await client.get("/app/acme"))["id"]
        made = await endpoint(client, PATH)
    url = f"{PATH}/{made['id']}"
    async with service.client(service.customer_token(app_id)) as client:
        answers = [
            await client.get(PATH),
            await client.post(PATH, json={"url": URL}),
            await client.get(url),
            await client.put(url, json={"url": URL}),
            await client.patch(url, json={}),
            await client.delete(url),
            await client.get(f"{url}/headers"),
            await client.put(f"{url}/headers", json={"headers": {}}),
            await client.patch(f"{url}/headers", json={}),
            await client.get(f"{url}/secret"),
            await client.post(f"{url}/secret/rotate", json={}),
        ]

    for answer in answers:
        bad(answer, 403, "insufficient_access")
