"""The relay: every committed row once, whatever else happens in the host's database or in Anzol's."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from anzol import ids
from anzol.relay import COMPLAIN_EVERY, FLOOR, PAGE, SWEEP_EVERY, Mover, Pace, Relay
from anzol.storage.face import Accepted, NewMessage
from anzol.storage.foreign import ForeignOutbox
from anzol.storage.nudging import AFTER_NUDGE
from anzol.storage.sources import FileSource, SqlalchemySource
from tests.sessions import hosts
from tests.sessions.memory import Ledger

Make = Callable[..., NewMessage]


@pytest.fixture
def host(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


@pytest.fixture
def mover(path: Path, ledger: Ledger) -> Iterator[Mover]:
    """Moves on demand, with a time of the test's own."""
    mover = Mover(f"sqlite:///{path}", lambda messages: take_in(ledger, messages))
    yield mover
    mover.close()


def take_in(ledger: Ledger, messages: object) -> list[Accepted | Exception]:
    return list(asyncio.run(ledger.accept_many(messages)))  # type: ignore[arg-type]  # a list of messages


def fill(host: sqlite3.Connection, foreign: ForeignOutbox, message: Make, count: int) -> list[bytes]:
    bodies = [b"%d" % number for number in range(count)]
    host.execute("begin")
    for body in bodies:
        foreign.write(host, message(body))
    host.execute("commit")
    return bodies


def test_a_customers_messages_keep_their_order(
    host: sqlite3.Connection, foreign: ForeignOutbox, mover: Mover, ledger: Ledger, message: Make
) -> None:
    bodies = fill(host, foreign, message, 1_000)

    assert mover.turn(0.0, sweep=True) == 1_000
    assert ledger.bodies == bodies


def test_rows_are_deleted_about_once_a_second_and_moved_once(
    host: sqlite3.Connection, foreign: ForeignOutbox, mover: Mover, ledger: Ledger, message: Make, path: Path
) -> None:
    mover.turn(10.0)
    left = []
    for now in (10.1, 10.2, 10.0 + SWEEP_EVERY):
        fill(host, foreign, message, 1)
        mover.turn(now)
        left.append(len(hosts.outbox(path)))

    assert left == [1, 2, 0]
    assert ledger.handed == 3


def test_a_row_of_a_transaction_that_commits_late_is_found_behind_newer_ones(
    path: Path, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make
) -> None:
    early, late = message(b"early"), message(b"late")
    for each in (late, early):
        with closing(sqlite3.connect(path)) as connection:
            foreign.write(connection, each)
            connection.commit()
        asyncio.run(relay.drain())

    assert ledger.bodies == [b"late", b"early"]


def test_a_host_that_holds_its_write_transaction_open_stops_no_message_that_is_committed(
    host: sqlite3.Connection, foreign: ForeignOutbox, mover: Mover, ledger: Ledger, message: Make, path: Path
) -> None:
    bodies = fill(host, foreign, message, 450)  # more than a page
    host.execute("begin immediate")

    mover.turn(10.0)  # the rows cannot be deleted
    mover.turn(20.0)

    assert ledger.bodies == bodies
    assert ledger.handed == 450
    assert len(hosts.outbox(path)) == 450
    host.execute("commit")
    mover.turn(30.0)
    assert hosts.outbox(path) == []


