"""The throttle of a customer: starts that all workers are granted out of one row, for a tenth of a second at a time.

A start is a time of its own, and may be used up to `LATE` after it. Starts that lie a gap apart and come that late at
most are no more in any second than the rate and a twentieth, whoever uses them: so workers need not agree on anything.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

SECOND: Final = 1_000_000  # microseconds, like all times here
LATE: Final = 50_000
FOR: Final = 100_000  # what is granted at once lies within so long
AHEAD: Final = 20_000  # who was granted the last starts asks so long before they end
BEHIND: Final = 25_000  # how long ago a start may be that is granted: half of what it may be late


@dataclass(frozen=True, slots=True)
class Slots:
    """What is granted: *count* starts from ``first`` on, a ``gap`` apart; and what to keep, when to ask again."""

    first: int
    gap: int
    count: int
    next_at: int
    again_at: int


def gap_of(rate: int) -> int:
    """Return the distance of starts so that a second and `LATE` hold rate + rate // 20 of them, not one more."""
    return -(-(SECOND + LATE) // (rate + rate // 20))


def share(rate: int, until: int | None, *, now: int, wanted: int, again: bool) -> Slots:
    """Grant starts at *rate* a second.

    Args:
        until: What was kept of the last grant (``next_at``), whoever had it.
        again: Who asks had the last grant: others are let before, and may have what lies further ahead.
    """
    gap = gap_of(rate)
    if until is None or until > now + 2 * FOR + SECOND + LATE:  # the clock was set back
        until = 0
    first = max(until, now - BEHIND)
    reach = now + (FOR if again else 2 * FOR)
    most = max(0, -(-(reach - first) // gap))
    count = min(wanted, most, max(1, FOR // gap))
    next_at = first + count * gap
    return Slots(first, gap, count, next_at, max(now, next_at - (AHEAD if again or count else FOR)))


class Starts:
    """The starts that one worker was granted of one customer, in microseconds of a clock that is never set."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, first: int, gap: int, count: int) -> None:
        """Add what was granted."""
        self._times.extend(first + number * gap for number in range(count))

    def ready(self, now: int) -> bool:
        """Say whether one may be used now; those that came too late are forgotten."""
        while self._times and self._times[0] + LATE < now:
            self._times.popleft()
        return bool(self._times) and self._times[0] <= now

    def use(self) -> None:
        """Use the one that is ready."""
        self._times.popleft()

    def next_at(self) -> int | None:
        """Return the time of the next one."""
        return self._times[0] if self._times else None
