"""Event types out of an OpenAPI document's webhooks, each with a schema of its body that needs nothing beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urldefrag

from anzol.errors import DocumentRefused
from anzol.references import free
from anzol.schemas import Schema
from anzol.schemawalk import Path, followed, joined, kind, rewritten, step, steps

NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,256}", re.ASCII)
METHODS: Final = ("post", "put", "patch", "delete", "get", "query", "options", "head", "trace")  # the first one counts
JSON: Final = re.compile(r"[^;]*[/+]json\s*(;.*)?", re.ASCII | re.IGNORECASE)
META: Final = "https://json-schema.org/"
DRAFTS: Final = re.compile(r"https?://json-schema\.org/(draft/20(19-09|20-12)/schema|draft-0[467]/schema)#?")
MOST_WEBHOOKS: Final = 1000
MOST_COPIED: Final = 500_000  # values in all schemas together: what many webhooks share is copied into each
DEEPEST: Final = 100
MOST_HOPS: Final = 50
DEFS: Final = "#/$defs/"
LOCAL: Final = ("$defs", "definitions")


@dataclass(frozen=True, slots=True)
class FoundEventType:
    """One webhook of the document. ``schema`` is of the JSON body, None where none is described."""

    name: str
    description: str
    deprecated: bool
    group_name: str | None
    schema: Schema | None


def event_types_in(document: object) -> tuple[FoundEventType, ...]:
    """Return the event types that an OpenAPI document of version 3.1 or later describes as webhooks.

    Of a webhook with several methods POST counts, else the first of PUT, PATCH, DELETE.

    Raises:
        DocumentRefused: it is no such document, or broken; ``path`` says where.
    """
    whole = checked(document)
    webhooks = section(whole)
    if len(webhooks) > MOST_WEBHOOKS:
        raise DocumentRefused(f"It has {len(webhooks)} webhooks; {MOST_WEBHOOKS} are the most.", path=("webhooks",))
    room = Room(MOST_COPIED)
    key = "webhooks" if "webhooks" in whole else "x-webhooks"
    return tuple(event_type(whole, room, name, item, (key, name)) for name, item in webhooks.items())


def checked(document: object) -> dict[str, Any]:
    """Return the document once it is OpenAPI of a version that knows webhooks, and not too deep to be walked."""
    if not isinstance(document, dict):
        raise DocumentRefused(f"An OpenAPI document is an object, not {kind(document)}.")
    version = document.get("openapi")
    if not isinstance(version, str) or not re.match(r"3\.([1-9]|\d\d)", version):
        raise DocumentRefused(
            f"`openapi` is {str(version)[:40]!r}; webhooks are described from version 3.1 on.", path=("openapi",)
        )
    check_depth(document)
    return document


def check_depth(document: dict[str, Any]) -> None:
    """Refuse a document that is too deep; without going deep."""
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [value for part in level for value in inside(part)]
        if not level:
            return
    raise DocumentRefused(f"It is nested deeper than {DEEPEST}.")


def inside(part: Any) -> list[Any]:
    """Return the lists and objects directly in a value."""
    values = part.values() if isinstance(part, dict) else part
    return [value for value in values if isinstance(value, dict | list)]


def section(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the webhooks by name."""
    key = "webhooks" if "webhooks" in document else "x-webhooks"
    webhooks = document.get(key)
    if not isinstance(webhooks, dict):
        raise DocumentRefused("It describes no webhooks: there is no object `webhooks`.", path=(key,))
    return webhooks


def event_type(whole: dict[str, Any], room: Room, name: str, item: Any, path: Path) -> FoundEventType:
    """Return one webhook as an event type."""
    if not NAME.fullmatch(name):
        raise DocumentRefused(
            f"{name[:100]!r} is no name of an event type: 1 to 256 letters, digits, dots, hyphens, underscores.",
            path=path,
        )
    item, path = resolved(whole, item, path)
    method = next((method for method in METHODS if method in item), None)
    if method is None:
        raise DocumentRefused("It has no operation.", path=path)
    operation, path = resolved(whole, item[method], (*path, method))
    return FoundEventType(
        name=name,
        description=first_text(operation.get("description"), operation.get("summary"), item.get("description")),
        deprecated=operation.get("deprecated") is True,
        group_name=group(operation.get("tags")),
        schema=body_schema(whole, room, operation, path),
    )


def resolved(whole: dict[str, Any], part: Any, path: Path) -> tuple[dict[str, Any], Path]:
    """Follow references of what is no schema, such as a path item; what stands beside one counts too."""
    for _ in range(MOST_HOPS):
        if not isinstance(part, dict):
            raise DocumentRefused(f"There should be an object, not {kind(part)}.", path=path)
        reference = part.get("$ref")
        if reference is None:
            return part, path
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise DocumentRefused(f"{str(reference)[:200]!r} is not in the document.", path=(*path, "$ref"))
        beside = {key: value for key, value in part.items() if key != "$ref"}
        target = followed(whole, reference[1:], (*path, "$ref"))
        part, path = ({**target, **beside} if isinstance(target, dict) else target), steps(reference[1:])
    raise DocumentRefused("Its reference leads to itself, or through too many others.", path=path)


def first_text(*candidates: object) -> str:
    """Return the first that is a text with something in it."""
    return next((text.strip() for text in candidates if isinstance(text, str) and text.strip()), "")


def group(tags: object) -> str | None:
    """Return the first tag."""
    first = tags[0] if isinstance(tags, list) and tags else None
    return first if isinstance(first, str) and 0 < len(first) <= 256 else None


