"""A message exists if and only if the caller's transaction commits, whatever holds that transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy.exc

from anzol.errors import OutboxMissing, SessionRefused
from anzol.relay import Relay
from anzol.storage.face import NewMessage
from anzol.storage.foreign import ForeignOutbox
from tests.sessions import hosts
from tests.sessions.hosts import ASYNC, KINDS, SYNC, Open
from tests.sessions.memory import Ledger

Make = Callable[..., NewMessage]

kinds = pytest.mark.parametrize("opened", KINDS.values(), ids=KINDS)
sync_kinds = pytest.mark.parametrize("opened", SYNC.values(), ids=SYNC)
async_kinds = pytest.mark.parametrize("opened", ASYNC.values(), ids=ASYNC)


@kinds
async def test_a_commit_makes_the_message_exist(
    opened: Open, path: Path, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make
) -> None:
    sent = message(b'{"id": 1}')
    async with opened(path) as host:
        await host.add("one")
        await foreign.write_async(host.given, sent)
        before = await relay.drain()
        await host.commit()

    assert before == 0
    assert await relay.drain() == 1
    assert list(ledger.messages.values()) == [sent]
    assert hosts.outbox(path) == []


@sync_kinds
async def test_send_sync_writes_in_the_same_way(
    opened: Open, path: Path, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make
) -> None:
    async with opened(path) as host:
        await host.add("one")
        foreign.write(host.given, message())
        await host.commit()

    assert await relay.drain() == 1


@async_kinds
async def test_send_sync_refuses_what_must_be_awaited(
    opened: Open, path: Path, foreign: ForeignOutbox, message: Make
) -> None:
    async with opened(path) as host:
        with pytest.raises(SessionRefused, match=r"must be awaited.*await webhooks\.to"):
            foreign.write(host.given, message())
        await host.add("goes on")
        await host.commit()

    assert hosts.items(path) == ["goes on"]


@kinds
async def test_a_rollback_leaves_nothing(
    opened: Open, path: Path, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make
) -> None:
    async with opened(path) as host:
        await host.add("one")
        await foreign.write_async(host.given, message())
        await host.rollback()
        await host.add("two")
        await host.commit()

    assert hosts.items(path) == ["two"]
    assert hosts.outbox(path) == []
    assert await relay.drain() == 0


@kinds
async def test_a_transaction_that_is_left_open_leaves_nothing(
    opened: Open, path: Path, foreign: ForeignOutbox, relay: Relay, message: Make
) -> None:
    async with opened(path) as host:
        await host.add("one")
        await foreign.write_async(host.given, message())
        if isinstance(host, hosts.AiosqliteHost):
            await host.rollback()  # aiosqlite's close waits for nothing, but leaves the thread's transaction to Python

    assert hosts.items(path) == []
    assert await relay.drain() == 0


@kinds
async def test_the_rollback_of_a_savepoint_takes_only_its_own_messages(
    opened: Open, path: Path, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make
) -> None:
    async with opened(path) as host:
        await host.add("before")
        await foreign.write_async(host.given, message(b'"before"'))
        async with host.savepoint() as savepoint:
            await foreign.write_async(host.given, message(b'"spoilt"'))
            savepoint.spoilt = True
        async with host.savepoint():
            await foreign.write_async(host.given, message(b'"kept"'))
        assert await relay.drain() == 0  # a savepoint's release is no commit
        await foreign.write_async(host.given, message(b'"after"'))
        await host.commit()

    await relay.drain()
    assert ledger.bodies == [b'"before"', b'"kept"', b'"after"']


@kinds
async def test_the_table_missing_is_refused_and_the_transaction_goes_on(
    opened: Open, tmp_path: Path, foreign: ForeignOutbox, message: Make
) -> None:
    path = tmp_path / "bare.db"
    hosts.prepare(path, outbox=False)
    async with opened(path) as host:
        await host.add("before")
        with pytest.raises(OutboxMissing) as refusal:
            await foreign.write_async(host.given, message())
        await host.add("after")
        await host.commit()

    assert hosts.items(path) == ["before", "after"]
    assert f"sqlite:///{path}" in refusal.value.what
    assert "anzol migrate --outbox" in refusal.value.do
    assert "anzol.outbox_table(metadata)" in refusal.value.do


@kinds
async def test_a_repeated_key_does_not_spoil_the_transaction(
    opened: Open, path: Path, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make
) -> None:
    async with opened(path) as host:
        await foreign.write_async(host.given, message(b"1", key="invoice-1"))
        await foreign.write_async(host.given, message(b"1", key="invoice-1"))
        await host.add("one")
        await host.commit()

    assert await relay.drain() == 1
    assert ledger.bodies == [b"1"]
    assert hosts.outbox(path) == []


@kinds
async def test_the_callers_own_lock_error_comes_through_as_it_is(
    opened: Open, path: Path, foreign: ForeignOutbox, message: Make
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    try:
        async with opened(path) as host:
            await impatient(host)
            with pytest.raises((sqlite3.OperationalError, sqlalchemy.exc.OperationalError), match="locked"):
                await foreign.write_async(host.given, message())
            await host.rollback() if not getattr(host, "_begin", False) else None
    finally:
        other.close()


async def impatient(host: hosts.Host) -> None:
    """Let the host's connection wait for no lock."""
    pragma = "pragma busy_timeout = 0"
    match host:
        case hosts.AlchemyHost(given=sqlalchemy.Connection()):
            host.given.exec_driver_sql(pragma)
        case hosts.AlchemyHost():
            host.given.connection().exec_driver_sql(pragma)
        case hosts.AsyncAlchemyHost(given=sqlalchemy.ext.asyncio.AsyncConnection()):
            await host.given.exec_driver_sql(pragma)
        case hosts.AsyncAlchemyHost():
            await (await host.given.connection()).exec_driver_sql(pragma)
        case hosts.AiosqliteHost():
            await host.given.execute(pragma)
        case _:
            host.given.execute(pragma)
