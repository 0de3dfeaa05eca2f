"""A stage for what happens on several connections at once."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from anzol.clock import OwnedClock
from anzol.storage.postgres.connections import connect
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.vault import Vault
from tests.postgres import Server
from tests.storage.stage import Stage
from tests.storage.wire import Wire


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


@pytest.fixture
async def wire(postgres: Server) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the run's server, and the URL that leads through it."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    name = f".s.PGSQL.{postgres.port}"
    made = Wire(str(postgres.folder / name))
    listening = await asyncio.start_unix_server(made.carry, folder / name)
    yield made, postgres.uri().replace(str(postgres.folder), str(folder))
    listening.close()
    shutil.rmtree(folder)


@pytest.fixture
async def wired(postgres: Server, schema: str, wire: tuple[Wire, str]) -> AsyncIterator[Stage]:
    """A stage whose storage speaks through the wire, and whose hands do not."""
    await migrate(postgres.uri(), schema)
    clock = OwnedClock()
    storage = PostgresStorage(wire[1], schema=schema, clock=clock, vault=Vault(["k" * 43]))
    end = storage.listen(lambda: None)
    direct = PostgresStorage(postgres.uri(), schema=schema, vault=storage.vault).place
    made = Stage(storage, clock, await connect(direct))
    yield made
    try:
        assert await storage.broken() == ()
    finally:
        end()
        await storage.close()
        await made.connection.close()
