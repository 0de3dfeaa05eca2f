"""Turning messages into their deliveries: one transaction, in which SQL finds who wants which and `Placing` decides.

Lanes that this worker holds are neither locked nor written: nobody else gives or takes them while its row is locked.
All others are locked in order, and judged by what they are then.

Order is kept on FIFO endpoints because a message is left for later while an older one of the same customer is still in
the outbox: another worker has it in hand, or it was committed late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from anzol.lifecycle import Cause, Incident, ends
from anzol.storage.backlogs import Backlogs, Bound, full_detail
from anzol.storage.face import Order
from anzol.storage.pages import OVERDUE, PAGE, Ahead, Pages, longs, quick_first
from anzol.storage.placing import Match, Placing
from anzol.storage.postgres.lowwater import LowWater
from anzol.storage.postgres.work import Work

LARGE: Final = 64 * 1024  # bytes of a body that is read by itself
LAST: Final = b"\xff" * 16  # behind every id


@dataclass(slots=True)
class Outbox:
    """What one worker keeps of the outbox between rounds. ``after``: the customer that had the last turn."""

    low: LowWater = field(default_factory=LowWater)
    pages: Pages = field(default_factory=Pages)
    after: bytes = bytes(16)
    crowded: bool = False


@dataclass(slots=True)
class Taken:
    """An outbox row of this round. ``known``: its customer has a row; ``ahead``: so many endpoints follow ``start``."""

    id: int
    message: bytes
    customer: bytes
    start: bytes
    resent: bool
    known: bool
    ahead: int
    until: bytes | None

    @property
    def partly(self) -> bool:
        """Whether this round expands it to a page, and the tail has the rest."""
        return self.ahead > PAGE


@dataclass(slots=True)
class Batch:
    """The outbox rows of this round; ``more`` are left.

    ``first`` is the first one that is left, as far as was looked; ``number`` is that of the next pending row. ``long``
    are the numbers of rows that let others before when lanes are taken.
    """

    rows: list[Taken]
    more: bool
    first: int = 0
    now: int = 0
    number: int = 0
    long: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Expanded:
    """What came of a fan-out. ``fresh`` are claims as they were made: (id, endpoint, message),
    with the first of each message what goes on the wire."""

    placing: Placing[bytes]
    count: int = 0
    fresh: Sequence[Any] = ()
    more: bool = False
    next_at: int | None = None  # when the first of the lanes that were touched is due, of free ones and ours
    free: int = 0  # how many free lanes were left due


@dataclass(slots=True)
class Fanning:
    """One round's fan-out.

    Args:
        rooms: For every lane held: how many more claims it has places for.
        take: How many idle lanes may be taken.
        crowded: Free lanes wait for their turn, or have taken most of what this round could take.
        seconds: The time by a clock that is never set.
    """

    work: Work
    me: int
    order: Order
    rooms: dict[bytes, int]
    take: int
    outbox: Outbox
    low: int
    backlogs: Backlogs[bytes]
    crowded: bool
    seconds: float

    async def run(self) -> Expanded:
        """Expand outbox rows into pending rows, in the transaction that is open."""
        batch = await self._batch()
        placing = Placing[bytes](self.me, batch.now, self.rooms, 0, self.order.new_room)
        if not batch.rows:
            return Expanded(placing, more=batch.more)
        matches = await self._matches(batch)
        self.outbox.low.through(batch.first, self.seconds)
        bound = await self._bound(batch, matches)
        kept = await self._stand(batch, bound)
        placing.take = await self._may_take(kept)
        for match in quick_first(kept, batch.long):
            placing.place(match)
        fresh = await self._write(placing, batch, bound)
        await self._tidy(batch, matches)
        return Expanded(placing, len(batch.rows), fresh, batch.more, *self._wake(placing, kept))

    # --- what is to be expanded

    async def _batch(self) -> Batch:
        """Lock outbox rows; while there are more than asked for, customers take turns."""
        most = self.order.fan_out
        if not self.outbox.crowded:
            rows = await self._outbox(most + 1, fair=False)
            if len(rows) <= most:
                return self._chosen(rows, more=False)
        rows = await self._outbox(most, fair=True)
        self.outbox.crowded = len(rows) >= most
        if rows:
            self.outbox.after = max(rows, key=lambda row: row[8])[2]
        each = Counter(row[2] for row in rows)
        return self._chosen(rows[:most], more=any(count >= max(1, most // len(each)) for count in each.values()))

    def _chosen(self, rows: Sequence[Any], *, more: bool) -> Batch:
        """Return as many of the locked rows as this round expands."""
        if not rows:
            return Batch([], more)
        *_, first, number, now = rows[0]
        ahead = [Ahead(row[2], row[6]) for row in rows]
        chosen = self.outbox.pages.choose(ahead, now=now, crowded=self.crowded)
        if first is None:
            done = {*chosen}
            first = min((row[0] for place, row in enumerate(rows) if place not in done), default=rows[-1][0] + 1)
        taken = [Taken(*rows[place][:8]) for place in chosen]
        long = {rows[place][0] for place in longs(ahead)}
        return Batch(taken, more or len(chosen) < len(rows), first, now, number, long)

    async def _outbox(self, most: int, *, fair: bool) -> list[Any]:
        return await self.work.all(
            "outbox", me=self.me, low=self.low, most=most, fair=fair, after=self.outbox.after, page=PAGE
        )

    async def _matches(self, batch: Batch) -> list[Match[bytes]]:
        """Find who wants these messages; leave those for later that an older one must go before."""
        rows = await self.work.all(
            "matches",
            me=self.me,
            outbox=[row.id for row in batch.rows],
            messages=[row.message for row in batch.rows],
            customers=[row.customer for row in batch.rows],
            starts=[row.start for row in batch.rows],
            untils=[row.until if row.partly and row.until is not None else LAST for row in batch.rows],
            resent=[row.resent for row in batch.rows],
        )
        late = {row[1] for row in rows if row[0] is not None and row[0] < row[1]}
        if not late:
            return [Match(*row[1:]) for row in rows]
        # A row that is left behind is found again by a look at all of the outbox.
        customers = {row.customer for row in batch.rows if row.id in late}
        batch.first = min(batch.first, *(row.id for row in batch.rows if row.customer in customers))
        batch.rows = [row for row in batch.rows if row.customer not in customers]
        batch.more = True
        self.outbox.low.sweep()
        kept = {row.id for row in batch.rows}
        return [Match(*row[1:]) for row in rows if row[1] in kept]

    # --- how the lanes stand

    async def _bound(self, batch: Batch, matches: Sequence[Match[bytes]]) -> Bound[bytes]:
        """Divide deliveries into those that may wait and those that are over the bound of their endpoint's backlog."""
        most = self.order.backlog
        if most is None:
            return Bound(matches)
        lanes = self.backlogs.doubtful(matches, batch.number, most, batch.now)
        if lanes:
            counts = await self.work.all("backlogs", lanes=lanes, most=most)
            self.backlogs.learn([(row[0], row[1]) for row in counts], batch.number, batch.now)
        return self.backlogs.bound(matches, batch.number, most)

    async def _stand(self, batch: Batch, bound: Bound[bytes]) -> Sequence[Match[bytes]]:
        """Lock every lane that will be written, see how those stand that others could have changed; return what stays.

        A lane that is not there any more was that of a deleted endpoint.
        """
        ahead = {one.endpoint for one in bound.kept if one.deliver_at is not None and one.deliver_at > batch.now}
        others = {one.endpoint for one in bound.kept if one.holder != self.me}
        lanes = others | ahead | {*bound.drained, *bound.newly}
        if not lanes:
            return bound.kept
        stand = {row[0]: row for row in await self.work.all("lanes_stand", lanes=list(lanes))}
        kept = [one for one in bound.kept if one.endpoint not in lanes or one.endpoint in stand]
        for one in kept:
            if one.endpoint in others:
                _, one.holder, one.parked, one.turn_at = stand[one.endpoint]
        return kept

    async def _may_take(self, matches: Sequence[Match[bytes]]) -> int:
        """Return how many idle lanes may be taken: they jump the queue, so only while nobody is in the queue."""
        idle = [one for one in matches if one.holder is None and one.turn_at is None and not one.parked]
        if self.take < 1 or not self.order.idle_lanes or not idle:
            return 0
        ordered = list({one.endpoint for one in idle if one.fifo})
        overdue, pending = await self.work.the("lanes_idle", "answer", lanes=ordered, before=OVERDUE)
        if overdue:
            return 0
        for one in idle:
            one.waiting = one.endpoint in pending
        return self.take

    # --- what is written

    async def _write(self, placing: Placing[bytes], batch: Batch, bound: Bound[bytes]) -> list[Any]:
        """Store pending rows and what changed of the lanes; return what was claimed as it was made."""
        if bound.over or bound.drained:
            await self._overflow(bound)
        endpoints, messages, dues, paused, holders = columns(placing.rows)
        taken = {*placing.taken}
        lanes = list(taken | placing.touched.keys())
        return await self.work.all(
            "placed",
            me=self.me,
            endpoints=endpoints,
            messages=messages,
            dues=dues,
            paused=paused,
            claimed=[holder is not None for holder in holders],
            lanes=lanes,
            taken=[lane in taken for lane in lanes],
            turns=[placing.touched.get(lane) for lane in lanes],
            done=[row.id for row in batch.rows],
            large=LARGE,
        )

    async def _overflow(self, bound: Bound[bytes]) -> None:
        """End deliveries that are over the bound; tell of it once, until a tenth of the backlog has drained."""
        assert self.order.backlog is not None
        await self.work.run(
            "overflowed",
            messages=[one.message for one in bound.over],
            endpoints=[one.endpoint for one in bound.over],
            state=int(ends(Cause.OVERFLOWED)),
            cause=int(Cause.OVERFLOWED),
            drained=list(bound.drained),
            newly=list(bound.newly),
            kind=int(Incident.ENDPOINT_FULL),
            detail=full_detail(self.order.backlog),
        )

    async def _tidy(self, batch: Batch, matches: Sequence[Match[bytes]]) -> None:
        """Make customers of a first use, mark messages that nobody gets, put the rest of long ones to the tail."""
        unknown = [row.message for row in batch.rows if not row.known]
        if unknown:
            await self.work.run("customers_of_messages", messages=unknown)
        wanted = {match.outbox for match in matches}
        nobody = [row.message for row in batch.rows if is_unwanted(row, wanted)]
        if nobody:
            await self.work.run("messages_unwanted", messages=nobody)
        long = [row for row in batch.rows if row.partly]
        if long:
            batch.more = True
            await self.work.run(
                "outbox_tail",
                messages=[row.message for row in long],
                customers=[row.customer for row in long],
                cursors=[row.until for row in long],
                resent=[row.resent for row in long],
            )

    def _wake(self, placing: Placing[bytes], matches: Iterable[Match[bytes]]) -> tuple[int | None, int]:
        """Note whose lanes were touched; return when the first of the free ones, or of ours, is due; how many are."""
        dues: dict[bytes, int] = {}
        for one in matches:
            due_at = placing.touched.get(one.endpoint)
            if due_at is None or one.parked:
                continue
            if one.holder is None or one.holder == self.me:
                dues[one.endpoint] = due_at
            else:
                self.work.holders.add(one.holder)
        return min(dues.values(), default=None), sum(due_at <= placing.now for due_at in dues.values())


def is_unwanted(row: Taken, wanted: set[int]) -> bool:
    """Say whether nobody gets a message."""
    return row.id not in wanted and not row.partly and row.start == bytes(16)


def columns(rows: Sequence[tuple[bytes, bytes, int, int, int | None]]) -> Sequence[Sequence[Any]]:
    """Return the columns of pending rows."""
    return list(zip(*rows, strict=True)) or [()] * 5
