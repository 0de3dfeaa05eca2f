"""The bound on each endpoint's backlog, counted and written."""

from __future__ import annotations

from collections.abc import Sequence

from anzol.lifecycle import Cause, Incident, ends
from anzol.storage.backlogs import Backlogs, Bound, full_detail
from anzol.storage.placing import Match
from anzol.storage.sqlite.work import Work, encode


def bound(work: Work, backlogs: Backlogs[int], matches: Sequence[Match[int]], most: int | None) -> Sequence[Match[int]]:
    """Return the deliveries that may wait; end those over the bound."""
    if most is None:
        return matches
    number = work.number("anzol_pending", 0)
    lanes = backlogs.doubtful(matches, number, most, work.now)
    if lanes:
        backlogs.learn(work.gathered("backlogs", lanes=encode(lanes), most=most), number, work.now)
    found = backlogs.bound(matches, number, most)
    overflow(work, found, most)
    return found.kept


def overflow(work: Work, found: Bound[int], most: int) -> None:
    """End deliveries that are over the bound; tell of it once, until a tenth of the backlog has drained."""
    if found.drained:
        work.run("lanes_full", lanes=encode(list(found.drained)), full=0)
    cause = Cause.OVERFLOWED
    work.insert(
        "delivery_new", [(one.message, one.endpoint, int(ends(cause)), int(cause), 0, work.now) for one in found.over]
    )
    if found.newly:
        work.run("lanes_full", lanes=encode(list(found.newly)), full=1)
        kind, detail = int(Incident.ENDPOINT_FULL), full_detail(most)
        work.insert("incident_new", [(kind, work.now, lane, None, detail, 1) for lane in found.newly])
