"""What may be given as ``session=``, what is refused and how, and what a send does not do to the caller's session."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import ForeignKey, MetaData, create_engine, event, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.pool import StaticPool

from anzol.errors import OutboxMissing, SessionRefused, SettingsError, StorageError
from anzol.relay import Relay
from anzol.storage.face import NewMessage, Storage
from anzol.storage.foreign import ForeignOutbox
from anzol.storage.outboxrows import DDL, create_outbox_table, outbox_table, pack, unpack
from tests.sessions import hosts
from tests.sessions.memory import Ledger

Make = Callable[..., NewMessage]


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Other(Base):
    __tablename__ = "other"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[int | None] = mapped_column(ForeignKey("item.id", deferrable=True, initially="DEFERRED"))


@pytest.fixture
def engine(path: Path) -> Iterator[sqlalchemy.Engine]:
    engine = create_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


def driver_class(module: str, name: str) -> object:
    """Something that looks like a connection of a driver that need not be installed."""
    return type(name, (), {"__module__": module})()


REFUSED = {
    "an engine": (create_engine("sqlite://"), "which has no transaction.*Open one"),
    "an async engine": (create_async_engine("sqlite+aiosqlite://"), "which has no transaction.*Open one"),
    "a sessionmaker": (sessionmaker(), "which has no transaction.*Open one"),
    "an async sessionmaker": (async_sessionmaker(), "which has no transaction.*Open one"),
    "asyncpg's pool": (driver_class("asyncpg.pool", "Pool"), "which has no transaction.*Open one"),
    "psycopg's pool": (driver_class("psycopg_pool.pool", "ConnectionPool"), "which has no transaction.*Open one"),
    "psycopg2": (driver_class("psycopg2.extensions", "connection"), "which Anzol cannot write with"),
    "a string": ("app.db", r"builtins\.str, which Anzol cannot write with.*Session, AsyncSession"),
    "a file's cursor": (sqlite3.connect(":memory:").cursor(), r"sqlite3\.Cursor, which Anzol cannot write with"),
}


@pytest.mark.parametrize(("given", "why"), REFUSED.values(), ids=REFUSED)
async def test_anything_else_is_refused_saying_what_is_taken(
    given: object, why: str, foreign: ForeignOutbox, message: Make
) -> None:
    with pytest.raises(SessionRefused, match=why):
        foreign.write(given, message())
    with pytest.raises(SessionRefused, match="Taken are: Session, AsyncSession"):
        await foreign.write_async(given, message())


def test_a_drivers_connection_to_memory_is_refused(foreign: ForeignOutbox, message: Make) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(DDL)

    with pytest.raises(SessionRefused, match="in-memory"):
        foreign.write(connection, message())

    connection.close()


def test_a_session_of_several_databases_says_how_to_name_one(
    engine: sqlalchemy.Engine, foreign: ForeignOutbox, message: Make, path: Path
) -> None:
    with Session(binds={Item: engine}) as session:
        with pytest.raises(SessionRefused, match=r"session\.connection\(bind_arguments="):
            foreign.write(session, message())
        foreign.write(session.connection(bind_arguments={"mapper": Item}), message())
        session.commit()

    assert len(hosts.outbox(path)) == 1


def test_half_made_objects_are_not_flushed(engine: sqlalchemy.Engine, foreign: ForeignOutbox, message: Make) -> None:
    with Session(engine) as session:
        session.add(unfinished := Item())
        foreign.write(session, message())

        assert unfinished in session.new
        unfinished.name = "finished"
        session.commit()


def test_the_callers_handlers_see_nothing_of_it(
    engine: sqlalchemy.Engine, foreign: ForeignOutbox, message: Make
) -> None:
    seen: list[object] = []
    with Session(engine) as session:
        event.listen(session, "do_orm_execute", seen.append)
        foreign.write(session, message())
        session.rollback()

    assert seen == []


def test_where_a_failed_statement_ends_the_transaction_the_table_is_looked_for_first(
    tmp_path: Path, engine: sqlalchemy.Engine, foreign: ForeignOutbox, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on PostgreSQL, played on SQLite."""
    monkeypatch.setattr("anzol.storage.beside.UNSPOILT", ())
    hosts.prepare(tmp_path / "bare.db", outbox=False)
    statements: list[str] = []
    bare = create_engine(f"sqlite:///{tmp_path / 'bare.db'}")
    for each in (bare, engine):
        event.listen(each, "before_cursor_execute", lambda *told: statements.append(told[2].split()[0].upper()))
    with Session(bare) as session, pytest.raises(OutboxMissing):
        foreign.write(session, message())
    without = statements.copy()
    statements.clear()
    with Session(engine) as session:
        for _ in range(2):
            foreign.write(session, message())
        session.commit()
    bare.dispose()

    assert "INSERT" not in without
    assert statements.count("INSERT") == 2
    assert statements[-1] == "INSERT"
    assert len([each for each in statements if each == "PRAGMA"]) < 4


