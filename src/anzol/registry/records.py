"""What every part of the registry stands on, and how its lists are paged."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Final, TypeVar

from anzol.clock import Clock
from anzol.errors import InvalidValue
from anzol.model import Page
from anzol.outbox import Webhook
from anzol.storage.face import Storage

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)
MOST: Final = 250  # items of one page


@dataclass(frozen=True, slots=True)
class Records:
    """What the registry needs. ``storage`` returns a database that is ready; it is opened on first use.

    ``check_target`` refuses a URL that may not be delivered to; ``name_of`` says what a declared function is called
    on the wire; ``names`` are the declared event types, empty where no application is loaded.
    """

    environment: str
    storage: Callable[[], Awaitable[Storage]]
    check_target: Callable[[str], Awaitable[None]]
    names: Callable[[], tuple[str, ...]]
    name_of: Callable[[Callable[..., Any]], str]
    random: Callable[[int], bytes]
    clock: Clock

    def event_type(self, webhook: Webhook, field: str = "event_type") -> str:
        """Return the event type's name, once it is a declared one.

        Raises:
            InvalidValue: none of this name is declared; the nearest one is named.
        """
        if not isinstance(webhook, str):
            return self.name_of(webhook)
        names = self.names()
        if names and webhook not in names:
            raise InvalidValue(f"{webhook!r} is not a declared event type.", field=field, do=meant(webhook, names))
        return webhook

    def event_types(self, webhooks: Iterable[Webhook]) -> tuple[str, ...]:
        """Return the names of several, each once."""
        if isinstance(webhooks, str):
            raise InvalidValue(
                "event_types is a list of names, not one name.", field="event_types", do=f"Write [{webhooks!r}]."
            )
        if not isinstance(webhooks, Iterable):
            raise InvalidValue("event_types is a list of names or declared functions.", field="event_types")
        return tuple(dict.fromkeys(self.event_type(webhook, "event_types") for webhook in webhooks))


def meant(name: str, names: tuple[str, ...]) -> str:
    """Say which of *names* was probably meant."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Declared are: {', '.join(names)}."


def check_limit(limit: object) -> int:
    """Return the size of a page once it is 1 to 250."""
    if not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise InvalidValue(f"A page has 1 to {MOST} items, not {limit}.", field="limit")
    return limit


def check_time(moment: object, field: str) -> datetime | None:
    """Return a time once it has a zone; None stays None."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise InvalidValue(f"{field} is a datetime, not a {type(moment).__name__}.", field=field)
    if moment.utcoffset() is None:
        raise InvalidValue(f"{field} has no time zone.", field=field, do="Write datetime.now(UTC) - timedelta(...).")
    return moment


def check_members(given: object, kind: type[E], field: str) -> tuple[E, ...]:
    """Return members of an enumeration, once that is what all of them are."""
    found: list[E] = []
    for member in given if isinstance(given, Iterable) else (given,):
        if not isinstance(member, kind):
            names = ", ".join(f"{kind.__name__}.{known.name}" for known in kind)
            raise InvalidValue(f"{member!r} is none of {field}.", field=field, do=f"Write [{names}], or some of them.")
        found.append(member)
    return tuple(found)


async def every(page: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """Yield the items of all pages; *page* reads the one after a cursor."""
    after: str | None = None
    while True:
        found = await page(after)
        for item in found.items:
            yield item
        if found.next is None:
            return
        after = found.next
