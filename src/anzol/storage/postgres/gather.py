"""Concurrent sends share a commit: what comes in while one is under way goes with the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from anzol.errors import StorageError
from anzol.storage.face import NewMessage
from anzol.storage.keys import Answer
from anzol.storage.postgres.home import Home, Homes

MOST: Final = 500  # messages in one transaction
MOST_BYTES: Final = 8 * 1024 * 1024
AT_ONCE: Final = 2  # transactions under way

Later = asyncio.Task[Answer]  # the answer to what waits for somebody's open transaction
Store = Callable[[Home, Sequence[NewMessage], bool], Awaitable[list[Answer | Later]]]


@dataclass(slots=True, eq=False)
class Sending:
    """What one caller sends, and where its answer goes: a future of its loop, or of its thread.

    ``fresh``: the messages were made just now.
    """

    messages: Sequence[NewMessage]
    fresh: bool
    loop: asyncio.AbstractEventLoop | None
    future: Any
    answers: list[Answer | Later] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def size(self) -> int:
        return sum(len(message.body) for message in self.messages)

    @property
    def waits(self) -> bool:
        """Whether some of it is answered later."""
        return any(isinstance(answer, asyncio.Task) for answer in self.answers)

    def resolve(self) -> None:
        """Hand the answer over; on the thread that the future belongs to."""
        if self.future.done():  # its caller has gone
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answers)


class Gathering:
    """The sends that wait for their commit.

    Args:
        store: Stores messages at a home; answers each.
    """

    def __init__(self, homes: Homes, store: Store) -> None:
        self._homes = homes
        self._store = store
        self._waiting: deque[Sending] = deque()
        self._called = False
        self._under_way = 0

    async def send(self, messages: Sequence[NewMessage], *, fresh: bool) -> list[Answer]:
        """Store messages; wait until they are durable."""
        loop = asyncio.get_running_loop()
        sending = Sending(messages, fresh, loop, loop.create_future())
        self._add(sending)
        answers: list[Answer] = await sending.future
        return answers

    def send_sync(self, messages: Sequence[NewMessage], *, fresh: bool) -> list[Answer]:
        """As `send`, blocking the calling thread."""
        if self._homes.here():  # the loop that would do it is the one that is blocked
            return self._send_aside(messages, fresh)
        sending = Sending(messages, fresh, None, Future())
        self._add(sending)
        answers: list[Answer] = sending.future.result()
        return answers

    def _send_aside(self, messages: Sequence[NewMessage], fresh: bool) -> list[Answer]:
        async def store(home: Home) -> list[Answer]:
            return await settled(await self._store(home, messages, fresh))

        home = self._homes.aside()
        return asyncio.run_coroutine_threadsafe(home.run(store), home.loop).result()

    def _add(self, sending: Sending) -> None:
        self._waiting.append(sending)
        if self._called:
            return
        self._called = True
        try:
            self._homes.begin(self._begin)
        except StorageError:
            self._called = False
            raise

    def _begin(self, home: Home) -> None:
        # Said first: who adds now calls again, and at worst there is nothing left for him.
        self._called = False
        if self._waiting and self._under_way < AT_ONCE:
            self._under_way += 1
            _ = home.start(self._drain)

    async def _drain(self, home: Home) -> None:
        try:
            while batch := self._batch():
                await self._do(home, batch)
                hand_back([sending for sending in batch if not sending.waits], home.loop)
                for sending in batch:
                    if sending.waits:  # the others, and those who come after, do not wait for it
                        _ = home.start(partial(self._answer_later, sending=sending))
        finally:
            self._under_way -= 1

    async def _answer_later(self, home: Home, *, sending: Sending) -> None:
        sending.answers = [*await settled(sending.answers)]
        hand_back([sending], home.loop)

    def _batch(self) -> list[Sending]:
        """Return what goes into the next transaction; of one kind, and no more than is good."""
        batch: list[Sending] = []
        count = size = 0
        while self._waiting and (not batch or self._fits(batch[0], count, size)):
            sending = self._waiting.popleft()
            batch.append(sending)
            count += len(sending.messages)
            size += sending.size
        return batch

    def _fits(self, first: Sending, count: int, size: int) -> bool:
        following = self._waiting[0]
        return (
            following.fresh == first.fresh
            and count + len(following.messages) <= MOST
            and size + following.size <= MOST_BYTES
        )

    async def _do(self, home: Home, batch: Sequence[Sending]) -> None:
        messages = [message for sending in batch for message in sending.messages]
        try:
            answers = iter(await self._store(home, messages, batch[0].fresh))
            for sending in batch:
                sending.answers = [next(answers) for _ in sending.messages]
        except BaseException as error:
            for sending in batch:
                sending.error = error
            if not isinstance(error, Exception):
                hand_back(batch, home.loop)
                raise


async def settled(answers: Sequence[Answer | Later]) -> list[Answer]:
    """Return the answers, those that come later too."""
    return [await answer if isinstance(answer, asyncio.Task) else answer for answer in answers]


def hand_back(batch: Sequence[Sending], here: asyncio.AbstractEventLoop) -> None:
    """Give every caller its answer, with one call for each loop."""
    others: dict[asyncio.AbstractEventLoop, list[Sending]] = {}
    for sending in batch:
        if sending.loop is None or sending.loop is here:
            sending.resolve()
        else:
            others.setdefault(sending.loop, []).append(sending)
    for loop, theirs in others.items():
        try:
            loop.call_soon_threadsafe(resolve_all, theirs)
        except RuntimeError:  # the caller's loop has ended, and the caller with it
            continue


def resolve_all(sendings: Sequence[Sending]) -> None:
    """Hand answers over on their own loop."""
    for sending in sendings:
        sending.resolve()
