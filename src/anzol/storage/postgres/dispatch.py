"""One round of a dispatcher: release, clear touches, take, fan out, look. Each sees what was committed before it.

A round begins with the one statement that an idle worker asks: is it alive, which lanes were touched, does anything
wait. What has nothing to do is left out after that: trips to the server are what a round costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anzol.grants import Slots, share
from anzol.storage.backlogs import Backlogs
from anzol.storage.face import Claim, Content, Dispatched, Grant, Order
from anzol.storage.postgres.fanout import LARGE, Expanded, Fanning, Outbox
from anzol.storage.postgres.profiles import back, by_our_clock, profile_of
from anzol.storage.postgres.queries import query
from anzol.storage.postgres.skew import Skew
from anzol.storage.postgres.steps import Steps
from anzol.storage.postgres.work import FARTHEST, Work
from anzol.storage.rows import pairs


@dataclass(slots=True)
class Memory:
    """What a process keeps of one worker between its rounds.

    ``unheard``: a round was begun, and its caller has not had what came of it.
    """

    outbox: Outbox = field(default_factory=Outbox)
    backlogs: Backlogs[bytes] = field(default_factory=Backlogs)
    unheard: bool = False


@dataclass(slots=True)
class Ahead:
    """What waits. ``free_at``: when the next free lane is due; ``held_at``: one of ours is to be looked at again."""

    now: int
    touched: list[bytes]
    free_at: int | None
    held_at: int | None
    outbox: bool

    @property
    def due(self) -> bool:
        """Whether a free lane waits already."""
        return self.free_at is not None and self.free_at <= self.now


@dataclass(slots=True)
class Round:
    """One round of worker *me*.

    Args:
        known: Its claims that were handed out and are not settled.
        read: The machine's clocks: microseconds of the wall, seconds of the one that is never set.
    """

    steps: Steps
    me: int
    order: Order
    memory: Memory
    known: Counter[int]
    skew: Skew
    read: tuple[Callable[[], int], Callable[[], float]]

    async def run(self) -> tuple[Dispatched, Expanded | None]:
        """Do it; return what came of it, by the worker's clock, and what was fanned out."""
        order = self.order
        if self.memory.unheard:
            await self._recollect()
        self.memory.unheard = True
        if order.release:
            await self._release()
        seconds = self.read[1]()
        low = self.memory.outbox.low.mark(seconds)
        ahead = await self._begin(low)
        if ahead is None:
            return Dispatched(lost=True), None
        taken = await self._take(ahead) if order.take > 0 and ahead.due else []
        rooms = {**order.rooms, **dict.fromkeys(taken, order.new_room)}
        expanded = None
        lanes = {*order.look, *ahead.touched, *taken}
        if order.fan_out > 0 and ahead.outbox:
            expanded = await self._fan_out(rooms, taken, ahead, low, seconds)
            lanes |= expanded.placing.look
            taken += expanded.placing.taken  # nothing was due in them before
        found, behind = await self._look(rooms, lanes) if lanes else ([], frozenset())
        return await self._done(ahead, expanded, found, behind, [*ahead.touched, *taken]), expanded

    async def _done(
        self,
        ahead: Ahead,
        expanded: Expanded | None,
        found: Sequence[Any],
        behind: frozenset[bytes],
        lanes: Sequence[bytes],
    ) -> Dispatched:
        """Put together what the worker is told."""
        skew = self.skew.ahead
        rows = await self.steps.all("profiles", endpoints=list(dict.fromkeys(lanes))) if lanes else []
        waits = expanded.more if expanded else ahead.outbox
        dues = [ahead.free_at, ahead.held_at, expanded.next_at if expanded else None]
        next_at = min((due for due in dues if due is not None), default=None)
        return Dispatched(
            claims=await self._claims(expanded, found),
            profiles=by_our_clock([profile_of(row, self.steps.work.vault) for row in rows], skew),
            behind=behind,
            next_turn_at=back(next_at, skew),
            waiting=waits or (next_at is not None and next_at <= ahead.now),
            fanned_out=expanded.count if expanded else 0,
            grants=await self._grant() if self.order.wants else (),
        )

    # --- the steps

    async def _recollect(self) -> None:
        """After a round whose end nobody heard of: give back claims that nobody knows, and look at every lane anew."""
        await self.steps.all("claims_unknown", me=self.me, known=list(self.known))
        await self.steps.all("lanes_unknown", me=self.me)

    async def _release(self) -> None:
        """Give lanes back; they are due when their next delivery is, and not before now: at the tail, not at the head.

        The last statement has a snapshot that was taken under the lanes' locks: nothing that came before is missed.
        """
        lanes = list(self.order.release)
        async with self.steps.together() as work:
            alive, claims = await work.the("lanes_unclaim", "answer", me=self.me, lanes=lanes)
            if alive:
                await work.run("lanes_lock", lanes=lanes)
                await work.run("lanes_free", me=self.me, lanes=lanes, farthest=FARTHEST)
        for claim in claims:
            self.known.pop(claim, None)

    async def _begin(self, low: int) -> Ahead | None:
        """Clear the touches of held lanes, and see what waits; None: the lease is gone."""
        asked = self.read[0]()
        alive, now, *rest = await self.steps.one("lanes_touched", me=self.me, low=low)
        self.skew.learn(asked, now, self.read[0]())
        return Ahead(now, *rest) if alive else None

    async def _take(self, ahead: Ahead) -> list[bytes]:
        """Take free lanes whose turn it is, the longest waiting first."""
        taken, ahead.free_at = await self.steps.one("lanes_take", me=self.me, most=self.order.take)
        return list(taken)

    async def _fan_out(
        self, rooms: dict[bytes, int], taken: Sequence[bytes], ahead: Ahead, low: int, seconds: float
    ) -> Expanded:
        """Expand outbox rows, while nobody changes the rules that hold back."""
        gate = query("gate_shared", self.steps.work.schema, timed=True).text
        memory, order = self.memory, self.order
        idle = order.take - len(taken)
        crowded = ahead.due or idle <= len(taken)
        async with self.steps.together(gate) as work:
            fanning = Fanning(work, self.me, order, rooms, idle, memory.outbox, low, memory.backlogs, crowded, seconds)
            return await fanning.run()

    async def _look(self, rooms: Mapping[bytes, int], lanes: Iterable[bytes]) -> tuple[list[Any], frozenset[bytes]]:
        """Claim what is due in held lanes, as far as there is room; return the claims, and which lanes have more."""
        asked = list(lanes)
        rows = await self.steps.all(
            "pending_look", me=self.me, lanes=asked, rooms=[max(0, rooms.get(lane, 0)) for lane in asked]
        )
        behind = frozenset([row[3] for row in rows if row[1] or not row[0]])
        return [row for row in rows if row[0]], behind

    async def _grant(self) -> list[Grant]:
        """Grant starts of customers that have a throttle, each out of its one row."""
        granted: list[tuple[bytes, Slots]] = []
        async with self.steps.together() as work:
            rows = await work.all("customers_throttled", customers=list(self.order.wants))
            for customer, rate, until, to, now in rows:
                wanted = self.order.wants[customer]
                granted.append((customer, share(rate, until, now=now, wanted=wanted, again=to == self.me)))
            used = [(customer, slots.next_at) for customer, slots in granted if slots.count]
            if used:
                customers, untils = zip(*used, strict=True)
                await work.run("customers_granted", me=self.me, customers=customers, untils=untils)
        skew = self.skew.ahead
        return [
            Grant(customer, slots.first - skew, slots.gap, slots.count, slots.again_at - skew)
            for customer, slots in granted
        ]

    # --- what goes on the wire

    async def _claims(self, expanded: Expanded | None, found: Sequence[Any]) -> list[Claim]:
        """Return claims: those that were made by fan-out, and those that were found."""
        fresh = expanded.fresh if expanded else ()
        if not (fresh or found):
            return []
        skew = self.skew.ahead
        contents = await self._contents([row[2:] for row in fresh if row[3] is not None])
        missing = {row[5] for row in found} - contents.keys()
        if missing:
            contents |= await self._contents(await self.steps.all("contents", messages=list(missing), large=LARGE))
        due_at = (expanded.placing.now if expanded else 0) - skew
        # A message that is not there any more was erased a moment ago, and its deliveries with it.
        claims = [Claim(row[0], row[1], 0, 0, due_at, False, contents[row[2]]) for row in fresh if row[2] in contents]
        for _, _, number, endpoint, due, message, attempt, step, manual in found:
            if message in contents:
                claims.append(Claim(number, endpoint, attempt, step, due - skew, manual, contents[message]))
        return claims

    async def _contents(self, rows: Iterable[Any]) -> dict[bytes, Content]:
        """Return what goes on the wire; large bodies are read each by itself."""
        found = {}
        for raw, event_type, method, content_type, headers, query_text, created_at, small in rows:
            body = small if small is not None else await self._body(raw)
            written = pairs(headers) if headers != "[]" else ()
            made = created_at - self.skew.ahead
            found[raw] = Content(raw, event_type, method, content_type, written, query_text, body, made)
        return found

    async def _body(self, message: bytes) -> bytes:
        found = await self.steps.all("body", id=message)
        return bytes(found[0][0]) if found else b""


async def held(work: Work) -> dict[int, int]:
    """Return how many lanes each live worker holds."""
    return {int(worker): int(lanes) for worker, lanes in await work.all("lanes_shared")}
