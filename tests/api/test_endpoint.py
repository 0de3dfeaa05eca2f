"""Endpoints through the API."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from fastapi import Body, Header

from anzol.api import keeping
from anzol.api.tokens import Capability
from tests.api.acting import URL, application, bad, endpoint, good, place, walked
from tests.api.conftest import Service

pytestmark = pytest.mark.asyncio


async def test_an_endpoint_is_shown_as_the_dialect_shows_it(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        found = good(await client.get(f"{path}/{made['id']}"))

    assert found == made
    assert {name: made[name] for name in made if name not in ("id", "createdAt", "updatedAt")} == {
        "uid": None,
        "url": URL,
        "description": "",
        "disabled": False,
        "eventTypes": None,
        "filterTypes": None,
        "channels": None,
        "throttleRate": None,
        "rateLimit": None,
        "version": 1,
        "metadata": {},
        "fifo": False,
        "contact": None,
        "schedule": None,
        "headerPrefix": None,
        "disabledBecause": None,
        "paused": False,
        "failingSince": None,
    }
    assert made["id"].startswith("ep_")


async def test_all_that_can_be_set_is_kept(service: Service) -> None:
    given = {
        "url": "https://127.0.0.1/all",
        "uid": "first",
        "description": "All of it",
        "eventTypes": ["a.b", "c"],
        "channels": ["eu", "vip"],
        "throttleRate": 20,
        "metadata": {"a": "b"},
        "fifo": True,
        "contact": "ops@example.com",
        "schedule": [0, 0.5, 60],
        "headerPrefix": "svix-",
    }
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, **given, secret="whsec_" + "A" * 32, headers={"x-team": "core"})
        by_uid = good(await client.get(f"{path}/first"))
        secret = good(await client.get(f"{path}/first/secret"))
        headers = good(await client.get(f"{path}/first/headers"))

    assert made == by_uid
    assert {name: made[name] for name in given} == given
    assert made["filterTypes"] == ["a.b", "c"]
    assert made["rateLimit"] == 20
    assert secret == {"key": "whsec_" + "A" * 32}
    assert headers == {"headers": {"x-team": "core"}, "sensitive": []}


async def test_what_older_clients_call_it_counts_too(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, filterTypes=["a"], rateLimit=3, version=1)
        changed = good(await client.patch(f"{path}/{made['id']}", json={"filterTypes": ["b"], "rateLimit": None}))

    assert (made["eventTypes"], made["throttleRate"]) == (["a"], 3)
    assert (changed["eventTypes"], changed["throttleRate"]) == (["b"], None)


@pytest.mark.parametrize("none", [[], None])
async def test_no_event_types_are_all_of_them(service: Service, none: object) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, eventTypes=none, channels=none)

    assert (made["eventTypes"], made["filterTypes"], made["channels"]) == (None, None, None)


REFUSED: list[tuple[dict[str, Any], list[str | int]]] = [
    ({"url": None}, ["body", "url"]),
    ({"url": ""}, ["body", "url"]),
    ({"url": "no url"}, ["body", "url"]),
    ({"url": "ftp://127.0.0.1/"}, ["body", "url"]),
    ({"url": "https://user:word@127.0.0.1/"}, ["body", "url"]),
    ({"url": "https://10.0.0.1/"}, ["body", "url"]),
    ({"url": "https://169.254.169.254/"}, ["body", "url"]),
    ({"url": "https://127.0.0.1/" + "x" * 2048}, ["body", "url"]),
    ({"uid": "ep_1"}, ["body", "uid"]),
    ({"uid": "a b"}, ["body", "uid"]),
    ({"eventTypes": ["a b"]}, ["body", "eventTypes", 0]),
    ({"eventTypes": "a"}, ["body", "eventTypes"]),
    ({"channels": [""]}, ["body", "channels"]),
    ({"channels": [str(number) for number in range(11)]}, ["body", "channels"]),
    ({"throttleRate": 0}, ["body", "throttleRate"]),
    ({"metadata": {"a": {}}}, ["body", "metadata", "a"]),
    ({"metadata": {"a": "x" * 1001}}, ["body", "metadata", "a"]),
    ({"disabled": "perhaps"}, ["body", "disabled"]),
    ({"schedule": []}, ["body", "schedule"]),
    ({"schedule": [-1]}, ["body", "schedule", 0]),
    ({"schedule": [1e300]}, ["body", "schedule", 0]),
    ({"headerPrefix": "webhook-"}, ["body", "headerPrefix"]),
    ({"contact": "x" * 257}, ["body", "contact"]),
    ({"description": "a\0b"}, ["body", "description"]),
]


@pytest.mark.parametrize(("given", "where"), REFUSED)
async def test_what_does_not_fit_is_refused_with_its_place(
    service: Service, given: dict[str, Any], where: list[str | int]
) -> None:
    async with service.client() as client:
        path = await application(client)
        there = await endpoint(client, path, uid="there")
        made = await client.post(path, json={"url": URL} | given)
        put = await client.put(f"{path}/there", json={"url": URL} | given)
        patched = await client.patch(f"{path}/there", json=given)
        after = good(await client.get(f"{path}/there"))

    assert [place(answer) for answer in (made, put, patched)] == [where] * 3
    assert after == there


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"secret": "whsec_short"}, ["body", "secret"]),
        ({"secret": "not base64!"}, ["body", "secret"]),
        ({"headers": {"host": "a"}}, ["body", "headers", "host"]),
        ({"headers": {"webhook-id": "a"}}, ["body", "headers", "webhook-id"]),
        ({"headers": {"x": "a\r\nb: c"}}, ["body", "headers", "x"]),
        ({"headers": {"x": 5}}, ["body", "headers", "x"]),
    ],
)
async def test_secrets_and_headers_that_cannot_be_are_refused(
    service: Service, given: dict[str, Any], where: list[str]
) -> None:
    async with service.client() as client:
        path = await application(client)
        answer = await client.post(path, json={"url": URL} | given)

    assert place(answer) == where
    assert "short" not in answer.text


async def test_a_secret_may_be_given_without_its_prefix(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, secret="A" * 32)
        secret = good(await client.get(f"{path}/{made['id']}/secret"))

    assert secret == {"key": "whsec_" + "A" * 32}


async def test_a_uid_is_used_once_in_an_application(service: Service) -> None:
    async with service.client() as client:
        path, other = await application(client), await application(client, "other")
        await endpoint(client, path, uid="one")
        again = await client.post(path, json={"url": URL, "uid": "one"})
        await endpoint(client, other, uid="one")
        second = await endpoint(client, path)
        patched = await client.patch(f"{path}/{second['id']}", json={"uid": "one"})

    bad(again, 409, "conflict")
    bad(patched, 409, "conflict")


async def test_put_registers_under_the_uid_in_the_path_and_then_sets_all_but_what_it_does_not_know(
    service: Service,
) -> None:
    async with service.client() as client:
        path = await application(client)
        made = good(
            await client.put(
                f"{path}/one",
                json={"url": URL, "description": "D", "eventTypes": ["a"], "channels": ["c"], "throttleRate": 1}
                | {"metadata": {"a": "b"}, "fifo": True, "schedule": [1], "contact": "c", "headerPrefix": "my-"},
            ),
            201,
        )
        secret = good(await client.get(f"{path}/one/secret"))
        changed = good(await client.put(f"{path}/one", json={"url": URL + "2"}))
        after = good(await client.get(f"{path}/one/secret"))

    assert (made["uid"], made["fifo"], made["schedule"]) == ("one", True, [1.0])
    assert {name: changed[name] for name in ("id", "uid", "url")} == {"id": made["id"], "uid": "one", "url": URL + "2"}
    reset = ("description", "eventTypes", "channels", "throttleRate", "metadata")
    assert [changed[name] for name in reset] == ["", None, None, None, {}]
    assert [changed[name] for name in ("fifo", "schedule", "contact", "headerPrefix")] == [True, [1.0], "c", "my-"]
    assert secret == after


async def test_put_with_another_uid_renames_and_with_null_takes_it_away(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, uid="one")
        renamed = good(await client.put(f"{path}/one", json={"url": URL, "uid": "two"}))
        gone = await client.get(f"{path}/one")
        unnamed = good(await client.put(f"{path}/two", json={"url": URL, "uid": None}))
        elsewhere = good(await client.put(f"{path}/three", json={"url": URL, "uid": "four"}), 201)

    assert (renamed["id"], renamed["uid"]) == (made["id"], "two")
    assert gone.status_code == 404
    assert (unnamed["id"], unnamed["uid"]) == (made["id"], None)
    assert elsewhere["uid"] == "four"


async def test_put_registers_nothing_under_an_id_that_is_not_there_or_no_uid(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        unknown = await client.put(f"{path}/ep_0000000000000000000001", json={"url": URL})
        crooked = await client.put(f"{path}/a%20b", json={"url": URL})

    bad(unknown, 404, "not_found")
    assert place(crooked) == ["path", "endpoint_id"]


async def test_patch_leaves_what_is_not_given_takes_away_what_is_null_and_sets_the_rest(service: Service) -> None:
    full = {"description": "D", "uid": "one", "eventTypes": ["a"], "channels": ["c"], "throttleRate": 1}
    full |= {"metadata": {"a": "b"}, "fifo": True, "schedule": [1.0], "contact": "c", "headerPrefix": "my-"}
    empty = {"description": "", "uid": None, "eventTypes": None, "channels": None, "throttleRate": None}
    empty |= {"metadata": {}, "fifo": False, "schedule": None, "contact": None, "headerPrefix": None}
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, **full)
        url = f"{path}/{made['id']}"
        same = good(await client.patch(url, json={}))
        moved = good(await client.patch(url, json={"url": URL + "2"}))
        for name in full:
            nulled = good(await client.patch(url, json={name: None}))
            assert {**moved, name: empty[name]} | {"updatedAt": "", "filterTypes": "", "rateLimit": ""} == nulled | {
                "updatedAt": "",
                "filterTypes": "",
                "rateLimit": "",
            }, name
            good(await client.patch(url, json={name: full[name]}))
        again = good(await client.get(url))

    assert same == made
    assert {name: again[name] for name in full} == full


async def test_disabling_says_who_did_it_and_what_is_not_said_changes_nothing(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        app_id = good(await client.get("/app/acme"))["id"]
        by_us = await endpoint(client, path, disabled=True, uid="one")
        put = good(await client.put(f"{path}/one", json={"url": URL}))
        enabled = good(await client.patch(f"{path}/one", json={"disabled": False}))
        again = good(await client.patch(f"{path}/one", json={"disabled": False, "description": "x"}))
    async with service.client(service.customer_token(app_id)) as client:
        by_customer = await endpoint(client, path, disabled=True)
        switched = good(await client.put(f"{path}/one", json={"url": URL, "disabled": True}))
        back = good(await client.patch(f"{path}/one", json={"disabled": False}))

    assert (by_us["disabled"], by_us["disabledBecause"]) == (True, "by_operator")
    assert (put["disabled"], put["disabledBecause"]) == (True, "by_operator")
    assert (enabled["disabled"], enabled["disabledBecause"], again["disabled"]) == (False, None, False)
    assert by_customer["disabledBecause"] == switched["disabledBecause"] == "by_customer"
    assert back["disabled"] is False


async def test_what_the_operator_disabled_a_customer_does_not_enable(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        app_id = good(await client.get("/app/acme"))["id"]
        await endpoint(client, path, disabled=True, uid="one")
    async with service.client(service.customer_token(app_id)) as client:
        patched = await client.patch(f"{path}/one", json={"disabled": False, "description": "new"})
        put = await client.put(f"{path}/one", json={"url": URL, "disabled": False})
        still = good(await client.patch(f"{path}/one", json={"description": "other"}))

    bad(patched, 403, "insufficient_access")
    bad(put, 403, "insufficient_access")
    assert (still["disabled"], still["description"]) == (True, "other")


async def test_a_deleted_endpoint_is_gone(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, uid="one")
        deleted = await client.delete(f"{path}/one")
        after = [await client.request(method, f"{path}/{made['id']}") for method in ("GET", "DELETE")]
        after.append(await client.patch(f"{path}/one", json={}))
        listed = good(await client.get(path))
        anew = good(await client.put(f"{path}/one", json={"url": URL}), 201)

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert [answer.status_code for answer in after] == [404, 404, 404]
    assert listed["data"] == []
    assert anew["id"] != made["id"]


async def test_endpoints_of_an_application_that_is_not_there_are_not_found(service: Service) -> None:
    async with service.client() as client:
        answers = [
            await client.get("/app/nobody/endpoint"),
            await client.post("/app/nobody/endpoint", json={"url": URL}),
        ]

    for answer in answers:
        bad(answer, 404, "not_found")


async def test_an_endpoint_of_another_application_is_not_found(service: Service) -> None:
    async with service.client() as client:
        path, other = await application(client), await application(client, "other")
        made = await endpoint(client, path, uid="one")
        answers = [await client.get(f"{other}/{name}") for name in ("one", made["id"])]
        answers.append(await client.delete(f"{other}/{made['id']}"))

    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_six_hundred_endpoints_are_listed_page_by_page_both_ways(service: Service) -> None:
    async with service.client() as client:
        path, other = await application(client), await application(client, "other")
        await endpoint(client, other)
        made = [(await endpoint(client, path, url="https://127.0.0.1/"))["id"] for _ in range(600)]

        assert await walked(client, path) == made[::-1]
        assert await walked(client, path, "ascending") == made


async def test_a_customer_registers_a_bounded_number_of_endpoints(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MOST_OWN", 3)
    monkeypatch.setattr(keeping, "MOST", 2)
    async with service.client() as client:
        path = await application(client)
        app_id = good(await client.get("/app/acme"))["id"]
        async with service.client(service.customer_token(app_id)) as own:
            for _ in range(3):
                await endpoint(own, path)
            made, put = await own.post(path, json={"url": URL}), await own.put(f"{path}/one", json={"url": URL})
        await endpoint(client, path)

    assert "3 endpoints" in bad(made, 409, "conflict")
    bad(put, 409, "conflict")


async def test_a_token_that_may_only_look_changes_nothing(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        app_id = good(await client.get("/app/acme"))["id"]
        made = await endpoint(client, path)
        other = await application(client, "other")
    url = f"{path}/{made['id']}"
    async with service.client(service.customer_token(app_id, Capability.VIEW)) as client:
        seen = [await client.get(path), await client.get(url), await client.get(f"{url}/headers")]
        seen += [await client.get(f"{url}/stats"), await client.get(f"{url}/attempt-stats")]
        elsewhere = await client.get(other)
        refused = [
            await client.post(path, json={"url": URL}),
            await client.put(url, json={"url": URL}),
            await client.patch(url, json={}),
            await client.delete(url),
            await client.get(f"{url}/secret"),
            await client.post(f"{url}/secret/rotate", json={}),
            await client.put(f"{url}/headers", json={"headers": {}}),
            await client.patch(f"{url}/headers", json={"headers": {}}),
            await client.post(f"{url}/send-example", json={"eventType": "a"}),
        ]

    assert {answer.status_code for answer in seen} == {200}
    assert elsewhere.status_code == 404
    for answer in refused:
        bad(answer, 403, "insufficient_access")


async def test_event_types_are_checked_where_the_code_declares_them(service: Service) -> None:
    @service.app.webhooks.post("invoice.paid")
    def invoice_paid(body: dict[str, int]) -> None:
        """An invoice was paid."""

    async with service.client() as client:
        path = await application(client)
        good(await client.post("/event-type", json={"name": "stored.one", "description": ""}), 201)
        wrong = await client.post(path, json={"url": URL, "eventTypes": ["invoice.payed"]})
        right = await endpoint(client, path, eventTypes=["invoice.paid", "stored.one"])
        patched = await client.patch(f"{path}/{right['id']}", json={"filterTypes": ["invoice.payd"]})

    assert bad(wrong, 422, "validation_error")[0]["loc"] == ["body", "eventTypes"]
    assert "Did you mean 'invoice.paid'?" in wrong.text
    assert "Did you mean 'invoice.paid'?" in patched.text
    assert right["eventTypes"] == ["invoice.paid", "stored.one"]


# --- figures


async def test_figures_of_an_endpoint_that_got_nothing_are_nought(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        stats = good(await client.get(f"{path}/{made['id']}/stats"))
        attempts = good(await client.get(f"{path}/{made['id']}/attempt-stats"))

    assert stats == {"success": 0, "pending": 0, "sending": 0, "fail": 0, "canceled": 0}
    assert attempts == {"success": 0, "fail": 0, "canceled": 0}


@pytest.mark.parametrize("what", ["stats", "attempt-stats"])
async def test_figures_are_of_a_time_that_makes_sense(service: Service, what: str) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        url = f"{path}/{made['id']}/{what}"
        turned = await client.get(url, params={"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"})
        no_time = await client.get(url, params={"since": "yesterday"})
        given = await client.get(url, params={"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00+02:00"})
        unknown = await client.get(f"{path}/nobody/{what}")

    assert place(turned) == ["query", "since"]
    assert place(no_time) == ["query", "since"]
    assert given.status_code == 200
    bad(unknown, 404, "not_found")


# --- examples

ORDER = {"type": "object", "properties": {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}}


async def test_an_example_is_made_by_the_stored_schema(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, eventTypes=["other"])
        good(await client.post("/event-type", json={"name": "o", "description": "", "schemas": {"1": ORDER}}), 201)
        sent = good(await client.post(f"{path}/{made['id']}/send-example", json={"eventType": "o"}), 202)
        stored = good(await client.get(f"/app/acme/msg/{sent['id']}"))

    assert sent["payload"] == {"id": 1, "at": "2026-01-31T12:00:00Z"}
    assert (sent["eventType"], sent["tags"]) == ("o", ["example"])
    assert stored["payload"] == sent["payload"]


async def test_the_example_that_is_asked_for_is_sent(service: Service) -> None:
    schema = ORDER | {"examples": [{"id": 1}, {"id": 2}]}
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        url = f"{path}/{made['id']}/send-example"
        good(await client.post("/event-type", json={"name": "o", "description": "", "schemas": {"1": schema}}), 201)
        usual = good(await client.post(url, json={"eventType": "o"}), 202)
        second = good(await client.post(url, json={"eventType": "o", "exampleIndex": 1}), 202)
        third = await client.post(url, json={"eventType": "o", "exampleIndex": 2})
        negative = await client.post(url, json={"eventType": "o", "exampleIndex": -1})

    assert (usual["payload"], second["payload"]) == ({"id": 1}, {"id": 2})
    assert place(third) == place(negative) == ["body", "exampleIndex"]


async def test_examples_of_what_code_declares_are_its_own(service: Service) -> None:
    @service.app.webhooks.put("invoice.paid")
    def invoice_paid(
        body: Annotated[dict[str, int], Body(examples=[{"a": 1}, {"b": 2}])], x_region: Annotated[str, Header()]
    ) -> None:
        """An invoice was paid."""

    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        url = f"{path}/{made['id']}/send-example"
        first = good(await client.post(url, json={"eventType": "invoice.paid"}), 202)
        second = good(await client.post(url, json={"eventType": "invoice.paid", "exampleIndex": 1}), 202)
        misspelt = await client.post(url, json={"eventType": "invoice.payed"})

    assert (first["payload"], second["payload"]) == ({"a": 1}, {"b": 2})
    assert place(misspelt) == ["body", "eventType"]
    assert "Did you mean 'invoice.paid'?" in misspelt.text


ENDLESS = {
    "$ref": "#/$defs/A",
    "$defs": {"A": {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/A"}}}},
}
WIDE = {
    "$ref": "#/$defs/A",
    "$defs": {"A": {"type": "object", "properties": {f"p{n}": {"$ref": "#/$defs/A"} for n in range(30)}}},
}
UNMADE = [
    None,
    {"1": True},
    {"1": {"pattern": "^x{3}$", "type": "string"}},
    {"1": {"not": {}}},
    {"1": {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}, "type": "integer", "minimum": 5, "maximum": 4}},
    {"1": {"type": "array", "minItems": 100_000_000, "items": {}}},
    {
        "1": {
            "type": "object",
            "properties": {"a": {"multipleOf": 1e-300, "type": "number", "minimum": 1e300}},
            "required": ["b"],
        }
    },
    {"1": ENDLESS},
    {"1": WIDE},
]


@pytest.mark.parametrize("schemas", UNMADE, ids=range(len(UNMADE)))
async def test_where_no_example_can_be_made_it_is_said(service: Service, schemas: Any) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path)
        good(await client.post("/event-type", json={"name": "o", "description": "", "schemas": schemas}), 201)
        answer = await client.post(f"{path}/{made['id']}/send-example", json={"eventType": "o"})

    assert "no example" in bad(answer, 409, "conflict")


async def test_no_example_of_nothing_nor_for_a_disabled_endpoint(service: Service) -> None:
    async with service.client() as client:
        path = await application(client)
        made = await endpoint(client, path, disabled=True)
        unknown = await endpoint(client, path)
        off = await client.post(f"{path}/{made['id']}/send-example", json={"eventType": "o"})
        none = await client.post(f"{path}/{unknown['id']}/send-example", json={"eventType": "o"})

    bad(off, 409, "conflict")
    assert place(none) == ["body", "eventType"]
    assert json.loads(none.content)["detail"][0]["msg"].startswith("There is no event type 'o'.")
