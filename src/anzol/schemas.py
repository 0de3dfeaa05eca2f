"""JSON Schema of what is *sent*: the serialised form, complete, with nothing marked as read-only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

Schema = dict[str, Any]

WRITTEN_DECIMAL = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
COMPONENT = "#/components/schemas/{model}"
LOCAL = "#/$defs/{model}"


class SentSchema(GenerateJsonSchema):
    """Describes a body as its receiver sees it.

    Some things differ from Pydantic's own serialisation schema. A field with a default is required, since it is always
    sent. A computed field is not ``readOnly``: OpenAPI says that such a property is never part of a request, so
    Swagger UI hides it and generators leave it out, although it is in every webhook.
    """

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Say whether the field is always there: only a TypedDict's and a conditionally excluded one may be missing."""
        if field["type"] == "typed-dict-field":
            return super().field_is_required(field, total)
        return field.get("serialization_exclude_if") is None

    def decimal_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a Decimal as it is written: 0.0000001 becomes ``1E-7``, which Pydantic's own pattern denies."""
        described = super().decimal_schema(schema)
        if "pattern" in described:
            described["pattern"] = WRITTEN_DECIMAL
        return described

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a value that has a default without it: what is always sent needs none."""
        return self.generate_inner(schema["schema"])

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        """Generate one schema; of a computed field, without its ``readOnly``."""
        if schema["type"] == "computed-field":
            schema = writable(schema)
        return super().generate_inner(schema)


def writable(field: dict[str, Any]) -> dict[str, Any]:
    """Return the computed field's core schema without the ``readOnly`` that Pydantic adds."""
    metadata = dict(field.get("metadata") or {})
    updates = dict(metadata.get("pydantic_js_updates") or {})
    updates.pop("readOnly", None)
    return {**field, "metadata": {**metadata, "pydantic_js_updates": updates}}


def sent_schemas(
    adapters: Iterable[tuple[str, TypeAdapter[Any]]], *, template: str = COMPONENT
) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Describe several bodies together.

    Returns:
        Each adapter's schema by the key given with it, and the definitions that they share, by name.
    """
    generator = SentSchema(by_alias=True, ref_template=template)
    inputs: list[Any] = [(key, "serialization", adapter.core_schema) for key, adapter in adapters]
    schemas, definitions = generator.generate_definitions(inputs)
    return {key: schema for (key, _), schema in schemas.items()}, {
        str(name): schema for name, schema in definitions.items()
    }


def sent_schema(adapter: TypeAdapter[Any]) -> Schema:
    """Describe one body, with what it refers to under ``$defs``."""
    schemas, definitions = sent_schemas([("body", adapter)], template=LOCAL)
    return {**schemas["body"], "$defs": definitions} if definitions else schemas["body"]
