"""A throttled customer in a worker's hands: the starts it was granted, and which of its lanes wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anzol.grants import FOR, SECOND, Starts
from anzol.storage.face import Grant

if TYPE_CHECKING:
    from anzol.lane import Lane

LATER: Final = SECOND  # until storage is asked again that says nothing of a customer
FARTHEST: Final = 2 * SECOND  # that a grant may lie ahead; what says more comes of a clock that was set
MOST: Final = 500  # claims of one customer that may wait here


class Quota:
    """One customer with a throttle. Times are microseconds of the clock that is never set.

    ``line`` are lanes with something to start and no start granted, ``starved`` those that would claim more if the
    others of the customer had not claimed so much already.
    """

    __slots__ = ("again_at", "called", "customer_id", "lanes", "line", "queued", "rate", "starts", "starved", "timed")

    def __init__(self, customer_id: bytes, rate: int) -> None:
        self.customer_id = customer_id
        self.rate = rate
        self.starts = Starts()
        self.lanes: set[Lane] = set()
        self.line: dict[Lane, None] = {}
        self.starved: dict[Lane, None] = {}
        self.called: set[Lane] = set()  # of these, those whose turn it is
        self.queued = 0
        self.again_at = 0
        self.timed = False

    # Starts

    def ready(self, monotonic: float) -> bool:
        """Say whether something may be started now."""
        return self.starts.ready(micros(monotonic))

    def wait(self, monotonic: float) -> float | None:
        """Return the seconds until something may be started; None: nothing was granted."""
        at = self.starts.next_at()
        return None if at is None else max(0, at - micros(monotonic)) / SECOND

    def wants(self, now: int, monotonic: float) -> int:
        """Return how many more starts could be used."""
        self.ready(monotonic)  # forgets those that are too late
        wanted, most = 0, len(self.starts) + max(1, self.rate * FOR // SECOND)
        for lane in self.line:
            wanted += lane.startable(now, monotonic)
            if wanted >= most:
                break
        return max(0, min(wanted, most) - len(self.starts))

    def receive(self, grant: Grant | None, now: int, monotonic: float) -> None:
        """Take over what storage grants; None: it says nothing."""
        clock = micros(monotonic)
        if grant is None:
            self.again_at = clock + LATER
            return
        self.again_at = clock + min(grant.again_at - now, FARTHEST)
        self.starts.add(clock + min(grant.first - now, FARTHEST), grant.gap, grant.count)

    # Claims

    @property
    def budget(self) -> int:
        """How many of its claims may wait here: those of half a second."""
        return max(1, min(self.rate // 2, MOST))

    @property
    def full(self) -> bool:
        return self.queued >= self.budget

    def room(self, lane: Lane) -> int:
        """Return how many more claims a lane may have; none while starved ones are before it."""
        if self.full or (self.starved and lane not in self.called):
            return 0
        each = max(1, self.budget // max(1, len(self.lanes)))
        return max(0, min(self.budget - self.queued, each - len(lane.queue)))

    def starve(self, lane: Lane) -> None:
        """Remember that a lane would claim more."""
        self.starved.setdefault(lane)
        self.called.discard(lane)

    def call(self) -> list[Lane]:
        """Return starved lanes that may claim now: the first ones, once half of what waited here has been started."""
        free = self.budget - self.queued
        if not self.starved or free < self.queued:
            return []
        found = list(self.starved)[:free]
        for lane in found:
            del self.starved[lane]
        self.called.update(found)
        return found

    def leave(self, lane: Lane) -> None:
        """Forget a lane."""
        self.queued -= len(lane.queue)
        self.lanes.discard(lane)
        self.called.discard(lane)
        self.line.pop(lane, None)
        self.starved.pop(lane, None)


def micros(seconds: float) -> int:
    """Return whole microseconds."""
    return round(seconds * SECOND)
