"""Event types through the API."""

from __future__ import annotations

from typing import Any

import pytest
from httpx import AsyncClient
from pydantic import BaseModel

from tests.api.acting import application, bad, good, place, walked
from tests.api.conftest import Service

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FULL = {
    "description": "An invoice was paid.",
    "schemas": {"1": SCHEMA},
    "groupName": "billing",
    "archived": False,
    "deprecated": True,
    "featureFlags": ["beta", "eu"],
    "validation": "warn",
}
PLAIN = {
    "schemas": None,
    "groupName": None,
    "archived": False,
    "deprecated": False,
    "featureFlags": None,
    "featureFlag": None,
    "validation": "refuse",
    "declared": False,
}


class Invoice(BaseModel):
    amount: int


async def event_type(client: AsyncClient, name: str = "invoice.paid", **given: Any) -> dict[str, Any]:
    made: dict[str, Any] = good(await client.post("/event-type", json={"name": name, "description": ""} | given), 201)
    return made


def without_times(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in ("createdAt", "updatedAt")}


async def declare(service: Service) -> None:
    """Declare an event type in code, and have the catalog stored as a start-up does."""

    @service.app.webhooks.post("invoice.declared")
    def invoice_declared(body: Invoice) -> None:
        """Declared in code."""

    storage = await service.webhooks.endpoints.records.storage()
    schema = {"type": "object", "properties": {"amount": {"type": "integer"}}}
    await storage.sync_event_types("production", [("invoice.declared", "Declared in code.", schema)])


async def test_an_event_type_is_kept_as_it_is_given(service: Service) -> None:
    async with service.client() as client:
        plain = await event_type(client, "plain", description="D")
        full = await event_type(client, **FULL)
        found = good(await client.get("/event-type/invoice.paid"))

    assert without_times(plain) == {"name": "plain", "description": "D"} | PLAIN
    assert full == found
    assert without_times(full) == {"name": "invoice.paid", "declared": False, "featureFlag": "beta"} | FULL


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"name": None}, ["body", "name"]),
        ({"name": ""}, ["body", "name"]),
        ({"name": "a b"}, ["body", "name"]),
        ({"name": "a/b"}, ["body", "name"]),
        ({"name": "a\n"}, ["body", "name"]),
        ({"name": "x" * 257}, ["body", "name"]),
        ({"description": None}, ["body", "description"]),
        ({"description": "a\0"}, ["body", "description"]),
        ({"schemas": []}, ["body", "schemas"]),
        ({"schemas": {"a b": {}}}, ["body", "schemas", "a b", "[key]"]),
        ({"schemas": {"1": "x"}}, ["body", "schemas", "1"]),
        ({"schemas": {"1": {"type": "objekt"}}}, ["body", "schemas", "1", "type"]),
        (
            {"schemas": {"1": {}, "2": {"properties": {"a": {"minimum": "x"}}}}},
            ["body", "schemas", "2", "properties", "a", "minimum"],
        ),
        ({"schemas": {"1": {"pattern": "("}}}, ["body", "schemas", "1", "pattern"]),
        ({"schemas": {"1": {"$ref": "#/$defs/nobody"}}}, ["body", "schemas", "1"]),
        ({"schemas": {"1": {"$ref": "http://127.0.0.1:9/x"}}}, ["body", "schemas", "1"]),
        ({"schemas": {"1": {"$ref": "file:///etc/passwd"}}}, ["body", "schemas", "1"]),
        ({"schemas": {"1": {"$schema": "http://127.0.0.1:9/x"}}}, ["body", "schemas", "1"]),
        ({"schemas": {"1": {"$id": "not % a uri"}}}, ["body", "schemas", "1"]),
        ({"featureFlags": ["a b"]}, ["body", "featureFlags", 0]),
        ({"groupName": "x" * 257}, ["body", "groupName"]),
        ({"validation": "perhaps"}, ["body", "validation"]),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_place(
    service: Service, given: dict[str, Any], where: list[str | int]
) -> None:
    async with service.client() as client:
        answer = await client.post("/event-type", json={"name": "a", "description": ""} | given)
        listed = good(await client.get("/event-type"))

    assert place(answer) == where
    assert listed["data"] == []


async def test_a_name_is_used_once_but_one_in_the_archive_comes_back(service: Service) -> None:
    async with service.client() as client:
        made = await event_type(client, schemas={"1": SCHEMA})
        again = await client.post("/event-type", json={"name": "invoice.paid", "description": "new"})
        archived = await client.delete("/event-type/invoice.paid")
        found = good(await client.get("/event-type/invoice.paid"))
        back = good(await client.post("/event-type", json={"name": "invoice.paid", "description": "new"}), 201)

    bad(again, 409, "conflict")
    assert (archived.status_code, archived.content) == (204, b"")
    assert found["archived"] is True
    assert (back["archived"], back["description"], back["createdAt"]) == (False, "new", made["createdAt"])


async def test_what_is_expunged_is_gone(service: Service) -> None:
    async with service.client() as client:
        await event_type(client)
        deleted = await client.delete("/event-type/invoice.paid", params={"expunge": True})
        after = [await client.get("/event-type/invoice.paid"), await client.delete("/event-type/invoice.paid")]
        patched = await client.patch("/event-type/invoice.paid", json={})

    assert deleted.status_code == 204
    for answer in (*after, patched):
        bad(answer, 404, "not_found")


