"""How many requests an endpoint gets at once: more while it answers, few as soon as it says or shows that it cannot."""

from __future__ import annotations

from typing import Final

from anzol.lifecycle import Outcome

OVERLOADED: Final = frozenset({429, 502, 504})
SILENT: Final = frozenset({Outcome.TIMEOUT, Outcome.CONNECT_TIMEOUT})
BEGIN: Final = 4
CEILING: Final = 128


class Concurrency:
    """One number that grows by addition and shrinks by division.

    Until the first failure it grows by one for each success, so that a backlog is soon at full speed; after one, like
    that only up to half of what was too much, and from there by one for each round of requests.
    """

    __slots__ = ("_ceiling", "_limit", "_turning")

    def __init__(self, *, ceiling: int = CEILING, begin: int = BEGIN) -> None:
        self._ceiling = ceiling
        self._limit = float(min(begin, ceiling))
        self._turning = float(ceiling)

    @property
    def limit(self) -> int:
        return int(self._limit)

    def succeeded(self) -> None:
        if self._limit < self._ceiling:
            self._limit = min(self._ceiling, self._limit + (1.0 if self._limit < self._turning else 1 / self._limit))

    def failed(self, outcome: Outcome, status: int | None) -> None:
        """Shrink: to one where the receiver is silent or overloaded, to half otherwise."""
        self._turning = max(1.0, self._limit / 2)
        self._limit = 1.0 if outcome in SILENT or status in OVERLOADED else self._turning

    def quieten(self) -> None:
        """Shrink to one: an answer is overdue."""
        if self._limit > 1:
            self._turning = max(1.0, self._limit / 2)
            self._limit = 1.0
