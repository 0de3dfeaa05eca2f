"""What the tests of sends inside a caller's transaction share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anzol import ids
from anzol.relay import Relay
from anzol.storage.face import NewMessage
from anzol.storage.foreign import ForeignOutbox
from anzol.storage.postgres.migrating import migrate
from tests.postgres import Server
from tests.sessions import hosts
from tests.sessions import mariadb as mariadbs
from tests.sessions.memory import Ledger
from tests.sessions.pg import Own


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A host's database, with its own table and the outbox."""
    path = tmp_path / "app.db"
    hosts.prepare(path)
    return path


@pytest.fixture
def ledger() -> Ledger:
    """Anzol's own database, as far as sessions and the relay use it."""
    return Ledger()


@pytest.fixture
def foreign(ledger: Ledger) -> Iterator[ForeignOutbox]:
    foreign = ForeignOutbox(ledger.opened, lambda: ledger)
    yield foreign
    foreign.close()


@pytest.fixture
async def relay(ledger: Ledger, foreign: ForeignOutbox) -> AsyncIterator[Relay]:
    relay = Relay(ledger.storage, foreign)
    yield relay
    await relay.close()


@pytest.fixture
def message() -> Callable[..., NewMessage]:
    """Makes messages, each later than the one before."""

    def make(body: bytes = b"{}", *, customer: str = "acme", key: str | None = None) -> NewMessage:
        return NewMessage(
            id=ids.new(1_767_225_600_000_000),
            environment="default",
            customer=customer,
            event_type="invoice.paid",
            method="POST",
            content_type="application/json",
            body=body,
            created_at=1_767_225_600_000_000,
            key=key,
        )

    return make


@pytest.fixture(scope="session")
def shared_database(postgres: Server) -> Iterator[str]:
    """A host's PostgreSQL database, with its own table and Anzol's schema, and without the outbox."""
    with postgres.database() as uri:
        postgres.execute("create table item (id bigint generated always as identity, name text not null)", database=uri)
        with ThreadPoolExecutor(1) as aside:  # pytest's own loop stays as it is
            aside.submit(asyncio.run, migrate(uri, "anzol")).result()
        yield uri


@pytest.fixture
async def own(postgres: Server, shared_database: str) -> AsyncIterator[Own]:
    """Anzol's own PostgreSQL database, which is the host's too; empty."""
    own = Own(postgres, shared_database, "anzol")
    for table in ("item", "anzol.message", "anzol.message_key", "anzol.accepted", "anzol.deployment"):
        own.rows(f"delete from {table}")
    yield own
    await own.close()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[mariadbs.Server]:
    """The run's MariaDB server; without one the test is skipped, saying what is missing."""
    try:
        with mariadbs.running_mariadb() as server:
            yield server
    except mariadbs.NoServer as missing:
        pytest.skip(str(missing))
