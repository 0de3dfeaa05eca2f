"""Whatever a host does, its messages share the fate of its rows."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anzol import ids
from anzol.relay import Relay
from anzol.storage.face import NewMessage
from anzol.storage.foreign import ForeignOutbox
from tests.sessions import hosts
from tests.sessions.hosts import KINDS, Host, Open
from tests.sessions.memory import Ledger


@dataclass(frozen=True)
class Nested:
    """Sends within a savepoint, and whether it is rolled back."""

    sends: int
    spoilt: bool


@dataclass(frozen=True)
class Transaction:
    """What one does, in order, and whether it is committed."""

    steps: tuple[Nested | None, ...]  # None: one send
    committed: bool


nested = st.builds(Nested, st.integers(0, 3), st.booleans())
transactions = st.builds(Transaction, st.lists(st.one_of(st.none(), nested), max_size=5).map(tuple), st.booleans())


def new_message(body: str) -> NewMessage:
    return NewMessage(ids.new(0), "default", "acme", "paid", "POST", "application/json", body.encode(), 0)


class Script:
    """Plays transactions on a host, and knows what must come of them."""

    def __init__(self, host: Host, foreign: ForeignOutbox) -> None:
        self.host = host
        self.foreign = foreign
        self.expected: list[bytes] = []
        self.items: list[str] = []
        self.number = 0

    async def play(self, transaction: Transaction) -> None:
        self.number += 1
        kept: list[bytes] = []
        await self.host.add(name := f"item {self.number}")
        for step in transaction.steps:
            kept += await self.step(step)
        await (self.host.commit if transaction.committed else self.host.rollback)()
        if transaction.committed:
            self.expected += kept
            self.items.append(name)

    async def step(self, step: Nested | None) -> list[bytes]:
        if step is None:
            return [await self.send()]
        async with self.host.savepoint() as savepoint:
            sent = [await self.send() for _ in range(step.sends)]
            savepoint.spoilt = step.spoilt
        return [] if step.spoilt else sent

    async def send(self) -> bytes:
        self.number += 1
        message = new_message(str(self.number))
        await self.foreign.write_async(self.host.given, message)
        return message.body


@pytest.mark.parametrize("opened", KINDS.values(), ids=KINDS)
@settings(max_examples=12, deadline=None)
@given(played=st.lists(transactions, max_size=5))
def test_exactly_what_was_committed_arrives_in_order(opened: Open, played: list[Transaction]) -> None:
    async def run(path: Path) -> tuple[list[bytes], Script]:
        hosts.prepare(path)
        ledger = Ledger()
        foreign = ForeignOutbox(ledger.opened, lambda: ledger)
        relay = Relay(ledger.storage, foreign)
        async with opened(path) as host:
            script = Script(host, foreign)
            for transaction in played:
                await script.play(transaction)
                await relay.drain()
        foreign.close()
        return ledger.bodies, script

    with TemporaryDirectory() as folder:
        path = Path(folder, "app.db")
        bodies, script = asyncio.run(run(path))

        assert bodies == script.expected
        assert hosts.items(path) == script.items
        assert hosts.outbox(path) == []


def test_many_writers_and_relays_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    hosts.prepare(path, wal=True)
    ledger = Ledger()
    foreign = ForeignOutbox(ledger.opened, lambda: ledger)
    committed: list[bytes] = []

    def write(seed: int) -> None:
        chance = random.Random(seed)
        connection = sqlite3.connect(path, timeout=20)
        for number in range(60):
            connection.execute(hosts.ADD.format(seed))
            message = new_message(f"{seed}/{number}")
            foreign.write(connection, message)
            if chance.random() < 0.3:
                connection.rollback()
            else:
                connection.commit()
                committed.append(message.body)
        connection.close()

    async def relayed() -> None:
        relays = [Relay(ledger.storage, foreign) for _ in range(3)]
        writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            for relay in relays:
                await relay.move()
            await asyncio.sleep(0.01)
        for relay in relays:
            await relay.close()
        for relay in relays:
            while hosts.outbox(path):
                await relay.drain()

    asyncio.run(relayed())
    foreign.close()

    assert sorted(ledger.bodies) == sorted(committed)
    assert len(committed) > 100
    for seed in range(4):
        mine = [body for body in ledger.bodies if body.startswith(b"%d/" % seed)]
        assert mine == [body for body in committed if body.startswith(b"%d/" % seed)]
