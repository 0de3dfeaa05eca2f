"""Looking: lists in pages, newest first, and single things."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from anzol import ids
from anzol.clock import from_micros, to_micros
from anzol.errors import InvalidValue, NotFound
from anzol.lifecycle import Outcome, State
from anzol.model import Attempt, Customer, Delivery, Endpoint, Match, Page, Status, StoredMessage
from anzol.storage import rows
from anzol.storage.face import Selection
from anzol.storage.rows import Row
from anzol.storage.sqlite.migrations import newest
from anzol.storage.sqlite.register import find_customer, find_endpoint, read_id, show_endpoint
from anzol.storage.sqlite.work import Work, encode
from anzol.subscription import DISABLED, EVENT_TYPE, MATCHED, Occurrence, Subscription, wants

T = TypeVar("T")
ENDLESS = 1 << 62


@dataclass(slots=True)
class Filter:
    """A selection as conditions on ``m`` (message) and on ``x`` (pending, delivery or attempt), and their values."""

    of_message: list[str] = field(default_factory=list)
    of_delivery: list[str] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)

    @property
    def all(self) -> list[str]:
        return self.of_message + self.of_delivery


def filter_of(work: Work, environment: str, selection: Selection) -> Filter:
    """Return the conditions of a selection, but for its states.

    Raises:
        NotFound: it names a message or endpoint that is not there.
    """
    found = Filter(values={"environment": environment_number(work, environment)})
    if selection.customer is not None:
        found.of_message.append("m.customer_id = :customer_id")
        found.values["customer_id"] = customer_id_of(work, environment, selection.customer)
    if selection.message_id is not None:
        found.of_message.append("m.seq = :message")
        found.values["message"] = message_seq(work, environment, selection.message_id)
    if selection.event_types:
        found.of_message.append("m.event_type in (select value from json_each(:event_types))")
        found.values["event_types"] = encode(list(selection.event_types))
    if selection.tag is not None:
        found.of_message.append("exists (select 1 from json_each(m.tags) t where t.value = :tag)")
        found.values["tag"] = selection.tag
    if selection.endpoint_id is not None:
        found.of_delivery.append("x.endpoint = :endpoint")
        found.values["endpoint"] = endpoint_seq(work, environment, selection.endpoint_id)
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


def environment_number(work: Work, name: str) -> int:
    """Return the number of an environment; -1, which nothing has, if it was never used."""
    row = work.one("environment", name=name)
    return -1 if row is None else int(row[0])


def customer_id_of(work: Work, environment: str, uid: str) -> bytes:
    """Return the id of a customer, which may have no row yet."""
    row = work.one("customer_row", environment=environment_number(work, environment), uid=uid)
    return bytes(row[0]) if row is not None else ids.derive(environment, uid)


def message_seq(work: Work, environment: str, message_id: str) -> int:
    """Return the number of a message.

    Raises:
        NotFound: there is none in this environment.
    """
    raw = read_id(ids.MESSAGE, message_id, "message")
    what = f"message {message_id!r} in {environment!r}"
    return int(work.the("message_seq", what, id=raw, environment=environment_number(work, environment))[0])


def endpoint_seq(work: Work, environment: str, endpoint_id: str) -> int:
    """Return the number of an endpoint, deleted or not.

    Raises:
        NotFound: there never was one in this environment.
    """
    raw = read_id(ids.ENDPOINT, endpoint_id, "endpoint")
    what = f"endpoint {endpoint_id!r} in {environment!r}"
    return int(work.the("endpoint_seq", what, id=raw, environment=environment_number(work, environment))[0])


def read_cursor(after: object, parts: int, start: int = ENDLESS) -> list[int]:
    """Read a page's cursor: whole numbers with dots between them.

    Raises:
        InvalidValue: it is none of ours.
    """
    if after is None:
        return [start] * parts
    numbers = after.split(".") if isinstance(after, str) else []
    if len(numbers) != parts or not all(number.isascii() and number.isdecimal() for number in numbers):
        raise InvalidValue(f"{after!r} is not a cursor.", field="after", do="Take the `next` of the page before.")
    return [min(int(number), ENDLESS) for number in numbers]


def page_of(found: Sequence[Row], limit: int, show: Callable[[Row], T], places: int) -> Page[T]:
    """Return a page of rows, whose last *places* columns make the cursor; one more than *limit* says there is more."""
    items = tuple(show(row[:-places]) for row in found[:limit])
    more = len(found) > limit > 0
    return Page(items, ".".join(str(number) for number in found[limit - 1][-places:]) if more else None)


def customer(work: Work, environment: str, uid: str) -> Customer:
    """Return one customer."""
    return rows.customer_of(find_customer(work, environment, uid))


def customers(work: Work, environment: str, after: str | None, limit: int) -> Page[Customer]:
    """List customers."""
    (place,) = read_cursor(after, 1)
    found = work.all("customers", environment=environment_number(work, environment), before=place, most=limit + 1)
    return page_of(found, limit, rows.customer_of, 1)


def endpoint(work: Work, environment: str, endpoint_id: str) -> Endpoint:
    """Return one endpoint that is not deleted."""
    return show_endpoint(work, find_endpoint(work, environment, endpoint_id).seq)


def endpoints(work: Work, environment: str, of_customer: str | None, after: str | None, limit: int) -> Page[Endpoint]:
    """List endpoints that are not deleted."""
    (before,) = read_cursor(after, 1)
    found = Filter(values={"environment": environment_number(work, environment)})
    if of_customer is not None:
        found.of_message.append("e.customer_id = :customer_id")
        found.values["customer_id"] = customer_id_of(work, environment, of_customer)
    listed = work.listed("endpoints", found.all, before=before, most=limit + 1, **found.values)
    return page_of(listed, limit, rows.endpoint_of, 1)


def message(work: Work, environment: str, message_id: str) -> StoredMessage:
    """Return one message with its body."""
    return rows.message_of(work.the("message", "message", seq=message_seq(work, environment, message_id)))


def messages(work: Work, environment: str, selection: Selection, after: str | None, limit: int) -> Page[StoredMessage]:
    """List messages; of an endpoint or in certain states: those with such a delivery."""
    (before,) = read_cursor(after, 1)
    found = filter_of(work, environment, selection)
    conditions = list(found.of_message)
    if found.of_delivery or selection.states:
        conditions.append(with_delivery(found, selection.states))
    listed = work.listed("messages", conditions, before=before, most=limit + 1, **found.values)
    return page_of(listed, limit, rows.message_of, 1)


def with_delivery(found: Filter, states: Sequence[State]) -> str:
    """Return the condition that a message has a delivery as selected."""
    # Assembled from words of our own: what users give is bound.
    parts = []
    where = "".join(f" and {term}" for term in found.of_delivery)
    if not states or State.PENDING in states:
        parts.append(f"exists (select 1 from anzol_pending x where x.message = m.seq{where})")  # noqa: S608 our own words
    ended = [int(state) for state in states if state is not State.PENDING]
    if ended or not states:
        within = f" and x.state in ({', '.join(map(str, ended))})" if states else ""
        parts.append(f"exists (select 1 from anzol_delivery x where x.message = m.seq{where}{within})")  # noqa: S608 our own words
    return f"({' or '.join(parts)})"


def deliveries(work: Work, environment: str, selection: Selection, after: str | None, limit: int) -> Page[Delivery]:
    """List deliveries, pending and ended, by message."""
    before, before_endpoint = read_cursor(after, 2)
    found = filter_of(work, environment, selection)
    values = {"before": before, "before_endpoint": before_endpoint, "most": limit + 1, **found.values}
    ended = [int(state) for state in selection.states if state is not State.PENDING]
    listed: list[Row] = []
    if not selection.states or State.PENDING in selection.states:
        listed += work.listed("deliveries_pending", found.all, **values)
    if ended or not selection.states:
        within = [f"x.state in ({', '.join(map(str, ended))})"] if ended else []
        listed += work.listed("deliveries_ended", found.all + within, **values)
    listed.sort(key=lambda row: (row[-2], row[-1]), reverse=True)
    return page_of(listed[: limit + 1], limit, rows.delivery_of, 2)


def attempts(
    work: Work,
    environment: str,
    selection: Selection,
    outcomes: Sequence[Outcome],
    after: str | None,
    limit: int,
) -> Page[Attempt]:
    """List attempts, the one recorded last first."""
    (before,) = read_cursor(after, 1)
    found = filter_of(work, environment, selection)
    conditions = found.all
    if outcomes:
        conditions.append(f"x.outcome in ({', '.join(str(int(outcome)) for outcome in outcomes)})")
    if selection.states:
        conditions.append(state_condition(selection.states))
    query = "attempts"
    if selection.customer is not None and selection.endpoint_id is None and selection.message_id is None:
        query = "attempts_of_customer"
    listed = work.listed(query, conditions, before=before, most=limit + 1, **found.values)
    return page_of(listed, limit, rows.attempt_of, 1)


def state_condition(states: Sequence[State]) -> str:
    """Return the condition that an attempt's delivery is in one of these states."""
    numbers = ", ".join(str(int(state)) for state in states)
    state = "(select d.state from anzol_delivery d where d.message = x.message and d.endpoint = x.endpoint)"
    return f"coalesce({state}, {int(State.PENDING)}) in ({numbers})"


