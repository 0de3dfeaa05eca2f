"""The bound on each endpoint's backlog: what fan-out finds over it ends at once, and can be recovered.

Nobody keeps a count: that would be two more writes for each delivery. Numbers of pending rows are given once and in
order, so whoever has counted a lane knows how many may have joined it since, at most; it is counted again only where
that could be too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic

from anzol.storage.placing import Id, Match

CHEAP: Final = 1000  # rows that are counted without a second thought
EACH: Final = 10  # microseconds between counts for each row counted, some hundred times what counting it takes


@dataclass(slots=True)
class Count:
    """How many deliveries waited in a lane ``at`` a time, when the next pending row was to have ``number``.

    ``waiting`` is that with what this process has added since.
    """

    counted: int
    number: int
    at: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Bound(Generic[Id]):
    """What may wait, and what is over the bound.

    ``drained`` lanes were full and are not any more; ``newly`` are those that became full, or did again.
    """

    kept: Sequence[Match[Id]]
    over: Sequence[Match[Id]] = ()
    drained: Sequence[Id] = ()
    newly: Sequence[Id] = ()


class Backlogs(Generic[Id]):
    """What one process knows of the backlogs, between rounds of fan-out. Asked in order: doubtful, learn, bound."""

    def __init__(self) -> None:
        self._counts: dict[Id, Count] = {}

    def forget(self) -> None:
        """Know nothing: what was counted was not committed."""
        self._counts.clear()

    def doubtful(self, matches: Sequence[Match[Id]], number: int, most: int, now: int) -> list[Id]:
        """Return the lanes that are to be counted: they could have too many, or have had, and were not just counted.

        Args:
            number: What the next pending row is to have.
        """
        if never_as_many(matches, number, most):
            return []
        after = number + len(matches)
        return sorted({one.endpoint for one in matches if self._is_doubtful(one, after, most, now)})

    def _is_doubtful(self, match: Match[Id], number: int, most: int, now: int) -> bool:
        count = self._counts.get(match.endpoint)
        if count is None:
            return True
        if count.counted + number - count.number <= most and not match.full:
            return False
        return count.counted <= CHEAP or abs(now - count.at) >= EACH * count.counted

    def learn(self, counts: Iterable[tuple[Id, int]], number: int, now: int) -> None:
        """Take in how many deliveries wait in lanes."""
        for lane, waiting in counts:
            self._counts[lane] = Count(waiting, number, now, waiting)

    def bound(self, matches: Sequence[Match[Id]], number: int, most: int) -> Bound[Id]:
        """Divide deliveries into those that may wait and those that are over the bound."""
        if never_as_many(matches, number, most):
            return Bound(matches)
        drained = {one.endpoint for one in matches if one.full and self._counts[one.endpoint].waiting <= most * 9 // 10}
        kept, over = self._split(matches, most)
        newly = {one.endpoint for one in over if not one.full or one.endpoint in drained}
        return Bound(kept, over, sorted(drained), sorted(newly))

    def _split(self, matches: Sequence[Match[Id]], most: int) -> tuple[list[Match[Id]], list[Match[Id]]]:
        kept, over = [], []
        for match in matches:
            count = self._counts[match.endpoint]
            if count.waiting >= most:
                over.append(match)
            else:
                count.waiting += 1
                kept.append(match)
        return kept, over


def never_as_many(matches: Sequence[Match[Id]], number: int, most: int) -> bool:
    """Say whether there never were as many rows, of all endpoints together."""
    return number + len(matches) <= most + 1


def full_detail(most: int) -> str:
    """Say what an endpoint's owner is told of a full backlog."""
    return f"{most:,} deliveries wait for it, as many as may; what comes on top is cancelled."
