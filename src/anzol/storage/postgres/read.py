"""Looking: lists in pages, newest first, and single things."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from anzol import ids
from anzol.clock import from_micros, to_micros
from anzol.errors import InvalidValue, NotFound
from anzol.lifecycle import Outcome, State
from anzol.model import Attempt, Customer, Delivery, Endpoint, Match, Page, Status, StoredMessage
from anzol.storage import rows
from anzol.storage.face import Selection
from anzol.storage.postgres.migrations import newest
from anzol.storage.postgres.register import find_customer, find_endpoint, read_id, show_endpoint
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work
from anzol.storage.rows import Row
from anzol.subscription import DISABLED, EVENT_TYPE, MATCHED, Occurrence, Subscription, wants

T = TypeVar("T")
FIRST: Final = bytes(16)  # before every id
LAST: Final = b"\xff" * 16  # behind every id
ENDLESS: Final = (1 << 63) - 1
COUNTED_IN_LISTS: Final = 10_000  # waiting deliveries of each endpoint in a list


@dataclass(slots=True)
class Filter:
    """A selection as conditions on ``m`` (message) and on ``x`` (pending, delivery or attempt), and their values."""

    of_message: list[str] = field(default_factory=list)
    of_delivery: list[str] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)

    @property
    def all(self) -> list[str]:
        return self.of_message + self.of_delivery


async def filter_of(work: Work, environment: str, selection: Selection) -> Filter:
    """Return the conditions of a selection, but for its states.

    Raises:
        NotFound: it names a message or endpoint that is not there.
    """
    refuse_nul(customer=selection.customer, event_type=selection.event_type, tag=selection.tag)
    found = Filter(values={"environment": environment})
    if selection.customer is not None:
        found.of_message.append("m.customer_id = :customer_id")
        found.values["customer_id"] = await customer_id_of(work, environment, selection.customer)
    if selection.message_id is not None:
        found.of_message.append("m.id = :message")
        found.values["message"] = await message_key(work, environment, selection.message_id)
    if selection.event_type is not None:
        found.of_message.append("m.event_type = :event_type")
        found.values["event_type"] = selection.event_type
    if selection.tag is not None:
        found.of_message.append(":tag = any(m.tags)")
        found.values["tag"] = selection.tag
    if selection.endpoint_id is not None:
        found.of_delivery.append("x.endpoint_id = :endpoint")
        found.values["endpoint"] = await endpoint_key(work, environment, selection.endpoint_id)
    return bound_times(found, selection)


def bound_times(found: Filter, selection: Selection) -> Filter:
    """Add the times of a selection."""
    if selection.since is not None:
        found.of_message.append("m.created_at >= :since")
        found.values["since"] = to_micros(selection.since)
    if selection.until is not None:
        found.of_message.append("m.created_at < :until")
        found.values["until"] = to_micros(selection.until)
    return found


async def customer_id_of(work: Work, environment: str, uid: str) -> bytes:
    """Return the id of a customer, which may have no row yet."""
    row = await work.one("customer_row", environment=environment, uid=uid)
    return bytes(row[0]) if row is not None else ids.derive(environment, uid)


async def message_key(work: Work, environment: str, message_id: str) -> bytes:
    """Return the id of a message, as it is stored.

    Raises:
        NotFound: there is none in this environment.
    """
    raw = read_id(ids.MESSAGE, message_id, "message")
    what = f"message {message_id!r} in {environment!r}"
    return bytes((await work.the("message_id", what, id=raw, environment=environment))[0])


async def endpoint_key(work: Work, environment: str, endpoint_id: str) -> bytes:
    """Return the id of an endpoint, deleted or not, as it is stored.

    Raises:
        NotFound: there never was one in this environment.
    """
    raw = read_id(ids.ENDPOINT, endpoint_id, "endpoint")
    what = f"endpoint {endpoint_id!r} in {environment!r}"
    return bytes((await work.the("endpoint_id", what, id=raw, environment=environment))[0])


# --- pages


def read_cursor(after: object, parts: int, start: bytes = LAST) -> list[bytes]:
    """Read a page's cursor: ids with dots between them.

    Raises:
        InvalidValue: it is none of ours.
    """
    if after is None:
        return [start] * parts
    shown = after.split(".") if isinstance(after, str) else []
    try:
        if len(shown) == parts:
            return [ids.read("", one) for one in shown]
    except InvalidValue as cause:
        raise no_cursor(after) from cause
    raise no_cursor(after)


def read_number(after: object) -> int:
    """Read the cursor of a list in the order of numbers.

    Raises:
        InvalidValue: it is none of ours.
    """
    if after is None:
        return ENDLESS
    if not isinstance(after, str) or not after.isascii() or not after.isdecimal() or len(after) > len(str(ENDLESS)):
        raise no_cursor(after)
    return min(int(after), ENDLESS)


def no_cursor(after: object) -> InvalidValue:
    """Return the error for a cursor that is none of ours."""
    return InvalidValue(f"{after!r} is not a cursor.", field="after", do="Take the `next` of the page before.")


def write_cursor(*places: Any) -> str:
    """Write what `read_cursor` or `read_number` reads."""
    return ".".join(ids.show("", place) if isinstance(place, bytes) else str(place) for place in places)


def page_of(found: Sequence[Row], limit: int, show: Callable[[Row], T], places: int) -> Page[T]:
    """Return a page of rows, whose last *places* columns make the cursor; one more than *limit* says there is more."""
    items = tuple(show(row[:-places]) for row in found[:limit])
    more = len(found) > limit > 0
    return Page(items, write_cursor(*found[limit - 1][-places:]) if more else None)


# --- customers and endpoints


async def customer(work: Work, environment: str, uid: str) -> Customer:
    """Return one customer."""
    refuse_nul(customer=uid)
    return rows.customer_of(await find_customer(work, environment, uid))


async def customers(work: Work, environment: str, after: str | None, limit: int) -> Page[Customer]:
    """List customers."""
    found = await work.all("customers", environment=environment, before=read_number(after), most=limit + 1)
    return page_of(found, limit, rows.customer_of, 1)


async def endpoint(work: Work, environment: str, endpoint_id: str) -> Endpoint:
    """Return one endpoint that is not deleted."""
    return await show_endpoint(work, (await find_endpoint(work, environment, endpoint_id)).id)


async def endpoints(
    work: Work, environment: str, of_customer: str | None, after: str | None, limit: int
) -> Page[Endpoint]:
    """List endpoints that are not deleted."""
    refuse_nul(customer=of_customer)
    values = {"environment": environment, "before": read_number(after), "most": limit + 1, "bound": COUNTED_IN_LISTS}
    conditions = []
    if of_customer is not None:
        conditions.append("e.customer_id = :customer_id")
        values["customer_id"] = await customer_id_of(work, environment, of_customer)
    return page_of(await work.listed("endpoints", conditions, **values), limit, rows.endpoint_of, 1)


# --- messages, deliveries, attempts


async def message(work: Work, environment: str, message_id: str) -> StoredMessage:
    """Return one message with its body."""
    raw = read_id(ids.MESSAGE, message_id, "message")
    what = f"message {message_id!r} in {environment!r}"
    return rows.message_of(await work.the("message", what, id=raw, environment=environment))


async def messages(
    work: Work, environment: str, selection: Selection, after: str | None, limit: int
) -> Page[StoredMessage]:
    """List messages; of an endpoint or in certain states: those with such a delivery."""
    (before,) = read_cursor(after, 1)
    found = await filter_of(work, environment, selection)
    conditions = list(found.of_message)
    if found.of_delivery or selection.states:
        conditions.append(with_delivery(found, selection.states))
    listed = await work.listed("messages", conditions, before=before, most=limit + 1, **found.values)
    return page_of(listed, limit, rows.message_of, 1)


def with_delivery(found: Filter, states: Sequence[State]) -> str:
    """Return the condition that a message has a delivery as selected."""
    # Assembled from words of our own: what users give is bound.
    parts = []
    where = "".join(f" and {term}" for term in found.of_delivery)
    if not states or State.PENDING in states:
        parts.append(f"exists (select 1 from anzol.pending x where x.message_id = m.id{where})")  # noqa: S608 our own words
    ended = [int(state) for state in states if state is not State.PENDING]
    if ended or not states:
        within = f" and {in_states(ended)}" if states else ""
        parts.append(f"exists (select 1 from anzol.delivery x where x.message_id = m.id{where}{within})")  # noqa: S608 our own words
    return f"({' or '.join(parts)})"


def in_states(numbers: Sequence[int]) -> str:
    """Return the condition that a delivery ended in one of these states."""
    return f"x.state in ({', '.join(map(str, numbers))})"


async def deliveries(
    work: Work, environment: str, selection: Selection, after: str | None, limit: int
) -> Page[Delivery]:
    """List deliveries, pending and ended, by message."""
    before, before_endpoint = read_cursor(after, 2)
    found = await filter_of(work, environment, selection)
    values = {"before": before, "before_endpoint": before_endpoint, "most": limit + 1, **found.values}
    ended = [int(state) for state in selection.states if state is not State.PENDING]
    listed: list[Row] = []
    if not selection.states or State.PENDING in selection.states:
        listed += await work.listed("deliveries_pending", found.all, **values)
    if ended or not selection.states:
        within = [in_states(ended)] if ended else []
        listed += await work.listed("deliveries_ended", found.all + within, **values)
    listed.sort(key=lambda row: (row[-2], row[-1]), reverse=True)
    return page_of(listed[: limit + 1], limit, rows.delivery_of, 2)


async def attempts(
    work: Work,
    environment: str,
    selection: Selection,
    outcomes: Sequence[Outcome],
    after: str | None,
    limit: int,
) -> Page[Attempt]:
    """List attempts, the one recorded last first."""
    (before,) = read_cursor(after, 1)
    found = await filter_of(work, environment, selection)
    conditions = found.all
    if outcomes:
        conditions.append(f"x.outcome in ({', '.join(str(int(outcome)) for outcome in outcomes)})")
    if selection.states:
        conditions.append(state_condition(selection.states))
    query = "attempts"
    if selection.customer is not None and selection.endpoint_id is None and selection.message_id is None:
        query = "attempts_of_customer"
    listed = await work.listed(query, conditions, before=before, most=limit + 1, **found.values)
    return page_of(listed, limit, rows.attempt_of, 1)


def state_condition(states: Sequence[State]) -> str:
    """Return the condition that an attempt's delivery is in one of these states."""
    numbers = ", ".join(str(int(state)) for state in states)
    state = "(select d.state from anzol.delivery d where d.message_id = x.message_id and d.endpoint_id = x.endpoint_id)"
    return f"coalesce({state}, {int(State.PENDING)}) in ({numbers})"


