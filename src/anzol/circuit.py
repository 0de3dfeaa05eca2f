"""The circuit of an endpoint: closed, open, half-open. Pure; a circuit is a value, and an attempt makes a new one.

Closed, deliveries flow. Open, nothing is sent until a time. After that it is half-open: one probe may go, whose success
closes it and whose failure opens it again, for longer. A time further ahead than probes are ever apart comes of a clock
that was set back, and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from random import Random
from typing import Final

from anzol.retry import SPREAD, varied

MICRO: Final = timedelta(microseconds=1)


class Phase(Enum):
    """Where a circuit is at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """When a circuit opens, and how long the probes are apart.

    It opens after ``threshold`` failures in a row, or after ``few`` of them if they began ``patience`` ago: an
    endpoint that seldom gets anything is told of too.
    """

    threshold: int = 10
    few: int = 3
    patience: timedelta = timedelta(minutes=30)
    first: timedelta = timedelta(seconds=10)
    growth: int = 2
    longest: timedelta = timedelta(minutes=30)

    @property
    def farthest(self) -> int:
        """How far ahead a circuit can be open: the longest interval with its spread, in microseconds."""
        return round(self.longest // MICRO * (1 + SPREAD))


@dataclass(frozen=True, slots=True)
class Circuit:
    """How an endpoint stands. Times in microseconds; ``step`` counts probes that failed since it opened."""

    failures: int = 0
    failing_since: int | None = None
    open_until: int | None = None
    step: int = 0

    def phase(self, now: int, rules: CircuitRules) -> Phase:
        if self.open_until is None:
            return Phase.CLOSED
        return Phase.OPEN if now < self.open_until <= now + rules.farthest else Phase.HALF_OPEN

    def failed(self, now: int, rules: CircuitRules, chance: Random) -> Circuit:
        """Return how it stands after one more failure."""
        failures = self.failures + 1
        since = now if self.failing_since is None else self.failing_since
        match self.phase(now, rules):
            case Phase.OPEN:  # it was on its way when the circuit opened
                return Circuit(failures, since, self.open_until, self.step)
            case Phase.HALF_OPEN:
                step = self.step + 1
                return Circuit(failures, since, now + interval(step, rules, chance), step)
        if tripped(failures, now - since, rules):
            return Circuit(failures, since, now + interval(0, rules, chance), 0)
        return Circuit(failures, since, None, 0)

    def failing_for(self, now: int) -> timedelta:
        return timedelta(0) if self.failing_since is None else (now - self.failing_since) * MICRO


HEALTHY: Final = Circuit()


def tripped(failures: int, failing: int, rules: CircuitRules) -> bool:
    """Say whether *failures* in a row over *failing* microseconds open a closed circuit."""
    return failures >= rules.threshold or (failures >= rules.few and failing * MICRO >= rules.patience)


def interval(step: int, rules: CircuitRules, chance: Random) -> int:
    """Return the microseconds until the next probe, after *step* probes that failed."""
    most = rules.longest // MICRO
    delay = rules.first // MICRO
    for _ in range(step):
        if delay >= most:
            break
        delay *= rules.growth
    return varied(min(delay, most), chance)
