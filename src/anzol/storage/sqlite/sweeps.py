"""Changes to many, page by page: a page, its place and its count are one transaction."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from anzol import ids
from anzol.clock import from_micros, to_micros
from anzol.errors import AnzolError, NotFound, StorageError
from anzol.lifecycle import SweepState
from anzol.model import OPERATIONAL, Page, Sweep
from anzol.storage import paging
from anzol.storage.auditing import write_detail
from anzol.storage.books import NewSweep
from anzol.storage.face import Progress
from anzol.storage.rows import sweep_of
from anzol.storage.sqlite.read import ENDLESS, customer_id_of, environment_number, read_cursor
from anzol.storage.sqlite.recovery import SCANNED, cancel, first_since, recover
from anzol.storage.sqlite.register import find_customer, find_endpoint, read_id, touch
from anzol.storage.sqlite.work import Work, encode, is_busy, note
from anzol.sweeps import (
    APP_STATS,
    CANCEL,
    COUNTS,
    REPLAY_MISSING,
    Counted,
    Running,
    Step,
    Subscribed,
    after_page,
    app_stats,
    begun,
    event_type_stats,
    failed,
    with_counts,
    with_subscribed,
)

log = logging.getLogger("anzol.storage")

MICRO: Final = timedelta(microseconds=1)
MESSAGES, ENDPOINTS = "m", "e"  # what a count goes through, as the first letter of its place
UNFORESEEN: Final = "Something went wrong that was not foreseen ({}); the log of the worker says more."


# --- begin, look, call off ------------------------------------------------------------------------------------------


def begin(work: Work, environment: str, sweep: NewSweep) -> Sweep:
    """Store a sweep, for workers to do."""
    scope = begun(sweep, from_micros(work.now))
    customer_id = whose(work, environment, sweep)
    number = ids.new(work.now)
    values = {"kind": sweep.kind, "customer_id": customer_id, "endpoint": sweep.endpoint_id, "actor": work.actor}
    work.run(
        "sweep_new",
        id=number,
        environment=work.environment(environment),
        scope=json.dumps(scope),
        now=work.now,
        **values,
    )
    detail = write_detail({"kind": sweep.kind, **scope})
    note(work, environment, "sweep.begun", ids.show(ids.SWEEP, number), customer_id, detail)
    work.nudging = True
    return show(work, environment, number)


def whose(work: Work, environment: str, sweep: NewSweep) -> bytes | None:
    """Return the id of the customer that a sweep is of, if it is of one.

    Raises:
        NotFound: there is no such customer, or it has no such endpoint.
    """
    customer_id = None
    if sweep.customer is not None:
        customer_id = bytes(find_customer(work, environment, sweep.customer)[0])
    if sweep.endpoint_id is None:
        return customer_id
    place = find_endpoint(work, environment, sweep.endpoint_id)
    if customer_id not in (None, place.customer_id):
        raise NotFound(f"{sweep.customer!r} has no endpoint {sweep.endpoint_id!r}.")
    return place.customer_id


def show(work: Work, environment: str, number: bytes) -> Sweep:
    """Return one by its bytes."""
    what = f"{ids.show(ids.SWEEP, number)} in {environment!r}"
    return sweep_of(work.the("sweep_row", what, id=number, environment=environment_number(work, environment)))


def sweep(work: Work, environment: str, sweep_id: str) -> Sweep:
    """Return one."""
    return show(work, environment, read_id(ids.SWEEP, sweep_id, "sweep"))


def sweeps(
    work: Work,
    environment: str,
    customer: str | None,
    state: SweepState | None,
    kind: str | None,
    after: str | None,
    limit: int,
    oldest_first: bool,
) -> Page[Sweep]:
    """List sweeps."""
    place = paging.read_number(after, oldest_first=oldest_first)
    values: dict[str, Any] = {"environment": environment_number(work, environment)}
    conditions = []
    if customer is not None:
        conditions.append("s.customer_id = :customer_id")
        values["customer_id"] = customer_id_of(work, environment, customer)
    if state is not None:
        conditions.append("s.state = :state")
        values["state"] = int(state)
    if kind is not None:
        conditions.append("s.kind = :kind")
        values["kind"] = kind
    rows = work.listed("sweeps", conditions, oldest_first=oldest_first, after=place, most=limit + 1, **values)
    return paging.page_of(rows, limit, sweep_of)


def call_off(work: Work, environment: str, sweep_id: str) -> Sweep:
    """Stop one that is running."""
    number = read_id(ids.SWEEP, sweep_id, "sweep")
    values = {"environment": environment_number(work, environment), "state": int(SweepState.CANCELLED)}
    if work.run("sweep_called_off", id=number, now=work.now, **values):
        note(work, environment, "sweep.called_off", sweep_id, work.the("sweep_owner", sweep_id, id=number)[0])
    return show(work, environment, number)


# --- one page -------------------------------------------------------------------------------------------------------


def any_running(work: Work) -> bool:
    """Say whether any sweep is to be carried on."""
    return work.one("sweeps_running") is not None


def advance(work: Work, me: int, limit: int, term: timedelta) -> bool:
    """Do one page of the sweep that has waited longest; return whether there was one."""
    values = {"me": me, "now": work.now, "term": term // MICRO}
    row = work.one("sweep_next", **values)
    if row is None:
        return False
    seq, environment, kind, customer, gone, endpoint_id, scope, place, result = row
    sweep = Running(environment, kind, customer, endpoint_id, json.loads(scope), place, json.loads(result))
    step = failed(sweep, "The customer was deleted.") if gone else attempt(work, sweep, limit)
    work.run(
        "sweep_moved",
        seq=seq,
        place=step.place,
        changed=step.changed,
        result=json.dumps(step.result),
        state=int(step.state),
        error=step.error,
        **values,
    )
    return True


def attempt(work: Work, sweep: Running, limit: int) -> Step:
    """Do a page; one that can never be done takes nothing with it, and ends the sweep."""
    work.connection.execute("savepoint page")
    try:
        step = page(work, sweep, limit)
    except Exception as error:
        if passing(error):
            raise
        work.connection.execute("rollback to page")
        work.forget_numbers()
        work.connection.execute("release page")
        if isinstance(error, AnzolError):
            return failed(sweep, str(error))
        log.exception("A page of a sweep (%s) failed.", sweep.kind)
        return failed(sweep, UNFORESEEN.format(type(error).__name__))
    work.connection.execute("release page")
    return step


def passing(error: Exception) -> bool:
    """Say whether the same page may succeed when it is tried again."""
    # A database that is full, or cannot be written, is another's affair too: housekeeping says so, and tries again.
    return is_busy(error) or isinstance(error, StorageError | sqlite3.OperationalError)


def page(work: Work, sweep: Running, limit: int) -> Step:
    """Do one page of what a sweep does."""
    if sweep.kind in COUNTS:
        return count(work, sweep, limit)
    if sweep.kind == REPLAY_MISSING:
        return after_page(sweep, replay_missing(work, sweep, limit))
    change = cancel if sweep.kind == CANCEL else recover
    return after_page(sweep, change(work, sweep.environment, sweep.selection, sweep.place, limit))


def replay_missing(work: Work, sweep: Running, limit: int) -> Progress:
    """Make deliveries that an endpoint wants and never had, of one page of its customer's messages."""
    assert sweep.endpoint_id is not None
    endpoint = find_endpoint(work, sweep.environment, sweep.endpoint_id).seq
    after, span = bounds(work, sweep, sweep.place)
    scanned = work.all("missing_page", endpoint=endpoint, after=after, most=limit * SCANNED, **span)
    chosen = [row for row in scanned if row[-1]][:limit]
    make_missing(work, endpoint, chosen)
    if len(chosen) == limit:
        return Progress(limit, str(chosen[-1][0]))
    return Progress(len(chosen), str(scanned[-1][0]) if len(scanned) == limit * SCANNED else None)


