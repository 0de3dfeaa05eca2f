"""How many deliveries, or attempts, stand how."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from anzol.clock import to_micros
from anzol.model import Tally
from anzol.storage.face import Selection
from anzol.storage.sqlite import within
from anzol.storage.sqlite.read import endpoint_seq, filter_of
from anzol.storage.sqlite.work import Row, Work


def deliveries(work: Work, environment: str, selection: Selection, since: datetime, until: datetime) -> Tally:
    """Count deliveries of an endpoint, a customer or an environment, of messages of a time."""
    found = filter_of(work, environment, replace(selection, since=since, until=until))
    values = {**found.values, **bounds(work, selection, since, until)}

    def counted(query: str) -> Row:
        return work.listed(f"{query}{way_of(selection)}", found.all, **values)[0]

    success, fail, cancelled = counted("tally_ended")
    pending, sending = counted("tally_pending")
    return Tally(success=success, pending=pending, sending=sending, fail=fail, cancelled=cancelled)


def bounds(work: Work, selection: Selection, since: datetime, until: datetime) -> dict[str, Any]:
    """Return what bounds the messages of a time: their ids, or the numbers of those among a few."""
    if selection.customer is None and selection.endpoint_id is None:
        return dict(zip(("first", "last"), within.first_and_last(since, until), strict=True))
    return dict(zip(("least", "greatest"), within.messages(work, since, until), strict=True))


def way_of(selection: Selection) -> str:
    """Return which index leads to the deliveries, as the end of a query's name."""
    if selection.endpoint_id is not None:
        return "_of_endpoint"
    return "" if selection.customer is None else "_of_customer"


def attempts(work: Work, environment: str, endpoint_id: str, since: datetime, until: datetime) -> Tally:
    """Count the attempts of an endpoint that were started within a time."""
    endpoint = endpoint_seq(work, environment, endpoint_id)
    least, greatest = within.attempts(work, since, until)
    times = {"since": to_micros(since), "until": to_micros(until), "least": least, "greatest": greatest}
    success, fail = work.the("tally_attempts", "attempts", endpoint=endpoint, **times)
    return Tally(success=success, fail=fail)
