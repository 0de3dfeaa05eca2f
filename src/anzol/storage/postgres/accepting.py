"""The face's first group: taking messages in, many callers in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from anzol.errors import StorageBusy
from anzol.storage.face import Accepted, NewMessage
from anzol.storage.keys import Answer
from anzol.storage.postgres import accept
from anzol.storage.postgres.calls import Calls
from anzol.storage.postgres.connections import explained, lost
from anzol.storage.postgres.gather import Gathering, Later
from anzol.storage.postgres.home import Home

SOON: Final = "set local lock_timeout = '50ms'"


class Accepting(Calls):
    """Stores messages; those that may wait for somebody's open transaction stall no others."""

    def begin_anew(self) -> None:
        super().begin_anew()
        self._gathering = Gathering(self.homes, self._store)

    async def accept(self, message: NewMessage) -> Accepted:
        accept.refuse_nul(message)
        return only(await self._gathering.send((message,), fresh=True))

    def accept_sync(self, message: NewMessage) -> Accepted:
        accept.refuse_nul(message)
        return only(self._gathering.send_sync((message,), fresh=True))

    async def accept_many(self, messages: Sequence[NewMessage]) -> Sequence[Accepted | Exception]:
        return await self._gathering.send(messages, fresh=False)

    async def _store(self, home: Home, messages: Sequence[NewMessage], fresh: bool) -> list[Answer | Later]:
        """Store messages, and wake workers; what waits for somebody's open transaction is answered later."""
        answers = await self._store_all(home, messages, fresh)
        self._nudge(home, answers)
        return answers

    def _nudge(self, home: Home, answers: Sequence[Answer | Later]) -> None:
        if any(isinstance(answer, Accepted) and not answer.duplicate for answer in answers):
            self.nudge_here()
            if not self.listeners:
                self.nudger.tell(home)

    async def _store_all(self, home: Home, messages: Sequence[NewMessage], fresh: bool) -> list[Answer | Later]:
        if not any(message.key is not None for message in messages):
            return await self._store_some(home, messages, fresh)
        plain = [message for message in messages if message.key is None]
        keyed = [message for message in messages if message.key is not None]
        stored = await asyncio.gather(self._store_some(home, plain, fresh), self._store_some(home, keyed, fresh))
        without, with_key = map(iter, stored)
        return [next(without if message.key is None else with_key) for message in messages]

    async def _store_some(self, home: Home, messages: Sequence[NewMessage], fresh: bool) -> list[Answer | Later]:
        """Store messages together; each by itself, later, if that fails: one answers for no other."""
        if not messages:
            return []
        doubtful: set[bytes] = set()
        try:
            return [*await self._store_together(home, messages, fresh, doubtful)]
        except Exception as error:  # noqa: BLE001 whatever it was, it is one sender's, or everybody's
            if lost(error) or (len(messages) == 1 and messages[0].key is None):
                return [explained(error)] * len(messages)
        alone = [partial(self._store_alone, message=message, fresh=fresh, doubtful=doubtful) for message in messages]
        return [home.start(store) for store in alone]

    async def _store_together(
        self, home: Home, messages: Sequence[NewMessage], fresh: bool, doubtful: set[bytes]
    ) -> list[Answer]:
        if all(message.key is None for message in messages):
            return await self._insert(lambda: home.statements("accept"), messages, fresh, doubtful)
        return await self._insert(lambda: self._impatient(home), messages, fresh, doubtful)

    async def _store_alone(self, home: Home, message: NewMessage, fresh: bool, doubtful: set[bytes]) -> Answer:
        """Store a message that others must not wait for."""
        try:
            try:  # it may be another one whose key is in somebody's hands: then it need not queue for a long wait
                (answer,) = await self._insert(lambda: self._impatient(home), (message,), fresh, doubtful)
            except StorageBusy:
                (answer,) = await self._insert(lambda: home.transaction("waiting"), (message,), fresh, doubtful)
        except Exception as error:  # noqa: BLE001 whatever it was, it is its sender's
            return explained(error)
        self._nudge(home, (answer,))
        return answer

    @asynccontextmanager
    async def _impatient(self, home: Home) -> AsyncIterator[Any]:
        async with home.transaction("accept") as connection:
            await connection.execute(SOON)
            yield connection

    async def _insert(
        self, lend: Callable[[], Any], messages: Sequence[NewMessage], fresh: bool, doubtful: set[bytes]
    ) -> list[Answer]:
        """Insert messages; if the connection was lost, ask again: their ids tell whether they were stored.

        Args:
            doubtful: Ids of messages of which a try may have been committed without our hearing of it; added to.
        """

        async def insert() -> list[Answer]:
            try:
                async with lend() as connection:
                    answers = await accept.accept(self.work(connection), messages, fresh=fresh)
            except BaseException as error:
                if lost(error):
                    doubtful.update(message.id for message in messages)
                raise
            pairs = zip(answers, messages, strict=True)
            return [own(answer, message) if message.id in doubtful else answer for answer, message in pairs]

        return await self.again(insert, lossy=True)


def only(answers: Sequence[Answer]) -> Accepted:
    """Return the one answer, or raise it."""
    (answer,) = answers
    if isinstance(answer, Exception):
        raise answer
    return answer


def own(answer: Answer, message: NewMessage) -> Answer:
    """Return the answer to a second try: what the first one stored, before its connection was lost, is no duplicate."""
    first = isinstance(answer, Accepted) and answer.id == message.id
    return Accepted(message.id) if first else answer