def test_translated_schemas_do_not_hide_the_row(
    engine: sqlalchemy.Engine, foreign: ForeignOutbox, message: Make, path: Path
) -> None:
    translated = engine.execution_options(schema_translate_map={None: "one_of_many"})
    with Session(translated) as session:
        foreign.write(session, message())
        session.commit()

    assert len(hosts.outbox(path)) == 1


@pytest.mark.parametrize("begin", [True, False], ids=["with BEGIN", "as the driver begins"])
def test_a_joined_session_shares_the_fate_of_the_outer_transaction(
    begin: bool, engine: sqlalchemy.Engine, foreign: ForeignOutbox, message: Make, path: Path
) -> None:
    if begin:
        hosts.explicit_begin(engine)
    for end in ("rollback", "commit"):
        with engine.connect() as connection:
            outer = connection.begin()
            with Session(connection, join_transaction_mode="create_savepoint") as session:
                session.add(Item(name=end))
                foreign.write(session, message())
                session.commit()
            getattr(outer, end)()

    # Left alone, sqlite3 begins no transaction before a SAVEPOINT, and its release commits: the host's rows, and ours.
    assert hosts.items(path) == (["commit"] if begin else ["rollback", "commit"])
    assert len(hosts.outbox(path)) == len(hosts.items(path))


