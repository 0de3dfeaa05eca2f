"""The stored catalog: what the application declares, and what comes from the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anzol.model import EventTypeCard, Page
from anzol.storage import cards, paging, rows
from anzol.storage.auditing import write_detail
from anzol.storage.books import EventTypeChanges
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work, note


async def sync(work: Work, environment: str, event_types: Sequence[tuple[str, str, Mapping[str, object]]]) -> None:
    """Store the declared catalog; what did not change is not written."""
    declared = cards.declared_columns(event_types)
    refuse_nul(event_type=declared["names"], description=declared["descriptions"])
    known = set(await work.column("event_type_names", environment=environment))
    for name in await work.column("event_types_declared", environment=environment, **declared):
        await note(work, environment, "event_type.updated" if name in known else "event_type.created", name)
    for name in await work.column("event_types_undeclared", environment=environment, names=declared["names"]):
        await note(work, environment, "event_type.updated", name, detail=write_detail({"changed": ["declared"]}))


async def create(work: Work, environment: str, name: str, changes: EventTypeChanges) -> EventTypeCard:
    """Make an event type; one that is archived is brought back.

    Raises:
        Conflict: there is one of this name.
    """
    card, made = await made_or_held(work, environment, name, changes)
    if made:
        return card
    if not card.archived:
        raise cards.taken(name)
    return await change(work, environment, card, cards.values_of(card, changes) | cards.brought_back(changes))


async def put(
    work: Work, environment: str, name: str, changes: EventTypeChanges, make_it: bool
) -> tuple[EventTypeCard, bool]:
    """Change an event type, or make it where there is none; say whether it was made.

    Raises:
        NotFound: there is none, and it is not to be made.
        Conflict: description or schemas of a declared one would change.
    """
    if make_it:
        card, made = await made_or_held(work, environment, name, changes)
        if made:
            return card, True
    else:
        card = await hold(work, environment, name)
    return await change(work, environment, card, cards.values_of(card, changes)), False


async def made_or_held(
    work: Work, environment: str, name: str, changes: EventTypeChanges
) -> tuple[EventTypeCard, bool]:
    """Make an event type where there is none; say whether that was so. From here on nobody else changes it."""
    refuse_nul(**texts_of(name, changes))
    columns = cards.columns_of(cards.values_of(None, changes))
    while True:
        if await work.one("event_type_new", environment=environment, name=name, **columns) is not None:
            await note(work, environment, "event_type.created", name)
            return await get(work, environment, name), True
        row = await work.one("event_type_locked", environment=environment, name=name)
        if row is not None:
            return rows.event_type_of(row), False
        # Somebody else has just taken it away: again.


def texts_of(name: str, changes: EventTypeChanges) -> dict[str, Any]:
    """Return the texts that are given, by name; schemas hold any character, escaped."""
    named = ("description", "group_name", "feature_flags")
    return {"event_type": name} | {field: cards.values_of(None, changes)[field] for field in named}


async def change(work: Work, environment: str, card: EventTypeCard, values: Mapping[str, Any]) -> EventTypeCard:
    """Store what differs of one that is there."""
    changing = cards.changed_fields(card, values)
    cards.refuse_declared(card, changing)
    if changing:
        await work.run("event_type_changed", environment=environment, name=card.name, **cards.columns_of(values))
        await note(work, environment, "event_type.updated", card.name, detail=write_detail({"changed": changing}))
    return await get(work, environment, card.name)


async def delete(work: Work, environment: str, name: str, expunge: bool) -> None:
    """Archive an event type, or forget it.

    Raises:
        NotFound: there is none.
        Conflict: it is declared by the application.
    """
    card = await hold(work, environment, name)
    cards.refuse_removal(card)
    if expunge:
        await work.run("event_type_gone", environment=environment, name=name)
        await note(work, environment, "event_type.deleted", name)
    else:
        await change(work, environment, card, cards.values_of(card, cards.ARCHIVED))


async def hold(work: Work, environment: str, name: str) -> EventTypeCard:
    """As `get`; from here on nobody else changes it."""
    return await shown(work, "event_type_locked", environment, name)


async def get(work: Work, environment: str, name: str) -> EventTypeCard:
    """Return one, archived or not; raises NotFound."""
    return await shown(work, "event_type_row", environment, name)


async def shown(work: Work, query: str, environment: str, name: str) -> EventTypeCard:
    """Return one by a query; raises NotFound."""
    refuse_nul(event_type=name)
    what = f"event type {name!r} in {environment!r}"
    return rows.event_type_of(await work.the(query, what, environment=environment, name=name))


async def event_types(
    work: Work, environment: str, archived: bool, after: str | None, limit: int, oldest_first: bool
) -> Page[EventTypeCard]:
    """List by name, Z to A or the other way round."""
    refuse_nul(after=after)
    values = {"environment": environment, "archived": archived, "after": after, "most": limit + 1}
    found = await work.listed("event_types", (), oldest_first=oldest_first, **values)
    return paging.page_of(found, limit, rows.event_type_of)
