"""Endpoints as they come in and go out: of customers, and those that hear of what happens here."""

# Annotations are real objects here: Pydantic reads them.
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, Field

from anzol import ids
from anzol.api.shapes import OLD, EventTypeName, Metadata, Out, Text, Throttled, Uid
from anzol.lifecycle import Disabled
from anzol.model import Endpoint

T = TypeVar("T")
PREFIX: Final = ids.ENDPOINT
LONGEST_DELAY: Final = 7 * 24 * 3600
VERSION: Final = 1  # of older clients' shape: they ask for it, it says nothing


def no_id(uid: str) -> str:
    """Refuse a uid that could be taken for an endpoint's id."""
    if uid.startswith(PREFIX):
        raise ValueError(f"a uid does not begin with {PREFIX}")
    return uid


Url = Annotated[Text, Field(max_length=2048, description="Where messages go: https, or http if the settings allow it.")]
OwnUid = Annotated[
    Uid, AfterValidator(no_id), Field(description="Its id in your own system, unique for the application.")
]
EventTypes = Annotated[list[EventTypeName], Field(max_length=1000, description="Which messages it gets; none: all.")]
OldEventTypes = Annotated[EventTypes | None, Field(json_schema_extra=OLD, description="As `eventTypes`.")]
Channels = Annotated[list[Text], Field(max_length=10, description="Only messages on one of these; none: all.")]
Headers = Annotated[dict[str, str], Field(max_length=50, description="Sent with every delivery.")]
Seconds = Annotated[float, Field(ge=0, le=LONGEST_DELAY, allow_inf_nan=False)]
Schedule = Annotated[
    list[Seconds],
    Field(min_length=1, max_length=50, description="Seconds before each attempt, the first included."),
]
Fifo = Annotated[bool, Field(description="One message after the other, in the order of sending.")]
Contact = Annotated[Text, Field(max_length=256, description="Whom to tell when it fails, such as an address.")]
Prefix = Annotated[
    Text, Field(max_length=32, description="Copies of the signed headers are sent under this prefix, such as `svix-`.")
]
Secret = Annotated[
    Text, Field(max_length=200, description="Base64 of 24 to 64 bytes, with or without `whsec_`; none: one is made.")
]


class EndpointFields(Throttled):
    """What of an endpoint may be set at any time. What is not given, or null, is none or as usual."""

    description: Annotated[Text | None, Field(max_length=4096)] = None
    uid: OwnUid | None = None
    disabled: Annotated[bool | None, Field(description="Without it: as it is, and at first not.")] = None
    event_types: EventTypes | None = None
    filter_types: OldEventTypes = None
    channels: Channels | None = None
    metadata: Metadata | None = None
    fifo: Fifo | None = None
    contact: Contact | None = None
    schedule: Schedule | None = None
    header_prefix: Prefix | None = None

    @property
    def wanted(self) -> list[str]:
        """The event types that are asked for; empty: all."""
        return (self.event_types if self.event_types is not None else self.filter_types) or []

    def has(self, *names: str) -> bool:
        """Say whether one of these fields is given, be it as null."""
        return not self.model_fields_set.isdisjoint(names)

    def values(self) -> dict[str, Any]:
        """Return everything but uid, headers and secret, as the registry takes it."""
        return {
            "description": self.description or "",
            "event_types": self.wanted,
            "channels": self.channels or (),
            "metadata": self.metadata or {},
            "throttle": self.throttle,
            **self.own_values(),
        }

    def own_values(self) -> dict[str, Any]:
        """Return what clients of the dialect do not know: what they do not give stays as it is."""
        delays = None if self.schedule is None else [timedelta(seconds=delay) for delay in self.schedule]
        known = {
            "fifo": bool(self.fifo),
            "contact": self.contact,
            "schedule": delays,
            "header_prefix": self.header_prefix,
        }
        return {name: value for name, value in known.items() if self.has(name)}


class EndpointIn(EndpointFields):
    """An endpoint to be registered."""

    url: Url
    secret: Secret | None = None
    headers: Headers | None = None


class EndpointPut(EndpointFields):
    """An endpoint as it is to be: what is not given is as for a new one. Secret and headers are set by themselves."""

    url: Url

    def changes(self) -> dict[str, Any]:
        """Return what to change of an endpoint that is there; it keeps its uid unless another is given."""
        uid = {"uid": self.uid} if self.has("uid") else {}
        return {"url": self.url, **uid, **self.values()}


class EndpointPatch(EndpointFields):
    """What to change of an endpoint; what is not given stays, null takes a value away."""

    url: Url = ""

    def changes(self) -> dict[str, Any]:
        """Return what to change."""
        given = {"url": self.url, "uid": self.uid, **self.values()}
        asked = {name: name for name in given} | {"event_types": "filter_types", "throttle": "throttle_rate"}
        return {
            name: value
            for name, value in given.items()
            if self.has(name, asked[name]) or (name == "throttle" and self.has("rate_limit"))
        }


class EndpointOut(Out):
    """An endpoint. ``eventTypes`` or ``channels`` null: all. Headers and secret are asked for by themselves."""

    id: str
    uid: str | None
    url: str
    description: str
    disabled: bool
    event_types: list[str] | None
    filter_types: OldEventTypes
    channels: list[str] | None
    throttle_rate: int | None
    rate_limit: Annotated[int | None, Field(json_schema_extra=OLD, description="As `throttleRate`.")]
    version: Annotated[int, Field(json_schema_extra=OLD, description="Always 1.")]
    metadata: dict[str, str]
    fifo: bool
    contact: str | None
    schedule: list[float] | None
    header_prefix: str | None
    disabled_because: Annotated[
        str | None,
        Field(description="`by_customer`, `by_operator`, `gone` (it answered 410), `failing` (for too long)."),
    ]
    paused: bool
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


def endpoint_of(endpoint: Endpoint) -> EndpointOut:
    """Return an endpoint as the dialect shows it."""
    event_types, because = list(endpoint.event_types) or None, endpoint.disabled_because
    schedule = endpoint.schedule
    return EndpointOut(
        id=endpoint.id,
        uid=endpoint.uid,
        url=endpoint.url,
        description=endpoint.description,
        disabled=not endpoint.enabled,
        event_types=event_types,
        filter_types=event_types,
        channels=list(endpoint.channels) or None,
        throttle_rate=endpoint.throttle,
        rate_limit=endpoint.throttle,
        version=VERSION,
        metadata=dict(endpoint.metadata),
        fifo=endpoint.fifo,
        contact=endpoint.contact,
        schedule=None if schedule is None else [delay.total_seconds() for delay in schedule],
        header_prefix=endpoint.header_prefix,
        disabled_because=None if because is None else Disabled(because).name.lower(),
        paused=endpoint.paused,
        failing_since=endpoint.health.failing_since,
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
    )
