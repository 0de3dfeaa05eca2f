"""References inside an OpenAPI document: which schemas are reached, which fall away, and new ones beside old ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from anzol.schemas import Schema

PREFIX = "#/components/schemas/"


def named(part: Any) -> Iterator[str]:
    """Yield the name of every component schema that *part* refers to, discriminator mappings included."""
    if isinstance(part, dict):
        for value in part.values():
            yield from named(value)
    elif isinstance(part, list):
        for value in part:
            yield from named(value)
    elif isinstance(part, str) and part.startswith(PREFIX):
        yield part.removeprefix(PREFIX)


def reached(part: Any, schemas: Mapping[str, Schema]) -> set[str]:
    """Return the names of the schemas that *part* refers to, directly or through others."""
    found: set[str] = set()
    waiting = list(named(part))
    while waiting:
        name = waiting.pop()
        if name not in found and name in schemas:
            found.add(name)
            waiting.extend(named(schemas[name]))
    return found


def renamed(part: Any, names: Mapping[str, str]) -> Any:
    """Return *part* with its references to schemas under their new *names*."""
    if isinstance(part, dict):
        return {key: renamed(value, names) for key, value in part.items()}
    if isinstance(part, list):
        return [renamed(value, names) for value in part]
    if isinstance(part, str) and part.startswith(PREFIX):
        name = part.removeprefix(PREFIX)
        return PREFIX + names.get(name, name)
    return part


def added(schemas: dict[str, Schema], new: Mapping[str, Schema]) -> dict[str, str]:
    """Add *new* schemas to *schemas* without changing one that is there; return the new names of those that differ.

    A schema that is there already, word for word, is shared. One that has the same name and says something else, or
    that refers to such a one, is added as ``OrderWebhook`` beside ``Order``.
    """
    names = {name: free(f"{name}Webhook", schemas, new) for name in differing(schemas, new)}
    for name, schema in new.items():
        if name in names or name not in schemas:
            schemas[names.get(name, name)] = renamed(schema, names)
    return names


def differing(schemas: Mapping[str, Schema], new: Mapping[str, Schema]) -> set[str]:
    """Return the names under which *schemas* says something else than *new*, itself or in what it refers to."""
    different = {name for name, schema in new.items() if name in schemas and schemas[name] != schema}
    while True:
        also = {name for name in new if name in schemas and different & set(named(new[name]))} - different
        if not also:
            return different
        different |= also


def free(name: str, *taken: Mapping[str, Any]) -> str:
    """Return *name*, with a number after it if need be, so that it is in none of *taken*."""
    number, tried = 1, name
    while any(tried in names for names in taken):
        number += 1
        tried = f"{name}{number}"
    return tried
