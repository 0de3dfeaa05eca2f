"""The whole catalog as OpenAPI 3.1: the document of what code declares, and with it the event types that are stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any

from anzol.model import EventTypeCard
from anzol.operations import Operation, answers, own_headers, promise
from anzol.references import PREFIX, free
from anzol.schemas import Schema
from anzol.schemawalk import Path, rewritten, step

Document = dict[str, Any]
DEFINITIONS = ("$defs", "definitions")


def with_stored(
    document: Document, cards: Iterable[tuple[EventTypeCard, Any]], schedule: Sequence[timedelta]
) -> Document:
    """Return a copy of *document* with an operation for each event type that it does not have.

    Args:
        cards: Each with the JSON Schema of its payload, or None.
    """
    made = deepcopy(document)
    webhooks: dict[str, Any] = made.setdefault("webhooks", {})
    components: dict[str, Any] = made.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for card, schema in cards:
        if card.name not in webhooks:
            reference = None if schema is None else placed(schema, word(card.name), schemas)
            webhooks[card.name] = {"post": operation(card, reference, schedule)}
    if not schemas:
        del components["schemas"]
    return {key: value for key, value in made.items() if value or key != "components"}


def operation(card: EventTypeCard, schema: Schema | None, schedule: Sequence[timedelta]) -> Operation:
    """Return the operation of a stored event type."""
    made: Operation = {
        "summary": card.name,
        "description": f"{card.description}\n\n{promise(schedule)}".strip(),
        "operationId": word(card.name),
        "parameters": own_headers(card.name),
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema or {}}}},
        "responses": answers(),
    }
    if card.group_name:
        made = {"tags": [card.group_name], **made}
    return made | ({"deprecated": True} if card.deprecated else {})


def placed(schema: Any, name: str, schemas: dict[str, Any]) -> Schema:
    """Put a schema, and what it has under ``$defs``, among a document's *schemas*; return a reference to it."""
    chosen = free(name, schemas)
    schemas[chosen] = True
    names = {}
    for key, definition in definitions_of(schema):
        names[key] = free(re.sub(r"[^A-Za-z0-9_.-]", "_", definition) or "schema", schemas)
        schemas[names[key]] = True
    body = without(schema) if names else schema
    schemas[chosen] = moved(body, chosen, names)
    for (key, definition), part in parts_of(schema).items():
        schemas[names[f"{key}/{step(definition)}"]] = moved(part, chosen, names)
    return {"$ref": PREFIX + chosen}


def moved(schema: Any, root: str, names: Mapping[str, str]) -> Any:
    """Return a schema whose references lead to where its parts are now."""

    def change(reference: str, _: Path, base: str) -> str:
        if base or (reference != "#" and not reference.startswith("#/")):
            return reference
        key, rest = split(reference[2:])
        if key in names:
            return PREFIX + names[key] + rest
        return PREFIX + root + reference[1:]

    return rewritten(schema, change)


def split(pointer: str) -> tuple[str, str]:
    """Return the first two steps of a pointer, and the rest with its slash."""
    steps = pointer.split("/")
    rest = "/".join(steps[2:])
    return "/".join(steps[:2]), f"/{rest}" if rest else ""


def parts_of(schema: Any) -> dict[tuple[str, str], Any]:
    """Return the definitions of a schema that is no document of its own."""
    if not isinstance(schema, dict) or isinstance(schema.get("$id"), str):
        return {}
    return {
        (key, name): part
        for key in DEFINITIONS
        if isinstance(schema.get(key), dict)
        for name, part in schema[key].items()
    }


def definitions_of(schema: Any) -> list[tuple[str, str]]:
    """Return the place of each definition, such as ``$defs/Pet``, and its name."""
    return [(f"{key}/{step(name)}", name) for key, name in parts_of(schema)]


def without(schema: Schema) -> Schema:
    """Return a schema without its definitions."""
    return {key: value for key, value in schema.items() if key not in DEFINITIONS}


def word(name: str) -> str:
    """Return an event type's name as a word that generators can make identifiers of."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "webhook"
