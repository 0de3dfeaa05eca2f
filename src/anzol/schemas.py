"""JSON Schema of what is *sent*: the serialised form, complete, with nothing marked as read-only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

Schema = dict[str, Any]

NOT_FINITE = ("NaN", "Infinity", "-Infinity")
# Core schemas that stand around the type of a field.
AROUND = frozenset({"default", "nullable", "function-before", "function-after", "function-wrap"})
WRITTEN_DECIMAL = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
COMPONENT = "#/components/schemas/{model}"
LOCAL = "#/$defs/{model}"


class SentSchema(GenerateJsonSchema):
    """Describes a body as its receiver sees it.

    Some things differ from Pydantic's own serialisation schema. A field with a default is required, since it is always
    sent. A computed field is not ``readOnly``: OpenAPI says that such a property is never part of a request, so
    Swagger UI hides it and generators leave it out, although it is in every webhook. And what a serialiser without a
    return type makes is not known: such a field may be anything, and such a model may have fewer fields and others.
    """

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Say whether the field is always there: a TypedDict's, a conditionally excluded one, `MISSING` may not be."""
        if field["type"] == "typed-dict-field":
            return super().field_is_required(field, total)
        return field.get("serialization_exclude_if") is None and not may_be_missing(field["schema"])

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        """Describe what a serialiser makes: anything, if it replaces the value and does not say by what."""
        if schema["type"] == "function-plain" and schema.get("return_schema") is None:
            return {}
        return super().ser_schema(schema)

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a model."""
        return loosened(super().model_schema(schema), schema)

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a dataclass."""
        return loosened(super().dataclass_schema(schema), schema)

    def float_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a float, with the words that its model writes for what is no number."""
        described = super().float_schema(schema)
        if self._config.ser_json_inf_nan == "strings":
            return {"anyOf": [described, {"enum": list(NOT_FINITE), "type": "string"}]}
        return described

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


def may_be_missing(schema: Any) -> bool:
    """Say whether a field's value may be Pydantic's ``MISSING``, which is left out."""
    while schema["type"] in AROUND:
        schema = schema["schema"]
    return bool(schema["type"] == "missing-sentinel")


def loosened(described: JsonSchemaValue, schema: Any) -> JsonSchemaValue:
    """Take back what a wrapping serialiser may undo, if it does not say what it returns: which fields there are."""
    serialiser = schema.get("serialization", {})
    if serialiser.get("type") != "function-wrap" or serialiser.get("return_schema") is not None:
        return described
    return {key: value for key, value in described.items() if key not in ("required", "additionalProperties")}


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


def resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """Follow a reference; what stands beside it counts too. One that leads to itself says nothing."""
    seen: set[str] = set()
    while "$ref" in schema and schema["$ref"] not in seen:
        seen.add(schema["$ref"])
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**definitions[schema["$ref"].rsplit("/", 1)[-1]], **beside}
    return {key: value for key, value in schema.items() if key != "$ref"}


def may_be_null(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    """Say whether the described value may be null: said so, or nothing is said of it."""
    schema = resolved(schema, definitions)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return any(may_be_null(choice, definitions) for choice in schema[key])
    if "enum" in schema or "const" in schema:
        return None in schema.get("enum", [schema.get("const")])
    return bool(schema.get("type", "null") == "null")
