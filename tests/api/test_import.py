"""Importing event types from an OpenAPI document, and the catalog as one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from tests.api.acting import bad, good, place
from tests.api.conftest import Service
from tests.api.test_event_type import declare, event_type

PATH = "/event-type/import/openapi"


def webhook(schema: Any, **more: Any) -> dict[str, Any]:
    return {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}} | more}


def document(**webhooks: Any) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "webhooks": webhooks,
        "components": {
            "schemas": {"Tree": {"type": "object", "properties": {"up": {"$ref": "#/components/schemas/Tree"}}}}
        },
    }


TREE = {"$ref": "#/$defs/Tree", "$defs": {"Tree": {"type": "object", "properties": {"up": {"$ref": "#/$defs/Tree"}}}}}
SPEC = document(
    tree=webhook({"$ref": "#/components/schemas/Tree"}, description="A tree.", tags=["trees"], deprecated=True),
    plain=webhook({"type": "object"}),
)


@pytest.mark.parametrize(
    "given",
    [{"spec": SPEC}, {"specRaw": json.dumps(SPEC)}, {"specRaw": yaml.safe_dump(SPEC)}],
    ids=["json", "json text", "yaml"],
)
async def test_each_webhook_becomes_an_event_type(service: Service, given: dict[str, Any]) -> None:
    async with service.client() as client:
        imported = good(await client.post(PATH, json=given))
        tree = good(await client.get("/event-type/tree"))
        plain = good(await client.get("/event-type/plain"))

    assert set(imported["data"]["modified"]) == {"tree", "plain"}
    assert (tree["description"], tree["groupName"], tree["deprecated"]) == ("A tree.", "trees", True)
    assert (tree["schemas"], plain["schemas"]) == ({"1": TREE}, {"1": {"type": "object"}})


async def test_a_dry_run_says_what_would_change_and_changes_nothing(service: Service) -> None:
    async with service.client() as client:
        await event_type(client, "old")
        imported = good(await client.post(PATH, json={"spec": SPEC, "dryRun": True, "replaceAll": True}))["data"]
        listed = good(await client.get("/event-type"))["data"]

    assert imported["modified"] == ["tree", "plain"]
    assert imported["archived"] == ["old"]
    assert imported["to_modify"][0] == {
        "name": "tree",
        "description": "A tree.",
        "schemas": {"1": TREE},
        "deprecated": True,
        "groupName": "trees",
        "featureFlags": None,
    }
    assert [item["name"] for item in listed] == ["old"]


async def test_what_is_the_same_already_is_left_alone(service: Service) -> None:
    async with service.client() as client:
        await client.post(PATH, json={"spec": SPEC})
        before = good(await client.get("/event-type/tree"))
        changed = document(plain=webhook({"type": "array"}), tree=SPEC["webhooks"]["tree"])
        second = good(await client.post(PATH, json={"spec": SPEC}))
        third = good(await client.post(PATH, json={"spec": changed}))
        after = good(await client.get("/event-type/tree"))

    assert (second["data"]["modified"], third["data"]["modified"]) == ([], ["plain"])
    assert before == after


async def test_what_only_the_api_knows_of_an_event_type_stays(service: Service) -> None:
    own = {"groupName": "mine", "featureFlags": ["x"], "validation": "warn"}
    async with service.client() as client:
        await event_type(client, "plain", **own)
        await client.post(PATH, json={"spec": SPEC})
        plain = good(await client.get("/event-type/plain"))

    assert {name: plain[name] for name in own} == own
    assert plain["schemas"] == {"1": {"type": "object"}}


async def test_an_import_brings_back_and_puts_away(service: Service) -> None:
    async with service.client() as client:
        for name in ("plain", "old"):
            await event_type(client, name)
        await client.delete("/event-type/plain")
        kept = good(await client.post(PATH, json={"spec": SPEC}))["data"]
        old = good(await client.get("/event-type/old"))
        replaced = good(await client.post(PATH, json={"spec": SPEC, "replaceAll": True}))["data"]
        listed = good(await client.get("/event-type"))["data"]

    assert ("plain" in kept["modified"], old["archived"]) == (True, False)
    assert replaced == {"modified": [], "archived": ["old"], "to_modify": None}
    assert [item["name"] for item in listed] == ["plain", "tree"]


async def test_neither_or_both_ways_to_give_a_document_are_refused(service: Service) -> None:
    async with service.client() as client:
        answers = [
            await client.post(PATH, json={}),
            await client.post(PATH, json={"spec": None, "specRaw": None}),
            await client.post(PATH, json={"spec": SPEC, "specRaw": "{}"}),
        ]

    for answer in answers:
        bad(answer, 400, "invalid_request")


BROKEN: list[tuple[dict[str, Any], list[str | int], str]] = [
    ({"spec": {}}, ["body", "spec", "openapi"], "3.1"),
    ({"spec": {"openapi": "3.0.0", "webhooks": {}}}, ["body", "spec", "openapi"], "3.1"),
    ({"spec": document(**{"a b": {}})}, ["body", "spec", "webhooks", "a b"], "no name"),
    ({"spec": document(a={"$ref": "other.yaml"})}, ["body", "spec", "webhooks", "a", "$ref"], "not in the document"),
    (
        {"spec": document(good=webhook({}), a=webhook({"$ref": "#/components/schemas/Nobody"}))},
        ["body", "spec", "webhooks", "a", "post", "requestBody", "content", "application/json", "schema", "$ref"],
        "nothing at",
    ),
    (
        {"spec": document(good=webhook({}), a=webhook({"type": "objekt"}))},
        ["body", "spec", "webhooks", "a", "schema", "type"],
        "no JSON Schema",
    ),
    ({"specRaw": ""}, ["body", "specRaw"], "empty"),
    ({"specRaw": "a: b: c"}, ["body", "specRaw"], "Line 1, column 5"),
    ({"specRaw": "a: &a [*a]"}, ["body", "specRaw"], "inside itself"),
    ({"specRaw": '{"a": 1, "a": 2}'}, ["body", "specRaw"], "twice"),
    ({"specRaw": "- 1"}, ["body", "specRaw"], "a list"),
    ({"specRaw": 5}, ["body", "specRaw"], ""),
    ({"spec": []}, ["body", "spec"], ""),
]


@pytest.mark.parametrize(("given", "where", "said"), BROKEN)
async def test_a_broken_document_says_where_and_changes_nothing(
    service: Service, given: dict[str, Any], where: list[str | int], said: str
) -> None:
    async with service.client() as client:
        answer = await client.post(PATH, json=given)
        listed = good(await client.get("/event-type"))

    assert place(answer) == where
    assert said in answer.text
    assert listed["data"] == []


async def test_an_alias_bomb_is_refused(service: Service) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    async with service.client() as client:
        answer = await client.post(PATH, json={"specRaw": "\n".join(lines)})

    assert place(answer) == ["body", "specRaw"]
    assert "aliases" in answer.text


async def test_what_code_declares_is_not_imported_over(service: Service) -> None:
    async with service.client() as client:
        await declare(service)
        shown = good(await client.get("/event-type/invoice.declared"))
        same = {"description": shown["description"]}
        as_declared = document(**{"invoice.declared": webhook(shown["schemas"]["1"], **same), "other": webhook({})})
        other = document(
            **{"other": webhook({"type": "string"}), "invoice.declared": webhook({"type": "object"}, **same)}
        )
        fine = good(await client.post(PATH, json={"spec": as_declared, "replaceAll": True}))["data"]
        refused = [await client.post(PATH, json={"spec": other, "dryRun": dry}) for dry in (True, False)]
        after = good(await client.get("/event-type/other"))
        without = good(await client.post(PATH, json={"spec": document(x=webhook({})), "replaceAll": True}))["data"]

    assert fine == {"modified": ["other"], "archived": [], "to_modify": None}
    for answer in refused:
        assert "invoice.declared" in bad(answer, 409, "conflict")
    assert after["schemas"] == {"1": {}}
    assert without["archived"] == ["other"]


async def test_the_catalog_is_an_openapi_document_of_what_is_declared_and_what_is_stored(service: Service) -> None:
    async with service.client() as client:
        await declare(service)
        await client.post(PATH, json={"spec": SPEC})
        await client.delete("/event-type/plain")
        made = good(await client.get("/openapi/webhooks.json"))

    validate(made)
    assert set(made["webhooks"]) == {"invoice.declared", "tree"}
    assert made["webhooks"]["tree"]["post"]["tags"] == ["trees"]
    assert "Invoice" in made["components"]["schemas"]
    assert made["openapi"].startswith("3.1")


async def test_the_catalog_is_imported_elsewhere_as_it_was(service: Service) -> None:
    storage = await service.webhooks.endpoints.records.storage()
    await storage.put_customer("sandbox", "acme")
    async with service.client() as client:
        await client.post(PATH, json={"spec": SPEC})
        made = good(await client.get("/openapi/webhooks.json"))
    async with service.client(service.token("sandbox")) as client:
        imported = good(await client.post(PATH, json={"spec": made}))["data"]
        tree = good(await client.get("/event-type/tree"))

    assert imported["modified"] == ["plain", "tree"]
    assert tree["groupName"] == "trees"
    assert tree["schemas"]["1"]["$defs"]["Tree"]["properties"]["up"] == {"$ref": "#/$defs/Tree"}


async def test_an_empty_catalog_is_a_document_too(service: Service) -> None:
    async with service.client() as client:
        made = good(await client.get("/openapi/webhooks.json"))

    validate(made)
    assert made["webhooks"] == {}
