"""Documents that somebody else wrote, as JSON or YAML, read into what JSON can say. Nothing in them is ever run."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from anzol.errors import DocumentRefused

MOST_VALUES: Final = 200_000  # in a document; what aliases repeat counts each time
DEEPEST: Final = 100
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # built on libyaml where that was there
TAG: Final = "tag:yaml.org,2002:"

# YAML 1.2's core schema: `on`, `no` and a date are texts there.
NULL: Final = re.compile(r"~|null|Null|NULL|", re.ASCII)
FLAG: Final = re.compile(r"true|True|TRUE|false|False|FALSE", re.ASCII)
WHOLE: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)


def parsed(text: str) -> Any:
    """Read JSON or YAML.

    Raises:
        DocumentRefused: it is neither, repeats a key, is too deep or has too many values; it says in which line.
    """
    try:
        return parsed_json(text) if text.lstrip().startswith("{") else parsed_yaml(text)
    except (RecursionError, ValueError) as error:
        raise DocumentRefused(f"The document cannot be read: {str(error)[:200]}.") from None


def parsed_json(text: str) -> Any:
    """Read JSON."""
    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=not_json)
    except json.JSONDecodeError as error:
        fault = DocumentRefused(f"Line {error.lineno}, column {error.colno}: no JSON: {error.msg}.")
    try:
        return parsed_yaml(text)  # an object of YAML may begin so, too
    except DocumentRefused:
        raise fault from None


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose keys all differ."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DocumentRefused(f"The key {key[:100]!r} is there twice in one object.")
        found[key] = value
    return found


def not_json(word: str) -> Any:
    """Refuse ``NaN`` and its like."""
    raise DocumentRefused(f"{word} is no value of JSON.")


def parsed_yaml(text: str) -> Any:
    """Read YAML, event by event: nothing is nested on the stack, and no alias is followed before it is counted."""
    builder = Builder()
    try:
        for event in yaml.parse(text, Loader=LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise refused(
            error.problem or error.context or "it breaks off", error.problem_mark or error.context_mark
        ) from None
    except yaml.YAMLError as error:
        raise DocumentRefused(f"No YAML: {str(error)[:200]}") from None
    if builder.documents != 1:
        raise DocumentRefused("It is empty." if not builder.documents else "It holds several documents.")
    return builder.whole.value


@dataclass(slots=True)
class Built:
    """A finished value; how many values it is made of, and how deep."""

    value: Any = None
    size: int = 1
    depth: int = 0


@dataclass(slots=True)
class Open:
    """A list or an object that is being read. ``key`` waits for its value; ``merged`` comes from ``<<``."""

    value: Any
    anchor: str | None
    size: int = 1
    depth: int = 0
    key: str | None = None
    merged: dict[str, Any] = field(default_factory=dict)


class Builder:
    """Makes a value of the parser's events."""

    def __init__(self) -> None:
        self.whole = Built()
        self.documents = 0
        self._open: list[Open] = []
        self._anchors: dict[str, Built | None] = {}
        self._values = 0

    def take(self, event: Any) -> None:
        """Take the next event; raises DocumentRefused."""
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._put(self._aliased(event), event)
            case yaml.SequenceStartEvent():
                self._begin([], event)
            case yaml.MappingStartEvent():
                self._begin({}, event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._end(event)

    def _begin(self, value: Any, event: Any) -> None:
        if event.tag not in (None, f"{TAG}map", f"{TAG}seq"):
            raise refused(f"the tag {event.tag[:100]} is not known", event.start_mark)
        if len(self._open) >= DEEPEST:
            raise refused(f"it is nested deeper than {DEEPEST}", event.start_mark)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append(Open(value, event.anchor))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        if done.merged:
            done.value = {**done.merged, **done.value}
        built = Built(done.value, done.size, done.depth + 1)
        if done.anchor:
            self._anchors[done.anchor] = built
        self._put(built, event)

    def _scalar(self, event: Any) -> None:
        holder = self._open[-1] if self._open else None
        if holder is not None and isinstance(holder.value, dict) and holder.key is None:
            self._key(holder, event)
            return
        built = Built(scalar(event))
        if event.anchor:
            self._anchors[event.anchor] = built
        self._put(built, event)

    def _key(self, holder: Open, event: Any) -> None:
        if event.value in holder.value:
            raise refused(f"the key {event.value[:100]!r} is there twice", event.start_mark)
        holder.key = event.value

    def _aliased(self, event: Any) -> Built:
        if event.anchor not in self._anchors:
            raise refused(f"nothing is called &{event.anchor[:100]}", event.start_mark)
        built = self._anchors[event.anchor]
        if built is None:
            raise refused(f"*{event.anchor[:100]} is inside itself", event.start_mark)
        return built

    def _put(self, built: Built, event: Any) -> None:
        """Put a value where it belongs: in the list or the object that is open, or as the whole."""
        if not self._open:
            self.whole = built
            return
        holder = self._open[-1]
        holder.size += built.size
        holder.depth = max(holder.depth, built.depth)
        if len(self._open) + built.depth > DEEPEST:
            raise refused(f"it is nested deeper than {DEEPEST}", event.start_mark)
        if sum(part.size for part in self._open) > MOST_VALUES:
            raise refused(f"it has more than {MOST_VALUES} values, with its aliases", event.start_mark)
        if isinstance(holder.value, list):
            holder.value.append(built.value)
        elif holder.key is None:
            raise refused("a key is a text", event.start_mark)
        else:
            place(holder, built.value, event)


def place(holder: Open, value: Any, event: Any) -> None:
    """Put a value under its key; what is merged with ``<<`` gives way to what stands there itself."""
    key, holder.key = holder.key, None
    assert key is not None
    if key != "<<":
        holder.value[key] = value
        return
    for part in value if isinstance(value, list) else [value]:
        if not isinstance(part, dict):
            raise refused("<< merges objects", event.start_mark)
        holder.merged = {**part, **holder.merged}


def scalar(event: Any) -> Any:
    """Return the value of a scalar: of the type that it looks like if it is plain, or of the tag that it has."""
    tag, text = event.tag, event.value
    if tag not in (None, "!", *(f"{TAG}{kind}" for kind in ("str", "int", "float", "bool", "null"))):
        raise refused(f"the tag {tag[:100]} is not known", event.start_mark)
    if tag in ("!", f"{TAG}str") or (tag is None and not event.implicit[0]):
        return text
    return plain(text, event)


def plain(text: str, event: Any) -> Any:
    """Return what a plain scalar stands for."""
    if NULL.fullmatch(text):
        return None
    if FLAG.fullmatch(text):
        return text.lower() == "true"
    if WHOLE.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise refused(f"the number {text[:40]} is too large", event.start_mark)
        return number
    return text


def refused(why: str, mark: Any) -> DocumentRefused:
    """Make the error, with the line."""
    where = f"Line {mark.line + 1}, column {mark.column + 1}" if mark else "At its end"
    return DocumentRefused(f"{where}: {why}.")
