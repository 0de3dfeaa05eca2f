"""A message in a transaction on another PostgreSQL, or on MariaDB: one row of ``anzol_outbox``, and the relay."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from anzol.errors import OutboxMissing, PayloadTooLarge
from anzol.relay import Relay
from anzol.storage.face import NewMessage
from anzol.storage.foreign import ForeignOutbox
from anzol.storage.outboxrows import create_outbox_table
from anzol.storage.sources import open_source
from anzol.testing.transactions import written_in
from tests.postgres import Server, name_of
from tests.sessions import mariadb as mariadbs
from tests.sessions import pg
from tests.sessions.hosts import AlchemyHost, AsyncAlchemyHost, Host
from tests.sessions.memory import Ledger
from tests.sessions.pg import Own

Make = Callable[..., NewMessage]
Open = Callable[[], AbstractAsyncContextManager[Host]]
Ask = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A host's database: what opens a transaction there, and what asks beside it."""

    opened: Open
    ask: Ask
    url: str


@asynccontextmanager
async def alchemy(url: str, isolation: str) -> AsyncIterator[Host]:
    engine = sqlalchemy.create_engine(url, isolation_level=isolation)
    with Session(engine) as session:
        yield AlchemyHost(session)
    engine.dispose()


@asynccontextmanager
async def async_alchemy(url: str, isolation: str) -> AsyncIterator[Host]:
    engine: AsyncEngine = create_async_engine(url, isolation_level=isolation)
    async with AsyncSession(engine) as session:
        yield AsyncAlchemyHost(session)
    await engine.dispose()


MARIADB = {
    f"mariadb, {name}, {isolation.lower()}": (driver, opened, isolation)
    for name, driver, opened in (("Session", "pymysql", alchemy), ("AsyncSession", "asyncmy", async_alchemy))
    for isolation in ("READ COMMITTED", "REPEATABLE READ")
}
POSTGRES = {f"postgresql, {name}": opened for name, opened in pg.KINDS.items()}


@pytest.fixture(scope="session")
def host_database(postgres: Server) -> Iterator[str]:
    """A host's database that has nothing to do with Anzol."""
    with postgres.database() as uri:
        postgres.execute("create table item (id bigint generated always as identity, name text)", database=uri)
        yield uri