async def delivery(work: Work, message: bytes, endpoint: bytes) -> Delivery:
    """Return one delivery.

    Raises:
        NotFound: there is none.
    """
    row = await work.one("delivery_pending", message=message, endpoint=endpoint)
    row = row or await work.one("delivery_ended", message=message, endpoint=endpoint)
    if row is None:
        raise NotFound("There is no such delivery.")
    return rows.delivery_of(row)


# --- why nobody got it, and how the whole is doing


async def matches(work: Work, environment: str, message_id: str) -> tuple[Match, ...]:
    """Say for every endpoint of the message's customer whether it was to get the message."""
    raw = read_id(ids.MESSAGE, message_id, "message")
    what = f"message {message_id!r} in {environment!r}"
    row = await work.the("occurrence", what, id=raw, environment=environment)
    event_type, created_at, channels, only, customer_id, waiting = row
    occurrence = Occurrence(event_type, created_at, tuple(channels), only)
    now = await work.time()
    found = await work.all("subscriptions", customer_id=customer_id, message=raw)
    return tuple(match_of(one, occurrence, waiting, now) for one in found)


def match_of(row: Row, occurrence: Occurrence, waiting: bool, now: int) -> Match:
    """Judge one endpoint: what was, where that is known; else by the rule."""
    raw, url, event_types, channels, disabled, deleted_at, created_at, enabled_at, has_delivery = row
    subscription = Subscription(
        raw, tuple(event_types), tuple(channels), disabled is None, deleted_at is not None, created_at
    )
    reason = MATCHED if has_delivery else wants(subscription, occurrence, now)
    if reason == MATCHED and not has_delivery and not waiting:
        # It would match today: it was disabled then, or was subscribed to something else.
        reason = DISABLED if enabled_at > occurrence.created_at else EVENT_TYPE
    return Match(ids.show(ids.ENDPOINT, raw), url, reason)


async def status(work: Work, environment: str) -> Status:
    """Return how the whole is doing."""
    waiting, oldest_waiting = await work.the("status_outbox", "status", environment=environment)
    pending, due, parked, in_flight, oldest_due = await work.the("status_pending", "status", environment=environment)
    failing, disabled = await work.the("status_endpoints", "status", environment=environment)
    oldest = min((at for at in (oldest_due, oldest_waiting) if at is not None), default=None)
    return Status(
        accepted_waiting=waiting,
        pending=pending,
        due=due,
        parked=parked,
        in_flight=in_flight,
        oldest_due=None if oldest is None else from_micros(oldest),
        failing_endpoints=failing,
        disabled_endpoints=disabled,
        workers=tuple(rows.worker_of(row) for row in await work.all("workers")),
        schema_version=newest(),
    )
