"""The face's first group: taking messages in, many callers in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum, auto
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

SOON: Final = "50ms"  # how long messages that share a commit wait for others' open transactions


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
        kinds = [kind_of(message) for message in messages]
        if len(set(kinds)) == 1:
            return await self._store_some(home, messages, fresh)
        parts = {kind: [m for m, own in zip(messages, kinds, strict=True) if own is kind] for kind in set(kinds)}
        stored = await asyncio.gather(*(self._store_some(home, part, fresh) for part in parts.values()))
        answers = dict(zip(parts, map(iter, stored), strict=True))
        return [next(answers[kind]) for kind in kinds]

    async def _store_some(self, home: Home, messages: Sequence[NewMessage], fresh: bool) -> list[Answer | Later]:
        """Store messages of one kind together; each by itself, later, if that fails: one answers for no other."""
        if not messages:
            return []
        doubtful: set[bytes] = set()
        try:
            return [*await self._insert(home, messages, fresh, doubtful, patient=False)]
        except Exception as error:  # noqa: BLE001 whatever it was, it is one sender's, or everybody's
            if lost(error) or (len(messages) == 1 and kind_of(messages[0]) is Kind.PLAIN):
                return [explained(error)] * len(messages)
        alone = [partial(self._store_alone, message=message, fresh=fresh, doubtful=doubtful) for message in messages]
        return [home.start(store) for store in alone]

    async def _store_alone(self, home: Home, message: NewMessage, fresh: bool, doubtful: set[bytes]) -> Answer:
        """Store a message that others must not wait for."""
        try:
            try:  # it may be another one whose key is in somebody's hands: then it need not queue for a long wait
                (answer,) = await self._insert(home, (message,), fresh, doubtful, patient=False)
            except StorageBusy:
                (answer,) = await self._insert(home, (message,), fresh, doubtful, patient=True)
        except Exception as error:  # noqa: BLE001 whatever it was, it is its sender's
            return explained(error)
        self._nudge(home, (answer,))
        return answer

    async def _insert(
        self, home: Home, messages: Sequence[NewMessage], fresh: bool, doubtful: set[bytes], *, patient: bool
    ) -> list[Answer]:
        """Insert messages; if the connection was lost, ask again: their ids tell whether they were stored.

        Args:
            doubtful: Ids of messages of which a try may have been committed without our hearing of it; added to.
            patient: Wait for others' open transactions.
        """
        kind = kind_of(messages[0])

        async def insert() -> list[Answer]:
            try:
                answers = await self._ask(home, kind, messages, fresh, patient)
            except BaseException as error:
                if lost(error) or kind is Kind.ASKED:  # whose first statement may have been committed by itself
                    doubtful.update(message.id for message in messages)
                raise
            pairs = zip(answers, messages, strict=True)
            return [own(answer, message) if message.id in doubtful else answer for answer, message in pairs]

        return await self.again(insert, lossy=True)

    async def _ask(
        self, home: Home, kind: Kind, messages: Sequence[NewMessage], fresh: bool, patient: bool
    ) -> list[Answer]:
        """Insert messages of one kind, in as few statements and transactions as it takes."""
        purpose = "waiting" if patient else "accept"
        if kind in (Kind.PLAIN, Kind.ASKED):
            async with home.statements(purpose) as connection:
                return await self._store_now(connection, kind, messages, fresh, None if patient else SOON)
        async with home.transaction(purpose) as connection:
            if not patient:
                await connection.execute(f"set local lock_timeout = '{SOON}'")
            return await self._store_now(connection, kind, messages, fresh, None)

    async def _store_now(
        self, connection: Any, kind: Kind, messages: Sequence[NewMessage], fresh: bool, patience: str | None
    ) -> list[Answer]:
        work = self.work(connection)
        if kind in (Kind.PLAIN, Kind.KEYED):
            return await accept.accept(work, messages, fresh=fresh)
        return await accept.accept_asked(work, messages, fresh=fresh, patience=patience)


class Kind(Enum):
    """Which way messages take: alike ones share statements.

    Those with neither key nor request wait for nobody. A fresh slot is a matter of one statement; for a slot and a key
    it takes a transaction, since a slot is given back if the key was used.
    """

    PLAIN = auto()
    KEYED = auto()
    ASKED = auto()
    BOTH = auto()


def kind_of(message: NewMessage) -> Kind:
    """Return which way a message takes."""
    if message.request is None:
        return Kind.PLAIN if message.key is None else Kind.KEYED
    return Kind.ASKED if message.key is None else Kind.BOTH


def only(answers: Sequence[Answer]) -> Accepted:
    """Return the one answer, or raise it."""
    (answer,) = answers
    if isinstance(answer, Exception):
        raise answer
    return answer


def own(answer: Answer, message: NewMessage) -> Answer:
    """Return the answer to a second try: what the first one stored, before its connection was lost, is no duplicate."""
    return replace(answer, duplicate=False) if isinstance(answer, Accepted) and answer.id == message.id else answer
