"""Moving rows of ``anzol_outbox`` from callers' databases into Anzol's own.

Every source has a thread, so that one that is slow, locked or gone delays no other, and never the worker. Any number of
processes may move the same rows: a message is known by its id, and taking it in twice is taking it in once.

Rows are deleted about a second after they were moved, in batches. Each delete is a write in the host's own database;
on SQLite one that falls between a host's read and its write makes that transaction fail.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from anzol import ids
from anzol.errors import AnzolError, InvalidValue, SendError, StorageBusy, StorageError
from anzol.storage.face import Accepted, NewMessage, Storage
from anzol.storage.foreign import ForeignOutbox
from anzol.storage.nudging import planned
from anzol.storage.outboxrows import Row, unpack
from anzol.storage.sources import Source, open_source

log = logging.getLogger("anzol.relay")

PAGE: Final = 200  # rows
FLOOR: Final = 1.0  # seconds between two looks when nothing was said
SWEEP_EVERY: Final = 1.0  # seconds
ASK_EVERY: Final = 5.0  # seconds between questions which sources other processes have
COMPLAIN_EVERY: Final = 60.0  # seconds
LAST_WAIT: Final = 5.0  # seconds

TakeIn = Callable[[Sequence[NewMessage]], Sequence[Accepted | Exception]]


class Pace:
    """When to look next: a few times shortly after a nudge or a find, else every `FLOOR` seconds."""

    def __init__(self, now: float) -> None:
        self._looks: list[float] = []
        self._last = now - FLOOR

    def nudged(self, now: float) -> None:
        """Look soon, several times. However often it is nudged, the look that is planned next is not put off."""
        self._looks = planned(self._looks, now)

    def looked(self, now: float) -> None:
        """Forget the looks that are past."""
        self._last = now
        self._looks = [look for look in self._looks if look > now]

    def next(self) -> float:
        """Return the time of the next look, on the clock that the others were given."""
        floor = self._last + FLOOR
        return min(self._looks[0], floor) if self._looks else floor


class Mover:
    """Moves the rows of one source; remembers which it has moved until they are deleted there."""

    def __init__(self, url: str, take_in: TakeIn) -> None:
        self._url = url
        self._take_in = take_in
        self._source: Source | None = None
        self._moved: set[str] = set()
        self._refused: dict[str, str] = {}
        self._count = 0
        self._swept = 0.0
        self._well: float | None = None
        self._complained: float | None = None

    def turn(self, now: float, *, sweep: bool = False) -> int:
        """Move everything that is committed by now; return how many messages that were. Faults are logged.

        Args:
            now: Seconds on a monotonic clock.
            sweep: Delete what was moved at once, rather than when it is due.
        """
        self._count = 0
        try:
            source = self._opened()
            try:
                self._move(source)
            finally:
                if sweep or now - self._swept >= SWEEP_EVERY:
                    self._sweep(source, now)
        except AnzolError as fault:
            self._complain(fault, now)
        else:
            self._well, self._complained = now, None
        return self._count

    def close(self) -> None:
        """Delete what is still to be deleted, if that can be done at once, and close the source."""
        if self._source is None:
            return
        try:
            self._sweep(self._source, 0.0)
        except AnzolError as fault:
            log.debug("rows that were moved stay in %s until the next worker: %s", self._source.shown, fault)
        self._source.close()

    def _opened(self) -> Source:
        if self._source is None:
            self._source = open_source(self._url)
        return self._source

    def _move(self, source: Source) -> None:
        after = ""
        while page := source.read(after, PAGE):
            after = page[-1].id
            fresh = [row for row in page if row.id not in self._moved and row.id not in self._refused]
            self._hand_over(self._readable(fresh))

    def _hand_over(self, messages: Sequence[NewMessage]) -> None:
        """Offer messages to storage.

        Raises:
            StorageError: none was taken, and there is no use in offering more.
        """
        if not messages:
            return
        answers = self._take_in(messages)
        for message, answer in zip(messages, answers, strict=True):
            self._note(message, answer)
        waiting = [answer for answer in answers if isinstance(answer, Exception) and not isinstance(answer, SendError)]
        if len(waiting) == len(answers):
            raise waiting[0]

    def _readable(self, rows: Sequence[Row]) -> list[NewMessage]:
        messages = []
        for row in rows:
            try:
                messages.append(unpack(row))
            except InvalidValue as fault:
                self._set_aside(row.id, "not readable", fault)
        return messages

    def _note(self, message: NewMessage, answer: Accepted | Exception) -> None:
        match answer:
            case Accepted(duplicate=False):
                self._moved.add(message.id.hex())
                self._count += 1
            case Accepted(id=first):
                self._moved.add(message.id.hex())
                if first != message.id:
                    log.info("%s has the key and the body of %s, which is the one", shown(message.id), shown(first))
            case SendError():
                self._set_aside(message.id.hex(), f"{shown(message.id)} for customer {message.customer!r}", answer)
            case _:
                log.debug("%s waits: %s", shown(message.id), answer)

    def _set_aside(self, row: str, what: str, fault: AnzolError) -> None:
        """Keep a row that can never be accepted where it is, marked: its sender was told long ago that all is well."""
        self._refused[row] = str(fault)
        log.error("row %s of anzol_outbox (%s) is refused, and kept there, set aside: %s", row, what, fault)

    def _sweep(self, source: Source, now: float) -> None:
        if self._moved or self._refused:
            source.settle(sorted(self._moved), sorted(self._refused.items()))
            self._moved.clear()
            self._refused.clear()
        self._swept = now

    def _complain(self, fault: AnzolError, now: float) -> None:
        """Log a fault, at most once a minute; a lock is none before it has lasted a minute."""
        self._well = now if self._well is None else self._well
        since = self._well if self._complained is None and isinstance(fault, StorageBusy) else self._complained
        if since is not None and now - since < COMPLAIN_EVERY:
            return
        self._complained = now
        place = self._source.shown if self._source else "a database whose URL is not understood"
        log.warning("messages that wait in %s cannot be moved over: %s", place, fault)


class MoverThread:
    """One source's thread: looks, moves, waits."""

    def __init__(self, url: str, storage: Storage) -> None:
        self._url = url
        self._storage = storage
        self._wake = threading.Condition()
        self._pace = Pace(time.monotonic())
        self._closing = False
        self._moved = 0
        self._thread = threading.Thread(target=self._run, name="anzol-relay", daemon=True)
        self._thread.start()

    def nudge(self) -> None:
        """Look soon."""
        with self._wake:
            self._pace.nudged(time.monotonic())
            self._wake.notify()

    def taken(self) -> int:
        """Return how many messages were moved since this was last asked."""
        with self._wake:
            moved, self._moved = self._moved, 0
            return moved

    def stop(self) -> None:
        """Ask it to end after its present turn."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def join(self) -> None:
        """Wait until it has ended, but not for ever: a driver may hang."""
        self._thread.join(LAST_WAIT)
        if self.alive():
            log.warning("a database with an outbox does not answer; its relay is left behind")

    def alive(self) -> bool:
        """Say whether it runs: only a fault in Anzol or a driver ends it unasked."""
        return self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            mover = Mover(self._url, lambda messages: runner.run(accept(self._storage, messages)))
            while self._wait():
                self._count(mover.turn(time.monotonic()))
            mover.close()

    def _wait(self) -> bool:
        with self._wake:
            while not self._closing and (left := self._pace.next() - time.monotonic()) > 0:
                self._wake.wait(left)
            return not self._closing

    def _count(self, moved: int) -> None:
        with self._wake:
            now = time.monotonic()
            self._pace.looked(now)
            if moved:
                self._moved += moved
                self._pace.nudged(now)  # where one was, another follows


class Relay:
    """All sources: those that this process writes to, and those that storage knows of from others.

    Args:
        foreign: The writing side in this process, if it has one; it says where, and when something may be committed.
    """

    def __init__(self, storage: Storage, foreign: ForeignOutbox | None = None) -> None:
        self._storage = storage
        self._foreign = foreign
        self._threads: dict[str, MoverThread] = {}
        self._unlisten = foreign.listen(self._nudged) if foreign else None
        self._asked: float | None = None
        self._lock = threading.Lock()

    async def move(self) -> int:
        """See that every source has its thread; return how many messages they moved since the last call.

        Waits for none of them, so a worker may call it as often as it likes.
        """
        now = time.monotonic()
        if self._asked is None or now - self._asked >= ASK_EVERY:
            self._asked = now
            for url in await self._sources():
                self._thread(url)
        return sum(thread.taken() for thread in list(self._threads.values()))

    async def drain(self) -> int:
        """Move what is committed at this moment, delete it there, and return how many messages that were.

        Starts no thread that outlives the call. For tests that own the time, and for a worker that runs once.
        """
        moved = [asyncio.to_thread(self._drain_one, url) for url in await self._sources()]
        return sum(await asyncio.gather(*moved))

    async def close(self) -> None:
        """End the threads, each after its present turn."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        with self._lock:
            self._asked = None
            threads = list(self._threads.values())
            self._threads.clear()
        for thread in threads:
            thread.stop()
        await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))

    async def _sources(self) -> tuple[str, ...]:
        here = self._foreign.sources if self._foreign else ()
        return tuple(dict.fromkeys((*here, *await self._storage.outbox_sources())))

    def _thread(self, url: str) -> MoverThread:
        with self._lock:
            thread = self._threads.get(url)
            if thread is None or not thread.alive():
                thread = self._threads[url] = MoverThread(url, self._storage)
            return thread

    def _nudged(self, url: str) -> None:
        # On the sender's thread. A relay that nobody has asked to move starts none.
        if self._asked is not None:
            self._thread(url).nudge()

    def _drain_one(self, url: str) -> int:
        with asyncio.Runner() as runner:
            mover = Mover(url, lambda messages: runner.run(accept(self._storage, messages)))
            moved = mover.turn(time.monotonic(), sweep=True)
            mover.close()
            return moved


async def accept(storage: Storage, messages: Sequence[NewMessage]) -> Sequence[Accepted | Exception]:
    """Store several; a fault of the whole is answered for each, so that all of them wait."""
    try:
        return await storage.accept_many(messages)
    except StorageError as fault:
        return [fault] * len(messages)


def shown(message_id: bytes) -> str:
    """Show a message's id as users see it."""
    return ids.show(ids.MESSAGE, message_id)
