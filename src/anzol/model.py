"""What users of Anzol get to see, as frozen data. Times are aware UTC datetimes; ids are shown ids.

What storage and delivery hand each other on the hot path is in `anzol.storage.face`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from anzol.lifecycle import Cause, Disabled, Incident, Outcome, State, SweepState, Validation

T = TypeVar("T")


class Unset:
    """The type of `UNSET`: a field that is left as it is, where None would mean "none"."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()
UNNAMED: Final = "~"  # begins the uid of a customer that nobody named
OPERATIONAL: Final = "~operational"  # the customer of an environment that has its operational endpoints


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list: its items, and the cursor of the next page or None at the end.

    ``first`` and ``last`` are the cursors of its first and last item, None where there is none: a list the other way
    round after ``first`` is the page before this one. On PostgreSQL a filter that fits few of very many may give a
    page that is short, or empty, and has a ``next``.
    """

    items: tuple[T, ...]
    next: str | None = None
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What `send` returns: one occurrence of an event type, accepted.

    ``duplicate`` says that the key was used before by the same body, and that this is the first message's id.
    """

    id: str
    key: str | None = None
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as it is kept; ``body`` is exactly what goes on the wire, None once erased."""

    id: str
    customer: str
    event_type: str
    method: str
    content_type: str
    body: bytes | None = field(repr=False)
    headers: tuple[tuple[str, str], ...]
    query: str
    channels: tuple[str, ...]
    tags: tuple[str, ...]
    key: str | None
    deliver_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Customer:
    """Who registers endpoints; ``uid`` is the id in the developer's own system.

    ``throttle`` is in deliveries a second, over all of its endpoints.
    """

    id: str
    uid: str
    name: str
    metadata: Mapping[str, str]
    created_at: datetime
    paused: bool = False
    throttle: int | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint has answered lately; ``failures`` are consecutive.

    ``waiting`` counts its pending deliveries; on PostgreSQL up to 100,000, in a list of endpoints up to 10,000.
    """

    failures: int = 0
    failing_since: datetime | None = None
    circuit_open_until: datetime | None = None
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one customer's messages go. Empty ``event_types`` or ``channels``: all of them.

    ``headers`` are shown by name only; their values are secrets. ``throttle`` is in deliveries a second.
    """

    id: str
    uid: str | None
    customer: str
    url: str
    description: str
    event_types: tuple[str, ...]
    channels: tuple[str, ...]
    headers: tuple[str, ...]
    throttle: int | None
    fifo: bool
    contact: str | None
    header_prefix: str | None
    schedule: tuple[timedelta, ...] | None
    metadata: Mapping[str, str]
    enabled: bool
    disabled_because: Disabled | None
    paused: bool
    health: Health
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Secret:
    """One signing secret of an endpoint; it signs until ``expires_at`` (None: the current one)."""

    value: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one endpoint. ``due_at`` is set while it is pending, ``ended_at`` once it is not.

    ``parked`` says why a pending delivery is not being tried: ``disabled``, ``paused``, or empty.
    """

    message_id: str
    endpoint_id: str
    customer: str
    event_type: str
    state: State
    cause: Cause | None
    attempts: int
    in_flight: bool
    parked: str
    due_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of an attempt went; None: it did not come to that. ``first_byte`` and ``total`` from its start."""

    resolve: timedelta | None
    connect: timedelta | None
    tls: timedelta | None
    first_byte: timedelta | None
    total: timedelta


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP request of a delivery, with its reply as it came: bytes, cut at the limit, never decoded."""

    id: str
    message_id: str
    endpoint_id: str
    number: int
    outcome: Outcome
    status: int | None
    detail: str
    note: str
    manual: bool
    started_at: datetime
    timing: Timing
    response_headers: tuple[tuple[bytes, bytes], ...]
    response_body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Report:
    """An incident, as a handler of `webhooks.on` receives it."""

    id: int
    kind: Incident
    at: datetime
    customer: str
    endpoint_id: str
    url: str
    contact: str | None
    message_id: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Match:
    """Whether an endpoint of the customer was to get a message, and if not why.

    ``reason`` is one of ``matched``, ``event_type``, ``channel``, ``disabled``, ``deleted``, ``created_later``,
    ``other_endpoint``.
    """

    endpoint_id: str
    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class PauseRule:
    """What is held back: everything that all the given parts name; no part given means everything."""

    id: int
    customer: str | None
    event_type: str | None
    endpoint_id: str | None
    created_at: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class WorkerCard:
    """A live worker, as `anzol status` shows it."""

    id: int
    host: str
    pid: int
    version: str
    started_at: datetime
    expires_at: datetime
    lanes: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Status:
    """How the whole is doing. ``oldest_due`` is the due time of the longest overdue delivery or outbox row.

    On PostgreSQL, messages and deliveries that wait are counted up to 10,000 of each; what is more is estimated.
    """

    accepted_waiting: int
    pending: int
    due: int
    parked: int
    in_flight: int
    oldest_due: datetime | None
    failing_endpoints: int
    disabled_endpoints: int
    workers: tuple[WorkerCard, ...]
    schema_version: int


@dataclass(frozen=True, slots=True)
class EventTypeCard:
    """An event type as it is stored. ``schemas``: JSON Schema of the body by version, such as ``{"1": {...}}``.

    ``declared``: the application's code declares it; description and schemas come from there.
    """

    name: str
    description: str
    schemas: Mapping[str, Any] | None
    declared: bool
    group_name: str | None
    archived: bool
    deprecated: bool
    feature_flags: tuple[str, ...]
    validation: Validation
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key to the REST API; its text was shown once. ``hint``: its last characters."""

    id: str
    environment: str
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which object, and when. ``customer`` is the uid of the customer that it belongs to."""

    id: str
    at: datetime
    actor: str
    action: str
    object_id: str
    customer: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A change to many deliveries, done by workers page by page.

    ``changed`` counts what was changed so far; ``result`` is what a finished count found; ``error`` why it failed.
    """

    id: str
    kind: str
    customer: str | None
    endpoint_id: str | None
    scope: Mapping[str, Any]
    state: SweepState
    changed: int
    result: Mapping[str, Any]
    error: str
    actor: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Tally:
    """How many deliveries, or attempts, stand how. ``sending``: in flight now.

    On PostgreSQL the newest 100,000 are counted; of an endpoint, as many that have ended and as many that wait.
    """

    success: int = 0
    pending: int = 0
    sending: int = 0
    fail: int = 0
    cancelled: int = 0
