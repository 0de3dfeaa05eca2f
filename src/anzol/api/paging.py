"""Lists: what a request asks for, and the page that answers it, both ways.

An iterator is opaque: a cursor of storage's in base64. With ``-`` before it the page *before* that place is meant.
"""

# Annotations are real objects here: FastAPI reads them.
import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Query

from anzol.api.problems import Problem, fault
from anzol.api.shapes import Listed
from anzol.errors import InvalidValue
from anzol.model import Page

T = TypeVar("T")
R = TypeVar("R")
MOST: Final = 250
USUAL: Final = 50
EMPTY: Final = 20  # pages of storage without an item that are looked at for one page of an answer


class Ordering(StrEnum):
    """The order of a list by age, or by name."""

    ASCENDING = "ascending"
    DESCENDING = "descending"


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page: ``cursor`` is where it begins, exclusive; ``backwards``: where it ends."""

    limit: int
    cursor: str | None
    backwards: bool
    oldest_first: bool

    @property
    def reading(self) -> bool:
        """Whether storage is to read oldest first."""
        return self.oldest_first != self.backwards


def paging_with(order: Ordering) -> Callable[..., Paging]:
    """Return a dependency that reads a page's parameters; *order* counts where none is given."""

    def read(
        limit: Annotated[int, Query(ge=1, le=MOST, description="Items on a page.")] = USUAL,
        iterator: Annotated[
            str | None, Query(max_length=1024, description="The `iterator` or `prevIterator` of a page before.")
        ] = None,
        order: Annotated[Ordering, Query(description="By age, or by name.")] = order,
    ) -> Paging:
        oldest_first = order is Ordering.ASCENDING
        if not iterator:
            return Paging(limit, None, backwards=False, oldest_first=oldest_first)
        return Paging(limit, opened(iterator.removeprefix("-")), iterator.startswith("-"), oldest_first)

    return read


NewestFirst = Annotated[Paging, Depends(paging_with(Ordering.DESCENDING))]
OldestFirst = Annotated[Paging, Depends(paging_with(Ordering.ASCENDING))]


def sealed(cursor: str | None) -> str | None:
    """Return a cursor of storage's as an iterator."""
    return None if cursor is None else urlsafe_b64encode(cursor.encode()).decode().rstrip("=")


def opened(iterator: str) -> str:
    """Return the cursor in an iterator; raises Problem."""
    try:
        return urlsafe_b64decode(iterator + "=" * (-len(iterator) % 4)).decode()
    except (ValueError, binascii.Error):
        raise refused() from None


def refused() -> Problem:
    """Return the problem of an iterator that is none of ours."""
    return fault("iterator", "It is no iterator: take that of a page before.", place="query")


async def listed(
    paging: Paging, read: Callable[[str | None, int, bool], Awaitable[Page[T]]], show: Callable[[T], R]
) -> Listed[R]:
    """Answer with one page.

    Args:
        read: Reads a page of storage: (after, limit, oldest first).
        show: Makes an item what goes out.
    """
    page = await first_filled(paging, read)
    items = [show(item) for item in page.items]
    if paging.backwards:
        items.reverse()
        return Listed(
            data=items,
            iterator=sealed(page.first or paging.cursor),
            prev_iterator=back(page.last or page.next),
            done=page.next is None,
        )
    return Listed(
        data=items,
        iterator=sealed(page.next or page.last or paging.cursor),
        prev_iterator=back(page.first),
        done=page.next is None,
    )


async def first_filled(paging: Paging, read: Callable[[str | None, int, bool], Awaitable[Page[T]]]) -> Page[T]:
    """Return a page with something on it, if there is one near: PostgreSQL may find none of very many that it looks at.

    Raises:
        Problem: the cursor is none of storage's.
    """
    try:
        page = await read(paging.cursor, paging.limit, paging.reading)
        for _ in range(EMPTY):
            if page.items or page.next is None:
                break
            page = await read(page.next, paging.limit, paging.reading)
    except InvalidValue as error:
        if error.field == "after":
            raise refused() from error
        raise
    return page


def back(cursor: str | None) -> str | None:
    """Return the iterator of the page before *cursor*."""
    return None if cursor is None else f"-{sealed(cursor)}"
