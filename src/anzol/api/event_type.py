"""Event types: the stored catalog. What the application's code declares is in it, and described there alone."""

# Annotations are real objects here: FastAPI reads them.
import re
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Path, Query, Request, Response
from pydantic import Field

from anzol.api.access import Environment
from anzol.api.ground import Place
from anzol.api.paging import OldestFirst, listed
from anzol.api.problems import fault
from anzol.api.routes import MANAGE, READ, Resource
from anzol.api.shapes import NAME, OLD, EventTypeName, Listed, Out, Shape, Text
from anzol.api.validation import check_schemas
from anzol.errors import NotFound
from anzol.lifecycle import Validation
from anzol.model import UNSET, EventTypeCard, Page, Unset
from anzol.storage.books import EventTypeChanges
from anzol.storage.face import Storage

router = Resource("Event type", prefix="/event-type")
MANNERS: Final = {manner.label: manner for manner in Validation}

Name = Annotated[str, Path(description="The event type's name.", max_length=300)]
Description = Annotated[Text, Field(max_length=65_536)]
Versions = Annotated[
    dict[EventTypeName, Any],
    Field(
        max_length=50, description='JSON Schema of the payload by version, such as `{"1": {...}}`; the highest counts.'
    ),
]
Flags = Annotated[list[EventTypeName], Field(max_length=50)]
Group = Annotated[Text, Field(max_length=256, description="What it is shown under.")]
Manner = Annotated[
    str,
    Field(
        pattern="^(refuse|warn|off)$",
        description="What is done with a payload that does not fit: `refuse` it, accept it and `warn` in the log, or "
        "nothing (`off`).",
    ),
]


class EventTypeFields(Shape):
    """What of an event type may be set."""

    schemas: Versions | None = None
    group_name: Group | None = None
    archived: bool | None = None
    deprecated: bool | None = None
    feature_flags: Flags | None = None
    feature_flag: Annotated[EventTypeName | None, Field(json_schema_extra=OLD, description="As `featureFlags`.")] = None
    validation: Manner | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """The feature flags, of older clients the one."""
        one = () if self.feature_flag is None else (self.feature_flag,)
        return one if self.feature_flags is None else tuple(self.feature_flags)

    @property
    def manner(self) -> Validation | Unset:
        """What is to be done with a payload that does not fit; `UNSET`: nothing is said of it."""
        if "validation" not in self.model_fields_set:
            return UNSET
        return MANNERS[self.validation or Validation.REFUSE.label]


class EventTypePut(EventTypeFields):
    """An event type as it is to be; what is not given is as for a new one, but for ``validation``, which stays."""

    description: Description

    def changes(self) -> EventTypeChanges:
        """Return it in storage's words."""
        return EventTypeChanges(
            description=self.description,
            schemas=self.schemas or None,
            group_name=self.group_name or None,
            archived=bool(self.archived),
            deprecated=bool(self.deprecated),
            feature_flags=self.flags,
            validation=self.manner,
        )


class EventTypeIn(EventTypePut):
    """An event type to be made."""

    name: EventTypeName


class EventTypePatch(EventTypeFields):
    """What to change of an event type; what is not given stays, null takes a value away."""

    description: Description = ""

    def changes(self) -> EventTypeChanges:
        """Return what is given, in storage's words."""
        given = self.model_fields_set
        return EventTypeChanges(
            description=self.description if "description" in given else UNSET,
            schemas=(self.schemas or None) if "schemas" in given else UNSET,
            group_name=(self.group_name or None) if "group_name" in given else UNSET,
            archived=bool(self.archived) if "archived" in given else UNSET,
            deprecated=bool(self.deprecated) if "deprecated" in given else UNSET,
            feature_flags=self.flags if given & {"feature_flags", "feature_flag"} else UNSET,
            validation=self.manner,
        )


class EventTypeOut(Out):
    """An event type. ``schemas`` is null where contents were not asked for; ``declared``: by the application's code."""

    name: str
    description: str
    schemas: dict[str, Any] | None
    archived: bool
    deprecated: bool
    group_name: str | None
    feature_flags: list[str] | None
    feature_flag: Annotated[str | None, Field(json_schema_extra=OLD, description="The first of `featureFlags`.")]
    validation: Manner
    declared: bool
    created_at: datetime
    updated_at: datetime


