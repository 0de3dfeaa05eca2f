"""The face of storage: one protocol in groups (register, accept, deliver, read, and the books), and what crosses it.

Every engine keeps the same promises; `tests/contract` is their wording. On the hot path (accept, deliver) ids are the
16 raw bytes and times whole microseconds since the Unix epoch; in register and read they are what users see.

Rules that every engine keeps:

* A call that returns has committed; a call that raises has changed nothing.
* Accepting only inserts: message and outbox row. The customer's row of a first use is made by fan-out.
* ``pending.holder`` is the claim, the in-flight mark and the fence in one: settlement changes only rows that the
  settling worker still holds, row by row.
* No snapshot shows a free, unparked lane whose ``turn_at`` is empty and which has pending rows.
* Every change of an endpoint touches its lane in the same transaction, so that a holder looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from anzol.lifecycle import Cause, Disabled, Incident, Outcome, State
from anzol.model import (
    UNSET,
    Attempt,
    Customer,
    Delivery,
    Endpoint,
    Match,
    Page,
    PauseRule,
    Report,
    Secret,
    Status,
    StoredMessage,
    Unset,
)
from anzol.storage.books import Access, Audit, Counting, EventTypes, Sweeps, Watching

# --- accept ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be stored: one occurrence of an event type for one customer of one environment.

    ``customer`` is the developer's own id. ``only_endpoint`` (an id) narrows it to one endpoint, whatever that is
    subscribed to: examples and test pings. ``request`` is the request that it came with, if that may be made again.
    """

    id: bytes
    environment: str
    customer: str
    event_type: str
    method: str
    content_type: str
    body: bytes = field(repr=False)
    created_at: int
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""
    channels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    key: str | None = None
    deliver_at: int | None = None
    only_endpoint: bytes | None = None
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may be made again: ``slot`` names credential and idempotency key, ``digest`` what was asked for.

    A message whose slot was used by the same request is a duplicate of that one's message; by another one, a conflict.
    Slots are remembered for 12 hours.
    """

    slot: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message that now exists: the given one, or with ``duplicate`` the first one that had the same key.

    ``at`` is when it was stored, in microseconds, where the database says when; None: when the message says.
    """

    id: bytes
    duplicate: bool = False
    at: int | None = field(default=None, compare=False)


class Accept(Protocol):
    """Taking messages in. Concurrent calls share a commit; each gets its own result or error."""

    async def accept(self, message: NewMessage) -> Accepted:
        """Store a message, durably.

        Raises:
            KeyConflict: its key was used by a message with another event type or body.
            RequestConflict: its idempotency key was used by another request.
            StorageBusy: the database stayed locked.
        """
        ...

    def accept_sync(self, message: NewMessage) -> Accepted:
        """As `accept`, for code without an event loop; blocks the calling thread."""
        ...

    async def accept_many(self, messages: Sequence[NewMessage]) -> Sequence[Accepted | Exception]:
        """Store several in one transaction; one that conflicts is answered with its error and spoils no other.

        A message whose id is stored already is a duplicate of itself: the relay may hand one over twice.
        """
        ...


# --- deliver --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Content:
    """What goes on the wire for a message, whoever it goes to."""

    message_id: bytes
    event_type: str
    method: str
    content_type: str
    headers: tuple[tuple[str, str], ...]
    query: str
    body: bytes = field(repr=False)
    created_at: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A pending delivery that the worker may try now: ``attempt`` tries lie behind it, ``step`` of the schedule."""

    id: int
    endpoint_id: bytes
    attempt: int
    step: int
    due_at: int
    manual: bool
    content: Content


@dataclass(frozen=True, slots=True)
class Profile:
    """What the holder of a lane must know of its endpoint. Secrets are opened; ``repr`` does not show them."""

    endpoint_id: bytes
    customer: str
    environment: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    header_prefix: str | None
    throttle: int | None
    fifo: bool
    schedule: tuple[timedelta, ...] | None
    active: bool  # neither disabled, paused nor deleted
    failures: int
    failing_since: int | None
    circuit_open_until: int | None
    circuit_step: int
    secrets_change_at: int | None  # when the first of the secrets ends: read the profile again then
    customer_id: bytes = b""
    customer_throttle: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Starts of deliveries for a customer that has a throttle: *count* of them, from ``first`` on, a ``gap`` apart.

    Each is to be used at its time or up to `anzol.grants.LATE` after it, or never. ``again_at`` is when to ask for
    more. Times are in microseconds by the worker's own clock; an engine whose clock is another translates.
    """

    customer_id: bytes
    first: int
    gap: int
    count: int
    again_at: int


