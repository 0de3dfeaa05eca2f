"""How many deliveries, or attempts, stand how."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from anzol import ids
from anzol.clock import to_micros
from anzol.model import Tally
from anzol.storage.face import Selection
from anzol.storage.sqlite.read import endpoint_seq, filter_of
from anzol.storage.sqlite.work import Row, Work

EARLIER: Final = 3_600_000_000  # microseconds by which a message's id may be older, or newer, than its acceptance


def deliveries(work: Work, environment: str, selection: Selection, since: datetime, until: datetime) -> Tally:
    """Count deliveries of an endpoint, a customer or an environment, of messages of a time."""
    found = filter_of(work, environment, selection)
    values: dict[str, Any] = {**found.values, **bounds(since, until)}
    conditions = [*found.all, "m.created_at >= :since", "m.created_at < :until"]

    def counted(query: str) -> Row:
        return work.listed(f"{query}{way_of(selection)}", conditions, **values)[0]

    success, fail, cancelled = counted("tally_ended")
    pending, sending = counted("tally_pending")
    return Tally(success=success, pending=pending, sending=sending, fail=fail, cancelled=cancelled)


def bounds(since: datetime, until: datetime) -> dict[str, Any]:
    """Return a time, and the least and the greatest id of what was accepted within it."""
    first, last = to_micros(since), to_micros(until)
    return {
        "since": first,
        "until": last,
        "first": ids.first_at(max(0, first - EARLIER)),
        "last": ids.first_at(max(0, last + EARLIER)),
    }


def way_of(selection: Selection) -> str:
    """Return which index leads to the deliveries, as the end of a query's name."""
    if selection.endpoint_id is not None:
        return "_of_endpoint"
    return "" if selection.customer is None else "_of_customer"


def attempts(work: Work, environment: str, endpoint_id: str, since: datetime, until: datetime) -> Tally:
    """Count the attempts of an endpoint that were started within a time."""
    endpoint = endpoint_seq(work, environment, endpoint_id)
    times = {"since": to_micros(since), "until": to_micros(until)}
    success, fail = work.the("tally_attempts", "attempts", endpoint=endpoint, **times)
    return Tally(success=success, fail=fail)
