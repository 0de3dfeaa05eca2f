"""Event types out of an OpenAPI document's webhooks."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import jsonschema_rs
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from anzol.errors import DocumentRefused
from anzol.openapi_import import MOST_WEBHOOKS, FoundEventType, event_types_in


def document(body: Any, components: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "webhooks": {"thing.made": {"post": {"requestBody": {"content": {"application/json": {"schema": body}}}}}},
        "components": {"schemas": components or {}},
    } | more


def the_one(whole: dict[str, Any]) -> FoundEventType:
    (found,) = event_types_in(whole)
    return found


def schema_of(whole: dict[str, Any]) -> dict[str, Any]:
    schema = the_one(whole).schema
    assert schema is not None
    return schema


def faults(schema: dict[str, Any], value: Any) -> list[list[str | int]]:
    validator = jsonschema_rs.validator_for(schema, offline=True)
    return [error.instance_path for error in validator.iter_errors(value)]


def test_name_description_group_and_deprecation_come_from_the_operation() -> None:
    whole = document({"type": "object"})
    operation = whole["webhooks"]["thing.made"]["post"]
    operation |= {"summary": "Made", "description": " A thing was made. ", "tags": ["things", "x"], "deprecated": True}

    found = the_one(whole)

    assert (found.name, found.description, found.group_name, found.deprecated) == (
        "thing.made",
        "A thing was made.",
        "things",
        True,
    )
    assert found.schema == {"type": "object"}


def test_a_summary_stands_in_for_a_description() -> None:
    whole = document({})
    whole["webhooks"]["thing.made"]["post"]["summary"] = "Made"

    assert the_one(whole).description == "Made"


def test_what_a_schema_refers_to_comes_along() -> None:
    schema = schema_of(
        document(
            {"$ref": "#/components/schemas/Pet"},
            {
                "Pet": {"type": "object", "properties": {"owner": {"$ref": "#/components/schemas/Owner"}}},
                "Owner": {"type": "object", "required": ["name"]},
                "Unused": {"type": "string"},
            },
        )
    )

    assert set(schema["$defs"]) == {"Pet", "Owner"}
    assert faults(schema, {"owner": {}}) == [["owner"]]
    assert faults(schema, {"owner": {"name": "A"}}) == []


def test_circles_come_along_once() -> None:
    schema = schema_of(
        document(
            {"$ref": "#/components/schemas/Tree"},
            {
                "Tree": {
                    "type": "object",
                    "properties": {"children": {"type": "array", "items": {"$ref": "#/components/schemas/Branch"}}},
                },
                "Branch": {"anyOf": [{"$ref": "#/components/schemas/Tree"}, {"type": "null"}]},
            },
        )
    )

    assert set(schema["$defs"]) == {"Tree", "Branch"}
    assert faults(schema, {"children": [{"children": [None]}]}) == []
    assert faults(schema, {"children": [{"children": [5]}]})


def test_a_schema_that_is_a_circle_of_itself_alone_stays_one() -> None:
    schema = schema_of(
        document(
            {"$ref": "#/components/schemas/A"},
            {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}},
        )
    )

    assert schema["$defs"] == {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}


def test_references_lead_into_schemas_and_to_any_place_of_the_document() -> None:
    whole = document(
        {
            "properties": {
                "kind": {"$ref": "#/components/schemas/Pet/properties/kind"},
                "same": {
                    "$ref": "#/webhooks/thing.made/post/requestBody/content/application~1json/schema/properties/kind"
                },
                "odd": {"$ref": "#/x-shared/a%20b~1c/0"},
            }
        },
        {"Pet": {"properties": {"kind": {"enum": ["cat", "dog"]}}}},
        **{"x-shared": {"a b/c": [{"type": "integer"}]}},
    )

    schema = schema_of(whole)

    assert faults(schema, {"kind": "cat", "same": "dog", "odd": 1}) == []
    assert faults(schema, {"kind": "cow", "same": "cow", "odd": "x"}) == [["kind"], ["same"], ["odd"]]


def test_schemas_of_the_same_last_name_are_kept_apart() -> None:
    whole = document(
        {
            "properties": {
                "a": {"$ref": "#/x-one/Pet"},
                "b": {"$ref": "#/x-two/Pet"},
                "c": {"$ref": "#/components/schemas/Pet"},
            }
        },
        {"Pet": {"type": "string"}},
        **{"x-one": {"Pet": {"type": "integer"}}, "x-two": {"Pet": {"type": "boolean"}}},
    )

    assert faults(schema_of(whole), {"a": 1, "b": True, "c": ""}) == []
    assert len(faults(schema_of(whole), {"a": "", "b": "", "c": 1})) == 3


def test_what_comes_along_does_not_push_aside_what_a_schema_has_of_its_own() -> None:
    whole = document(
        {
            "$defs": {"Pet": {"type": "integer"}},
            "properties": {"a": {"$ref": "#/$defs/Pet"}, "b": {"$ref": "#/components/schemas/Pet"}},
        },
        {"Pet": {"type": "string"}},
    )

    assert faults(schema_of(whole), {"a": 1, "b": ""}) == []
    assert len(faults(schema_of(whole), {"a": "", "b": 1})) == 2


def test_an_example_or_a_property_called_ref_is_no_reference() -> None:
    body = {
        "properties": {"$ref": {"type": "string"}, "x": {"const": {"$ref": "#/nowhere"}}},
        "examples": [{"$ref": "https://example.com/"}],
        "default": {"$ref": 5},
        "enum": [{"$ref": "#/nowhere"}],
    }

    assert schema_of(document(body)) == body


def test_references_by_id_and_by_anchor_come_along() -> None:
    schema = schema_of(
        document(
            {"properties": {"leaf": {"$ref": "https://schemas.example/leaf"}, "root": {"$ref": "#root"}}},
            {
                "Leaf": {
                    "$id": "https://schemas.example/leaf",
                    "$defs": {"size": {"type": "integer"}},
                    "properties": {"size": {"$ref": "#/$defs/size"}, "vein": {"$ref": "vein"}},
                },
                "Vein": {"$id": "https://schemas.example/vein", "type": "string"},
                "Root": {"$anchor": "root", "type": "boolean"},
            },
        )
    )

    assert faults(schema, {"leaf": {"size": 1, "vein": "v"}, "root": True}) == []
    assert faults(schema, {"leaf": {"size": "", "vein": 1}, "root": 1}) == [
        ["leaf", "size"],
        ["leaf", "vein"],
        ["root"],
    ]


def test_a_discriminator_leads_to_what_came_along() -> None:
    schema = schema_of(
        document(
            {
                "oneOf": [{"$ref": "#/components/schemas/Cat"}],
                "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/components/schemas/Cat", "dog": "Dog"}},
            },
            {"Cat": {"type": "object"}},
        )
    )

    assert schema["discriminator"]["mapping"] == {"cat": "#/$defs/Cat", "dog": "Dog"}


def test_path_items_bodies_and_examples_may_be_references() -> None:
    whole = {
        "openapi": "3.2.0",
        "webhooks": {"thing.made": {"$ref": "#/components/pathItems/Made", "summary": "Beside"}},
        "components": {
            "pathItems": {"Made": {"post": {"requestBody": {"$ref": "#/components/requestBodies/Thing"}}}},
            "requestBodies": {
                "Thing": {
                    "content": {
                        "text/plain": {},
                        "application/vnd.thing+json; charset=utf-8": {
                            "schema": {"type": "object"},
                            "examples": {"one": {"$ref": "#/components/examples/One"}, "two": {"value": {"b": 2}}},
                        },
                    }
                }
            },
            "examples": {"One": {"value": {"a": 1}}},
        },
    }

    assert the_one(whole).schema == {"type": "object", "examples": [{"a": 1}, {"b": 2}]}


def test_examples_of_the_schema_itself_count_more() -> None:
    whole = document({"examples": [{"a": 1}]})
    whole["webhooks"]["thing.made"]["post"]["requestBody"]["content"]["application/json"]["example"] = {"b": 2}

    assert the_one(whole).schema == {"examples": [{"a": 1}]}


def test_of_several_methods_post_counts() -> None:
    whole = document({"type": "string"})
    item = whole["webhooks"]["thing.made"]
    item["put"] = {"requestBody": {"content": {"application/json": {"schema": {"type": "integer"}}}}}

    both = the_one(whole).schema
    del item["post"]

    assert (both, the_one(whole).schema) == ({"type": "string"}, {"type": "integer"})


@pytest.mark.parametrize(
    "operation",
    [
        {},
        {"requestBody": {}},
        {"requestBody": {"content": {"text/plain": {"schema": {}}}}},
        {"requestBody": {"content": {"application/json": {}}}},
    ],
)
def test_without_a_described_json_body_there_is_no_schema(operation: dict[str, Any]) -> None:
    assert the_one({"openapi": "3.1.1", "webhooks": {"a": {"post": operation}}}).schema is None


def test_true_and_false_are_schemas() -> None:
    assert schema_of(document(True)) == {}
    assert faults(schema_of(document(False)), {}) == [[]]


def test_the_dialect_of_the_document_is_said_in_each_schema() -> None:
    seventh = "http://json-schema.org/draft-07/schema#"
    base = "https://spec.openapis.org/oas/3.1/dialect/base"

    assert schema_of(document({}, jsonSchemaDialect=seventh)) == {"$schema": seventh}
    assert schema_of(document({"$schema": base}, jsonSchemaDialect=base)) == {}


def test_x_webhooks_are_read_where_there_are_no_others() -> None:
    whole = document({})
    whole["x-webhooks"] = whole.pop("webhooks")

    assert the_one(whole).name == "thing.made"


class Node(BaseModel):
    name: str
    children: list[Node] = []


BROKEN: list[tuple[Any, tuple[str | int, ...], str]] = [
    ([], (), "a list"),
    ("text", (), "a text"),
    ({}, ("openapi",), "3.1"),
    ({"openapi": "3.0.3", "webhooks": {}}, ("openapi",), "3.1"),
    ({"swagger": "2.0"}, ("openapi",), "3.1"),
    ({"openapi": 3.1, "webhooks": {}}, ("openapi",), "3.1"),
    ({"openapi": "3.1.0"}, ("x-webhooks",), "no webhooks"),
    ({"openapi": "3.1.0", "webhooks": []}, ("webhooks",), "no webhooks"),
    ({"openapi": "3.1.0", "webhooks": {"a b": {}}}, ("webhooks", "a b"), "no name"),
    ({"openapi": "3.1.0", "webhooks": {"a": None}}, ("webhooks", "a"), "null"),
    ({"openapi": "3.1.0", "webhooks": {"a": {}}}, ("webhooks", "a"), "no operation"),
    ({"openapi": "3.1.0", "webhooks": {"a": {"post": 5}}}, ("webhooks", "a", "post"), "a number"),
    ({"openapi": "3.1.0", "webhooks": {"a": {"$ref": "#/nowhere"}}}, ("webhooks", "a", "$ref"), "nothing at #/nowhere"),
    ({"openapi": "3.1.0", "webhooks": {"a": {"$ref": "other.yaml"}}}, ("webhooks", "a", "$ref"), "not in the document"),
    ({"openapi": "3.1.0", "webhooks": {"a": {"$ref": "#/webhooks/a"}}}, ("webhooks", "a"), "leads to itself"),
    (
        {"openapi": "3.1.0", "webhooks": {"a": {"post": {"requestBody": []}}}},
        ("webhooks", "a", "post", "requestBody"),
        "a list",
    ),
]


@pytest.mark.parametrize(("whole", "path", "said"), BROKEN)
def test_a_broken_document_says_where(whole: Any, path: tuple[str | int, ...], said: str) -> None:
    with pytest.raises(DocumentRefused, match=re.escape(said)) as refused:
        event_types_in(whole)

    assert refused.value.path == path


SCHEMA = ("webhooks", "thing.made", "post", "requestBody", "content", "application/json", "schema")


@pytest.mark.parametrize(
    ("body", "path", "said"),
    [
        (5, (), "a number"),
        ({"$ref": 5}, ("$ref",), "a number"),
        ({"$ref": "#/components/schemas/Nobody"}, ("$ref",), "nothing at"),
        ({"$ref": "#"}, ("$ref",), "not in the document"),
        ({"$ref": "http://169.254.169.254/x"}, ("$ref",), "nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, ("$ref",), "nothing is fetched"),
        ({"$ref": "other.json#/a"}, ("$ref",), "nothing is fetched"),
        ({"$ref": "#anchor"}, ("$ref",), "not in the document"),
        ({"$ref": "http://["}, ("$ref",), "no reference"),
        ({"$id": "http://a/", "items": {"$id": "http://["}}, ("items",), "no reference"),
        ({"$ref": "#/$defs/Nobody"}, ("$ref",), "nothing at"),
        ({"properties": {"a": {"items": "x"}}}, ("properties", "a", "items"), "a text"),
        ({"properties": []}, ("properties",), "a list"),
        ({"anyOf": {}}, ("anyOf",), "an object"),
        ({"allOf": [True, None]}, ("allOf", 1), "null"),
    ],
)
def test_a_broken_schema_says_where(body: Any, path: tuple[str | int, ...], said: str) -> None:
    with pytest.raises(DocumentRefused, match=re.escape(said)) as refused:
        event_types_in(document(body))

    assert refused.value.path == (*SCHEMA, *path)


def test_a_fault_in_what_came_along_is_placed_where_it_stands() -> None:
    with pytest.raises(DocumentRefused) as refused:
        event_types_in(document({"$ref": "#/components/schemas/A"}, {"A": {"items": {"$ref": "#/nowhere"}}}))

    assert refused.value.path == ("components", "schemas", "A", "items", "$ref")


def test_what_many_share_is_not_copied_without_end() -> None:
    big = {"enum": [str(number) for number in range(5000)]}
    whole = document({"$ref": "#/components/schemas/Big"}, {"Big": big})
    whole["webhooks"] = {f"thing-{number}": whole["webhooks"]["thing.made"] for number in range(500)}

    with pytest.raises(DocumentRefused, match="too large"):
        event_types_in(whole)


def test_a_document_is_neither_too_deep_nor_too_long() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"items": deep}
    many = document({})
    many["webhooks"] = {f"thing-{number}": {"post": {}} for number in range(MOST_WEBHOOKS + 1)}

    with pytest.raises(DocumentRefused, match="nested deeper"):
        event_types_in(document(deep))
    with pytest.raises(DocumentRefused, match="are the most"):
        event_types_in(many)


def test_what_fastapi_describes_is_imported_as_it_validates() -> None:
    app = FastAPI()

    @app.webhooks.post("node.made", tags=["nodes"])
    def node_made(body: Node) -> None:
        """A node was made."""

    found = the_one(app.openapi())

    assert (found.name, found.group_name) == ("node.made", "nodes")
    assert found.schema is not None
    assert faults(found.schema, {"name": "a", "children": [{"name": "b"}]}) == []
    assert faults(found.schema, {"name": "a", "children": [{"name": 5}]}) == [["children", 0, "name"]]


PARTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["#", "#/a", "#/components/schemas/A", "http://[", "object", "x", "3.1.0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "$ref",
                    "$id",
                    "$defs",
                    "$anchor",
                    "properties",
                    "items",
                    "anyOf",
                    "A",
                    "post",
                    "requestBody",
                    "content",
                    "schema",
                    "application/json",
                    "examples",
                    "value",
                    "discriminator",
                    "mapping",
                    "dependencies",
                    "tags",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@settings(deadline=None, max_examples=300)
@given(item=PARTS, component=PARTS, body=PARTS)
def test_whatever_the_document_it_is_read_or_refused(item: Any, component: Any, body: Any) -> None:
    whole = document(body, {"A": component})
    whole["webhooks"]["other"] = item
    with suppress(DocumentRefused):
        assert all(found.schema is None or isinstance(found.schema, dict) for found in event_types_in(whole))
