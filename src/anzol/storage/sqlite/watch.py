"""Looking on: what was recorded since a mark, which is the number of an attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anzol import ids
from anzol.errors import InvalidValue
from anzol.model import Endpoint
from anzol.storage import rows
from anzol.storage.books import Recorded
from anzol.storage.sqlite.read import customer_id_of, environment_number
from anzol.storage.sqlite.work import Work

LONGEST = 18  # digits of a number


def recorded(work: Work, environment: str, customer: str | None, mark: str | None, limit: int) -> Recorded:
    """Return attempts recorded since a mark; one writer numbers them in that order."""
    row = work.one("last_number", table="anzol_attempt")
    newest = int(row[0]) if row else 0
    if mark is None:
        return Recorded((), str(newest), more=False)
    number = environment_number(work, environment)
    owner = None if customer is None else customer_id_of(work, environment, customer)
    after, most = read_mark(mark), limit + 1
    found = work.all("attempts_recorded", after=after, environment=number, customer_id=owner, most=most)
    items = tuple((rows.attempt_of(row[1:]), str(row[0])) for row in found[:limit])
    if len(found) > limit:
        return Recorded(items, items[-1][1], more=True)
    return Recorded(items, str(max(newest, after, *(row[0] for row in found))), more=False)


def read_mark(text: str) -> int:
    """Read a mark; raises InvalidValue."""
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST):
        raise InvalidValue(f"{text[:80]!r} is not a mark.", field="after", do="Take the id of an event before.")
    return int(text)


def endpoints_of(work: Work, environment: str, endpoint_ids: Sequence[str]) -> Mapping[str, Endpoint]:
    """Return those of some endpoints that ever were, by id."""
    number = environment_number(work, environment)
    found = {}
    for shown in dict.fromkeys(endpoint_ids):
        row = work.one("endpoint_any", id=raw_of(shown), environment=number)
        if row is not None:
            found[shown] = rows.endpoint_of(row)
    return found


def raw_of(shown: str) -> bytes:
    """Return the id that is shown; of what is none, one that nothing has."""
    try:
        return ids.read(ids.ENDPOINT, shown)
    except InvalidValue:
        return b""