def make_missing(work: Work, endpoint: int, chosen: Sequence[Any]) -> None:
    """Make pending deliveries of messages (number, when it is to be delivered), due now or then."""
    if not chosen:
        return
    first = work.number("anzol_pending", len(chosen))
    rows = [
        (first + offset, endpoint, message, max(work.now, deliver_at or 0), 0, 1)
        for offset, (message, deliver_at, _) in enumerate(chosen)
    ]
    work.insert("pending_resend", rows)
    work.run("pending_judge", pending=encode([row[0] for row in rows]))
    work.run("messages_wanted", messages=encode([row[2] for row in rows]))
    for _, _, message, *_ in rows:
        work.run("outbox_resent", message=message)
    touch(work, [endpoint])


def bounds(work: Work, sweep: Running, place: str | None) -> tuple[int, dict[str, int]]:
    """Return behind which number a page begins, and the times that bound the messages."""
    since, until = (None if when is None else to_micros(when) for when in sweep.span)
    (after,) = read_cursor(place, 1, start=0)
    if place is None and since is not None:
        after = first_since(work, since)
    return after, {"since": since or 0, "until": ENDLESS if until is None else until}


# --- counting -------------------------------------------------------------------------------------------------------


def count(work: Work, sweep: Running, limit: int) -> Step:
    """Count one page: of messages, or of endpoints after the last of them."""
    part, at = (sweep.place or MESSAGES)[:1], (sweep.place or "")[1:] or None
    most, environment = limit * SCANNED, environment_number(work, sweep.environment)
    if part == ENDPOINTS:
        return count_endpoints(work, sweep, environment, read_cursor(at, 1)[0], most)
    after, span = bounds(work, sweep, at)
    uids = sweep.scope.get("customers")
    asked = None
    if uids:
        asked = [row[0] for row in work.all("customers_of_uids", environment=environment, uids=encode(uids))]
    values = {"environment": environment, "operational": OPERATIONAL, "after": after, "most": most, **span}
    given = None if asked is None else encode(asked)
    last, size, found = work.the("messages_counted", "page", customers=given, **values)
    counts = [Counted(*one) for one in json.loads(found or "[]")]
    result = with_counts(sweep, counts)
    changed = sum(one.messages for one in counts)
    if size == most:
        return Step(changed, f"{MESSAGES}{last}", result)
    if sweep.kind == APP_STATS:
        named = encode([*result["apps"]] if asked is None else asked)
        uid_of = {row[0]: row[1] for row in work.all("customers_named", environment=environment, customers=named)}
        return Step(changed, None, app_stats(result, uid_of), SweepState.FINISHED)
    return Step(changed, f"{ENDPOINTS}0", result)


def count_endpoints(work: Work, sweep: Running, environment: int, after: int, most: int) -> Step:
    """Take in what one page of endpoints is subscribed to."""
    operational = ids.derive(sweep.environment, OPERATIONAL)
    values = {"environment": environment, "operational": operational, "after": after, "most": most}
    rows = work.all("subscribed_page", **values)
    counting = [Subscribed(row[1], tuple(json.loads(row[2]))) for row in rows if row[3]]
    result = with_subscribed(sweep, counting)
    if len(rows) == most:
        return Step(0, f"{ENDPOINTS}{rows[-1][0]}", result)
    return Step(0, None, event_type_stats(result), SweepState.FINISHED)
