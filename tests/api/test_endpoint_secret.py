"""Secrets of endpoints through the API."""

from __future__ import annotations

from datetime import timedelta

import pytest

from anzol.api.tokens import Capability
from tests.api.acting import application, bad, endpoint, good, place
from tests.api.conftest import Service

NEW = "whsec_" + "B" * 32
CLOCK = timedelta(seconds=30)  # between two statements of one change, on any machine


async def test_a_made_up_secret_is_shown_to_those_who_ask_for_it_and_nowhere_else(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        secret = good(await client.get(f"{path}/{made['id']}/secret"))["key"]
        other = await endpoint(client, path)
        second = good(await client.get(f"{path}/{other['id']}/secret"))["key"]
        shown = await client.get(path)

    assert secret.startswith("whsec_")
    assert secret != second
    assert secret.removeprefix("whsec_") not in shown.text


@pytest.mark.parametrize("key", [NEW, "B" * 32])
async def test_a_new_secret_signs_beside_the_old_one_for_a_while(service: Service, key: str) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        url = f"{path}/{made['id']}/secret"
        old = good(await client.get(url))["key"]
        rotated = good(await client.post(f"{url}/rotate", json={"key": key, "gracePeriodSeconds": 3600}))
        after = good(await client.get(url))
        both = await service.webhooks.endpoints.secrets(made["id"])

    assert rotated == after == {"key": NEW}
    assert [secret.value for secret in both] == [NEW, old]
    assert both[1].expires_at is not None
    assert abs(both[1].expires_at - both[0].created_at - timedelta(hours=1)) < CLOCK


async def test_without_any_word_a_secret_is_made_and_the_old_one_signs_for_a_day(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        url = f"{path}/{made['id']}/secret"
        old = good(await client.get(url))["key"]
        rotated = good(await client.post(f"{url}/rotate", json={}))["key"]
        again = good(await client.post(f"{url}/rotate", json={"key": None, "gracePeriodSeconds": None}))["key"]
        live = await service.webhooks.endpoints.secrets(made["id"])

    assert len({old, rotated, again}) == 3
    assert [secret.value for secret in live] == [again, rotated, old]
    assert live[1].expires_at is not None
    assert abs(live[1].expires_at - live[0].created_at - timedelta(hours=24)) < CLOCK


async def test_at_once_means_at_once(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        await client.post(f"{path}/{made['id']}/secret/rotate", json={"key": NEW, "gracePeriodSeconds": 0})

    assert [secret.value for secret in await service.webhooks.endpoints.secrets(made["id"])] == [NEW]


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"key": "whsec_c2hvcnQ="}, ["body", "key"]),
        ({"key": "no base64!"}, ["body", "key"]),
        ({"key": "whpk_" + "B" * 43 + "="}, ["body", "key"]),
        ({"key": 5}, ["body", "key"]),
        ({"key": "x" * 201}, ["body", "key"]),
        ({"gracePeriodSeconds": -1}, ["body", "gracePeriodSeconds"]),
        ({"gracePeriodSeconds": 7 * 24 * 3600 + 1}, ["body", "gracePeriodSeconds"]),
        ({"gracePeriodSeconds": "soon"}, ["body", "gracePeriodSeconds"]),
    ],
)
async def test_what_is_no_secret_and_no_time_is_refused(
    service: Service, given: dict[str, object], where: list[str]
) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        url = f"{path}/{made['id']}/secret"
        before = good(await client.get(url))
        answer = await client.post(f"{url}/rotate", json=given)
        after = good(await client.get(url))

    assert place(answer) == where
    assert "c2hvcnQ" not in answer.text
    assert before == after


async def test_secrets_do_not_grow_without_end(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        answers = [await client.post(f"{path}/{made['id']}/secret/rotate", json={}) for _ in range(10)]

    assert [answer.status_code for answer in answers] == [200] * 9 + [409]


async def test_who_may_see_a_secret_need_not_be_allowed_to_change_it(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        app_id = good(await client.get("/app/acme"))["id"]
        made = await endpoint(client, path)
    url = f"{path}/{made['id']}/secret"
    async with service.client(service.customer_token(app_id, Capability.VIEW_SECRET)) as client:
        seen, changed = await client.get(url), await client.post(f"{url}/rotate", json={})
    async with service.client(service.customer_token(app_id, Capability.MANAGE_SECRET)) as client:
        both = await client.get(url), await client.post(f"{url}/rotate", json={})

    assert seen.status_code == 200
    bad(changed, 403, "insufficient_access")
    assert [answer.status_code for answer in both] == [200, 200]


async def test_that_somebody_looked_at_a_secret_is_written_down(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        await client.get(f"{path}/{made['id']}/secret")
        storage = await service.webhooks.endpoints.records.storage()
        audits = await storage.audits("production", action="endpoint.secret.shown")

    assert [(entry.object_id, entry.customer, entry.actor) for entry in audits.items] == [(made["id"], "acme", "token")]


async def test_the_secret_of_an_endpoint_that_is_not_there_is_not_found(service: Service) -> None:
    async with service.client() as client:
        url = f"{await application(client)}/nobody/secret"
        answers = [await client.get(url), await client.post(f"{url}/rotate", json={})]

    for answer in answers:
        bad(answer, 404, "not_found")
