"""Lists in pages, newest first or the other way round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from anzol.clock import to_micros
from anzol.lifecycle import Outcome, State
from anzol.model import OPERATIONAL, Attempt, Customer, Delivery, Endpoint, Page, StoredMessage
from anzol.storage import rows
from anzol.storage.face import Selection
from anzol.storage.rows import Row
from anzol.storage.sqlite.read import (
    ENDLESS,
    Filter,
    customer_id_of,
    environment_number,
    filter_of,
    read_cursor,
)
from anzol.storage.sqlite.work import Work

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """Which page of a list: behind the cursor ``after``, at most ``limit`` items."""

    after: str | None
    limit: int
    oldest_first: bool

    def before(self, parts: int) -> list[int]:
        """Return the numbers of the cursor; raises InvalidValue."""
        return read_cursor(self.after, parts, -1 if self.oldest_first else ENDLESS)


@dataclass(frozen=True, slots=True)
class Which:
    """Which attempts."""

    selection: Selection
    outcomes: tuple[Outcome, ...]
    started_since: datetime | None
    started_until: datetime | None


def page_of(found: Sequence[Row], span: Span, show: Callable[[Row], T], places: int = 1) -> Page[T]:
    """Return a page of rows, whose last *places* columns make the cursor; one more than the limit says there is more."""
    kept = found[: span.limit]
    if not kept:
        return Page(())
    first, last = (".".join(str(number) for number in row[-places:]) for row in (kept[0], kept[-1]))
    return Page(tuple(show(row[:-places]) for row in kept), last if len(found) > span.limit else None, first, last)


def customers(work: Work, environment: str, span: Span) -> Page[Customer]:
    """List customers, but not the one that has the operational endpoints."""
    (before,) = span.before(1)
    found = work.listed(
        "customers",
        [],
        oldest_first=span.oldest_first,
        environment=environment_number(work, environment),
        hidden=OPERATIONAL,
        before=before,
        most=span.limit + 1,
    )
    return page_of(found, span, rows.customer_of)


def endpoints(work: Work, environment: str, of_customer: str | None, span: Span) -> Page[Endpoint]:
    """List endpoints that are not deleted; the operational ones only if their customer is named."""
    (before,) = span.before(1)
    found = Filter(values={"environment": environment_number(work, environment)})
    if of_customer is None:
        found.of_message.append("c.uid <> :hidden")
        found.values["hidden"] = OPERATIONAL
    else:
        found.of_message.append("e.customer_id = :customer_id")
        found.values["customer_id"] = customer_id_of(work, environment, of_customer)
    listed = work.listed(
        "endpoints", found.all, oldest_first=span.oldest_first, before=before, most=span.limit + 1, **found.values
    )
    return page_of(listed, span, rows.endpoint_of)


def messages(work: Work, environment: str, selection: Selection, span: Span) -> Page[StoredMessage]:
    """List messages; of an endpoint, in certain states, or answered in some way: those with such a delivery."""
    (before,) = span.before(1)
    found = filter_of(work, environment, selection)
    conditions = list(found.of_message)
    if found.of_delivery or selection.states:
        conditions.append(with_delivery(found, selection.states))
    listed = work.listed(
        "messages", conditions, oldest_first=span.oldest_first, before=before, most=span.limit + 1, **found.values
    )
    return page_of(listed, span, rows.message_of)


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


def deliveries(work: Work, environment: str, selection: Selection, span: Span) -> Page[Delivery]:
    """List deliveries, pending and ended, by message."""
    before, before_endpoint = span.before(2)
    found = filter_of(work, environment, selection)
    values = {"before": before, "before_endpoint": before_endpoint, "most": span.limit + 1, **found.values}
    ended = [int(state) for state in selection.states if state is not State.PENDING]
    listed: list[Row] = []
    if not selection.states or State.PENDING in selection.states:
        listed += work.listed("deliveries_pending", found.all, oldest_first=span.oldest_first, **values)
    if ended or not selection.states:
        within = [f"x.state in ({', '.join(map(str, ended))})"] if ended else []
        listed += work.listed("deliveries_ended", found.all + within, oldest_first=span.oldest_first, **values)
    listed.sort(key=lambda row: (row[-2], row[-1]), reverse=not span.oldest_first)
    return page_of(listed[: span.limit + 1], span, rows.delivery_of, 2)


def attempts(work: Work, environment: str, which: Which, span: Span) -> Page[Attempt]:
    """List attempts, the one recorded last first."""
    (before,) = span.before(1)
    selection = which.selection
    found = filter_of(work, environment, replace(selection, status_class=None))
    conditions = [*found.all, *of_attempts(found, which)]
    query = "attempts"
    if selection.customer is not None and selection.endpoint_id is None and selection.message_id is None:
        query = "attempts_of_customer"
    listed = work.listed(
        query, conditions, oldest_first=span.oldest_first, before=before, most=span.limit + 1, **found.values
    )
    return page_of(listed, span, rows.attempt_of)


def of_attempts(found: Filter, which: Which) -> list[str]:
    """Return the conditions on attempts themselves."""
    conditions = []
    if which.outcomes:
        conditions.append(f"x.outcome in ({', '.join(str(int(outcome)) for outcome in which.outcomes)})")
    if which.selection.states:
        conditions.append(state_condition(which.selection.states))
    if which.selection.status_class is not None:
        conditions.append("coalesce(x.status, 0) / 100 = :status_class")
        found.values["status_class"] = which.selection.status_class
    if which.started_since is not None:
        conditions.append("x.started_at >= :started_since")
        found.values["started_since"] = to_micros(which.started_since)
    if which.started_until is not None:
        conditions.append("x.started_at < :started_until")
        found.values["started_until"] = to_micros(which.started_until)
    return conditions


def state_condition(states: Sequence[State]) -> str:
    """Return the condition that an attempt's delivery is in one of these states."""
    numbers = ", ".join(str(int(state)) for state in states)
    state = "(select d.state from anzol_delivery d where d.message = x.message and d.endpoint = x.endpoint)"
    return f"coalesce({state}, {int(State.PENDING)}) in ({numbers})"
