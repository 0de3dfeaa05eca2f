"""The rounds of a worker: release what is idle, take lanes, fan out, claim what is due; then wait for a reason."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from anzol.circuit import Phase
from anzol.clock import Clock
from anzol.errors import StorageError
from anzol.grants import SECOND
from anzol.lane import Lane
from anzol.quota import micros
from anzol.rules import DeliveryRules
from anzol.sharing import Sharing
from anzol.storage.face import Claim, Deliver, Dispatched, Order, Profile
from anzol.telemetry import Trouble
from anzol.tenure import Tenure
from anzol.turns import Turns

log = logging.getLogger("anzol.worker")

SWEEP: Final = 0.25  # seconds between looks at every lane held
SOON: Final = 0.05  # seconds between them while others wait, and nearly as many lanes are held as may be
AT_ONCE: Final = 250  # lanes given back in one round
LOOK: Final = 1.0  # seconds until a held lane is looked into without a reason
LOOKS: Final = 50  # of these at most after one sweep
CROWDED: Final = 1.0  # seconds that a lane is held at most when more lanes wait than can be held
TAKE: Final = 100  # lanes taken in one round
PATIENCE: Final = 0.25  # seconds that a free lane is left to workers with places; after that it waits here for its turn
IDLE_ROUNDS: Final = 10  # empty rounds after which the poll slackens
SLACK: Final = 1.4  # so that polling, heartbeat and the rest stay under one query a second
STALLED: Final = (0.02, 1.0)  # seconds to wait when storage says "more" and gives nothing: first, longest


class Dispatcher:
    """Drives one tenure."""

    def __init__(self, storage: Deliver, tenure: Tenure, turns: Turns, clock: Clock, rules: DeliveryRules) -> None:
        self._storage = storage
        self._tenure = tenure
        self._turns = turns
        self._clock = clock
        self._rules = rules
        self._rooms: dict[bytes, int] = {}
        self._look: set[bytes] = set()
        self._release: list[bytes] = []
        self._stale: set[bytes] = set()
        self._swept = 0.0
        self._sharing = Sharing()
        self._next_turn_at: int | None = None
        self._more = False
        self._empty = 0  # rounds in a row that brought nothing
        self._stalled = 0  # of these, the last in a row with something due
        self._stopped = False
        self.lost = False

    async def run(self) -> None:
        """Do rounds until stopped or the lease is lost."""
        trouble = Trouble(log)
        while not (self._stopped or self.lost):
            self._tenure.wake.clear()
            try:
                await self.round()
            except StorageError as error:
                trouble.tell("Storage could not dispatch; again every second: %s", error)
                await asyncio.sleep(1)
                continue
            except Exception:
                log.exception("A round of the dispatcher failed; again in a second.")
                await asyncio.sleep(1)
                continue
            trouble.over()
            await self._rest()

    def stop(self) -> None:
        """Claim nothing more; the round under way is the last."""
        self._stopped = True
        self._tenure.wake.set()

    async def round(self, *, everywhere: bool = False) -> bool:
        """Do one round; return whether it brought anything. *everywhere* looks into every lane held."""
        await self._read_again()
        await self._share()
        order = self._order(everywhere=everywhere)
        if self._tenure.settlement.hurry():
            await asyncio.sleep(0)  # so that results go first, and both in one transaction where storage gathers
        done = await self._storage.dispatch(self._tenure.me, order)
        if done.lost:
            self.lost = True
            return False
        self._let_go(order.release)
        await self._adopt(done)
        self._apply(order, done)
        brought = bool(done.claims or done.fanned_out or done.profiles or any(grant.count for grant in done.grants))
        self._empty = 0 if brought or order.release else self._empty + 1
        self._stalled = self._stalled + 1 if self._more and not brought else 0
        return brought

    @property
    def more(self) -> bool:
        """Whether storage has more, or lanes have room for what waits for them."""
        return self._more or any(self._wants(lane) for lane in self._tenure.lanes.values() if lane.behind)

    # The order

    def _order(self, *, everywhere: bool) -> Order:
        now, monotonic = self._clock.micros(), self._clock.monotonic()
        if everywhere or monotonic - self._swept >= self._pace():
            self._sweep(monotonic)
        self._count_rooms(now, monotonic)
        release = tuple(self._release)
        wants = self._wanted(now, monotonic)
        if self._holding():
            return Order(release=release, wants=wants)
        self._look |= self._tenure.pop_due(now)
        if everywhere:
            self._look |= set(self._rooms)
        look = self._lookable()
        for endpoint in look:
            self._tenure.lanes[endpoint].looked_at = monotonic
        return Order(
            release=release,
            take=max(0, min(TAKE, self._openings(now), self._rules.lanes - len(self._tenure.lanes))),
            fan_out=self._rules.fan_out,
            rooms=dict(self._rooms),
            look=look,
            idle_lanes=self._may_take() and self._waited(now) < PATIENCE,
            new_room=self._rules.begin,
            backlog=self._rules.backlog,
            wants=wants,
        )

    def _wanted(self, now: int, monotonic: float) -> dict[bytes, int]:
        """Return how many starts to ask for, of which throttled customers."""
        wants = {quota: quota.wants(now, monotonic) for quota in self._tenure.asking}
        self._tenure.asking -= {quota for quota, wanted in wants.items() if not wanted}
        due = micros(monotonic)
        return {quota.customer_id: wanted for quota, wanted in wants.items() if wanted and quota.again_at <= due}

    def _count_rooms(self, now: int, monotonic: float) -> None:
        """Count anew how much the lanes have room for in which something has changed."""
        for lane in self._tenure.changed:
            if self._tenure.lanes.get(lane.endpoint_id) is not lane or lane.endpoint_id in self._release:
                continue
            self._rooms[lane.endpoint_id] = room = lane.room(now, monotonic)
            if lane.quota is not None and lane.behind and not room and not lane.queue:
                lane.quota.starve(lane)
            if lane.behind and room and (lane.quota is not None or room * 2 >= lane.window(monotonic)):
                self._look.add(lane.endpoint_id)
        self._tenure.changed.clear()

    def _lookable(self) -> list[bytes]:
        """Return which lanes to look into now. If they have room for more than may be queued, the others come later."""
        look = [endpoint for endpoint in self._look if self._rooms.get(endpoint, 0) > 0]
        most = self._rules.most_queued - self._tenure.queued
        self._look.clear()
        if sum(self._rooms[endpoint] for endpoint in look) > most:
            look.sort(key=lambda endpoint: self._tenure.lanes[endpoint].looked_at)
            rooms = accumulate(self._rooms[endpoint] for endpoint in look)
            now = 1 + bisect_left(list(rooms), most)
            self._look.update(look[now:])
            look = look[:now]
        return look

    def _openings(self, now: int) -> int:
        """Return how many lanes may be taken. Those that nobody has taken for a while come in line with the others."""
        if self._sharing.modest(self._clock.monotonic()):
            return 0
        return TAKE if self._waited(now) >= PATIENCE else self._turns.openings

    def _waited(self, now: int) -> float:
        """Return for how many seconds a free lane has waited to be taken, as far as is known."""
        return 0.0 if self._next_turn_at is None else (now - self._next_turn_at) / SECOND

    def _may_take(self) -> bool:
        """Say whether another lane can be held and served."""
        modest = self._sharing.modest(self._clock.monotonic())
        return not modest and self._turns.openings > 0 and len(self._tenure.lanes) < self._rules.lanes

    def _holding(self) -> bool:
        """Say whether claims stop for now: too much is queued, held or unwritten, or we are about to stop."""
        tenure, rules = self._tenure, self._rules
        return (
            self._stopped
            or tenure.queued >= rules.most_queued
            or tenure.held_bytes >= max(1, rules.most_held_bytes)  # with nothing in our hands one is always claimed
            or tenure.settlement.unsettled >= rules.most_unsettled
        )

    def _wants(self, lane: Lane) -> bool:
        return lane.room(self._clock.micros(), self._clock.monotonic()) > 0

    def _sweep(self, monotonic: float) -> None:
        """Look at every lane held: slow ones, idle ones, those that nobody has looked into for a second."""
        self._swept = monotonic
        crowded = self._more and len(self._tenure.lanes) >= self._rules.lanes
        linger = 0.0 if self._pressed() else self._rules.linger
        now = self._clock.micros()
        looks = LOOKS + len(self._look)
        for lane in self._tenure.lanes.values():
            self._turns.watch(lane)
            if crowded and self._had_its_turn(lane, monotonic):
                lane.closing = True
                self._tenure.give_back(lane)
            if len(self._release) < AT_ONCE and self._idle(lane, now, monotonic - linger):
                self._release.append(lane.endpoint_id)
                continue
            if monotonic - lane.looked_at >= LOOK and len(self._look) < looks:
                self._look.add(lane.endpoint_id)
            changes = lane.profile.secrets_change_at
            if changes is not None and changes <= now:
                self._stale.add(lane.endpoint_id)
            if lane.throttle is not None or lane.circuit.open_until is not None:
                self._tenure.changed.add(lane)  # time alone gives it room
        for endpoint in self._release:
            self._rooms.pop(endpoint, None)
        for quota in self._tenure.quotas.values():
            self._tenure.relieve(quota)  # who was called may have had no use for it

    def _pressed(self) -> bool:
        """Say whether others wait and not many more lanes can be held: then none is kept for what may come."""
        return self._more and 4 * len(self._tenure.lanes) >= 3 * self._rules.lanes

    def _pace(self) -> float:
        """Return the seconds between two sweeps."""
        return SOON if self._pressed() else SWEEP

    async def _share(self) -> None:
        """With more to do than is done, leave lanes to workers that hold fewer."""
        monotonic, lanes = self._clock.monotonic(), self._tenure.lanes.values()
        if not self._sharing.due(monotonic) or not (self._more or any(lane.behind for lane in lanes)):
            return
        count = self._sharing.give(self._tenure.me, await self._storage.held(), monotonic)
        for lane in sorted(lanes, key=lambda lane: (not lane.behind, -lane.last))[:count]:
            lane.closing = True
            self._tenure.give_back(lane)

    def _had_its_turn(self, lane: Lane, monotonic: float) -> bool:
        """Say whether a lane has been held long enough while others wait to be held."""
        return lane.turn_count >= self._rules.turn_claims or monotonic - lane.taken >= CROWDED

    def _idle(self, lane: Lane, now: int, since: float) -> bool:
        """Say whether a lane may be given back: nothing of it is here, and it did nothing *since* (monotonic)."""
        if not lane.dry():
            return False
        if lane.closing or not lane.active:
            return True
        return not (lane.behind and lane.open(now)) and lane.last <= since

    # What came of it

    def _let_go(self, released: Iterable[bytes]) -> None:
        """Forget lanes once storage has taken them back."""
        self._release.clear()
        for endpoint in released:
            self._tenure.part(self._tenure.lanes.pop(endpoint))

    async def _adopt(self, done: Dispatched) -> None:
        """Begin to hold lanes that claims came for without a profile."""
        known = self._tenure.lanes.keys() | {profile.endpoint_id for profile in done.profiles}
        unknown = {claim.endpoint_id for claim in done.claims} - known
        if unknown:
            for profile in await self._storage.profiles(sorted(unknown)):
                self._hold(profile)

    def _apply(self, order: Order, done: Dispatched) -> None:
        tenure = self._tenure
        self._next_turn_at = done.next_turn_at
        self._more = done.waiting or (done.next_turn_at is not None and done.next_turn_at <= self._clock.micros())
        for endpoint in order.look:
            if endpoint in tenure.lanes:
                tenure.lanes[endpoint].behind = False
        for profile in done.profiles:
            self._hold(profile)
        for endpoint in done.behind:
            if endpoint in tenure.lanes:
                tenure.lanes[endpoint].behind = True
                tenure.changed.add(tenure.lanes[endpoint])
        for lane in self._queue(done.claims):
            tenure.changed.add(lane)
            self._turns.serve(lane)
        self._granted(order, done)

    def _granted(self, order: Order, done: Dispatched) -> None:
        """Use what was granted of the throttles of customers."""
        grants = {grant.customer_id: grant for grant in done.grants}
        for customer in order.wants:
            quota = self._tenure.quotas.get(customer)
            if quota is not None:
                quota.receive(grants.get(customer), self._clock.micros(), self._clock.monotonic())
                self._turns.serve_line(quota)

    def _hold(self, profile: Profile) -> None:
        """Begin to hold a lane, or take over what was changed of its endpoint."""
        lane = self._tenure.lanes.get(profile.endpoint_id)
        if lane is None:
            lane = Lane(self._tenure, profile, self._rules, self._clock.monotonic())
            self._tenure.lanes[profile.endpoint_id] = lane
        else:
            lane.apply(profile, self._clock.monotonic())
            if not lane.active:
                self._tenure.give_back(lane)
            self._turns.serve(lane)
        self._tenure.changed.add(lane)

    def _queue(self, claims: Iterable[Claim]) -> set[Lane]:
        """Queue claims in their lanes; return the lanes that got any."""
        got = set()
        now = self._clock.micros()
        for claim in claims:
            lane = self._tenure.lanes.get(claim.endpoint_id)
            if lane is None:
                log.error("A claim came for a lane whose endpoint is unknown; worker %d leaves it.", self._tenure.me)
            elif self._startable(lane, claim, now):
                self._tenure.enqueue(lane, claim)
                got.add(lane)
        return got

    def _startable(self, lane: Lane, claim: Claim, now: int) -> bool:
        """Say whether a claim may be queued; give it back if not."""
        if not lane.active:
            self._tenure.return_claim(lane, claim)
            return False
        if lane.quota is not None and lane.quota.full:
            self._tenure.return_claim(lane, claim)
            lane.behind = True
            lane.quota.starve(lane)
            return False
        if lane.circuit.phase(now, self._rules.circuit) is Phase.OPEN:
            self._tenure.return_claim(lane, claim, lane.circuit.open_until)
            return False
        if lane.first_delay and not (claim.step or claim.attempt or claim.manual):
            first = claim.content.created_at + lane.first_delay
            if now < first:
                self._tenure.return_claim(lane, claim, first)
                return False
        return True

    async def _read_again(self) -> None:
        """Read profiles again whose secrets have changed by time alone."""
        if not self._stale:
            return
        stale = [endpoint for endpoint in self._stale if endpoint in self._tenure.lanes]
        self._stale.clear()
        for profile in await self._storage.profiles(stale):
            if profile.endpoint_id in self._tenure.lanes:
                self._hold(profile)

    # Between rounds

    async def _rest(self) -> None:
        """Wait for a reason for the next round."""
        wait = self._wait()
        if wait <= 0 or self._tenure.wake.is_set():
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(wait):
                await self._tenure.wake.wait()
        except TimeoutError:
            pass

    def _wait(self) -> float:
        """Return the seconds until the next round, if nothing wakes us before."""
        now = self._clock.micros()
        wait = self._rules.poll * (SLACK if self._empty > IDLE_ROUNDS else 1)
        if self._tenure.lanes:
            wait = min(wait, self._pace())
        if self._tenure.asking:
            asked = min(quota.again_at for quota in self._tenure.asking) / SECOND
            wait = min(wait, max(0.0, asked - self._clock.monotonic()))
        dues = [self._tenure.next_due()]
        if self._may_take() and not self._holding():
            dues.append(self._next_turn_at)
            if self._more:
                return min(wait, self._pause())
        return min([wait, *(max(0.0, (due - now) / 1_000_000) for due in dues if due is not None)])

    def _pause(self) -> float:
        """Return how long to wait although there is more: longer each time that storage gives nothing of it."""
        first, longest = STALLED
        return min(longest, first * 2 ** min(self._stalled - 1, 10)) if self._stalled else 0.0
