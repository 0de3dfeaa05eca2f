"""Who may use the worker's places: lanes take turns, and slow ones together have at most half.

A place is a coroutine that makes one attempt after the other for a lane, until the lane has nothing more to start or
its turn is over while others wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from anzol.clock import Clock
from anzol.lane import Lane
from anzol.quota import Quota
from anzol.rules import DeliveryRules
from anzol.storage.face import Claim

SHORT_LINE: Final = 8  # lanes in line, at least, up to which more are taken
Attempt = Callable[[Lane, Claim], Awaitable[None]]


class Turns:
    """Gives places to lanes. ``timers`` off: what a throttle holds back waits to be served again."""

    def __init__(self, attempt: Attempt, clock: Clock, rules: DeliveryRules, *, timers: bool = True) -> None:
        self._attempt = attempt
        self._clock = clock
        self._rules = rules
        self._timers = timers
        self._waiting: tuple[deque[Lane], deque[Lane]] = (deque(), deque())  # healthy, slow
        self._used = [0, 0]
        self._places: set[asyncio.Task[None]] = set()
        self._stopped = False

    @property
    def openings(self) -> int:
        """How many more lanes could be served soon: at once, or after a short wait in line."""
        in_line = len(self._waiting[False])
        return max(self._free(), max(SHORT_LINE, self._rules.places // 10) - in_line, 0)

    def _free(self) -> int:
        """Return how many places healthy lanes can have; what slow ones use over their half is not taken from them."""
        healthy, slow = self._used
        return self._rules.places - healthy - min(slow, self._rules.places // 2)

    def serve(self, lane: Lane) -> None:
        """Start what the lane may start, as far as there are places; else it waits in line."""
        if lane.lined_up or self._stopped:
            return
        now = self._clock.micros()
        while lane.ready(now):
            if not self._has_place(lane):
                self._line_up(lane)
                return
            claim = lane.take(now, self._clock.monotonic())
            if claim is None:
                self._serve_later(lane)
                return
            self._start(lane, claim)

    async def finished(self) -> None:
        """Wait until no place is in use."""
        while self._places:
            await asyncio.wait(self._places)

    def stop(self) -> None:
        """Start nothing more."""
        self._stopped = True
        for line in self._waiting:
            line.clear()

    def cancel(self) -> None:
        """Cut off what is under way; its outcome is unknown."""
        for place in self._places:
            place.cancel()

    # Slow lanes

    def watch(self, lane: Lane) -> None:
        """Count a lane as slow if it owes an answer for too long."""
        if lane.busy and not lane.slow and lane.silent(self._clock.monotonic()):
            lane.concurrency.quieten()
            self._move(lane, slow=True)

    def quick(self, lane: Lane) -> None:
        """Count a lane as healthy again: it has answered in time."""
        if lane.slow:
            self._move(lane, slow=False)

    def _move(self, lane: Lane, *, slow: bool) -> None:
        if lane.lined_up:  # else it would block the line of the others
            self._waiting[lane.slow].remove(lane)
            self._waiting[slow].append(lane)
        self._used[lane.slow] -= lane.busy
        lane.slow = slow
        self._used[slow] += lane.busy
        self._admit()

    # Places

    def _has_place(self, lane: Lane) -> bool:
        """Say whether one more place is to be had: slow lanes together have at most half."""
        if not lane.slow:
            return self._free() > 0
        return self._used[True] < self._rules.places // 2 and sum(self._used) < self._rules.places

    def _start(self, lane: Lane, claim: Claim) -> None:
        if not lane.busy:
            lane.turn_began = self._clock.monotonic()
            lane.turn_count = 0
        lane.busy += 1
        self._used[lane.slow] += 1
        place = asyncio.get_running_loop().create_task(self._occupy(lane, claim))
        self._places.add(place)

    async def _occupy(self, lane: Lane, claim: Claim | None) -> None:
        """Use one place for a lane, for as long as it may."""
        try:
            while claim is not None:
                await self._attempt(lane, claim)
                lane.tenure.changed.add(lane)
                lane.turn_count += 1
                if lane.behind and 2 * len(lane.queue) <= lane.limit:
                    lane.tenure.wake.set()
                claim = self._next(lane)
        finally:
            self._leave(lane)

    def _next(self, lane: Lane) -> Claim | None:
        """Take what the lane does next in this place."""
        if not lane.queue or lane.busy > lane.limit:
            return None
        monotonic = self._clock.monotonic()
        if (self._waiting[0] or self._waiting[1]) and self._over(lane, monotonic):
            return None
        if lane.busy < lane.limit and len(lane.queue) > 1:
            self.serve(lane)
        return lane.take(self._clock.micros(), monotonic)

    def _over(self, lane: Lane, now: float) -> bool:
        """Say whether the lane's turn is over."""
        return lane.turn_count >= self._rules.turn_claims or now - lane.turn_began >= self._rules.turn

    def _leave(self, lane: Lane) -> None:
        place = asyncio.current_task()
        assert place is not None
        self._places.discard(place)
        lane.busy -= 1
        self._used[lane.slow] -= 1
        lane.tenure.changed.add(lane)
        if lane.queue and (self._waiting[0] or self._waiting[1]) and self._over(lane, self._clock.monotonic()):
            self._line_up(lane)
        self._admit()
        if lane.queue:
            self.serve(lane)

    def _line_up(self, lane: Lane) -> None:
        if not lane.lined_up:
            lane.lined_up = True
            self._waiting[lane.slow].append(lane)

    def _admit(self) -> None:
        """Serve those who wait, first come first, while there are places."""
        for line in self._waiting:
            while line and self._has_place(line[0]):
                lane = line.popleft()
                lane.lined_up = False
                lane.turn_began = self._clock.monotonic()
                lane.turn_count = 0
                self.serve(lane)

    def _serve_later(self, lane: Lane) -> None:
        """Serve a throttled lane again when its next start falls due."""
        monotonic = self._clock.monotonic()
        wait = 0.0 if lane.throttle is None else lane.throttle.wait(monotonic)
        if lane.quota is not None and not wait:
            lane.tenure.line_up(lane, lane.quota, monotonic)
            self._time(lane.quota)
        elif self._timers and not lane.timed and lane.throttle is not None:
            lane.timed = True
            asyncio.get_running_loop().call_later(wait, self._on_time, lane)

    def _on_time(self, lane: Lane) -> None:
        lane.timed = False
        self.serve(lane)

    # Throttled customers

    def serve_line(self, quota: Quota) -> None:
        """Serve the lanes that wait for a customer's throttle, each in its turn; who still waits is last again."""
        for lane in list(quota.line):
            if not quota.ready(self._clock.monotonic()):
                break
            quota.line.pop(lane, None)
            self.serve(lane)
        self._time(quota)

    def _time(self, quota: Quota) -> None:
        """Serve the line again when the next start that was granted falls due."""
        wait = quota.wait(self._clock.monotonic())
        if not self._timers or quota.timed or wait is None or not quota.line:
            return
        quota.timed = True
        asyncio.get_running_loop().call_later(wait, self._on_start, quota)

    def _on_start(self, quota: Quota) -> None:
        quota.timed = False
        self.serve_line(quota)