def test_without_a_transaction_the_message_exists_at_once(foreign: ForeignOutbox, message: Make, path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    foreign.write(connection, message())
    connection.close()

    engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    with engine.connect() as autocommitting:
        foreign.write(autocommitting, message())
    engine.dispose()

    assert len(hosts.outbox(path)) == 2


def test_nobody_is_told_of_a_commit_that_is_a_savepoints(
    engine: sqlalchemy.Engine, foreign: ForeignOutbox, message: Make, path: Path
) -> None:
    nudged: list[str] = []
    end = foreign.listen(nudged.append)
    with Session(engine) as session:
        with session.begin_nested():
            foreign.write(session, message())
            foreign.write(session, message())
        before = list(nudged)
        session.commit()
    end()
    with Session(engine) as session:
        foreign.write(session, message())
        session.commit()

    assert before == []
    assert nudged == [f"sqlite:///{path}"]


# --- where the database is, as other processes find it -------------------------------------------------------------


def test_the_recorded_place_is_absolute_whatever_the_url_said(
    path: Path, foreign: ForeignOutbox, ledger: Ledger, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    urls = ("sqlite:///app.db", f"sqlite:///file:{path}?mode=rw&uri=true")
    engines = [*map(create_engine, urls), create_engine("sqlite://", creator=lambda: sqlite3.connect("app.db"))]
    for engine in engines:
        with engine.begin() as connection:
            foreign.write(connection, message())
        engine.dispose()
    foreign.close()

    assert ledger.sources == [f"sqlite:///{path}"]


def test_a_path_with_special_characters_is_found_again(
    tmp_path: Path, foreign: ForeignOutbox, ledger: Ledger, message: Make
) -> None:
    path = tmp_path / "50% of? the #app data.db"
    hosts.prepare(path, outbox=False)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(DDL)
        foreign.write(connection, message())
        connection.commit()

    assert asyncio.run(Relay(ledger.storage, foreign).drain()) == 1


def test_a_place_that_could_not_be_recorded_is_recorded_by_the_next_send(
    engine: sqlalchemy.Engine, foreign: ForeignOutbox, ledger: Ledger, message: Make, path: Path
) -> None:
    for busy in (True, False):
        ledger.busy = busy
        with engine.begin() as connection:
            foreign.write(connection, message())
        foreign.close()

    assert ledger.sources == [f"sqlite:///{path}"]
    assert len(hosts.outbox(path)) == 2


def test_settings_that_are_refused_do_not_undo_what_is_committed(
    engine: sqlalchemy.Engine,
    memory: sqlalchemy.Engine,
    ledger: Ledger,
    message: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refused() -> Storage:
        raise SettingsError("There is no such folder.")

    foreign = ForeignOutbox(refused, lambda: asyncio.run(refused()))
    for each in (engine, memory):
        with Session(each) as session:
            session.add(Item(name="one"))
            foreign.write(session, message())
            session.commit()
        with Session(each) as session:
            assert session.query(Item).count() == 1
    foreign.close()

    assert foreign.sources == ()
    assert waiting(memory) == [None]
    assert caplog.text.count("There is no such folder.") == 2


def test_no_thread_is_left_behind(engine: sqlalchemy.Engine, foreign: ForeignOutbox, message: Make) -> None:
    before = threading.active_count()
    with engine.begin() as connection:
        foreign.write(connection, message())
    foreign.close()

    assert threading.active_count() == before


def test_sqlalchemy_is_not_imported_for_a_drivers_connection(path: Path) -> None:
    program = f"""
import asyncio, sqlite3, sys
from anzol import ids
from anzol.relay import Relay
from anzol.storage.face import NewMessage
from anzol.storage.foreign import ForeignOutbox
from tests.sessions.memory import Ledger
ledger = Ledger()
foreign = ForeignOutbox(ledger.opened, lambda: ledger)
connection = sqlite3.connect({str(path)!r})
foreign.write(connection, NewMessage(ids.new(0), "default", "acme", "paid", "POST", "application/json", b"1", 0))
connection.commit()
print(asyncio.run(Relay(ledger.storage, foreign).drain()), "sqlalchemy" in sys.modules)
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd())

    assert shown.stdout.split() == ["1", "False"]


# --- in-memory SQLite, as in the tests of FastAPI apps --------------------------------------------------------------


@pytest.fixture
def memory() -> Iterator[sqlalchemy.Engine]:
    """One connection for all threads: the engine that SQLModel's documentation makes for tests."""
    engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
    metadata = MetaData()
    outbox_table(metadata)
    metadata.create_all(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def waiting(engine: sqlalchemy.Engine) -> list[str | None]:
    with engine.connect() as connection:
        return list(connection.scalars(text("select refused from anzol_outbox order by id")))


def test_a_commit_in_memory_takes_its_messages_along(
    memory: sqlalchemy.Engine, foreign: ForeignOutbox, ledger: Ledger, message: Make
) -> None:
    with Session(memory) as session:
        session.add(Item(name="one"))
        foreign.write(session, message(b"1"))
        with session.begin_nested():
            foreign.write(session, message(b"2"))
        nested = session.begin_nested()
        foreign.write(session, message(b"3"))
        nested.rollback()
        before = ledger.bodies
        session.commit()
        foreign.write(session, message(b"4"))
        session.rollback()

    assert (before, ledger.bodies) == ([], [b"1", b"2"])
    assert waiting(memory) == []
    assert ledger.sources == []


def test_a_joined_session_in_memory_sends_nothing_before_the_outer_commit(
    memory: sqlalchemy.Engine, foreign: ForeignOutbox, ledger: Ledger, message: Make
) -> None:
    with memory.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            foreign.write(session, message())
            session.commit()
        before = ledger.bodies
        outer.commit()

    assert (before, ledger.bodies) == ([], [b"{}"])


def test_a_commit_in_memory_that_fails_sends_nothing(foreign: ForeignOutbox, ledger: Ledger, message: Make) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    event.listen(engine, "connect", lambda connection, _: connection.execute("pragma foreign_keys = on"))
    metadata = MetaData()
    outbox_table(metadata)
    metadata.create_all(engine)
    Base.metadata.create_all(engine)

    with Session(engine) as session:
        session.add(Other(item=404))
        foreign.write(session, message())
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            session.commit()
        session.rollback()

    assert ledger.bodies == []
    assert waiting(engine) == []
    engine.dispose()


async def test_an_async_session_in_memory_takes_its_messages_along(
    foreign: ForeignOutbox, ledger: Ledger, message: Make
) -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    metadata = MetaData()
    outbox_table(metadata)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)

    async with async_sessionmaker(engine)() as session:
        await foreign.write_async(session, message(b"1"))
        await session.rollback()
        await foreign.write_async(session, message(b"2"))
        before = ledger.bodies
        await session.commit()
    await engine.dispose()

    assert (before, ledger.bodies) == ([], [b"2"])


def test_a_conflicting_key_in_memory_is_set_aside_and_the_commit_stands(
    memory: sqlalchemy.Engine, foreign: ForeignOutbox, ledger: Ledger, message: Make, caplog: pytest.LogCaptureFixture
) -> None:
    first = message(b"1", key="k")
    with Session(memory) as session:
        session.add(Item(name="one"))
        foreign.write(session, first)
        foreign.write(session, message(b"2", key="k"))
        session.commit()

    with Session(memory) as session:
        assert session.query(Item).count() == 1
    assert ledger.bodies == [b"1"]
    assert waiting(memory) == [f"The key was used by {first.id.hex()}."]
    assert "set aside" in caplog.text


def test_what_could_not_be_taken_in_at_a_commit_in_memory_is_taken_at_the_next(
    memory: sqlalchemy.Engine, foreign: ForeignOutbox, ledger: Ledger, message: Make
) -> None:
    for busy in (True, False):
        ledger.busy = busy
        with Session(memory) as session:
            foreign.write(session, message(b"%d" % busy))
            session.commit()

    assert ledger.bodies == [b"1", b"0"]


# --- the table and its rows ----------------------------------------------------------------------------------------


def test_a_row_gives_back_the_message_it_was_made_of(message: Make) -> None:
    whole = NewMessage(
        id=b"\x00" * 15 + b"\xff",
        environment="sandbox",
        customer="Ünï \x00 ❤",
        event_type="a.b",
        method="PUT",
        content_type="text/plain",
        body=b"\x00\xff",
        created_at=1,
        headers=(("X-A", "1"), ("X-A", "2")),
        query="a=1&b=%20",
        channels=("c",),
        tags=("t", "u"),
        key="k",
        deliver_at=2,
        only_endpoint=b"\x01" * 16,
    )

    plain = message()

    assert [unpack(pack(whole)), unpack(pack(plain))] == [whole, plain]
    assert pack(whole).head.isascii()


def test_both_ways_of_making_the_table_make_the_same(tmp_path: Path) -> None:
    plain, declared = tmp_path / "plain.db", tmp_path / "declared.db"
    create_outbox_table(f"sqlite:///{plain}")
    metadata = MetaData()
    outbox_table(metadata)
    engine = create_engine(f"sqlite:///{declared}")
    metadata.create_all(engine)
    engine.dispose()

    def shape(path: Path) -> list[tuple[object, ...]]:
        with sqlite3.connect(path) as connection:
            found = connection.execute(
                "select name, lower(type), \"notnull\", pk from pragma_table_info('anzol_outbox')"
            )
            columns = found.fetchall()
        connection.close()
        return columns

    assert shape(plain) == shape(declared) != []


def test_the_table_is_declared_once() -> None:
    metadata = MetaData()

    assert outbox_table(metadata) is outbox_table(metadata)


@pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"])
def test_making_the_table_twice_says_that_it_was_there(driver: str, tmp_path: Path) -> None:
    url = f"{driver}:///{tmp_path / 'new.db'}"

    assert [create_outbox_table(url), create_outbox_table(url)] == [True, False]


@pytest.mark.parametrize("query", ["uri=true", "mode=rwc&uri=true"])
def test_the_table_is_made_through_sqlalchemy_where_only_that_reads_the_url(query: str, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///file:{tmp_path / 'new.db'}?{query}"

    assert [create_outbox_table(url), create_outbox_table(url)] == [True, False]


def test_a_database_that_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be made"):
        create_outbox_table(f"sqlite:///{tmp_path / 'no' / 'folder' / 'app.db'}")
    with pytest.raises(StorageError, match="cannot be made"):
        create_outbox_table("nothing+known://user:secret@host/db")


def test_mysql_gets_a_body_longer_than_64_kib() -> None:
    from sqlalchemy.dialects import mysql
    from sqlalchemy.schema import CreateTable

    made = str(CreateTable(outbox_table(MetaData())).compile(dialect=mysql.dialect()))

    assert "body LONGBLOB NOT NULL" in made
