"""Anzol's own database, played in memory: what `accept_many` promises, and faults on demand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast

from anzol.errors import KeyConflict, StorageBusy
from anzol.storage.face import Accepted, NewMessage, Storage


class Ledger:
    """Keeps messages by id and by key, in the order in which they came; ``handed`` counts what was offered."""

    def __init__(self) -> None:
        self.messages: dict[bytes, NewMessage] = {}
        self.sources: list[str] = []
        self.handed = 0
        self.busy = False
        self.jammed: set[bytes] = set()  # bodies that storage cannot take for now
        self._keys: dict[tuple[str, str], NewMessage] = {}
        self._lock = threading.Lock()

    @property
    def storage(self) -> Storage:
        return cast("Storage", self)

    @property
    def bodies(self) -> list[bytes]:
        return [message.body for message in self.messages.values()]

    async def opened(self) -> Storage:
        return self.storage

    async def accept(self, message: NewMessage) -> Accepted:
        return self.accept_sync(message)

    def accept_sync(self, message: NewMessage) -> Accepted:
        with self._lock:
            self.handed += 1
            if self.busy or message.body in self.jammed:
                raise StorageBusy("Anzol's database is locked.")
            return self._accept(message)

    async def accept_many(self, messages: Sequence[NewMessage]) -> Sequence[Accepted | Exception]:
        if self.busy:
            raise StorageBusy("Anzol's database is locked.")
        return [self._answer(message) for message in messages]

    async def add_outbox_source(self, url: str) -> None:
        if self.busy:
            raise StorageBusy("Anzol's database is locked.")
        if url not in self.sources:
            self.sources.append(url)

    async def outbox_sources(self) -> Sequence[str]:
        return tuple(self.sources)

    def forget_keys(self) -> None:
        self._keys.clear()

    def _answer(self, message: NewMessage) -> Accepted | Exception:
        try:
            return self.accept_sync(message)
        except (KeyConflict, StorageBusy) as fault:
            return fault

    def _accept(self, message: NewMessage) -> Accepted:
        if message.id in self.messages:
            return Accepted(message.id, duplicate=True)
        if message.key is not None:
            first = self._keys.setdefault((message.customer, message.key), message)
            if first.body != message.body:
                raise KeyConflict(f"The key was used by {first.id.hex()}.", key=message.key, message_id=first.id.hex())
            if first is not message:
                return Accepted(first.id, duplicate=True)
        self.messages[message.id] = message
        return Accepted(message.id)
