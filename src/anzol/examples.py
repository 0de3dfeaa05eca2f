"""Example arguments for an event type: the declared examples where there are any, else values made from the types."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from anzol.encoding import Body, Misfit
from anzol.schemas import resolved

if TYPE_CHECKING:
    from anzol.catalog import EventType

Schema = Mapping[str, Any]

# Fixed, so that the same declaration always gives the same bytes.
BY_FORMAT = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "ana@example.com",
    "idn-email": "ana@example.com",
    "uri": "https://example.com/",
    "uuid": "0b9c7d1e-2f3a-4b5c-8d6e-7f8091a2b3c4",
    "uuid1": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "uuid3": "6fa459ea-ee8a-3ca4-894e-db77e160355e",
    "uuid4": "0b9c7d1e-2f3a-4b5c-8d6e-7f8091a2b3c4",
    "uuid5": "886313e1-3b8a-5372-9b90-0c9aee199e5d",
    "uuid7": "019c1234-5678-7abc-8def-0123456789ab",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "ipv4network": "192.0.2.0/24",
    "ipv6network": "2001:db8::/32",
    "ipv4interface": "192.0.2.1/24",
    "ipv6interface": "2001:db8::1/32",
    "json-string": "{}",
    "base64": "ZXhhbXBsZQ==",
    "binary": "example",
    "base64url": "ZXhhbXBsZQ==",
}
DEEPEST = 6
LONGEST = 100  # items of a list that asks for many
PADDED = 10_000  # characters


def arguments(event: EventType) -> dict[str, Any]:
    """Return one argument for each parameter of *event*; raises Misfit when none could be made that fits."""
    made = {parameter.name: made_for(parameter.adapter) for parameter in (*event.headers, *event.query)}
    if event.body is None:
        return made
    return made | body_arguments(event, event.body)


def body_arguments(event: EventType, body: Body) -> dict[str, Any]:
    """Return the arguments of the body from the first candidate that fits."""
    for candidate in (*event.examples, *schema_examples(body.adapter)):
        given = spread(body, candidate)
        if given is not None and fits(body, given):
            return given
    given = spread(body, made_for(body.adapter, named=event.name)) or {}
    if not fits(body, given):
        reason = "no example could be made from the type; declare one with Body(examples=[...])"
        raise Misfit([(body.parameters[0], reason)])
    return given


def spread(body: Body, value: Any) -> dict[str, Any] | None:
    """Hand a body's value to its parameters; None when the value is not an object and there are several."""
    if body.embedded is None:
        return {body.parameters[0]: value if body.raw else parsed(body.adapter, value)}
    if not isinstance(value, dict):
        return None
    return {name: value[field] for field, name in body.embedded.items() if field in value}


def parsed(adapter: TypeAdapter[Any], value: Any) -> Any:
    """Read an example as the JSON that it is: a strict type takes a date's text from JSON, and not from Python."""
    try:
        return adapter.validate_json(json.dumps(value), by_alias=True, by_name=True)
    except (TypeError, ValueError):
        return value


def fits(body: Body, given: Mapping[str, Any]) -> bool:
    """Say whether the body can be encoded from *given*."""
    if any(name not in given for name in body.parameters):
        return False
    try:
        body.encode(given)
    except Misfit:
        return False
    return True


def schema_examples(adapter: TypeAdapter[Any]) -> list[Any]:
    """Return the examples that the type itself declares (``json_schema_extra``)."""
    schema = input_schema(adapter)
    target = resolved(schema, schema.get("$defs", {}))
    examples = list(target.get("examples", ())) if isinstance(target.get("examples"), list) else []
    return [*examples, target["example"]] if "example" in target else examples


def made_for(adapter: TypeAdapter[Any], *, named: str = "") -> Any:
    """Make a value that the type accepts, as far as its schema says what that is."""
    schema = input_schema(adapter)
    return made(schema, schema.get("$defs", {}), named=named)


