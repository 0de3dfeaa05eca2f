"""A send that waits for somebody's open transaction holds up nobody but itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from anzol import ids
from anzol.clock import SystemClock
from anzol.storage.face import Accepted, NewMessage
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.vault import Vault

PATIENCE = 30.0


@pytest.fixture
async def storage(postgres_database: str) -> AsyncIterator[PostgresStorage]:
    await migrate(postgres_database, "anzol", pooler=False)
    made = PostgresStorage(postgres_database, vault=Vault(["k" * 43]), patience=PATIENCE)
    yield made
    await made.close()


def message(key: str | None) -> NewMessage:
    now = SystemClock().micros()
    return NewMessage(ids.new(now), "default", "acme", "invoice.paid", "POST", "application/json", b"{}", now, key=key)


async def test_sends_go_on_while_keys_are_in_an_open_transaction(storage: PostgresStorage) -> None:
    customer = ids.derive("default", "acme")

    other = await asyncpg.connect(storage.place.url)
    opened = other.transaction()
    await opened.start()
    for number in range(3):
        await other.execute(
            "insert into anzol.message_key (customer_id, key, message_id, digest, created_at) "
            "values (encode($1, 'hex')::uuid, $2, gen_random_uuid(), '', 0)",
            customer,
            f"held-{number}",
        )
    waiting = [asyncio.create_task(storage.accept(message(f"held-{number}"))) for number in range(3)]
    beside = [storage.accept(message(None if number % 2 else f"free-{number}")) for number in range(6)]

    async with asyncio.timeout(PATIENCE / 2):
        together = await asyncio.gather(*beside)
        after = [await storage.accept(message(None)) for _ in range(3)]
    still = [task.done() for task in waiting]
    await opened.rollback()
    answers = await asyncio.gather(*waiting)
    await other.close()

    assert still == [False, False, False]
    assert all(isinstance(answer, Accepted) and not answer.duplicate for answer in [*together, *after, *answers])