@dataclass(frozen=True, slots=True)
class Order:
    """One round of a worker's dispatcher. Done in this order: release, take, fan out, clear touches, look, grant.

    Args:
        release: Lanes to give back (nothing of theirs in flight or queued).
        take: How many more lanes may be taken.
        fan_out: How many outbox rows may be expanded.
        rooms: For every lane held: how many more claims it has places for now; 0 is "hold, but claim nothing".
        look: Which of the held lanes to look into for due rows (touched and newly taken lanes are looked into anyway).
        idle_lanes: Whether fan-out may take free idle lanes at once (places are free).
        new_room: How many claims a lane may get that is taken in this round.
        backlog: How many deliveries may wait for one endpoint (None: any number); fan-out ends those over it at once.
        wants: Of which throttled customers (ids) how many more deliveries could be started now.
    """

    release: Sequence[bytes] = ()
    take: int = 0
    fan_out: int = 0
    rooms: Mapping[bytes, int] = field(default_factory=dict)
    look: Sequence[bytes] = ()
    idle_lanes: bool = False
    new_room: int = 1
    backlog: int | None = None
    wants: Mapping[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What came of an `Order`.

    ``profiles`` has one for each lane newly held, and for each held lane whose endpoint was touched. ``behind`` are
    held lanes that have more due rows than were claimed. ``next_turn_at`` is when the next free lane is due (None: no
    lane waits). ``waiting`` says that outbox rows or due free lanes are left. ``lost`` means that the lease is gone:
    the worker must drop everything and enlist again.
    """

    claims: Sequence[Claim] = ()
    profiles: Sequence[Profile] = ()
    behind: frozenset[bytes] = frozenset()
    next_turn_at: int | None = None
    waiting: bool = False
    fanned_out: int = 0
    grants: Sequence[Grant] = ()
    lost: bool = False


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One HTTP request, to be recorded. Durations in microseconds, None where it did not come to that."""

    id: bytes
    outcome: Outcome
    status: int | None
    detail: str
    note: str
    started_at: int
    resolve: int | None
    connect: int | None
    tls: int | None
    first_byte: int | None
    total: int
    response_headers: tuple[tuple[bytes, bytes], ...]
    response_body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a claim: ended by ``cause``, due again at ``due_at``, or (neither) given back as it was.

    ``step`` is where in the schedule it stands then. ``attempt`` is None when no request was made. An interruption is
    not settled but reaped.
    """

    id: int
    cause: Cause | None
    due_at: int | None
    step: int
    attempt: AttemptRecord | None


@dataclass(frozen=True, slots=True)
class LaneHealth:
    """How a lane stands after some attempts; written with them. ``disable`` parks the endpoint, once."""

    endpoint_id: bytes
    failures: int
    failing_since: int | None
    circuit_open_until: int | None
    circuit_step: int
    disable: Disabled | None = None


@dataclass(frozen=True, slots=True)
class NewIncident:
    """An incident to be told: kept until a worker's handlers have run, and operational endpoints were sent it.

    Written in the settlement's transaction.
    """

    kind: Incident
    endpoint_id: bytes
    message_id: bytes | None
    detail: str


@dataclass(frozen=True, slots=True)
class Reaped:
    """What dead workers left: how many workers, claims made due again, and deliveries ended as poison."""

    workers: int = 0
    interrupted: int = 0
    exhausted: int = 0


BY_HAND: Final = "by hand"  # the detail of an endpoint's disabling by a person, which handlers are not told of


@dataclass(frozen=True, slots=True)
class Unannounced:
    """An incident that operational endpoints are to be sent, with what it is about.

    ``customer_id`` is shown as it is in the REST API; ``customer`` (its uid) is None once it is erased. ``message_key``
    and the ``attempt``, the last one there, are of the delivery that it is about, if it is about one.
    """

    id: int
    kind: Incident
    at: datetime
    environment: str
    customer_id: str
    customer: str | None
    endpoint_id: str
    endpoint_uid: str | None
    message_id: str | None
    message_key: str | None
    detail: str
    failing_since: datetime | None
    attempt_id: str | None
    attempt_status: int | None
    attempt_at: datetime | None


class Deliver(Protocol):
    """The queue: leases, lanes, claims and their settlement."""

    async def enlist(self, *, host: str, pid: int, version: str, term: timedelta) -> int:
        """Register a worker with a lease of *term*; return its number."""
        ...

    async def beat(self, me: int, term: timedelta) -> bool:
        """Renew the lease to end a *term* from now; False when it is gone already."""
        ...

    async def resign(self, me: int) -> None:
        """Leave in good order: what is still claimed becomes due as it was (no attempt), lanes become free."""
        ...

    async def reap(self, *, most_interruptions: int) -> Reaped:
        """Clear away workers whose lease has ended, or ends further ahead than two terms (a clock was set back).

        An engine that can tell that a worker's process has ended need not wait for its lease.
        Their claims become attempts with outcome ``interrupted`` and are due again; one interrupted
        *most_interruptions* times ends exhausted.
        """
        ...

    async def dispatch(self, me: int, order: Order) -> Dispatched:
        """Do one round. Lanes not in ``order.rooms`` are not claimed into, unless taken in this round."""
        ...

    async def profiles(self, endpoints: Sequence[bytes]) -> Sequence[Profile]:
        """Read endpoints' profiles again."""
        ...

    async def held(self) -> Mapping[int, int]:
        """Return how many lanes each live worker holds."""
        ...

    async def settle(
        self,
        me: int,
        settled: Sequence[Settled],
        health: Sequence[LaneHealth] = (),
        incidents: Sequence[NewIncident] = (),
    ) -> Sequence[int]:
        """Write results in one transaction; return the ids of those that were fenced off (no longer held by *me*).

        Of a delivery that ended, its row moves to the history. Of a fenced one nothing is written: the reaper has
        recorded its attempt already. Health of a lane that *me* does not hold is left alone.
        """
        ...

    async def unannounced(self, limit: int) -> Sequence[Unannounced]:
        """Return incidents that operational endpoints have not been sent, oldest first."""
        ...

    async def announced(self, ids: Sequence[int]) -> None:
        """Note that these were sent; those that handlers are not, or have been, told of are forgotten."""
        ...

    async def take_incidents(self, limit: int) -> Sequence[Report]:
        """Return incidents that no handler has been told of, oldest first, and mark them as being told (one minute)."""
        ...

    async def tell_incidents(self, ids: Sequence[int]) -> None:
        """Note that handlers of these have run; those that are not to be announced, or have been, are forgotten."""
        ...

    async def outbox_sources(self) -> Sequence[str]:
        """URLs of the databases whose ``anzol_outbox`` is to be moved over (opened; they may carry a password)."""
        ...

    def listen(self, nudge: Callable[[], None]) -> Callable[[], None]:
        """Call *nudge*, on any thread, whenever there may be new work; return what ends this. Nudges may be lost."""
        ...


# --- register -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """An endpoint to be registered; already judged by the rules (URL, headers, secret)."""

    customer: str
    url: str
    secret: str = field(repr=False)
    uid: str | None = None
    description: str = ""
    event_types: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    throttle: int | None = None
    fifo: bool = False
    contact: str | None = None
    header_prefix: str | None = None
    schedule: tuple[timedelta, ...] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class EndpointChanges:
    """What to change of an endpoint; what is `UNSET` stays."""

    url: str | Unset = UNSET
    uid: str | Unset | None = UNSET
    description: str | Unset = UNSET
    event_types: tuple[str, ...] | Unset = UNSET
    channels: tuple[str, ...] | Unset = UNSET
    headers: tuple[tuple[str, str], ...] | Unset = field(default=UNSET, repr=False)
    throttle: int | Unset | None = UNSET
    fifo: bool | Unset = UNSET
    contact: str | Unset | None = UNSET
    header_prefix: str | Unset | None = UNSET
    schedule: tuple[timedelta, ...] | Unset | None = UNSET
    metadata: Mapping[str, str] | Unset = UNSET


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries are meant; all that all the given parts name. Used by recover, cancel and lists.

    ``states`` or ``event_types`` empty: any. Times bound the message's acceptance: ``since`` inclusive, ``until``
    exclusive. ``channel``: messages on it. ``status_class``: those with an attempt answered so, 2 for 2xx, 0 for none.
    """

    customer: str | None = None
    endpoint_id: str | None = None
    message_id: str | None = None
    event_types: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    tag: str | None = None
    channel: str | None = None
    status_class: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """One page of a change to many: how many it changed, and where the next page begins (None: done)."""

    changed: int
    next: str | None


class Register(Protocol):
    """Customers, endpoints, secrets, rules: what people set. All within one environment, named first."""

    async def put_customer(
        self,
        environment: str,
        uid: str,
        *,
        name: str | Unset = UNSET,
        metadata: Mapping[str, str] | Unset = UNSET,
        throttle: int | Unset | None = UNSET,
    ) -> Customer:
        """Make the customer if it is not there, and set what is given. A new throttle touches its lanes."""
        ...

    async def create_customer(
        self, environment: str, uid: str | None, *, name: str, metadata: Mapping[str, str], throttle: int | None
    ) -> tuple[Customer, bool]:
        """Make a customer if it is not there, else leave it alone; say whether it was made.

        Args:
            uid: None: nobody named it; its uid is made up, `anzol.model.UNNAMED` and 22 characters of chance.
        """
        ...

    async def rename_customer(self, environment: str, uid: str, new: str | None) -> Customer:
        """Give a customer another uid (None: a made up one); everything that it has stays its own.

        Who sends to the old uid afterwards makes a new customer.

        Raises:
            NotFound: there is none of the old uid.
            Conflict: another one has the new uid.
        """
        ...

    async def delete_customer(self, environment: str, uid: str) -> None:
        """Delete a customer: its endpoints are deleted, what waits is cancelled, its messages are erased.

        Raises:
            NotFound: there is none.
        """
        ...

    async def create_endpoint(self, environment: str, endpoint: NewEndpoint) -> Endpoint:
        """Register an endpoint (and its customer, if new).

        Raises:
            Conflict: the customer has another endpoint with this ``uid``.
        """
        ...

    async def update_endpoint(self, environment: str, endpoint_id: str, changes: EndpointChanges) -> Endpoint:
        """Change an endpoint; what is pending goes to the new URL, with the new headers, from the next attempt on."""
        ...

    async def delete_endpoint(self, environment: str, endpoint_id: str) -> None:
        """Delete an endpoint: it stays as a tombstone; what waits for it is cancelled, in pages by housekeeping."""
        ...

    async def enable_endpoint(self, environment: str, endpoint_id: str) -> Endpoint:
        """Let it have deliveries again, those that waited included; clears failures and circuit."""
        ...

    async def disable_endpoint(self, environment: str, endpoint_id: str, because: Disabled) -> Endpoint:
        """Park it: new messages are not for it, what waits stays."""
        ...

    async def secrets(self, environment: str, endpoint_id: str) -> Sequence[Secret]:
        """Return the live secrets, the current one first."""
        ...

    async def rotate_secret(
        self, environment: str, endpoint_id: str, secret: str, *, keep_old: timedelta, most: int = 10
    ) -> Sequence[Secret]:
        """Make *secret* the current one; the old ones sign for *keep_old* more.

        Raises:
            Conflict: *most* secrets are live already.
        """
        ...

    async def erase_message(self, environment: str, message_id: str) -> None:
        """Take a message's body away: what waits of it is cancelled. Raises NotFound."""
        ...

    async def erase_attempt(self, environment: str, attempt_id: str) -> None:
        """Take the response's headers and body of an attempt away. Raises NotFound."""
        ...

    async def pause(
        self, environment: str, *, customer: str | None, event_type: str | None, endpoint_id: str | None, actor: str
    ) -> PauseRule:
        """Hold back everything that all the given parts name, from now on and what waits already. Nothing is lost."""
        ...

    async def resume(
        self, environment: str, *, customer: str | None, event_type: str | None, endpoint_id: str | None
    ) -> int:
        """Take back the rules with exactly these parts; return how many there were. What was held back is due."""
        ...

    async def pause_rules(self, environment: str) -> Sequence[PauseRule]:
        """Return the rules in force."""
        ...

    async def cancel(self, environment: str, selection: Selection, *, after: str | None, limit: int) -> Progress:
        """Cancel pending deliveries that are selected and not in flight, one page of *limit*."""
        ...

    async def resend(self, environment: str, message_id: str, endpoint_id: str) -> Delivery:
        """Make one delivery pending and due now, whatever its state; a pending one is only made due.

        Raises:
            NotFound: no such message or endpoint of the same customer.
            Conflict: the message's body was erased, or the endpoint is deleted.
        """
        ...

    async def recover(self, environment: str, selection: Selection, *, after: str | None, limit: int) -> Progress:
        """Resend selected deliveries that have ended, one page of *limit*, in the messages' order."""
        ...

    async def add_outbox_source(self, url: str) -> None:
        """Remember a database whose ``anzol_outbox`` workers are to move over; stored encrypted."""
        ...


# --- read -----------------------------------------------------------------------------------------------------------


class Read(Protocol):
    """Looking. Lists are newest first, or with ``oldest_first`` the other way round, in pages.

    ``after`` is a cursor of a page before: its ``next``, ``first`` or ``last``; a list in either direction takes it.
    """

    async def customer(self, environment: str, uid: str) -> Customer: ...

    async def find_customer(self, environment: str, name: str) -> Customer:
        """Return a customer by its id (``app_...``) or its uid; raises NotFound."""
        ...

    async def customers(
        self, environment: str, *, after: str | None = None, limit: int = 50, oldest_first: bool = False
    ) -> Page[Customer]: ...

    async def endpoint(self, environment: str, endpoint_id: str) -> Endpoint: ...

    async def find_endpoint(self, environment: str, customer: str, name: str) -> Endpoint:
        """Return an endpoint of that customer (a uid) by its id (``ep_...``) or its uid; raises NotFound."""
        ...

    async def endpoint_headers(self, environment: str, endpoint_id: str) -> Sequence[tuple[str, str]]:
        """Return an endpoint's custom headers with their values; raises NotFound."""
        ...

    async def endpoints(
        self,
        environment: str,
        *,
        customer: str | None = None,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[Endpoint]: ...

    async def message(self, environment: str, message_id: str) -> StoredMessage: ...

    async def find_message(self, environment: str, customer: str, name: str) -> StoredMessage:
        """Return a message of that customer (a uid) by its id (``msg_...``) or its key; raises NotFound."""
        ...

    async def messages_of(self, environment: str, message_ids: Sequence[str]) -> Mapping[str, StoredMessage]:
        """Return those of up to 250 messages that are there, by id."""
        ...

    async def messages(
        self,
        environment: str,
        selection: Selection,
        *,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[StoredMessage]: ...

    async def deliveries(
        self,
        environment: str,
        selection: Selection,
        *,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[Delivery]:
        """Pending and ended in one list, by message."""
        ...

    async def attempt(self, environment: str, attempt_id: str) -> Attempt:
        """Return one attempt; raises NotFound."""
        ...

    async def attempts(
        self,
        environment: str,
        selection: Selection,
        *,
        outcomes: Sequence[Outcome] = (),
        started_since: datetime | None = None,
        started_until: datetime | None = None,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[Attempt]:
        """List attempts; of a selection's ``status_class`` here: those that were answered so themselves."""
        ...

    async def matches(self, environment: str, message_id: str) -> Sequence[Match]:
        """Say for every endpoint of the message's customer whether it was to get it, and if not why."""
        ...

    async def status(self, environment: str) -> Status: ...


# --- the whole ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept after they have ended."""

    messages: timedelta = timedelta(days=30)
    unsubscribed: timedelta = timedelta(days=3)  # messages that nobody was subscribed to
    attempts: timedelta = timedelta(days=30)
    keys: timedelta = timedelta(days=30)
    audit: timedelta = timedelta(days=365)  # who did what


@dataclass(frozen=True, slots=True)
class Probe:
    """What a look at the database's own health shows, of all environments together.

    ``mark`` is None before the first `prepare`. ``workers`` hold a lease that has not ended. ``waits_since`` is since
    when something has waited for a worker to take it: an accepted message, a free lane whose turn it is, lanes of a
    worker that died. What a live worker holds does not count, however much that is.
    """

    schema_version: int
    schema_wanted: int
    mark: str | None
    workers: int
    waits_since: int | None
    now: int


class Storage(Accept, Deliver, Register, Read, EventTypes, Access, Audit, Sweeps, Counting, Watching, Protocol):
    """One database. Opened lazily, safe on any event loop and thread, and after a fork."""

    async def prepare(self, *, deployment: str) -> None:
        """Open; on SQLite apply missing migrations; check schema version and deployment mark.

        Raises:
            SchemaOutdated, SchemaNewer, WrongDeployment, VaultError: as they say.
        """
        ...

    async def probe(self) -> Probe:
        """Prove that a commit is possible, by one that leaves nothing behind; look who works. Reads only a few rows.

        Raises:
            StorageError: it is not possible.
        """
        ...

    async def adopt(self, *, deployment: str, withdraw_pending: bool) -> int:
        """Make the database this deployment's; return how many deliveries and messages were withdrawn.

        With a key that does not open it, secrets and headers are lost: endpoints are disabled until they have new ones.
        """
        ...

    async def rekey(self) -> int:
        """Seal every secret, header and outbox's URL with the vault's first key; return how many were not.

        After it the other keys are not needed any more. Cut off halfway it can be run again.

        Raises:
            VaultError: one cannot be opened; it names the endpoint.
        """
        ...

    async def clean(self, retention: Retention, *, limit: int) -> int:
        """Do one bounded piece of housekeeping: retention, tombstones' pending rows; return rows changed (0: done)."""
        ...

    async def leave(self) -> None:
        """Close what the running loop had of its own while it was listened on; before that loop ends."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, close files and connections."""
        ...
