"""How lists are searched: candidates in the order of an index, either way, a bounded number of them for each page.

A filter may fit a few rows among millions, and no index helps with every filter. So a query gives keys in order, and of
each whether it is meant, and one page looks at about `SCANNED` of them at most: what was found until then is the page,
and its cursor is how far it has looked. So a page may be short, or empty, while there is a next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, TypeVar

from anzol.storage.postgres.work import Work

SCANNED: Final = 20_000  # keys looked at for one page
GROWTH: Final = 8  # how many more are asked for each time, if those before were not enough
LEAST: Final = 8  # keys asked for at once
SPARSE: Final = 4  # keys asked for at first, for each that is wanted, if there is a filter

Key = tuple[bytes, ...]
Place = TypeVar("Place", bytes, Key)
FIRST: Final = bytes(16)  # before every id
LAST: Final = b"\xff" * 16  # behind every id


@dataclass(frozen=True, slots=True)
class Way:
    """Which way a list goes: from the newest to the oldest, or the other way round."""

    oldest_first: bool = False

    @property
    def start(self) -> bytes:
        """What comes before every id."""
        return FIRST if self.oldest_first else LAST

    @property
    def end(self) -> bytes:
        """What comes behind every id."""
        return LAST if self.oldest_first else FIRST

    def comes_after(self, one: Place, other: Place) -> bool:
        """Say whether *one* comes after the *other*."""
        return one > other if self.oldest_first else one < other

    def farther(self, one: Place, other: Place) -> Place:
        """Return the one that comes after the other."""
        return one if self.comes_after(one, other) else other

    def nearest(self, keys: Iterable[Key]) -> Key | None:
        """Return the key that comes before the others."""
        return (min if self.oldest_first else max)(keys, default=None)

    def ordered(self, keys: Iterable[Key]) -> list[Key]:
        return sorted(keys, reverse=not self.oldest_first)

    def before(self, raw: bytes) -> bytes:
        """Return the id that comes right before this one."""
        number = int.from_bytes(raw, "big") + (-1 if self.oldest_first else 1)
        return min(max(number, 0), int.from_bytes(LAST, "big")).to_bytes(16, "big")


NEWEST_FIRST: Final = Way()


@dataclass(frozen=True, slots=True)
class Source:
    """A query for keys, in the order of a way.

    Args:
        conditions: What is meant.
        width: Columns of a key.
        groups: How many endpoints it looks into, side by side; each has as many rows as asked for. 0: it has one order.
    """

    query: str
    conditions: Sequence[str]
    values: Mapping[str, Any]
    width: int
    groups: int = 0
    way: Way = NEWEST_FIRST


@dataclass(slots=True)
class Stretch:
    """What was found: keys that are meant. All before ``end``, and that, was seen (None: all there is)."""

    keys: list[Key] = field(default_factory=list)
    end: Key | None = None


async def search(work: Work, source: Source, after: Key, most: int, budget: int = SCANNED) -> Stretch:
    """Look for *most* keys that are meant, until there are no more or *budget* were looked at."""
    found: list[Key] = []
    wanted = most * (SPARSE if len(source.conditions) > 1 else 1)
    each = max(LEAST, wanted // max(1, source.groups))
    while True:
        rows = await ask(work, source, after, each)
        seen = stretch_of(source, rows, each)
        found += seen.keys
        budget -= len(rows)
        if seen.end is None or len(found) >= most or budget <= 0:
            return Stretch(found, seen.end)
        after = seen.end
        each = max(LEAST, min(each * GROWTH, budget // max(1, source.groups)))


async def ask(work: Work, source: Source, after: Key, each: int) -> list[Any]:
    """Return keys behind a place."""
    values = {**dict(zip(("after", "after_endpoint"), after, strict=False)), **source.values, "each": each}
    return await work.listed(source.query, source.conditions, oldest_first=source.way.oldest_first, **values)


def stretch_of(source: Source, rows: Sequence[Any], each: int) -> Stretch:
    """Return what rows say: keys, and behind them whether they are meant."""
    keys = [(key_of(row, source), row[-1]) for row in rows]
    if source.groups:
        runs = [[key for key, _ in run] for _, run in groupby(keys, key=lambda pair: pair[0][1])]
        end = source.way.nearest(run[-1] for run in runs if len(run) == each)
    else:
        end = keys[-1][0] if len(keys) == each else None
    return Stretch([key for key, meant in keys if meant and is_seen(source.way, key, end)], end)


def key_of(row: Any, source: Source) -> Key:
    """Return a row's key; an endpoint that is missing is the last one of its message."""
    return tuple(source.way.end if part is None else part for part in row[: source.width])


def is_seen(way: Way, key: Key, end: Key | None) -> bool:
    """Say whether a key lies within what was seen."""
    return end is None or not way.comes_after(key, end)


def merged(way: Way, stretches: Iterable[Stretch]) -> Stretch:
    """Return what all of them saw: no further than the one that has seen least."""
    known = list(stretches)
    end = way.nearest(one.end for one in known if one.end is not None)
    return Stretch(way.ordered({key for one in known for key in one.keys if is_seen(way, key, end)}), end)


def cut(found: Stretch, limit: int) -> tuple[list[Key], Key | None]:
    """Return a page of what was found, and where the next one begins."""
    if len(found.keys) > limit > 0:
        return found.keys[:limit], found.keys[limit - 1]
    return found.keys[:limit], found.end
