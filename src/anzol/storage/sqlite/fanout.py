"""Turning messages into their deliveries: SQL finds who wants which, `Placing` decides what happens to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from anzol.storage.backlogs import Backlogs
from anzol.storage.face import Order
from anzol.storage.placing import Match, Placing
from anzol.storage.sqlite.backlog import bound
from anzol.storage.sqlite.work import Work, encode

PAGE: Final = 1000  # endpoints that one outbox row is expanded to in one round
ROUND: Final = 2000  # endpoints looked at in one round


@dataclass(slots=True)
class Taken:
    """An outbox row of this round. ``known``: its customer has a row."""

    id: int
    message: int
    customer_id: str
    cursor: int
    known: int


def take_outbox(work: Work, limit: int, after: bytes) -> tuple[list[Taken], bytes]:
    """Return the outbox rows to expand now, and the customer to go on after next time.

    While there are more than *limit*, customers take turns.
    """
    rows = work.gathered("outbox_first", limit=limit + 1)
    if len(rows) <= limit:
        return [Taken(*row) for row in rows], after
    customers = [bytes.fromhex(shown) for shown in work.gathered("outbox_customers", after=after, limit=limit)]
    if len(customers) < limit:  # round: from the first one on
        around = [bytes.fromhex(shown) for shown in work.gathered("outbox_customers", after=b"", limit=limit)]
        customers += [one for one in around if one not in customers][: limit - len(customers)]
    each = max(1, limit // len(customers))
    rows = work.gathered_for("outbox_of_customers", [(one,) for one in customers], each)
    return [Taken(*row) for row in sorted(rows)][:limit], customers[-1]


def within_budget(work: Work, taken: Sequence[Taken]) -> tuple[list[Taken], set[int]]:
    """Return the rows that this round can expand, and which of them only in part."""
    pages = sorted({(bytes.fromhex(row.customer_id), row.cursor) for row in taken})
    counts = {(shown, cursor): count for shown, cursor, count in work.gathered_for("endpoints_ahead", pages, PAGE + 1)}
    chosen: list[Taken] = []
    partly: set[int] = set()
    left = ROUND
    for row in taken:
        count = counts.get((row.customer_id, row.cursor), 0)
        if chosen and count > left:
            break
        left -= min(count, PAGE)
        chosen.append(row)
        if count > PAGE:
            partly.add(row.id)
    return chosen, partly


def fan_out(
    work: Work, me: int, order: Order, rooms: dict[int, int], take: int, after: bytes, backlogs: Backlogs[int]
) -> tuple[Placing[int], int, bytes]:
    """Expand outbox rows into pending rows; return what was decided, how many rows, and the next customer's turn."""
    placing = Placing(me, work.now, rooms, take if order.idle_lanes else 0, order.new_room)
    taken, after = take_outbox(work, order.fan_out, after)
    if not taken:
        return placing, 0, after
    chosen, partly = within_budget(work, taken)
    ids = encode([row.id for row in chosen])
    make_customers(work, chosen)
    matches = [Match(*row) for row in sorted(work.gathered("matches", outbox=ids, page=PAGE, now=work.now))]
    for match in bound(work, backlogs, matches, order.backlog):
        placing.place(match)
    write(work, placing)
    forget_unwanted(work, chosen, matches, partly)
    move_on(work, chosen, partly)
    return placing, len(chosen), after


def make_customers(work: Work, chosen: Sequence[Taken]) -> None:
    """Make the rows of customers that are new, or were deleted and are here again."""
    unknown = [row.message for row in chosen if not row.known]
    if unknown:
        work.run("customers_revived", messages=encode(unknown), now=work.now)
        work.run("customers_of_messages", messages=encode(unknown), now=work.now)


def write(work: Work, placing: Placing[int]) -> None:
    """Store pending rows and what changed of the lanes."""
    first = work.number("anzol_pending", len(placing.rows)) if placing.rows else 0
    work.insert("pending_new", [(first + offset, *row) for offset, row in enumerate(placing.rows)])
    if placing.taken:
        work.run("lanes_hold", me=placing.me, lanes=encode(placing.taken))
    if placing.touched:
        work.run("lanes_touch", lanes=encode(list(placing.touched.items())))


def forget_unwanted(work: Work, chosen: Sequence[Taken], matches: Sequence[Match[int]], partly: set[int]) -> None:
    """Mark messages that nobody gets: they are kept for a shorter time."""
    wanted = {match.outbox for match in matches}
    nobody = [row.message for row in chosen if row.id not in wanted and row.id not in partly and not row.cursor]
    if nobody:
        work.run("messages_unwanted", messages=encode(nobody))


def move_on(work: Work, chosen: Sequence[Taken], partly: set[int]) -> None:
    """Take away outbox rows that are done; put those with more endpoints ahead at the tail."""
    for row in chosen:
        if row.id in partly:
            work.run("outbox_tail", id=row.id, new=work.number("anzol_accepted"), page=PAGE)
    work.run("outbox_done", outbox=encode([row.id for row in chosen]))


def claimed_rows(placing: Placing[int], first: int) -> list[Any]:
    """Return (id, endpoint, message, due_at) of the rows that were claimed as they were made."""
    return [
        (first + offset, endpoint, message, due_at)
        for offset, (endpoint, message, due_at, _, holder) in enumerate(placing.rows)
        if holder is not None
    ]
