"""The face's further groups: event types, access, who did what, and changes to many. See `anzol.storage.face`.

Lists are in pages as in `anzol.storage.face.Read`: newest first, or with ``oldest_first`` the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from anzol.lifecycle import SweepState, Validation
from anzol.model import UNSET, ApiKey, Attempt, AuditEntry, Endpoint, EventTypeCard, Page, Sweep, Tally, Unset

# --- event types ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EventTypeChanges:
    """What to set of an event type; what is `UNSET` stays, or on a new one is empty."""

    description: str | Unset = UNSET
    schemas: Mapping[str, Any] | Unset | None = UNSET
    group_name: str | Unset | None = UNSET
    archived: bool | Unset = UNSET
    deprecated: bool | Unset = UNSET
    feature_flags: tuple[str, ...] | Unset = UNSET
    validation: Validation | Unset = UNSET


class EventTypes(Protocol):
    """The stored catalog. What the application declares comes from `sync_event_types`, the rest from the API."""

    async def sync_event_types(
        self, environment: str, event_types: Sequence[tuple[str, str, Mapping[str, object]]]
    ) -> None:
        """Store the declared catalog: (name, description, JSON Schema) of each, as version "1"; it is ``declared``.

        Those that were declared and are not any more stay, not ``declared`` any longer; others stay as they are.
        """
        ...

    async def create_event_type(self, environment: str, name: str, changes: EventTypeChanges) -> EventTypeCard:
        """Make an event type; one that is archived is brought back.

        Raises:
            Conflict: there is one of this name.
        """
        ...

    async def put_event_type(
        self, environment: str, name: str, changes: EventTypeChanges, *, make: bool
    ) -> tuple[EventTypeCard, bool]:
        """Change an event type, or with *make* make it where there is none; say whether it was made.

        Raises:
            NotFound: there is none, without *make*.
            Conflict: description or schemas of a declared one would change.
        """
        ...

    async def delete_event_type(self, environment: str, name: str, *, expunge: bool) -> None:
        """Archive an event type, or with *expunge* forget it.

        Raises:
            NotFound: there is none.
            Conflict: it is declared by the application.
        """
        ...

    async def event_type(self, environment: str, name: str) -> EventTypeCard:
        """Return one, archived or not; raises NotFound."""
        ...

    async def event_types(
        self,
        environment: str,
        *,
        archived: bool = False,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[EventTypeCard]:
        """List by name, Z to A, or with ``oldest_first`` A to Z; the cursor is a name. *archived*: those too."""
        ...


# --- access ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key to be stored; ``digest`` is the SHA-256 of its text, ``hint`` its last four characters."""

    digest: bytes = field(repr=False)
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_by: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """Tokens of *subject* that were issued up to ``issued_through`` are worth nothing from ``effective_at`` on.

    A subject is ``token:<digest in hex>``, ``customer:<app_...>`` or ``session:<app_...>:<session id>``.
    """

    subject: str
    issued_through: datetime
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a request that was made before under the same idempotency key.

    ``status`` and ``body`` are None while it is under way. ``same`` says whether it was the same request.
    """

    same: bool
    status: int | None
    body: bytes | None = field(repr=False)


class Access(Protocol):
    """Who may call the REST API, and what was answered."""

    async def environments(self) -> Sequence[str]:
        """Return the names of all environments that were ever used."""
        ...

    async def create_api_key(self, environment: str, key: NewApiKey) -> ApiKey: ...

    async def api_key(self, digest: bytes) -> ApiKey | None:
        """Return the key of any environment with this digest, revoked or not."""
        ...

    async def api_keys(
        self, environment: str, *, after: str | None = None, limit: int = 50, oldest_first: bool = False
    ) -> Page[ApiKey]: ...

    async def revoke_api_key(self, environment: str, key_id: str) -> None:
        """Make a key worth nothing from now on; it stays in the list. Raises NotFound."""
        ...

    async def note_api_keys(self, used: Mapping[str, datetime]) -> None:
        """Note when keys (by shown id) were used last; never sets it back."""
        ...

    async def revoke(
        self, environment: str, subject: str, *, issued_through: datetime, effective_at: datetime, keep_until: datetime
    ) -> None:
        """Store a revocation; it is forgotten after ``keep_until``, when every token that it is about has expired."""
        ...

    async def revocations(self, environment: str, subjects: Sequence[str]) -> Sequence[Revocation]: ...

    async def add_portal_code(self, digest: bytes, environment: str, claims: str, *, expires_at: datetime) -> None:
        """Store a one-time code's digest and the JSON of what it is exchanged for."""
        ...

    async def take_portal_code(self, digest: bytes) -> tuple[str, str]:
        """Use a code up; return its environment and claims. Raises NotFound: unknown, used or expired."""
        ...

    async def begin_request(self, slot: bytes, request: bytes, *, lease: timedelta) -> Kept | None:
        """Claim an idempotency slot (32 bytes) for a request (its 32-byte digest); None: go on and make it.

        A claim whose lease has ended, or an answer older than 12 hours, is as good as none.
        """
        ...

    async def keep_answer(self, slot: bytes, status: int, body: bytes) -> None:
        """Keep the answer of a claimed request for 12 hours."""
        ...

    async def drop_request(self, slot: bytes) -> None:
        """Free a slot: what was claimed did not succeed."""
        ...


