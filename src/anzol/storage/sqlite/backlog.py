"""The bound on each endpoint's backlog: what fan-out finds over it ends at once, and can be recovered.

Nobody keeps a count: that would be two more writes for each delivery. Numbers of pending rows are given once and in
order, so whoever has counted a lane knows how many may have joined it since, at most; it is counted again only where
that could be too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from anzol.lifecycle import Cause, Incident, ends
from anzol.storage.sqlite.work import Work, encode

if TYPE_CHECKING:
    from anzol.storage.sqlite.fanout import Match

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


class Backlogs:
    """What one process knows of the backlogs, between rounds of fan-out."""

    def __init__(self) -> None:
        self._counts: dict[int, Count] = {}

    def forget(self) -> None:
        """Know nothing: what was counted was not committed."""
        self._counts.clear()

    def bound(self, work: Work, matches: Sequence[Match], most: int | None) -> list[Match]:
        """Return the deliveries that may wait; end those over the bound."""
        number = work.number("anzol_pending", 0)
        if (
            most is None or number + len(matches) <= most + 1
        ):  # there never were as many rows, of all endpoints together
            return list(matches)
        self._count(
            work, {one.endpoint for one in matches if self._doubtful(work, one, number + len(matches), most)}, most
        )
        drained = {one.endpoint for one in matches if one.full and self._counts[one.endpoint].waiting <= most * 9 // 10}
        kept, over = self._split(matches, most)
        overflow(work, over, drained, most)
        return kept

    def _doubtful(self, work: Work, match: Match, number: int, most: int) -> bool:
        """Say whether a lane is to be counted: it could have too many, or has had, and was not counted just now."""
        count = self._counts.get(match.endpoint)
        if count is None:
            return True
        if count.counted + number - count.number <= most and not match.full:
            return False
        return count.counted <= CHEAP or abs(work.now - count.at) >= EACH * count.counted

    def _count(self, work: Work, lanes: Iterable[int], most: int) -> None:
        number = work.number("anzol_pending", 0)
        for lane, waiting in work.gathered("backlogs", lanes=encode(sorted(lanes)), most=most):
            self._counts[lane] = Count(waiting, number, work.now, waiting)

    def _split(self, matches: Sequence[Match], most: int) -> tuple[list[Match], list[Match]]:
        kept, over = [], []
        for match in matches:
            count = self._counts[match.endpoint]
            if count.waiting >= most:
                over.append(match)
            else:
                count.waiting += 1
                kept.append(match)
        return kept, over


def overflow(work: Work, over: Sequence[Match], drained: set[int], most: int) -> None:
    """End deliveries that are over the bound; tell of it once, until a tenth of the backlog has drained."""
    if drained:
        work.run("lanes_full", lanes=encode(sorted(drained)), full=0)
    if not over:
        return
    cause = Cause.OVERFLOWED
    work.insert(
        "delivery_new", [(one.message, one.endpoint, int(ends(cause)), int(cause), 0, work.now) for one in over]
    )
    newly = sorted({one.endpoint for one in over if not one.full or one.endpoint in drained})
    if newly:
        detail = f"{most:,} deliveries wait for it, as many as may; what comes on top is cancelled."
        work.run("lanes_full", lanes=encode(newly), full=1)
        work.insert("incident_new", [(int(Incident.ENDPOINT_FULL), work.now, lane, None, detail) for lane in newly])