@pytest.fixture(params=[*POSTGRES, *MARIADB])
def bare(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A host's database of every kind, without the outbox."""
    if request.param in POSTGRES:
        server: Server = request.getfixturevalue("postgres")
        uri: str = request.getfixturevalue("host_database")
        server.execute("delete from item", database=uri)
        yield Place(
            lambda: POSTGRES[request.param](uri),
            lambda asked: server.execute(asked, database=uri),
            pg.with_driver(uri, "psycopg"),
        )
        return
    driver, opened, isolation = MARIADB[request.param]
    if importlib.util.find_spec(driver) is None:
        pytest.skip(f"{driver} is not installed")
    maria: mariadbs.Server = request.getfixturevalue("mariadb")
    with maria.database("character set latin1") as name:
        maria.execute("create table item (id bigint auto_increment primary key, name text)", name)
        url = maria.uri(name, driver)
        yield Place(lambda: opened(url, isolation), lambda asked: list(maria.execute(asked, name)), url)


@pytest.fixture
def place(bare: Place) -> Iterator[Place]:
    create_outbox_table(bare.url)
    yield bare
    bare.ask("drop table anzol_outbox")


def items(place: Place) -> list[str]:
    return [name for (name,) in place.ask("select name from item order by id")]


async def test_what_is_committed_is_moved_over_and_nothing_else(
    place: Place, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make
) -> None:
    async with place.opened() as host:
        await host.add("one")
        await foreign.write_async(host.given, message(b"dropped"))
        await host.rollback()
        await host.add("two")
        await foreign.write_async(host.given, message(b"1"))
        async with host.savepoint() as savepoint:
            await foreign.write_async(host.given, message(b"spoilt"))
            savepoint.spoilt = True
        async with host.savepoint():
            await foreign.write_async(host.given, message(b"2"))
        before = await asyncio.to_thread(lambda: asyncio.run(relay.drain()))
        await host.commit()

    assert before == 0
    assert await relay.drain() == 2
    assert ledger.bodies == [b"1", b"2"]
    assert items(place) == ["two"]
    assert place.ask("select * from anzol_outbox") == []


async def test_another_process_finds_the_database_by_what_storage_was_told(
    place: Place, foreign: ForeignOutbox, ledger: Ledger, message: Make
) -> None:
    async with place.opened() as host:
        await foreign.write_async(host.given, message())
        await host.commit()
    await asyncio.to_thread(foreign.close)
    elsewhere = Relay(ledger.storage)

    assert await elsewhere.drain() == 1
    assert ledger.bodies == [b"{}"]


async def test_the_table_missing_is_refused_and_the_transaction_goes_on(
    bare: Place, foreign: ForeignOutbox, message: Make
) -> None:
    async with bare.opened() as host:
        await host.add("before")
        with pytest.raises(OutboxMissing, match="anzol migrate --outbox"):
            await foreign.write_async(host.given, message())
        await host.add("after")
        await host.commit()

    assert items(bare) == ["before", "after"]


async def test_a_message_arrives_as_it_was_whatever_the_databases_letters(
    place: Place, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make
) -> None:
    whole = replace(
        message(bytes(range(256)) * 400, customer="Ünï ❤ %s :name", key="100% ❤"),
        headers=(("X-Long", "❤" * 20_000),),
        tags=("ü", '"q" \\'),
    )
    async with place.opened() as host:
        await foreign.write_async(host.given, whole)
        await host.commit()
    await relay.drain()

    assert list(ledger.messages.values()) == [whole]


async def test_a_test_sees_what_waits_in_its_transaction(place: Place, foreign: ForeignOutbox, message: Make) -> None:
    first, second = message(b"1"), message(b"2")
    async with place.opened() as host:
        for each in (first, second):
            await foreign.write_async(host.given, each)
        waiting = await written_in(host.given)
        await host.rollback()

    assert waiting == [first, second]


async def test_a_conflicting_key_is_set_aside_with_its_reason(
    place: Place, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make
) -> None:
    async with place.opened() as host:
        for body in (b"1", b"2"):
            await foreign.write_async(host.given, message(body, customer="❤", key="k"))
        await host.commit()
    await relay.drain()

    ((refused,),) = place.ask("select refused from anzol_outbox")
    assert "The key was used" in refused
    assert ledger.bodies == [b"1"]


async def test_a_source_says_what_is_missing(bare: Place) -> None:
    source = open_source(bare.url)
    with pytest.raises(OutboxMissing):
        await asyncio.to_thread(source.read, "", 1)
    await asyncio.to_thread(source.close)


# --- MariaDB --------------------------------------------------------------------------------------------------------


def test_a_body_over_mariadbs_limit_is_refused_and_the_transaction_goes_on(
    mariadb: mariadbs.Server, foreign: ForeignOutbox, message: Make
) -> None:
    ((limit,),) = mariadb.execute("select @@max_allowed_packet")
    with mariadb.database() as name:
        mariadb.execute("create table item (id bigint auto_increment primary key, name text)", name)
        create_outbox_table(mariadb.uri(name))
        engine = sqlalchemy.create_engine(mariadb.uri(name))
        with Session(engine) as session:
            session.connection().exec_driver_sql("insert into item (name) values ('before')")
            for body in (b"x" * limit, b'"' * (limit // 2)):
                with pytest.raises(PayloadTooLarge, match="max_allowed_packet"):
                    foreign.write(session, message(body))
            foreign.write(session, message(b'"' * (limit // 2 - 2_000)))
            session.commit()
        engine.dispose()
        stored = mariadb.execute("select name from item", name)
        source = open_source(mariadb.uri(name))
        (row,) = source.read("", 10)
        source.close()

    assert stored == (("before",),)
    assert row.body == b'"' * (limit // 2 - 2_000)


def test_the_table_is_one_with_transactions_whatever_the_servers_own_choice(mariadb: mariadbs.Server) -> None:
    with mariadb.database("character set latin1") as name:
        create_outbox_table(mariadb.uri(name, init_command="set default_storage_engine = MyISAM"))
        ((_, made),) = mariadb.execute("show create table anzol_outbox", name)

    assert "ENGINE=InnoDB" in made
    assert "CHARSET=utf8mb4" in made


# --- where a driver's own connection leads --------------------------------------------------------------------------


PASSWORD = "p@ss:w/o%rd? #1 ü"


@pytest.fixture
def locked(postgres: Server, postgres_database: str) -> Iterator[str]:
    """A database, by the name of a user whose password is asked for."""
    postgres.execute(f"create role \"o'dd @user\" login password '{PASSWORD}'")
    postgres.execute("create table item (name text)", database=postgres_database)
    create_outbox_table(pg.with_driver(postgres_database, "psycopg"))
    postgres.execute('grant all on anzol_outbox, item to "o\'dd @user"', database=postgres_database)
    yield name_of(postgres_database)
    postgres.execute('drop owned by "o\'dd @user"', database=postgres_database)
    postgres.execute('drop role "o\'dd @user"')


async def test_the_password_of_a_drivers_connection_goes_to_the_relay(
    locked: str, postgres: Server, foreign: ForeignOutbox, ledger: Ledger, message: Make
) -> None:
    given = {"user": "o'dd @user", "password": PASSWORD, "host": str(postgres.folder), "port": 5432}
    bare = await asyncpg.connect(database=locked, **given)
    await foreign.write_async(bare, message(b"1"))
    await bare.close()
    with psycopg.connect(dbname=locked, **given) as connection:
        foreign.write(connection, message(b"2"))
    await asyncio.to_thread(foreign.close)

    urls = [sqlalchemy.make_url(url) for url in ledger.sources]
    assert [(url.username, url.password, url.database) for url in urls] == [("o'dd @user", PASSWORD, locked)] * 2
    assert await Relay(ledger.storage).drain() == 2


async def test_a_password_that_is_a_functions_is_complained_of_once_and_the_row_stays(
    locked: str,
    postgres: Server,
    foreign: ForeignOutbox,
    ledger: Ledger,
    message: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bare = await asyncpg.connect(
        database=locked, user="o'dd @user", password=lambda: PASSWORD, host=str(postgres.folder)
    )
    for _ in range(2):
        await foreign.write_async(bare, message())
    await bare.close()
    await asyncio.to_thread(foreign.close)

    assert ledger.sources == []
    assert caplog.text.count("anzol migrate --outbox URL --register") == 1
    assert postgres.execute("select count(*) from anzol_outbox", database=locked) == [(2,)]


# --- Anzol on PostgreSQL, the caller on another one ------------------------------------------------------------------


async def test_a_database_beside_anzols_own_is_relayed_into_it(own: Own, postgres_database: str) -> None:
    create_outbox_table(pg.with_driver(postgres_database, "psycopg"))
    async with pg.bare_asyncpg(postgres_database) as host:
        await own.foreign.write_async(host.given, own.message(b"1", key="k"))
        await own.foreign.write_async(host.given, own.message(b"1", key="k"))
        await host.commit()
    relay = Relay(own.storage, own.foreign)
    before = own.bodies
    moved = await relay.drain()

    assert before == []
    assert moved == 1
    assert own.bodies == [b"1"]


async def test_anzols_own_database_away_does_not_stop_sends_from_another(own: Own, postgres_database: str) -> None:
    create_outbox_table(pg.with_driver(postgres_database, "psycopg"))
    away = Own(own.server, own.uri.replace(str(own.server.folder), str(own.server.folder / "nowhere")), "anzol")
    async with pg.bare_asyncpg(postgres_database) as host:
        await away.foreign.write_async(host.given, own.message())
        await host.commit()
    away.foreign.close()
    await away.storage.close()

    assert own.server.execute("select count(*) from anzol_outbox", database=postgres_database) == [(1,)]
