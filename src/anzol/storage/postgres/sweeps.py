"""Changes to many, page by page: a page, its place and its count are one transaction, under a lock of its row."""

from __future__ import annotations

import json
import logging
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
from anzol.storage.postgres.connections import clashed, explained, lost
from anzol.storage.postgres.lists import EARLIER
from anzol.storage.postgres.read import customer_id_of, read_cursor, write_cursor
from anzol.storage.postgres.recovery import SCANNED, cancel, choose, mark_resent, recover
from anzol.storage.postgres.register import find_customer, find_endpoint, read_id, touch
from anzol.storage.postgres.search import FIRST, LAST
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work, note
from anzol.storage.rows import sweep_of
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


async def begin(work: Work, environment: str, sweep: NewSweep) -> Sweep:
    """Store a sweep, for workers to do."""
    refuse_nul(customer=sweep.customer, scope=list(texts_in(sweep.scope)))
    now = await work.time()
    scope = begun(sweep, from_micros(now))
    customer_id = await whose(work, environment, sweep)
    number = ids.new(now)
    values = {"kind": sweep.kind, "customer_id": customer_id, "endpoint": sweep.endpoint_id, "actor": work.actor}
    await work.run("sweep_new", id=number, environment=environment, scope=json.dumps(scope), **values)
    detail = write_detail({"kind": sweep.kind, **scope})
    await note(work, environment, "sweep.begun", ids.show(ids.SWEEP, number), customer_id, detail)
    work.nudging = True
    return await show(work, environment, number)


def texts_in(scope: Any) -> list[str]:
    """Return every text of a scope."""
    if isinstance(scope, dict):
        return [text for value in scope.values() for text in texts_in(value)]
    if isinstance(scope, list | tuple):
        return [text for value in scope for text in texts_in(value)]
    return [scope] if isinstance(scope, str) else []


async def whose(work: Work, environment: str, sweep: NewSweep) -> bytes | None:
    """Return the id of the customer that a sweep is of, if it is of one.

    Raises:
        NotFound: there is no such customer, or it has no such endpoint.
    """
    customer_id = None
    if sweep.customer is not None:
        customer_id = bytes((await find_customer(work, environment, sweep.customer))[0])
    if sweep.endpoint_id is None:
        return customer_id
    place = await find_endpoint(work, environment, sweep.endpoint_id)
    if customer_id not in (None, place.customer_id):
        raise NotFound(f"{sweep.customer!r} has no endpoint {sweep.endpoint_id!r}.")
    return place.customer_id


async def show(work: Work, environment: str, number: bytes) -> Sweep:
    """Return one by its bytes."""
    shown = ids.show(ids.SWEEP, number)
    return sweep_of(await work.the("sweep_row", f"{shown} in {environment!r}", id=number, environment=environment))


async def sweep(work: Work, environment: str, sweep_id: str) -> Sweep:
    """Return one."""
    return await show(work, environment, read_id(ids.SWEEP, sweep_id, "sweep"))


