"""Who may: links to the portal, one-time codes, tokens and keys, and taking them back."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from anzol.api import access
from anzol.api.tokens import Capability
from anzol.clock import OwnedClock
from tests.api.conftest import Service, make, stood_on

pytestmark = pytest.mark.asyncio


async def made(client: httpx.AsyncClient, uid: str = "acme") -> str:
    answer = await client.post("/app", json={"name": uid, "uid": uid})
    return str(answer.json()["id"])


async def link(client: httpx.AsyncClient, app_id: str = "acme", **given: Any) -> dict[str, str]:
    answer = await client.post(f"/auth/app-portal-access/{app_id}", json=given)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def code_of(url: str) -> str:
    return urlsplit(url).fragment.removeprefix("code=")


def owned(service: Service) -> OwnedClock:
    """Let a service stand on a clock of the test's own."""
    service.webhooks.core.clock = clock = OwnedClock()
    service.webhooks.__dict__["api"] = stood_on(service.webhooks)
    return clock


async def status(service: Service, token: str, path: str = "/app/acme") -> int:
    async with service.client(token) as client:
        return (await client.get(path)).status_code


# --- links


async def test_a_link_gives_a_token_once(service: Service) -> None:
    async with service.client() as client, service.client(None) as visitor:
        await made(client)
        url = (await link(client))["url"]
        answers = [await visitor.post("/auth/one-time-token", json={"oneTimeToken": code_of(url)}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 401]
    assert await status(service, answers[0].json()["token"]) == 200


async def test_a_link_leads_to_where_the_request_came_unless_an_address_is_set(url: str) -> None:
    here = make(url, worker=False)
    async with here.client() as client:
        await made(client)
        assert (await link(client))["url"].startswith("http://api/portal#code=")
    await here.webhooks.close()
    named = make(url, worker=False, public_url="https://hooks.example.com/x/")

    async with named.client() as client:
        assert (await link(client))["url"].startswith("https://hooks.example.com/x/portal#code=")
    await named.webhooks.close()


async def test_a_code_is_stored_by_its_digest_only(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        code = code_of((await link(client))["url"])
    storage = await service.webhooks.core.storage()

    with pytest.raises(Exception, match="no such code"):
        await storage.take_portal_code(code.encode())


async def test_a_link_that_comes_with_an_application_makes_it(service: Service) -> None:
    async with service.client() as client:
        token = (await link(client, "fresh", application={"name": "Fresh"}))["token"]

        assert (await client.get("/app/fresh")).json()["name"] == "Fresh"
    assert await status(service, token, "/app/fresh") == 200


async def test_an_application_under_another_name_than_the_paths_is_refused(service: Service) -> None:
    async with service.client() as client:
        answer = await client.post(
            "/auth/app-portal-access/fresh", json={"application": {"name": "Fresh", "uid": "other"}}
        )

    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "application", "uid"])


async def test_a_link_for_an_application_that_is_not_there_is_refused(service: Service) -> None:
    async with service.client() as client:
        answer = await client.post("/auth/app-portal-access/nobody", json={})

    assert answer.status_code == 404


@pytest.mark.parametrize("expiry", [0, 3599, 604801, "soon", 1.5])
async def test_a_token_lasts_an_hour_to_a_week(service: Service, expiry: Any) -> None:
    async with service.client() as client:
        await made(client)
        answer = await client.post("/auth/app-portal-access/acme", json={"expiry": expiry})

    assert answer.status_code == 422


async def test_a_token_ends_when_it_was_said_to(service: Service) -> None:
    clock = owned(service)
    async with service.client() as client:
        await made(client)
        token = (await link(client, expiry=3600))["token"]
        before = await status(service, token)
        clock.advance(timedelta(seconds=3601))

        assert (before, await status(service, token)) == (200, 401)


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({}, {"ViewBase", "ManageEndpoint", "CreateAttempts"}),
        ({"readOnly": True}, {"ViewBase"}),
        ({"readOnly": True, "capabilities": ["ManageEndpoint"]}, {"ViewBase"}),
        ({"capabilities": []}, {"ViewBase"}),
        ({"capabilities": ["CreateAttempts"]}, {"ViewBase", "CreateAttempts"}),
    ],
)
async def test_a_token_allows_what_was_granted(service: Service, given: dict[str, Any], allowed: set[str]) -> None:
    async with service.client() as client:
        await made(client)
        token = (await link(client, **given))["token"]
    caller = await service.webhooks.api.state.credentials.caller(f"Bearer {token}")

    asked = {"ViewBase", "ManageEndpoint", "CreateAttempts"}
    assert {one.value for one in caller.capabilities} & asked == allowed


