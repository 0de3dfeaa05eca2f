"""The writer: one transaction a tick, on its own thread or a worker's loop; busy databases; callers who go away."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from anzol.clock import OwnedClock
from anzol.errors import SchemaOutdated, StorageBusy, StorageError
from anzol.storage.face import Order, Selection
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.sqlite.work import Work
from anzol.storage.sqlite.writer import Op, watch_interval
from anzol.storage.vault import Vault
from tests.contract.conftest import ENVIRONMENT, KEY, TERM, Scene


def storage_at(path: Path, clock: OwnedClock, **options: float) -> SqliteStorage:
    return SqliteStorage(path, clock=clock, vault=Vault([KEY]), **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "anzol.db"


@pytest.fixture
async def scene(path: Path) -> AsyncIterator[Scene]:
    clock = OwnedClock()
    storage = storage_at(path, clock, patience=0.2)
    await storage.prepare(deployment="test")
    yield Scene(storage, clock)
    await storage.close()


class Lock:
    """Another process's write transaction, played by a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def __enter__(self) -> None:
        self._connection.execute("begin immediate")

    def __exit__(self, *_: object) -> None:
        self._connection.close()


@pytest.mark.parametrize("on_loop", [False, True])
async def test_what_is_queued_together_shares_one_commit(scene: Scene, on_loop: bool) -> None:
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)
    if on_loop:
        storage.drive_on(asyncio.get_running_loop())
    await scene.accept()
    commits = 0
    commit = storage.commit

    def counted(work: object) -> None:
        nonlocal commits
        commits += 1
        commit(work)  # type: ignore[arg-type]  # passed on as it came

    storage.commit = counted  # type: ignore[method-assign]  # counted, then done
    with storage._writer.gate:
        tasks = [asyncio.create_task(scene.accept()) for _ in range(100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)

    assert commits == 1


async def test_accept_and_its_fan_out_share_a_commit(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    loop = asyncio.get_running_loop()
    nudged = asyncio.Event()
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)
    end = storage.listen(lambda: loop.call_soon_threadsafe(nudged.set))
    with storage._writer.gate:
        sending = asyncio.create_task(scene.accept())
        await nudged.wait()
        dispatching = asyncio.create_task(worker.round())
        await asyncio.sleep(0)
    await sending
    found = await dispatching
    end()

    assert len(found.claims) == 1


async def test_a_locked_database_is_said_after_a_bounded_wait(scene: Scene, path: Path) -> None:
    with Lock(path):
        with pytest.raises(StorageBusy):
            await scene.accept()
        with pytest.raises(StorageBusy):
            await asyncio.to_thread(scene.storage.accept_sync, scene.message())

    assert (await scene.storage.messages(ENVIRONMENT, Selection())).items == ()
    await scene.accept()
    assert len((await scene.storage.messages(ENVIRONMENT, Selection())).items) == 1


@pytest.mark.parametrize("on_loop", [False, True])
async def test_the_engines_own_work_waits_for_the_lock(scene: Scene, path: Path, on_loop: bool) -> None:
    if on_loop:
        scene.storage.drive_on(asyncio.get_running_loop())  # type: ignore[attr-defined]  # SQLite's own
    worker = await scene.worker()
    with Lock(path):
        waiting = asyncio.create_task(scene.storage.dispatch(worker.me, Order()))
        with pytest.raises(StorageBusy):
            await scene.accept()
        assert not waiting.done()

    assert not (await waiting).lost


async def test_reading_waits_for_no_writer(scene: Scene, path: Path) -> None:
    shown = await scene.send()

    with Lock(path):
        kept = await scene.storage.message(ENVIRONMENT, shown)

    assert kept.id == shown


async def test_one_bad_operation_of_a_tick_spoils_no_other(scene: Scene) -> None:
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)

    def fails(work: object) -> None:
        raise ZeroDivisionError("a bug")

    with storage._writer.gate:
        tasks = [asyncio.create_task(scene.accept()) for _ in range(3)]
        bad = asyncio.create_task(storage._write(Op(run=fails)))
        tasks += [asyncio.create_task(scene.accept(key="k")) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks)

    with pytest.raises(StorageError) as caught:
        await bad
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert sum(not answer.duplicate for answer in answers) == 4
    assert len((await storage.messages(ENVIRONMENT, Selection())).items) == 4


async def test_text_in_the_database_that_is_not_utf8_ends_no_writer(scene: Scene) -> None:
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)

    def reads(work: Work) -> object:
        return work.connection.execute("select cast(X'ff' as text)").fetchone()

    async with asyncio.timeout(10):
        with pytest.raises(StorageError, match="UTF-8"):
            await storage._write(Op(run=reads))
        assert not (await scene.accept()).duplicate


