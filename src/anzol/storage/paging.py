"""Pages of lists that are the same on every engine: their cursors are numbers, or names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from anzol.errors import InvalidValue
from anzol.model import Page
from anzol.storage.rows import Row

T = TypeVar("T")
ENDLESS: Final = (1 << 62) - 1


def page_of(found: Sequence[Row], limit: int, show: Callable[[Sequence[object]], T]) -> Page[T]:
    """Return a page of rows, whose last column makes the cursor; one more than *limit* says there is more."""
    kept = found[:limit]
    items = tuple(show(row[:-1]) for row in kept)
    if not items:
        return Page(items)
    first, last = str(kept[0][-1]), str(kept[-1][-1])
    return Page(items, last if len(found) > limit else None, first, last)


def read_number(after: object, *, oldest_first: bool) -> int:
    """Read the cursor of a list in the order of numbers; None: where it begins.

    Raises:
        InvalidValue: it is none of ours.
    """
    if after is None:
        return 0 if oldest_first else ENDLESS
    if not isinstance(after, str) or not after.isascii() or not after.isdecimal() or len(after) > len(str(ENDLESS)):
        raise InvalidValue(
            f"{after!r} is not a cursor.", field="after", do="Take the `next`, `first` or `last` of a page."
        )
    return min(int(after), ENDLESS)
