"""When a busy worker leaves lanes to others that hold fewer: one that starts later has its part within seconds.

A worker keeps its lanes while there is something in them, so those of one that is busy would never be free. It gives
back a few and takes none for a moment; if the others have taken those, it gives more, else it waits longer each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EVERY: Final = 1.0  # seconds between looks at what the others hold
LONGEST: Final = 60.0  # seconds between portions that nobody takes
MODEST: Final = 1.5  # seconds without taking lanes after some were given back: others poll as often
FIRST: Final = 20  # lanes
LARGEST: Final = 200
UNEQUAL: Final = 10  # one part in so many above the even share is even enough


class Sharing:
    """What one worker knows of it. Times are seconds of a clock that is never set."""

    __slots__ = ("_again_at", "_given", "_modest_until", "_others", "_pause", "_portion")

    def __init__(self) -> None:
        self._portion = FIRST
        self._pause = EVERY
        self._given = 0
        self._others = 0
        self._again_at = self._modest_until = float("-inf")

    def due(self, now: float) -> bool:
        """Say whether it is time to look at what the others hold."""
        return now >= self._again_at and not self.modest(now)

    def modest(self, now: float) -> bool:
        """Say whether lanes are left to others."""
        return now < self._modest_until

    def give(self, me: int, held: Mapping[int, int], now: float) -> int:
        """Return how many lanes to give back.

        Args:
            held: How many lanes each live worker holds.
        """
        mine, others = held.get(me, 0), sum(held.values()) - held.get(me, 0)
        if self._given:
            self._learn(taken=others - self._others)
        over = excess(mine, others, len(held))
        self._given = min(over, self._portion)
        self._others = others
        self._again_at = now + self._pause
        if self._given:
            self._modest_until = now + MODEST
        return self._given

    def _learn(self, taken: int) -> None:
        """Give more the next time if the last portion was taken; if not, less, and later."""
        if 2 * taken >= self._given:
            self._portion, self._pause = min(LARGEST, 2 * self._portion), EVERY
        else:
            self._portion, self._pause = FIRST, min(LONGEST, 2 * self._pause)


def excess(mine: int, others: int, workers: int) -> int:
    """Return how many lanes a worker holds beyond its even share; 0 if that is about even."""
    if workers < 2:
        return 0
    share = -(-(mine + others) // workers)
    return mine - share if mine - share > max(1, share // UNEQUAL) else 0
