"""What a run shows: the receiver's count against the database's."""

from __future__ import annotations

import asyncio
import collections
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from anzol.lifecycle import Outcome, State
from anzol.storage.face import Selection, Storage
from tests.faults.program import make
from tests.faults.receiver import CountingReceiver

ENVIRONMENT = "default"


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run shows.

    Args:
        tried: How often something was done to it, by name.
        lost: Acknowledged messages that never arrived, those given up as poison not counted.
        half: Messages that are stored, acknowledged or not, and never arrived; poison not counted.
        stuck: Deliveries that still waited when patience ended.
        unrecorded: Requests without an attempt.
        unrequested: Attempts that were answered, without a request.
        duplicates: Requests beyond the first of a message. ``unexplained``: those that no attempt accounts for which
            was interrupted, or was not answered in time.
        poisoned: Deliveries that too many workers died under; they are shown as exhausted, and not sent.
        repeated: Keys that more than one message was sent with.
        broken: Sentences about rules of the database that did not hold in some snapshot.
        crashes: Tracebacks that the programs wrote.
    """

    tried: dict[str, int]
    acknowledged: int
    stored: int
    requests: int
    attempts: int
    lost: int
    half: int
    stuck: int
    unrecorded: int
    unrequested: int
    duplicates: int
    unexplained: int
    interrupted: int
    unanswered: int
    poisoned: int
    repeated: int
    broken: tuple[str, ...]
    crashes: int
    seconds_until_quiet: float

    @property
    def faults(self) -> dict[str, Any]:
        """What must not be, as far as it was."""
        names = ("lost", "half", "stuck", "unrecorded", "unrequested", "unexplained", "repeated", "broken", "crashes")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


@dataclass(slots=True)
class Stored:
    """What the database has, by message id."""

    messages: set[str] = field(default_factory=set)
    attempts: collections.Counter[str] = field(default_factory=collections.Counter)
    interrupted: collections.Counter[str] = field(default_factory=collections.Counter)
    answered: collections.Counter[str] = field(default_factory=collections.Counter)
    poisoned: set[str] = field(default_factory=set)


@asynccontextmanager
async def opened(database: str) -> AsyncIterator[Storage]:
    _, webhooks = make(database)
    try:
        yield await webhooks.core.storage()
    finally:
        await webhooks.close()


async def wait_until_quiet(database: str, patience: float) -> int:
    """Wait until nothing waits; return how much still does when patience ends."""
    end = time.monotonic() + patience
    async with opened(database) as storage:
        while True:
            status = await storage.status(ENVIRONMENT)
            waiting = status.accepted_waiting + status.pending
            if not waiting or time.monotonic() > end:
                return waiting
            await asyncio.sleep(0.2)


async def read_all(database: str) -> Stored:
    """Read what was stored, and every attempt."""
    found = Stored()
    async with opened(database) as storage:
        async for message in pages(lambda after: storage.messages(ENVIRONMENT, Selection(), after=after, limit=1000)):
            found.messages.add(message.id)
        async for attempt in pages(lambda after: storage.attempts(ENVIRONMENT, Selection(), after=after, limit=1000)):
            found.attempts[attempt.message_id] += 1
            found.interrupted[attempt.message_id] += attempt.outcome is Outcome.INTERRUPTED
            found.answered[attempt.message_id] += attempt.outcome is Outcome.OK
        ended = Selection(states=(State.EXHAUSTED,))
        async for one in pages(lambda after: storage.deliveries(ENVIRONMENT, ended, after=after, limit=1000)):
            found.poisoned.add(one.message_id)
    return found


async def pages(ask: Callable[[str | None], Awaitable[Any]]) -> AsyncIterator[Any]:
    """Give the items of all pages."""
    after: str | None = None
    while True:
        page = await ask(after)
        for item in page.items:
            yield item
        after = page.next
        if after is None:
            return


def count(
    tried: dict[str, int],
    acknowledged: list[str],
    receiver: CountingReceiver,
    stored: Stored,
    **known: Any,
) -> Counts:
    """Put what arrived beside what is stored."""
    seen = receiver.seen
    failed = stored.attempts - stored.answered
    return Counts(
        tried=tried,
        acknowledged=len(acknowledged),
        stored=len(stored.messages),
        requests=seen.total(),
        attempts=stored.attempts.total(),
        lost=sum(not seen[one] for one in acknowledged if one not in stored.poisoned),
        half=sum(not seen[one] for one in stored.messages - stored.poisoned),
        unrecorded=sum(max(0, number - stored.attempts[one]) for one, number in seen.items()),
        unrequested=sum(max(0, number - seen[one]) for one, number in stored.answered.items()),
        duplicates=sum(number - 1 for number in seen.values()),
        unexplained=sum(max(0, number - 1 - failed[one]) for one, number in seen.items()),
        interrupted=stored.interrupted.total(),
        unanswered=(failed - stored.interrupted).total(),
        poisoned=len(stored.poisoned),
        repeated=sum(len(messages) > 1 for messages in receiver.ids.values()),
        **known,
    )


class Watched(Protocol):
    """A storage that can be asked whether its rules hold."""

    async def broken(self) -> tuple[str, ...]: ...


class Monitor:
    """Looks all the time, in a thread of its own, whether the database's rules hold in a snapshot."""

    def __init__(self, database: str, pause: float = 0.5) -> None:
        self.looks = 0
        self.broken: set[str] = set()
        self._database = database
        self._pause = pause
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(60)

    async def _watch(self) -> None:
        async with opened(self._database) as storage:
            while not self._ending.is_set():
                await self._look(storage)
                await asyncio.sleep(self._pause)

    async def _look(self, storage: Any) -> None:
        from anzol.errors import StorageError

        try:
            self.broken.update(await storage.broken())
            self.looks += 1
        except StorageError:
            pass  # the database is down just now
