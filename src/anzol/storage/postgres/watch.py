"""Looking on: what was recorded since a mark, in which a snapshot of the database says what had been seen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from anzol import ids
from anzol.errors import InvalidValue
from anzol.model import Endpoint
from anzol.storage import rows
from anzol.storage.books import Recorded
from anzol.storage.postgres.find import id_in
from anzol.storage.postgres.read import COUNTED_IN_LISTS, customer_id_of
from anzol.storage.postgres.search import FIRST
from anzol.storage.postgres.work import Work

MICRO: Final = timedelta(microseconds=1)
SNAPSHOT: Final = re.compile(r"([1-9][0-9]{0,17}):([1-9][0-9]{0,17}):((?:[1-9][0-9]{0,17},?)*)", re.ASCII)
MARK: Final = re.compile(r"([0-9]{1,17})\.([0-9:,]+)(?:\.([0-9]{1,17})\.([0-9:,]+)\.([0-9A-Za-z]{22}))?", re.ASCII)
OF_CUSTOMER: Final = "a.endpoint_id = any(array(select e.id from anzol.endpoint e where e.customer_id = :customer_id))"


@dataclass(frozen=True, slots=True)
class Mark:
    """What was seen: all that the snapshot ``seen`` sees, which is of the time ``since``.

    Within a page that was cut, also what ``through`` sees (of the time ``until``) up to the attempt ``after``.
    """

    since: int
    seen: str
    until: int = 0
    through: str = ""
    after: bytes = FIRST

    def text(self) -> str:
        """Write what `read_mark` reads."""
        within = f".{self.until}.{self.through}.{ids.show('', self.after)}" if self.through else ""
        return f"{self.since}.{self.seen}{within}"


def read_mark(text: str) -> Mark:
    """Read a mark; raises InvalidValue."""
    found = MARK.fullmatch(text)
    if found is not None:
        since, seen, until, through, after = found.groups()
        if is_snapshot(seen) and (through is None or is_snapshot(through)):
            if through is None:
                return Mark(int(since), seen)
            return Mark(int(since), seen, int(until), through, ids.read("", after))
    raise InvalidValue(f"{text[:80]!r} is not a mark.", field="after", do="Take the id of an event before.")


def is_snapshot(text: str) -> bool:
    """Say whether the database would read *text* as a snapshot: its numbers in order, none twice."""
    found = SNAPSHOT.fullmatch(text)
    if found is None or found[3].endswith(","):
        return False
    least, most = int(found[1]), int(found[2])
    under_way = [int(number) for number in found[3].split(",") if number]
    return least <= most and under_way == sorted({*under_way}) and all(least <= one < most for one in under_way)


async def recorded(
    work: Work, environment: str, customer: str | None, mark: str | None, reach: timedelta, limit: int
) -> Recorded:
    """Return attempts recorded since a mark."""
    now, snapshot = await moment(work)
    if mark is None:
        return Recorded((), Mark(now, snapshot).text(), more=False)
    given = read_mark(mark)
    place = given if given.through else Mark(given.since, given.seen, now, snapshot)
    first = ids.first_at(max(0, place.since - reach // MICRO))
    values: dict[str, Any] = {"seen": place.seen, "through": place.through, "after": max(first, place.after)}
    conditions = []
    if customer is not None:
        conditions.append(OF_CUSTOMER)
        values["customer_id"] = await customer_id_of(work, environment, customer)
    found = await work.listed("attempts_recorded", conditions, environment=environment, most=limit + 1, **values)
    marks = [Mark(place.since, place.seen, place.until, place.through, row[0]).text() for row in found[:limit]]
    items = tuple(zip([rows.attempt_of(row) for row in found[:limit]], marks, strict=True))
    if len(found) > limit:
        return Recorded(items, marks[-1], more=True)
    return Recorded(items, Mark(place.until, place.through).text(), more=bool(given.through))


async def moment(work: Work) -> tuple[int, str]:
    """Return the time and the snapshot of this transaction."""
    snapshot, now = await work.the("snapshot", "snapshot")
    return int(now), str(snapshot)


async def endpoints_of(work: Work, environment: str, endpoint_ids: Sequence[str]) -> Mapping[str, Endpoint]:
    """Return those of some endpoints that ever were, by id."""
    known = [raw for raw in (id_in(ids.ENDPOINT, shown) for shown in endpoint_ids) if raw is not None]
    values = {"ids": list(dict.fromkeys(known)), "environment": environment, "bound": COUNTED_IN_LISTS}
    return {one.id: one for one in map(rows.endpoint_of, await work.all("endpoints_any", **values))}
