"""Lists of customers, endpoints, messages, deliveries and attempts, in pages, either way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from anzol.clock import to_micros
from anzol.lifecycle import Outcome, State
from anzol.model import OPERATIONAL, Attempt, Customer, Delivery, Endpoint, Page, StoredMessage
from anzol.storage import rows
from anzol.storage.face import Selection
from anzol.storage.rows import Row
from anzol.storage.sqlite import within
from anzol.storage.sqlite.read import (
    ENDLESS,
    Filter,
    answered_so,
    customer_id_of,
    environment_number,
    filter_of,
    read_cursor,
)
from anzol.storage.sqlite.work import Work, encode

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """Which page of a list: *limit* items behind the cursor *after*."""

    after: str | None
    limit: int
    oldest_first: bool

    def places(self, parts: int) -> list[int]:
        """Return the place that it begins behind.

        Raises:
            InvalidValue: the cursor is none of ours.
        """
        return read_cursor(self.after, parts, start=0 if self.oldest_first else ENDLESS)

    def values(self, *names: str) -> dict[str, Any]:
        """Return what a query is given of it: the place under *names*, and one row more, to see whether there is."""
        places = dict(zip(names, self.places(len(names)), strict=True))
        return {"most": self.limit + 1, "oldest_first": self.oldest_first, **places}


@dataclass(frozen=True, slots=True)
class Which:
    """Which attempts are meant: those of a selection, of some outcomes, started within a time."""

    selection: Selection
    outcomes: tuple[Outcome, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


def page_of(found: Sequence[Row], span: Span, show: Callable[[Row], T], places: int = 1) -> Page[T]:
    """Return a page of rows, whose last *places* columns make the cursor."""
    kept = found[: span.limit]
    if not kept:
        return Page(())
    items = tuple(show(row[:-places]) for row in kept)
    first, last = (".".join(map(str, row[-places:])) for row in (kept[0], kept[-1]))
    return Page(items, last if len(found) > span.limit else None, first, last)


def customers(work: Work, environment: str, span: Span) -> Page[Customer]:
    """List customers, but not the one that has the operational endpoints."""
    number = environment_number(work, environment)
    found = work.listed("customers", [], environment=number, hidden=OPERATIONAL, **span.values("place"))
    return page_of(found, span, rows.customer_of)


def endpoints(work: Work, environment: str, of_customer: str | None, span: Span) -> Page[Endpoint]:
    """List endpoints that are not deleted: of a customer, or all but the operational ones."""
    values = {"environment": environment_number(work, environment), **span.values("place")}
    condition, values["whose"] = "c.uid <> :whose", OPERATIONAL
    if of_customer is not None:
        condition, values["whose"] = "e.customer_id = :whose", customer_id_of(work, environment, of_customer)
    return page_of(work.listed("endpoints", [condition], **values), span, rows.endpoint_of)


def messages(work: Work, environment: str, selection: Selection, span: Span) -> Page[StoredMessage]:
    """List messages; of an endpoint, in certain states or answered in a way: those with such a delivery."""
    values = span.values("place")
    if selection.endpoint_id is not None:
        return messages_of_endpoint(work, environment, selection, span)
    found = filter_of(work, environment, selection)
    conditions = [*found.of_message, *bounds_of(work, found, selection, "m.seq")]
    if selection.states:
        conditions.append(with_delivery(found, selection.states))
    elif selection.status_class is not None:
        # Assembled from words of our own: what users give is bound.
        conditions.append(f"exists (select 1 from anzol_attempt a where a.message = m.seq and {answered_so('a')})")  # noqa: S608 our own words
    return page_of(work.listed("messages", conditions, **found.values, **values), span, rows.message_of)


def bounds_of(work: Work, found: Filter, selection: Selection, number: str) -> list[str]:
    """Return the condition that a message's *number* is one of the time of a selection."""
    if selection.since is None and selection.until is None:
        return []
    found.values["least"], found.values["greatest"] = within.messages(work, selection.since, selection.until)
    return [f"{number} between :least and :greatest"]


def messages_of_endpoint(work: Work, environment: str, selection: Selection, span: Span) -> Page[StoredMessage]:
    """List messages that have a delivery to an endpoint, which is one each."""
    (place,) = span.places(1)
    found = find_deliveries(work, environment, selection, span, place, ENDLESS if span.oldest_first else 0)
    numbers = [row[-2] for row in found]
    known = {row[-1]: row for row in work.all("messages_given", messages=encode(numbers))}
    return page_of([known[number] for number in numbers], span, rows.message_of)


def with_delivery(found: Filter, states: Sequence[State]) -> str:
    """Return the condition that a message has a delivery as selected."""
    # Assembled from words of our own: what users give is bound.
    parts = []
    where = "".join(f" and {term}" for term in found.of_delivery)
    if State.PENDING in states:
        parts.append(f"exists (select 1 from anzol_pending x where x.message = m.seq{where})")  # noqa: S608 our own words
    ended = ended_of(states)
    if ended:
        within = f" and x.state in ({', '.join(map(str, ended))})"
        parts.append(f"exists (select 1 from anzol_delivery x where x.message = m.seq{where}{within})")  # noqa: S608 our own words
    return f"({' or '.join(parts)})"


def ended_of(states: Sequence[State]) -> list[int]:
    """Return the numbers of those states that are ends."""
    return [int(state) for state in states if state is not State.PENDING]


