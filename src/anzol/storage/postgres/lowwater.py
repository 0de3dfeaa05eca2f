"""Where the outbox begins: from which row on to look, so that no round reads over the many that are done.

PostgreSQL keeps deleted rows until no old snapshot could see them: reading over 1.5 million of them takes a fifth of a
second. Numbers are given before a transaction commits, though, so one that was long under way may turn up behind the
mark: it lags by some time, and every second all of the outbox is looked at.
"""

from __future__ import annotations

from typing import Final

LAG: Final = 0.25  # seconds; the mark lags by this to twice this
SWEEP: Final = 1.0  # seconds


class LowWater:
    """The mark of one worker. Times are in seconds of a clock that is never set."""

    __slots__ = ("_low", "_marked", "_next", "_swept")

    def __init__(self) -> None:
        self._low = self._next = 0
        self._marked = self._swept = float("-inf")

    def mark(self, now: float) -> int:
        """Return the number of the first row to look at; 0 every second."""
        if now - self._swept < SWEEP:
            return self._low
        self._swept = now
        return 0

    def through(self, number: int, now: float) -> None:
        """Learn that nothing is left before *number*, as far as was looked."""
        if now - self._marked >= LAG:
            self._low, self._next = min(self._next, number), number
            self._marked = now

    def sweep(self) -> None:
        """Look at all of it the next time."""
        self._swept = float("-inf")