def event_type_of(card: EventTypeCard, *, with_content: bool = True) -> EventTypeOut:
    """Return an event type as the dialect shows it."""
    return EventTypeOut(
        name=card.name,
        description=card.description,
        schemas=dict(card.schemas) if with_content and card.schemas else None,
        archived=card.archived,
        deprecated=card.deprecated,
        group_name=card.group_name,
        feature_flags=list(card.feature_flags) or None,
        feature_flag=next(iter(card.feature_flags), None),
        validation=card.validation.label,
        declared=card.declared,
        created_at=card.created_at,
        updated_at=card.updated_at,
    )


@router.operation("GET", "", may=READ, operation_id="v1.event-type.list", response_model=Listed[EventTypeOut])
async def list_event_types(
    place: Environment,
    paging: OldestFirst,
    include_archived: Annotated[bool, Query(description="Archived ones too.")] = False,
    with_content: Annotated[bool, Query(description="With their schemas.")] = False,
) -> Any:
    """List event types by name."""
    storage = await place.storage()

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[EventTypeCard]:
        return await storage.event_types(
            place.environment, archived=include_archived, after=after, limit=limit, oldest_first=oldest_first
        )

    return await listed(paging, read, lambda card: event_type_of(card, with_content=with_content))


@router.operation("POST", "", may=MANAGE, operation_id="v1.event-type.create", status=201, response_model=EventTypeOut)
async def create_event_type(given: EventTypeIn, place: Environment, request: Request) -> Any:
    """Make an event type; one that is archived is brought back."""
    check_schemas(given.schemas, "body", "schemas")
    storage = await place.storage()
    card = await storage.create_event_type(place.environment, given.name, given.changes())
    request.app.state.validator.forget()
    return event_type_of(card)


@router.operation("GET", "/{name}", may=READ, operation_id="v1.event-type.get", response_model=EventTypeOut)
async def get_event_type(name: Name, place: Environment) -> Any:
    """Return an event type, archived or not."""
    return event_type_of(await (await place.storage()).event_type(place.environment, name))


@router.operation(
    "PUT",
    "/{name}",
    may=MANAGE,
    operation_id="v1.event-type.update",
    or_status=201,
    response_model=EventTypeOut,
    problems=("conflict",),
)
async def put_event_type(
    name: Name, given: EventTypePut, place: Environment, request: Request, response: Response
) -> Any:
    """Make an event type, or set all of it."""
    if not is_name(name):
        reason = "A name has 1 to 256 letters, digits, dots, hyphens and underscores."
        raise fault("event_type_name", reason, place="path")
    card, made = await stored(place, request, name, given, make=True)
    if made:
        response.status_code = 201
    return event_type_of(card)


@router.operation(
    "PATCH",
    "/{name}",
    may=MANAGE,
    operation_id="v1.event-type.patch",
    response_model=EventTypeOut,
    problems=("conflict",),
)
async def patch_event_type(name: Name, given: EventTypePatch, place: Environment, request: Request) -> Any:
    """Change what is given of an event type."""
    card, _ = await stored(place, request, name, given, make=False)
    return event_type_of(card)


@router.operation(
    "DELETE", "/{name}", may=MANAGE, operation_id="v1.event-type.delete", status=204, problems=("conflict",)
)
async def delete_event_type(
    name: Name,
    place: Environment,
    request: Request,
    expunge: Annotated[bool, Query(description="Forget it, instead of putting it into the archive.")] = False,
) -> None:
    """Put an event type into the archive, or forget it. What is declared in code stays."""
    await (await place.storage()).delete_event_type(place.environment, name, expunge=expunge)
    request.app.state.validator.forget()


async def stored(
    place: Place, request: Request, name: str, given: EventTypePut | EventTypePatch, *, make: bool
) -> tuple[EventTypeCard, bool]:
    """Change an event type, or make it; say whether it was made."""
    check_schemas(given.schemas, "body", "schemas")
    storage = await place.storage()
    changes = given.changes()
    if make and "schemas" not in given.model_fields_set:
        changes = replace(changes, schemas=await own_schemas(storage, place.environment, name))
    found = await storage.put_event_type(place.environment, name, changes, make=make)
    request.app.state.validator.forget()
    return found


async def own_schemas(storage: Storage, environment: str, name: str) -> Unset | None:
    """Return what becomes of schemas that are not given: those of a declared event type stay, others go."""
    try:
        card = await storage.event_type(environment, name)
    except NotFound:
        return None
    return UNSET if card.declared else None


def is_name(name: str) -> bool:
    """Say whether an event type can be called so."""
    return re.fullmatch(NAME, name, re.ASCII) is not None and len(name) <= 256
