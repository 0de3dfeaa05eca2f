"""Headers of endpoints through the API."""

from __future__ import annotations

from typing import Any

import pytest

from anzol.api.keeping import is_sensitive
from tests.api.acting import URL, application, bad, endpoint, good, place
from tests.api.conftest import Service


async def test_headers_are_set_all_together(service: Service) -> None:
    async with service.client() as client:
        url = f"{await application(client)}/one"
        good(await client.put(url, json={"url": URL}), 201)
        empty = good(await client.get(f"{url}/headers"))
        first = await client.put(f"{url}/headers", json={"headers": {"X-Team": "core", "x-area": "eu"}})
        both = good(await client.get(f"{url}/headers"))
        await client.put(f"{url}/headers", json={"headers": {"x-other": ""}})
        other = good(await client.get(f"{url}/headers"))
        await client.put(f"{url}/headers", json={"headers": {}})
        none = good(await client.get(f"{url}/headers"))

    assert (first.status_code, first.content) == (204, b"")
    assert both == {"headers": {"x-team": "core", "x-area": "eu"}, "sensitive": []}
    assert other["headers"] == {"x-other": ""}
    assert empty == none == {"headers": {}, "sensitive": []}


async def test_patching_leaves_the_others_and_their_values(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, headers={"x-a": "1", "x-b": "2", "authorization": "Bearer s3cret"})
        url = f"{path}/{made['id']}/headers"
        await client.patch(url, json={"headers": {"X-B": "3", "x-c": "4"}})
        merged = good(await client.get(url))
        await client.patch(url, json={"headers": {"x-d": "5"}, "deleteHeaders": ["X-A", "x-d", "not-there"]})
        taken = good(await client.get(url))
        answer = await client.patch(url, json={})
        storage = await service.webhooks.endpoints.records.storage()
        kept = dict(await storage.endpoint_headers("production", made["id"]))

    assert merged == {"headers": {"x-a": "1", "x-b": "3", "x-c": "4"}, "sensitive": ["authorization"]}
    assert taken["headers"] == {"x-b": "3", "x-c": "4", "x-d": "5"}
    assert answer.status_code == 204
    assert kept["authorization"] == "Bearer s3cret"


async def test_a_header_that_looks_like_a_secret_is_named_and_not_shown(service: Service) -> None:
    names = ["authorization", "x-api-key", "cookie", "x-auth-user", "x-access-token", "client-secret", "x-password"]
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, headers=dict.fromkeys(names, "v4lue") | {"x-team": "core"})
        answer = await client.get(f"{path}/{made['id']}/headers")
        app_id = good(await client.get("/app/acme"))["id"]
        shown = await client.get(f"{path}/{made['id']}")
    async with service.client(service.customer_token(app_id)) as client:
        own = await client.get(f"{path}/{made['id']}/headers")

    assert answer.json() == own.json() == {"headers": {"x-team": "core"}, "sensitive": names}
    assert "v4lue" not in shown.text + answer.text + own.text


@pytest.mark.parametrize(
    ("name", "sensitive"),
    [
        ("Authorization", True),
        ("X-API-KEY", True),
        ("set-cookie2", True),
        ("x-passwd", True),
        ("x-session-id", True),
        ("x-hub-signature", True),
        ("x-credentials", True),
        ("x-team", False),
        ("accept-language", False),
        ("x-shopping-list", False),
        ("user-agent", False),
    ],
)
def test_what_looks_like_a_secret(name: str, sensitive: bool) -> None:
    assert is_sensitive(name) is sensitive


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({}, ["body", "headers"]),
        ({"headers": None}, ["body", "headers"]),
        ({"headers": {"a b": "c"}}, ["body", "headers", "a b"]),
        ({"headers": {"Content-Length": "5"}}, ["body", "headers", "Content-Length"]),
        ({"headers": {"webhook-signature": "v1,x"}}, ["body", "headers", "webhook-signature"]),
        ({"headers": {"x": "a\nb"}}, ["body", "headers", "x"]),
        ({"headers": {"x": None}}, ["body", "headers", "x"]),
        ({"headers": {"x": "1", "X": "2"}}, ["body", "headers", "x"]),
        ({"headers": {f"x-{number}": "" for number in range(51)}}, ["body", "headers"]),
        ({"headers": {"x": "y" * 4097}}, ["body", "headers", "x"]),
        ({"headers": {"my-signature": "v1,x"}}, ["body", "headers", "my-signature"]),
    ],
)
async def test_headers_that_may_not_be_set_are_refused(
    service: Service, given: dict[str, Any], where: list[str]
) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, headers={"kept": "1"}, headerPrefix="my-")
        url = f"{path}/{made['id']}/headers"
        put = await client.put(url, json=given)
        patched = await client.patch(url, json=given) if given.get("headers") else put
        after = good(await client.get(url))

    assert place(put) == place(patched) == where
    assert after["headers"] == {"kept": "1"}


async def test_headers_of_an_endpoint_that_is_not_there_are_not_found(service: Service) -> None:
    async with service.client() as client:
        url = f"{await application(client)}/nobody/headers"
        answers = [await client.get(url), await client.put(url, json={"headers": {}}), await client.patch(url, json={})]

    for answer in answers:
        bad(answer, 404, "not_found")