def deliveries(work: Work, environment: str, selection: Selection, span: Span) -> Page[Delivery]:
    """List deliveries, pending and ended, by message."""
    message, endpoint = span.places(2)
    found = find_deliveries(work, environment, selection, span, message, endpoint)
    return page_of(found, span, rows.delivery_of, 2)


def find_deliveries(
    work: Work, environment: str, selection: Selection, span: Span, message: int, endpoint: int
) -> list[Row]:
    """Return the rows of a page of deliveries behind a place, and one more if there is; each ends with its place."""
    states = selection.states
    place: dict[str, Any] = {"place": message, "place_endpoint": endpoint}
    place |= {"most": span.limit + 1, "oldest_first": span.oldest_first}
    listed: list[Row] = []
    if not states or State.PENDING in states:
        query, found = pending_of(work, environment, selection)
        listed += work.listed(query, found.all, **found.values, **place)
    if not states or ended_of(states):
        query, found = ended_by(work, environment, selection)
        listed += work.listed(query, found.all, **found.values, **place)
    listed.sort(key=lambda row: (row[-2], row[-1]), reverse=not span.oldest_first)
    return listed[: span.limit + 1]


def pending_of(work: Work, environment: str, selection: Selection) -> tuple[str, Filter]:
    """Return the query that leads to the selected deliveries that are pending, and its conditions."""
    if selection.endpoint_id is not None and selection.message_id is None:
        return "deliveries_pending_of_endpoint", pending_of_endpoint(work, environment, selection)
    found = filter_of(work, environment, selection)
    found.of_delivery += bounds_of(work, found, selection, leading(selection))
    return f"deliveries_pending{way_of(selection)}", found


def pending_of_endpoint(work: Work, environment: str, selection: Selection) -> Filter:
    """Return the conditions on an endpoint's pending rows: all are looked at, their messages only if need be."""
    found = filter_of(work, environment, replace(selection, customer=None))
    found.of_delivery += bounds_of(work, found, selection, "x.message")
    # Assembled from words of our own: what users give is bound.
    if found.of_message:
        of_it = " and ".join(["m.seq = x.message", *found.of_message])
        found.of_message = [f"exists (select 1 from anzol_message m where {of_it})"]  # noqa: S608 our own words
    if selection.customer is not None:
        own = "(select e.customer_id from anzol_endpoint e where e.seq = :endpoint)"
        found.of_message.append(f"{own} = :customer_id")
        found.values["customer_id"] = customer_id_of(work, environment, selection.customer)
    return found


def ended_by(work: Work, environment: str, selection: Selection) -> tuple[str, Filter]:
    """Return the query that leads to the selected deliveries that have ended, and its conditions."""
    found = filter_of(work, environment, selection)
    found.of_delivery += bounds_of(work, found, selection, leading(selection))
    ended = ended_of(selection.states)
    if ended:
        found.of_delivery.append(f"x.state in ({', '.join(map(str, ended))})")
    return f"deliveries_ended{way_of(selection)}", found


def way_of(selection: Selection) -> str:
    """Return whether the messages of a customer lead to deliveries, as the end of a query's name."""
    named = selection.message_id is not None or selection.endpoint_id is not None
    return "" if named or selection.customer is None else "_of_customer"


def leading(selection: Selection) -> str:
    """Return the number of a message, of that row by which deliveries are looked for."""
    return "m.seq" if way_of(selection) else "x.message"


def attempts(work: Work, environment: str, which: Which, span: Span) -> Page[Attempt]:
    """List attempts, in the order in which they were recorded."""
    values = span.values("place")
    selection = which.selection
    found = filter_of(work, environment, replace(selection, status_class=None))
    found.of_delivery += bounds_of(work, found, selection, "+x.message")
    narrow_attempts(work, found, which)
    query = "attempts"
    if selection.customer is not None and selection.endpoint_id is None and selection.message_id is None:
        query = "attempts_of_customer"
    conditions = found.all
    if selection.message_id is not None:
        # The plus sign keeps the index of endpoints out of it: that of messages leads to fewer.
        conditions = ["x.message = :message", *(one.replace("x.endpoint =", "+x.endpoint =") for one in conditions)]
    return page_of(work.listed(query, conditions, **found.values, **values), span, rows.attempt_of)


def narrow_attempts(work: Work, found: Filter, which: Which) -> None:
    """Add what is asked of attempts themselves."""
    if which.outcomes:
        found.of_delivery.append(f"x.outcome in ({', '.join(str(int(outcome)) for outcome in which.outcomes)})")
    if which.selection.status_class is not None:
        found.of_delivery.append(answered_so("x"))
        found.values["status_class"] = which.selection.status_class
    if which.since is not None or which.until is not None:
        found.of_delivery.append("x.seq between :least_attempt and :greatest_attempt")
        least, greatest = within.attempts(work, which.since, which.until)
        found.values |= {"least_attempt": least, "greatest_attempt": greatest}
    if which.since is not None:
        found.of_delivery.append("x.started_at >= :started_since")
        found.values["started_since"] = to_micros(which.since)
    if which.until is not None:
        found.of_delivery.append("x.started_at < :started_until")
        found.values["started_until"] = to_micros(which.until)
    if which.selection.states:
        found.of_delivery.append(state_condition(which.selection.states))


def state_condition(states: Sequence[State]) -> str:
    """Return the condition that an attempt's delivery is in one of these states."""
    numbers = ", ".join(str(int(state)) for state in states)
    state = "(select d.state from anzol_delivery d where d.message = x.message and d.endpoint = x.endpoint)"
    return f"coalesce({state}, {int(State.PENDING)}) in ({numbers})"
