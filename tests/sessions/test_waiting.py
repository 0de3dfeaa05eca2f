"""No sender waits for another except for the same key; workers are woken by a commit, and by nothing before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from anzol.errors import KeyConflict
from anzol.storage.face import Accepted
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.vault import Vault
from tests.sessions import pg
from tests.sessions.pg import Own

SENDERS = 50
SOON = 10.0  # seconds: far longer than it takes, far shorter than for ever


async def until(fact: Callable[[], bool]) -> None:
    """Wait until *fact* holds."""
    async with asyncio.timeout(SOON):
        while not fact():
            await asyncio.sleep(0.005)


def waiting_for_locks(own: Own) -> int:
    ((count,),) = own.rows(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    return int(count)


async def test_fifty_open_transactions_send_to_one_new_customer_and_none_waits(own: Own) -> None:
    connections = await asyncio.gather(*(asyncpg.connect(own.uri) for _ in range(SENDERS)))
    for connection in connections:
        await connection.execute("begin")
    async with asyncio.timeout(SOON):
        await asyncio.gather(
            *(
                own.foreign.write_async(connection, own.message(b"%d" % number, key=f"key {number}"))
                for number, connection in enumerate(connections)
            )
        )
    before = own.bodies
    for connection in connections:
        await connection.execute("commit")
        await connection.close()

    assert before == []
    assert sorted(own.bodies) == sorted(b"%d" % number for number in range(SENDERS))


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
@pytest.mark.parametrize("opened", pg.ASYNC.values(), ids=pg.ASYNC)
async def test_a_second_sender_of_a_key_waits_for_the_first_and_is_a_duplicate(
    opened: pg.Open, own: Own, isolation: str
) -> None:
    async with opened(own.uri, isolation) as first, opened(own.uri, isolation) as second:
        await first.add("first")
        await second.add("second")
        sent = await own.foreign.write_async(first.given, own.message(b"1", key="k"))
        task = asyncio.create_task(own.foreign.write_async(second.given, own.message(b"1", key="k")))
        await until(lambda: waiting_for_locks(own) == 1)
        early = task.done()
        await first.commit()
        answer = await task
        await second.commit()

    assert not early
    assert answer == Accepted(sent.id, duplicate=True)
    assert own.items == ["first", "second"]
    assert own.bodies == [b"1"]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_a_second_sender_of_a_key_with_another_body_is_told_when_the_first_commits(
    own: Own, isolation: str
) -> None:
    async with pg.bare_asyncpg(own.uri, isolation) as first, pg.bare_asyncpg(own.uri, isolation) as second:
        await own.foreign.write_async(first.given, own.message(b"1", key="k"))
        task = asyncio.create_task(own.foreign.write_async(second.given, own.message(b"2", key="k")))
        await until(lambda: waiting_for_locks(own) == 1)
        await first.commit()
        with pytest.raises(KeyConflict):
            await task
        await second.add("goes on")
        await second.commit()

    assert own.items == ["goes on"]
    assert own.bodies == [b"1"]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_a_second_sender_of_a_key_is_the_first_when_that_rolls_back(own: Own, isolation: str) -> None:
    async with pg.bare_asyncpg(own.uri, isolation) as first, pg.bare_asyncpg(own.uri, isolation) as second:
        await own.foreign.write_async(first.given, own.message(b"1", key="k"))
        task = asyncio.create_task(own.foreign.write_async(second.given, own.message(b"2", key="k")))
        await until(lambda: waiting_for_locks(own) == 1)
        await first.rollback()
        answer = await task
        await second.commit()

    assert not answer.duplicate
    assert own.bodies == [b"2"]


async def test_a_send_without_a_session_waits_for_the_same_key_too_and_holds_up_no_other(own: Own) -> None:
    async with pg.bare_asyncpg(own.uri) as host:
        sent = await own.foreign.write_async(host.given, own.message(b"1", key="k"))
        task = asyncio.create_task(own.storage.accept(own.message(b"1", key="k")))
        await until(lambda: waiting_for_locks(own) >= 1)
        other = await own.storage.accept(own.message(b"2", key="another"))
        early = task.done()
        await host.commit()
        answer = await task

    assert not early
    assert not other.duplicate
    assert answer == Accepted(sent.id, duplicate=True)


# --- waking workers -------------------------------------------------------------------------------------------------


class Ear:
    """A worker's ear: counts the times it is woken, by its own process or by another."""

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self) -> None:
        self.heard += 1


@pytest.fixture
async def elsewhere(own: Own) -> AsyncIterator[Ear]:
    """A worker of another process, as far as waking goes: another storage, which hears what the server says."""
    storage, ear = PostgresStorage(own.uri, vault=Vault(["k" * 43])), Ear()
    end = storage.listen(ear)
    await until(lambda: own.rows("select from pg_stat_activity where query ilike 'listen%%'") != [])
    yield ear
    end()
    await storage.close()


async def test_a_commit_wakes_workers_here_and_elsewhere(own: Own, elsewhere: Ear) -> None:
    end = own.storage.listen(here := Ear())
    await until(lambda: here.heard > 0 and elsewhere.heard > 0)  # whoever begins to listen looks once
    engine = create_async_engine(pg.with_driver(own.uri, "asyncpg"))
    async with AsyncSession(engine) as session:
        await own.foreign.write_async(session, own.message())
        here.heard = elsewhere.heard = 0
        await session.commit()
        await until(lambda: here.heard > 0 and elsewhere.heard > 0)
    await engine.dispose()
    end()


async def test_a_worker_is_woken_again_after_a_commit_that_took_its_time(own: Own) -> None:
    """SQLAlchemy says that it commits before it does: whoever looked too early looks again."""
    woken = asyncio.Event()
    committed = False

    def hear() -> None:
        if committed:
            woken.set()

    end = own.storage.listen(hear)
    engine = create_async_engine(pg.with_driver(own.uri, "asyncpg"))
    async with AsyncSession(engine) as session:
        await own.foreign.write_async(session, own.message())
        await session.commit()
        committed = True
        async with asyncio.timeout(SOON):
            await woken.wait()
    await engine.dispose()
    end()

    assert own.bodies == [b"{}"]


async def test_a_drivers_own_connection_wakes_workers_shortly_after_the_send(own: Own, elsewhere: Ear) -> None:
    async with pg.bare_asyncpg(own.uri) as host:
        await until(lambda: elsewhere.heard > 0)  # whoever begins to listen looks once
        elsewhere.heard = 0
        await own.foreign.write_async(host.given, own.message())
        await host.commit()
        await until(lambda: elsewhere.heard > 0)


def test_neither_a_rollback_nor_a_savepoints_release_wakes_anybody(own: Own) -> None:
    told: list[None] = []
    own.foreign._direct.announce = lambda: told.append(None)  # type: ignore[method-assign]  # watched
    engine = sqlalchemy.create_engine(pg.with_driver(own.uri, "psycopg"))
    with engine.connect() as connection:
        own.foreign.write(connection, own.message())
        connection.rollback()
        with connection.begin(), connection.begin_nested():
            own.foreign.write(connection, own.message())
            own.foreign.write(connection, own.message())
        told_at_the_end = list(told)
    with engine.connect() as connection, connection.begin() as outer:
        with connection.begin_nested():
            own.foreign.write(connection, own.message())
        before = list(told)
        outer.rollback()
    engine.dispose()

    assert before == told_at_the_end == [None]
    assert told == [None]