def input_schema(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """Return the schema of what the type accepts; ``{}`` for a type that has none."""
    try:
        return adapter.json_schema(by_alias=True, mode="validation")
    except PydanticInvalidForJsonSchema:
        return {}


def made(schema: Schema, definitions: Schema, *, named: str = "", depth: int = 0) -> Any:
    """Make a value of a schema: its const, example, default, first choice, or one of its type."""
    schema = resolved(schema, definitions)
    for key, pick in GIVEN:
        if key in schema and (key != "examples" or isinstance(schema[key], list)):
            return pick(schema[key])
    if "allOf" in schema:
        return made({**schema["allOf"][0], **without(schema, "allOf")}, definitions, named=named, depth=depth)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return made_choice(schema[choice], definitions, depth=depth)
    return made_of_type(schema, definitions, named=named, depth=depth)


def made_choice(choices: list[Schema], definitions: Schema, *, depth: int) -> Any:
    """Make a value of the first choice that is not null; null where the type goes round in circles.

    A choice with a pattern comes last: no text is made to fit it.
    """
    real = sorted((choice for choice in choices if choice.get("type") != "null"), key=lambda part: "pattern" in part)
    if depth > DEEPEST and len(real) < len(choices):
        return None
    return made(real[0], definitions, depth=depth) if real else None


def made_of_type(schema: Schema, definitions: Schema, *, named: str, depth: int) -> Any:
    """Make a value of a schema that only says its type."""
    match schema.get("type"):
        case "object":
            return made_object(schema, definitions, named=named, depth=depth)
        case "array":
            return made_array(schema, definitions, depth=depth)
        case "string" if "contentSchema" in schema:
            return json.dumps(made(schema["contentSchema"], definitions, depth=depth + 1))
        case "string":
            return made_string(schema)
        case "null":
            return None
        case "integer":
            return made_number(schema, whole=True)
        case "number":
            return made_number(schema, whole=False)
        case "boolean":
            return True
        case _:
            return {} if depth == 0 else None


def made_object(schema: Schema, definitions: Schema, *, named: str, depth: int) -> dict[str, Any]:
    """Make an object with all its properties; with the required ones where the type goes round in circles."""
    required = schema.get("required", ())
    result = {
        name: made(part, definitions, depth=depth + 1)
        for name, part in schema.get("properties", {}).items()
        if depth <= DEEPEST or name in required
    }
    # An Envelope's own first field: a made-up type would be refused.
    if named and str(schema.get("title", "")).startswith("Envelope"):
        result["type"] = named
    return result


def made_array(schema: Schema, definitions: Schema, *, depth: int) -> list[Any]:
    """Make a list: one item, or as many as the type asks for."""
    fixed = [made(part, definitions, depth=depth + 1) for part in schema.get("prefixItems", ())]
    most = LONGEST if depth < 2 else 3 if depth <= DEEPEST else 1  # else lists of lists of lists are many
    least = min(schema.get("minItems", 0 if depth > DEEPEST else 1), most)
    wanted = max(least - len(fixed), 0) if "items" in schema else 0
    return fixed + [made(schema["items"], definitions, depth=depth + 1) for _ in range(wanted)]


def made_string(schema: Schema) -> str:
    """Make a string of the format and length that the schema asks for."""
    value = BY_FORMAT.get(schema.get("format", ""), "string")
    value = value.ljust(min(schema.get("minLength", 0), PADDED), "x")
    return value[: schema.get("maxLength", len(value))]


def made_number(schema: Schema, *, whole: bool) -> float:
    """Make a number within the schema's bounds: the least one that is nice."""
    step = schema.get("multipleOf", 1)
    value = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    if "exclusiveMinimum" in schema or ("minimum" not in schema and within(step, schema)):
        value = value + step
    if not within(value, schema):
        value = schema.get("maximum", schema.get("exclusiveMaximum", 1) - (1 if whole else 0.5))
    if "multipleOf" in schema and value % step:
        value += step - value % step
    return value if not whole else int(value)


def within(value: float, schema: Schema) -> bool:
    """Say whether *value* is under the schema's upper bound."""
    return bool(value <= schema.get("maximum", value) and value < schema.get("exclusiveMaximum", value + 1))


def without(schema: Schema, key: str) -> dict[str, Any]:
    """Return the schema without one key."""
    return {name: value for name, value in schema.items() if name != key}


GIVEN: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("const", lambda value: value),
    ("examples", lambda values: values[0]),
    ("example", lambda value: value),
    ("enum", lambda values: values[0]),
    ("default", lambda value: value),
)
