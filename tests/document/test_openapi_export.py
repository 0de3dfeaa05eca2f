"""The whole catalog as OpenAPI: what code declares, and what is stored beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import validate

from anzol.lifecycle import Validation
from anzol.model import EventTypeCard
from anzol.openapi_export import with_stored
from anzol.openapi_import import event_types_in

SCHEDULE = (timedelta(0), timedelta(seconds=5))
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def card(name: str, **given: Any) -> EventTypeCard:
    usual: dict[str, Any] = {
        "description": "",
        "schemas": None,
        "declared": False,
        "group_name": None,
        "archived": False,
        "deprecated": False,
        "feature_flags": (),
        "validation": Validation.REFUSE,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return EventTypeCard(name=name, **usual | given)


def empty() -> dict[str, Any]:
    return {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {}}


def test_a_stored_event_type_is_described_with_everything_that_is_sent() -> None:
    stored = card("thing.made", description="A thing.", group_name="things", deprecated=True)

    made = with_stored(empty(), [(stored, {"type": "object"})], SCHEDULE)
    operation = made["webhooks"]["thing.made"]["post"]

    validate(made)
    assert operation["tags"] == ["things"]
    assert operation["deprecated"] is True
    assert operation["description"].startswith("A thing.\n\n**Delivery.** Sent at once, then again after 5 seconds")
    assert [part["name"] for part in operation["parameters"]][:3] == [
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ]
    assert made["components"]["schemas"] == {"thing_made": {"type": "object"}}


def test_what_the_document_has_already_stays_as_it_is() -> None:
    declared = empty() | {
        "webhooks": {"thing.made": {"post": {"summary": "own"}}},
        "components": {"schemas": {"thing_made": {"type": "string"}}},
    }

    made = with_stored(declared, [(card("thing.made"), {}), (card("thing-made"), {"type": "integer"})], SCHEDULE)

    assert made["webhooks"]["thing.made"] == {"post": {"summary": "own"}}
    assert made["components"]["schemas"] == {"thing_made": {"type": "string"}, "thing_made2": {"type": "integer"}}
    assert "thing-made" not in declared["webhooks"]


def test_definitions_move_among_the_components_under_free_names() -> None:
    schema = {
        "$defs": {
            "Pet": {"properties": {"mother": {"$ref": "#/$defs/Pet"}, "home": {"$ref": "#"}}},
            "a/b": {"type": "integer"},
        },
        "properties": {"pet": {"$ref": "#/$defs/Pet"}, "n": {"$ref": "#/$defs/a~1b"}, "m": {"$ref": "#/properties/n"}},
    }
    before = empty() | {"components": {"schemas": {"Pet": {"type": "string"}}}}

    made = with_stored(before, [(card("zoo"), schema)], SCHEDULE)

    validate(made)
    assert made["components"]["schemas"] == {
        "Pet": {"type": "string"},
        "zoo": {
            "properties": {
                "pet": {"$ref": "#/components/schemas/Pet2"},
                "n": {"$ref": "#/components/schemas/a_b"},
                "m": {"$ref": "#/components/schemas/zoo/properties/n"},
            }
        },
        "Pet2": {
            "properties": {
                "mother": {"$ref": "#/components/schemas/Pet2"},
                "home": {"$ref": "#/components/schemas/zoo"},
            }
        },
        "a_b": {"type": "integer"},
    }


def test_without_any_event_type_there_is_an_empty_catalog() -> None:
    made = with_stored(empty(), [], SCHEDULE)

    validate(made)
    assert made == empty() | {"webhooks": {}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"T": {"properties": {"t": {"$ref": "#/$defs/T"}, "n": {"type": "integer"}}}}, "$ref": "#/$defs/T"},
        {"properties": {"t": {"$ref": "#"}, "n": {"type": "integer"}}},
        {
            "definitions": {"N": {"type": "integer"}},
            "properties": {"n": {"$ref": "#/definitions/N"}, "t": {"$ref": "#"}},
        },
    ],
)
def test_what_is_exported_and_imported_again_checks_the_same(schema: dict[str, Any]) -> None:
    (found,) = event_types_in(with_stored(empty(), [(card("a"), schema)], SCHEDULE))

    assert found.schema is not None
    for checks in (schema, found.schema):
        validator = jsonschema_rs.validator_for(checks, offline=True)
        assert validator.is_valid({"t": {"t": {"n": 1}}})
        assert [list(error.instance_path) for error in validator.iter_errors({"t": {"n": ""}})] == [["t", "n"]]
