"""Event types as they are stored: what a change makes of one, and what it may not change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from anzol.errors import Conflict
from anzol.lifecycle import Validation
from anzol.model import UNSET, EventTypeCard, Unset
from anzol.storage.books import EventTypeChanges

FIELDS: Final = tuple(field.name for field in fields(EventTypeChanges))
DECLARED: Final = {"description", "schemas"}  # what the application's code says of those that it declares
EMPTY: Final[Mapping[str, Any]] = {
    "description": "",
    "schemas": None,
    "group_name": None,
    "archived": False,
    "deprecated": False,
    "feature_flags": (),
    "validation": Validation.REFUSE,
}


ARCHIVED: Final = EventTypeChanges(archived=True)


def brought_back(changes: EventTypeChanges) -> dict[str, Any]:
    """Return what an archived one has besides when it is made again."""
    return {"archived": False} if isinstance(changes.archived, Unset) else {}


def values_of(card: EventTypeCard | None, changes: EventTypeChanges) -> dict[str, Any]:
    """Return every field as it is after the changes; None: of a new one."""
    given = {name: value for name in FIELDS if (value := getattr(changes, name)) is not UNSET}
    return {**(EMPTY if card is None else {name: getattr(card, name) for name in FIELDS}), **given}


def changed_fields(card: EventTypeCard, values: Mapping[str, Any]) -> list[str]:
    """Return the fields that are others in *values*."""
    former = columns_of({name: getattr(card, name) for name in FIELDS})
    return [name for name, value in columns_of(values).items() if former[name] != value]


def columns_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of fields; the flags stay a list."""
    return {
        **{name: values[name] for name in ("description", "group_name", "archived", "deprecated")},
        "schemas": write_schemas(values["schemas"]),
        "feature_flags": list(values["feature_flags"]),
        "validation": int(values["validation"]),
    }


def write_schemas(schemas: Mapping[str, Any] | None) -> str | None:
    """Write schemas by version as JSON, the same text for the same schemas."""
    return None if schemas is None else json.dumps(schemas, sort_keys=True, separators=(",", ":"))


def refuse_declared(card: EventTypeCard, changing: Sequence[str]) -> None:
    """Refuse to change what the application's code says.

    Raises:
        Conflict: the event type is declared, and *changing* has its description or schemas.
    """
    fixed = sorted(DECLARED & {*changing})
    if card.declared and fixed:
        raise Conflict(
            f"The event type {card.name!r} is declared by the application: its {' and '.join(fixed)} come from there.",
            do="Change the declaration.",
        )


def refuse_removal(card: EventTypeCard) -> None:
    """Refuse to archive or forget what the application sends.

    Raises:
        Conflict: the event type is declared.
    """
    if card.declared:
        raise Conflict(
            f"The event type {card.name!r} is declared by the application.", do="Take the declaration away, and start."
        )


def taken(name: str) -> Conflict:
    """Return the error for a name that is in use."""
    return Conflict(f"There is an event type {name!r} already.", do="Change that one.")


def declared_columns(event_types: Sequence[tuple[str, str, Mapping[str, object]]]) -> dict[str, list[Any]]:
    """Return names, descriptions and schemas of a declared catalog: one schema each, as version 1."""
    return {
        "names": [name for name, _, _ in event_types],
        "descriptions": [description for _, description, _ in event_types],
        "schemas": [write_schemas({"1": schema}) for _, _, schema in event_types],
    }