async def test_feature_flags_and_session_go_into_the_token_and_through_the_code(service: Service) -> None:
    async with service.client() as client, service.client(None) as visitor:
        await made(client)
        url = (await link(client, featureFlags=["beta"], sessionId="s1"))["url"]
        token = (await visitor.post("/auth/one-time-token", json={"oneTimeToken": code_of(url)})).json()["token"]
    caller = await service.webhooks.api.state.credentials.caller(f"Bearer {token}")

    assert (caller.feature_flags, caller.session) == (("beta",), "s1")


async def test_who_guesses_codes_is_held_up(service: Service) -> None:
    async with service.client(None) as visitor:
        answers = [await visitor.post("/auth/one-time-token", json={"oneTimeToken": f"c{n}"}) for n in range(60)]

    statuses = [answer.status_code for answer in answers]
    assert (statuses[0], statuses[-1]) == (401, 429)
    assert int(answers[-1].headers["retry-after"]) >= 1


# --- taking back


async def test_tokens_that_were_taken_back_are_worth_nothing_here_at_once(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        token = (await link(client))["token"]
        before = await status(service, token)
        answer = await client.post("/auth/app/acme/expire-all", json={})

        assert (before, answer.status_code, await status(service, token)) == (200, 204, 401)


async def test_a_token_made_right_after_all_were_taken_back_is_good(service: Service) -> None:
    owned(service)
    async with service.client() as client:
        await made(client)
        await client.post("/auth/app/acme/expire-all", json={})
        token = (await link(client))["token"]

    assert await status(service, token) == 200


async def test_a_link_from_before_gives_nothing_once_tokens_are_taken_back(service: Service) -> None:
    async with service.client() as client, service.client(None) as visitor:
        await made(client)
        url = (await link(client))["url"]
        await client.post("/auth/app/acme/expire-all", json={})
        answer = await visitor.post("/auth/one-time-token", json={"oneTimeToken": code_of(url)})

    assert answer.status_code == 401


async def test_only_the_named_sessions_are_taken_back(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        tokens = [(await link(client, sessionId=name))["token"] for name in ("a", "b")]
        await client.post("/auth/app/acme/expire-all", json={"sessionIds": ["a"]})

    assert [await status(service, token) for token in tokens] == [401, 200]


async def test_tokens_are_taken_back_when_it_was_said(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = owned(service)
    monkeypatch.setattr(access, "FRESH", 0.0)
    async with service.client() as client:
        await made(client)
        token = (await link(client))["token"]
        await client.post("/auth/app/acme/expire-all", json={"expiry": 600})
        before = await status(service, token)
        clock.advance(timedelta(seconds=601))

        assert (before, await status(service, token)) == (200, 401)


async def test_a_revocation_holds_in_other_processes_within_five_seconds(url: str) -> None:
    here, there = make(url, worker=False), make(url, worker=False)
    async with here.client() as client, asyncio.timeout(10):
        await made(client)
        token = (await link(client))["token"]
        key = (await client.post("/auth/api-token", json={"name": "k"})).json()
        before = [await status(there, token), await status(there, key["token"], "/app")]
        await client.post("/auth/app/acme/expire-all", json={})
        await client.post(f"/auth/api-token/{key['id']}/expire")
        loop = asyncio.get_running_loop()
        began = loop.time()
        while await status(there, token) != 401 or await status(there, key["token"], "/app") != 401:
            await asyncio.sleep(0.05)
        took = loop.time() - began
    await here.webhooks.close()
    await there.webhooks.close()

    assert before == [200, 200]
    assert took < 5


async def test_logging_out_takes_back_this_token_and_no_other(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        tokens = [(await link(client, sessionId=name))["token"] for name in ("a", "b")]
    async with service.client(tokens[0]) as customer:
        answer = await customer.post("/auth/logout")

    assert answer.status_code == 204
    assert [await status(service, token) for token in tokens] == [401, 200]


async def test_logging_out_with_a_key_leaves_the_key(service: Service) -> None:
    async with service.client() as client:
        key = (await client.post("/auth/api-token", json={"name": "k"})).json()["token"]
    async with service.client(key) as client:
        answer = await client.post("/auth/logout")

    assert (answer.status_code, await status(service, key, "/app")) == (204, 200)


async def test_a_token_of_an_environment_can_log_out(service: Service) -> None:
    token = service.token(session="mine")
    async with service.client(token) as client:
        assert (await client.post("/auth/logout")).status_code == 204

    assert await status(service, token, "/app") == 401


async def test_a_customer_hands_out_no_access(service: Service) -> None:
    async with service.client() as client:
        app_id = await made(client)
    async with service.client(service.customer_token(app_id)) as customer:
        paths = ("/auth/app-portal-access/acme", "/auth/app/acme/expire-all", "/auth/api-token")
        statuses = [(await customer.post(path, json={"name": "x"})).status_code for path in paths]

    assert statuses == [403, 403, 403]


# --- keys


async def test_a_keys_text_is_shown_once(service: Service) -> None:
    async with service.client() as client:
        key = (await client.post("/auth/api-token", json={"name": "CI", "scopes": ["read"]})).json()
        listed = (await client.get("/auth/api-token")).json()["data"]

    assert key["token"].startswith("sk_")
    assert [one["id"] for one in listed] == [key["id"]]
    assert key["token"] not in json.dumps(listed)
    assert (listed[0]["name"], listed[0]["scopes"], listed[0]["hint"]) == ("CI", ["read"], key["token"][-4:])


async def test_a_key_allows_its_scopes_alone(service: Service) -> None:
    async with service.client() as client:
        key = (await client.post("/auth/api-token", json={"name": "CI", "scopes": ["read"]})).json()["token"]
    async with service.client(key) as client:
        answers = [await client.get("/app"), await client.post("/app", json={"name": "x"})]

    assert [answer.status_code for answer in answers] == [200, 403]


async def test_a_key_makes_none_that_may_more(service: Service) -> None:
    async with service.client() as client:
        key = (await client.post("/auth/api-token", json={"name": "CI", "scopes": ["access"]})).json()["token"]
    async with service.client(key) as client:
        more = await client.post("/auth/api-token", json={"name": "x", "scopes": ["access", "manage"]})
        same = await client.post("/auth/api-token", json={"name": "x"})

    assert (more.status_code, same.status_code, same.json()["scopes"]) == (403, 201, ["access"])


async def test_a_key_ends(service: Service) -> None:
    clock = owned(service)
    async with service.client() as client:
        ends = (clock.now() + timedelta(minutes=1)).isoformat()
        key = (await client.post("/auth/api-token", json={"name": "k", "expiresAt": ends})).json()["token"]
        before = await status(service, key, "/app")
        clock.advance(timedelta(minutes=2))

        assert (before, await status(service, key, "/app")) == (200, 401)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"name": ""},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["everything"]},
        {"name": "x", "expiresAt": "2020-01-01T00:00:00Z"},
        {"name": "x\u0000"},
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(service: Service, given: dict[str, Any]) -> None:
    async with service.client() as client:
        assert (await client.post("/auth/api-token", json=given)).status_code == 422


async def test_an_expired_key_is_worth_nothing_here_at_once(service: Service) -> None:
    async with service.client() as client:
        key = (await client.post("/auth/api-token", json={"name": "k"})).json()
        before = await status(service, key["token"], "/app")
        answer = await client.post(f"/auth/api-token/{key['id']}/expire")
        unknown = await client.post("/auth/api-token/nothing/expire")

    assert (before, answer.status_code, unknown.status_code) == (200, 204, 404)
    assert await status(service, key["token"], "/app") == 401


async def test_the_use_of_a_key_is_noted_beside_the_request(service: Service) -> None:
    async with service.client() as client, asyncio.timeout(10):
        key = (await client.post("/auth/api-token", json={"name": "k"})).json()["token"]
        await status(service, key, "/app")
        while (await client.get("/auth/api-token")).json()["data"][0]["usedAt"] is None:
            await asyncio.sleep(0.01)


async def test_a_key_of_one_environment_sees_nothing_of_another(url: str) -> None:
    one, other = make(url, worker=False), make(url, worker=False, environment="sandbox", deployment="production")
    async with one.client() as client:
        await made(client)
        key = (await client.post("/auth/api-token", json={"name": "k"})).json()["token"]
    async with other.client(other.token("sandbox")) as client:
        await made(client, "other")
    seen = [await status(other, key, path) for path in ("/app/acme", "/app/other")]
    await one.webhooks.close()
    await other.webhooks.close()

    assert seen == [200, 404]


async def test_capabilities_of_old_clients_are_known(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        token = (await link(client, capabilities=[one.value for one in Capability]))["token"]

    assert await status(service, token) == 200
