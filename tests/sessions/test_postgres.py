"""On Anzol's own PostgreSQL database a message is written straight into Anzol's tables, in the caller's transaction."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import pytest
import sqlalchemy.orm

from anzol.errors import InvalidValue, KeyConflict, OutboxMissing, SessionRefused
from anzol.storage.face import Accepted
from anzol.storage.postgres.migrating import migrate
from tests.sessions import pg
from tests.sessions.pg import ASYNC, KINDS, SYNC, Open, Own

kinds = pytest.mark.parametrize("opened", KINDS.values(), ids=KINDS)
sync_kinds = pytest.mark.parametrize("opened", SYNC.values(), ids=SYNC)
async_kinds = pytest.mark.parametrize("opened", ASYNC.values(), ids=ASYNC)
strict = pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])


@kinds
async def test_a_commit_makes_the_message_exist(opened: Open, own: Own) -> None:
    async with opened(own.uri) as host:
        await host.add("one")
        sent = await own.foreign.write_async(host.given, own.message(b'{"id": 1}'))
        before = own.bodies
        await host.commit()

    assert before == []
    assert own.bodies == [b'{"id": 1}']
    assert own.rows("select id from anzol.message") == [(as_uuid(sent.id),)]
    assert not sent.duplicate


@sync_kinds
async def test_send_sync_writes_in_the_same_way(opened: Open, own: Own) -> None:
    async with opened(own.uri) as host:
        await host.add("one")
        own.foreign.write(host.given, own.message())
        await host.commit()

    assert own.bodies == [b"{}"]


@sync_kinds
async def test_send_sync_needs_no_loop(opened: Open, own: Own) -> None:
    def act(session: Any) -> None:  # as FastAPI runs a `def` path operation
        own.foreign.write(session, own.message())
        session.commit()
        session.close()

    async with opened(own.uri) as host:
        await asyncio.to_thread(act, host.given)

    assert own.bodies == [b"{}"]


@async_kinds
async def test_send_sync_refuses_what_must_be_awaited(opened: Open, own: Own) -> None:
    async with opened(own.uri) as host:
        with pytest.raises(SessionRefused, match=r"must be awaited.*await webhooks\.to"):
            own.foreign.write(host.given, own.message())
        await host.add("goes on")
        await host.commit()

    assert own.items == ["goes on"]


@kinds
async def test_a_rollback_leaves_nothing(opened: Open, own: Own) -> None:
    async with opened(own.uri) as host:
        await host.add("one")
        await own.foreign.write_async(host.given, own.message(key="k"))
        await host.rollback()
        await host.add("two")
        await host.commit()

    assert own.items == ["two"]
    assert own.rows("select count(*) from anzol.message") == [(0,)]
    assert own.rows("select count(*) from anzol.message_key") == [(0,)]


@kinds
async def test_the_rollback_of_a_savepoint_takes_only_its_own_messages(opened: Open, own: Own) -> None:
    async with opened(own.uri) as host:
        await host.add("before")
        await own.foreign.write_async(host.given, own.message(b"1"))
        async with host.savepoint() as savepoint:
            await own.foreign.write_async(host.given, own.message(b"2", key="k"))
            savepoint.spoilt = True
        async with host.savepoint():
            again = await own.foreign.write_async(host.given, own.message(b"3", key="k"))
        await own.foreign.write_async(host.given, own.message(b"4"))
        before = own.bodies
        await host.commit()

    assert before == []
    assert own.bodies == [b"1", b"3", b"4"]
    assert not again.duplicate


@kinds
async def test_a_repeated_key_is_answered_and_the_transaction_goes_on(opened: Open, own: Own) -> None:
    async with opened(own.uri) as host:
        await host.add("one")
        first = await own.foreign.write_async(host.given, own.message(b"1", key="invoice-1"))
        second = await own.foreign.write_async(host.given, own.message(b"1", key="invoice-1"))
        with pytest.raises(KeyConflict, match="invoice-1") as conflict:
            await own.foreign.write_async(host.given, own.message(b"2", key="invoice-1"))
        await host.add("two")
        await host.commit()
        third = await own.foreign.write_async(host.given, own.message(b"1", key="invoice-1"))
        await host.rollback()

    assert second == third == Accepted(first.id, duplicate=True)
    assert conflict.value.key == "invoice-1"
    assert own.items == ["one", "two"]
    assert own.bodies == [b"1"]


@strict
@kinds
async def test_a_key_that_was_used_after_the_snapshot_is_answered_and_the_transaction_goes_on(
    opened: Open, own: Own, isolation: str
) -> None:
    async with opened(own.uri, isolation) as host:
        await host.add("one")  # takes the snapshot
        first = await own.storage.accept(own.message(b"1", key="invoice-1"))
        second = await own.foreign.write_async(host.given, own.message(b"1", key="invoice-1"))
        with pytest.raises(KeyConflict):
            await own.foreign.write_async(host.given, own.message(b"2", key="invoice-1"))
        other = await own.foreign.write_async(host.given, own.message(b"3", key="invoice-2"))
        await host.add("two")
        await host.commit()

    assert second == Accepted(first.id, duplicate=True)
    assert not other.duplicate
    assert own.items == ["one", "two"]
    assert own.bodies == [b"1", b"3"]


@strict
@sync_kinds
async def test_send_sync_answers_a_key_that_was_used_after_the_snapshot(opened: Open, own: Own, isolation: str) -> None:
    async with opened(own.uri, isolation) as host:
        await host.add("one")
        first = await own.storage.accept(own.message(b"1", key="k"))
        second = own.foreign.write(host.given, own.message(b"1", key="k"))
        await host.add("two")
        await host.commit()

    assert second == Accepted(first.id, duplicate=True)
    assert own.items == ["one", "two"]


@kinds
async def test_whatever_a_message_is_made_of_arrives_as_it_was(opened: Open, own: Own) -> None:
    whole = replace(
        own.message(bytes(range(256)) * 300, customer="Ünï ❤ %s :name ::x 'q' \\", key="100% :key"),
        headers=(("X-A", "1"), ("X-A", "2")),
        query="a=1&b=%20",
        channels=("c", "ü%"),
        tags=("t :x", '"u"'),
        deliver_at=1_900_000_000_000_000,
        only_endpoint=b"\x01" * 16,
    )
    plain = own.message(b"")
    async with opened(own.uri) as host:
        for message in (whole, plain):
            await own.foreign.write_async(host.given, message)
        await host.commit()
    straight = replace(whole, id=own.message().id, key="another")
    await own.storage.accept(straight)

    columns = "customer_id, customer, event_type, method, content_type, headers, query, channels, tags, deliver_at, only_endpoint, body"
    found = own.rows(f"select {columns} from anzol.message order by id")
    assert found[0] == found[2]
    assert found[0][1] == whole.customer
    assert found[0][-1] == whole.body
    assert found[1][-1] == b""
    assert own.rows("select key from anzol.message_key order by key") == [("100% :key",), ("another",)]


@kinds
async def test_the_database_says_when_a_message_was_made(opened: Open, own: Own) -> None:
    ((before,),) = own.rows("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
    async with opened(own.uri) as host:
        await own.foreign.write_async(host.given, own.message(key="k"))
        await host.commit()
    ((after,),) = own.rows("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")

    ((made, key_made),) = own.rows("select m.created_at, k.created_at from anzol.message m, anzol.message_key k")
    assert before <= made <= after
    assert made == key_made


@kinds
async def test_text_that_postgresql_cannot_hold_is_refused_and_the_transaction_goes_on(opened: Open, own: Own) -> None:
    async with opened(own.uri) as host:
        await host.add("one")
        with pytest.raises(InvalidValue, match=r"U\+0000"):
            await own.foreign.write_async(host.given, own.message(customer="a\0b"))
        await host.commit()

    assert own.items == ["one"]


# --- whose database it is -------------------------------------------------------------------------------------------


@kinds
async def test_a_database_that_is_not_anzols_needs_the_outbox_and_the_transaction_goes_on(
    opened: Open, own: Own, postgres_database: str
) -> None:
    own.server.execute("create table item (name text)", database=postgres_database)
    async with opened(postgres_database) as host:
        await host.add("before")
        with pytest.raises(OutboxMissing, match="anzol migrate --outbox"):
            await own.foreign.write_async(host.given, own.message())
        await host.add("after")
        await host.commit()

    assert own.server.execute("select name from item", database=postgres_database) == [("before",), ("after",)]


@kinds
async def test_a_restored_copy_is_not_taken_for_anzols_own(opened: Open, own: Own) -> None:
    await own.storage.prepare(deployment="default")
    name = own.uri.partition("?")[0].rpartition("/")[2]
    await own.storage.close()
    own.server.kill_backends(own.uri)
    with own.server.database(template=name) as copy:
        async with opened(copy) as host:
            await host.add("before")
            with pytest.raises(OutboxMissing):
                await own.foreign.write_async(host.given, own.message())
            await host.commit()

    assert own.bodies == []


@kinds
async def test_a_user_without_the_grants_is_told_and_the_transaction_goes_on(opened: Open, own: Own) -> None:
    own.rows("drop owned by guest; drop role guest") if own.rows(
        "select from pg_roles where rolname = 'guest'"
    ) else None
    own.rows("create role guest login; grant insert on item to guest; grant usage on schema public to guest")
    guest = own.uri.replace("postgres@", "guest@")
    try:
        async with opened(guest) as host:
            await host.add("before")
            with pytest.raises(SessionRefused, match=r"lacks select on customer, .*insert on message_key\. Grant that"):
                await own.foreign.write_async(host.given, own.message())
            await host.commit()
            own.rows(f"grant usage on schema {own.schema} to guest")
            own.rows("grant select on anzol.customer, anzol.deployment, anzol.message, anzol.message_key to guest")
            own.rows("grant insert on anzol.accepted, anzol.message, anzol.message_key to guest")
            await host.add("after")
            await own.foreign.write_async(host.given, own.message(key="k"))
            again = await own.foreign.write_async(host.given, own.message(key="k"))
            await host.commit()
    finally:
        own.rows("drop owned by guest; drop role guest")

    assert again.duplicate
    assert own.items == ["before", "after"]
    assert own.bodies == [b"{}"]


@kinds
async def test_a_connection_is_asked_once_whose_database_it_is(opened: Open, own: Own) -> None:
    async with opened(own.uri) as host:
        for _ in range(3):
            await own.foreign.write_async(host.given, own.message())
            await host.commit()
            await host.add("one")
        await host.commit()

    assert own.readied == 1


async def test_two_schemas_in_one_database_are_two_anzols(own: Own) -> None:
    with own.server.schema(own.uri) as schema:
        await migrate(own.uri, schema)
        other = Own(own.server, own.uri, schema)
        async with pg.bare_asyncpg(own.uri) as host:
            await own.foreign.write_async(host.given, own.message(b"1"))
            await other.foreign.write_async(host.given, own.message(b"2"))
            await host.commit()
        found = own.bodies, other.bodies
        await other.close()

    assert found == ([b"1"], [b"2"])


# --- transactions ---------------------------------------------------------------------------------------------------


async def test_without_a_transaction_the_message_exists_at_once(own: Own) -> None:
    bare = await asyncpg.connect(own.uri)
    await own.foreign.write_async(bare, own.message(b"1", key="k"))
    again = await own.foreign.write_async(bare, own.message(b"1", key="k"))
    await bare.execute("set default_transaction_isolation = 'serializable'")
    strict = await own.foreign.write_async(bare, own.message(b"2", key="l"))
    await bare.close()
    with psycopg.connect(own.uri, autocommit=True) as connection:
        own.foreign.write(connection, own.message(b"3"))
    engine = sqlalchemy.create_engine(pg.with_driver(own.uri, "psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        own.foreign.write(connection, own.message(b"4"))
    engine.dispose()

    assert again.duplicate
    assert not strict.duplicate
    assert own.bodies == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("end", ["rollback", "commit"])
def test_a_joined_session_shares_the_fate_of_the_outer_transaction(end: str, own: Own) -> None:
    engine = sqlalchemy.create_engine(pg.with_driver(own.uri, "psycopg"))
    with engine.connect() as connection:
        outer = connection.begin()
        with sqlalchemy.orm.Session(connection, join_transaction_mode="create_savepoint") as session:
            own.foreign.write(session, own.message())
            session.commit()
        before = own.bodies
        getattr(outer, end)()
    engine.dispose()

    assert before == []
    assert own.bodies == ([b"{}"] if end == "commit" else [])


def as_uuid(raw: bytes) -> UUID:
    return UUID(bytes=raw)


async def test_a_connection_that_went_back_to_its_pool_is_refused(own: Own) -> None:
    async with asyncpg.create_pool(own.uri, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection:
            await own.foreign.write_async(connection, own.message())
        with pytest.raises(SessionRefused, match=r"back to its pool.*pool\.acquire"):
            await own.foreign.write_async(connection, own.message())

    assert own.bodies == [b"{}"]


@kinds
async def test_a_transaction_that_failed_before_is_refused_in_our_words(opened: Open, own: Own) -> None:
    async with opened(own.uri) as host:
        await host.add("one")
        await own.foreign.write_async(host.given, own.message())
        with pytest.raises(Exception, match="no_such_function"):
            await host.add("two') returning no_such_function(); --")
        with pytest.raises(SessionRefused, match=r"has failed before; nothing was sent.*Roll it back") as refused:
            await own.foreign.write_async(host.given, own.message(b"[1]"))
        await host.rollback()
        await own.foreign.write_async(host.given, own.message(b"[2]"))
        await host.commit()

    assert refused.value.__cause__ is not None
    assert own.bodies == [b"[2]"]


async def test_a_read_only_transaction_is_refused_in_our_words(own: Own) -> None:
    connection = await asyncpg.connect(own.uri)
    try:
        with pytest.raises(SessionRefused, match=r"is read-only; nothing was sent.*primary"):
            async with connection.transaction(readonly=True):
                await own.foreign.write_async(connection, own.message())
    finally:
        await connection.close()

    assert own.bodies == []
