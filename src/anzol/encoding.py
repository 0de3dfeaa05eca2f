"""From arguments to bytes: what `send` was given, checked against the declaration and encoded once.

A model instance of the declared type is serialised as it is, by the declared type's own serialiser: fields that a
subclass adds are not sent. Its attributes must have the declared types, and None is none of them unless declared.
Where they do not, because the instance was
made with `model_construct`, was assigned to afterwards, or is a table model that never validates, it is validated
afresh, as a dict with the same content would be: coerced, or refused. Constraints (``gt``, ``max_length``) and
validators are not run again on an instance whose types are right; running them twice is not safe for all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import PydanticSerializationError

from anzol.annotations import has_serialiser, serialised_name
from anzol.errors import InvalidPayload
from anzol.headers import VALUE
from anzol.schemas import may_be_null, resolved, sent_schema

Fault = tuple[str, str]
Pair = tuple[str, str]


HALF_A_PAIR = "a string holds half of a surrogate pair, which UTF-8 cannot carry"
# How Pydantic words a serialiser's warning; the value that follows is not repeated.
UNEXPECTED = re.compile(r"Expected `(?P<type>[^`]+)`.*?\[field_name='(?P<field>[^']+)'")
SCALARS = frozenset({str, int, float, bool, bytes, type(None), datetime, date, Decimal, UUID})


class Misfit(Exception):
    """Some arguments do not fit; `faults` says which, and why. Becomes an `InvalidPayload` that names the webhook."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{path}: {reason}" if path else reason for path, reason in self.faults))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared header or query parameter.

    ``names`` are the names on the wire: of a plain parameter one, under ``""``; of a parameter model one for each
    field, by the field's serialised name. ``documented`` has, by the same keys, all names that FastAPI's document may
    have instead. ``default`` makes the value to send when none is given; None: required.
    """

    name: str
    adapter: TypeAdapter[Any]
    names: Mapping[str, str]
    documented: Mapping[str, frozenset[str]]
    default: Callable[[], Any] | None = None
    description: str = ""

    def pairs(self, value: Any) -> Iterator[Pair]:
        """Yield what is sent of *value*: name and text; nothing for None, one pair for each item of a list."""
        if value is None and self.default is not None:  # ``page: int = Query(None)``: a default is not validated
            return
        checked = validated(self.adapter, value, self.name)
        plain = self.adapter.dump_python(checked, mode="json", by_alias=True)
        fields = plain if "" not in self.names else {"": plain}
        for key, item in (fields or {}).items():
            for one in item if isinstance(item, list) else [item]:
                if one is not None:
                    yield self.names.get(key, key), text(one)


@dataclass(frozen=True, slots=True)
class Body:
    """How the body is made from the arguments named in ``parameters``.

    ``embedded`` holds, for a body made of several parameters (or of one with ``embed=True``), the parameter's name
    for each field of the adapter's model; None when the one parameter is the body. ``named`` is what the ``type`` of
    an `Envelope` has to say; empty for any other body.
    """

    parameters: tuple[str, ...]
    adapter: TypeAdapter[Any]
    media_type: str
    model: type[BaseModel] | None = None
    embedded: Mapping[str, str] | None = None
    named: str = ""

    @property
    def raw(self) -> bool:
        """Whether the value already is the body: a string or bytes under a media type that is not JSON."""
        return not speaks_json(self.media_type)

    def encode(self, arguments: Mapping[str, Any]) -> bytes:
        """Encode the body out of all arguments; raises Misfit."""
        if self.embedded is None:
            return self.encode_value(arguments[self.parameters[0]])
        return self.encode_value({field: arguments[name] for field, name in self.embedded.items()})

    def encode_value(self, value: Any) -> bytes:
        """Encode the one value that is the body; raises Misfit."""
        try:
            return self.encode_nested(value)
        except RecursionError as error:
            raise Misfit([(self.parameters[0], "holds itself, or is nested too deeply")]) from error
        except UnicodeEncodeError as error:  # of a text that is the body itself
            raise Misfit([(self.parameters[0], HALF_A_PAIR)]) from error

    def encode_nested(self, value: Any) -> bytes:
        """Encode the value, unless it is too deep; raises Misfit and RecursionError."""
        fit: Any = value if self.model is not None and isinstance(value, self.model) else self.recognised(value)
        if self.named and fit.type != self.named:
            reason = f"is {fit.type!r}, but the webhook is {self.named!r}"
            raise Misfit([(f"{self.parameters[0]}.type", reason)])
        if self.raw:
            return fit.encode() if isinstance(fit, str) else bytes(fit)
        if not ready(fit):
            return self.encode_afresh(fit)
        try:
            return self.adapter.serializer.to_json(fit, by_alias=True, warnings="error")
        except (PydanticSerializationError, ValueError) as error:
            return self.encode_afresh(fit, error)

    def recognised(self, value: Any) -> Any:
        """Validate a value; refuses an object that has nothing of the declared model but its defaults."""
        fit = self.checked(value)
        if self.model is None or isinstance(value, dict) or fit.model_fields_set or not self.model.model_fields:
            return fit
        reason = f"is a {type(value).__name__}, which has no field of {self.model.__name__}"
        raise Misfit([(self.parameters[0], reason)])

    def checked(self, value: Any) -> Any:
        """Validate a value that is not an instance of the declared model: a dict, a list, a row, a scalar."""
        root = "" if self.embedded is not None else self.parameters[0]
        try:
            return validated(self.adapter, value, root)
        except Misfit as misfit:
            if self.embedded is None:
                raise
            raise Misfit((renamed(path, self.embedded), reason) for path, reason in misfit.faults) from misfit.__cause__

    def encode_afresh(self, value: Any, error: Exception | None = None) -> bytes:
        """Encode a value whose parts are missing or not of the declared types: validated again, from its content."""
        fresh = self.checked(content(value))
        if faults := list(nothings(fresh, self.parameters[0])):  # of a table model, which is not validated
            raise Misfit(faults)
        try:
            return self.adapter.serializer.to_json(fresh, by_alias=True, warnings="error")
        except (PydanticSerializationError, ValueError) as again:
            raise Misfit([(self.parameters[0], unserialisable(again))]) from error


def ready(value: Any) -> bool:
    """Say whether every model in *value* has all its fields, after loading what an expired table row lacks.

    None counts as lacking where it is not declared: a serialiser lets it pass as the value of any type.
    """
    if isinstance(value, BaseModel):
        attributes, model = value.__dict__, type(value)
        absent = model.__pydantic_fields__.keys() - attributes.keys()
        if not all(hasattr(value, name) for name in absent):
            return False
        if "_sa_instance_state" in attributes:
            put_in_order(attributes, model.__pydantic_fields__)
        return all(attributes.get(name) is not None for name in never_none(model)) and all_ready(attributes.values())
    if isinstance(value, dict):
        return all_ready(value.values())
    return not isinstance(value, list | tuple | set) or all_ready(value)


@lru_cache(maxsize=1024)
def never_none(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the fields of *model* that are described as something else than null, and are sent as they are."""
    try:
        schema = sent_schema(TypeAdapter(model))
    except PydanticInvalidForJsonSchema:
        return ()
    definitions = schema.get("$defs", {})
    described = resolved(schema, definitions).get("properties", {})
    return tuple(
        name
        for name, info in model.__pydantic_fields__.items()
        if not may_be_null(described.get(serialised_name(name, info), {}), definitions)
        and not has_serialiser(model, name, info)
    )