def matches(work: Work, environment: str, message_id: str) -> tuple[Match, ...]:
    """Say for every endpoint of the message's customer whether it was to get the message."""
    seq = message_seq(work, environment, message_id)
    event_type, created_at, channels, only, customer_id, waiting = work.the("occurrence", "message", seq=seq)
    occurrence = Occurrence(event_type, created_at, tuple(json.loads(channels)), only)
    found = work.all("subscriptions", customer_id=customer_id, message=seq)
    return tuple(match_of(row, occurrence, bool(waiting), work.now) for row in found)


def match_of(row: Row, occurrence: Occurrence, waiting: bool, now: int) -> Match:
    """Judge one endpoint: what was, where that is known; else by the rule."""
    raw, url, event_types, channels, disabled, deleted_at, created_at, enabled_at, has_delivery = row
    subscription = Subscription(
        raw,
        tuple(json.loads(event_types)),
        tuple(json.loads(channels)),
        disabled is None,
        deleted_at is not None,
        created_at,
    )
    reason = MATCHED if has_delivery else wants(subscription, occurrence, now)
    if reason == MATCHED and not has_delivery and not waiting:
        # It would match today: it was disabled then, or was subscribed to something else.
        reason = DISABLED if enabled_at > occurrence.created_at else EVENT_TYPE
    return Match(ids.show(ids.ENDPOINT, raw), url, reason)


def status(work: Work, environment: str) -> Status:
    """Return how the whole is doing."""
    number = environment_number(work, environment)
    waiting, oldest_waiting = work.the("status_outbox", "status", environment=number)
    pending, due, parked, in_flight, oldest_due = work.the("status_pending", "status", environment=number, now=work.now)
    failing, disabled = work.the("status_endpoints", "status", environment=number)
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
        workers=tuple(rows.worker_of(row) for row in work.all("workers", now=work.now)),
        schema_version=newest(),
    )


def delivery(work: Work, message_number: int, endpoint_number: int) -> Delivery:
    """Return one delivery.

    Raises:
        NotFound: there is none.
    """
    row = work.one("delivery_pending", message=message_number, endpoint=endpoint_number)
    row = row or work.one("delivery_ended", message=message_number, endpoint=endpoint_number)
    if row is None:
        raise NotFound("There is no such delivery.")
    return rows.delivery_of(row)
