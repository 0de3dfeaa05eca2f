"""One endpoint's lane in the hands of the worker that holds it: what is queued, what may start, how it stands.

No I/O: the dispatcher fills it, turns take from it, the executor tells it what came of an attempt.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from anzol.circuit import HEALTHY, Circuit, Phase
from anzol.concurrency import Concurrency
from anzol.lifecycle import Disabled
from anzol.rules import DeliveryRules
from anzol.storage.face import Claim, LaneHealth, Profile
from anzol.throttle import Throttle

if TYPE_CHECKING:
    from anzol.letter import Letter
    from anzol.quota import Quota
    from anzol.tenure import Tenure

AHEAD: Final = 64  # claims of a lane that may wait here beyond those that can be under way
THROTTLED_AHEAD: Final = 0.5  # seconds


class Lane:
    """What a holder knows of one lane. ``busy`` counts its places, ``flying`` its requests by when they began.

    Of a FIFO lane one delivery is claimed at a time: storage gives the next one once the end of it is written.
    """

    __slots__ = (
        "active",
        "behind",
        "busy",
        "circuit",
        "closing",
        "concurrency",
        "disabling",
        "endpoint_id",
        "first_delay",
        "flying",
        "last",
        "letter",
        "lined_up",
        "looked_at",
        "profile",
        "queue",
        "quota",
        "rules",
        "schedule",
        "slow",
        "taken",
        "tenure",
        "throttle",
        "timed",
        "turn_began",
        "turn_count",
        "unsettled",
        "unwritten",
    )

    def __init__(self, tenure: Tenure, profile: Profile, rules: DeliveryRules, now: float) -> None:
        self.tenure = tenure
        self.endpoint_id = profile.endpoint_id
        self.rules = rules
        self.queue: deque[Claim] = deque()
        self.flying: dict[int, float] = {}
        self.busy = 0
        self.unsettled = 0
        self.unwritten = 0  # changes of its health that are not in storage yet
        self.behind = False
        self.closing = False
        self.lined_up = False
        self.timed = False
        self.disabling: Disabled | None = None
        self.circuit = circuit_of(profile)
        # A lane that failed before may be a black hole: it has to answer once before it counts among the healthy.
        self.slow = self.circuit.failures > 0
        self.concurrency = Concurrency(begin=1 if self.slow else rules.begin, ceiling=rules.ceiling)
        self.throttle: Throttle | None = None
        self.quota: Quota | None = None
        self.last = self.taken = self.turn_began = self.looked_at = now
        self.turn_count = 0
        self.apply(profile, now)

    def apply(self, profile: Profile, now: float) -> None:
        """Take over what the endpoint's owner has set; its health too, unless ours is newer."""
        self.profile = profile
        self.letter: Letter | None = None
        self.schedule = profile.schedule or self.rules.schedule
        self.first_delay = self.schedule[0] // timedelta(microseconds=1)
        self.active = profile.active and self.disabling is None
        if not self.unwritten:
            self.circuit = circuit_of(profile)
        if profile.throttle is None:
            self.throttle = None
        elif self.throttle is None or self.throttle.rate != profile.throttle:
            self.throttle = Throttle(profile.throttle, now)
        self.tenure.share(self, profile)

    # What may start

    @property
    def limit(self) -> int:
        """How many places it may have."""
        return 1 if self.slow or self.profile.fifo else self.concurrency.limit

    def open(self, now: int) -> bool:
        """Say whether anything may start at all: not parked, and the circuit lets it through."""
        if not self.active:
            return False
        if self.circuit.open_until is None:
            return True
        return self.circuit.phase(now, self.rules.circuit) is Phase.HALF_OPEN and not self.flying

    def ready(self, now: int) -> bool:
        """Say whether it could use one more place; the throttle is asked by `take`."""
        return bool(self.queue) and self.busy < self.limit and self.open(now)

    def take(self, now: int, monotonic: float) -> Claim | None:
        """Take the next claim that may start now."""
        if not self.queue or not self.open(now) or monotonic >= self.tenure.expires:
            return None
        if self.quota is not None and not self.quota.ready(monotonic):
            return None
        if self.throttle is not None and not self.throttle.grant(monotonic):
            return None
        if self.quota is not None:
            self.quota.starts.use()
        claim = self.queue.popleft()
        self.flying[claim.id] = monotonic
        self.tenure.dequeued(self)
        return claim

    def startable(self, now: int, monotonic: float) -> int:
        """How many claims could be started soon if the customer's throttle let them."""
        if not self.open(now):
            return 0
        most = min(len(self.queue), self.limit - self.busy)
        return most if self.throttle is None else min(most, self.throttle.within(monotonic, THROTTLED_AHEAD))

    def room(self, now: int, monotonic: float) -> int:
        """How many more claims it has a use for."""
        if not self.active or self.closing:
            return 0
        if self.circuit.open_until is None:
            window = self.window(monotonic)
        else:
            window = 1 if self.circuit.phase(now, self.rules.circuit) is Phase.HALF_OPEN else 0
        room = max(0, window - len(self.queue) - len(self.flying))
        return room if self.quota is None else min(room, self.quota.room(self))

    def window(self, monotonic: float) -> int:
        """How many claims are worth having here, started or not."""
        window = 1 if self.profile.fifo else self.limit + min(self.limit, AHEAD)
        if self.throttle is not None:
            window = min(window, len(self.flying) + max(1, self.throttle.within(monotonic, THROTTLED_AHEAD)))
        return window

    def dry(self) -> bool:
        """Say whether nothing of it is in our hands."""
        return not (self.queue or self.busy or self.unsettled or self.unwritten)

    # How it stands

    def answered(self, claim: Claim, monotonic: float) -> float:
        """Note that a request has ended; return the seconds it took."""
        self.last = monotonic
        began = self.flying.pop(claim.id, None)
        if began is None:
            return 0.0
        self.tenure.let_go(claim)
        return monotonic - began

    def settled(self) -> None:
        """Note that one of its results is written."""
        self.unsettled -= 1
        if self.profile.fifo and self.behind:  # only now the next in order can be claimed
            self.tenure.changed.add(self)
            self.tenure.wake.set()

    def silent(self, monotonic: float) -> bool:
        """Say whether a request has been without an answer for too long."""
        oldest = next(iter(self.flying.values()), monotonic)
        return monotonic - oldest >= self.rules.slow_after

    def health(self) -> LaneHealth:
        circuit = self.circuit
        return LaneHealth(
            self.endpoint_id,
            circuit.failures,
            circuit.failing_since,
            circuit.open_until,
            circuit.step,
            self.disabling,
        )


def circuit_of(profile: Profile) -> Circuit:
    """Return the circuit that a profile tells of."""
    if not profile.failures and profile.circuit_open_until is None:
        return HEALTHY
    return Circuit(profile.failures, profile.failing_since, profile.circuit_open_until, profile.circuit_step)