def nothings(value: Any, where: str) -> Iterator[Fault]:
    """Yield where None stands in place of something."""
    if isinstance(value, BaseModel):
        for name in never_none(type(value)):
            if value.__dict__.get(name) is None:
                yield f"{where}.{name}", "is None, which is not declared"
        value = value.__dict__
    if isinstance(value, dict):
        for name, item in value.items():
            yield from nothings(item, f"{where}.{name}")
    elif isinstance(value, list | tuple | set):
        for index, item in enumerate(value):
            yield from nothings(item, f"{where}[{index}]")


def all_ready(values: Iterable[Any]) -> bool:
    """Say whether all *values* are ready; most are scalars, which cost nothing."""
    return all(type(value) in SCALARS or ready(value) for value in values)


def put_in_order(attributes: dict[str, Any], fields: Iterable[str]) -> None:
    """Put a table row's attributes in the order of its fields; their values stay.

    SQLAlchemy has them in the order in which it loads them, and they are serialised in that order; but the same row
    has to give the same bytes, or a message's key could not be used again.
    """
    for name in fields:
        if name in attributes:
            attributes[name] = attributes.pop(name)


def content(value: Any) -> Any:
    """Return the value with every model in it as a dict of its fields, so that it is validated from the ground."""
    if isinstance(value, BaseModel):
        declared = {name: value.__dict__[name] for name in type(value).__pydantic_fields__ if name in value.__dict__}
        return content(declared | (getattr(value, "__pydantic_extra__", None) or {}))
    if isinstance(value, dict):
        return {key: content(item) for key, item in value.items()}
    return [content(item) for item in value] if isinstance(value, list | tuple | set) else value