# --- who did what ---------------------------------------------------------------------------------------------------


class Audit(Protocol):
    """Every change that people make leaves an entry, in its own transaction, with the actor of `anzol.actors`."""

    async def audits(
        self,
        environment: str,
        *,
        customer: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[AuditEntry]: ...

    async def note(
        self, environment: str, action: str, object_id: str, *, customer: str | None = None, **detail: object
    ) -> None:
        """Add an entry of something that changes no row of its own, such as a link that was handed out."""
        ...


# --- changes to many ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewSweep:
    """A change to many deliveries, to be done by workers, page by page, whoever dies meanwhile.

    ``kind``: ``recover``, ``replay-missing``, ``bulk-replay``, ``cancel``, ``stats.app``, ``stats.event-types``.
    ``scope`` is JSON: what the kind needs (see `anzol.sweeps`).
    """

    kind: str
    scope: Mapping[str, Any]
    customer: str | None = None
    endpoint_id: str | None = None


class Sweeps(Protocol):
    """Changes to many as things of their own: begun, looked at, called off, and carried on by any worker."""

    async def begin_sweep(self, environment: str, sweep: NewSweep) -> Sweep:
        """Store it; workers are nudged.

        Raises:
            NotFound: there is no such customer or endpoint.
        """
        ...

    async def sweep(self, environment: str, sweep_id: str) -> Sweep:
        """Return one; raises NotFound."""
        ...

    async def sweeps(
        self,
        environment: str,
        *,
        customer: str | None = None,
        state: SweepState | None = None,
        kind: str | None = None,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[Sweep]: ...

    async def call_off_sweep(self, environment: str, sweep_id: str) -> Sweep:
        """Stop it: pages that are done stay done. One that has ended stays as it is. Raises NotFound."""
        ...

    async def advance_sweep(self, me: int, *, limit: int, term: timedelta) -> bool:
        """Do one page of the oldest running sweep that no other live worker holds, with its place in one transaction.

        A page that fails for good ends it as failed, with the error. Return whether there was one to advance.
        """
        ...


# --- counting -------------------------------------------------------------------------------------------------------


class Counting(Protocol):
    """How many, for people to look at."""

    async def tally(
        self,
        environment: str,
        *,
        customer: str | None = None,
        endpoint_id: str | None = None,
        since: datetime,
        until: datetime,
    ) -> Tally:
        """Count deliveries of messages accepted within [since, until)."""
        ...

    async def tally_attempts(self, environment: str, endpoint_id: str, *, since: datetime, until: datetime) -> Tally:
        """Count an endpoint's attempts started within [since, until): succeeded and failed."""
        ...


# --- watching -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recorded:
    """Attempts in the order in which they were recorded, each with the mark right behind it.

    ``mark`` is where to go on; ``more`` says that there is more at once.
    """

    items: tuple[tuple[Attempt, str], ...]
    mark: str
    more: bool


class Watching(Protocol):
    """Looking on while deliveries are made."""

    async def recorded(
        self, environment: str, *, customer: str | None = None, mark: str | None, reach: timedelta, limit: int
    ) -> Recorded:
        """Return attempts recorded since *mark*, none lost and none twice; with None only a mark of now.

        Args:
            customer: A uid: only this customer's.
            reach: How long after its beginning an attempt may be recorded.

        Raises:
            InvalidValue: the mark is none.
        """
        ...

    async def endpoints_of(self, environment: str, endpoint_ids: Sequence[str]) -> Mapping[str, Endpoint]:
        """Return those of up to 250 endpoints that ever were, by id: deleted ones too."""
        ...