async def test_put_makes_it_and_then_sets_all_but_how_payloads_are_checked(service: Service) -> None:
    async with service.client() as client:
        made = good(await client.put("/event-type/invoice.paid", json=FULL), 201)
        changed = good(await client.put("/event-type/invoice.paid", json={"description": "D"}))

    assert without_times(made) == {"name": "invoice.paid", "declared": False, "featureFlag": "beta"} | FULL
    assert without_times(changed) == {"name": "invoice.paid", "description": "D"} | PLAIN | {"validation": "warn"}


async def test_put_refuses_what_is_no_name(service: Service) -> None:
    async with service.client() as client:
        crooked = await client.put("/event-type/a%20b", json={"description": ""})
        long = await client.put(f"/event-type/{'x' * 257}", json={"description": ""})
        no_schema = await client.put("/event-type/a", json={"description": "", "schemas": {"1": {"type": 5}}})

    assert place(crooked) == place(long) == ["path", "event_type_name"]
    assert place(no_schema) == ["body", "schemas", "1", "type"]


async def test_patch_leaves_what_is_not_given_takes_away_what_is_null_and_sets_the_rest(service: Service) -> None:
    async with service.client() as client:
        made = without_times(await event_type(client, **FULL))
        for name in ("schemas", "groupName", "archived", "deprecated", "featureFlags", "validation"):
            nulled = without_times(good(await client.patch("/event-type/invoice.paid", json={name: None})))
            empty = {name: PLAIN[name]} | ({"featureFlag": None} if name == "featureFlags" else {})
            assert nulled == made | empty
            again = without_times(good(await client.patch("/event-type/invoice.paid", json={name: FULL[name]})))
            assert again == made
        older = good(await client.patch("/event-type/invoice.paid", json={"featureFlag": "one"}))
        described = good(await client.patch("/event-type/invoice.paid", json={"description": "D", "archived": True}))
        unsaid = await client.patch("/event-type/invoice.paid", json={"description": None})

    assert older["featureFlags"] == ["one"]
    assert (described["description"], described["archived"], described["groupName"]) == ("D", True, "billing")
    assert place(unsaid) == ["body", "description"]


async def test_a_list_is_by_name_without_schemas_and_without_the_archive_unless_asked_for(service: Service) -> None:
    async with service.client() as client:
        for name in ("b", "a", "c"):
            await event_type(client, name, schemas={"1": SCHEMA})
        await client.delete("/event-type/b")
        usual = good(await client.get("/event-type"))["data"]
        everything = {"include_archived": True, "with_content": True, "order": "descending"}
        whole = good(await client.get("/event-type", params=everything))["data"]

    assert [(item["name"], item["schemas"]) for item in usual] == [("a", None), ("c", None)]
    assert [(item["name"], item["schemas"]) for item in whole] == [(name, {"1": SCHEMA}) for name in "cba"]


async def test_six_hundred_event_types_are_listed_page_by_page_both_ways(service: Service) -> None:
    names = [f"type-{number:03}" for number in range(600)]
    async with service.client() as client:
        for name in names:
            await event_type(client, name)

        assert await walked(client, "/event-type") == names
        assert await walked(client, "/event-type", "descending") == names[::-1]


async def test_what_code_declares_is_described_there_alone(service: Service) -> None:
    async with service.client() as client:
        await declare(service)
        shown = good(await client.get("/event-type/invoice.declared"))
        same = good(await client.put("/event-type/invoice.declared", json={"description": "Declared in code."}))
        own = {"groupName": "billing", "validation": "off", "featureFlags": ["x"], "deprecated": True}
        patched = good(await client.patch("/event-type/invoice.declared", json=own))
        refused = [
            await client.patch("/event-type/invoice.declared", json={"description": "Other"}),
            await client.patch("/event-type/invoice.declared", json={"schemas": None}),
            await client.put("/event-type/invoice.declared", json={"description": "Other"}),
            await client.post("/event-type", json={"name": "invoice.declared", "description": ""}),
            await client.delete("/event-type/invoice.declared"),
            await client.delete("/event-type/invoice.declared", params={"expunge": True}),
        ]

    assert (shown["declared"], same["schemas"]) == (True, shown["schemas"])
    assert {name: patched[name] for name in own} == own
    for answer in refused:
        assert "declared" in bad(answer, 409, "conflict") or answer.request.method == "POST"


async def test_customers_look_at_event_types_and_change_none(service: Service) -> None:
    async with service.client() as client:
        await application(client)
        app_id = good(await client.get("/app/acme"))["id"]
        await event_type(client)
    async with service.client(service.customer_token(app_id)) as client:
        seen = [await client.get("/event-type"), await client.get("/event-type/invoice.paid")]
        seen.append(await client.get("/openapi/webhooks.json"))
        refused = [
            await client.post("/event-type", json={"name": "b", "description": ""}),
            await client.put("/event-type/invoice.paid", json={"description": ""}),
            await client.patch("/event-type/invoice.paid", json={}),
            await client.delete("/event-type/invoice.paid"),
            await client.post("/event-type/import/openapi", json={"spec": {}}),
        ]

    assert [answer.status_code for answer in seen] == [200, 200, 200]
    for answer in refused:
        bad(answer, 403, "insufficient_access")


async def test_each_environment_has_its_own(service: Service) -> None:
    storage = await service.webhooks.endpoints.records.storage()
    await storage.put_customer("sandbox", "acme")
    async with service.client() as client:
        await event_type(client)
    async with service.client(service.token("sandbox")) as client:
        found = await client.get("/event-type/invoice.paid")
        listed = good(await client.get("/event-type"))

    bad(found, 404, "not_found")
    assert listed["data"] == []