async def test_a_worker_in_its_own_loop_and_senders_in_theirs(scene: Scene) -> None:
    await scene.endpoint()
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)
    got: list[int] = []
    ready = threading.Event()

    async def work() -> None:
        storage.drive_on(asyncio.get_running_loop())
        worker = await scene.worker()
        ready.set()
        while len(got) < 60:
            found = await worker.round(room=100)
            got.extend(claim.id for claim in found.claims)
            await worker.settle(found.claims)
        storage.drive_on(None)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    await asyncio.to_thread(ready.wait)
    await asyncio.gather(*(scene.accept() for _ in range(30)))
    for _ in range(30):
        await asyncio.to_thread(storage.accept_sync, scene.message())
    await asyncio.to_thread(thread.join)

    assert len(set(got)) == 60
    await scene.intact()


async def test_a_loop_that_closed_while_it_drove_is_replaced(scene: Scene) -> None:
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)

    async def drive() -> None:
        storage.drive_on(asyncio.get_running_loop())
        await scene.accept()

    await asyncio.to_thread(asyncio.run, drive())
    await scene.accept()

    assert len((await storage.messages(ENVIRONMENT, Selection())).items) == 2


async def test_a_senders_loop_that_closed_disturbs_nobody(scene: Scene) -> None:
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)

    async def leave() -> None:
        task = asyncio.create_task(scene.accept())
        await asyncio.sleep(0)
        task.cancel()

    with storage._writer.gate:
        await asyncio.to_thread(asyncio.run, leave())

    assert await scene.accept()


async def test_closing_finishes_what_was_accepted(path: Path) -> None:
    clock = OwnedClock()
    storage = storage_at(path, clock)
    await storage.prepare(deployment="test")
    scene = Scene(storage, clock)
    tasks = [asyncio.create_task(scene.accept()) for _ in range(50)]
    await asyncio.sleep(0)

    await storage.close()
    await asyncio.gather(*tasks)

    connection = sqlite3.connect(path)
    assert connection.execute("select count(*) from anzol_message").fetchone() == (50,)
    connection.close()


async def test_a_closed_storage_opens_again_when_it_is_used(scene: Scene) -> None:
    await scene.storage.close()

    assert await scene.accept()


async def test_another_connections_commit_nudges(scene: Scene, path: Path) -> None:
    nudged = threading.Event()
    end = scene.storage.listen(nudged.set)
    await scene.worker()
    other = storage_at(path, scene.clock)
    nudged.clear()

    await other.accept(scene.message())

    assert await asyncio.to_thread(nudged.wait, 10)
    end()
    await other.close()


async def test_own_commits_do_not_nudge_like_others(scene: Scene) -> None:
    nudges = []
    worker = await scene.worker()
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)
    end = storage.listen(lambda: nudges.append(1))
    storage._writer.watch()
    nudges.clear()

    await storage.beat(worker.me, TERM)
    storage._writer.watch()

    assert nudges == []
    end()


async def test_a_listener_that_fails_does_not_have_things_done_twice(scene: Scene) -> None:
    def broken() -> None:
        raise RuntimeError("Event loop is closed")

    end = scene.storage.listen(broken)

    await scene.accept()
    await scene.endpoint()
    end()

    assert len((await scene.storage.endpoints(ENVIRONMENT)).items) == 1
    assert len((await scene.storage.messages(ENVIRONMENT, Selection())).items) == 1


def test_looking_for_others_gets_slower_when_idle() -> None:
    assert [watch_interval(idle) for idle in (0, 1.9, 30, 3600)] == [0.010, 0.010, 0.050, 0.250]


async def test_a_database_without_a_schema_says_what_to_do(path: Path) -> None:
    clock = OwnedClock()
    storage = storage_at(path, clock)

    with pytest.raises(SchemaOutdated, match="anzol migrate"):
        await storage.accept(Scene(storage, clock).message())
    with pytest.raises(SchemaOutdated, match="anzol migrate"):
        await storage.status(ENVIRONMENT)
    await storage.close()


async def test_a_file_that_is_no_database_says_so(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    storage = storage_at(path, OwnedClock())

    with pytest.raises(StorageError, match="not a database"):
        await storage.prepare(deployment="test")
    await storage.close()


async def test_nothing_is_acknowledged_into_a_file_that_was_deleted_or_replaced(scene: Scene, path: Path) -> None:
    await scene.send()
    aside = path.rename(path.with_suffix(".aside"))

    with pytest.raises(StorageError, match="deleted or replaced"):
        await scene.send()
    path.touch()
    with pytest.raises(StorageError, match="deleted or replaced"):
        await scene.send()
    aside.replace(path)
    await scene.send()

    assert len((await scene.storage.messages(ENVIRONMENT, Selection())).items) == 2


async def test_a_cancelled_round_gives_back_what_it_claimed(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept()
    worker = await scene.worker()
    storage = scene.storage
    assert isinstance(storage, SqliteStorage)
    task = asyncio.create_task(worker.round())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    # Behind the round, and behind what undoes it: queued when its result found nobody.
    await storage.beat(worker.me, TERM)
    await storage.beat(worker.me, TERM)

    assert (await storage.status(ENVIRONMENT)).in_flight == 0
    assert len((await worker.round()).claims) == 1
