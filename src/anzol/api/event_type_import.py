"""Event types out of an OpenAPI document, and the catalog as one."""

# Annotations are real objects here: FastAPI reads them.
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Request
from pydantic import Field

from anzol.api.access import Environment
from anzol.api.ground import Place
from anzol.api.problems import Problem
from anzol.api.routes import MANAGE, READ, Resource
from anzol.api.shapes import Out, Shape
from anzol.api.validation import check_schemas, newest
from anzol.documents import parsed
from anzol.errors import DocumentRefused
from anzol.model import EventTypeCard
from anzol.openapi_export import with_stored
from anzol.openapi_import import FoundEventType, event_types_in
from anzol.registry.records import every
from anzol.storage.books import EventTypeChanges
from anzol.storage.face import Storage

router = Resource("Event type")
VERSION = "1"


class ImportIn(Shape):
    """An OpenAPI document of version 3.1 or later, as JSON or as text."""

    spec: Annotated[dict[str, Any] | None, Field(description="The document as JSON.")] = None
    spec_raw: Annotated[str | None, Field(description="The document as text, JSON or YAML.")] = None
    dry_run: Annotated[bool | None, Field(description="Only say what would change.")] = False
    replace_all: Annotated[bool | None, Field(description="Archive what is not in the document.")] = False


class FoundOut(Out):
    """An event type as the document describes it."""

    name: str
    description: str
    schemas: dict[str, Any] | None
    deprecated: bool
    group_name: str | None
    feature_flags: list[str] | None = None


class ImportedOut(Out):
    """What came of an import. ``to_modify`` is there if nothing was to be changed."""

    modified: list[str]
    archived: list[str]
    to_modify: Annotated[list[FoundOut] | None, Field(serialization_alias="to_modify")] = None


class ImportOut(Out):
    """What came of an import."""

    data: ImportedOut


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import is to change: event types to be made or set, and names of those to be archived."""

    change: tuple[FoundEventType, ...]
    archive: tuple[str, ...]


@router.operation(
    "POST",
    "/event-type/import/openapi",
    may=MANAGE,
    operation_id="v1.event-type.import-openapi",
    response_model=ImportOut,
)
async def import_openapi(given: ImportIn, place: Environment, request: Request) -> Any:
    """Make or set an event type for each webhook of an OpenAPI document; nothing changes if one of them is refused."""
    found = await asyncio.to_thread(read, given)
    storage = await place.storage()
    plan = planned(found, await cards_of(storage, place.environment), archive=bool(given.replace_all))
    names = [event.name for event in plan.change]
    archived = list(plan.archive)
    if given.dry_run:
        described = [found_out(event) for event in plan.change]
        return ImportOut(data=ImportedOut(modified=names, archived=archived, to_modify=described))
    await carry_out(storage, place.environment, plan)
    request.app.state.validator.forget()
    return ImportOut(data=ImportedOut(modified=names, archived=archived))


def read(given: ImportIn) -> tuple[FoundEventType, ...]:
    """Return what the document describes.

    Raises:
        Problem: ``invalid_request``: there is none, or two; ``validation_error``: it is broken, and where.
    """
    field = "spec" if given.spec_raw is None else "specRaw"
    if (given.spec is None) is (given.spec_raw is None):
        raise Problem("invalid_request", "Give the document as `spec`, or as `specRaw`: one of them.")
    try:
        found = event_types_in(given.spec if given.spec_raw is None else parsed(given.spec_raw))
    except DocumentRefused as error:
        raise Problem("validation_error", faults=[(("body", field, *error.path), str(error), "value_error")]) from None
    for event in found:
        if event.schema is not None:
            check_schemas({"schema": event.schema}, "body", field, "webhooks", event.name)
    return found


async def cards_of(storage: Storage, environment: str, *, archived: bool = True) -> dict[str, EventTypeCard]:
    """Return all stored event types by name."""
    pages = every(
        lambda after: storage.event_types(environment, archived=archived, after=after, limit=250, oldest_first=True)
    )
    return {card.name: card async for card in pages}


def planned(found: Sequence[FoundEventType], known: dict[str, EventTypeCard], *, archive: bool) -> Plan:
    """Return what is to be changed.

    Raises:
        Problem: ``conflict``: the document says something else of what the application's code declares.
    """
    names = {event.name for event in found}
    change = tuple(event for event in found if event.name not in known or differs(event, known[event.name]))
    declared = [event.name for event in change if event.name in known and declares(event, known[event.name])]
    if declared:
        raise Problem(
            "conflict",
            f"{', '.join(declared)[:1000]}: declared in the application's code, and described there alone. Take it out "
            "of the document, or change the code.",
        )
    gone = [card.name for card in known.values() if not (card.declared or card.archived or card.name in names)]
    return Plan(change, tuple(gone) if archive else ())


def differs(event: FoundEventType, card: EventTypeCard) -> bool:
    """Say whether the document says something else than what is stored."""
    group = event.group_name or card.group_name
    return (
        (event.description, event.deprecated, group) != (card.description, card.deprecated, card.group_name)
        or schemas_of(event) != (card.schemas or None)
        or card.archived
    )


def declares(event: FoundEventType, card: EventTypeCard) -> bool:
    """Say whether what differs is the code's to say."""
    return card.declared and (event.description, schemas_of(event)) != (card.description, card.schemas or None)


def schemas_of(event: FoundEventType) -> dict[str, Any] | None:
    """Return the event type's schemas by version."""
    return None if event.schema is None else {VERSION: event.schema}


def found_out(event: FoundEventType) -> FoundOut:
    """Return an event type as it is shown before it is stored."""
    return FoundOut(
        name=event.name,
        description=event.description,
        schemas=schemas_of(event),
        deprecated=event.deprecated,
        group_name=event.group_name,
    )


async def carry_out(storage: Storage, environment: str, plan: Plan) -> None:
    """Change what is planned, one after the other; made again after a fault it comes to the same."""
    for event in plan.change:
        changes = EventTypeChanges(
            description=event.description, schemas=schemas_of(event), deprecated=event.deprecated, archived=False
        )
        changes = changes if event.group_name is None else with_group(changes, event.group_name)
        await storage.put_event_type(environment, event.name, changes, make=True)
    for name in plan.archive:
        await storage.delete_event_type(environment, name, expunge=False)


def with_group(changes: EventTypeChanges, group: str) -> EventTypeChanges:
    """Return the changes with a group: without tags in the document an event type keeps its own."""
    return replace(changes, group_name=group)


@router.operation(
    "GET", "/openapi/webhooks.json", may=READ, operation_id="v1.openapi.webhooks", response_model=dict[str, Any]
)
async def get_webhooks_document(place: Environment) -> Any:
    """Return the catalog as an OpenAPI 3.1 document: what is declared in code, and what is stored beside it."""
    return await catalog_document(place)


async def catalog_document(place: Place) -> dict[str, Any]:
    """Return the environment's catalog as an OpenAPI 3.1 document."""
    cards = await cards_of(await place.storage(), place.environment, archived=False)
    schedule = place.ground.settings().retry_schedule
    return with_stored(place.ground.document(), [(card, newest(card.schemas)) for card in cards.values()], schedule)