def body_schema(whole: dict[str, Any], room: Room, operation: Mapping[str, Any], path: Path) -> Schema | None:
    """Return the schema of the operation's JSON body, with its examples."""
    if "requestBody" not in operation:
        return None
    body, path = resolved(whole, operation["requestBody"], (*path, "requestBody"))
    content, path = resolved(whole, body.get("content", {}), (*path, "content"))
    name = next((name for name in content if JSON.fullmatch(name)), None)
    if name is None:
        return None
    media, path = resolved(whole, content[name], (*path, name))
    if "schema" not in media:
        return None
    schema = Bundle(whole, room).bundled(media["schema"], (*path, "schema"))
    examples = list(media_examples(whole, media, path))
    room.take(examples, path)
    return {**schema, "examples": examples} if examples and "examples" not in schema else schema


def media_examples(whole: dict[str, Any], media: Mapping[str, Any], path: Path) -> Iterator[Any]:
    """Yield the examples that stand beside a body's schema."""
    if "example" in media:
        yield media["example"]
    several = media.get("examples")
    for name, example in several.items() if isinstance(several, dict) else ():
        found, _ = resolved(whole, example, (*path, "examples", name))
        if "value" in found:
            yield found["value"]


class Room:
    """How many more values may be copied."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, part: Any, path: Path) -> None:
        """Count a part that is to be copied; raises DocumentRefused when it is too much."""
        waiting = [part]
        while waiting:
            part = waiting.pop()
            found = inside(part) if isinstance(part, dict | list) else []
            self.left -= 1 + (len(part) if isinstance(part, dict | list) else 0)
            waiting += found
            if self.left < 0:
                raise DocumentRefused("With what they refer to, its schemas are too large.", path=path)


class Bundle:
    """One schema on its way to standing alone: what it refers to comes along under ``$defs``, circles included."""

    def __init__(self, whole: dict[str, Any], room: Room) -> None:
        self.whole = whole
        self.room = room
        self.root: Any = {}
        self.names: dict[str, str] = {}  # under which name each place of the document comes along
        self.taken: set[str] = set()
        self.waiting: list[tuple[str, Any, Path]] = []

    def bundled(self, schema: Any, path: Path) -> Schema:
        """Return the whole of it."""
        self.root = schema
        own = schema.get("$defs") if isinstance(schema, dict) else None
        self.taken |= set(own) if isinstance(own, dict) else set()
        made = self.copied(schema, path)
        body: Schema = made if isinstance(made, dict) else {} if made else {"not": {}}
        definitions: dict[str, Any] = {}
        while self.waiting:
            name, found, place = self.waiting.pop()
            definitions[name] = self.copied(found, place)
        if definitions:
            body["$defs"] = {**body.get("$defs", {}), **definitions}
        return self.in_dialect(body)

    def copied(self, schema: Any, path: Path) -> Any:
        """Return a copy whose references lead into ``$defs``; which dialect it is in is said once, for all."""
        self.room.take(schema, path)
        made = rewritten(schema, self.change, path)
        return {key: value for key, value in made.items() if key != "$schema"} if isinstance(made, dict) else made

    def change(self, reference: str, path: Path, base: str) -> str:
        """Return a reference as it is to be written; what it leads to comes along."""
        if base and reference.startswith("#"):
            return reference
        if reference.startswith("#/"):
            return self.within(reference[1:], path)
        uri, fragment = urldefrag(joined(base, reference, path))
        if not uri.startswith(META):
            self.along_named(reference, uri, fragment, path)
        return reference

    def within(self, pointer: str, path: Path) -> str:
        """Return the reference to a place of this document."""
        way = steps(pointer)
        if way[0] in LOCAL and way[0] not in self.whole:  # a schema that was made for itself and pasted in
            followed(self.root, pointer, path)
            return f"#{pointer}"
        found = followed(self.whole, pointer, path)
        if way[:2] == ("components", "schemas") and len(way) > 2:
            root = "/".join(pointer.split("/")[:4])
            component = followed(self.whole, root, path)
            return DEFS + self.along(root, component, way[:3]) + pointer.removeprefix(root)
        return DEFS + self.along(pointer, found, way)

    def along(self, pointer: str, found: Any, way: Path) -> str:
        """Let a part of the document come along; return its name."""
        if pointer not in self.names:
            wanted = re.sub(r"[^A-Za-z0-9_.-]", "_", str(way[-1])) or "schema"
            name = wanted if wanted not in self.taken else f"{wanted}-{len(self.taken)}"
            self.names[pointer] = free(name, dict.fromkeys(self.taken)) if name in self.taken else name
            self.taken.add(self.names[pointer])
            self.waiting.append((self.names[pointer], found, way))
        return self.names[pointer]

    def along_named(self, reference: str, uri: str, fragment: str, path: Path) -> None:
        """Let the component schema come along that a reference means by its ``$id`` or ``$anchor``."""
        for name, schema in components(self.whole).items():
            anchors = (schema.get("$anchor"), schema.get("$dynamicAnchor"))
            if schema.get("$id") == uri if uri else fragment and fragment in anchors:
                self.along(f"/components/schemas/{step(name)}", schema, ("components", "schemas", name))
                return
        raise DocumentRefused(f"{reference[:200]!r} is not in the document; nothing is fetched.", path=path)

    def in_dialect(self, body: Schema) -> Schema:
        """Return the schema with the dialect that the document says, if that is a known draft."""
        dialect = self.whole.get("jsonSchemaDialect")
        return {"$schema": dialect, **body} if isinstance(dialect, str) and DRAFTS.fullmatch(dialect) else body


def components(whole: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the component schemas that are objects."""
    parts = whole.get("components")
    schemas = parts.get("schemas") if isinstance(parts, dict) else None
    given = schemas if isinstance(schemas, dict) else {}
    return {name: schema for name, schema in given.items() if isinstance(schema, dict)}
