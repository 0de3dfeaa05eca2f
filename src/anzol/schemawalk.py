"""Walking through a JSON Schema by what its keywords mean: a ``$ref`` inside an example or a `const` is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urljoin, urlsplit

from anzol.errors import DocumentRefused

Path = tuple[str | int, ...]
# (reference, where it stands, the `$id` of the schema around it or "") -> the reference to be written
Change = Callable[[str, Path, str], str]

ONE: Final = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
SEVERAL: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
NAMED: Final = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})


def rewritten(schema: Any, change: Change, path: Path = (), base: str = "") -> Any:
    """Return a copy of *schema* whose references are what *change* makes of them.

    Args:
        base: The ``$id`` of the schema around it; a reference such as ``#/$defs/Pet`` is meant within that one.

    Raises:
        DocumentRefused: what stands where a schema should be is none.
    """
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise DocumentRefused(f"There should be a schema, not {kind(schema)}.", path=path)
    own = schema.get("$id")
    base = joined(base, own, path) if isinstance(own, str) else base
    return {key: part(key, value, change, (*path, key), base) for key, value in schema.items()}


def part(key: str, value: Any, change: Change, path: Path, base: str) -> Any:
    """Return what stands under one keyword, rewritten."""
    if key in ("$ref", "$dynamicRef"):
        if not isinstance(value, str):
            raise DocumentRefused(f"A reference is a text, not {kind(value)}.", path=path)
        return change(value, path, base)
    if key in NAMED or (key == "dependencies" and isinstance(value, dict)):
        return named(value, change, path, base)
    if key in SEVERAL or (key == "items" and isinstance(value, list)):
        return several(value, change, path, base)
    if key in ONE:
        return rewritten(value, change, path, base)
    if key == "discriminator" and isinstance(value, dict) and isinstance(value.get("mapping"), dict):
        return {**value, "mapping": mapping(value["mapping"], change, (*path, "mapping"), base)}
    return value


def named(value: Any, change: Change, path: Path, base: str) -> Any:
    """Return an object of schemas; of ``dependencies`` some are lists of names."""
    if not isinstance(value, dict):
        raise DocumentRefused(f"There should be an object of schemas, not {kind(value)}.", path=path)
    lists = path[-1] == "dependencies"
    return {
        name: about if lists and isinstance(about, list) else rewritten(about, change, (*path, name), base)
        for name, about in value.items()
    }


def several(value: Any, change: Change, path: Path, base: str) -> Any:
    """Return a list of schemas."""
    if not isinstance(value, list):
        raise DocumentRefused(f"There should be a list of schemas, not {kind(value)}.", path=path)
    return [rewritten(about, change, (*path, index), base) for index, about in enumerate(value)]


def mapping(given: Mapping[str, Any], change: Change, path: Path, base: str) -> dict[str, Any]:
    """Return a discriminator's mapping: references, or bare names of component schemas, which are left alone."""
    return {
        name: change(target, (*path, name), base) if isinstance(target, str) and target.startswith("#") else target
        for name, target in given.items()
    }


def joined(base: str, reference: str, path: Path) -> str:
    """Return a reference as it is meant beside *base*."""
    try:
        urlsplit(made := urljoin(base, reference))
        return made
    except ValueError:
        raise DocumentRefused(f"{reference[:200]!r} is no reference.", path=path) from None


def steps(pointer: str) -> tuple[str, ...]:
    """Return the steps of a JSON pointer as it stands after the ``#``, such as ``/components/schemas/Pet``."""
    return tuple(unquote(step).replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def step(name: str) -> str:
    """Write one step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1").replace("%", "%25").replace("#", "%23").replace(" ", "%20")


def followed(whole: Any, pointer: str, path: Path) -> Any:
    """Return what a pointer leads to; *path* is where it stands.

    Raises:
        DocumentRefused: there is nothing.
    """
    found = whole
    for name in steps(pointer):
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise DocumentRefused(f"There is nothing at #{pointer[:200]}.", path=path)
    return found


def kind(value: object) -> str:
    """Name what was found, in JSON's words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
