"""Looking: what a selection means in here, single things, and how the whole is doing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from anzol import ids
from anzol.clock import from_micros, to_micros
from anzol.errors import InvalidValue, NotFound
from anzol.model import Customer, Delivery, Endpoint, Match, Status, StoredMessage
from anzol.storage import rows
from anzol.storage.face import Selection
from anzol.storage.rows import Row
from anzol.storage.sqlite.migrations import newest
from anzol.storage.sqlite.register import find_customer, find_endpoint, read_id, show_endpoint
from anzol.storage.sqlite.work import Work, encode
from anzol.subscription import DISABLED, EVENT_TYPE, MATCHED, Occurrence, Subscription, wants

ENDLESS = 1 << 62


@dataclass(slots=True)
class Filter:
    """A selection as conditions on ``m`` (message) and on ``x`` (pending, delivery or attempt), and their values."""

    of_message: list[str] = field(default_factory=list)
    of_delivery: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

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
    if selection.channel is not None:
        found.of_message.append("exists (select 1 from json_each(m.channels) t where t.value = :channel)")
        found.values["channel"] = selection.channel
    if selection.tag is not None:
        found.of_message.append("exists (select 1 from json_each(m.tags) t where t.value = :tag)")
        found.values["tag"] = selection.tag
    if selection.endpoint_id is not None:
        found.of_delivery.append("x.endpoint = :endpoint")
        found.values["endpoint"] = endpoint_seq(work, environment, selection.endpoint_id)
    if selection.status_class is not None:
        # The plus sign keeps the index of endpoints out of it: that of messages leads to fewer.
        of_it = f"a.message = x.message and +a.endpoint = x.endpoint and {answered_so('a')}"
        found.of_delivery.append(f"exists (select 1 from anzol_attempt a where {of_it})")  # noqa: S608 our own words
        found.values["status_class"] = selection.status_class
    return bound_times(found, selection)


def answered_so(attempt: str) -> str:
    """Return the condition that an attempt was answered with a status of the class, 2 for 2xx, 0 for none."""
    return f"coalesce({attempt}.status / 100, 0) = :status_class"


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
    if len(numbers) != parts or not all(map(is_number, numbers)):
        raise InvalidValue(
            f"{after!r} is not a cursor.", field="after", do="Take the `next`, `first` or `last` of a page."
        )
    return [min(int(number), ENDLESS) for number in numbers]


def is_number(text: str) -> bool:
    """Say whether it is a whole number, of no more digits than those of ours."""
    return text.isascii() and text.isdecimal() and len(text) <= len(str(ENDLESS))


def customer(work: Work, environment: str, uid: str) -> Customer:
    """Return one customer."""
    return rows.customer_of(find_customer(work, environment, uid))


def endpoint(work: Work, environment: str, endpoint_id: str) -> Endpoint:
    """Return one endpoint that is not deleted."""
    return show_endpoint(work, find_endpoint(work, environment, endpoint_id).seq)


def message(work: Work, environment: str, message_id: str) -> StoredMessage:
    """Return one message with its body."""
    return rows.message_of(work.the("message", "message", seq=message_seq(work, environment, message_id)))


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
