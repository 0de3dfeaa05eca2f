"""Holding back, taking back, sending again: pause, resume, cancel, resend, recover.

Rules are changed behind the gate, alone, and whoever judges a delivery by them is through it too, with others. So what
is made pending after a rule's commit is judged by it. What was pending before is judged anew in pages, each short,
which `judging` remembers until the last: a million rows in one statement would stop everybody for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from anzol.errors import Conflict, NotFound
from anzol.lifecycle import Cause, State, ends
from anzol.model import Delivery, PauseRule
from anzol.storage import paging
from anzol.storage.auditing import narrowest, write_detail
from anzol.storage.face import Progress, Selection
from anzol.storage.postgres.lists import deliveries_of, filter_of, in_states
from anzol.storage.postgres.read import endpoint_key, message_key, read_cursor, write_cursor
from anzol.storage.postgres.register import hold_endpoint, keep_customer, look, touch
from anzol.storage.postgres.search import FIRST, LAST
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work, note
from anzol.storage.rows import rule_of

if TYPE_CHECKING:
    from asyncpg import Record

SCANNED: Final = 10  # rows looked at for each that a page may change
MISJUDGED: Final = (
    "m.event_type = :event_type",
    """x.paused <> exists (
       select 1 from anzol.pause_rule r
        where r.environment = m.environment and r.event_type = m.event_type
          and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint_id, e.id) = e.id)""",
)


# --- pause and resume


@dataclass(frozen=True, slots=True)
class Scope:
    """What a pause rule names; None: any."""

    environment: str
    customer_id: bytes | None
    event_type: str | None
    endpoint: bytes | None

    def values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def of_endpoints(self) -> list[str]:
        """The conditions on ``e`` (endpoint)."""
        conditions = []
        if self.customer_id is not None:
            conditions.append("e.customer_id = :customer_id")
        if self.endpoint is not None:
            conditions.append("e.id = :endpoint")
        return conditions


async def scope_of(
    work: Work, environment: str, customer: str | None, event_type: str | None, endpoint_id: str | None
) -> Scope:
    """Return what is named; its customer and its endpoint are there until this transaction has ended."""
    endpoint = None if endpoint_id is None else (await hold_endpoint(work, environment, endpoint_id)).id
    customer_id = None if customer is None else await keep_customer(work, environment, customer)
    return Scope(environment, customer_id, event_type, endpoint)


async def pause(
    work: Work, environment: str, customer: str | None, event_type: str | None, endpoint_id: str | None, actor: str
) -> tuple[PauseRule, int | None]:
    """Hold back: whole lanes by a flag of theirs, an event type by a flag of its pending rows.

    Returns:
        The rule; and by what number `judge` does the rest, if there is any.
    """
    refuse_nul(customer=customer, event_type=event_type, actor=actor)
    await work.one("gate")
    scope = await scope_of(work, environment, customer, event_type, endpoint_id)
    number = (await work.the("pause_rule_new", "rule", **scope.values(), actor=actor))[0]
    judging = await apply(work, scope)
    await note_rule(work, scope, "deliveries.paused", customer, endpoint_id)
    return rule_of(await work.the("pause_rule", "rule", id=number)), judging


async def resume(
    work: Work, environment: str, customer: str | None, event_type: str | None, endpoint_id: str | None
) -> tuple[int, int | None]:
    """Take back rules; what no other rule holds back is due.

    Returns:
        How many rules; and by what number `judge` does the rest, if there is any.
    """
    refuse_nul(customer=customer, event_type=event_type)
    await work.one("gate")
    if customer is not None and not await work.one("customer", environment=environment, uid=customer):
        return 0, None
    scope = await scope_of(work, environment, customer, event_type, endpoint_id)
    gone = await work.run("pause_rules_gone", **scope.values())
    if not gone:
        return 0, None
    await note_rule(work, scope, "deliveries.resumed", customer, endpoint_id)
    return gone, await apply(work, scope)


async def note_rule(work: Work, scope: Scope, action: str, customer: str | None, endpoint_id: str | None) -> None:
    """Write down who holds back, or no longer."""
    detail = write_detail({"customer": customer, "event_type": scope.event_type, "endpoint": endpoint_id})
    object_id = narrowest(scope.environment, endpoint_id, customer)
    owner = scope.customer_id
    if owner is None and scope.endpoint is not None:
        owner = (await work.the("owner_of_endpoint", "endpoint", id=scope.endpoint))[0]
    await note(work, scope.environment, action, object_id, owner, detail)


async def apply(work: Work, scope: Scope) -> int | None:
    """Park or free the lanes in scope by the rules as they are now; or, of an event type, begin to judge anew."""
    if scope.event_type is not None:
        return int((await work.the("judging_new", "number", **scope.values()))[0])
    lanes = await work.listed("lanes_in_scope", scope.of_endpoints, **scope.values())
    changed = await work.all("lanes_pause", lanes=[lane for (lane,) in lanes])
    work.holders.update(holder for _, holder, _ in changed if holder is not None)
    await look(work, [lane for lane, holder, parked in changed if holder is None and not parked])
    return None


async def pause_rules(work: Work, environment: str) -> tuple[PauseRule, ...]:
    """Return the rules in force, the oldest first."""
    return tuple([rule_of(row) for row in await work.all("pause_rules", environment=environment)])


async def judge(work: Work, number: int, limit: int) -> int:
    """Judge one page of pending deliveries anew; return how many were looked at (0: it is done)."""
    await work.one("gate_shared")
    row = await work.one("judging", id=number)
    if row is None:
        return 0  # another process has done it
    _, environment, customer_id, event_type, endpoint, after_endpoint, after = row
    scope = Scope(environment, customer_id, event_type, endpoint)
    values = {"after_endpoint": after_endpoint, "after": after, "most": limit, **scope.values()}
    page = await work.listed(page_in(scope), MISJUDGED, **values)
    changed = await work.column("pending_judged", pending=[number for number, _, wrong in page if wrong])
    await touch(work, set(changed))
    if len(page) < limit:
        await work.run("judging_done", id=number)
        return 0
    await work.run("judging_moved", id=number, pending=page[-1][0], endpoint=page[-1][1])
    return len(page)


def page_in(scope: Scope) -> str:
    """Return the query for pages of pending rows in scope."""
    if scope.endpoint is not None:
        return "pending_page_of_endpoint"
    return "pending_page" if scope.customer_id is None else "pending_page_of_customer"


async def judge_what_is_left(work: Work, limit: int) -> int:
    """Judge a page of what a process that died, or lost the database, has left unjudged."""
    row = await work.one("judging_left")
    return 0 if row is None else await judge(work, row[0], limit)


# --- cancel


async def cancel(work: Work, environment: str, selection: Selection, after: str | None, limit: int) -> Progress:
    """Cancel one page of pending deliveries."""
    after_endpoint, after_pending = read_pending_cursor(after)
    if selection.states and State.PENDING not in selection.states:
        return Progress(0, None)
    found = await filter_of(work, environment, selection)
    values = {"after_endpoint": after_endpoint, "after": after_pending, "most": limit * SCANNED, **found.values}
    page = await work.listed(pending_query(selection), [*found.conditions, "x.holder is null"], **values)
    chosen, last = choose(page, limit)
    withdrawn = await withdraw(work, [row[0] for row in chosen], Cause.WITHDRAWN)
    await touch(work, set(withdrawn))
    more = last is not None and (len(page) == limit * SCANNED or last is not page[-1])
    return Progress(len(withdrawn), f"{write_cursor(last[1])}.{last[0]}" if more and last is not None else None)


def pending_query(selection: Selection) -> str:
    """Return the query for pages of pending rows that may be selected."""
    if selection.message_id is not None:
        return "pending_page_of_message"
    if selection.endpoint_id is not None:
        return "pending_page_of_endpoint"
    return "pending_page" if selection.customer is None else "pending_page_of_customer"


def read_pending_cursor(after: str | None) -> tuple[bytes, int]:
    """Read the cursor of pages of pending rows: an endpoint and a number.

    Raises:
        InvalidValue: it is none of ours.
    """
    if after is None:
        return FIRST, 0
    endpoint, _, number = after.partition(".")
    return read_cursor(endpoint, 1)[0], paging.read_number(number, oldest_first=True)


def choose(page: Sequence[Record], limit: int) -> tuple[list[Record], Record | None]:
    """Return the rows of a page that are meant, *limit* of them at most, and the last one that was looked at."""
    chosen = []
    for row in page:
        if row[-1]:
            chosen.append(row)
        if len(chosen) == limit:
            return chosen, row
    return chosen, page[-1] if page else None


async def withdraw(work: Work, pending: Sequence[int], cause: Cause) -> list[bytes]:
    """Move pending deliveries that nobody holds to the history, without an attempt; return the endpoint of each."""
    if not pending:
        return []
    values = {"state": int(ends(cause)), "cause": int(cause)}
    return await work.column("pending_to_history", pending=list(pending), **values)


# --- resend and recover


async def resend(work: Work, environment: str, message_id: str, endpoint_id: str) -> Delivery:
    """Make one delivery due now."""
    await work.one("gate_shared")
    message = await message_key(work, environment, message_id)
    endpoint = await endpoint_key(work, environment, endpoint_id)
    await mark_resent(work, message)
    row = await work.one("resendable", message=message, endpoint=endpoint)
    if row is None:
        raise NotFound(f"The message {message_id} is not for the customer of {endpoint_id}.")
    erased, deleted = row
    if erased:
        raise Conflict(f"The body of {message_id} was erased.", do="Send a new message.")
    if deleted:
        raise Conflict(f"The endpoint {endpoint_id} is deleted.")
    await make_due(work, message, endpoint)
    await touch(work, [endpoint])
    owner = (await work.the("owner_of_endpoint", "endpoint", id=endpoint))[0]
    detail = write_detail({"endpoint": endpoint_id})
    await note(work, environment, "delivery.resent", message_id, owner, detail)
    (found,) = await deliveries_of(work, [(message, endpoint)])
    return found


async def mark_resent(work: Work, message: bytes) -> None:
    """Have fan-out look whether a delivery is there already, before it makes one of this message."""
    while True:
        await work.run("outbox_resent", message=message)
        # Fan-out, waited for, may have put the message to the tail with a new row.
        if await work.one("outbox_unresent", message=message) is None:
            return


async def make_due(work: Work, message: bytes, endpoint: bytes) -> None:
    """Make a delivery pending; one that is pending and waits, due."""
    while True:
        row = await work.one("pending_of", message=message, endpoint=endpoint)
        if row is not None:
            await work.run("pending_hurry", id=row[0])
            return
        if await put_back(work, [(message, endpoint)], fresh=True):
            return
        # Somebody else has just done the same.


async def put_back(work: Work, ended: Sequence[tuple[bytes, bytes]], *, fresh: bool = False) -> list[bytes]:
    """Make ended deliveries (message, endpoint) pending and due; return the endpoints of those that were.

    Args:
        fresh: Make also those that never were.
    """
    if not ended:
        return []
    again = await work.all(
        "pending_again",
        messages=[message for message, _ in ended],
        endpoints=[endpoint for _, endpoint in ended],
        fresh=fresh,
    )
    await work.run("messages_wanted", messages=sorted({message for _, message in again}))
    return [endpoint for endpoint, _ in again]


async def recover(work: Work, environment: str, selection: Selection, after: str | None, limit: int) -> Progress:
    """Resend one page of deliveries that have ended, in the messages' order."""
    place = read_cursor(after, 2)
    states = [state for state in selection.states if state is not State.PENDING]
    if selection.states and not states:
        return Progress(0, None)
    await work.one("gate_shared")
    found = await filter_of(work, environment, selection)
    begin, begin_endpoint = (found.first, FIRST) if after is None else place
    values: dict[str, Any] = {"after": begin, "after_endpoint": begin_endpoint, "through": found.last}
    conditions = [*found.conditions, in_states(states)] if states else found.conditions
    page = await work.listed(ended_query(selection), conditions, most=limit * SCANNED, **values, **found.values)
    chosen, last = choose(page, limit)
    kept = set(await work.column("messages_kept", messages=sorted({row[0] for row in chosen})))
    again = await put_back(work, [(row[0], row[1]) for row in chosen if row[0] in kept])
    await touch(work, set(again))
    more = last is not None and (len(page) == limit * SCANNED or last is not page[-1])
    return Progress(len(again), write_cursor(last[0], last[1] or LAST) if more and last is not None else None)


def ended_query(selection: Selection) -> str:
    """Return the query for pages of deliveries that have ended and may be selected."""
    if selection.message_id is not None:
        return "ended_page"
    if selection.endpoint_id is not None:
        return "ended_page_of_endpoint"
    return "ended_page" if selection.customer is None else "ended_page_of_customer"
