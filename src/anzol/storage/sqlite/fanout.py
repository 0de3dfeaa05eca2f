"""Turning messages into their deliveries: SQL finds who wants which, `Placing` decides what happens to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from anzol.storage.face import Order
from anzol.storage.sqlite.backlog import Backlogs
from anzol.storage.sqlite.work import Work, encode

PAGE: Final = 1000  # endpoints that one outbox row is expanded to in one round
ROUND: Final = 2000  # endpoints looked at in one round


@dataclass(slots=True)
class Match:
    """An endpoint that a message is for, and how its lane stands."""

    outbox: int
    message: int
    endpoint: int
    deliver_at: int | None
    paused: int
    fifo: int
    holder: int | None
    parked: int
    turn_at: int | None
    full: int  # it was over the bound of its backlog
    waiting: int  # something that goes before: due and unclaimed; on FIFO endpoints anything pending


@dataclass(slots=True)
class Placing:
    """The decisions of one round of fan-out, pending row by pending row.

    ``claimed`` and ``rows`` are in the order of the rows; ``look`` are held lanes with more due rows than were claimed.
    """

    me: int
    now: int
    rooms: dict[int, int]
    take: int
    new_room: int
    taken: list[int] = field(default_factory=list)
    touched: dict[int, int] = field(default_factory=dict)
    look: set[int] = field(default_factory=set)
    rows: list[tuple[int, int, int, int, int | None]] = field(default_factory=list)
    _behind: set[int] = field(default_factory=set)
    _held: set[int] = field(default_factory=set)

    def place(self, match: Match) -> None:
        """Decide on one delivery: claimed at once, or left to be looked for."""
        due_at = max(self.now, match.deliver_at or 0)
        held = self._holds(match)
        claimed = held and due_at <= self.now and self._claims(match)
        if not claimed:
            self._leave(match, due_at, held)
        self.rows.append((match.endpoint, match.message, due_at, match.paused, self.me if claimed else None))

    def _holds(self, match: Match) -> bool:
        if match.holder == self.me or match.endpoint in self._held:
            return True
        idle = match.holder is None and match.turn_at is None and not match.parked and not match.paused
        if not idle or match.endpoint in self.touched or len(self.taken) >= self.take:
            return False
        self.taken.append(match.endpoint)
        self._held.add(match.endpoint)
        self.rooms[match.endpoint] = self.new_room
        return True

    def _claims(self, match: Match) -> bool:
        room = self.rooms.get(match.endpoint, 0)
        if match.parked or match.paused or match.waiting or match.endpoint in self._behind or room < 1:
            return False
        self.rooms[match.endpoint] = room - 1
        if match.fifo:
            self._behind.add(match.endpoint)
        return True

    def _leave(self, match: Match, due_at: int, held: bool) -> None:
        if match.fifo:
            self._behind.add(match.endpoint)
        if match.paused:
            return
        if held and due_at <= self.now:
            self._behind.add(match.endpoint)
            self.look.add(match.endpoint)
        else:
            self.touched[match.endpoint] = min(due_at, self.touched.get(match.endpoint, due_at))


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
    work: Work, me: int, order: Order, rooms: dict[int, int], take: int, after: bytes, backlogs: Backlogs
) -> tuple[Placing, int, bytes]:
    """Expand outbox rows into pending rows; return what was decided, how many rows, and the next customer's turn."""
    placing = Placing(me, work.now, rooms, take if order.idle_lanes else 0, order.new_room)
    taken, after = take_outbox(work, order.fan_out, after)
    if not taken:
        return placing, 0, after
    chosen, partly = within_budget(work, taken)
    ids = encode([row.id for row in chosen])
    make_customers(work, chosen)
    matches = [Match(*row) for row in sorted(work.gathered("matches", outbox=ids, page=PAGE, now=work.now))]
    for match in backlogs.bound(work, matches, order.backlog):
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


def write(work: Work, placing: Placing) -> None:
    """Store pending rows and what changed of the lanes."""
    first = work.number("anzol_pending", len(placing.rows)) if placing.rows else 0
    work.insert("pending_new", [(first + offset, *row) for offset, row in enumerate(placing.rows)])
    if placing.taken:
        work.run("lanes_hold", me=placing.me, lanes=encode(placing.taken))
    if placing.touched:
        work.run("lanes_touch", lanes=encode(list(placing.touched.items())))


def forget_unwanted(work: Work, chosen: Sequence[Taken], matches: Sequence[Match], partly: set[int]) -> None:
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


def claimed_rows(placing: Placing, first: int) -> list[Any]:
    """Return (id, endpoint, message, due_at) of the rows that were claimed as they were made."""
    return [
        (first + offset, endpoint, message, due_at)
        for offset, (endpoint, message, due_at, _, holder) in enumerate(placing.rows)
        if holder is not None
    ]
