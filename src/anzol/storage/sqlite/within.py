"""Which rows were made within a time: their ids are of that time, and of the ids there is an index."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from anzol import ids
from anzol.clock import to_micros
from anzol.storage.sqlite.read import ENDLESS
from anzol.storage.sqlite.work import Work

EARLIER: Final = 3_600_000_000  # microseconds by which an id may be older, or newer, than what it is the id of
MANY: Final = 100_000  # rows that are looked through; of more, each list looks at its own
NONE: Final = (1, 0)
ALL: Final = (0, ENDLESS)


def first_and_last(since: datetime | None, until: datetime | None) -> tuple[bytes, bytes]:
    """Return the least id that may be of a time, and the least that cannot any more."""
    first = bytes(16) if since is None else ids.first_at(max(0, to_micros(since) - EARLIER))
    last = b"\xff" * 16 if until is None else ids.first_at(max(0, to_micros(until) + EARLIER))
    return first, last


def messages(work: Work, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return between which numbers the messages are that were accepted within a time; wider if they are many."""
    return numbers(work, "messages_within", since, until)


def attempts(work: Work, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return between which numbers the attempts are that were started within a time; wider if they are many."""
    return numbers(work, "attempts_within", since, until)


def numbers(work: Work, query: str, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return the least and the greatest number of rows whose ids are of a time.

    All of these ids are looked at: what a relay brings late has a high number, and an id of long ago.
    """
    first, last = first_and_last(since, until)
    count, least, greatest = work.the(query, "row", first=first, last=last, most=MANY + 1)
    if count > MANY:
        return ALL
    return (int(least), int(greatest)) if count else NONE
