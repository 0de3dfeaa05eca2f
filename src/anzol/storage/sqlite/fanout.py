"""Turning messages into their deliveries: SQL finds who wants which, `Placing` decides what happens to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anzol.storage.backlogs import Backlogs
from anzol.storage.face import Order
from anzol.storage.pages import OVERDUE, PAGE, Ahead, Pages, longs, quick_first
from anzol.storage.placing import Match, Placing
from anzol.storage.sqlite.backlog import bound
from anzol.storage.sqlite.work import Work, encode


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


@dataclass(slots=True)
class Chosen:
    """The outbox rows of this round. ``partly`` are those that are expanded to a page, ``long`` let others before."""

    rows: list[Taken]
    partly: set[int]
    long: set[int]


def choose(work: Work, taken: Sequence[Taken], pages: Pages, *, crowded: bool) -> Chosen:
    """Return the rows that this round expands. *crowded*: lanes wait for their turn."""
    cursors = sorted({(bytes.fromhex(row.customer_id), row.cursor) for row in taken})
    counts = {
        (shown, cursor): count for shown, cursor, count in work.gathered_for("endpoints_ahead", cursors, PAGE + 1)
    }
    ahead = [Ahead(row.customer_id, counts.get((row.customer_id, row.cursor), 0)) for row in taken]
    chosen = pages.choose(ahead, now=work.now, crowded=crowded)
    partly = {taken[place].id for place in chosen if ahead[place].endpoints > PAGE}
    return Chosen([taken[place] for place in chosen], partly, {taken[place].id for place in longs(ahead)})


def fan_out(
    work: Work,
    me: int,
    order: Order,
    rooms: dict[int, int],
    take: int,
    after: bytes,
    pages: Pages,
    backlogs: Backlogs[int],
) -> tuple[Placing[int], int, bytes]:
    """Expand outbox rows into pending rows; return what was decided, how many rows, and the next customer's turn."""
    taken, after = take_outbox(work, order.fan_out, after)
    due = work.one("lane_due", now=work.now) if taken else None
    waited = work.now - due[0] if due else 0
    # An idle lane jumps the queue, so only while nobody has been in the queue for long.
    placing = Placing(me, work.now, rooms, take if order.idle_lanes and waited < OVERDUE else 0, order.new_room)
    if not taken:
        return placing, 0, after
    chosen = choose(work, taken, pages, crowded=due is not None or 2 * take <= order.take)
    ids = encode([row.id for row in chosen.rows])
    make_customers(work, chosen.rows)
    matches = [Match(*row) for row in sorted(work.gathered("matches", outbox=ids, page=PAGE, now=work.now))]
    for match in quick_first(bound(work, backlogs, matches, order.backlog), chosen.long):
        placing.place(match)
    write(work, placing)
    forget_unwanted(work, chosen.rows, matches, chosen.partly)
    move_on(work, chosen.rows, chosen.partly)
    return placing, len(chosen.rows), after


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
