"""How many deliveries, or attempts, stand how: the newest are counted, up to a bound, whatever else there is."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from anzol import ids
from anzol.clock import to_micros
from anzol.model import Tally
from anzol.storage.face import Selection
from anzol.storage.postgres.lists import Filter, filter_of
from anzol.storage.postgres.read import endpoint_key
from anzol.storage.postgres.work import Work

COUNTED: Final = 100_000  # deliveries, or attempts
# Microseconds that the clocks of senders and workers may be off; what lies in there and is not meant is looked at too.
OFF: Final = 60_000_000


async def deliveries(work: Work, environment: str, selection: Selection) -> Tally:
    """Count deliveries of an endpoint, a customer or an environment, of messages of a time."""
    assert selection.since is not None
    assert selection.until is not None
    found = await filter_of(work, environment, selection)
    values = {**found.values, **bounds(selection.since, selection.until)}
    row = (await work.listed(query_of(selection), conditions_of(found), most=COUNTED, **values))[0]
    pending, sending, success, fail, cancelled = row
    return Tally(success=success, pending=pending, sending=sending, fail=fail, cancelled=cancelled)


def query_of(selection: Selection) -> str:
    """Return the query that leads to the deliveries."""
    if selection.endpoint_id is not None:
        return "tally_of_endpoint"
    return "tally" if selection.customer is None else "tally_of_customer"


def conditions_of(found: Filter) -> list[str]:
    """Return what the query does not say by itself."""
    said = {"x.endpoint_id = :endpoint"}
    if found.selection.endpoint_id is None:
        said |= {"m.environment = :environment", "m.customer_id = :customer_id"}
    return [condition for condition in found.conditions if condition not in said]


async def attempts(work: Work, environment: str, endpoint_id: str, since: datetime, until: datetime) -> Tally:
    """Count the attempts of an endpoint that were started within a time."""
    endpoint = await endpoint_key(work, environment, endpoint_id)
    times = {"since": to_micros(since), "until": to_micros(until)}
    success, fail = await work.the(
        "tally_attempts", "attempts", endpoint=endpoint, most=COUNTED, **times, **bounds(since, until)
    )
    return Tally(success=success, fail=fail)


def bounds(since: datetime, until: datetime) -> dict[str, bytes]:
    """Return the least and the greatest id of what was made within a time."""
    return {
        "first": ids.first_at(max(0, to_micros(since) - OFF)),
        "last": ids.first_at(max(0, to_micros(until) + OFF)),
    }
