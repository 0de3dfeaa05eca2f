"""A stage for what happens on several connections at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from anzol.clock import OwnedClock
from anzol.storage.postgres.connections import connect
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.vault import Vault
from tests.postgres import Server
from tests.storage.stage import Stage


@pytest.fixture
def schema(postgres: Server) -> Iterator[str]:
    with postgres.schema() as name:
        yield name


@pytest.fixture
async def stage(postgres: Server, schema: str) -> AsyncIterator[Stage]:
    clock = OwnedClock()
    await migrate(postgres.uri(), schema)
    storage = PostgresStorage(postgres.uri(), schema=schema, clock=clock, vault=Vault(["k" * 43]))
    end = storage.listen(lambda: None)
    made = Stage(storage, clock, await connect(storage.place))
    yield made
    try:
        assert await storage.broken() == ()
    finally:
        end()
        await storage.close()
        await made.connection.close()