def test_a_locked_source_is_no_fault_to_be_logged(
    host: sqlite3.Connection,
    foreign: ForeignOutbox,
    mover: Mover,
    ledger: Ledger,
    message: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fill(host, foreign, message, 1)
    host.execute("begin exclusive")

    assert mover.turn(10.0) == 0
    host.execute("commit")
    assert mover.turn(20.0) == 1
    assert caplog.text == ""


def test_a_lock_that_lasts_a_minute_is_logged_once_a_minute(
    host: sqlite3.Connection, mover: Mover, caplog: pytest.LogCaptureFixture
) -> None:
    host.execute("begin exclusive")
    logged = []
    for now in (100.0, 101.0, 100.0 + COMPLAIN_EVERY, 101.0 + COMPLAIN_EVERY, 100.0 + 2 * COMPLAIN_EVERY):
        mover.turn(now)
        logged.append(len(caplog.records))
    host.execute("commit")

    assert logged == [0, 0, 1, 1, 2]


def test_a_host_that_reads_then_writes_is_not_thrown_out(
    host: sqlite3.Connection, foreign: ForeignOutbox, mover: Mover, message: Make, path: Path
) -> None:
    """A delete between a host's read and its write would end that transaction: so they wait for their second."""
    host.execute("pragma journal_mode=wal")
    mover.turn(10.0)
    for number in range(20):
        fill(host, foreign, message, 1)
        host.execute("begin")
        host.execute("select count(*) from item").fetchone()
        mover.turn(10.0 + number / 100)
        host.execute("insert into item (name) values ('mine')")
        host.execute("commit")

    assert len(hosts.items(path)) == 20


@pytest.mark.parametrize("lack", ["table", "file"])
def test_what_is_not_there_is_logged_once_a_minute_and_found_when_it_comes(
    lack: str, tmp_path: Path, foreign: ForeignOutbox, ledger: Ledger, message: Make, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "later.db"
    if lack == "table":
        hosts.prepare(path, outbox=False)
    mover = Mover(f"sqlite:///{path}", lambda messages: take_in(ledger, messages))
    for now in (0.0, 1.0, COMPLAIN_EVERY - 1, COMPLAIN_EVERY, COMPLAIN_EVERY + 1):
        mover.turn(now)
    logged = len(caplog.records)
    existed = path.exists()
    hosts.prepare(path) if lack == "file" else hosts.create_outbox_table(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        foreign.write(connection, message())
        connection.commit()

    assert mover.turn(COMPLAIN_EVERY + 2) == 1
    assert logged == 2
    assert existed == (lack == "table")
    mover.close()


def test_a_database_that_was_made_anew_is_opened_anew(
    path: Path, foreign: ForeignOutbox, mover: Mover, ledger: Ledger, message: Make
) -> None:
    for body in (b"old", b"new"):
        with closing(sqlite3.connect(path)) as connection:
            foreign.write(connection, message(body))
            connection.commit()
        mover.turn(0.0)
        path.rename(path.with_suffix(".gone"))
        hosts.prepare(path)

    assert ledger.bodies == [b"old", b"new"]


def test_a_key_with_another_body_is_set_aside_with_its_reason(
    host: sqlite3.Connection,
    foreign: ForeignOutbox,
    mover: Mover,
    ledger: Ledger,
    message: Make,
    path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = message(b"1", key="k"), message(b"2", key="k")
    for each in (first, second, message(b"3")):
        foreign.write(host, each)

    mover.turn(0.0, sweep=True)
    mover.turn(1.0, sweep=True)

    assert ledger.bodies == [b"1", b"3"]
    assert hosts.outbox(path) == [(second.id.hex(), f"The key was used by {first.id.hex()}.")]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert second.id.hex() in record.getMessage()
    assert ids.show(ids.MESSAGE, second.id) in record.getMessage()
    assert first.id.hex() in record.getMessage()
    assert "acme" in record.getMessage()


def test_what_was_set_aside_is_tried_again_when_its_mark_is_removed(
    host: sqlite3.Connection, foreign: ForeignOutbox, mover: Mover, ledger: Ledger, message: Make, path: Path
) -> None:
    for body in (b"1", b"2"):
        foreign.write(host, message(body, key="k"))
    mover.turn(0.0, sweep=True)
    ledger.forget_keys()
    host.execute("update anzol_outbox set refused = null")
    mover.turn(1.0, sweep=True)

    assert ledger.bodies == [b"1", b"2"]
    assert hosts.outbox(path) == []


@pytest.mark.parametrize("head", ["{", "[]", "{}", '{"version": 2}', '{"version": 1}', "null"])
def test_a_row_that_cannot_be_read_is_set_aside_and_stops_nothing(
    head: str, host: sqlite3.Connection, foreign: ForeignOutbox, mover: Mover, ledger: Ledger, message: Make, path: Path
) -> None:
    host.execute("insert into anzol_outbox values (?, ?, x'00', null)", ("0" * 32, head))
    fill(host, foreign, message, 1)

    mover.turn(0.0, sweep=True)

    assert ledger.bodies == [b"0"]
    [(row, refused)] = hosts.outbox(path)
    assert row == "0" * 32
    assert refused


def test_rows_wait_while_anzols_own_database_is_locked(
    host: sqlite3.Connection, foreign: ForeignOutbox, ledger: Ledger, message: Make, path: Path
) -> None:
    foreign.close()
    bodies = fill(host, foreign, message, 3)
    foreign.close()
    relay = Relay(ledger.storage, foreign)
    ledger.busy = True
    first = asyncio.run(relay.drain())
    waiting = len(hosts.outbox(path))
    ledger.busy = False
    second = asyncio.run(relay.drain())

    assert (first, waiting, second) == (0, 3, 3)
    assert ledger.bodies == bodies


def test_one_message_that_must_wait_stops_no_other(
    host: sqlite3.Connection, foreign: ForeignOutbox, mover: Mover, ledger: Ledger, message: Make, path: Path
) -> None:
    ledger.jammed = {b"1"}
    fill(host, foreign, message, 3)

    mover.turn(0.0, sweep=True)
    left = len(hosts.outbox(path))
    ledger.jammed.clear()
    mover.turn(1.0, sweep=True)

    assert ledger.bodies == [b"0", b"2", b"1"]
    assert (left, len(hosts.outbox(path))) == (1, 0)


def test_rows_that_were_moved_are_deleted_although_another_must_wait(
    host: sqlite3.Connection, foreign: ForeignOutbox, mover: Mover, ledger: Ledger, message: Make, path: Path
) -> None:
    fill(host, foreign, message, PAGE)
    ledger.jammed = {b"jammed"}
    foreign.write(host, message(b"jammed"))  # alone on its page

    mover.turn(0.0, sweep=True)

    assert len(hosts.outbox(path)) == 1


def test_rows_that_cannot_be_deleted_at_the_end_are_left_to_the_next_worker(
    host: sqlite3.Connection, foreign: ForeignOutbox, ledger: Ledger, message: Make, path: Path
) -> None:
    url = f"sqlite:///{path}"
    first, second = (Mover(url, lambda messages: take_in(ledger, messages)) for _ in range(2))
    first.turn(10.0)
    fill(host, foreign, message, 1)
    first.turn(10.1)
    host.execute("begin immediate")
    first.close()
    left = len(hosts.outbox(path))
    host.execute("commit")
    moved = second.turn(20.0)
    second.close()

    assert (left, moved) == (1, 0)
    assert hosts.outbox(path) == []
    assert len(ledger.bodies) == 1


def test_a_file_that_is_no_database_is_logged(path: Path, mover: Mover, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"no database at all" * 100)

    assert mover.turn(0.0) == 0
    assert "file is not a database" in caplog.text


def test_a_worker_without_sqlalchemy_says_what_to_install(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    mover = Mover("mysql+pymysql://me:secret@host/db", lambda messages: take_in(ledger, messages))
    mover.turn(0.0)
    mover.close()

    assert "anzol[sqlalchemy]" in caplog.text
    assert "secret" not in caplog.text


def test_large_bodies_come_in_small_pages(
    host: sqlite3.Connection, foreign: ForeignOutbox, message: Make, path: Path
) -> None:
    for _ in range(5):
        foreign.write(host, message(bytes(3_000_000)))
    with closing(FileSource(str(path))) as source:
        page = source.read("", 100)
        rest = source.read(page[-1].id, 100)

    assert (len(page), len(rest)) == (2, 2)


# --- several at once -----------------------------------------------------------------------------------------------


async def test_several_relays_move_everything_once(
    host: sqlite3.Connection, foreign: ForeignOutbox, ledger: Ledger, message: Make, path: Path
) -> None:
    bodies = fill(host, foreign, message, 900)
    relays = [Relay(ledger.storage, foreign) for _ in range(4)]

    moved = await asyncio.gather(*(relay.drain() for relay in relays))

    assert sum(moved) == 900
    assert sorted(ledger.bodies) == sorted(bodies)
    while hosts.outbox(path):  # one that met another's delete leaves the rest to the next turn
        await relays[0].drain()
    assert len(ledger.bodies) == 900


class Stuck:
    """A storage that does not answer for one customer until it is let go."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.entered = threading.Event()
        self.release = threading.Event()

    async def accept_many(self, messages: list[NewMessage]) -> object:
        if messages[0].customer == "slow":
            self.entered.set()
            await asyncio.to_thread(self.release.wait)
        return await self._ledger.accept_many(messages)

    async def outbox_sources(self) -> object:
        return await self._ledger.outbox_sources()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_source_that_stands_still_delays_neither_another_nor_the_worker(
    tmp_path: Path, foreign: ForeignOutbox, ledger: Ledger, message: Make
) -> None:
    storage = Stuck(ledger)
    relay = Relay(storage, foreign)  # type: ignore[arg-type]  # as much of a Storage as a relay uses
    for name in ("slow", "quick"):
        hosts.prepare(tmp_path / f"{name}.db")
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as connection:
            foreign.write(connection, message(name.encode(), customer=name))
            connection.commit()
    await relay.move()  # returns although one of them is stuck
    await eventually(lambda: bool(ledger.bodies) and storage.entered.is_set())
    while_stuck = list(ledger.bodies)
    storage.release.set()
    await eventually(lambda: len(ledger.bodies) == 2)
    moved = 0
    while moved < 2:
        moved += await relay.move()
    await relay.close()

    assert while_stuck == [b"quick"]


async def test_a_worker_of_another_process_finds_the_source_in_storage(
    host: sqlite3.Connection, foreign: ForeignOutbox, ledger: Ledger, message: Make
) -> None:
    fill(host, foreign, message, 3)
    foreign.close()
    elsewhere = Relay(ledger.storage)

    await elsewhere.move()
    await eventually(lambda: len(ledger.bodies) == 3)
    await elsewhere.close()


async def test_a_source_that_appears_while_it_runs_is_moved_too(
    path: Path, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make
) -> None:
    await relay.move()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        foreign.write(connection, message())
    engine.dispose()

    await eventually(lambda: bool(ledger.bodies))


async def test_no_thread_outlives_the_relay(
    host: sqlite3.Connection, foreign: ForeignOutbox, relay: Relay, ledger: Ledger, message: Make, path: Path
) -> None:
    fill(host, foreign, message, 1)
    await relay.move()
    await eventually(lambda: bool(ledger.bodies))
    await relay.close()

    assert [thread.name for thread in threading.enumerate() if thread.name == "anzol-relay"] == []
    assert hosts.outbox(path) == []


# --- through SQLAlchemy --------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "sqlite+aiosqlite"])
async def any_source(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[SqlalchemySource]:
    source = SqlalchemySource(f"{request.param}:///{path}")
    yield source
    await asyncio.to_thread(source.close)


async def test_any_database_that_sqlalchemy_speaks_to_is_read_and_settled(
    any_source: SqlalchemySource, host: sqlite3.Connection, foreign: ForeignOutbox, message: Make, path: Path
) -> None:
    fill(host, foreign, message, 5)
    rows = await asyncio.to_thread(any_source.read, "", 3)
    rest = await asyncio.to_thread(any_source.read, rows[-1].id, 3)
    await asyncio.to_thread(any_source.settle, [row.id for row in rows], [(rest[0].id, "why")])

    assert [row.body for row in (*rows, *rest)] == [b"0", b"1", b"2", b"3", b"4"]
    assert hosts.outbox(path) == [(rest[0].id, "why"), (rest[1].id, None)]
    assert await asyncio.to_thread(any_source.read, "", 3) == [rest[1]]


def test_its_faults_mean_the_same(tmp_path: Path, ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    hosts.prepare(tmp_path / "bare.db", outbox=False)
    urls = {
        f"sqlite:///file:{tmp_path}/bare.db?uri=true": "has no table anzol_outbox",
        f"sqlite:///file:{tmp_path}/none.db?mode=rw&uri=true": "unable to open database file",
        "sqlite+nothing://x": "cannot be moved over",
        "mysql+nodriverofthisname://me:secret@host/db": "cannot be moved over",
        "postgresql+asyncpg://me:secret@127.0.0.1:1/db": "cannot be moved over",
        "no url": "cannot be moved over",
    }
    for url, words in urls.items():
        caplog.clear()
        mover = Mover(url, lambda messages: take_in(ledger, messages))
        mover.turn(0.0)
        mover.close()

        assert words in caplog.text, url
        assert "secret" not in caplog.text


# --- when to look --------------------------------------------------------------------------------------------------


def test_without_news_it_looks_once_a_second() -> None:
    pace = Pace(100.0)
    looks = []
    for _ in range(3):
        looks.append(pace.next())
        pace.looked(looks[-1])

    assert looks == [100.0, 100.0 + FLOOR, 100.0 + 2 * FLOOR]


def test_after_a_nudge_it_looks_several_times_and_then_once_a_second() -> None:
    pace = Pace(100.0)
    pace.looked(100.0)
    pace.nudged(100.5)
    looks = []
    for _ in range(5):
        looks.append(pace.next())
        pace.looked(looks[-1])

    assert looks == [*(100.5 + after for after in AFTER_NUDGE), 100.5 + AFTER_NUDGE[-1] + FLOOR]


@given(st.lists(st.tuples(st.floats(0, 0.5), st.booleans()), max_size=40))
def test_nudges_never_put_a_look_off(events: list[tuple[float, bool]]) -> None:
    now, pace = 0.0, Pace(0.0)
    for after, nudge in events:
        now += after
        planned = pace.next()
        if nudge:
            pace.nudged(now)
            assert pace.next() == min(planned, now + AFTER_NUDGE[0])
        else:
            pace.looked(now)
            assert now < pace.next() <= now + FLOOR
