"""The throttle of an endpoint: so many deliveries a second, and at most a twentieth more in any one second."""

from __future__ import annotations

from typing import Final

SECOND: Final = 1_000_000_000  # nanoseconds, so that no rounding adds up
BURST: Final = 20  # one part in so many may come at once


class Throttle:
    """Grants starts at a rate, evenly, with a burst of one part in twenty.

    It keeps one number: when the next grant would fall if all were evenly spaced. A grant may be ahead of that by the
    tolerance. So any second holds at most rate + rate // 20 grants, and below 20 a second they are simply spaced.
    """

    __slots__ = ("_gap", "_next", "_tolerance", "rate")

    def __init__(self, rate: int, now: float) -> None:
        """Begin without the burst: whoever held the lane before may have used it. *now* is monotonic, in seconds."""
        self.rate = rate
        self._gap = -(-SECOND // rate)
        self._tolerance = max(0, rate // BURST - 1) * self._gap
        self._next = nanos(now) + self._tolerance

    def grant(self, now: float) -> bool:
        """Take one start, if there is one."""
        at = nanos(now)
        if at < self._next - self._tolerance:
            return False
        self._next = max(at, self._next) + self._gap
        return True

    def wait(self, now: float) -> float:
        """Return the seconds until there is a start to take; 0 if there is one."""
        return max(0, self._next - self._tolerance - nanos(now)) / SECOND

    def within(self, now: float, seconds: float) -> int:
        """Return how many starts there will be within *seconds*, none taken meanwhile."""
        ahead = nanos(now + seconds) - max(nanos(now), self._next) + self._tolerance
        return 0 if ahead < 0 else ahead // self._gap + 1


def nanos(seconds: float) -> int:
    """Return whole nanoseconds."""
    return round(seconds * SECOND)