async def sweeps(
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
    refuse_nul(customer=customer, kind=kind)
    place = paging.read_number(after, oldest_first=oldest_first)
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if customer is not None:
        conditions.append("s.customer_id = :customer_id")
        values["customer_id"] = await customer_id_of(work, environment, customer)
    if state is not None:
        conditions.append("s.state = :state")
        values["state"] = int(state)
    if kind is not None:
        conditions.append("s.kind = :kind")
        values["kind"] = kind
    values |= {"environment": environment, "after": place, "most": limit + 1}
    rows = await work.listed("sweeps", conditions, oldest_first=oldest_first, **values)
    return paging.page_of(rows, limit, sweep_of)


async def call_off(work: Work, environment: str, sweep_id: str) -> Sweep:
    """Stop one that is running."""
    number = read_id(ids.SWEEP, sweep_id, "sweep")
    if await work.run("sweep_called_off", id=number, environment=environment, state=int(SweepState.CANCELLED)):
        row = await work.the("sweep_owner", sweep_id, id=number)
        await note(work, environment, "sweep.called_off", sweep_id, row[0])
    return await show(work, environment, number)


# --- one page -------------------------------------------------------------------------------------------------------


async def advance(work: Work, me: int, limit: int, term: timedelta) -> bool:
    """Do one page of the sweep that has waited longest; return whether there was one."""
    held = term // MICRO
    row = await work.one("sweep_next", me=me, term=held)
    if row is None:
        return False
    number, environment, kind, customer, gone, endpoint_id, scope, place, result = row
    sweep = Running(environment, kind, customer, endpoint_id, json.loads(scope), place, json.loads(result))
    step = failed(sweep, "The customer was deleted.") if gone else await attempt(work, sweep, limit)
    await work.run(
        "sweep_moved",
        id=number,
        me=me,
        term=held,
        place=step.place,
        changed=step.changed,
        result=json.dumps(step.result),
        state=int(step.state),
        error=step.error,
    )
    return True


async def attempt(work: Work, sweep: Running, limit: int) -> Step:
    """Do a page; one that can never be done takes nothing with it, and ends the sweep."""
    await work.connection.execute("savepoint page")
    try:
        return await page(work, sweep, limit)
    except Exception as error:
        if passing(error):
            raise
        await work.connection.execute("rollback to savepoint page")
        if isinstance(error, AnzolError):
            return failed(sweep, str(error))
        log.exception("A page of a sweep (%s) failed.", sweep.kind)
        return failed(sweep, UNFORESEEN.format(type(error).__name__))


def passing(error: Exception) -> bool:
    """Say whether the same page may succeed when it is tried again."""
    from asyncpg import InterfaceError
    from asyncpg import exceptions as server

    crowded = server.LockNotAvailableError | server.QueryCanceledError | server.InsufficientResourcesError
    if clashed(error) or lost(error) or isinstance(error, crowded | InterfaceError):
        return True
    return isinstance(error, StorageError) and explained(error) is error


async def page(work: Work, sweep: Running, limit: int) -> Step:
    """Do one page of what a sweep does."""
    if sweep.kind in COUNTS:
        return await count(work, sweep, limit)
    if sweep.kind == REPLAY_MISSING:
        return after_page(sweep, await replay_missing(work, sweep, limit))
    change = cancel if sweep.kind == CANCEL else recover
    return after_page(sweep, await change(work, sweep.environment, sweep.selection, sweep.place, limit))


async def replay_missing(work: Work, sweep: Running, limit: int) -> Progress:
    """Make deliveries that an endpoint wants and never had, of one page of its customer's messages."""
    assert sweep.endpoint_id is not None
    await work.one("gate_shared")
    endpoint = (await find_endpoint(work, sweep.environment, sweep.endpoint_id)).id
    after, through, span = bounds(sweep, sweep.place)
    values = {"after": after, "through": through, "most": limit * SCANNED, **span}
    found = await work.all("missing_page", endpoint=endpoint, **values)
    chosen, last = choose(found, limit)
    for message, waiting, _ in chosen:
        if waiting:
            await mark_resent(work, message)
    made = await make_missing(work, endpoint, [row[0] for row in chosen])
    more = last is not None and (len(found) == limit * SCANNED or last is not found[-1])
    return Progress(len(made), write_cursor(last[0]) if more and last is not None else None)


async def make_missing(work: Work, endpoint: bytes, messages: list[bytes]) -> list[bytes]:
    """Make pending deliveries of messages; return of which there was none."""
    if not messages:
        return []
    kept = set(await work.column("messages_kept", messages=messages))
    wanted = [message for message in messages if message in kept]
    made = await work.column("pending_missing", endpoint=endpoint, messages=wanted)
    await work.run("messages_wanted", messages=sorted(made))
    await touch(work, [endpoint] if made else [])
    return made


def bounds(sweep: Running, place: str | None) -> tuple[bytes, bytes, dict[str, int]]:
    """Return behind which id a page begins, which is the last, and the times that bound the messages."""
    since, until = (None if when is None else to_micros(when) for when in sweep.span)
    first = FIRST if since is None else ids.first_at(max(0, since - EARLIER))
    last = LAST if until is None else ids.first_at(max(0, until + EARLIER))
    (after,) = [first] if place is None else read_cursor(place, 1)
    return after, last, {"since": since or 0, "until": paging.ENDLESS if until is None else until}


# --- counting -------------------------------------------------------------------------------------------------------


async def count(work: Work, sweep: Running, limit: int) -> Step:
    """Count one page: of messages, or of endpoints after the last of them."""
    part, at = (sweep.place or MESSAGES)[:1], (sweep.place or "")[1:] or None
    if part == ENDPOINTS:
        return await count_endpoints(work, sweep, paging.read_number(at, oldest_first=True), limit * SCANNED)
    after, through, span = bounds(sweep, at)
    uids = sweep.scope.get("customers")
    asked = None if not uids else await work.column("customers_of_uids", environment=sweep.environment, uids=uids)
    values = {"environment": sweep.environment, "operational": OPERATIONAL, "customers": asked, **span}
    most = limit * SCANNED
    last, size, found = await work.the("messages_counted", "page", after=after, through=through, most=most, **values)
    counts = [Counted(*one) for one in json.loads(found or "[]")]
    result = with_counts(sweep, counts)
    changed = sum(one.messages for one in counts)
    if size == most:
        return Step(changed, MESSAGES + write_cursor(last), result)
    if sweep.kind == APP_STATS:
        return Step(changed, None, app_stats(result, await named(work, result, asked)), SweepState.FINISHED)
    return Step(changed, f"{ENDPOINTS}0", result)


async def named(work: Work, result: dict[str, Any], asked: list[bytes] | None) -> dict[str, str]:
    """Return the uids of the customers that were counted or asked for, by their ids in hexadecimal."""
    customers = [bytes.fromhex(one) for one in result["apps"]] if asked is None else asked
    return {row[0]: row[1] for row in await work.all("customers_named", customers=customers)}


async def count_endpoints(work: Work, sweep: Running, after: int, most: int) -> Step:
    """Take in what one page of endpoints is subscribed to."""
    operational = ids.derive(sweep.environment, OPERATIONAL)
    values = {"environment": sweep.environment, "operational": operational, "after": after, "most": most}
    rows = await work.all("subscribed_page", **values)
    counting = [Subscribed(row[1], tuple(json.loads(row[2]))) for row in rows if row[3]]
    result = with_subscribed(sweep, counting)
    if len(rows) == most:
        return Step(0, f"{ENDPOINTS}{rows[-1][0]}", result)
    return Step(0, None, event_type_stats(result), SweepState.FINISHED)