def validated(adapter: TypeAdapter[Any], value: Any, root: str) -> Any:
    """Validate *value*; raises Misfit whose paths begin with *root*."""
    try:
        return adapter.validator.validate_python(value, from_attributes=True, by_alias=True, by_name=True)
    except ValidationError as error:
        faults = [
            (path(root, fault["loc"]), fault["msg"])
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise Misfit(faults) from error


def path(root: str, location: tuple[str | int, ...]) -> str:
    """Write a location as a path: ``body.lines[0].price``."""
    written = root
    for part in location:
        written += f"[{part}]" if isinstance(part, int) else f".{part}" if written else part
    return written


def renamed(path: str, names: Mapping[str, str]) -> str:
    """Put a parameter's own name where the path has the name of the field that stands for it."""
    for field, name in names.items():
        if path == field or path.startswith((f"{field}.", f"{field}[")):
            return name + path.removeprefix(field)
    return path


def unserialisable(error: Exception) -> str:
    """Say why a value could not be serialised, without the value."""
    said = str(error)
    if "surrogates not allowed" in said:
        return HALF_A_PAIR
    if unexpected := UNEXPECTED.search(said):
        return f"field {unexpected['field']} is not the declared {unexpected['type']}"
    return f"cannot be serialised as the declared type ({type(error).__name__})"


def speaks_json(media_type: str) -> bool:
    """Say whether a body of this media type is JSON."""
    essence = media_type.partition(";")[0].strip().lower()
    return essence == "application/json" or essence.endswith("+json")


def text(value: Any) -> str:
    """Write a JSON scalar as text for a header or a query: ``true``, ``12``, ``2026-01-01``; a dict as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def header_pairs(parameters: Iterable[Parameter], arguments: Mapping[str, Any]) -> tuple[Pair, ...]:
    """Make the declared headers; raises Misfit for a value that a header cannot carry."""
    pairs = []
    for parameter in parameters:
        for name, value in parameter.pairs(arguments[parameter.name]):
            if not VALUE.fullmatch(value):
                reason = f"header {name} can carry visible ASCII characters, with blanks only between them"
                raise Misfit([(parameter.name, reason)])
            pairs.append((name, value))
    return tuple(pairs)


def query_text(parameters: Iterable[Parameter], arguments: Mapping[str, Any]) -> str:
    """Make the query, percent-encoded, without the ``?``; raises Misfit."""
    parts = (encoded_pairs(parameter, arguments[parameter.name]) for parameter in parameters)
    return "&".join(part for part in parts if part)


def encoded_pairs(parameter: Parameter, value: Any) -> str:
    """Percent-encode what one query parameter sends."""
    try:
        return urlencode(list(parameter.pairs(value)))
    except UnicodeEncodeError as error:
        raise Misfit([(parameter.name, HALF_A_PAIR)]) from error


def refuse(event_type: str, misfit: Misfit) -> InvalidPayload:
    """Turn a misfit into the error that `send` raises."""
    what = f"Webhook {event_type!r} was not sent, its arguments do not fit the declaration: {misfit}."
    return InvalidPayload(what, faults=misfit.faults)
