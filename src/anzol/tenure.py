"""What a worker holds under one lease: lanes, claims and unwritten results. When it is lost, a new one begins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf

from anzol.lane import Lane
from anzol.quota import Quota, micros
from anzol.rules import DeliveryRules
from anzol.settlement import Settlement
from anzol.storage.face import Claim, Profile, Settled


class Tenure:
    """One worker number and everything under it.

    ``changed`` are lanes whose room is to be counted anew. After ``expires`` (monotonic) nothing more is started: who
    was frozen for longer than the lease may find its claims in another's hands.
    """

    def __init__(self, me: int, settlement: Settlement, wake: asyncio.Event, rules: DeliveryRules) -> None:
        self.me = me
        self.expires = inf
        self.settlement = settlement
        self.wake = wake
        self.lanes: dict[bytes, Lane] = {}
        self.changed: set[Lane] = set()
        self.queued = 0
        self.held_bytes = 0  # of bodies, from claim until the attempt has ended or the claim is given back
        self.quotas: dict[bytes, Quota] = {}
        self.asking: set[Quota] = set()  # of these, those with lanes in line
        self.quick: Callable[[Lane], None] = ignored  # how turns hear that a slow lane has answered in time
        self._due: list[tuple[int, bytes]] = []
        self._relief = rules.most_queued // 2
        self._relief_bytes = rules.most_held_bytes // 2

    def enqueue(self, lane: Lane, claim: Claim) -> None:
        lane.queue.append(claim)
        self.queued += 1
        self.held_bytes += len(claim.content.body)
        if lane.quota is not None:
            lane.quota.queued += 1

    def dequeued(self, lane: Lane) -> None:
        self.queued -= 1
        if lane.quota is not None:
            lane.quota.queued -= 1
            self.relieve(lane.quota)
        if self.queued == self._relief:
            self.wake.set()

    def let_go(self, claim: Claim) -> None:
        """Count the body of a claim no longer; claims may go on once half of what is allowed is free."""
        before = self.held_bytes
        self.held_bytes -= len(claim.content.body)
        if self.held_bytes <= self._relief_bytes < before:
            self.wake.set()

    def give_back(self, lane: Lane, due_at: int | None = None) -> None:
        """Give back what a lane has not started: as it was, or due at *due_at*."""
        while lane.queue:
            claim = lane.queue.popleft()
            self.dequeued(lane)
            self.let_go(claim)
            self.return_claim(lane, claim, due_at)
        self.changed.add(lane)

    def return_claim(self, lane: Lane, claim: Claim, due_at: int | None = None) -> None:
        """Give one claim back; no attempt was made."""
        self.settlement.add(lane, Settled(claim.id, None, due_at, claim.step, None))
        if due_at is not None:
            self.due(lane, due_at)

    def due(self, lane: Lane, at: int) -> None:
        """Remember that the lane is to be looked into at a time (microseconds)."""
        heappush(self._due, (at, lane.endpoint_id))

    # Throttled customers

    def share(self, lane: Lane, profile: Profile) -> None:
        """Have a lane share its customer's throttle with the others, or end that."""
        rate = profile.customer_throttle
        if rate is None:
            self.part(lane)
            return
        quota = self.quotas.setdefault(profile.customer_id, Quota(profile.customer_id, rate))
        quota.rate = rate
        if lane.quota is None:
            lane.quota = quota
            quota.lanes.add(lane)
            quota.queued += len(lane.queue)

    def part(self, lane: Lane) -> None:
        """End what a lane has to do with its customer's throttle."""
        quota, lane.quota = lane.quota, None
        if quota is None:
            return
        quota.leave(lane)
        self.relieve(quota)
        if not quota.lanes:
            self.asking.discard(quota)
            self.quotas.pop(quota.customer_id, None)

    def line_up(self, lane: Lane, quota: Quota, monotonic: float) -> None:
        """Remember that a lane waits for its customer's throttle; ask storage if it is time."""
        quota.line[lane] = None
        self.asking.add(quota)
        if quota.again_at <= micros(monotonic):
            self.wake.set()

    def relieve(self, quota: Quota) -> None:
        """Let starved lanes of a customer claim again, if there is room."""
        called = quota.call()
        if called:
            self.changed.update(called)
            self.wake.set()

    def drop(self) -> None:
        """Forget what was not started: it is another worker's now."""
        for lane in self.lanes.values():
            lane.active = False
            lane.queue.clear()
        self.lanes.clear()

    def next_due(self) -> int | None:
        return self._due[0][0] if self._due else None

    def pop_due(self, now: int) -> set[bytes]:
        """Return lanes, of those still held, that have something due by *now*."""
        found = set()
        while self._due and self._due[0][0] <= now:
            endpoint_id = heappop(self._due)[1]
            if endpoint_id in self.lanes:
                found.add(endpoint_id)
        return found


def ignored(_: Lane) -> None:
    """Do nothing: nobody gives turns yet."""
