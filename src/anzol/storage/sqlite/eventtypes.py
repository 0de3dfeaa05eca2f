"""The stored catalog: what the application declares, and what comes from the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anzol.model import EventTypeCard, Page
from anzol.storage import cards, paging, rows
from anzol.storage.auditing import write_detail
from anzol.storage.books import EventTypeChanges
from anzol.storage.sqlite.read import environment_number
from anzol.storage.sqlite.work import Work, encode, note


def sync(work: Work, environment: str, event_types: Sequence[tuple[str, str, Mapping[str, object]]]) -> None:
    """Store the declared catalog; what did not change is not written."""
    number = work.environment(environment)
    known = {name: bool(is_declared) for name, is_declared in work.all("event_type_names", environment=number)}
    declared = cards.declared_columns(event_types)
    for name, description, schemas in zip(*declared.values(), strict=True):
        values = {"name": name, "description": description, "schemas": schemas}
        if work.run("event_type_declared", environment=number, now=work.now, **values):
            note(work, environment, "event_type.updated" if name in known else "event_type.created", name)
    for name in sorted({name for name, is_declared in known.items() if is_declared} - {*declared["names"]}):
        work.run("event_type_undeclared", environment=number, name=name, now=work.now)
        note(work, environment, "event_type.updated", name, detail=write_detail({"changed": ["declared"]}))


def create(work: Work, environment: str, name: str, changes: EventTypeChanges) -> EventTypeCard:
    """Make an event type; one that is archived is brought back.

    Raises:
        Conflict: there is one of this name.
    """
    card = find(work, environment, name)
    if card is None:
        return make(work, environment, name, changes)
    if not card.archived:
        raise cards.taken(name)
    return change(work, environment, card, cards.values_of(card, changes) | cards.brought_back(changes))


def put(
    work: Work, environment: str, name: str, changes: EventTypeChanges, make_it: bool
) -> tuple[EventTypeCard, bool]:
    """Change an event type, or make it where there is none; say whether it was made.

    Raises:
        NotFound: there is none, and it is not to be made.
        Conflict: description or schemas of a declared one would change.
    """
    card = find(work, environment, name) if make_it else get(work, environment, name)
    if card is None:
        return make(work, environment, name, changes), True
    return change(work, environment, card, cards.values_of(card, changes)), False


def make(work: Work, environment: str, name: str, changes: EventTypeChanges) -> EventTypeCard:
    """Store a new one."""
    columns = columns_of(cards.values_of(None, changes))
    work.run("event_type_new", environment=work.environment(environment), name=name, now=work.now, **columns)
    note(work, environment, "event_type.created", name)
    return get(work, environment, name)


def change(work: Work, environment: str, card: EventTypeCard, values: Mapping[str, Any]) -> EventTypeCard:
    """Store what differs of one that is there."""
    changing = cards.changed_fields(card, values)
    cards.refuse_declared(card, changing)
    if changing:
        number = work.environment(environment)
        work.run("event_type_changed", environment=number, name=card.name, now=work.now, **columns_of(values))
        note(work, environment, "event_type.updated", card.name, detail=write_detail({"changed": changing}))
    return get(work, environment, card.name)


def columns_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of fields, as SQLite has them."""
    columns = cards.columns_of(values)
    return columns | {"feature_flags": encode(columns["feature_flags"])}


def delete(work: Work, environment: str, name: str, expunge: bool) -> None:
    """Archive an event type, or forget it.

    Raises:
        NotFound: there is none.
        Conflict: it is declared by the application.
    """
    card = get(work, environment, name)
    cards.refuse_removal(card)
    if expunge:
        work.run("event_type_gone", environment=work.environment(environment), name=name)
        note(work, environment, "event_type.deleted", name)
    else:
        change(work, environment, card, cards.values_of(card, cards.ARCHIVED))


def find(work: Work, environment: str, name: str) -> EventTypeCard | None:
    """Return one, archived or not, if it is there."""
    row = work.one("event_type_row", environment=environment_number(work, environment), name=name)
    return None if row is None else rows.event_type_of(row)


def get(work: Work, environment: str, name: str) -> EventTypeCard:
    """Return one, archived or not; raises NotFound."""
    what = f"event type {name!r} in {environment!r}"
    number = environment_number(work, environment)
    return rows.event_type_of(work.the("event_type_row", what, environment=number, name=name))


def event_types(
    work: Work, environment: str, archived: bool, after: str | None, limit: int, oldest_first: bool
) -> Page[EventTypeCard]:
    """List by name, Z to A or the other way round."""
    values = {"environment": environment_number(work, environment), "archived": archived, "after": after}
    found = work.listed("event_types", (), oldest_first=oldest_first, most=limit + 1, **values)
    return paging.page_of(found, limit, rows.event_type_of)
